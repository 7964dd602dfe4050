"""What people state about a model: uses, risk, owner. Nothing here is measured and nothing is guessed.

The file is YAML (``model_card_facts.yaml`` is the one to fill in). Lengths are those of AWS's card, so a text that is
too long is refused where it is written instead of being cut.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, field_validator, model_validator

from overflight.errors import InputError

NOT_STATED = "not stated"
RATINGS = ("Low", "Medium", "High", "Unknown")
_LONG = 2048

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=512)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=_LONG)]
Lines = tuple[Line, ...]


class StatedFacts(BaseModel):
    """Content of the facts file; empty means not stated.

    Attributes:
        owner: Who answers for the model.
        contact: How to reach them.
        purpose: What the model is for.
        intended_uses: Uses it is meant for.
        out_of_scope_uses: Uses it is not meant for.
        factors: What makes it better or worse.
        risk_rating: By the organisation's rules.
        risk_explanation: Why that rating.
        business_problem: The problem it helps to solve.
        stakeholders: Who uses the result or is affected by it.
        line_of_business: The wider need.
        ethical_considerations: Privacy, people on the photographs.
        data_licence: Terms under which the photographs may be used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Line = ""
    contact: Line = ""
    purpose: Text = ""
    intended_uses: Lines = ()
    out_of_scope_uses: Lines = ()
    factors: Lines = ()
    risk_rating: Literal["Low", "Medium", "High", "Unknown"] = "Unknown"
    risk_explanation: Text = ""
    business_problem: Text = ""
    stakeholders: Lines = ()
    line_of_business: Text = ""
    ethical_considerations: Text = ""
    data_licence: Line = ""

    @field_validator("*", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        """``name:`` without anything is what YAML calls null: not stated. One line where a list may stand is a list."""
        field = cls.model_fields[info.field_name]
        if value is None:
            return field.get_default()
        if isinstance(field.default, tuple) and isinstance(value, str):
            return (value,) if value.strip() else ()
        return value

    @model_validator(mode="after")
    def _fits(self) -> StatedFacts:
        texts = {
            "intended_uses and out_of_scope_uses": uses_text(self),
            "factors": lines_text(self.factors),
            "stakeholders": lines_text(self.stakeholders),
        }
        for name, text in texts.items():
            if len(text) > _LONG:
                raise ValueError(f"{name} have {len(text)} characters together, {_LONG} are allowed")
        return self

    def missing(self) -> tuple[str, ...]:
        """Names of the entries that a complete card needs and that are not stated."""
        return tuple(name for name in _NEEDED if not getattr(self, name) or getattr(self, name) == "Unknown")


_NEEDED = (
    "owner",
    "contact",
    "purpose",
    "intended_uses",
    "out_of_scope_uses",
    "factors",
    "risk_rating",
    "risk_explanation",
    "business_problem",
    "stakeholders",
)


def uses_text(stated: StatedFacts) -> str:
    """Intended uses and those it is not meant for as one text: AWS's card has one field for both."""
    parts = []
    if stated.intended_uses:
        parts.append(f"Meant for:\n{lines_text(stated.intended_uses)}")
    if stated.out_of_scope_uses:
        parts.append(f"Not meant for:\n{lines_text(stated.out_of_scope_uses)}")
    return "\n".join(parts)


def lines_text(lines: tuple[str, ...]) -> str:
    """Lines with a hyphen before each."""
    return "\n".join(f"- {line}" for line in lines)


def read_stated(text: str, *, where: str) -> StatedFacts:
    """The content of a facts file.

    Raises:
        InputError: not YAML, an unknown name, or a value that does not fit; every problem with its name.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "cannot be read"
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"is not YAML ({problem})", where=f"{where}{line}", cure=_CURE) from error
    if not isinstance(document, dict | None):
        raise InputError("does not hold names with values", where=where, cure=_CURE)
    try:
        return StatedFacts.model_validate(document or {})
    except ValidationError as error:
        said = [
            f"{'.'.join(str(part) for part in one['loc']) or 'file'}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise InputError("; ".join(said), where=where, cure=_CURE) from error


_CURE = "Write a fresh file with: overflight models card PACKAGE --init card.yaml"


def blank_facts() -> str:
    """The facts file to fill in."""
    return files("overflight.governance").joinpath("model_card_facts.yaml").read_text(encoding="utf-8")
