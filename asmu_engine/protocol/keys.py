"""Keys with which clients come in over the network: files that belong to their user alone, and the list of those allowed.

The engine's user has a folder of keys, ``ASMU_KEYS_DIR`` or ``keys`` in the system's folder for settings: ``server.json``
with the key pair of all engines of this user, and ``NAME.json`` for each client that may come in, with its public key and
role. A client has one file, `ClientKey`, with its own key pair and the public key of the engine that it trusts.

Keys are CURVE keys (Curve25519) as text in Z85, 40 characters. This module makes none: ``zmq.curve_keypair`` does.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, cast, get_args

from filelock import FileLock

from asmu_engine.protocol.errors import AccessError, ConfigError
from asmu_engine.protocol.keyfiles import read_private, replace_private, unreadable, write_private
from asmu_engine.protocol.keytexts import fingerprint, is_key, key_text
from asmu_engine.protocol.request import Role
from asmu_engine.protocol.version import NAME_PATTERN

__all__ = ["AllowedKey", "ClientKey", "KeyPair", "KeyRing", "fingerprint", "key_text", "keys_folder"]

_SERVER: Final = "server"
_LOCK_SECONDS: Final = 10.0


def keys_folder() -> Path:
    """The folder of this user's keys; it need not be there yet."""
    given = os.environ.get("ASMU_KEYS_DIR")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_config_dir("asmu", appauthor=False)) / "keys"


@dataclass(frozen=True)
class KeyPair:
    """A public key and its secret half, which `repr` does not show."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair({self.public!r})"


@dataclass(frozen=True)
class ClientKey:
    """What a client needs to come in: its name, its key pair, and the public key by which it knows the engine."""

    name: str
    public: str
    secret: str
    server: str

    def __repr__(self) -> str:
        return f"ClientKey({self.name!r}, {self.public!r})"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a client's key file; AccessError key_unreadable when it is missing, malformed, or open to other users."""
        file = Path(path).expanduser()
        data = read_private(file, of_anyone=True)
        values = {field: data.get(field) for field in ("name", "public", "secret", "server")}
        if not _is_name(values["name"]) or not all(is_key(values[field]) for field in ("public", "secret", "server")):
            raise unreadable(file, "is no key file of a client; make one with 'asmu keys new'")
        return cls(**values)  # type: ignore[arg-type]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a new file of mode 0600; AccessError key_exists when there is one."""
        write_private(Path(path).expanduser(), asdict(self))


@dataclass(frozen=True)
class AllowedKey:
    """A client that may come in: `made` and `revoked` are UTC in ISO 8601; one that was revoked may not."""

    name: str
    public: str
    role: Role
    made: str
    revoked: str = ""

    def facts(self) -> dict[str, Any]:
        """What a list of keys shows: all but the key itself, of which the fingerprint."""
        return {
            "name": self.name,
            "role": self.role,
            "made": self.made,
            "revoked": self.revoked,
            "fingerprint": fingerprint(self.public),
        }


