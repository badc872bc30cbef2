"""The shape of a settings class: which field, and which model, stands at a place that a validation error names."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fairlead.config.document import KeyPath


class Place(NamedTuple):
    """A place that a validation error names.

    Parameters
    ----------
    path : tuple of str or int
        Where it is in the document: without the tags that pydantic adds for the chosen member of a union.
    options : tuple
        The types that may stand there, unions taken apart; empty if no model declares them.
    field : FieldInfo or None
        The declaration of the last key.
    """

    path: KeyPath
    options: tuple[Any, ...]
    field: FieldInfo | None

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """The models among `options`."""
        return tuple(option for option in self.options if _is_model(option))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that may stand in this place, sorted."""
        return tuple(sorted({name for model in self.models for name in model.model_fields}))


def place_of(model: type[BaseModel] | None, location: KeyPath, *, has_tags: bool = True) -> Place:
    """Return the place at `location` in a document of the shape `model`.

    Parameters
    ----------
    model : class or None
        None if it is not known: the place then has a path and nothing else.
    location : tuple of str or int
        A validation error's ``loc``, or a path in the document.
    has_tags : bool
        Whether `location` is a ``loc``, with union tags.
    """
    place = Place((), (model,) if model is not None else (), None)
    for part in location:
        tagged = [option for option in place.models if _is_tagged(option, part)]
        # A tag may also be the name of a field; only a union of models has tags, and then always.
        if has_tags and len(place.models) > 1 and tagged:
            place = place._replace(options=tuple(tagged))
            continue
        field = next((option.model_fields[str(part)] for option in place.models if part in option.model_fields), None)
        below = [inner for option in place.options for inner in _step(option, part)]
        place = Place((*place.path, part), tuple(option for inner in below for option in _options(inner)), field)
    return place


def _step(option: Any, part: str | int) -> Iterator[Any]:
    if _is_model(option):
        if part in option.model_fields:
            yield option.model_fields[part].annotation
        return
    container, inner = get_origin(option), get_args(option)
    if not isinstance(container, type) or not inner:
        return
    if issubclass(container, Mapping):
        yield inner[1]
    elif issubclass(container, Sequence) and isinstance(part, int):
        yield inner[part] if issubclass(container, tuple) and Ellipsis not in inner and part < len(inner) else inner[0]


def _options(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _is_tagged(model: type[BaseModel], tag: str | int) -> bool:
    # In a discriminated union pydantic puts the tag of the chosen model between the union's place and the field's.
    literals = (f.annotation for f in model.model_fields.values() if get_origin(f.annotation) is Literal)
    return any(tag in get_args(literal) for literal in literals)
