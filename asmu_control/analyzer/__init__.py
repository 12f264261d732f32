"""Analyzers: processors that measure or keep signals."""

from asmu_control.analyzer.recorder import Recorder
from asmu_control.analyzer.tap import Tap

__all__ = ["Recorder", "Tap"]
