"""The disk process: the only place where audio files are written or read while the engine runs."""
