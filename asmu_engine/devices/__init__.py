"""Audio devices behind one interface: PortAudio, a simulated one with and without a clock, a sound file."""
