"""Version and limits of the protocol; they change apart from the library's own version."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1
"""Raised by one whenever an older client could misunderstand a message."""

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""Largest request, in bytes. Bulk audio goes through rings, never through messages."""

MAX_MESSAGE_DEPTH: Final = 16
"""Deepest nesting of maps and arrays in a message."""

MAX_MESSAGE_VALUES: Final = 1_048_576
"""Most values in a message: entries of its maps and lists, also inside one another; an array counts as 8."""

MAX_MESSAGE_LIST: Final = 131_072
"""Most entries of one map or list in a message."""

MAX_NODES: Final = 8192
"""Most nodes that a patch may hold."""

MAX_CHANNELS: Final = 1024
"""Most input or output ports of one node, and most channels of a device."""

MAX_EDITS: Final = 65536
"""Most edits in one transaction."""

MAX_HISTORY: Final = 1000
"""Transactions that the engine remembers, with what undoes them."""

MAX_SCHEDULED: Final = 4096
"""Most transactions that wait for their frame position."""

MAX_WAITING: Final = 10_000
"""Requests of one client that may wait to be handled; one that sends more loses its connection, and what is more."""

MAX_WAITING_BYTES: Final = 256 * 1024 * 1024
"""Likewise, bytes."""

BEAT_SECONDS: Final = 1.0
"""How often the engine lets a client that says nothing hear of it, where the client asked for that."""

SILENT_SECONDS: Final = 4.0
"""A client of which nothing was heard for so long is away: its leases end, and what it owns goes or is kept, as it asked."""

RESUME_SECONDS: Final = 60.0
"""For so long after it went away a client may come back as the one that it was."""

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
"""Names of engines, nodes, rings and clients: letters, digits, ``_ . -``, at most 63."""

INPUTS_NODE: Final = "in"
"""Reserved node whose outputs are the device's input channels (port 0 is channel 1)."""

OUTPUTS_NODE: Final = "out"
"""Reserved node whose inputs are the device's output channels (port 0 is channel 1)."""
