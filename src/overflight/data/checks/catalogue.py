"""The catalogue of checks: id, severity, thresholds, explanation and cure of each, all in ``catalogue.yaml``.

A user changes severities and thresholds, never the meaning of a check. It does not know how a check is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal, cast

import yaml

from overflight.errors import UsageError

Group = Literal["photo", "label", "survey", "split"]
Level = Literal["error", "warning", "off"]
LEVELS: tuple[Level, ...] = ("error", "warning", "off")
_SEE = "See: overflight survey checks"


@dataclass(frozen=True)
class Rule:
    """One check as configured.

    Attributes:
        code: Its id, which findings carry.
        number: Place in the list of checks.
        group: What it looks at.
        level: Severity of its findings, or ``off``.
        title: A few words for tables.
        explanation: Why it matters to a detector, one or two sentences.
        cure: What to do about it.
        limits: Thresholds by name, units in the names.
        fixable: ``--fix`` has a safe cure for it.
    """

    code: str
    number: int
    group: Group
    level: Level
    title: str
    explanation: str
    cure: str
    limits: Mapping[str, float]
    fixable: bool = False


Catalogue = Mapping[str, Rule]


def load_catalogue(changes: Iterable[str] = ()) -> dict[str, Rule]:
    """All rules by code, in the order of their numbers, with a user's changes.

    Args:
        changes: ``code=error|warning|off`` or ``code.limit=number``, e.g. ``dark=off``, ``tiny.min_side_px=10``.

    Raises:
        UsageError: an unknown check or limit, or a value that cannot be used.
    """
    document = yaml.safe_load(files("overflight.data.checks").joinpath("catalogue.yaml").read_text(encoding="utf-8"))
    rules = [_rule(code, entry) for code, entry in document.items()]
    found = {rule.code: rule for rule in sorted(rules, key=lambda rule: rule.number)}
    for change in changes:
        changed = _changed(found, change)
        found[changed.code] = changed
    return found


def _rule(code: str, entry: Mapping[str, Any]) -> Rule:
    return Rule(
        code=code,
        number=int(entry["number"]),
        group=cast("Group", entry["group"]),
        level=cast("Level", entry["level"]),
        title=str(entry["title"]),
        explanation=str(entry["explanation"]).strip(),
        cure=str(entry["cure"]).strip(),
        limits={name: float(value) for name, value in entry.get("limits", {}).items()},
        fixable=bool(entry.get("fixable", False)),
    )


def _changed(catalogue: Catalogue, change: str) -> Rule:
    name, found, value = (part.strip() for part in change.partition("="))
    code, dot, limit = name.partition(".")
    rule = catalogue.get(code)
    if not found or rule is None:
        known = "is not of the form code=level or code.limit=number" if not found else f"there is no check {code!r}"
        raise UsageError(known, where=change, cure=_SEE)
    if not dot:
        if value not in LEVELS:
            raise UsageError(f"{value!r} is not error, warning or off", where=change, cure=f"Write {code}=warning")
        return replace(rule, level=value)
    if limit not in rule.limits:
        known = ", ".join(rule.limits) or "none"
        raise UsageError(f"check {code!r} has no limit {limit!r} (it has: {known})", where=change, cure=_SEE)
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise UsageError(f"{value!r} is not a number", where=change, cure=f"Write {name}={rule.limits[limit]:g}")
    return replace(rule, limits={**rule.limits, limit: number})
