"""What all examples share: their options, set-ups, one line for an error, and where a plot goes."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from asmu_control import ASetup, Interface
from asmu_control.exceptions import AsmuError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def options(doc: str | None, device: str, seconds: float | None = None, plot: bool = False) -> argparse.ArgumentParser:
    """The options of an example; add more, then ``args = parser.parse_args()``.

    Parameters
    ----------
    doc
        The example's docstring, for ``--help``.
    device
        The device where neither ``--device`` nor ``ASMU_DEVICE`` names one.
    seconds
        Default of ``--seconds``; None: no such option.
    plot
        Whether there is ``--plot``; unless ``args.plot`` is None, draw and give the figure to `show`.
    """
    sys.excepthook = _report
    parser = argparse.ArgumentParser(
        prog=f"python -m asmu_control.examples.{Path(sys.argv[0]).stem}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = os.environ.get("ASMU_DEVICE") or device
    parser.add_argument("--device", default=default, help="portaudio:NAME, virtual, file:PATH …; default: %(default)s")
    if seconds is not None:
        parser.add_argument("--seconds", type=float, default=seconds, help="how long to run, seconds; default: %(default)s")
    if plot:
        parser.add_argument("--plot", nargs="?", const="", metavar="FILE.png", help="draw into a file; without one in a window")
    return parser


def setup_interface(device: str, setup: str | None) -> Interface:
    """An interface on `device` with the set-up file `setup`, loaded if it is there already; None: without one."""
    if setup is None:
        return Interface(device=device)
    asetup = ASetup(setup)
    if asetup.path.exists():
        return Interface(asetup, device)
    interface = Interface(device=device)
    interface.asetup = asetup
    return interface


def show(figure: Figure, plot: str) -> None:
    """Write a figure of pyplot to the file `plot`, or show it in a window where `plot` is empty."""
    import matplotlib.pyplot as plt

    if plot:
        figure.savefig(plot, dpi=110)
        print(f"plot: {plot}")
    elif plt.get_backend().lower() == "agg":
        raise SystemExit("there is no display for a window; name a file: --plot FILE.png")
    else:
        plt.show()


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """One line for what a user can put right, and none for Ctrl-C; everything else keeps its traceback."""
    if issubclass(kind, AsmuError):
        print(f"error: {error}", file=sys.stderr)
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
