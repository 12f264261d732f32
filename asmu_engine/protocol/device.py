"""Which device an engine runs on: one frozen class a kind, and the same as text.

Text forms, wherever a device is named (``Interface(device=…)``, ``--device``, ``ASMU_DEVICE``):

========================================  ==============================================================
``portaudio``                             PortAudio's default input and output
``portaudio:NAME``, ``portaudio:3``       by (part of) its name, or by its index
``portaudio:IN|OUT``                      one device for the inputs, another for the outputs
``NAME``, ``3``                           the same, short
``virtual:inputs=2,outputs=2,…``          simulated, paced by the monotonic clock; options: see `Virtual`
``offline:inputs=2,outputs=2,…``          simulated, as fast as the machine goes or stepped; see `Offline`
``file:PATH``, ``file:PATH,loop=1,…``     a sound file as the inputs; options: see `File`
========================================  ==============================================================

Lists are written with ``:`` between values and ``/`` between rows: ``matrix=1:0/0.5:1``. A comma inside a path is
left alone unless an option name and ``=`` follow it; then write ``\\,``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from asmu_engine.protocol.arrays import Array
from asmu_engine.protocol.device_text import as_text, comma, escape, index_or_name, path_or_taps, rows, unescape
from asmu_engine.protocol.errors import ConfigError
from asmu_engine.protocol.nested import to_array
from asmu_engine.protocol.version import MAX_CHANNELS

MAX_DELAY_FRAMES = 2**24
"""Longest delay of the simulated system, in frames (5.8 minutes at 48 kHz)."""

MAX_IMPULSE_RESPONSE_FRAMES = 2**20
"""Longest impulse response of the simulated system, in frames."""

ChannelCount = Annotated[int, Field(ge=0, le=MAX_CHANNELS)]
Level = Annotated[float, Field(ge=-400.0, le=60.0)]
"""Decibels re full scale after AES17: a sine of peak 1.0, and any signal of that sine's rms, has 0 dBFS."""


class DeviceSpec(BaseModel):
    """What all kinds share: construction that raises ConfigError, text and wire form."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
    subject: ClassVar[str] = ""
    """The field that stands bare after the colon of the text form; empty when there is none."""

    kind: str

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _config_error(type(self), error) from None

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Names of the options of the text form, in the order of the class."""
        return tuple(name for name in cls.model_fields if name not in ("kind", cls.subject))

    def text(self) -> str:
        """The shortest text form; `parse_device` gives an equal object back."""
        known = self.options() if self.subject else ()
        parts = [escape(as_text(self.subject, getattr(self, self.subject)), known)] if self.subject else []
        for name, value in self._changed().items():
            if name != self.subject:
                key = "taps" if name == "ir" and isinstance(value, Array) else name
                parts.append(f"{key}={escape(as_text(name, value), known)}")
        return f"{self.kind}:{','.join(parts)}" if any(parts) else self.kind

    def to_wire(self) -> dict[str, Any]:
        """Plain data for a message: the kind, and what differs from the defaults."""
        return {"kind": self.kind, **self._changed()}

    def _changed(self) -> dict[str, Any]:
        fields = type(self).model_fields.items()
        return {name: getattr(self, name) for name, field in fields if name != "kind" and getattr(self, name) != field.default}


