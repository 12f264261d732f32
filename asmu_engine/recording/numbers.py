"""Numbers as texts."""

from __future__ import annotations


def signed(value: float, digits: int) -> str:
    """A number with its sign and so many decimals; what rounds to zero has no minus.

    >>> signed(-0.004, 2), signed(-1.5, 2), signed(2, 0)
    ('+0.00', '-1.50', '+2')
    """
    return f"{round(value, digits) + 0.0:+.{digits}f}"
