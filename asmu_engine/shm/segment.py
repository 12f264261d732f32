"""Segments: named pieces of memory that processes of one user share.

A segment is an ordinary file in a memory-backed folder, mapped with `mmap`. It is not
`multiprocessing.shared_memory`, whose resource tracker (before Python 3.13) removes a segment when any process
that merely attached to it exits. Here nothing but `unlink` and `remove_segments` ever removes one.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from asmu_engine.protocol.errors import RingError
from asmu_engine.protocol.version import NAME_PATTERN

_ENGINE: Final = re.compile(NAME_PATTERN)
_WHAT: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
_DEFAULT_FOLDER: Final = Path("/dev/shm")
_SAFE_OPEN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def segment_folder() -> Path:
    """Where segments live: ``ASMU_SHM_DIR``, else ``/dev/shm``, else a folder of the user's run-time directory."""
    chosen = os.environ.get("ASMU_SHM_DIR")
    if chosen:
        folder = Path(chosen)
    elif _DEFAULT_FOLDER.is_dir() and os.access(_DEFAULT_FOLDER, os.W_OK | os.X_OK):
        return _DEFAULT_FOLDER
    else:
        from platformdirs import user_runtime_path

        folder = user_runtime_path("asmu") / "shm"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RingError(
            f"the folder for shared memory, {folder}, cannot be made ({error.strerror}); name another in ASMU_SHM_DIR",
            code="ring_access",
            where=str(folder),
        ) from error
    return folder


def segment_name(engine: str, what: str) -> str:
    """The name ``asmu.USER.ENGINE.WHAT`` of one segment of an engine of this user.

    Dots in the engine's name become ``%``, which no engine's name contains: so the segments of the engines ``lab``
    and ``lab.2`` are never mistaken for one another.

    Parameters
    ----------
    engine
        Name of the engine.
    what
        What the segment holds, letters, digits and ``_ . -``, at most 128.
    """
    if not _ENGINE.match(engine):
        raise RingError(
            f"{engine!r} is not the name of an engine; use letters, digits, _ . and -", code="ring_name", where=engine
        )
    if not _WHAT.match(what):
        raise RingError(f"{what!r} is not the name of a segment; use letters, digits, _ . and -", code="ring_name", where=what)
    return f"{_prefix(engine)}{what}"


def segment_engine(name: str) -> str | None:
    """The engine that a segment belongs to; None where the name is not one of this user's segments."""
    head = _prefix(None)
    if not name.startswith(head):
        return None
    engine, dot, what = name[len(head) :].partition(".")
    return engine.replace("%", ".") if dot and what else None


def list_segments(engine: str | None = None) -> list[str]:
    """Names of this user's segments, those of one engine or of all, sorted."""
    head = _prefix(engine)
    return sorted(file.name for file in segment_folder().iterdir() if file.name.startswith(head))


def remove_segments(engine: str) -> list[str]:
    """Remove every segment of an engine that is gone; processes that have one mapped keep what they mapped.

    Returns
    -------
    list of str
        The names that were removed.
    """
    return [name for name in list_segments(engine) if remove_segment(name)]


def remove_segment(name: str) -> bool:
    """Remove one segment; False where there was none."""
    try:
        (segment_folder() / name).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _access_error(name, error) from error
    return True


