"""Where a running engine is found: its folder, its lock, its endpoints.

Each engine has a folder of mode 0700 named after it, with a lock that the operating system releases when the host
dies, however it died, and ``engine.json`` with the endpoints. An engine is running exactly while its lock is held,
so a stale folder is never mistaken for a live engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from asmu_engine.protocol.errors import ConfigError, EngineError
from asmu_engine.protocol.version import NAME_PATTERN

_LOCK = "lock"
_INFO = "engine.json"

SERVICE_TYPE: Final = "_asmu._tcp.local."
"""What engines that announce themselves are called in the local network (DNS-SD)."""


@dataclass(frozen=True)
class EngineInfo:
    """How to reach a running engine.

    `listen` and `listen_events`: from other machines, empty where it does not listen. `metrics`: the address of its figures,
    empty where there is none.
    """

    name: str
    pid: int
    version: str
    requests: str
    events: str
    private: bool
    listen: str = ""
    listen_events: str = ""
    metrics: str = ""


def runtime_root() -> Path:
    """The folder of all engines of this user, made with mode 0700: ``ASMU_RUNTIME_DIR``, else the system's place."""
    given = os.environ.get("ASMU_RUNTIME_DIR")
    if given:
        root = Path(given)
    else:
        import platformdirs

        with warnings.catch_warnings():
            # platformdirs warns where XDG_RUNTIME_DIR is unset; its fall-back in the temporary folder serves us as well.
            warnings.simplefilter("ignore")
            root = Path(platformdirs.user_runtime_dir("asmu"))
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{root} cannot be made a folder: {error.strerror}; set ASMU_RUNTIME_DIR to a folder of yours",
            code="bad_config",
            where=str(root),
        ) from None
    if os.name == "posix":
        state = root.stat()
        if state.st_uid != os.getuid():
            raise ConfigError(
                f"{root} belongs to another user; set ASMU_RUNTIME_DIR to a folder of yours", code="bad_config", where=str(root)
            )
        if state.st_mode & 0o077:
            root.chmod(0o700)
    return root


def engine_folder(name: str) -> Path:
    """The folder of engine `name`; ConfigError if the name is none."""
    if not _is_name(name):
        raise ConfigError(f"engine {name!r}: use letters, digits, _ . -, at most 63", code="bad_config", where="name")
    return runtime_root() / name


def state_folder(name: str, *, make: bool = False) -> Path:
    """Where engine `name` keeps what outlives it, below ``ASMU_STATE_DIR``, else the system's place for such files.

    `make`: the folder is made, mode 0700, where it is missing; OSError from the system. ConfigError if the name is none.
    """
    if not _is_name(name):
        raise ConfigError(f"engine {name!r}: use letters, digits, _ . -, at most 63", code="bad_config", where="name")
    given = os.environ.get("ASMU_STATE_DIR")
    if given:
        root = Path(given)
    else:
        import platformdirs

        root = Path(platformdirs.user_state_dir("asmu"))
    if make:
        (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    return root / name


class EngineClaim:
    """The right to run an engine of one name, held from `take` to `release` or until this process dies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = engine_folder(name)
        self._lock = FileLock(self.folder / _LOCK, mode=0o600)

    def take(self) -> None:
        """Claim the name; EngineError engine_exists when another engine has it."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            info = read_info(self.name)
            owner = f" (process {info.pid})" if info else ""
            raise EngineError(
                f"engine {self.name!r} is already running{owner}; attach to it, stop it with "
                f"'asmu engine stop {self.name}', or choose another name",
                code="engine_exists",
                where=self.name,
            ) from None

    def publish(self, info: EngineInfo) -> None:
        """Write the endpoints, whole or not at all."""
        temporary = self.folder / (_INFO + ".part")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(asdict(info)), encoding="utf-8")
        temporary.replace(self.folder / _INFO)

    def release(self) -> None:
        """Give the name back and remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def read_info(name: str) -> EngineInfo | None:
    """What the engine of that name published; None when there is nothing readable."""
    try:
        data = json.loads((engine_folder(name) / _INFO).read_text(encoding="utf-8"))
        return EngineInfo(**data)
    except (OSError, ValueError, TypeError):
        return None


def is_running(name: str) -> bool:
    """True while a live process holds the engine's lock."""
    path = engine_folder(name) / _LOCK
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False  # the folder went meanwhile
    lock.release()
    return False


def running_engines() -> list[EngineInfo]:
    """Every engine of this user that is up, by name."""
    found = (read_info(name) for name in _names() if is_running(name))
    return [info for info in found if info is not None]


def dead_engines() -> list[str]:
    """Names of engines whose folder is still there though nothing runs them."""
    return [name for name in _names() if not is_running(name)]


def _is_name(text: str) -> bool:
    # fullmatch, because `$` alone lets a newline through at the end.
    return re.fullmatch(NAME_PATTERN, text) is not None


def _names() -> list[str]:
    """Engines that have a folder; whatever else lies in the root is none of ours."""
    return sorted(folder.name for folder in runtime_root().iterdir() if _is_name(folder.name) and folder.is_dir())


def find_engine(name: str) -> EngineInfo:
    """The running engine of that name; EngineError engine_unknown lists those that run."""
    info = read_info(name) if is_running(name) else None
    if info is None:
        names = ", ".join(e.name for e in running_engines() if not e.private) or "none"
        raise EngineError(
            f"no engine {name!r} is running; running: {names}. Start one with 'asmu engine start {name}'",
            code="engine_unknown",
            where=name,
            retry=True,
        )
    return info
