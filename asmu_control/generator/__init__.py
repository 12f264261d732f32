"""Generators: processors that make signals."""

from asmu_control.generator.constant import Constant
from asmu_control.generator.feed import Feed
from asmu_control.generator.noise import Noise
from asmu_control.generator.player import Player
from asmu_control.generator.sine import Sine
from asmu_control.generator.sineburst import SineBurst
from asmu_control.generator.vector import Vector

__all__ = ["Constant", "Feed", "Noise", "Player", "Sine", "SineBurst", "Vector"]
