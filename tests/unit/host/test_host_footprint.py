"""What the host sets for its own memory, in a process of its own."""

import subprocess
import sys

import pytest


def said_by(code: str) -> str:
    """What a program says that ends well."""
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_collector_looks_less_often_and_not_at_what_stays():
    code = """
import gc
from asmu_engine.host.footprint import settle
settle()
print(gc.get_freeze_count() > 0, gc.get_threshold())
"""
    assert said_by(code) == "True (20000, 20, 50)"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and sets what only glibc has")
def test_memory_of_large_messages_is_given_back():
    code = """
import os
from asmu_engine.host.footprint import settle

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

settle()
before = resident()
for _ in range(3):
    large = [b"x" * 3_000_000 for _ in range(20)]
    held = resident() - before
    keep = [bytes(100) for _ in range(1000)]  # something small behind them, as it comes in between
    del large
print(held > 50_000_000, resident() - before < 5_000_000)
"""
    assert said_by(code) == "True True"
