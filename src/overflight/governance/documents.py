"""Documents that people can write, read so that nothing in them can break what is made of them.

A document is JSON of a known shape (``documents.yaml``). What has another shape is left out and named; what is missing
stays missing. Whether a document says the truth is not known here.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

LARGEST_BYTES = 256 * 1024 * 1024
_LARGEST_NUMBER = 1e15
_LONGEST_TEXT = 1000  # characters
_MOST_NAMED = 3
_LEFT_OUT = object()


@dataclass(frozen=True)
class Document:
    """What a document says.

    Attributes:
        content: Its members of the known shape; empty when it cannot be read.
        readable: Whether it is a JSON object.
        problem: What is wrong with it, in a few words; "" when nothing is.
    """

    content: dict[str, Any] = field(default_factory=dict)
    readable: bool = True
    problem: str = ""


_NO_OBJECT = Document(readable=False, problem="is not a JSON object")


def read_document(name: str, content: bytes | str) -> Document:
    """The content of a file as a document.

    Args:
        name: File name; one that has no known shape is taken as it is.
        content: JSON text.
    """
    try:
        value = json.loads(content, parse_constant=lambda _: None)
    except (ValueError, RecursionError):  # UnicodeDecodeError and numbers of thousands of digits included
        return _NO_OBJECT
    if not isinstance(value, dict):
        return _NO_OBJECT
    return fitted(name, value)


def fitted(name: str, value: Mapping[str, Any]) -> Document:
    """The members of ``value`` that have the shape of the document called ``name``."""
    wrong: list[str] = []
    made = _fit(value, _shapes().get(name, "any"), "", wrong)
    shown = ", ".join(wrong[:_MOST_NAMED]) + (
        f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    )
    return Document(made if isinstance(made, dict) else {}, problem=f"is not as it should be: {shown}" if wrong else "")


@functools.cache
def _shapes() -> dict[str, Any]:
    text = importlib.resources.files("overflight.governance").joinpath("documents.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


def _fit(value: Any, shape: Any, where: str, wrong: list[str]) -> Any:
    """``value`` without what has another shape; the places of that are added to ``wrong``."""
    if isinstance(shape, list):
        made = _fit_list(value, shape[0], where, wrong) if isinstance(value, list) else _LEFT_OUT
    elif isinstance(shape, dict):
        made = _fit_members(value, shape, where, wrong) if isinstance(value, dict) else _LEFT_OUT
    else:
        made = _SCALARS[shape](value)
    if made is _LEFT_OUT:
        wrong.append(_text(where) or "all of it")
    return made


def _fit_list(values: list[Any], shape: Any, where: str, wrong: list[str]) -> list[Any]:
    made = (_fit(value, shape, f"{where}[{number}]", wrong) for number, value in enumerate(values))
    return [one for one in made if one is not _LEFT_OUT]


def _fit_members(value: Mapping[str, Any], shape: Mapping[str, Any], where: str, wrong: list[str]) -> Any:
    """Members by name; ``*`` stands for every other name, ``name!`` for one without which the rest says nothing."""
    made = {}
    for name, item in value.items():
        wanted = next((shape[key] for key in (name, f"{name}!", "*") if key in shape and name != "*"), None)
        if item is None or wanted is None:
            continue
        kept = _fit(item, wanted, f"{where}.{name}" if where else name, wrong)
        if kept is not _LEFT_OUT:
            made[_text(name)] = kept
    needed = [key[:-1] for key in shape if key.endswith("!")]
    return made if all(name in made for name in needed) else _LEFT_OUT


def _text(value: Any) -> Any:
    """Text that can be written anywhere: halves of surrogate pairs become question marks, very long text is cut."""
    if not isinstance(value, str):
        return _LEFT_OUT
    return value[:_LONGEST_TEXT].encode(errors="replace").decode()


def _number(value: Any) -> Any:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER
    return value if fits and not math.isnan(value) else _LEFT_OUT


def _count(value: Any) -> Any:
    return value if isinstance(value, int) and _number(value) is not _LEFT_OUT and value >= 0 else _LEFT_OUT


def _scalar(value: Any) -> Any:
    return value if isinstance(value, bool) else _text(value) if isinstance(value, str) else _number(value)


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "text": _text,
    "number": _number,
    "count": _count,
    "scalar": _scalar,
    "any": lambda value: value,
}
