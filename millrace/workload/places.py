"""Places of values in a declaration, as pydantic's errors have them: `("prediction", "features", 2, "encoder")`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

Place = Sequence[int | str]


@contextmanager
def within(*place: str) -> Iterator[None]:
    """Within the block, the places of a ValidationError begin with `place`.

    A validator that validates other values, such as hyperparameters, says by it under which key they are."""
    try:
        yield
    except ValidationError as error:
        moved: list[InitErrorDetails] = [
            {"type": one["type"], "loc": (*place, *one["loc"]), "input": one["input"], "ctx": one.get("ctx", {})}
            for one in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, moved) from None


def keys_at(place: Place, root: type[BaseModel]) -> tuple[str, ...]:
    """The keys that the part of the document at `place` may have, where `root` is the whole document."""
    models = [root]
    for part in place:
        if inner := [model for each in models for model in models_in(_fields(each).get(part))]:
            models = inner
        # Behind a field of several kinds, pydantic's place has the kind: `training`, `split`, `column`, `absent`.
        elif kind := [model for model in models if any(part in get_args(one) for one in _fields(model).values())]:
            models = kind
    return tuple(dict.fromkeys(str(key) for model in models for key in _fields(model)))


def _fields(model: type[BaseModel]) -> dict[int | str, Any]:
    """The type of each key of the model's part of the document."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the models in a type: of `tuple[Feature, ...] | None` it is `Feature`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)
