"""Acquisitions: recordings into a folder that go on for weeks, survive the death of their writer, and account for every frame."""
