"""Modules of the user's own cores."""

import sys

import numpy as np
import pytest

from asmu_engine.audio.kinds import Kinds
from asmu_engine.local import LocalEngine
from asmu_engine.protocol.errors import PluginError

CLIP = """
import numpy as np
from asmu_engine.rt.acore import AEffect, Parameter

class AClip(AEffect):
    \"\"\"Clips.\"\"\"
    kind = "{kind}"
    parameters = (Parameter("threshold", default=1.0, minimum=0.0, maximum=10.0),)

    def process(self, inputs, outputs):
        np.clip(inputs, -self.threshold, self.threshold, out=outputs)
"""


def write(folder, name: str, kind: str):
    path = folder / f"{name}.py"
    path.write_text(CLIP.format(kind=kind))
    return path


def test_a_file_of_cores_joins_the_catalogue_and_runs(tmp_path):
    path = write(tmp_path, "clip_plugin", "clip")
    engine = LocalEngine(48000, 64, 1, 1, plugins=[str(path)])
    assert "clip" in [kind.name for kind in engine.catalogue()]
    engine.edit(
        [
            {"op": "add", "node": "c", "kind": "clip", "inputs": 1, "outputs": 1, "parameters": {"threshold": 0.5}},
            {"op": "connect", "source": "in", "output": 0, "target": "c", "input": 0},
            {"op": "connect", "source": "c", "output": 0, "target": "out", "input": 0},
        ]
    )
    signal = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    assert np.array_equal(engine.render(64, signal), np.clip(signal, -0.5, 0.5))
    engine.close()


def test_an_importable_module_works_too(tmp_path, monkeypatch):
    write(tmp_path, "importable_clip", "clip2")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "clip2" in [kind.name for kind in Kinds(["importable_clip"]).catalogue()]
    sys.modules.pop("importable_clip")


def test_a_kind_cannot_be_taken_twice(tmp_path):
    with pytest.raises(PluginError, match="kind 'gain' of gain_plugin is already that of") as caught:
        Kinds([str(write(tmp_path, "gain_plugin", "gain"))])
    assert caught.value.code == "plugin_conflict"


@pytest.mark.parametrize(
    ("plugin", "message"),
    [("missing_module_xyz", "No module named"), ("missing_file.py", "there is no file"), ("json", "holds no core")],
)
def test_what_cannot_be_loaded_says_why(plugin, message):
    with pytest.raises(PluginError, match=message) as caught:
        Kinds([plugin])
    assert caught.value.code == "plugin_unreadable"


def test_a_module_that_raises_says_what(tmp_path):
    path = tmp_path / "raising_plugin.py"
    path.write_text("1 / 0\n")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        Kinds([str(path)])
