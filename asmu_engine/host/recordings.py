"""Which paths clients may name: a client of this machine any, one of another machine only what lies in one folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from asmu_engine.protocol.errors import AccessError, ConfigError, ProtocolError


class RecordingFolder:
    """The folder for recordings and sound files, and what may be reached through it.

    Parameters
    ----------
    folder
        Made, for its user alone, where it is missing; empty for none.

    Raises
    ------
    ConfigError
        It cannot be made.
    """

    def __init__(self, folder: str) -> None:
        self._root: Path | None = None
        if folder:
            try:
                given = Path(folder).expanduser()
                given.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._root = given.resolve(strict=True)
            except (OSError, RuntimeError) as error:
                raise ConfigError(
                    f"recordings {folder!r}: {getattr(error, 'strerror', None) or error}; name a folder that you can write in",
                    code="bad_config",
                    where="recordings",
                ) from None

    def path(self, given: str, *, remote: bool) -> str:
        """The absolute path that a client means.

        Of a client of this machine, which can open the files of its user anyway, an absolute path is taken as it is. All
        others lie in the folder, after every symbolic link has been followed.

        Raises
        ------
        AccessError
            ``path_forbidden``: it leads out of the folder, there is none, or it is the name of a recording in the making.
        ProtocolError
            ``bad_message``: it is no path, or relative though there is no folder.
        """
        if "\0" in given:
            raise ProtocolError(f"path {given!r} has a zero byte, which no path has", code="bad_message", where="path")
        if not remote and Path(given).is_absolute():
            return given
        if self._root is None:
            if remote:
                raise _forbidden(
                    given, "this engine gives other machines no folder; it is started with --recordings FOLDER for that"
                )
            raise ProtocolError(
                f"path {given!r} is not absolute; the engine does not know the client's working directory, and has no folder for "
                "recordings (start it with --recordings FOLDER)",
                code="bad_message",
                where="path",
            )
        if ".." in PurePosixPath(given).parts or ".." in PureWindowsPath(given).parts:
            raise _forbidden(given, "it has '..' in it; name the path from the folder for recordings downwards")
        path = Path(os.path.realpath(self._root / given))  # an absolute path replaces the folder
        if self._root not in path.parents:
            raise _forbidden(given, "it leads out of the folder for recordings; name a path in there")
        if ".part" in path.suffixes:
            raise _forbidden(given, "'.part' marks recordings that are not whole yet; choose another name")
        return str(path)


def _forbidden(given: str, why: str) -> AccessError:
    return AccessError(f"path {given!r}: {why}", code="path_forbidden", where="path")
