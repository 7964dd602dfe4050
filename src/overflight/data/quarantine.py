"""What a survey leaves out, and why: one line per photograph, and one per box left out of a photograph that stays.

A photograph with an error goes with all its boxes: an object without its label would be taught as background. Entries
that are no boxes, boxes that a cure removed and labels of photographs that are not there are listed too, so that every
entry of a source is in the survey or here. It decides nothing about severities.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from overflight.data.findings import Finding
from overflight.data.formats.json_files import shown
from overflight.data.formats.labels import LabelSet, RefusedBox
from overflight.files import canonical_json

NAMED = frozenset({"missing-photo", "name-differs", "orphan-labels"})
_CURE = "Add the photograph or take its labels out"


@dataclass(frozen=True)
class LeftOut:
    """One line of the quarantine.

    Attributes:
        kind: ``photo``: with all its boxes; ``box``: entries left out of a photograph that stays, or that belong to
            none.
        path: Photograph, relative to the folder that was read; for boxes of no photograph, and photographs that only
            labels name without a place of their own, the label file.
        boxes: Entries it stands for.
        reasons: Findings.
        entries: Place and text of entries that are no boxes, as written (cut), or of removed boxes.
        cured: Removed by a cure.
        absent: A photograph that labels name and no file is there for.
    """

    kind: Literal["photo", "box"]
    path: str
    boxes: int
    reasons: tuple[Finding, ...]
    entries: tuple[tuple[str, str], ...] = ()
    cured: bool = False
    absent: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For ``quarantine.jsonl``."""
        return {
            "kind": self.kind,
            "path": self.path,
            "boxes": self.boxes,
            "reasons": [finding.as_dict() for finding in self.reasons],
            "entries": [{"where": where, "raw": raw} for where, raw in self.entries],
            "cured": self.cured,
            "absent": self.absent,
        }


def quarantine_lines(left_out: Iterable[LeftOut]) -> str:
    """Content of ``quarantine.jsonl``; bytes of names that are not UTF-8 are written as escapes."""
    text = "".join(f"{canonical_json(entry.as_dict())}\n" for entry in left_out)
    return text.encode("utf-8", "backslashreplace").decode()


def left_out_of(
    labels: LabelSet,
    *,
    faulty: Mapping[str, Sequence[Finding]],
    removed: Sequence[RefusedBox] = (),
) -> tuple[LeftOut, ...]:
    """Everything that does not go into the survey, photographs first, sorted by path.

    Args:
        labels: What was read, after cures.
        faulty: Reasons by key, for every photograph that is left out.
        removed: Boxes that cures took away.
    """
    refused: dict[str, list[RefusedBox]] = defaultdict(list)
    for entry in labels.refused:
        refused[entry.finding.photo].append(entry)
    removed_of: dict[str, list[RefusedBox]] = defaultdict(list)
    for entry in removed:
        removed_of[entry.finding.photo].append(entry)
    photos: list[LeftOut] = []
    boxes: list[LeftOut] = []
    for key in sorted(faulty):
        entries = refused.pop(key, [])
        read = len(labels.photos[key]) if key in labels.photos else 0
        # what a cure removed from a photograph that is left out all the same is left out with it
        count = read + sum(entry.boxes for entry in entries) + sum(entry.boxes for entry in removed_of.pop(key, []))
        photos.append(LeftOut("photo", key, count, tuple(faulty[key]), _entries(entries)))
    photos += _absent(labels, refused.get("", []))
    for key in sorted(refused):
        boxes += [_box(entry) for entry in refused[key]]
    for key in sorted(removed_of):
        boxes += [_box(entry, cured=True) for entry in removed_of[key]]
    return (*photos, *boxes)


def named_only(labels: LabelSet) -> int:
    """Photographs that labels name and no file is there for, by the readers' findings and sets."""
    said = Counter(file_of(finding.where) for finding in labels.findings if _names_a_photo(finding))
    listed = Counter(labels.photos[key].file for key in labels.absent)
    return sum(max(said[file], listed[file]) for file in said.keys() | listed.keys())


def _absent(labels: LabelSet, refused: list[RefusedBox]) -> list[LeftOut]:
    """One line per photograph that is only named, with its boxes; what is used of ``refused`` is taken out of it."""
    of_finding = {_place(entry.finding): entry for entry in refused}
    by_name = {(labels.photos[key].file, key): key for key in sorted(labels.absent)}
    left: list[LeftOut] = []
    unclear: list[Finding] = []
    for finding in labels.findings:
        if not _names_a_photo(finding):
            continue
        key = by_name.pop((file_of(finding.where), finding.names), None)
        entry = of_finding.pop(_place(finding), None)
        if key is not None:
            left.append(_named(labels, key, finding))
        elif entry is not None:
            refused.remove(entry)
            left.append(LeftOut("photo", finding.where, entry.boxes, (finding,), _entries([entry]), absent=True))
        else:
            unclear.append(finding)
    others: dict[str, list[str]] = defaultdict(list)
    for (file, _), key in by_name.items():
        others[file].append(key)
    for finding in unclear:  # the reader said it in words of its own
        keys = others[file_of(finding.where)]
        left.append(
            _named(labels, keys.pop(0), finding)
            if keys
            else LeftOut("photo", finding.names or finding.where, 0, (finding,), absent=True)
        )
    for key in (key for keys in others.values() for key in keys):
        what = f"{shown(key)} has labels and there is no such photograph"
        left.append(_named(labels, key, Finding("error", "missing-photo", labels.photos[key].file, what, _CURE)))
    return sorted(left, key=lambda entry: entry.path)


def _named(labels: LabelSet, key: str, finding: Finding) -> LeftOut:
    return LeftOut("photo", key, len(labels.photos[key]), (finding,), absent=True)


def _names_a_photo(finding: Finding) -> bool:
    return finding.code in NAMED and not finding.photo


def _place(finding: Finding) -> tuple[str, str, str]:
    """What stays the same when a catalogue changes the severity."""
    return finding.code, finding.where, finding.what


def _box(entry: RefusedBox, *, cured: bool = False) -> LeftOut:
    finding = entry.finding
    path = finding.photo or file_of(finding.where)
    return LeftOut("box", path, entry.boxes, (finding,), _entries([entry]), cured=cured)


def _entries(refused: Iterable[RefusedBox]) -> tuple[tuple[str, str], ...]:
    return tuple((entry.finding.where, entry.raw) for entry in refused if entry.raw)


def file_of(where: str) -> str:
    """The file of a place: ``a.txt`` of ``a.txt:3`` and of ``a.json: annotation 7``."""
    head, colon, number = where.rpartition(":")
    return head if colon and number.strip().split(" ")[-1].isdigit() else where
