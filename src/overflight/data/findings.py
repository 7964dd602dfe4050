"""What is wrong with a survey, one finding at a time: where, what, and how to cure it.

Findings are collected, not raised, so that a person sees all problems at once. It does not know what is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from overflight.errors import InputError

Severity = Literal["error", "warning"]
SHOWN_AT_MOST = 20


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        severity: ``error`` (cannot be used as it is) or ``warning`` (can, but look at it).
        code: Short constant name of the kind of problem, for counting.
        where: File, or ``file:line``, relative to the survey's folder.
        what: One sentence.
        cure: What to do about it.
        photo: Photo it belongs to (path relative to the survey's folder), empty when it concerns the survey as a whole.
        boxes: Indices of the boxes it speaks of within the labels of ``photo``.
        score: How bad it is among findings of the same code; larger is worse.
        beside: Photograph that ``photo`` is to be looked at beside, such as the other one of a pair.
        names: Name by which labels call a photograph that is not there, empty for every other finding.
    """

    severity: Severity
    code: str
    where: str
    what: str
    cure: str
    photo: str = ""
    boxes: tuple[int, ...] = ()
    score: float = 0.0
    beside: str = ""
    names: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.cure}" if self.cure else f"{self.where}: {self.what}"

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {
            "severity": self.severity,
            "code": self.code,
            "where": self.where,
            "what": self.what,
            "cure": self.cure,
            "photo": self.photo,
            **({"beside": self.beside} if self.beside else {}),
            **({"names": self.names} if self.names else {}),
        }


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that stand in the way."""
    return [finding for finding in findings if finding.severity == "error"]


def warnings_of(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that do not."""
    return [finding for finding in findings if finding.severity == "warning"]


def listed(findings: Sequence[Finding], *, at_most: int = SHOWN_AT_MOST) -> str:
    """One line per finding, the first ``at_most`` and the number of the rest."""
    lines = [f"  {finding}" for finding in findings[:at_most]]
    if len(findings) > at_most:
        lines.append(f"  ... and {len(findings) - at_most} more")
    return "\n".join(lines)


def refuse(findings: Iterable[Finding], *, where: str, cure: str) -> None:
    """Do nothing without errors; otherwise list them.

    Raises:
        InputError: there is at least one error.
    """
    errors = errors_of(findings)
    if len(errors) == 1:
        raise InputError(errors[0].what, where=errors[0].where, cure=errors[0].cure)
    if errors:
        raise InputError(f"{len(errors)} problems:\n{listed(errors)}\n", where=where, cure=cure)
