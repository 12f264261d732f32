"""Requests on the keys of clients on other machines."""

from __future__ import annotations

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.protocol import messages
from asmu_engine.protocol.errors import ProtocolError
from asmu_engine.protocol.keys import KeyRing


class KeyHandlers:
    """Lists and revokes; new keys are made with ``asmu keys new`` alone, so that no secret is ever sent.

    The endpoint looks at the same files, and ends the connections of a key that was revoked.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self.handlers: Handlers = {messages.Keys: self._keys}

    def _keys(self, request: messages.Keys, client: Client, answer: Answer) -> None:
        if request.action == "revoke":
            if not request.name:
                raise ProtocolError("keys: name says which key to revoke", code="bad_message", where="name")
            self._ring.revoke(request.name)
        else:
            self._ring.refresh()
        answer({"keys": [key.facts() for key in self._ring.all()], "problems": list(self._ring.problems)}, None)
