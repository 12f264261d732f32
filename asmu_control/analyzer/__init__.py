"""Analyzers: processors that measure or keep signals."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from asmu_control.analyzer.recorder import Recorder
from asmu_control.analyzer.tap import Tap

if TYPE_CHECKING:
    from asmu_control.analyzer.acquisition import Acquisition
    from asmu_control.analyzer.caliinput import CalIInput
    from asmu_control.analyzer.calioutput import CalIOutput
    from asmu_control.analyzer.fft import FFT
    from asmu_control.analyzer.oscilloscope import Oscilloscope
    from asmu_control.analyzer.rms import RMS
    from asmu_control.analyzer.vector import Vector

__all__ = ["FFT", "RMS", "Acquisition", "CalIInput", "CalIOutput", "Oscilloscope", "Recorder", "Tap", "Vector"]


def __getattr__(name: str) -> Any:
    # The ones that compute load numpy: only for those who ask for them.
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