class KeyRing:
    """The keys in a folder: who may come in, with which role.

    What is in the files is kept in memory; `refresh` looks whether they changed.

    Parameters
    ----------
    folder
        Where the files are; `keys_folder` by default. It is made, with mode 0700, when the first file is.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = keys_folder() if folder is None else Path(folder)
        self.problems: list[str] = []
        """Files that were left out at the last look, and why."""
        self._seen: dict[str, tuple[int, int, int]] | None = None
        self._keys: dict[str, AllowedKey] = {}
        self._valid: dict[str, AllowedKey] = {}
        self._names: dict[str, str] = {}
        self._gone: set[str] = set()

    def server_key(self, make: Callable[[], tuple[bytes, bytes]]) -> KeyPair:
        """The key pair of this user's engines; the first time, `make` (``zmq.curve_keypair``) makes it."""
        path = self.folder / f"{_SERVER}.json"
        with self._writing():
            if not path.exists():
                public, secret = make()
                write_private(path, {"public": public.decode(), "secret": secret.decode(), "made": _now()})
            data = read_private(path)
        public_text, secret_text = data.get("public"), data.get("secret")
        if not is_key(public_text) or not is_key(secret_text):
            raise unreadable(path, "holds no key pair; remove it, and give every client a new key")
        return KeyPair(str(public_text), str(secret_text))

    def server_public(self) -> str:
        """The public key of this user's engines; empty while there is none."""
        path = self.folder / f"{_SERVER}.json"
        return str(read_private(path).get("public", "")) if path.exists() else ""

    def find(self, public: str) -> AllowedKey | None:
        """Whose public key that is; None when nobody with it may come in."""
        return self._valid.get(public)

    def all(self) -> list[AllowedKey]:
        """All keys by name, those that were revoked too."""
        return sorted(self._keys.values(), key=lambda key: key.name)

    def allow(self, name: str, public: str, role: Role) -> AllowedKey:
        """Let a client in from now on; AccessError key_exists when the name or the key is taken, ConfigError for a bad value."""
        if not _is_name(name) or name.casefold() == _SERVER:
            raise ConfigError(
                f"key {name!r}: use letters, digits, _ . -, at most 63, and not {_SERVER!r}", code="bad_config", where="name"
            )
        if role not in get_args(Role):
            raise ConfigError(f"role {role!r}: use one of {', '.join(get_args(Role))}", code="bad_config", where="role")
        if not is_key(public):
            raise ConfigError("a public key has 40 characters of Z85", code="bad_config", where="public")
        key = AllowedKey(name, public, role, _now())
        with self._writing():
            self.refresh()
            for other in self._keys.values():
                if other.public == public or (other.name.casefold() == name.casefold() and not other.revoked):
                    state = "was revoked" if other.revoked else f"is there, as {other.role}"
                    raise AccessError(
                        f"key {other.name!r} {state}; choose another name, or first: asmu keys revoke {other.name}",
                        code="key_exists",
                        where=other.name,
                    )
            replace_private(self.folder / f"{name}.json", asdict(key))
            self.refresh()
        return key

    def revoke(self, name: str) -> AllowedKey:
        """Let a client in no more; AccessError key_unknown without such a key. One that was revoked before stays so."""
        with self._writing():
            self.refresh()
            key = self._keys.get(name)
            if key is None:
                known = ", ".join(key.name for key in self.all() if not key.revoked) or "none"
                raise AccessError(f"there is no key {name!r}; keys: {known}", code="key_unknown", where=name)
            if not key.revoked:
                key = AllowedKey(key.name, key.public, key.role, key.made, _now())
                replace_private(self.folder / f"{name}.json", asdict(key))
                self.refresh()
        return key

    def name_of(self, public: str) -> str:
        """The name of a key that is or was in the ring, else its fingerprint."""
        return self._names.get(public) or fingerprint(public)

    def take_gone(self) -> set[str]:
        """The public keys that were good and are so no more, since this was last called."""
        gone, self._gone = self._gone, set()
        return gone

    def refresh(self) -> None:
        """Look whether files changed.

        A file that cannot be read, or that others may change, counts as not there, and stands in `problems`.
        """
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        self._keys, self.problems = {}, []
        for file in sorted(seen):
            try:
                key = _allowed(self.folder / file)
            except AccessError as error:
                self.problems.append(error.message)
            else:
                self._keys[key.name] = key
        before, self._valid = self._valid, {key.public: key for key in self._keys.values() if not key.revoked}
        self._names.update({key.public: key.name for key in self._keys.values()})
        self._gone = (self._gone | (before.keys() - self._valid.keys())) - self._valid.keys()

    def _look(self) -> dict[str, tuple[int, int, int]]:
        """The files of clients, and from what one sees that they changed. Mode and owner change the last of the three."""
        found: dict[str, tuple[int, int, int]] = {}
        if not _is_own(self.folder):
            return found
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name.removesuffix(".json")
                if entry.name.endswith(".json") and _is_name(name) and name.casefold() != _SERVER:
                    with contextlib.suppress(OSError):
                        state = entry.stat(follow_symlinks=False)
                        found[entry.name] = (state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
        return found

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone among all processes that write keys; the folder is there, and this user's alone."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.name == "posix":
                state = self.folder.stat()
                if state.st_uid != os.getuid():
                    raise ConfigError(
                        f"{self.folder} belongs to another user; set ASMU_KEYS_DIR to a folder of yours",
                        code="bad_config",
                        where=str(self.folder),
                    )
                if stat.S_IMODE(state.st_mode) & 0o077:
                    self.folder.chmod(0o700)
            with FileLock(self.folder / ".lock", mode=0o600).acquire(timeout=_LOCK_SECONDS):
                yield
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: keys cannot be kept there: {error.strerror or error}; set ASMU_KEYS_DIR to a folder of yours",
                code="bad_config",
                where=str(self.folder),
            ) from None


def _allowed(path: Path) -> AllowedKey:
    data = read_private(path)
    name, public, role = data.get("name"), data.get("public"), data.get("role")
    if name != path.stem or not is_key(public) or role not in get_args(Role):
        raise unreadable(path, "does not say name, public key and role of a client")
    return AllowedKey(str(name), str(public), cast(Role, role), str(data.get("made", "")), str(data.get("revoked", "")))


def _is_own(folder: Path) -> bool:
    """Whether nobody else can put files there."""
    try:
        state = folder.stat()
    except OSError:
        return False
    return os.name != "posix" or (state.st_uid == os.getuid() and not state.st_mode & 0o022)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(NAME_PATTERN, value) is not None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
