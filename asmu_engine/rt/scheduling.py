"""Real-time scheduling of the audio thread, as far as the system grants it; what was granted is reported as it is."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import os
import shutil
import subprocess
import sys
import threading
from typing import Final

SWITCH_INTERVAL: Final = 50e-6
"""Seconds that a Python thread may keep the interpreter while another waits for it; Python's default is 5 ms."""

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def quiet_interpreter() -> str:
    """Freeze and disable the garbage collector, shorten the switch interval; says what was done."""
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_INTERVAL)
    return "frozen and off"


def lock_memory() -> str:
    """Keep this process out of swap: "locked", or the reason why not."""
    if not sys.platform.startswith("linux"):
        return "not available on this system"
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if os.geteuid() != 0 and soft != resource.RLIM_INFINITY:
        # With a limit, locking future pages would make later allocations fail rather than merely stay unlocked.
        return f"not locked: RLIMIT_MEMLOCK is {soft // 1024} KiB, needs unlimited"
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    # ONFAULT locks pages as they come into use, instead of making every mapped library resident.
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return f"not locked: {os.strerror(ctypes.get_errno())}"
    return "locked"


def make_thread_realtime(priority: int, inherited: bool = False) -> str:
    """Ask SCHED_FIFO at `priority` for the calling thread: "SCHED_FIFO 70", or the reason why it stays as it was.

    Tried in turn: the kernel (root or an RTPRIO limit), then rtkit, which desktop systems run for audio programs.
    `inherited`: threads that this one starts from now on have it too, where the kernel grants it.
    """
    if priority <= 0:
        return "normal: not asked for"
    if not hasattr(os, "sched_setscheduler"):
        return "normal: not available on this system"
    try:
        # RESET_ON_FORK: neither threads nor processes that this thread starts inherit its priority.
        reset = 0 if inherited else os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, os.SCHED_FIFO | reset, os.sched_param(priority))
    except OSError as error:
        return _ask_rtkit(priority, error.strerror or "refused")
    return f"SCHED_FIFO {priority}"


def make_thread_normal() -> str:
    """Take from the calling thread what it inherited: one that computes without a pause would keep a processor to itself."""
    if not hasattr(os, "sched_setscheduler"):
        return "normal: not available on this system"
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return "normal: nothing has to be in time"


def _ask_rtkit(priority: int, refusal: str) -> str:
    reason = f"normal: {refusal}; allow RTPRIO (limits.conf: '@audio - rtprio 95') or install rtkit"
    busctl = shutil.which("busctl")
    if busctl is None:
        return reason
    import resource

    priority = min(priority, 20)  # rtkit's own maximum in its default settings
    # rtkit wants a bound on the time that a real-time thread may run without sleeping.
    resource.setrlimit(resource.RLIMIT_RTTIME, (200_000, 200_000))
    command = [busctl, "call", "org.freedesktop.RealtimeKit1", "/org/freedesktop/RealtimeKit1"]
    command += ["org.freedesktop.RealtimeKit1", "MakeThreadRealtimeWithPID", "ttu"]
    command += [str(os.getpid()), str(threading.get_native_id()), str(priority)]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=2, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return reason
    return f"SCHED_RR {priority} by rtkit" if answer.returncode == 0 else f"{reason} (rtkit: {answer.stderr.strip()})"
