"""Which cores there are: our own, and those of the modules that the engine was told of at its start."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import asmu_engine.cores as own
from asmu_engine.protocol.catalogue import Kind
from asmu_engine.protocol.errors import PluginError
from asmu_engine.rt.acore import ACore


class Kinds:
    """The cores of an engine by the name of their kind.

    `foreign`: the kinds that plugins have brought.
    """

    def __init__(self, plugins: Iterable[str] = ()) -> None:
        self._classes: dict[str, type[ACore]] = {}
        for path in sorted(Path(own.__path__[0]).glob("*.py")):
            if path.stem != "__init__":
                self._take(importlib.import_module(f"{own.__name__}.{path.stem}"))
        ours = frozenset(self._classes)
        for plugin in plugins:
            if not self._take(_load(plugin)):
                raise PluginError(
                    f"plugin {plugin}: holds no core; define a class derived from AGenerator, AEffect or AAnalyzer with a 'kind'",
                    code="plugin_unreadable",
                    where=plugin,
                )
        self.foreign = frozenset(self._classes) - ours

    def __getitem__(self, kind: str) -> type[ACore]:
        """The class of a kind that the host has checked to exist."""
        return self._classes[kind]

    def catalogue(self) -> list[Kind]:
        """All kinds, by name."""
        return [self._classes[name].describe() for name in sorted(self._classes)]

    def _take(self, module: ModuleType) -> int:
        found = 0
        for value in vars(module).values():
            if not (inspect.isclass(value) and issubclass(value, ACore) and value.__module__ == module.__name__):
                continue
            if inspect.isabstract(value) or not hasattr(value, "kind"):
                continue
            known = self._classes.get(value.kind)
            if known is not None:
                raise PluginError(
                    f"kind {value.kind!r} of {module.__name__} is already that of {known.__module__}.{known.__name__}; "
                    "choose another name",
                    code="plugin_conflict",
                    where=value.kind,
                )
            self._classes[value.kind] = value
            found += 1
        return found


def _load(plugin: str) -> ModuleType:
    try:
        if not plugin.endswith(".py"):
            return importlib.import_module(plugin)
        path = Path(plugin).resolve()
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    except Exception as error:  # a user's module may raise anything while it is imported
        raise PluginError(f"plugin {plugin}: {type(error).__name__}: {error}", code="plugin_unreadable", where=plugin) from error
    return module
