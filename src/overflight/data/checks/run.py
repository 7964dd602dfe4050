"""Run the checks of the catalogue over a subject.

Findings of the readers (a bad line, a missing label file) get severity and cure from the same catalogue, so that a user
tunes both in one place. It knows no check by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from overflight.data.checks.catalogue import Catalogue, Rule
from overflight.data.checks.subject import Check, Hit, Subject
from overflight.data.findings import Finding


def run_checks(subject: Subject, catalogue: Catalogue, checks: Mapping[str, Check]) -> list[Finding]:
    """Findings of all checks that are not off, in the order of the catalogue."""
    found: list[Finding] = []
    for code, rule in catalogue.items():
        check = checks.get(code)
        if check is not None and rule.level != "off":
            found += [_finding(hit, rule, subject) for hit in check(subject, rule.limits)]
    return found


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
