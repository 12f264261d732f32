"""README is true: its scripts run as they stand, its commands exist."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

import asmu_control
from asmu_engine.protocol import exits
from asmu_engine.protocol.runtime import find_engine, is_running
from asmu_engine.recording.ledger import Cause

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def block_with(words: str) -> str:
    (found,) = [block for block in python_blocks() if words in block]
    return found


def section(heading: str) -> str:
    return re.split(r"^#+ ", README.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def commands(heading: str) -> list[list[str]]:
    """The asmu commands of one section, as lists of arguments."""
    return [shlex.split(line) for line in re.findall(r"^    asmu (.*)$", section(heading), flags=re.MULTILINE)]


def run(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def asmu(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "asmu_control", *arguments], folder)


def ran(folder: Path, *arguments: str) -> None:
    answer = asmu(folder, *arguments)
    assert answer.returncode == 0, (arguments, answer.stdout, answer.stderr)


def interrupted(folder: Path, arguments: list[str], ready: Callable[[], bool]) -> str:
    """What a command says that Ctrl-C ends, once it is `ready`."""
    command = [sys.executable, "-m", "asmu_control", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        poll(ready)
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0, said
    return said


def recorded(client: asmu_control.client.Client) -> int:
    """How many frames all recordings have so far."""
    return sum(job.get("frames") or 0 for job in client.status()["jobs"])


def poll(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [0, 1])
def test_the_scripts_run_as_they_stand(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(python_blocks()[number])
    answer = run([sys.executable, str(script)], tmp_path, ASMU_DEVICE="virtual")
    assert answer.returncode == 0, answer.stderr
    if number == 1:
        assert (tmp_path / "answer.wav").exists()
        assert answer.stdout.splitlines()[-1] == "0"


def test_the_processor_of_ones_own_runs_as_it_stands(tmp_path):
    code = block_with("class AClipper")
    assert len(code.splitlines()) < 30
    (tmp_path / "clipper.py").write_text(code)
    (tmp_path / "use.py").write_text(
        "import numpy as np\n"
        "import asmu_control as asmu\n"
        "from clipper import Clipper\n"
        "interface = asmu.Interface(device='virtual:inputs=1,outputs=1', samplerate=48000, plugins=['clipper.py'])\n"
        "noise = asmu.generator.Noise(interface, seed=1)\n"
        "clipper = Clipper(interface, 0.5)\n"
        "tap = asmu.analyzer.Tap(interface)\n"
        "noise.output().connect(clipper.input())\n"
        "clipper.output().connect(tap.input())\n"
        "with interface.start():\n"
        "    first = next(tap.blocks(4096, timeout=10))\n"
        "    clipper.set_threshold(0.25)\n"
        "    for block in tap.blocks(4096, timeout=10):\n"
        "        if abs(block.data).max() == 0.25: break\n"
        "print(abs(first.data).max(), abs(block.data).max())\n"
    )
    answer = run([sys.executable, "use.py"], tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["0.5", "0.25"]


def test_the_commands_of_an_engine(tmp_path):
    start, *others, stop = commands("One engine, several clients")
    assert [start[1], stop[1]] == ["start", "stop"]
    try:
        ran(tmp_path, *start)
        for command in others:
            ran(tmp_path, *command)
        (tmp_path / "client.py").write_text(block_with('name="notebook"'))
        answer = run([sys.executable, "client.py"], tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.splitlines()[0].split() == ["snapshot"]
        with asmu_control.connect("lab") as client:
            poll(lambda: "hum" in client.patch()["nodes"])
    finally:
        ran(tmp_path, *stop)


def test_the_commands_of_a_recording(tmp_path):
    start, record, watch, stop, *checks = commands("Record for weeks")
    ran(tmp_path, *("0" if argument == "9464" else argument for argument in start))
    try:
        with asmu_control.connect("lab", name="test") as client:

            def looked_at() -> bool:
                return "asmu-record" in [one["name"] for one in client.status()["clients"]]

            said = interrupted(tmp_path, record, lambda: looked_at() and recorded(client) > 0)
            for command in (watch, stop):
                assert f"  asmu {shlex.join(command)}\n" in said
            poll(lambda: not looked_at())
            before = recorded(client)
            assert interrupted(tmp_path, watch, lambda: looked_at() and recorded(client) > before).endswith("friday goes on\n")
            ran(tmp_path, *stop)
            assert [(job["state"], job["channels"]) for job in client.status()["jobs"]] == [("finished", 8)]
    finally:
        ran(tmp_path, "engine", "stop", "lab")
    for command in checks:
        ran(tmp_path, *command)
    assert (tmp_path / "friday.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "friday.repaired").exists()
    segment, *others = sorted(path.name for path in (tmp_path / "friday").iterdir())
    assert re.fullmatch(r"000001_[\dTZ.-]+\.wav", segment)
    assert others == ["SHA256SUMS", "ledger.jsonl", "manifest.json"]
    assert (tmp_path / "lab.jsonl").exists()


def test_the_script_that_records_and_the_one_that_reads(tmp_path):
    (tmp_path / "record.py").write_text(block_with('interface.record("friday"'))
    answer = run([sys.executable, "record.py"], tmp_path)
    assert (answer.returncode, answer.stdout) == (0, "0\n"), answer.stderr
    recording = asmu_control.open_recording(tmp_path / "friday")
    assert recording.frames == 3 * 48_000
    within = str(recording.time_of(recording.at_seconds(1.0))[0])
    script = block_with('open_recording("friday")').replace("2026-11-20T23:59:58.5", within) + "print(pressure.shape)\n"
    (tmp_path / "read.py").write_text(script)
    answer = run([sys.executable, "read.py"], tmp_path)
    assert answer.returncode == 0, answer.stderr
    first, *blocks, shape = answer.stdout.splitlines()
    assert first.split()[1:] == ["0", "whole"]
    # Blocks of a second, half of each from the one before.
    assert [block.split()[1:] for block in blocks] == [["(48000,", "2)", "0"]] * 5
    assert shape == "(48000, 1)"


def test_the_script_of_heavy_analysis(tmp_path):
    (tmp_path / "heavy.py").write_text(block_with("tap.map(loudest"))
    answer = run([sys.executable, "heavy.py"], tmp_path)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    # Where the map began depends on when the script got there; from then on block follows block.
    positions = [int(line.split()[0]) for line in lines]
    assert positions == list(range(positions[0], positions[-1] + 1, 4800))
    assert [position >= 96_000 for position in positions] == [False] * (len(positions) - 1) + [True]
    assert {line.split("[")[1] for line in lines} == {" ".join(["1000."] * 8) + "] 0"}


def test_the_commands_that_keep_an_engine_running(tmp_path):
    show, unit, resume = commands("To keep it running")
    ran(tmp_path, "engine", "start", "lab", "--device", "virtual:inputs=2", "--autostart", "--metrics", "0")
    try:
        ran(tmp_path, *show)
        assert re.search(rf"--name lab --resume\n(?s:.*)=on-failure\n(?s:.*)Status={exits.USAGE}\n", asmu(tmp_path, *unit).stdout)
        info = find_engine("lab")
        for page, words in (("metrics", b"asmu_frames_total"), ("healthz", b'"well": true')):
            with urllib.request.urlopen(info.metrics.removesuffix("metrics") + page, timeout=10) as reply:
                assert words in reply.read()
        with asmu_control.connect("lab") as client:
            interrupted(tmp_path, ["record", "--engine", "lab", "--out", "friday", "--keep"], lambda: recorded(client) > 44_100)
        os.kill(info.pid, signal.SIGKILL)
        poll(lambda: not is_running("lab"))
        ran(tmp_path, *resume)
        with asmu_control.connect("lab") as client:
            poll(lambda: [job.get("lost", {}).get("host", 0) > 0 for job in client.status()["jobs"]] == [True])
    finally:
        ran(tmp_path, "engine", "stop", "lab")
    verdict = asmu_control.verify_recording(tmp_path / "friday")
    assert (verdict.outcome, list(verdict.lost)) == ("losses", ["host"])


def test_faults_that_are_rehearsed_come_to_the_ledger(tmp_path):
    text = section("What it survives")
    with asmu_control.Interface(device="virtual:inputs=1", samplerate=8000) as interface:
        recording = interface.record(tmp_path / "friday")
        interface.start()
        poll(lambda: (recording.status().get("frames") or 0) > 0)
        for fault in ("clock_step", "stall", "lose"):
            assert f'"{fault}"' in text
            interface.fault(fault, frames=480, seconds=0.25)
        poll(lambda: recording.status()["lost"] == {"device": 480})
        for fault, state in (("gone", "lost"), ("back", "running")):
            interface.fault(fault)
            poll(lambda state=state: interface.stats()["state"] == state)
        poll(lambda: recording.status()["lost"].get("device_lost", 0) > 0)
    assert {"device", "device_lost"} == set(asmu_control.open_recording(tmp_path / "friday").missing)


def test_the_tables_are_whole_and_what_it_points_to_exists():
    text = section("Record for weeks")
    assert dict(re.findall(r"^\| (\d) \| (.*) \|$", text, flags=re.MULTILINE)) == {
        str(number): meaning for number, meaning in exits.MEANINGS.items()
    }
    (causes,) = re.findall(r"Causes of a gap are(.*?);\n", text, flags=re.DOTALL)
    assert set(re.findall(r"`(\w+)`", causes)) == set(get_args(Cause))
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_the_commands_of_a_patch(tmp_path):
    ran(tmp_path, "engine", "start", "lab", "--device", "virtual", "--journal", "lab.journal", "--autostart")
    try:
        with asmu_control.connect("lab") as client:
            for node in ("one", "two", "three"):
                client.edit([{"op": "add", "node": node, "kind": "sine", "outputs": 1}], keep=True)
        for command in commands("The patch as a file, and as a history"):
            if command[0] == "patch":
                ran(tmp_path, *command)
        with asmu_control.connect("lab") as client:
            # The third transaction, which added "three", was taken back before the patch was saved and loaded.
            assert list(client.patch()["nodes"]) == ["one", "two"]
    finally:
        ran(tmp_path, "engine", "stop", "lab")
    (replay,) = [command for command in commands("The patch as a file, and as a history") if command[0] == "replay"]
    ran(tmp_path, *replay)
    assert (tmp_path / "again.wav").stat().st_size > 44
    assert "<svg" in (tmp_path / "patch.svg").read_text()


def test_the_commands_for_another_machine(tmp_path):
    keys, start, relay = commands("From another machine")
    free = [re.sub(r"^tcp://\*:\d+$", "tcp://127.0.0.1:*", argument) for argument in relay]
    ran(tmp_path, *keys)
    assert (tmp_path / "anna.key").stat().st_mode & 0o777 == 0o600
    ran(tmp_path, *(re.sub(r"^tcp://\*:\d+$", "tcp://127.0.0.1:*", argument) for argument in start), "--device", "virtual")
    try:
        relaying = subprocess.Popen(
            [sys.executable, "-m", "asmu_control", *free], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            with asmu_control.connect("lab") as client:
                client.edit(
                    [
                        {"op": "add", "node": "tap1", "kind": "tap", "inputs": 1},
                        {"op": "connect", "source": "in", "output": 0, "target": "tap1", "input": 0},
                    ]
                )
                poll(lambda: [one["service"] for one in client.status()["services"]] == ["relay"])
                client.start()
                endpoint = find_engine("lab").listen
                script = "import asmu_control as asmu\n" + block_with('key="anna.key"').replace("tcp://lab.local:5555", endpoint)
                (tmp_path / "remote.py").write_text(script + "        break\n")
                answer = run([sys.executable, "remote.py"], tmp_path)
            assert answer.returncode == 0, answer.stderr
            assert answer.stdout.split()[2:] == ["0", "0"]
        finally:
            relaying.send_signal(signal.SIGINT)
            relaying.wait(20)
    finally:
        ran(tmp_path, "engine", "stop", "lab")


def test_the_two_commands_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    for ending in ("asmu demo", "python -m pytest"):
        assert re.search(rf"^    python3 -m venv .*{ending}$", README, flags=re.MULTILINE)
        assert ending in ci
