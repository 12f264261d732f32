"""The interface: channels of a device, the patch between them, and the engine that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from asmu_control.acquiring import Acquiring
from asmu_control.devicechannels import DeviceChannels
from asmu_control.editing import Editing
from asmu_control.io import Channels, IInput, Input, IOutput, Output, check_channel
from asmu_control.leaving import leave
from asmu_control.patch import Patch
from asmu_control.processor import Analyzer, Processor
from asmu_control.running import Running
from asmu_control.session import Session
from asmu_control.stepping import SteppedByHand, Stepping
from asmu_control.stream import Stream
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.version import INPUTS_NODE, OUTPUTS_NODE

if TYPE_CHECKING:
    from asmu_control.asetup import ASetup
    from asmu_control.client import Client
    from asmu_control.graph import Port
    from asmu_control.typing import Device, PathLike

__all__ = ["Interface"]


class Interface(DeviceChannels, Acquiring, Editing, Running, SteppedByHand):
    """Channels of an audio device, and the patch of processors between them.

    Making one needs no engine and no device: only `start` (or `open`) does. From then on every change to the patch
    (`connect`, `set_gain`, a new processor …) has reached the running engine when the call returns, or raises.

    Parameters
    ----------
    asetup
        Set-up file. It is loaded here, as in asmu: its samplerate, blocksize and latency hold, whatever the other arguments say,
        and its channels are made. For a set-up that is not there yet, leave this out and set ``interface.asetup``.
    device
        ``"virtual:inputs=2,outputs=2"``, ``"file:PATH"``, ``"offline"``, a PortAudio device by name, index or (input,
        output) pair, or one of the classes in `asmu_control.device`. Default: ``ASMU_DEVICE``, else PortAudio's default.
    samplerate
        Hz. Default: ``ASMU_SAMPLERATE``, else 44 100; attached: the engine's.
    blocksize
        Frames a block. Default: ``ASMU_BLOCKSIZE``, else 1024; attached: the engine's.
    engine
        Attach to the running engine of that name (``asmu engine start lab``), or at ``"tcp://host:port"``, or through a
        `Client`, instead of starting one of this script's own. Its device, samplerate and blocksize are what they are.
    plugins
        Modules, or paths of ``.py`` files, with cores of your own.
    inputs, outputs
        Device channels (from 1) to open beside those of `iinput` and `ioutput`, so that a running interface can take
        them into use later.
    ring_seconds
        Seconds of audio that a tap keeps, 1 to 3600; default 10.
    key
        Key file for an engine on another machine; see ``asmu keys``.
    keep
        Attached: what this script has put into the patch stays there when it leaves.

    Raises
    ------
    ConfigError
        A setting that is out of range, or differs from that of the engine to attach to.
    EngineError
        ``engine_unknown``: there is no such engine.
    """

    def __init__(
        self,
        asetup: ASetup | None = None,
        device: Device | None = None,
        samplerate: float | None = None,
        blocksize: int | None = None,
        *,
        engine: str | Client | None = None,
        plugins: Sequence[str] = (),
        inputs: Sequence[int] = (),
        outputs: Sequence[int] = (),
        ring_seconds: float | None = None,
        key: PathLike | None = None,
        keep: bool = False,
    ) -> None:
        if asetup is not None:
            _check_setup(asetup)
            if asetup.samplerate is None:
                asetup.load()
        self._more_inputs = {check_channel(ch, "input") for ch in inputs}
        self._more_outputs = {check_channel(ch, "output") for ch in outputs}
        self._iinputs = Channels(self, IInput)
        self._ioutputs = Channels(self, IOutput)
        self._latency = 0
        settings = {
            "device": device,
            "samplerate": samplerate if asetup is None or engine else asetup.samplerate,
            "blocksize": blocksize if asetup is None or engine else asetup.blocksize,
            "plugins": [plugins] if isinstance(plugins, str) else list(plugins),
            "ring_seconds": ring_seconds,
        }
        self._session = Session(engine, settings, key=key, keep=keep)
        self._keep = keep
        self._patch = Patch(self._session)
        self._stepping = Stepping(self, self._session, self._patch)
        self._asetup = asetup
        if asetup is not None:
            asetup._attach(self)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def samplerate(self) -> float:
        """Samplerate, Hz; a whole number is an int, as soundfile wants it."""
        return self._session.samplerate

    @property
    def blocksize(self) -> int:
        """Frames a block."""
        return self._session.blocksize

    @property
    def device(self) -> str:
        """The device: its text form; attached, its name."""
        return self._session.device

    @property
    def latency(self) -> int:
        """Round-trip latency as measured or known, frames; yours to set."""
        return self._latency

    @latency.setter
    def latency(self, frames: int) -> None:
        if frames < 0:
            raise ValueError(f"latency of {frames} frames: use 0 or more")
        self._latency = int(frames)

    @property
    def start_frame(self) -> int:
        """Index of the block with which the stream began (asmu calls blocks frames); 0 before the first one."""
        return self._session.first_position // self.blocksize

    @property
    def asetup(self) -> ASetup | None:
        """The set-up file that goes with it. One that is set here is not loaded: for a new file, or ``asetup.load()`` later."""
        return self._asetup

    @asetup.setter
    def asetup(self, asetup: ASetup) -> None:
        _check_setup(asetup)
        self._asetup = asetup
        asetup._attach(self)

    @property
    def processors(self) -> tuple[Processor, ...]:
        """All processors in the patch, in the order in which they were made."""
        return self._patch.processors

    @property
    def analyzers(self) -> tuple[Analyzer, ...]:
        """The analyzers among the `processors`."""
        return tuple(p for p in self.processors if isinstance(p, Analyzer))

    # -- running ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Bring the engine up with the patch in it, its device not running yet; harmless when it is up.

        After it taps have their rings, so that a reader can be there before the first frame.
        """
        with self._patch.lock:
            self._patch.check_outside("start")
            self._stepping.leave()
            if self._session.open(self._patch.graph.edits()):
                try:
                    for processor in self.processors:
                        processor._opened()
                except BaseException:
                    self._give_up()
                    raise

    def start(self, end_frame: int | None = None, reset: bool = True, drop: int = 3) -> Stream:
        """Run the patch on the device.

        Parameters
        ----------
        end_frame
            Stop by itself after so many processed blocks (asmu calls blocks frames); None: run until stopped.
        reset
            Every processor goes back to its start.
        drop
            Blocks before the first processed one that play silence, while the device settles.

        Raises
        ------
        DeviceError
            The device is missing, or lacks the channels or the samplerate: names what was asked, what exists and what to try.
        PatchError
            What only the engine can see in the patch: a cycle, a kind of core that it does not have.
        EngineError
            ``engine_failed``: no engine could be started; ``engine_state``: it runs already.
        """
        with self._patch.lock:
            self._stepping.leave()
            was_open = self._session.opened
            self.open()
            self._session.check_stopped()
            try:
                for processor in self.processors:
                    processor._before_start(reset)
                self._session.start(self.inputs, self.outputs, end_frame, reset, drop)
            except BaseException:
                if not was_open:
                    self._give_up()
                raise
        return Stream(self)

    def close(self) -> None:
        """Finish recordings, then end the script's own engine, or take the patch out of the engine attached to.

        Harmless when done before; `start` begins anew. Nothing of the script's own engine is left behind.

        Raises
        ------
        AsmuError
            What went wrong with the device or a recording; raised after everything was closed.
        EngineError
            ``engine_state``: within `edit`; nothing was closed.
        """
        with self._patch.lock:
            if not self._session.opened:
                self._session.close([])
                return
            self._patch.check_outside("close")
            errors: list[Exception] = []
            waiting = () if self._keep else (self._patch.cancel_waiting,)
            for step in (*waiting, self._session.stop_own, *(p._closing for p in self.processors)):
                try:
                    step()
                except Exception as error:  # noqa: BLE001 - the rest must be closed too; raised below
                    errors.append(error)
            self._session.close(list(self._patch.graph.nodes))
            if errors:
                raise errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self.close, error, "closing the interface")

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an interface, and with it its processors, stays in its process; give workers a tap's handle, "
            "or let them attach with Interface(engine=…)"
        )

    def __repr__(self) -> str:
        return f"<Interface {self.device}: {self.samplerate:g} Hz, blocks of {self.blocksize} frames, {self._session.describe()}>"

    def _give_up(self) -> None:
        """The start has failed: nothing is left of it."""
        for processor in self.processors:
            processor._not_started()
        self._session.close(list(self._patch.graph.nodes))

    # -- for ports ----------------------------------------------------------------------------------------------

    def _input_at(self, port: Port) -> Input:
        return self.ioutput(ch=port[1] + 1) if port[0] == OUTPUTS_NODE else Input(self, *port)

    def _output_at(self, port: Port) -> Output:
        return self.iinput(ch=port[1] + 1) if port[0] == INPUTS_NODE else Output(self, *port)


def _check_setup(asetup: object) -> None:
    if not hasattr(asetup, "_attach"):
        raise ConfigError(f"asetup {asetup!r} is no set-up: make one with ASetup(path)", code="bad_config", where="asetup")
