"""Devices as text, as classes and on the wire."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asmu_engine.protocol.codec import pack, unpack
from asmu_engine.protocol.device import File, Offline, PortAudio, Virtual, device_from_wire, parse_device
from asmu_engine.protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("portaudio", PortAudio()),
        ("portaudio:Fireface UCX (hw:1,0)", PortAudio(device="Fireface UCX (hw:1,0)")),
        ("portaudio:3", PortAudio(device=3)),
        ("portaudio:Mic | 4,latency=0.05", PortAudio(device=("Mic", 4), latency=0.05)),
        ("portaudio:|4", PortAudio(device=(None, 4))),
        ("USB Audio", PortAudio(device="USB Audio")),
        ("hw:1,0", PortAudio(device="hw:1,0")),
        ("7", PortAudio(device=7)),
        (" Virtual ", Virtual()),
        ("virtual:", Virtual()),
        ("virtual:inputs=4, outputs=1, delay_frames=128", Virtual(inputs=4, outputs=1, delay_frames=128)),
        ("virtual:matrix=1:0.5/0:-1e-3", Virtual(matrix=[[1, 0.5], [0, -1e-3]])),
        ("virtual:taps=1:0.5:0.25", Virtual(ir=[1, 0.5, 0.25])),
        ("virtual:taps=1:0.5:0.25/0:0:1", Virtual(ir=[[1, 0], [0.5, 0], [0.25, 1]])),
        ("virtual:ir=/rooms/hall, back.wav,gain_db=-3", Virtual(ir="/rooms/hall, back.wav", gain_db=-3.0)),
        ("virtual:drift_ppm=37,noise_dbfs=-100,seed=5", Virtual(drift_ppm=37.0, noise_dbfs=-100.0, seed=5)),
        ("offline:stepped=1", Offline(stepped=True)),
        ("file:/data/a,b=c,speed.wav", File(path="/data/a,b=c,speed.wav")),
        ("file:C:\\data\\x.wav,loop=1,speed=0", File(path="C:\\data\\x.wav", loop=True, speed=0.0)),
    ],
)
def test_texts_and_their_way_back(text: str, spec: Any) -> None:
    assert parse_device(text) == spec
    assert parse_device(spec.text()) == spec
    assert device_from_wire(unpack(pack(spec.to_wire()))) == spec


def test_objects_that_are_devices() -> None:
    spec = Virtual()
    assert parse_device(spec) is spec
    assert parse_device(None) == PortAudio()
    assert parse_device(3) == PortAudio(device=3)
    assert parse_device(("Mic", 4)) == PortAudio(device=("Mic", 4))


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40).filter(lambda text: text.strip() == text and not text.endswith("\\")))
def test_any_path_survives_its_text(path: str) -> None:
    for spec in (File(path=path, loop=True), Virtual(source=path, tone_hz=50.0), File(path=path)):
        assert parse_device(spec.text()) == spec


@pytest.mark.parametrize("path", ["a,loop=1", "a,loop=1,speed=2", "a\\,loop=1", "a,inputs=3"])
def test_paths_that_look_like_options_survive_too(path: str) -> None:
    for spec in (File(path=path, loop=True), File(path=path), Virtual(source=path, tone_hz=50.0)):
        assert parse_device(spec.text()) == spec


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("", "", "empty text"),
        ("virtual:channels=2", "channels", "no option 'channels'; it has: inputs, outputs"),
        ("virtual:inputs", "inputs", "'inputs' is not key=value"),
        ("virtual:inputs=x", "inputs", "valid integer"),
        ("virtual:inputs=-1", "inputs", "greater than or equal to 0"),
        ("virtual:inputs=1025", "inputs", "less than or equal to 1024"),
        ("virtual:inputs=1,inputs=2", "inputs", "given twice"),
        ("virtual:inputs=0,outputs=0", "", "neither inputs nor outputs"),
        ("virtual:speed=0", "speed", "greater than 0"),
        ("virtual:drift_ppm=nan", "drift_ppm", "finite"),
        ("virtual:noise_dbfs=inf", "noise_dbfs", "finite|less than"),
        ("virtual:matrix=1:2", "", "shape .1, 2., not"),
        ("virtual:matrix=1:2/3", "matrix", "differ in length"),
        ("virtual:matrix=1:b", "matrix", "could not convert"),
        ("virtual:taps=1:nan", "taps", "NaN"),
        ("virtual:ir=a.wav,taps=1", "ir", "given twice"),
        ("virtual:inputs=2,taps=1/2/3", "", "3 columns; give one, or one for each of the 2 inputs"),
        ("file", "path", "needs its path"),
        ("file:x,speed=-1", "speed", "greater than or equal to 0"),
        ("offline:speed=2", "speed", "no option 'speed'"),
        ("portaudio:x,latency=99", "latency", "less than or equal to 10"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(text: str, where: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_device(text)
    assert (caught.value.code, caught.value.where) == ("bad_device_text", where)


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: Virtual(inputs=-1), "inputs"),
        (lambda: Virtual(nonsense=1), "nonsense"),
        (lambda: Virtual(matrix=[[1, 2], [3]]), "matrix"),
        (lambda: Virtual(matrix=[1, 2]), "matrix"),
        (lambda: Virtual(ir=[float("nan")]), "ir"),
        (lambda: Virtual(ir=np.zeros((2, 2, 2))), "ir"),
        (lambda: Virtual(ir=[]), ""),
        (lambda: PortAudio(device=-1), "device"),
        (lambda: PortAudio(device=(1, 2, 3)), "device"),
        (lambda: device_from_wire({"kind": "tape"}), "kind"),
        (lambda: device_from_wire({"kind": "virtual", "inputs": "many"}), "inputs"),
    ],
)
def test_classes_refuse_the_same(make: Any, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert (caught.value.code, caught.value.where) == ("bad_config", where)


def test_what_is_no_device_at_all() -> None:
    with pytest.raises(ConfigError, match="a float is no device"):
        parse_device(1.5)


def test_classes_take_numpy_arrays_and_are_frozen() -> None:
    assert Virtual(matrix=np.eye(2, dtype=np.float32)) == Virtual(matrix=[[1, 0], [0, 1]])
    assert Virtual(ir=np.ones((3, 1))) == Virtual(ir=[1, 1, 1])
    with pytest.raises(ValueError, match="frozen"):
        Virtual().inputs = 3  # type: ignore[misc]


def test_describing_a_device_loads_no_numpy_and_no_audio_library() -> None:
    code = (
        "import sys; from asmu_engine.protocol.device import parse_device; parse_device('virtual:taps=1:2').text(); "
        "print([name for name in ('numpy', 'sounddevice', 'soundfile') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_wire_form_is_a_device_too() -> None:
    device = Virtual(inputs=2, matrix=[[1, 0], [0, 1]])
    assert parse_device(device.to_wire()) == device
    with pytest.raises(ConfigError, match="'tape'"):
        parse_device({"kind": "tape"})
