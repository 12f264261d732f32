"""Starting engines: what goes wrong, in the engine's own words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asmu_control import launch
from asmu_control.exceptions import ConfigError, EngineError, EngineTimeout, PluginError
from asmu_engine.config import make_config
from asmu_engine.protocol.runtime import running_engines


@pytest.fixture
def engine_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Put a program in the place of the engine."""

    def use(text: str) -> None:
        program = tmp_path / "program.py"
        program.write_text(text, encoding="utf-8")

        def spawn(plugins, words) -> subprocess.Popen[bytes]:
            return subprocess.Popen([sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words)

        monkeypatch.setattr(launch, "_spawn", spawn)

    return use


CONFIG = make_config(name="one", device="virtual")


@pytest.mark.parametrize("start", [launch.PrivateEngine, launch.start_detached])
def test_an_engine_that_dies_at_once_is_quoted(engine_program, start) -> None:
    engine_program("import sys; sys.exit('no luck today')")
    with pytest.raises(EngineError, match="no luck today") as caught:
        start(CONFIG)
    assert caught.value.code == "engine_failed"


@pytest.mark.parametrize("start", [launch.PrivateEngine, launch.start_detached])
def test_an_engine_that_hangs_is_ended(engine_program, start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "START_TIMEOUT", 0.3)
    engine_program("import time; time.sleep(60)")
    with pytest.raises(EngineTimeout) as caught:
        start(CONFIG)
    assert caught.value.code == "timeout"


def test_an_engine_that_does_not_end_is_killed(engine_program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_FORCE_SECONDS", 0.5)
    engine_program(
        "import signal, time\n"
        "from asmu_engine.protocol.pipe import MessagePipe\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pipe = MessagePipe.of_this_process()\n"
        "pipe.receive()\n"
        "info = {'name': 'one', 'pid': 1, 'version': '0', 'requests': 'r', 'events': 'e', 'private': True}\n"
        "pipe.send({'ready': True, 'info': info})\n"
        "time.sleep(60)\n"
    )
    engine = launch.PrivateEngine(CONFIG)
    assert engine.alive()
    assert engine.info.requests == "r"
    engine.close(0.1)
    assert not engine.alive()
    engine.close()


@pytest.fixture(autouse=True)
def _find_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", launch.environment(())["PYTHONPATH"])


def test_the_engines_own_refusal_is_raised() -> None:
    with pytest.raises(PluginError, match="not_there"):
        launch.PrivateEngine(make_config(name="one", device="virtual", plugins=("not_there",)))
    with pytest.raises(ConfigError, match="channels"):
        launch.PrivateEngine(make_config(name="one", device="virtual:channels=2"))
    assert not running_engines()


def test_plugins_beside_the_script_are_found_by_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside.py").write_text("", encoding="utf-8")
    package = tmp_path / "deep" / "inside"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", "/before")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "deep"))
    found = launch.environment(("beside", "inside.core", "json", "nowhere", "/a/b.py"))["PYTHONPATH"].split(os.pathsep)
    assert found == [str(Path(launch.__file__).resolve().parent.parent), str(tmp_path), str(tmp_path / "deep"), "/before"]