class Segment:
    """One mapped segment.

    Attributes
    ----------
    name
        Name of the segment; its file is ``segment_folder() / name``.
    size
        Mapped bytes.
    writable
        False for a mapping that can only be read.
    identity
        Device and inode of the file: a segment that was replaced under its name has another.
    """

    def __init__(self, name: str, buffer: mmap.mmap, identity: tuple[int, int], writable: bool) -> None:
        self.name = name
        self.size = len(buffer)
        self.writable = writable
        self.identity = identity
        self.path = segment_folder() / name
        self._buffer: mmap.mmap | None = buffer

    @classmethod
    def create(cls, name: str, size: int) -> Segment:
        """Make a new segment of zeros, readable by this user alone, its memory reserved.

        Raises
        ------
        RingError
            ``ring_exists`` for a name in use, ``ring_space`` where there is not enough memory left.
        """
        path = segment_folder() / name
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE_OPEN, 0o600)
        except FileExistsError as error:
            raise RingError(f"there is already a segment {name}", code="ring_exists", where=name) from error
        except OSError as error:
            raise _access_error(name, error) from error
        try:
            _reserve(file, size)
            buffer = mmap.mmap(file, size)
            return cls(name, buffer, _identity(os.fstat(file)), writable=True)
        except (OSError, OverflowError, ValueError) as error:
            path.unlink(missing_ok=True)
            raise _space_error(name, size, error) from error
        finally:
            os.close(file)

    @classmethod
    def attach(cls, name: str, *, writable: bool = True, size: int = 0) -> Segment:
        """Map an existing segment; `size` > 0 maps only that many bytes of its beginning.

        Raises
        ------
        RingError
            ``ring_unknown`` for a name that does not exist, ``ring_access`` for a file that is not an ordinary one
            of this user, ``ring_layout`` for one shorter than `size`.
        """
        try:
            file = os.open(segment_folder() / name, (os.O_RDWR if writable else os.O_RDONLY) | _SAFE_OPEN)
        except FileNotFoundError as error:
            raise RingError(
                f"there is no segment {name}; the ring was never made or its engine has ended", code="ring_unknown", where=name
            ) from error
        except OSError as error:
            raise _access_error(name, error) from error
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
                raise RingError(f"segment {name} is not an ordinary file of this user", code="ring_access", where=name)
            if status.st_size == 0 or status.st_size < size:
                raise RingError(
                    f"segment {name} is incomplete: {status.st_size} bytes", code="ring_layout", where=name, retry=True
                )
            buffer = mmap.mmap(file, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        except OSError as error:
            raise _access_error(name, error) from error
        finally:
            os.close(file)
        return cls(name, buffer, _identity(status), writable)

    @property
    def buffer(self) -> mmap.mmap:
        """The mapped memory."""
        if self._buffer is None:
            raise RingError(f"segment {self.name} is closed in this process", code="ring_closed", where=self.name)
        return self._buffer

    @property
    def linked(self) -> bool:
        """False once the segment has been removed, or replaced by another of the same name."""
        try:
            return _identity(self.path.lstat()) == self.identity
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the mapping. Where numpy views of it are alive it goes with the last of them."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            # Views that a caller kept still point here; dropping our reference hands the mapping to them.
            with suppress(BufferError):
                buffer.close()

    def unlink(self) -> bool:
        """Remove the segment's name; False where it is gone already. Mappings stay as they are."""
        return self.linked and remove_segment(self.name)


def _prefix(engine: str | None) -> str:
    user = os.getuid() if hasattr(os, "getuid") else 0
    return f"asmu.{user}." if engine is None else f"asmu.{user}.{engine.replace('.', '%')}."


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reserve(file: int, size: int) -> None:
    """Give the file its size with the memory behind it: without, a full folder would be a bus error at some later store."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS) or size <= 0:
                raise
        else:
            return
    os.ftruncate(file, size)


def _space_error(name: str, size: int, error: Exception) -> RingError:
    folder = segment_folder()
    free = ""
    if hasattr(os, "statvfs"):
        usage = os.statvfs(folder)
        free = f", {usage.f_bavail * usage.f_frsize / 1e6:.1f} MB are free"
    return RingError(
        f"segment {name} needs {size / 1e6:.1f} MB in {folder}{free} ({error}); use fewer channels or seconds, "
        "or name a larger folder in ASMU_SHM_DIR",
        code="ring_space",
        where=name,
        retry=True,
    )


def _access_error(name: str, error: OSError) -> RingError:
    return RingError(f"segment {name} cannot be opened: {error.strerror or error}", code="ring_access", where=name)
