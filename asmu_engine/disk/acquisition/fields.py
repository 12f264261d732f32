"""Fields of a command that are made of several, checked by their models."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from asmu_engine.disk.fields import take
from asmu_engine.protocol.errors import ProtocolError

Model = TypeVar("Model", bound=BaseModel)


def take_model(message: dict[str, Any], name: str, model: type[Model]) -> Model:
    """One field, empty where it is missing; ProtocolError ``bad_message`` where it is none of these."""
    return as_model(take(message, name, dict, {}), f"{message.get('do')}: {name}", model)


def as_model(data: object, what: str, model: type[Model]) -> Model:
    """A model from what the host sent; ProtocolError ``bad_message``, which begins with `what`, where it is none."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError(f"{what} {where}: {first['msg']}", code="bad_message", where=where) from None
