"""The end of a ``with`` block, where closing can fail as well."""

from __future__ import annotations

from collections.abc import Callable


def leave(close: Callable[[], object], error: BaseException | None, doing: str) -> None:
    """Close; where the body failed with `error` that is the one to be seen, with a note of what went wrong while `doing` this."""
    try:
        close()
    except Exception as second:
        if error is None:
            raise
        error.add_note(f"{doing} then failed as well: {second}")
