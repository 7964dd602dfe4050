"""Classes of formats that give them ids of their own, file by file or line by line, and never numbers 0..C-1.

Classes are told apart by name; ids only give the order, so that ids starting at 1 or 2, or with holes, do not matter.
It knows no format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from unicodedata import category

from overflight.data.findings import Finding
from overflight.data.formats.json_files import SHOWN_CHARACTERS, printable, shown

Id = int | str
_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})


def class_name(value: object) -> str | None:
    """``value`` as the name of a class, without spaces around it; None when it is no text or empty.

    Very long names and those with control characters, which would break a list of one name a line, are escaped.
    """
    if not isinstance(value, str) or not (name := value.strip()):
        return None
    usual = name.isprintable() or not any(category(sign) in _BREAKING for sign in name)
    clean = len(name) <= SHOWN_CHARACTERS and usual
    return name if clean else printable(name)


def merged_classes(lists: Sequence[tuple[str, Mapping[Id, str]]]) -> tuple[tuple[str, ...], list[Finding]]:
    """Class names of several lists, and a finding for each list that contradicts the ones before it.

    In the order of the ids when no two lists contradict each other, else in the order of appearance.

    Args:
        lists: Place and names by id of each.
    """
    name_of: dict[Id, str] = {}
    id_of: dict[str, Id] = {}
    findings: list[Finding] = []
    for where, names in lists:
        first_id: dict[str, Id] = {}
        for key in sorted(names, key=_order):
            first_id.setdefault(names[key], key)
        ordered = [(key, name) for name, key in first_id.items()]
        wrong = [(key, name) for key, name in ordered if name_of.get(key, name) != name or id_of.get(name, key) != key]
        if wrong:
            key, name = wrong[0]
            other = f"id {key!r} is {shown(name_of[key])}" if key in name_of else f"it has id {id_of[name]!r}"
            what = f"class {shown(name)} has id {key!r}, and in a file or line before {other}; names were followed"
            findings.append(Finding("error", "class-names", where, what, "Use one list of classes for all label files"))
        for key, name in ordered:
            name_of.setdefault(key, name)
            id_of.setdefault(name, key)
    if not findings:
        return tuple(name_of[key] for key in sorted(name_of, key=_order)), findings
    return tuple(id_of), findings


def _order(key: Id) -> tuple[bool, int, str]:
    return (False, key, "") if isinstance(key, int) else (True, 0, key)
