"""Shared memory: segments, rings with one writer and any number of readers, feeds. Import each name from its module."""
