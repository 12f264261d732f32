"""Audio measurement engine: a host, an audio and a disk process, edited over ZeroMQ, heard through shared memory."""

__version__ = "0.1.0"
