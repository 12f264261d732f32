"""The last steps of a recording: from the file that grew to the file that was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import soundfile

from asmu_engine.disk.bext import set_broadcast_info
from asmu_engine.disk.formats import FileForm, set_tags, system_text
from asmu_engine.disk.paths import part_path
from asmu_engine.recording.plainwav import make_plain_wav

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_STRING_DATA: Final = "string data"
"""In libsndfile's refusal to reopen a file that has its tags already."""


Encode = Callable[[Path, Path], object]


def make_whole(part: Path, path: Path, form: FileForm, encode: Encode | None = None) -> None:
    """Give a closed part its tags, its format, its place on the disk and its name, in this order.

    Each step may be repeated, so that another process can take over where one died.

    Parameters
    ----------
    part, path
        Where it grew, and where it is to stand.
    form
        What it is to be.
    encode
        Makes a file at the second path of the part at the first, where libsndfile is not to do that by `form`.

    Raises
    ------
    soundfile.SoundFileError, OSError
        From the disk; the part is still there.
    """
    if not part.exists():  # it has its name already
        return
    whole = part
    if not form.direct:
        whole = part_path(path)
        if encode is None:
            encode_file(part, whole, form)
        else:
            encode(part, whole)
    elif form.tags:
        _append_tags(part, form.tags)
    if form.plain_wav:
        make_plain_wav(whole)
    with whole.open("r+b") as file:
        os.fsync(file.fileno())
    whole.replace(path)
    if whole != part:
        part.unlink()


def _append_tags(part: Path, tags: dict[str, str]) -> None:
    """Tags go behind the audio and come last: libsndfile does not reopen a file for writing that has some."""
    try:
        with soundfile.SoundFile(part, "r+") as file:
            set_tags(file, tags)
    except soundfile.LibsndfileError as error:
        if _STRING_DATA not in system_text(error):
            raise


def encode_file(part: Path, target: Path, form: FileForm, info: bytes | None = None) -> None:
    """Write a sound file's frames to another one of another form, with `info` for `set_broadcast_info`."""
    rows = max(1, _BLOCK_BYTES // (4 * form.channels))
    with (
        soundfile.SoundFile(part) as source,
        soundfile.SoundFile(target, "w", form.samplerate, form.channels, form.subtype, format=form.format) as file,
    ):
        if info is not None:
            set_broadcast_info(file, info)
        set_tags(file, form.tags)
        while len(block := source.read(rows, dtype="float32", always_2d=True)):
            file.write(block)
