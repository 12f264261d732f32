"""Cores of a user's own: one module with core and Processor, found by the engine."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asmu_control as asmu
from asmu_control.exceptions import PatchError, PluginError

pytestmark = pytest.mark.e2e

ROOT = Path(asmu.__file__).resolve().parent.parent

SOFTCLIP = """
import numpy as np
from asmu_control.acore import AEffect, Parameter
from asmu_control.processor import Effect


class ASoftClip(AEffect):
    \"\"\"Hyperbolic tangent of the input times the drive.\"\"\"

    kind = "softclip"
    parameters = (Parameter("drive", default=1.0, minimum=0.0, maximum=100.0, doc="gain before the curve"),)

    def process(self, inputs, outputs):
        np.multiply(inputs, np.float32(self.drive), out=outputs)
        np.tanh(outputs, out=outputs)


class SoftClip(Effect):
    kind = "softclip"

    def __init__(self, interface, drive=1.0):
        super().__init__(interface, drive=drive)

    def set_drive(self, drive):
        self._set(drive=drive)
"""

SCRIPT = """
import asmu_control as asmu
from softclip import SoftClip

interface = asmu.Interface(device="offline", samplerate=48000, blocksize=64, plugins=[PLUGIN])
clip = SoftClip(interface, drive=3.0)
asmu.generator.Constant(interface, 0.5).output().connect(clip.input())
recorder = asmu.analyzer.Recorder(interface, "clipped.wav")
clip.output().connect(recorder.input())
with interface.start(end_frame=10) as stream:
    assert stream.wait(30)
"""


@pytest.mark.parametrize("plugin", ["'softclip'", "'softclip.py'", "__import__('pathlib').Path('softclip.py')"])
def test_core_and_processor_in_one_module(tmp_path: Path, plugin: str) -> None:
    assert len(SOFTCLIP.strip().splitlines()) < 30
    (tmp_path / "softclip.py").write_text(SOFTCLIP, encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT.replace("PLUGIN", plugin), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    clipped = soundfile.read(tmp_path / "clipped.wav", dtype="float32")[0]
    np.testing.assert_array_equal(clipped, np.tanh(np.full(640, 1.5, np.float32)))


@pytest.fixture
def softclip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "softclip.py").write_text(SOFTCLIP, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("softclip")
    yield module
    del sys.modules["softclip"]


def test_the_engine_checks_what_the_processor_did_not_declare(softclip) -> None:
    with asmu.Interface(device="offline:stepped=1", plugins=["softclip"]) as interface:
        clip = softclip.SoftClip(interface)
        interface.open()
        clip.set_drive(100)
        for drive in (101.0, float("nan"), "much"):
            with pytest.raises(PatchError) as caught:
                clip.set_drive(drive)
            assert caught.value.code == "bad_value"
        with pytest.raises(PatchError) as caught:
            clip._set(colour=1.0)
        assert caught.value.code == "unknown_parameter"


def test_an_engine_without_the_plugin_says_what_it_knows(softclip) -> None:
    interface = asmu.Interface(device="offline")
    softclip.SoftClip(interface)
    with pytest.raises(PatchError, match=r"no kind 'softclip'.* sine") as caught:
        interface.start()
    assert caught.value.code == "unknown_kind"
    assert interface.stats()["state"] == "closed"


def test_a_plugin_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0", encoding="utf-8")
    interface = asmu.Interface(device="offline", plugins=[str(tmp_path / "broken.py")])
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        interface.start()
