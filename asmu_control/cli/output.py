"""How the commands write to the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(*, folded: bool = False) -> Console:
    """The terminal; markup in names of devices and files is printed as it stands. `folded`: long lines are broken at its edge."""
    from rich.console import Console

    return Console(markup=False, highlight=False, soft_wrap=not folded)
