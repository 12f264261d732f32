"""Recording the inputs of an interface into a folder, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asmu_control.units import channel_numbers
from asmu_engine.protocol.errors import AsmuError, ConfigError

if TYPE_CHECKING:
    from typing import Unpack

    from asmu_control.analyzer.acquisition import Acquisition
    from asmu_control.interface import Interface
    from asmu_control.typing import AcquisitionOptions, Duration, PathLike, Rollover


class Acquiring:
    """What an interface can do to have its inputs recorded for long."""

    def record(  # type: ignore[misc]  # this is a part of Interface, and of nothing else
        self: Interface,
        folder: PathLike,
        channels: int | str | Sequence[int] | None = None,
        *,
        format: str = "WAV",
        subtype: str = "",
        rollover: Rollover = "1h",
        aligned: bool = False,
        seconds: Duration | None = None,
        wait: bool = False,
        keep: bool = False,
        **options: Unpack[AcquisitionOptions],
    ) -> Acquisition:
        """Record inputs of the device into a folder, with an account of every frame; see `analyzer.Acquisition`.

        A running interface begins at once, another one with its start. The manifest says of each channel its name and
        calibration, as they are then.

        Parameters
        ----------
        folder
            The recording folder, which is made.
        channels
            Channels of the device, from 1, in the order of the columns: ``[1, 2]``, ``"1-8"``. Default: those in use
            (`inputs`), and where none is, all that the device has.
        format, subtype, rollover, aligned, seconds, wait, keep, options
            As of `analyzer.Acquisition`.

        Returns
        -------
        Acquisition
            The recording: ``status()``, ``stop()``, ``path``. It also ends with the interface, unless it is to be kept.

        Raises
        ------
        ConfigError
            A setting that is wrong; no channel is named, and the device does not say how many it has.
        PatchError
            ``unknown_port``: the device runs without one of these channels.
        DeviceError
            ``device_unknown``: no channel is named, and there is no such device; lists what exists.
        DiskError
            ``file_unwritable``, ``file_format``; where recording begins.

        Examples
        --------
        ::

            with asmu.Interface(engine="lab") as interface:
                recording = interface.record("friday", "1-8", rollover="1h", keep=True)
                interface.start()
        """
        from asmu_control.analyzer.acquisition import Acquisition

        numbers = (self.inputs or _all_inputs(self)) if channels is None else channel_numbers(channels)
        with self.edit(keep=keep):
            recording = Acquisition(
                self,
                folder,
                channels=len(numbers),
                format=format,
                subtype=subtype,
                rollover=rollover,
                aligned=aligned,
                seconds=seconds,
                wait=wait,
                keep=keep,
                **options,
            )
            for idx, number in enumerate(numbers):
                self.iinput(ch=number).connect(recording.input(idx))
        return recording


def _all_inputs(interface: Interface) -> tuple[int, ...]:
    """Every input channel that the device has in use, or would have."""
    session = interface._session
    if session.attached or session.opened:
        facts = session.device_facts()
        numbers = tuple(facts["inputs"]) if facts else ()
    else:
        numbers = tuple(range(1, _count(interface.device) + 1))
    if not numbers:
        raise ConfigError(
            f"{interface.device} does not say yet how many inputs it has; name them: record(folder, channels=[1, 2])",
            code="bad_config",
            where="channels",
        )
    return numbers


def _count(device: str) -> int:
    """How many inputs a device has, by its text form; 0 where nobody knows before it is open."""
    from asmu_control.devicelist import query_devices
    from asmu_engine.protocol.device import PortAudio, parse_device

    spec = parse_device(device)
    if not isinstance(spec, PortAudio):
        return int(getattr(spec, "inputs", 0))
    given = spec.device[0] if isinstance(spec.device, tuple) else spec.device
    try:
        found = query_devices(given, "input")
    except AsmuError as error:
        if error.code == "device_unknown":
            raise  # with the devices that there are
        return 0  # the engine says what is wrong with it
    return int(found["max_input_channels"]) if isinstance(found, dict) else 0
