"""What both packages say of the same things, and what the user layer promises to be."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import asmu_control as asmu
from asmu_control.processor import Processor
from asmu_engine.audio.kinds import Kinds
from asmu_engine.protocol import errors
from asmu_engine.protocol.catalogue import Kind
from asmu_engine.protocol.edits import Add
from asmu_engine.protocol.messages import Transaction, parse_request

ROOT = Path(asmu.__file__).resolve().parent.parent
CATALOGUE = {kind.name: kind for kind in Kinds().catalogue()}
PROCESSORS = [getattr(module, name) for module in (asmu.generator, asmu.effect, asmu.analyzer) for name in module.__all__]


def without_docs(kind: Kind) -> Kind:
    return replace(kind, doc="", parameters=tuple(replace(parameter, doc="") for parameter in kind.parameters))


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda cls: cls.__name__)
def test_a_processor_declares_what_its_core_is(processor: type[Processor]) -> None:
    assert processor.describe() == without_docs(CATALOGUE[processor.kind])


def test_every_core_has_a_processor() -> None:
    assert {processor.kind for processor in PROCESSORS} == set(CATALOGUE)


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda cls: cls.__name__)
def test_a_file_is_named_after_its_processor(processor: type[Processor]) -> None:
    assert processor.__module__.rpartition(".")[2] == processor.__name__.lower()
    assert processor.__doc__


def test_public_names() -> None:
    assert asmu.__all__ == [
        "AFile",
        "ASetup",
        "Interface",
        "Timeouts",
        "__version__",
        "acore",
        "analyzer",
        "client",
        "connect",
        "connect_async",
        "device",
        "effect",
        "exceptions",
        "generator",
        "io",
        "open_recording",
        "processor",
        "query_devices",
        "recording",
        "repair_recording",
        "testing",
        "typing",
        "verify_recording",
    ]
    for name in asmu.__all__:
        assert getattr(asmu, name) is not None
        assert name in dir(asmu)
    with pytest.raises(AttributeError, match="Saxophone"):
        _ = asmu.Saxophone  # type: ignore[attr-defined]
    assert asmu.generator.__all__ == ["Constant", "Feed", "Noise", "Player", "Sine", "SineBurst", "Vector"]
    assert asmu.effect.__all__ == [
        "ADSR",
        "Convolver",
        "Delay",
        "Filter",
        "Gain",
        "GainRamp",
        "Limiter",
        "Matrix",
        "Sum",
        "Weight",
    ]
    assert asmu.analyzer.__all__ == [
        "FFT",
        "RMS",
        "Acquisition",
        "CalIInput",
        "CalIOutput",
        "Oscilloscope",
        "Recorder",
        "Tap",
        "Vector",
    ]
    assert asmu.io.__all__ == ["IInput", "IOutput", "Input", "Output"]
    assert asmu.processor.__all__ == ["Analyzer", "Effect", "Generator", "Processor"]


def test_every_error_is_public() -> None:
    tree = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.AsmuError)}
    assert set(asmu.exceptions.__all__) == tree | {"CalibrationError", "FramesMissing", "MapError", "UnitError"}
    for name in tree:
        assert getattr(asmu.exceptions, name) is getattr(errors, name)


def test_cores_of_ones_own_have_the_engines_base_classes() -> None:
    from asmu_engine.rt import acore

    for name in ("ACore", "AGenerator", "AEffect", "AAnalyzer", "Block"):
        assert getattr(asmu.acore, name) is getattr(acore, name)
    with pytest.raises(AttributeError):
        _ = asmu.acore.ADelayLine  # type: ignore[attr-defined]


def modules_after(statement: str) -> set[str]:
    program = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


HEAVY = {"zmq", "pydantic", "soundfile", "sounddevice", "matplotlib", "scipy", "pyfftw", "numpy", "typer", "rich", "platformdirs"}


def test_import_loads_nothing_heavy() -> None:
    assert not modules_after("import asmu_control") & HEAVY


def test_building_a_patch_loads_no_engine() -> None:
    loaded = modules_after(
        "import asmu_control as asmu\n"
        "interface = asmu.Interface(device='virtual')\n"
        "asmu.generator.Sine(interface, 1).output().connect(interface.ioutput(ch=1))"
    )
    assert not loaded & (HEAVY - {"pydantic"})
    assert not {
        name for name in loaded if name.startswith("asmu_engine.") and name.split(".")[1] not in ("protocol", "config", "shm")
    }


def test_everything_that_is_sent_passes_the_hosts_validation(tmp_path: Path) -> None:
    """The whole patch of one of each, as the host reads it."""
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros((4, 2)), 48000)
    interface = asmu.Interface(device="virtual", samplerate=48000)
    made = [
        asmu.generator.Sine(interface, 1000, np.pi / 2),
        asmu.generator.Constant(interface, [1, 2]),
        asmu.generator.Noise(interface, seed=3, amplitude=0.5, channels=2),
        asmu.generator.Feed(interface, channels=3),
        asmu.generator.Player(interface, tmp_path / "a.wav"),
        asmu.effect.Gain(interface, np.array([1.0, 0.5])),
        asmu.effect.Sum(interface, mode="sum"),
        asmu.effect.Delay(interface, np.array([1, 2]), maximum=64),
        asmu.generator.SineBurst(interface, 1000, 5),
        asmu.generator.Vector(interface, np.zeros((10, 2))),
        asmu.effect.ADSR(interface, 0.1, 0.1, 0.5, 0.1),
        asmu.effect.Convolver(interface, np.ones(10)),
        asmu.effect.Filter.butter(interface, 2, 1000),
        asmu.effect.GainRamp(interface, 0.0, 1.0),
        asmu.effect.Limiter(interface, 0.5),
        asmu.effect.Matrix(interface, np.eye(2)),
        asmu.effect.Weight(interface, "A"),
        asmu.analyzer.Vector(interface, 100, channels=2),
        asmu.analyzer.RMS(interface, 100),
        asmu.analyzer.Oscilloscope(interface),
        asmu.analyzer.FFT(interface),
        asmu.analyzer.CalIInput(interface, 94, "SPL"),
        asmu.analyzer.CalIOutput(interface, 1, "V", interface.ioutput(ch=1)),
        asmu.analyzer.Tap(interface, channels=2),
        asmu.analyzer.Acquisition(interface, tmp_path / "friday", channels=2),
        asmu.analyzer.Recorder(interface, tmp_path / "b.wav", channels=2),
    ]
    assert {type(processor) for processor in made} == set(PROCESSORS)
    edits = interface._patch.graph.edits()
    request = parse_request({"v": 1, "id": 1, "type": "transaction", "edits": edits})
    assert isinstance(request, Transaction)
    for edit in request.edits:
        assert isinstance(edit, Add)
        kind = CATALOGUE[edit.kind]
        kind.check_ports(edit.inputs, edit.outputs, edit.node)
        for name, value in edit.parameters.items():
            channels = edit.outputs or edit.inputs
            assert kind.parameter(name, edit.node).check(value, channels, edit.node) == value
