"""Requests about what is scheduled: it is listed, asked after, cancelled."""

from __future__ import annotations

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.host.handling import Handlers
from asmu_engine.host.transactions import Transactions
from asmu_engine.protocol import messages


class ScheduleHandlers:
    """Answers from the schedule; what is cancelled is so in its turn among the transactions."""

    def __init__(self, transactions: Transactions) -> None:
        self._schedule = transactions.schedule
        self.handlers: Handlers = {messages.Scheduled: self._scheduled, messages.Cancel: transactions.cancel}

    def _scheduled(self, request: messages.Scheduled, client: Client, answer: Answer) -> None:
        answer(self._schedule.answer(request), None)
