"""Requests on what was done: it is listed, and taken back."""

from __future__ import annotations

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.history import History
from asmu_engine.host.transactions import Made, Transactions
from asmu_engine.protocol import messages


class HistoryHandlers:
    """Answers from the history; what is undone is so by a transaction of the client that asks, in its turn among the others."""

    def __init__(self, history: History, transactions: Transactions) -> None:
        self._history = history
        self._transactions = transactions
        self.handlers: Handlers = {messages.History: self._list, messages.Undo: self._undo}

    def _list(self, request: messages.History, client: Client, answer: Answer) -> None:
        answer(self._history.entries(request.since, request.limit, edits=request.edits), None)

    def _undo(self, request: messages.Undo, client: Client, answer: Answer) -> None:
        def make() -> Made:
            edits, calls = self._history.undo(request.revision)
            return Made(edits, request.revision, {"not_undone": calls} if calls else None)

        self._transactions.submit(request, client, 0, answer, make)
