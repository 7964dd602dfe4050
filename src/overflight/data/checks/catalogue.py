"""The catalogue of checks: id, severity, thresholds, explanation and cure of each, all in ``catalogue.yaml``.

A user changes severities and thresholds, never the meaning of a check. Checks whose findings stand for something that
is not in the survey (a line that is no box, a photograph that cannot be read) are ``fixed``: they can be lowered to a
warning, not switched off, because then it would be missing without a word. It does not know how a check is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from overflight.errors import UsageError

Group = Literal["photo", "label", "survey", "split"]
Level = Literal["error", "warning", "off"]
LEVELS: tuple[Level, ...] = ("error", "warning", "off")
MAX_FILE_BYTES = 1_000_000
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
        fixed: Cannot be switched off.
        default: Severity in the product's own catalogue, whatever the user made of ``level``.
        shares: Code of the check whose limits it uses besides its own, so that no gap can open between the two.
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
    fixed: bool = False
    default: Level = "error"
    shares: str = ""


Catalogue = Mapping[str, Rule]


def load_catalogue(changes: Iterable[str] = ()) -> dict[str, Rule]:
    """All rules by code, in the order of their numbers, with a user's changes.

    Args:
        changes: ``code=error|warning|off`` or ``code.limit=number``, e.g. ``dark=off``, ``tiny.min_side_px=10``.

    Raises:
        UsageError: an unknown check or limit, a value that cannot be used, or ``off`` for a fixed check.
    """
    found = {rule.code: rule for rule in _as_shipped()}
    for change in changes:
        changed = _changed(found, change)
        found[changed.code] = changed
    for rule in [rule for rule in found.values() if rule.shares]:
        found[rule.code] = replace(rule, limits={**found[rule.shares].limits, **rule.limits})
    return found


@cache
def _as_shipped() -> tuple[Rule, ...]:
    document = yaml.safe_load(files("overflight.data.checks").joinpath("catalogue.yaml").read_text(encoding="utf-8"))
    rules = [_rule(code, entry) for code, entry in document.items()]
    return tuple(sorted(rules, key=lambda rule: rule.number))


def load_changes_file(path: Path) -> list[str]:
    """Changes for :func:`load_catalogue` from a YAML file, checked against the catalogue.

    The file holds one entry per check: a level, or its limits and, if wanted, its level::

        dark: off
        tiny: {min_side_px: 10}
        huge: {level: error, max_area_share: 0.8}

    Raises:
        UsageError: the file cannot be read or is no such table, or a change cannot be made.
    """
    document = _read_yaml(path)
    if document is None:
        return []
    if not isinstance(document, dict):
        raise UsageError("is not a table of checks", where=str(path), cure="Write lines such as `dark: off`")
    changes = [change for code, entry in document.items() for change in _changes_of(code, entry, path)]
    try:
        load_catalogue(changes)
    except UsageError as error:
        raise UsageError(error.what, where=f"{path}: {error.where}", cure=error.cure) from error
    return changes


def _read_yaml(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"is larger than {MAX_FILE_BYTES:,} bytes", where=str(path), cure=_SEE)
        text = path.read_text(encoding="utf-8-sig")
        _refuse_repetitions(text, path)
        return yaml.safe_load(text)
    except OSError as error:
        cure = "Give a YAML file with changes of checks"
        raise UsageError(f"cannot be opened ({error.strerror})", where=str(path), cure=cure) from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        what = f"is not YAML ({error.problem})"
        raise UsageError(what, where=f"{path}{line}", cure="Write lines such as `dark: off`") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError("is not YAML text", where=str(path), cure="Write lines such as `dark: off`") from error


def _refuse_repetitions(text: str, path: Path) -> None:
    """YAML keeps the last of two equal keys without a word."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    seen: set[str] = set()
    for key, _ in root.value if isinstance(root, yaml.MappingNode) else ():
        name = str(key.value)
        if name in seen:
            where = f"{path}:{key.start_mark.line + 1}"
            raise UsageError(f"check {name[:80]!r} is named twice", where=where, cure="Write one entry for it")
        seen.add(name)


def _changes_of(code: object, entry: object, path: Path) -> list[str]:
    if not isinstance(entry, dict):
        return [f"{code}={_written(entry, f'{path}: {code}')}"]
    return [
        f"{code}={_written(value, f'{path}: {code}')}"
        if name == "level"
        else f"{code}.{name}={_written(value, f'{path}: {code}.{name}')}"
        for name, value in entry.items()
    ]


def _written(value: object, where: str) -> str:
    """As it was written in YAML, where a bare ``off`` means False."""
    if value is False:
        return "off"
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return f"{value:.17g}" if isinstance(value, float) else str(value)
    raise UsageError("is neither a level nor a number", where=where, cure="Write error, warning, off or a number")


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
        fixed=bool(entry.get("fixed", False)),
        default=cast("Level", entry["level"]),
        shares=str(entry.get("shares", "")),
    )


def _changed(catalogue: Catalogue, change: str) -> Rule:
    name, found, value = (part.strip() for part in change.partition("="))
    code, dot, limit = name.partition(".")
    rule = catalogue.get(code)
    if not found:
        raise UsageError("is not of the form code=level or code.limit=number", where=change[:200], cure=_SEE)
    if rule is None:
        raise UsageError(f"there is no check {code[:80]!r}", where=change[:200], cure=_near(code, catalogue))
    if not dot:
        return _with_level(rule, value, change)
    if limit not in rule.limits:
        shared = catalogue[rule.shares] if rule.shares else None
        if shared is not None and limit in shared.limits:
            what = f"{limit!r} is a limit of {rule.shares!r}, which {code!r} shares"
            raise UsageError(what, where=change[:200], cure=f"Write {rule.shares}.{limit}={value}")
        known = ", ".join(rule.limits) or "none"
        what = f"check {code!r} has no limit {limit[:80]!r} (it has: {known})"
        raise UsageError(what, where=change[:200], cure=_near(limit, rule.limits))
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise UsageError(
            f"{value[:80]!r} is not a number", where=change[:200], cure=f"Write {name}={rule.limits[limit]:g}"
        )
    if number < 0:  # sides, shares, counts and distances: below zero a check would find all or nothing, silently
        cure = f"Write 0 or more, or {code}=off" if not rule.fixed else "Write 0 or more"
        raise UsageError(f"{limit} is never less than 0", where=change[:200], cure=cure)
    return replace(rule, limits={**rule.limits, limit: number})


def _with_level(rule: Rule, value: str, change: str) -> Rule:
    if value not in LEVELS:
        raise UsageError(
            f"{value[:80]!r} is not error, warning or off", where=change[:200], cure=f"Write {rule.code}=warning"
        )
    if rule.fixed and value == "off":
        what = (
            f"{rule.code!r} cannot be switched off: what it names is left out of the survey and must not be so silently"
        )
        raise UsageError(what, where=change[:200], cure=f"Write {rule.code}=warning")
    return replace(rule, level=value)


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:80], list(known), n=3)
    return f"Do you mean {' or '.join(near)}?" if near else _SEE
