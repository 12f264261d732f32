"""Methods written once, for clients that block and clients that are awaited."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from asmu_control.exchange import Steps

P = ParamSpec("P")
R = TypeVar("R")


class Blocking:
    """A client whose methods wait with their thread."""

    def _run(self, steps: Steps[R]) -> R:
        raise NotImplementedError


class Awaited:
    """A client whose methods are awaited."""

    async def _run(self, steps: Steps[R]) -> R:
        raise NotImplementedError


class shared(Generic[P, R]):  # noqa: N801 - a decorator
    """Decorator of a method that is a generator of `asmu_control.exchange.Wait`.

    In a `Blocking` class it becomes an ordinary method that returns the result, in an `Awaited` class a coroutine; both
    with the name, arguments and docstring of the one method. `adopt` does this when the class is made.
    """

    def __init__(self, function: Callable[Concatenate[Any, P], Steps[R]]) -> None:
        self.function = function

    @overload
    def __get__(self, instance: Blocking, owner: Any = None) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: Awaited, owner: Any = None) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, instance: None, owner: Any = None) -> Callable[..., Any]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.function if instance is None else self.function.__get__(instance, owner)

    def of(self, cls: type) -> Callable[..., Any]:
        """The method as `cls` has it."""
        function = self.function

        async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await self._run(function(self, *args, **kwargs))

        def blocking(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self._run(function(self, *args, **kwargs))

        call: Any = awaited if issubclass(cls, Awaited) else blocking
        functools.update_wrapper(call, function)
        del call.__wrapped__
        call.__qualname__ = f"{cls.__qualname__}.{function.__name__}"
        returns = str(function.__annotations__["return"]).removeprefix("Steps[").removesuffix("]")
        call.__annotations__ = {**function.__annotations__, "return": returns}
        call.__signature__ = inspect.signature(function).replace(return_annotation=returns)
        return cast(Callable[..., Any], call)


def adopt(cls: type, source: type) -> None:
    """Give a class the shared methods of `source` in its own way."""
    for name, value in vars(source).items():
        if isinstance(value, shared):
            setattr(cls, name, value.of(cls))
