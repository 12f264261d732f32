"""The door for clients of other machines: ZeroMQ asks here who may come in, before the first message is read."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import zmq

from asmu_engine.protocol.keys import KeyRing
from asmu_engine.protocol.zap import ZAP_ENDPOINT, Refusals, zap_answer

QUESTIONS_A_TURN: Final = 64
"""Strangers knock as often as they like; whoever answers has other things to see to in between."""


class Door:
    """Answers for all CURVE sockets of one context, out of a key ring.

    Parameters
    ----------
    refusals
        Told who was not let in.
    """

    def __init__(self, context: zmq.Context[Any], ring: KeyRing, refusals: Refusals) -> None:
        self._ring = ring
        self._refusals = refusals
        self.socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ZAP_ENDPOINT)

    def answer(self) -> None:
        """Answer the questions that wait, some of them where there are many."""
        with contextlib.suppress(zmq.Again):
            for _ in range(QUESTIONS_A_TURN):
                answer, address, why = zap_answer(self._ring, self.socket.recv_multipart(zmq.NOBLOCK))
                self.socket.send_multipart(answer)
                if why:
                    self._refusals.note(address, why)

    def close(self) -> None:
        """Nobody comes in any more."""
        self.socket.close(0)
