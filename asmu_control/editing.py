"""Several changes of a patch as one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asmu_control.patch import Patch
    from asmu_control.transaction import Transaction


class Editing:
    """What an interface can do with its changes."""

    _patch: Patch

    def edit(
        self, at: int | None = None, *, if_revision: int | None = None, keep: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Several changes as one: ``with interface.edit(): …``.

        All take effect with the same frame, or none where one is refused or the body raises. With `at` that is a frame
        yet to come: exactly between two samples, wherever that is in a block, so that a burst starts on the sample. The
        processors of the script have the changes at once; where they are cancelled, or the engine has to drop them, they go
        back. A recorder or player that is made in the body begins when `Transaction.wait` finds it in effect; to begin one on
        the sample, make it before and see `Recorder.record` and `Player.begin`.

        Parameters
        ----------
        at
            Frame position of effect; see `frame_position`. One that is over: the next block. Default: the next block.
        if_revision
            Only if the engine's patch still has this revision (see `stats`).
        keep
            Attached: the processors made here stay in the patch when this script leaves.

        Raises
        ------
        EngineError
            ``engine_state``: `at` or `if_revision`, but the engine is not up yet.
        PatchError
            ``revision_changed``; ``scheduled_full``: 4096 transactions wait already; and what the engine refuses.

        Examples
        --------
        ::

            with interface.edit(at=interface.frame_position + 48_000) as edit:
                burst.restart()
                gain.set_gain(0.5)
            edit.wait()
            print(edit.at, edit.late)
        """
        if at is not None and (not hasattr(at, "__index__") or at < 0):
            raise ValueError(f"at={at!r}: use a frame position, a whole number of 0 or more")
        return self._patch.transaction(None if at is None else int(at), if_revision=if_revision, keep=keep)
