"""Recordings into folders, read again: `open_recording`."""

from asmu_control.recording.reading import Block
from asmu_control.recording.recording import Recording, open_recording
from asmu_control.recording.segments import Segment
from asmu_control.recording.spans import Gap

__all__ = ["Block", "Gap", "Recording", "Segment", "open_recording"]
