"""``asmu relay``: taps of an engine of this machine, for clients on others."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Annotated, Final

import typer

from asmu_control.relay.packing import FORMATS
from asmu_control.relay.publisher import QUEUE_MESSAGES
from asmu_control.relay.relay import BLOCK, Relay
from asmu_engine.protocol.keys import fingerprint

LISTEN: Final = "tcp://*:5557"

_EVERY_TAP: Final = "all"


def relay(
    engine: Annotated[str, typer.Option(help="Name of the engine; it may end and come again.")] = "default",
    listen: Annotated[str, typer.Option(help="Where subscribers come in: tcp://ADDRESS:PORT, * for all or a free one.")] = LISTEN,
    tap: Annotated[list[str] | None, typer.Option(help="Tap that may be subscribed to; may be repeated; default: all.")] = None,
    form: Annotated[
        str, typer.Option("--format", help=f"Form of the samples: {', '.join(FORMATS)}; only float32 carries each as it is.")
    ] = "float32",
    block: Annotated[int, typer.Option(help="Frames a message.")] = BLOCK,
    queue: Annotated[int, typer.Option(help="Messages that wait for one slow subscriber until it loses some.")] = QUEUE_MESSAGES,
) -> None:
    """Publish taps to clients on other machines, with their keys; end with Ctrl-C.

    A tap costs nothing until somebody subscribes to it. Who is too slow loses frames, and is told how many.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Whose lock is asked for twice a second says so each time.
    logging.getLogger("filelock").setLevel(logging.WARNING)
    taps = [] if tap is None or _EVERY_TAP in tap else tap
    running = Relay(engine, listen, taps=taps, form=form, block=block, queue=queue)
    with contextlib.closing(running), _stopped_by_signals(running):
        typer.echo(
            f"relay of engine {engine} listens at {running.endpoint}, as {form}; clients trust it by the engine's key "
            f"{fingerprint(running.server)}; end it with Ctrl-C"
        )
        running.run()


@contextlib.contextmanager
def _stopped_by_signals(running: Relay) -> Iterator[None]:
    """Ctrl-C and a termination signal let it end in order."""

    def stop(number: int, frame: FrameType | None) -> None:
        running.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
