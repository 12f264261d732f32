"""What a client can ask of the device and of sound files: one method a request."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asmu_control.asking import Asking
from asmu_control.exchange import Steps
from asmu_control.shared import shared

if TYPE_CHECKING:
    from asmu_control.timeouts import Timeout
    from asmu_control.typing import PathLike


class DeviceVerbs(Asking):
    """Requests on the device, recordings and players."""

    # -- device -----------------------------------------------------------------------------------------------------

    @shared
    def start(
        self,
        inputs: Sequence[int] | None = None,
        outputs: Sequence[int] | None = None,
        *,
        end_block: int | None = None,
        drop: int = 0,
        reset: bool = True,
        timeout: Timeout = "default",
    ) -> Steps[dict[str, Any]]:
        """Run the device; for an admin.

        Parameters
        ----------
        inputs, outputs
            Channels in use, from 1; None: all that the device has.
        end_block
            Stop by itself after so many blocks.
        drop
            Blocks at the start that play silence and process nothing.
        reset
            Every core goes back to its start.
        """
        fields = {"end_block": end_block, "drop": drop, "reset": reset}
        channels = {name: None if some is None else list(some) for name, some in (("inputs", inputs), ("outputs", outputs))}
        return (yield from self._ask_device("start", timeout, **channels, **fields))

    @shared
    def stop(self, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Stop the device; for an admin. Patch, rings and clients stay."""
        return (yield from self._ask_device("stop", timeout))

    @shared
    def step(self, blocks: int = 1, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Process `blocks` blocks of the device ``offline:stepped=1``; for an admin."""
        return (yield from self._ask_device("step", timeout, blocks=blocks))

    @shared
    def reset(self, drop: int = 0, timeout: Timeout = "default") -> Steps[int]:
        """Every core back to its start, all with the same frame, whose position this returns; then `drop` silent blocks."""
        return int((yield from self._ask("reset", timeout, drop=drop))["at"])

    # -- sound files ------------------------------------------------------------------------------------------------

    @shared
    def record(
        self,
        node: str,
        path: PathLike,
        format: str = "WAV",
        subtype: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        at: int | None = None,
        keep: bool = False,
        timeout: Timeout = "default",
    ) -> Steps[dict[str, Any]]:
        """Write the tap `node` to a file of the engine's machine; answered with the status of the ``job``.

        Parameters
        ----------
        path
            Absolute, or within the engine's folder for recordings; from another machine only that.
        format, subtype
            libsndfile's names; an empty subtype is the finest that the format holds.
        at
            Frame position of the file's first frame; None: the oldest that the tap's ring holds.
        keep
            The recording, with its tap and what feeds that, goes on when this client leaves.
        """
        fields: dict[str, Any] = {"format": format, "subtype": subtype, "tags": dict(tags or {})}
        if at is not None:
            fields["at"] = at
        if keep:
            fields["keep"] = True
        return (yield from self._ask("record", timeout, node=node, path=os.fspath(path), **fields))

    @shared
    def acquire(
        self,
        node: str,
        folder: PathLike,
        settings: Mapping[str, Any] | None = None,
        *,
        channels: Sequence[Mapping[str, Any]] = (),
        at: int | None = None,
        keep: bool = False,
        resume: bool = False,
        timeout: Timeout = "default",
    ) -> Steps[dict[str, Any]]:
        """Write the tap `node` to a folder of the engine's machine; answered with the status of the ``job``.

        Parameters
        ----------
        folder
            Absolute, or within the engine's folder for recordings; from another machine only that.
        settings
            How it is written: the fields of `asmu_engine.protocol.acquisition.AcquisitionSettings`.
        channels
            What is known of each channel of the tap: the fields of `asmu_engine.protocol.acquisition.ChannelFacts`.
        at
            Frame position of the first frame; None: the newest that the tap's ring holds.
        keep
            The recording, with its tap and what feeds that, goes on when this client leaves.
        resume
            Go on with a folder that an engine left unfinished, with the settings that it was begun with.
        """
        facts = [dict(each) for each in channels]
        fields: dict[str, Any] = {"settings": dict(settings or {}), "channels": facts, "keep": keep, "resume": resume}
        if at is not None:
            fields["at"] = at
        return (yield from self._ask_device("acquire", timeout, node=node, folder=os.fspath(folder), **fields))

    @shared
    def play(
        self, node: str, path: PathLike, *, loop: bool = False, start: int = 0, timeout: Timeout = "default"
    ) -> Steps[dict[str, Any]]:
        """Read a file of the engine's machine into the feed `node`, from frame `start`; the status of the ``job``."""
        return (yield from self._ask_device("play", timeout, node=node, path=os.fspath(path), loop=loop, start=start))

    @shared
    def seek(self, job: int, position: int, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Have a player go on at frame `position` of its file; its status."""
        return (yield from self._ask_device("seek", timeout, job=job, position=position))

    @shared
    def job(self, job: int, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """How far a recording or player is."""
        return (yield from self._ask("job", timeout, job=job))

    @shared
    def stop_job(self, job: int, timeout: Timeout = "default") -> Steps[dict[str, Any]]:
        """Stop a player, or a recording once it has what its ring holds; its final status."""
        return (yield from self._ask_device("job_stop", timeout, job=job))
