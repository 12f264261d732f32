"""The topics of events."""

from __future__ import annotations

from typing import Literal

Topic = Literal["engine", "patch", "xrun", "node", "device", "disk", "client"]
"""What an event is about; a subscriber chooses some of them."""
