"""An engine of a plain client that records a ramp into a folder, so that each frame tells its position."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from folder_account import RAMP, Folder, account_of, count
from plain_engine import PlainEngine, add, connect, until

RATE = 48000
BLOCK = 256


class Acquired(PlainEngine):
    """A running engine whose tap, with the ramp of `folder_account` on its two channels, is recorded into `folder`."""

    def __init__(self, path: Path, *, settings: dict[str, Any] | None = None, plugin: str = "", **config: Any) -> None:
        plugins = [path / "ramp_plugin.py", path / "other_plugin.py"]
        for file, text in zip(plugins, (RAMP, plugin), strict=True):
            file.write_text(text)
        super().__init__("lab", plugins=[str(file) for file, text in zip(plugins, (RAMP, plugin), strict=True) if text], **config)
        self.folder = path / "recording"
        self.client.listen()
        self.client.edit(
            add("ramp1", "ramp", 0, 2), add("tap1", "tap", 2), connect("ramp1", "tap1"), connect("ramp1", "tap1", 1, 1)
        )
        self.client.result("start", inputs=[2], outputs=[2, 1])
        self.client.result("acquire", node="tap1", folder=str(self.folder), settings=settings or {})
        self.more(20 * BLOCK)

    def more(self, frames: int) -> None:
        """Wait until so many more have been recorded."""
        position = self.job()["position"]
        until(lambda: self.job()["position"] >= position + frames, "frames")

    def job(self) -> dict[str, Any]:
        """How the recording is doing."""
        return self.client.result("job", job=1)

    def status(self) -> dict[str, Any]:
        """How the engine is doing."""
        return self.client.result("status")

    def audio(self) -> int:
        """Process id of the audio process."""
        return int(self.status()["processes"]["audio"]["pid"])

    def finished(self) -> Folder:
        """Stop the recording; its account, which agrees with what its job says of it."""
        job = self.client.result("job_stop", job=1, patience=60)
        assert job["state"] == "finished"
        folder = account_of(self.folder)
        assert (job["first"], job["position"]) == (folder.first, folder.end)
        assert job["lost_frames"] == count(folder.lost)
        assert job["lost"] == folder.causes()
        return folder


def pause(seconds: float) -> None:
    """Let time pass in which nothing is to happen that could be waited for."""
    time.sleep(seconds)


def axis_error(before: dict[str, Any], after: dict[str, Any], speed: float = 1.0) -> float:
    """By how many frames the axis between two clocks, as a hello tells them, differs from what a perfect device counts."""
    elapsed = (after["monotonic_ns"] - before["monotonic_ns"]) * 1e-9
    return after["frame_position"] - before["frame_position"] - elapsed * RATE * speed
