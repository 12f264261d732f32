"""A status as an engine gives it, for whatever shows or exports one."""

from __future__ import annotations

from typing import Any

from asmu_engine.protocol.client_replies import StatusReply


def facts(**changes: Any) -> dict[str, Any]:
    counters = {
        "blocks": 375, "frame_position": 96_300, "input_underflow": 0, "input_overflow": 2, "output_underflow": 0,
        "output_overflow": 0, "deadline_misses": 1, "lost_frames": 300, "core_exceptions": 0, "edits": 4,
        "callback_last_ns": 20_000, "callback_max_ns": 533_000, "late_max_ns": 1000, "last_block_ns": 7, "samplerate": 48_000.0,
        "blocksize": 256, "callback_us": {"p50": 20.0, "p99": 53.3, "max": 533.0},
        "late_us": {"p50": 1.0, "p99": 2.0, "max": 3.0},
    }  # fmt: skip
    device = {
        "name": "virtual", "host_api": "virtual", "kind": "virtual", "inputs": [1, 2], "outputs": [1], "max_inputs": 2,
        "max_outputs": 2, "input_latency": 0.0, "output_latency": 0.0, "paced": True, "speed": 1.0,
    }  # fmt: skip
    recording = {
        "kind": "acquire", "job": 3, "node": "tap1", "path": "/data/friday", "client": "asmu", "state": "running",
        "samplerate": 48_000.0, "channels": 2, "seconds": 2.0, "first": 0, "position": 96_000, "frames": 96_000, "bytes": 768_000,
        "lost_frames": 300, "lost": {"device": 256, "overrun": 44}, "gap_count": 2, "segments": 1, "dropped": 0,
        "disk": {"folder": "/data/friday", "free_bytes": 10**9, "bytes_per_second": 384_000.0, "full_in_seconds": 2600.0,
                 "behind_seconds": 0.5, "unsynced_seconds": 0.25},
    }  # fmt: skip
    client = {"id": "c1", "name": "note\nbook", "pid": 7, "role": "operator", "address": "", "since": 1.0, "away": False}
    status = {
        "name": "lab", "version": "0.5.0", "protocol": 1, "samplerate": 48_000.0, "blocksize": 256, "state": "running",
        "device": device, "revision": 12, "frame_position": 96_300, "pid": 1, "private": False, "counters": counters,
        "realtime": {},
        "processes": {"host": {"pid": 1, "rss": 50_000_000}, "audio": {"pid": 2, "rss": 60_000_000, "restarts": 1},
                      "disk": {"pid": 3, "rss": None, "restarts": 0}},
        "clients": [{**client, "leases": {"nodes": [], "outputs": []}}], "services": [], "owners": {}, "jobs": [recording],
        "said": {}, "uptime": 3725.0,
        "clock_fit": {"position": 96_000, "monotonic_ns": 1, "utc_ns": 2, "samplerate": 48_001.776, "ppm": 37.0,
                      "residual_ns": 900.0, "uncertainty_ns": 200.0, "ppm_uncertainty": 0.1, "seconds": 60.0},
        **changes,
    }  # fmt: skip
    StatusReply.model_validate(status)
    return status
