"""ASetup: the channels of an interface in a file, with their names, calibrations and frequency responses."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asmu_control.attributes import check_names
from asmu_control.io import IInput, IOutput
from asmu_control.setupfile import SetupFile, read_setup, write_setup
from asmu_engine.protocol.errors import EngineError

if TYPE_CHECKING:
    from asmu_control.interface import Interface
    from asmu_control.typing import PathLike

__all__ = ["ASetup"]


class ASetup:
    """A set-up file (``.asmu``) and the interface that it goes with: ``Interface(asetup=ASetup(path))``.

    The file holds samplerate, blocksize and latency of the interface, and for each of its channels the number and all
    attributes. An interface that is made with a set-up loads it; one to whose ``asetup`` it is assigned does so with `load`.

    Parameters
    ----------
    path
        The file; it need not be there before `load`.

    Examples
    --------
    ::

        asetup = asmu.ASetup("lab.asmu")
        interface = asmu.Interface(asetup=asetup)
        microphone = interface.iinput(name="microphone")
        microphone.pos = (0, 0, 1.2)
        asetup.save()
    """

    def __init__(self, path: PathLike) -> None:
        self._path = Path(path)
        self._interface: Interface | None = None
        self._file: SetupFile | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def interface(self) -> Interface | None:
        """The interface that it goes with; None before one was made with it."""
        return self._interface

    @property
    def date(self) -> datetime | None:
        """When the set-up was saved that was last loaded or saved here; None before, or where the file does not say."""
        return None if self._file is None else self._file.date

    @property
    def samplerate(self) -> float | None:
        """Samplerate of the file, Hz; None before it was loaded or saved."""
        return None if self._file is None else self._file.samplerate

    @property
    def blocksize(self) -> int | None:
        """Blocksize of the file, frames; None before it was loaded or saved."""
        return None if self._file is None else self._file.blocksize

    def load(self) -> None:
        """Read the file and give the interface what it says: samplerate, blocksize, latency, channels with attributes.

        Channels that the interface has and the file does not stay as they are, and so do attributes. Without an interface
        the file waits for the one that will be made with this set-up. Nothing changes where an error is raised.

        Raises
        ------
        DiskError
            ``file_unreadable``: there is no such file, or it cannot be read.
        ConfigError
            ``bad_config``: it is damaged, no set-up, or an array is missing beside it; says what and where.
        EngineError
            ``engine_state``: samplerate or blocksize differ, and processors were made for, or an engine runs with, the others.
        """
        file = read_setup(self._path)
        for cls, side, channels in ((IInput, "iinputs", file.iinputs), (IOutput, "ioutputs", file.ioutputs)):
            for data in channels:
                check_names(cls, data, f"{self._path}: {side}, channel {data['channel']}")
        if self._interface is not None:
            self._give(file, self._interface)
        self._file = file

    def save(self, path: PathLike | None = None) -> None:
        """Write the interface's set-up, all or nothing: a file that was there stays whole until the new one is.

        Parameters
        ----------
        path
            Another file, as a copy; this set-up keeps its own.

        Raises
        ------
        EngineError
            ``engine_state``: no interface was made with this set-up yet.
        ConfigError
            ``bad_config``: an attribute cannot be stored; names it.
        DiskError
            ``file_unwritable``.
        """
        if self._interface is None:
            raise EngineError(
                "there is nothing to save: make an interface with this set-up, Interface(asetup=…), or assign interface.asetup",
                code="engine_state",
                where="save",
            )
        interface = self._interface
        file = SetupFile(
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            samplerate=interface.samplerate,
            blocksize=interface.blocksize,
            latency=interface.latency,
            iinputs=[channel.serialize() for channel in interface.iinputs],
            ioutputs=[channel.serialize() for channel in interface.ioutputs],
        )
        write_setup(self._path if path is None else Path(path), file)
        self._file = file

    def _attach(self, interface: Interface) -> None:
        """Called by the interface that is made with it."""
        if self._file is not None:
            self._give_channels(self._file, interface)
            # A latency in frames is that of one samplerate and blocksize.
            if (interface.samplerate, interface.blocksize) == (self._file.samplerate, self._file.blocksize):
                interface.latency = self._file.latency
        self._interface = interface

    def _give(self, file: SetupFile, interface: Interface) -> None:
        changed = (interface.samplerate, interface.blocksize) != (file.samplerate, file.blocksize)
        if changed and interface.processors:
            raise EngineError(
                f"{self._path} is for {file.samplerate:g} Hz and blocks of {file.blocksize} frames, but there are processors for "
                f"{interface.samplerate:g} Hz and {interface.blocksize}; load the set-up before you make processors",
                code="engine_state",
                where=str(self._path),
            )
        interface._session.change_format(file.samplerate, file.blocksize)
        self._give_channels(file, interface)
        interface.latency = file.latency

    @staticmethod
    def _give_channels(file: SetupFile, interface: Interface) -> None:
        for data in file.iinputs:
            interface.iinput(ch=data["channel"]).deserialize(data)
        for data in file.ioutputs:
            interface.ioutput(ch=data["channel"]).deserialize(data)

    def __repr__(self) -> str:
        known: Any = "not loaded" if self._file is None else f"of {self._file.created}"
        return f"<ASetup {self._path}: {known}>"
