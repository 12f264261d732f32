from __future__ import annotations

import pytest

import asmu_control as asmu
from asmu_control.exceptions import PatchError


def test_the_weight_goes_to_the_engine() -> None:
    interface = asmu.Interface(device="virtual")
    white, pink = asmu.generator.Noise(interface), asmu.generator.Noise(interface, "pink", seed=7, amplitude=0.5, channels=2)
    assert white._get("weight") == "white"
    assert repr(pink) == "<Noise noise2: weight pink, seed 7, amplitude 0.5, 2 outputs>"
    pink.set_amplitude(0.25)
    assert pink._get("amplitude") == 0.25
    with pytest.raises(PatchError, match="'brown' is not one of white, pink"):
        asmu.generator.Noise(interface, "brown")  # type: ignore[arg-type]
