"""What a handler of requests is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asmu_engine.host.child import Answer
from asmu_engine.host.clients import Client
from asmu_engine.protocol import messages

Handlers = dict[type[messages.Request], Callable[[Any, Client, Answer], None]]
"""By class of request: does it and answers, at once or later; raises AsmuError to refuse it."""
