"""The replay of one session: an engine in this process that is led through what its journal says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from asmu_control.client import Client
from asmu_control.journalfile import JournalSession, position_of
from asmu_control.launch import private_name
from asmu_control.link import LocalLink, local_device
from asmu_control.patchdocument import PatchDocument
from asmu_control.patchfile import capture, in_parts, load
from asmu_control.replay import ReplayReport
from asmu_control.replayfile import ReplayInput, ReplayOutput
from asmu_control.replaytap import ReplayTap
from asmu_engine.config import EngineConfig
from asmu_engine.protocol.errors import AsmuError, ConfigError, PatchError

if TYPE_CHECKING:
    from asmu_control.typing import Edit, PathLike
    from asmu_engine.local_device import LocalDevice

_RING_SECONDS: Final = 1.0
_DEVICE_KINDS_HEARD: Final = ("virtual", "offline", "file")


@dataclass
class _Stream:
    """A device that runs: its channels, where it ends, and the block that it is at."""

    device: LocalDevice
    inputs: list[int]
    outputs: list[int]
    end: int
    frames: int = 0
    done: int = 0
    lost: int = 0


class Replaying:
    """One session on its way into a sound file; see `asmu_control.replay.replay`."""

    def __init__(
        self, session: JournalSession, out: PathLike, input: PathLike | None, tap: str | None, plugins: Sequence[str]
    ) -> None:
        self._session = session
        self._tap = tap
        self._config = EngineConfig(
            name=private_name(),
            device="offline",
            samplerate=session.samplerate,
            blocksize=session.blocksize,
            ring_seconds=_RING_SECONDS,
            plugins=tuple(plugins),
        )
        started = [item for item in session.items if item["what"] == "started"]
        if not started:
            raise ConfigError(
                "the device never ran in this session: there is nothing to render", code="bad_config", where="session"
            )
        self._report = ReplayReport(int(started[0]["position"]), 0, 0, 0)
        self._position = self._report.position
        self._drop_until = 0
        self._stream: _Stream | None = None
        self._link = LocalLink(self._config)
        self._client = Client(self._link, "replay")
        self._jobs: dict[str, int] = {}
        self._stopped: tuple[list[int], list[int]] | None = None
        self._channels = sorted({channel for item in started for channel in item["outputs"]})
        self._input = ReplayInput(input, session.samplerate) if input is not None else None
        self._tapped = None if tap is None else ReplayTap(self._tap_channels(tap))
        self._report.channels = len(self._channels) if self._tapped is None else self._tapped.channels
        self._output: ReplayOutput | None = None
        self._output = ReplayOutput(Path(out), session.samplerate, self._report.channels)
        self._wide_out = np.zeros((session.blocksize, max(self._channels, default=0)), np.float32)
        self._wide_in = np.zeros((session.blocksize, max((c for i in started for c in i["inputs"]), default=0)), np.float32)
        if session.missing:
            self._warn(f"{session.missing} lines are missing in the journal")

    def run(self) -> ReplayReport:
        """Go through the whole session; what came of it."""
        for index, item in enumerate(self._session.items):
            self._advance(position_of(item))
            getattr(self, f"_take_{item['what']}", self._take_other)(item, index)
        if self._stream is not None:
            self._advance(self._stream.end)
        assert self._output is not None
        self._report.frames = self._output.frames
        self._output.close()
        return self._report

    def close(self) -> None:
        """Let go of everything; the file is whole as far as it got."""
        self._end_stream()
        if self._tapped is not None:
            self._tapped.close()
        if self._input is not None:
            self._input.close()
        if self._output is not None:
            self._output.close()
        self._client.close()

    # -- what happened ------------------------------------------------------------------------------------------------

    def _take_transaction(self, item: dict[str, Any], index: int) -> None:
        try:
            # One that the engine made itself, to undo another, may be larger than any message; nothing runs between the parts.
            rings: dict[str, str] = {}
            for part in in_parts(self._client, item["edits"]):
                rings |= self._client.request({"type": "transaction", "edits": part}).get("rings") or {}
        except AsmuError as error:
            error.add_note(f"this was revision {item.get('revision')} of {item.get('author')}")
            raise
        self._report.transactions += 1
        self._follow_tap(item["edits"], rings)

    def _take_started(self, item: dict[str, Any], index: int) -> None:
        if item.get("reset", True):
            self._client.request({"type": "reset"})
        self._begin(item["inputs"], item["outputs"], index, int(item["position"]))
        self._drop_until = self._position + int(item.get("drop") or 0) * self._session.blocksize

    def _take_stopped(self, item: dict[str, Any], index: int) -> None:
        self._end_stream()

    def _take_reset(self, item: dict[str, Any], index: int) -> None:
        self._client.request({"type": "reset"})
        self._drop_until = self._position + int(item.get("drop") or 0) * self._session.blocksize

    def _take_lost(self, item: dict[str, Any], index: int) -> None:
        if self._stream is not None:
            self._stream.device.lose(int(item["lost"]))
        self._position = int(item["position"])

    def _take_play(self, item: dict[str, Any], index: int) -> None:
        node = item["node"]
        self._check_waits(node)
        self._end_job(node)
        fields = {"node": node, "path": item["path"], "loop": item["loop"], "start": item["start"]}
        self._jobs[node] = self._client.request({"type": "play", **fields})["job"]

    def _take_seek(self, item: dict[str, Any], index: int) -> None:
        self._check_waits(item["node"])
        self._client.request({"type": "seek", "job": self._jobs[item["node"]], "position": item["start"]})

    def _take_play_ended(self, item: dict[str, Any], index: int) -> None:
        if self._stream is not None:
            self._warn(
                f"at frame {item['position']} the file in {item['node']} was ended while it ran: what the ring held is not known"
            )
        self._end_job(item["node"])

    def _take_audio_ended(self, item: dict[str, Any], index: int) -> None:
        """The process is gone, and with it what the cores were at; the patch is not."""
        stream = self._stream
        self._end_stream()
        self._stopped = (stream.inputs, stream.outputs) if stream is not None else None
        for node in self._jobs:
            self._warn(f"a file played in {node} when the audio process ended: where it went on is not in the journal")
        self._jobs.clear()
        patch: PatchDocument = capture(self._client)
        self._client.close()
        if self._tapped is not None:
            self._tapped.close()
        self._link = LocalLink(self._config)
        self._client = Client(self._link, "replay")
        result = load(self._client, patch)
        self._follow_tap(patch.edits()[0], result.get("rings") or {})

    def _take_audio_restarted(self, item: dict[str, Any], index: int) -> None:
        if self._stopped is not None:
            self._begin(*self._stopped, index, int(item["position"]))

    def _take_other(self, item: dict[str, Any], index: int) -> None:
        """Nothing that is heard: of the engine's end, or of what later versions write."""

    # -- streams ------------------------------------------------------------------------------------------------------

    def _begin(self, inputs: list[int], outputs: list[int], index: int, position: int) -> None:
        self._end_stream()
        self._position = position
        following = self._session.items[index + 1 :]
        end = next((int(item["position"]) for item in following if item["what"] in ("stopped", "audio_ended", "ended")), None)
        if end is None:
            end = max((position_of(item) for item in following), default=position)
            self._warn(f"the journal does not say when the device stopped; rendered up to the last that it says, frame {end}")
        head = self._session.head
        device = local_device(head["device"], self._session.samplerate, self._session.blocksize, inputs, outputs)
        if inputs and self._input is None and head["device"].get("kind") not in _DEVICE_KINDS_HEARD:
            self._warn("what came in through the device is not in the journal: the inputs are silent; give a recording (--input)")
        self._stream = _Stream(device, list(inputs), list(outputs), end)

    def _end_stream(self) -> None:
        if self._stream is not None:
            self._stream.device.close()
            self._stream = None

    def _advance(self, position: int) -> None:
        """Process what lies before a frame position: whole blocks, the last of them up to there."""
        stream = self._stream
        while stream is not None and self._position < min(position, stream.end):
            if stream.done == stream.frames:
                self._begin_block(stream)
            first = stream.done
            count = min(position - self._position, stream.frames - first)
            self._process(stream, first, first + count)
            stream.done += count
            self._position += count
            if stream.done == stream.frames:
                self._end_block(stream)

    def _begin_block(self, stream: _Stream) -> None:
        stream.frames = min(self._session.blocksize, stream.end - self._position)
        stream.done = 0
        heard = stream.device.hear(stream.frames)
        if self._input is not None:
            self._input.read(self._position - self._report.position, self._wide_in[: stream.frames])
        elif stream.inputs:
            self._wide_in[: stream.frames, np.array(stream.inputs) - 1] = heard
        self._wide_out[: stream.frames] = 0.0
        if self._tapped is not None:
            self._tapped.begin(stream.frames)

    def _process(self, stream: _Stream, first: int, last: int) -> None:
        if self._position < self._drop_until:
            return
        try:
            self._link.step(self._wide_in[first:last], self._wide_out[first:last], last - first)
        except PatchError as error:
            self._warn(f"at frame {self._position} a core failed: {error}")
        if self._tapped is not None:
            self._tapped.take(first, last)

    def _end_block(self, stream: _Stream) -> None:
        played = self._wide_out[: stream.frames]
        stream.device.play(np.ascontiguousarray(played[:, np.array(stream.outputs, dtype=np.intp) - 1]))
        assert self._output is not None
        heard = played[:, np.array(self._channels, dtype=np.intp) - 1] if self._tapped is None else self._tapped.block
        self._output.write(self._position - stream.frames - self._report.position, heard)

    def _check_waits(self, node: str) -> None:
        """A file that comes into a feed is heard from a known frame on where nothing runs, or where the feed waits."""
        if self._stream is not None and self._client.request({"type": "value", "node": node, "parameter": "playing"})["value"]:
            self._warn(f"a file began in {node} while it played: at which frame is not in the journal; let it wait, then begin")

    def _end_job(self, node: str) -> None:
        if node in self._jobs:
            self._client.request({"type": "job_stop", "job": self._jobs.pop(node)})

    # -- the tap ------------------------------------------------------------------------------------------------------

    def _tap_channels(self, tap: str) -> int:
        edits = [edit for item in self._session.items if item["what"] == "transaction" for edit in item["edits"]]
        sizes = [edit["inputs"] for edit in edits if edit["op"] in ("add", "resize") and edit["node"] == tap]
        kinds = {edit["kind"] for edit in edits if edit["op"] == "add" and edit["node"] == tap}
        if kinds != {"tap"}:
            what = f"is a {', '.join(sorted(kinds))}" if kinds else "was never added"
            raise ConfigError(f"{tap!r} {what} in this session, not a tap", code="bad_config", where="tap")
        return int(max(sizes))

    def _follow_tap(self, edits: Sequence[Edit], rings: dict[str, str]) -> None:
        if self._tapped is None:
            return
        if self._tap in rings:
            self._tapped.open(rings[self._tap])
        elif any(edit["op"] == "remove" and edit["node"] == self._tap for edit in edits):
            self._tapped.close()

    def _warn(self, text: str) -> None:
        if text not in self._report.warnings:
            self._report.warnings.append(text)
