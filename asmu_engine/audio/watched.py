"""Cores of plugins under watch: while the code of one runs, the counters page says whose it is.

Should it take the whole process with it, as a segmentation fault does, the host reads there which node was to blame. Our own
cores are not watched and cost nothing for it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from asmu_engine.rt.acore import ACore
from asmu_engine.shm.status import StatusPage, core_mark

_IN_CALLBACK: Final = ("process", "emit", "absorb", "changed", "reset", "adopt")
_OUTSIDE: Final = ("convert", "shortest", "close")


class Watch:
    """Makes cores whose code is marked on a counters page; without a page they are as they are."""

    def __init__(self, page: StatusPage | None) -> None:
        self._page = page
        self._classes: dict[type[ACore], type[ACore]] = {}
        if page is not None:
            page.forget_cores()

    @contextmanager
    def making(self, kind: type[ACore], node: str) -> Iterator[type[ACore]]:
        """The class of which to make the core of a node, and who is to blame meanwhile."""
        page = self._page
        if page is None:
            yield kind
            return
        if kind not in self._classes:
            self._classes[kind] = _watched(kind, page)
        before = page.mark_core(core_mark(node), outside=True)
        try:
            yield self._classes[kind]
        finally:
            page.mark_core(before, outside=True)


def _watched(kind: type[ACore], page: StatusPage) -> type[ACore]:
    """A class like it. Methods of a class, not of each core: those would tie it into a cycle that nothing here collects."""
    methods: dict[str, Any] = {"__module__": kind.__module__, "__doc__": kind.__doc__, "__qualname__": kind.__qualname__}
    for names, outside in (((*_IN_CALLBACK, *kind.calls), False), (_OUTSIDE, True)):
        methods |= {name: _marked(getattr(kind, name), page, outside) for name in names if hasattr(kind, name)}
    watched: type[ACore] = types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(methods))
    return watched


def _marked(method: Callable[..., Any], page: StatusPage, outside: bool) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(core: ACore, *arguments: Any) -> Any:
        # A method may call another, so what was marked before comes back after.
        before = page.mark_core(core_mark(core.setup.node), outside=outside)
        try:
            return method(core, *arguments)
        finally:
            page.mark_core(before, outside=outside)

    return call
