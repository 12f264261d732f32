"""What the host and the relay need to let clients of other machines in: listening sockets, CURVE, who may enter, who tried."""