class PortAudio(DeviceSpec):
    """A sound device through PortAudio.

    >>> PortAudio(device="Fireface").text()
    'portaudio:Fireface'
    >>> PortAudio(device=(3, "Speakers"), latency=0.05).text()
    'portaudio:3|Speakers,latency=0.05'
    """

    subject: ClassVar[str] = "device"
    kind: Literal["portaudio"] = "portaudio"
    device: int | str | tuple[int | str | None, int | str | None] | None = None
    """Index, (part of) the name, or a pair (input, output) of those; None: PortAudio's default."""
    latency: Annotated[float, Field(ge=0.0, le=10.0)] | Literal["low", "high"] = "low"
    """Suggested latency in seconds, or the device's own figure for ``low`` or ``high``."""

    @field_validator("device", mode="before")
    @classmethod
    def _device(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if len(value) != 2:
                raise ValueError(f"a pair (input, output) has 2 entries, not {len(value)}")
            return tuple(index_or_name(v) for v in value)
        if isinstance(value, str) and "|" in value:
            first, _, second = value.partition("|")
            return (index_or_name(first), index_or_name(second))
        return index_or_name(value)


class _Simulated(DeviceSpec):
    """Channels and the system between outputs and inputs: delay, gains, impulse response, what is added at the inputs."""

    inputs: ChannelCount = 2
    """Input channels, 0 to 1024."""
    outputs: ChannelCount = 2
    """Output channels, 0 to 1024."""
    samplerate: Annotated[float, Field(ge=1.0, le=1e7)] | None = None
    """The only samplerate that the device accepts, Hz; None: any."""
    delay_frames: Annotated[int, Field(ge=0, le=MAX_DELAY_FRAMES)] = 0
    """Delay of the system in frames, on top of the one block that any block-wise loopback takes."""
    gain_db: Annotated[float, Field(ge=-400.0, le=200.0)] = 0.0
    """Gain of all paths, dB."""
    matrix: Annotated[Array | None, BeforeValidator(lambda value: to_array(value, axes=(2,)))] = None
    """Gains, shape (inputs, outputs): one row an input. None: output n feeds input n."""
    ir: Annotated[str | Array | None, BeforeValidator(path_or_taps)] = None
    """Impulse response, after the gains: path of a sound file, or an array of shape (taps,) for all inputs alike or
    (taps, inputs). As text: ``ir=PATH`` or ``taps=1:0.5:0.25``."""
    noise_dbfs: Level | None = None
    """White Gaussian noise added to each input, dBFS (rms); None: none."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the noise."""
    tone_hz: Annotated[float, Field(gt=0.0, le=1e7)] | None = None
    """Frequency of a sine added to each input, Hz re the nominal samplerate; None: none."""
    tone_dbfs: Level = -20.0
    """Level of that sine, dBFS: its peak is ``10**(tone_dbfs / 20)``."""
    source: str | None = None
    """Path of a sound file added to the inputs, looped: channel n to input n, a mono file to all."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.inputs + self.outputs == 0:
            raise ValueError("a device with neither inputs nor outputs")
        if self.matrix is not None and self.matrix.shape != (self.inputs, self.outputs):
            raise ValueError(f"matrix has shape {self.matrix.shape}, not (inputs, outputs) = ({self.inputs}, {self.outputs})")
        if isinstance(self.ir, Array):
            taps, channels = (*self.ir.shape, 1)[:2]
            if not 1 <= taps <= MAX_IMPULSE_RESPONSE_FRAMES:
                raise ValueError(f"ir has {taps} taps; use 1 to {MAX_IMPULSE_RESPONSE_FRAMES}")
            if self.ir.shape[1:] and channels != self.inputs:
                raise ValueError(f"ir has {channels} columns; give one, or one for each of the {self.inputs} inputs")
        return self


class Virtual(_Simulated):
    """A simulated device, paced by the monotonic clock, that can be told to fail.

    >>> Virtual(inputs=1, outputs=2, delay_frames=128, matrix=[[1, 0.5]]).text()
    'virtual:inputs=1,delay_frames=128,matrix=1:0.5'
    """

    kind: Literal["virtual"] = "virtual"
    name: Annotated[str, Field(min_length=1, max_length=63)] = "virtual"
    """Name of the device; one that was told to be gone is gone under this name until it is told to be back."""
    drift_ppm: Annotated[float, Field(ge=-1e5, le=1e5)] = 0.0
    """How much faster than nominal the device's clock runs, in parts per million of the monotonic clock."""
    speed: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0
    """Blocks come this many times faster than real time."""
    buffer_s: Annotated[float, Field(ge=0.0, le=3600.0)] = 1.0
    """How far the engine may fall behind, in seconds of audio, before frames are lost."""


class Offline(_Simulated):
    """A simulated device without a clock: as fast as the machine goes, or stepped; bit-identical on every run.

    >>> Offline(stepped=True).text()
    'offline:stepped=1'
    """

    kind: Literal["offline"] = "offline"
    stepped: bool = False
    """True: blocks run only when the client steps; False: they run from the start."""


class File(DeviceSpec):
    """A sound file as the inputs, channel n of the file to input n; what is played to its outputs is discarded.

    >>> File(path="/data/street, night.wav", loop=True).text()
    'file:/data/street, night.wav,loop=1'
    """

    subject: ClassVar[str] = "path"
    kind: Literal["file"] = "file"
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    """Path of a sound file that libsndfile reads; its samplerate must be the engine's."""
    loop: bool = False
    """True: from the end back to the start without a gap; False: the stream ends with the file."""
    speed: Annotated[float, Field(ge=0.0, le=1000.0)] = 1.0
    """How many times faster than real time; 0: as fast as the machine goes."""
    outputs: ChannelCount = 2
    """Output channels that the device pretends to have, 0 to 1024."""


AnyDevice = PortAudio | Virtual | File | Offline
_KINDS: dict[str, type[AnyDevice]] = {"portaudio": PortAudio, "virtual": Virtual, "file": File, "offline": Offline}


def parse_device(device: object) -> AnyDevice:
    """The device that a text, an index, a pair, one of the classes above or its wire form means.

    Raises
    ------
    ConfigError
        ``bad_device_text``: empty, an unknown option, or a value out of range; the message names the option and
        what exists.

    >>> parse_device("virtual:tone_hz=1000,tone_dbfs=-12").tone_dbfs
    -12.0
    >>> parse_device("USB Audio")
    PortAudio(kind='portaudio', device='USB Audio', latency='low')
    """
    if isinstance(device, (PortAudio, Virtual, File, Offline)):
        return device
    if device is None or isinstance(device, (int, tuple, list)):
        return PortAudio(device=tuple(device) if isinstance(device, (tuple, list)) else device)
    if isinstance(device, dict):
        return device_from_wire(device)
    if not isinstance(device, str):
        raise _bad_text(f"a {type(device).__name__} is no device; use a text, an index, a pair, or one of {', '.join(_KINDS)}")
    text = device.strip()
    kind, _, rest = text.partition(":")
    cls = _KINDS.get(kind.strip().lower())
    if not text:
        raise _bad_text(f"an empty text is no device; use one of {', '.join(_KINDS)}")
    if cls is None:
        cls, rest = PortAudio, text
    try:
        return cls(**_fields(cls, rest))
    except ConfigError as error:
        raise ConfigError(f"{error.message} (in {text!r})", code="bad_device_text", where=error.where) from None


def device_from_wire(data: dict[str, Any]) -> AnyDevice:
    """Inverse of `DeviceSpec.to_wire`; ConfigError for data that is none."""
    fields = dict(data)
    cls = _KINDS.get(str(fields.pop("kind", "")))
    if cls is None:
        raise ConfigError(f"device of kind {data.get('kind')!r}; use one of {', '.join(_KINDS)}", code="bad_config", where="kind")
    return cls(**fields)


def _fields(cls: type[DeviceSpec], rest: str) -> dict[str, Any]:
    """The text after the colon as fields; values stay text, which the class converts."""
    fields: dict[str, Any] = {}
    known = cls.options() if cls.subject else ()
    # After a bare name or path only a known option splits: names and paths may hold any other comma and "=".
    parts = re.split(r"(?<!\\)" + comma(known), rest)
    if cls.subject:
        subject = unescape(parts.pop(0).strip(), known)
        fields |= {cls.subject: subject} if subject else {}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        name = "ir" if key == "taps" and "ir" in cls.model_fields else key
        if not key and not equals:
            continue
        if not equals:
            raise _bad_text(f"{_kind(cls)}: {key!r} is not key=value; the keys are: {', '.join(cls.options())}", key)
        if name in fields:
            raise _bad_text(f"{_kind(cls)}: {name} is given twice", name)
        try:
            fields[name] = rows(key, value) if key in ("matrix", "taps") else unescape(value, known)
        except ValueError as error:
            raise _bad_text(f"{_kind(cls)}: {key}={value}: {error}", key) from None
    return fields


def _kind(cls: type[DeviceSpec]) -> str:
    return str(cls.model_fields["kind"].default)


def _bad_text(message: str, where: str = "") -> ConfigError:
    return ConfigError(message, code="bad_device_text", where=where)


def _config_error(cls: type[DeviceSpec], error: ValidationError) -> ConfigError:
    """The first complaint of pydantic, with the option named, and what exists where the option does not."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = str(first["loc"][0]) if first["loc"] else ""
    names = [name for name in (cls.subject, *cls.options()) if name]
    if first["type"] == "extra_forbidden":
        message = f"{_kind(cls)} has no option {where!r}; it has: {', '.join(names)}"
    elif first["type"] == "missing":
        message = f"{_kind(cls)} needs its {where}: write {_kind(cls)}:{where.upper()}"
    else:
        given = first.get("input")
        shown = f" (given: {given!r})" if isinstance(given, (str, int, float)) else ""
        message = f"{_kind(cls)}{': ' + where if where else ''}: {first['msg'].removeprefix('Value error, ')}{shown}"
    return ConfigError(message, code="bad_config", where=where)
