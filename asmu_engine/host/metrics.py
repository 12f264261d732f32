"""An engine's figures in OpenMetrics form, made from what `status` answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

__all__ = ["CONTENT_TYPE_LATEST", "render"]

_STATES = ("stopped", "running", "lost", "failed")
_FLAGS = ("input_underflow", "input_overflow", "output_underflow", "output_overflow")
_ROLES = ("observer", "operator", "admin")


def render(status: dict[str, Any], ring_seconds: float) -> bytes:
    """The page of ``/metrics``: `status` is a `StatusReply`, `ring_seconds` the length of every tap's ring, s."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(status, ring_seconds))
    page: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return page


class _Once(Collector):
    def __init__(self, status: dict[str, Any], ring_seconds: float) -> None:
        self._status = status
        self._ring_seconds = ring_seconds

    def describe(self) -> list[Metric]:
        """Nothing beforehand: collecting needs no second look."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from _engine(self._status)
        yield from _audio(self._status["counters"])
        yield from _clock(self._status.get("clock_fit"))
        yield from _recordings([job for job in self._status["jobs"] if job["kind"] != "play"], self._ring_seconds)


def _engine(status: dict[str, Any]) -> Iterator[Metric]:
    about = {"name": status["name"], "version": status["version"], "device": (status["device"] or {}).get("name", "")}
    yield InfoMetricFamily("asmu_engine", "The engine and its device.", about)
    yield StateSetMetricFamily("asmu_state", "What the device does.", {state: status["state"] == state for state in _STATES})
    yield GaugeMetricFamily("asmu_uptime_seconds", "Since the engine began.", status["uptime"])
    yield GaugeMetricFamily("asmu_samplerate_hertz", "Nominal frames a second.", status["samplerate"])
    yield CounterMetricFamily("asmu_patch_revisions", "Transactions on the patch.", status["revision"])
    clients = GaugeMetricFamily("asmu_clients", "Clients that are there.", labels=["role"])
    for role in _ROLES:
        clients.add_metric([role], sum(client["role"] == role and not client["away"] for client in status["clients"]))
    yield clients
    restarts = CounterMetricFamily("asmu_process_restarts", "How often a process was replaced.", labels=["process"])
    memory = GaugeMetricFamily("asmu_process_resident_bytes", "Resident memory of a process.", labels=["process"])
    for name, facts in status["processes"].items():
        if facts:
            restarts.add_metric([name], facts.get("restarts", 0))
            if facts.get("rss") is not None:
                memory.add_metric([name], facts["rss"])
    yield restarts
    yield memory


def _audio(counters: dict[str, Any]) -> Iterator[Metric]:
    yield CounterMetricFamily("asmu_frames", "Where the frame axis stands, lost frames included.", counters["frame_position"])
    yield CounterMetricFamily("asmu_blocks", "Blocks processed.", counters["blocks"])
    yield CounterMetricFamily("asmu_device_lost_frames", "Frames that the device lost.", counters["lost_frames"])
    xruns = CounterMetricFamily("asmu_xruns", "Blocks with a flag of the device.", labels=["kind"])
    for flag in _FLAGS:
        xruns.add_metric([flag], counters[flag])
    yield xruns
    yield CounterMetricFamily("asmu_deadline_misses", "Blocks that were ready too late.", counters["deadline_misses"])
    yield CounterMetricFamily("asmu_core_exceptions", "Cores that raised.", counters["core_exceptions"])
    times = GaugeMetricFamily("asmu_callback_seconds", "Duration of the callback since the engine began.", labels=["quantile"])
    load = GaugeMetricFamily("asmu_callback_load_ratio", "The same as a share of a block's duration.", labels=["quantile"])
    block_us = 1e6 * counters["blocksize"] / counters["samplerate"] if counters["samplerate"] else 0.0
    for key, quantile in (("p50", "0.5"), ("p99", "0.99"), ("max", "1")):
        times.add_metric([quantile], counters["callback_us"][key] * 1e-6)
        load.add_metric([quantile], counters["callback_us"][key] / block_us if block_us else 0.0)
    yield times
    yield load


def _clock(fit: dict[str, Any] | None) -> Iterator[Metric]:
    if fit is None:
        return
    yield GaugeMetricFamily("asmu_clock_ppm", "By how much the device runs too fast, parts per million.", fit["ppm"])
    yield GaugeMetricFamily("asmu_clock_ppm_uncertainty", "Standard uncertainty of asmu_clock_ppm.", fit["ppm_uncertainty"])
    yield GaugeMetricFamily(
        "asmu_clock_residual_seconds", "Root mean square of what the fit of the clocks leaves over.", fit["residual_ns"] * 1e-9
    )
    yield GaugeMetricFamily(
        "asmu_clock_uncertainty_seconds", "Standard uncertainty of a frame's time.", fit["uncertainty_ns"] * 1e-9
    )


def _recordings(jobs: list[dict[str, Any]], ring_seconds: float) -> Iterator[Metric]:
    labels = ["job", "path"]
    running = GaugeMetricFamily("asmu_recording_running", "1 while the recording goes on.", labels=labels)
    frames = CounterMetricFamily("asmu_recording_frames", "Frames so far, lost ones included.", labels=labels)
    size = CounterMetricFamily("asmu_recording_bytes", "Size of the segments so far.", labels=labels)
    lost = CounterMetricFamily("asmu_recording_lost_frames", "Frames that are missing.", labels=[*labels, "cause"])
    dropped = CounterMetricFamily("asmu_recording_dropped_segments", "Segments deleted to make room.", labels=labels)
    fill = GaugeMetricFamily("asmu_recording_ring_fill_ratio", "Share of the ring that is not written yet.", labels=labels)
    unsynced = GaugeMetricFamily("asmu_recording_unsynced_seconds", "Written, but may not be on the disk yet.", labels=labels)
    rate = GaugeMetricFamily("asmu_disk_write_bytes_per_second", "How fast the recording grows.", labels=labels)
    free = GaugeMetricFamily("asmu_disk_free_bytes", "Room that is left on the recording's disk.", labels=labels)
    full = GaugeMetricFamily("asmu_disk_full_in_seconds", "When the disk will be full at that pace.", labels=labels)
    for job in jobs:
        of = [str(job["job"]), str(job["path"])]
        running.add_metric(of, job["state"] == "running")
        frames.add_metric(of, job.get("frames") or 0)
        if job["kind"] == "record":
            lost.add_metric([*of, "any"], job.get("lost_frames") or 0)
            continue
        size.add_metric(of, job.get("bytes") or 0)
        dropped.add_metric(of, job.get("dropped") or 0)
        for cause, count in (job.get("lost") or {}).items():
            lost.add_metric([*of, cause], count)
        if (disk := job.get("disk")) is not None:
            fill.add_metric(of, disk["behind_seconds"] / ring_seconds)
            unsynced.add_metric(of, disk["unsynced_seconds"])
            rate.add_metric(of, disk["bytes_per_second"])
            free.add_metric(of, disk["free_bytes"])
            if disk["full_in_seconds"] is not None:
                full.add_metric(of, disk["full_in_seconds"])
    yield from (running, frames, size, lost, dropped, fill, unsynced, rate, free, full)
