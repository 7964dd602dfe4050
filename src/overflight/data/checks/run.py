"""Run the checks of the catalogue over a subject.

Findings of the readers (a bad line, a missing label file) get severity and cure from the same catalogue, so that a user
tunes both in one place. It knows no check by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from overflight.data.checks.catalogue import Catalogue, Rule
from overflight.data.checks.subject import Check, Hit, Subject
from overflight.data.findings import Finding
from overflight.data.formats.json_files import shown

ABSENT_SINGLY = 50
"""So many findings of a check in photographs that only labels name are given one by one."""


def run_checks(subject: Subject, catalogue: Catalogue, checks: Mapping[str, Check]) -> list[Finding]:
    """Findings of all checks that are not off, in the order of the catalogue."""
    found: list[Finding] = []
    for code, rule in catalogue.items():
        check = checks.get(code)
        if check is not None and rule.level != "off":
            hits = check(subject, rule.limits)
            if subject.labels.absent:
                hits = _absent_together(hits, subject)
            found += [_finding(hit, rule, subject) for hit in hits]
    return found


def _absent_together(hits: Iterable[Hit], subject: Subject) -> Iterator[Hit]:
    """The hits, those in photographs that only labels name as one where there are many: nobody looks at each."""
    absent: list[Hit] = []
    for hit in hits:
        if hit.photo in subject.labels.absent:
            absent.append(hit)
        else:
            yield hit
    if len(absent) <= ABSENT_SINGLY:
        yield from absent
        return
    worst = max(absent, key=lambda hit: hit.score)
    boxes = sum(len(hit.boxes) for hit in absent)
    number = f" in {boxes:,} {'box' if boxes == 1 else 'boxes'}" if boxes else ""
    what = f"{len(absent):,} photographs that are not there{number}; the worst is {shown(worst.photo)}: {worst.what}"
    # of an absent photograph: it must not stand in the way as if it concerned the survey as a whole
    yield Hit(what, worst.photo, where=subject.name, score=worst.score, cure=worst.cure)


def by_catalogue(findings: Iterable[Finding], catalogue: Catalogue) -> list[Finding]:
    """Findings of readers with the severity that the catalogue gives their codes; those of checks that are off go.

    Where the catalogue says error by default and a reader says warning, it found a harmless form: that stays a warning.
    """
    found = []
    for finding in findings:
        rule = catalogue.get(finding.code)
        if rule is None:
            found.append(finding)
        elif rule.level != "off":
            harmless = finding.severity == "warning" and rule.default == "error"
            found.append(replace(finding, severity="warning" if harmless else rule.level))
    return found


def _finding(hit: Hit, rule: Rule, subject: Subject) -> Finding:
    assert rule.level != "off"  # noqa: S101 - run_checks asks only for the others
    where = hit.where
    if not where and hit.photo and hit.boxes:
        where = subject.labels.photos[hit.photo].where(hit.boxes[0])
    return Finding(
        severity=rule.level,
        code=rule.code,
        where=where or hit.photo or subject.name,
        what=hit.what,
        cure=hit.cure or rule.cure,
        photo=hit.photo,
        boxes=hit.boxes,
        score=hit.score,
        beside=hit.beside,
    )
