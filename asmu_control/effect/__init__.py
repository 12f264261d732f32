"""Effects: processors that change signals."""

from asmu_control.effect.delay import Delay
from asmu_control.effect.gain import Gain
from asmu_control.effect.sum import Sum

__all__ = ["Delay", "Gain", "Sum"]
