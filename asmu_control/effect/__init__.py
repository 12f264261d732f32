"""Effects: processors that change signals."""

from asmu_control.effect.adsr import ADSR
from asmu_control.effect.convolver import Convolver
from asmu_control.effect.delay import Delay
from asmu_control.effect.filter import Filter
from asmu_control.effect.gain import Gain
from asmu_control.effect.gainramp import GainRamp
from asmu_control.effect.limiter import Limiter
from asmu_control.effect.matrix import Matrix
from asmu_control.effect.sum import Sum
from asmu_control.effect.weight import Weight

__all__ = ["ADSR", "Convolver", "Delay", "Filter", "Gain", "GainRamp", "Limiter", "Matrix", "Sum", "Weight"]
