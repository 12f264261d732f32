"""The progress of a map as one line in the terminal or notebook, always the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from asmu_control.analyzer.mapping.result import MapProgress


class ProgressLine:
    """On stderr; where that is neither a terminal nor a notebook, only the last state, at the end."""

    def __init__(self) -> None:
        self._console: Console | None = None
        self._live: Live | None = None
        self._line: Text | None = None

    def show(self, progress: MapProgress) -> None:
        """The line is this from now on; red where half of the ring is behind."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._line = Text(str(progress), style="red" if progress.lag_frames > progress.capacity // 2 else "")
        if self._console is None:
            self._console = Console(stderr=True)
            if self._console.is_terminal or self._console.is_jupyter:
                # Drawn when it changes, not by a thread.
                self._live = Live(self._line, console=self._console, auto_refresh=False)
                self._live.start()
        if self._live is not None:
            self._live.update(self._line, refresh=True)

    def close(self) -> None:
        """Leave the last line where it stands."""
        if self._live is not None:
            self._live.stop()
        elif self._console is not None and self._line is not None:
            self._console.print(self._line, soft_wrap=True)
