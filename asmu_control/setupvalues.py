"""Values of channel attributes as JSON and ``.npy`` have them, and back as they were."""

from __future__ import annotations

import hashlib
import io
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asmu_engine.protocol.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TYPES: Final = "_types"
"""Key of a channel under which the types stand that JSON does not know; no attribute can have this name."""

_DATES: Final = ("datePa", "dateV", "dateA")
_ARRAYS: Final = ("cFR", "fFR")


def parse_date(text: str) -> datetime | None:
    """A date in ISO 8601 or as C's ctime writes it; None for anything else. One without an offset was local time."""
    for read in (datetime.fromisoformat, lambda text: datetime.strptime(text, "%a %b %d %H:%M:%S %Y")):
        try:
            found = read(text)
        except ValueError:
            continue
        return found if found.tzinfo is not None else found.astimezone()
    return None


def to_plain(value: Any, where: str) -> tuple[Any, str]:
    """A value as JSON has it, and the name of its type where JSON has none like it; ConfigError where neither helps."""
    if hasattr(value, "dtype") and hasattr(value, "item"):
        value = value.item()  # numpy's numbers
    if value is None or isinstance(value, bool | str | int | float):
        return value, ""
    if isinstance(value, datetime):
        return value.isoformat(), "datetime"
    if isinstance(value, date):
        return value.isoformat(), "date"
    if isinstance(value, complex):
        return [value.real, value.imag], "complex"
    if isinstance(value, Path):
        return str(value), "path"
    if isinstance(value, tuple):
        return [_nested(entry, where) for entry in value], "tuple"
    return _nested(value, where), ""


def from_plain(value: Any, kind: Any) -> Any:
    """What `to_plain` was given; ValueError or TypeError where it was not that."""
    match kind:
        case "datetime":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value)
        case "complex":
            real, imaginary = value
            return complex(real, imaginary)
        case "path":
            return Path(value)
        case "tuple":
            return tuple(value)
    return value


def from_foreign(setup: Path, name: str, value: Any) -> Any:
    """A value of a file that does not say types: dates and arrays are known by their names, arrays also by those of files."""
    if name in _DATES and isinstance(value, str):
        return parse_date(value) or value
    if (name in _ARRAYS and value is not None) or (isinstance(value, str) and value.endswith(".npy")):
        return read_array(setup, value)
    return value


def write_array(array: NDArray[Any], where: str) -> tuple[bytes, str]:
    """An array as the bytes of a ``.npy`` file, and eight characters that are those of this content."""
    import numpy as np

    memory = io.BytesIO()
    try:
        np.save(memory, array, allow_pickle=False)
    except ValueError:
        raise ConfigError(
            f"{where}: an array of {array.dtype} cannot be stored; use one of numbers or texts", code="bad_config", where=where
        ) from None
    content = memory.getvalue()
    return content, hashlib.sha256(content).hexdigest()[:8]


def read_array(setup: Path, value: Any) -> NDArray[Any]:
    """The array of which a set-up says the name of the file, or all numbers; ValueError where there is none."""
    import numpy as np

    if not isinstance(value, str):
        array = np.asarray(value)
        if array.dtype == object:
            raise ValueError("it is neither an array nor the name of one's file")
        return array
    given = Path(value)
    # A set-up that was moved together with its arrays finds them beside it.
    for path in (setup.parent / given.name, setup.parent / given, given):
        if path.is_file():
            try:
                loaded = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise ValueError(f"its array {path} cannot be read: {error}") from None
            if not isinstance(loaded, np.ndarray):
                raise ValueError(f"its array {path} is no .npy file")
            return loaded
    raise ValueError(f"its array {given.name} is not beside the set-up")


def _nested(value: Any, where: str) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, bool | str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_nested(entry, where) for entry in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _nested(entry, where) for key, entry in value.items()}
    raise ConfigError(
        f"{where}: {value!r:.60} cannot be stored; use numbers, texts, dates, lists, dictionaries with texts as keys, or arrays",
        code="bad_config",
        where=where,
    )
