"""A session played again from its journal, in this process, as fast as it goes: the same samples as then.

Blocks begin where they began then, and are cut where they were cut; what was lost then is lost again, and where the audio
process was replaced the cores begin anew. A simulated device, or one that plays a file, gives its inputs the same samples; for
what came in through a sound device there is the recording of it. Files that were
played are played again; what a program wrote into a feed is not in the journal, there it is silent.

Samples are equal bit for bit on the same machine with the same versions of the libraries; ``asmu replay`` also gives the
numerical libraries one thread each, as in the audio process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asmu_engine.protocol.errors import ConfigError

if TYPE_CHECKING:
    from asmu_control.typing import PathLike


@dataclass
class ReplayReport:
    """What came of a replay.

    Attributes
    ----------
    position
        Frame position of the file's first frame: where the device first ran.
    frames, channels
        Of the file.
    transactions
        How many were done.
    warnings
        Why the samples may not be those of then, in words; empty when nothing is known against it.
    """

    position: int
    frames: int
    channels: int
    transactions: int
    warnings: list[str] = field(default_factory=list)


def replay(
    journal: PathLike,
    out: PathLike,
    *,
    input: PathLike | None = None,
    tap: str | None = None,
    plugins: Sequence[str] = (),
    session: int = -1,
) -> ReplayReport:
    """Render what the outputs played, or what a tap got, into a sound file.

    Frame n of the file is that of the frame position at which the device first ran, plus n; where the device did not run or
    lost frames, and where there was no such tap, it holds zeros.

    Parameters
    ----------
    journal
        File that an engine wrote (its setting ``journal``).
    out
        The sound file, its format by its ending: one that holds 32-bit floats, such as ``.wav``.
    input
        Sound file for the inputs, beginning where the device first ran, channel n for input n; instead of what the device of
        then gives.
    tap
        Node whose inputs to render, instead of the device's outputs.
    plugins
        Modules or ``.py`` files with further cores: those that the engine had. They are not taken from the journal, since to
        load them is to run them.
    session
        Which of the sessions in the journal, from 0; -1 for the last.

    Raises
    ------
    DiskError
        A file that cannot be read or written.
    ConfigError
        ``bad_config``: no journal, a session that it does not have, plugins that are missing, a format without floats.
    AsmuError
        What a transaction is refused with here, its revision named.
    """
    from asmu_control.journalfile import read_journal
    from asmu_control.replaying import Replaying

    sessions = read_journal(journal)
    if not -len(sessions) <= session < len(sessions):
        raise ConfigError(f"{journal} has {len(sessions)} sessions, none of number {session}", code="bad_config", where="session")
    chosen = sessions[session]
    if len(plugins) < len(chosen.head.get("plugins") or ()):
        named = ", ".join(chosen.head["plugins"])
        raise ConfigError(
            f"the engine of this journal had plugins, which are not loaded unasked: {named}; name them (--plugin)",
            code="bad_config",
            where="plugins",
        )
    replaying = Replaying(chosen, out, input, tap, plugins)
    try:
        return replaying.run()
    finally:
        replaying.close()
