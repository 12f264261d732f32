"""A host in the caller's process: the same requests, patch, cores and jobs, without a device and without processes."""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np

import asmu_engine
from asmu_engine.config import EngineConfig
from asmu_engine.cores.feed import AFeed
from asmu_engine.cores.tap import ATap
from asmu_engine.host.claim import claim_engine, release_engine
from asmu_engine.host.patch import Patch
from asmu_engine.host.rings import Rings
from asmu_engine.host.source import acquire_command, source_of
from asmu_engine.host.values import value_of
from asmu_engine.local import LocalEngine
from asmu_engine.local_jobs import LocalJobs
from asmu_engine.local_transactions import LocalTransactions
from asmu_engine.protocol import messages
from asmu_engine.protocol.errors import EngineError, EngineTimeout, PatchError
from asmu_engine.protocol.runtime import EngineClaim
from asmu_engine.protocol.topic import Topic
from asmu_engine.protocol.version import MAX_CHANNELS, PROTOCOL_VERSION
from asmu_engine.rt.acore import Block

Result = dict[str, Any]

_EVENTS_KEPT: Final = 10_000
_PATIENCE_S: Final = 10.0
"""Longest wait of a block for a player's file or a recording's disk."""


class LocalHost:
    """Answers the requests of one client as a host does; the client steps it block by block in place of a device.

    Rings are made when the patch has a tap or a feed, and gone after `close`. Players and recordings run in threads; a
    block waits for their files, so that what is stepped is exact however fast it is stepped.

    Attributes
    ----------
    events
        What an engine would have published, oldest first.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.events: deque[Result] = deque(maxlen=_EVENTS_KEPT)
        self._engine = LocalEngine(
            config.samplerate, config.blocksize, inputs=MAX_CHANNELS, outputs=MAX_CHANNELS, plugins=config.plugins
        )
        self._patch = Patch(self._engine.catalogue(), config.blocksize)
        self._rings = Rings(config.name, config.samplerate, config.ring_seconds)
        self._claim: EngineClaim | None = None
        self._jobs = LocalJobs(self._publish)
        self._transactions = LocalTransactions(
            engine=self._engine,
            patch=self._patch,
            rings=self._rings,
            claim=self._claim_name,
            on_drop=self._jobs.ring_dropped,
            publish=self._publish,
        )
        self._axis = secrets.token_hex(8)
        self._blocks = 0
        self._said: dict[str, dict[str, int]] = {}
        self._xruns = dict.fromkeys(("input_underflow", "input_overflow", "output_underflow", "output_overflow"), 0)
        self._began = time.monotonic()
        self._answers: dict[type[messages.Request], Callable[[Any], Result]] = {
            messages.Hello: self._hello,
            messages.Ping: lambda request: {},
            messages.Transaction: self._transactions.submit,
            messages.Undo: self._transactions.submit,
            messages.Cancel: self._transactions.cancel,
            messages.Scheduled: self._transactions.schedule.answer,
            messages.History: self._history,
            messages.Status: self._status,
            messages.GetPatch: lambda request: self._patch.wire(),
            messages.GetValue: lambda request: value_of(self._patch.nodes, request.node, request.parameter),
            messages.GetCatalogue: lambda request: {"kinds": [kind.to_wire() for kind in self._engine.catalogue()]},
            messages.Reset: self._reset,
            messages.Record: self._record,
            messages.Acquire: self._acquire,
            messages.Play: self._play,
            messages.Seek: lambda request: self._jobs.seek(request.job, request.position),
            messages.JobStatus: lambda request: self._jobs.status(request.job),
            messages.JobStop: lambda request: self._jobs.stop(request.job),
            messages.Shutdown: self._shutdown,
        }

    def request(self, message: Result) -> Result:
        """Do one request, as it stands on the wire; raises what a host would refuse it with."""
        request = messages.parse_request(message)
        answer = self._answers.get(type(request))
        if answer is None:
            raise EngineError(
                f"{message.get('type')}: this patch has no device, it is stepped by hand (interface.callback); "
                "interface.start() runs it on one",
                code="engine_state",
                where=str(message.get("type")),
            )
        return answer(request)

    def step(self, indata: Block | None, outdata: Block | None, frames: int, flags: int = 0, device_time: float = 0.0) -> None:
        """Process one block.

        Parameters
        ----------
        indata, outdata
            Shapes (frames, channels), channel ch in column ch - 1; None: silence, and nowhere. `outdata` is written whole.
        frames
            Frames of the block, 1 or more.
        flags
            PortAudio's bits of what went wrong before the block.
        device_time
            The device's clock at the first frame, seconds; 0.0 for unknown.

        Raises
        ------
        ValueError
            An array of another length, or without a column for a channel that the patch uses.
        PatchError
            ``core_failed``: what a core raised in this block. It is silent from here on, the others go on.
        """
        inputs, outputs = self._transactions.used_channels(frames)
        source = _checked(indata, frames, inputs, "indata")
        # Where nobody listens what would be heard goes into an array of our own.
        target = np.zeros((frames, max(outputs, default=0)), np.float32) if outdata is None else outdata
        _checked(target, frames, outputs, "outdata")
        done = 0
        self._engine.runner.utc.refresh()
        while done < frames:
            end = done + self._transactions.until(frames - done)
            self._wait_for_files(end - done)
            clock = device_time + done / self.config.samplerate if device_time else 0.0
            self._engine.runner(source[done:end], target[done:end], 0 if done else flags, 0, 0, clock)
            done = end
        self._blocks += 1
        self._tell()

    def close(self) -> None:
        """End recordings and players, let go of the cores, remove the rings; harmless when done before."""
        self._jobs.close()
        self._engine.close()
        self._engine.cores.clear()
        claim, self._claim = self._claim, None
        if claim is not None:
            for node in self._patch.nodes.values():
                self._rings.drop(node.ring)
            release_engine(claim)

    # -- requests -------------------------------------------------------------------------------------------------

    def _shutdown(self, request: messages.Shutdown) -> Result:
        self.close()
        return {}

    def _hello(self, request: messages.Hello) -> Result:
        self._transactions.client.name = request.name
        return self._facts()

    def _history(self, request: messages.History) -> Result:
        return self._transactions.history.entries(request.since, request.limit, edits=request.edits)

    def _claim_name(self) -> None:
        """The rings of a process that dies are found and removed by the next engine."""
        if self._claim is None:
            self._claim = claim_engine(self.config.name)

    def _reset(self, request: messages.Reset) -> Result:
        self._engine.reset(request.drop)
        return {"at": self._engine.runner.position}

    def _record(self, request: messages.Record) -> Result:
        fields = {"format": request.format, "subtype": request.subtype, "tags": request.tags, "start": request.at}
        return self._jobs.begin("record", request.node, self._ring(request.node, "tap"), path=request.path, **fields)

    def _acquire(self, request: messages.Acquire) -> Result:
        ring = self._ring(request.node, "tap")
        source = source_of(self.config, axis=self._axis, device=None, patch=self._patch.wire(), node=request.node)
        node = self._patch.nodes[request.node]
        return self._jobs.begin(
            "acquire",
            request.node,
            ring,
            **acquire_command(request, request.folder, request.settings, node, source=source, clock=None),
        )

    def _play(self, request: messages.Play) -> Result:
        fields = {"loop": request.loop, "start": request.start}
        return self._jobs.begin("play", request.node, self._ring(request.node, "feed"), path=request.path, **fields)

    def _ring(self, name: str, kind: str) -> str:
        node = self._patch.nodes.get(name)
        if node is None or node.kind.ring != kind:
            raise PatchError(f"there is no {kind} {name!r} in the patch", code="unknown_node", where=name)
        return node.ring

    def _facts(self) -> Result:
        return {
            "name": self.config.name,
            "version": asmu_engine.__version__,
            "protocol": PROTOCOL_VERSION,
            "samplerate": self.config.samplerate,
            "blocksize": self.config.blocksize,
            "state": "stopped",
            "device": None,
            "revision": self._patch.revision,
            "frame_position": self._engine.runner.position,
        }

    def _status(self, request: messages.Status) -> Result:
        counters = {"blocks": self._blocks, "frame_position": self._engine.runner.position, **self._xruns}
        return {
            **self._facts(),
            "pid": os.getpid(),
            "private": True,
            "counters": counters,
            "realtime": {"audio_thread": "stepped by hand"},
            "jobs": self._jobs.facts(),
            "said": {node: dict(said) for node, said in self._said.items() if node in self._patch.nodes},
            "uptime": time.monotonic() - self._began,
        }

    # -- stepping -------------------------------------------------------------------------------------------------

    def _wait_for_files(self, frames: int) -> None:
        """Until players have the block in their rings, and recordings have room for it in theirs."""
        busy = self._jobs.rings()
        waiting: list[AFeed | ATap] = [
            core for core in self._engine.cores.values() if isinstance(core, AFeed | ATap) and core.setup.ring in busy
        ]
        deadline = time.monotonic() + _PATIENCE_S
        for core in waiting:
            while core.setup.ring in self._jobs.rings():
                if core.primed(frames) if isinstance(core, AFeed) else core.room() >= frames:
                    break
                if time.monotonic() > deadline:
                    raise EngineTimeout(
                        f"{core.setup.node}: its file did not keep up within {_PATIENCE_S:g} s",
                        code="timeout",
                        where=core.setup.node,
                    )
                time.sleep(0.0005)

    def _tell(self) -> None:
        failed: Result | None = None
        for notice in self._engine.notices():
            if notice["event"] == "xrun":
                for name in notice["flags"]:
                    self._xruns[name] += 1
            if notice["event"] == "node":
                self._said.setdefault(notice["node"], {})[notice["what"]] = notice["position"]
            if notice["event"] == "core_failed":
                failed = failed or notice
            topic: Topic = "xrun" if notice["event"] == "xrun" else "node"
            self._jobs.happened(topic, notice)
            self._publish({"topic": topic, **notice})
        if failed is not None:
            node = failed["node"]
            steps = self._engine.runner.schedule.steps
            cause = next((step.error for step in steps if step.core.setup.node == node and step.error), None)
            raise PatchError(f"{node}: its core failed: {failed['error']}", code="core_failed", where=node) from cause

    def _publish(self, fields: Result) -> None:
        self.events.append(fields)


def _checked(data: Block | None, frames: int, channels: list[int], name: str) -> Block:
    """An array of at least the columns that are used."""
    used = max(channels, default=0)
    if data is None:
        return np.zeros((frames, used), np.float32)
    if data.ndim != 2 or len(data) != frames:
        raise ValueError(f"{name} has shape {data.shape}; a block of {frames} frames has shape ({frames}, channels)")
    if data.shape[1] < used:
        raise ValueError(f"{name} has {data.shape[1]} columns; the patch uses channel {used}, which is column {used - 1}")
    return data
