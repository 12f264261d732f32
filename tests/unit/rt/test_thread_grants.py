"""What is asked of the system for the audio thread, and what is said when it refuses."""

import os
import subprocess
import sys
import threading

import pytest

from asmu_engine.rt import scheduling


def in_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join()
    return result[0]


def test_no_priority_asks_for_nothing():
    assert scheduling.make_thread_realtime(0) == "normal: not asked for"


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no POSIX scheduling")
def test_the_grant_is_what_the_thread_has():
    def grant() -> tuple[str, int]:
        return scheduling.make_thread_realtime(10), os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

    said, policy = in_thread(grant)
    assert (policy == os.SCHED_FIFO) == (said == "SCHED_FIFO 10")
    assert said == "SCHED_FIFO 10" or said.startswith("normal: ")


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no POSIX scheduling")
@pytest.mark.parametrize("inherited", [True, False])
def test_threads_inherit_the_grant_only_where_they_shall(inherited):
    def grant() -> tuple[str, int, int]:
        said = scheduling.make_thread_realtime(10, inherited=inherited)
        return said, os.sched_getscheduler(0), in_thread(lambda: os.sched_getscheduler(0))

    said, mine, started = in_thread(grant)
    if said != "SCHED_FIFO 10":
        pytest.skip(f"no real-time scheduling here: {said}")
    assert mine & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
    assert started == (os.SCHED_FIFO if inherited else os.SCHED_OTHER)


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no POSIX scheduling")
def test_a_thread_gives_back_what_it_inherited():
    def policies() -> tuple[str, int]:
        scheduling.make_thread_realtime(10, inherited=True)
        return in_thread(lambda: (scheduling.make_thread_normal(), os.sched_getscheduler(0)))

    assert in_thread(policies) == ("normal: nothing has to be in time", os.SCHED_OTHER)


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no POSIX scheduling")
def test_a_refusal_names_its_reason_and_the_cure(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setenv("PATH", "")
    said = scheduling.make_thread_realtime(10)
    assert said.startswith("normal: Operation not permitted; allow RTPRIO")


@pytest.mark.skipif(os.name != "posix", reason="rtkit exists on Linux only")
@pytest.mark.parametrize(("status", "expected"), [(0, "SCHED_RR 20 by rtkit"), (1, "normal: ")])
def test_rtkit_is_asked_after_the_kernel_refused(tmp_path, status, expected):
    busctl = tmp_path / "busctl"
    busctl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit {status}\n')
    busctl.chmod(0o700)
    code = (
        "import os\n"
        "def refuse(*_): raise PermissionError(1, 'Operation not permitted')\n"
        "os.sched_setscheduler = refuse\n"
        "from asmu_engine.rt.scheduling import make_thread_realtime\n"
        "print(make_thread_realtime(70))\n"
    )
    # In a process of its own: rtkit wants a limit on real-time computing, which stays.
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert answer.stdout.startswith(expected)
    assert "MakeThreadRealtimeWithPID ttu" in (tmp_path / "asked").read_text()


def test_the_interpreter_is_quiet_afterwards():
    code = (
        "import gc, sys\n"
        "from asmu_engine.rt.scheduling import quiet_interpreter\n"
        "print(quiet_interpreter(), gc.isenabled(), gc.get_freeze_count() > 0, round(sys.getswitchinterval() * 1e6))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert answer.stdout.split() == ["frozen", "and", "off", "False", "True", "50"]
