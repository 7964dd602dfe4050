"""The access matrix as one page that people read, and as CSV with every decision. Needs no network and no script."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

import jinja2

from overflight.files import write_text
from overflight.governance.activities import Answer
from overflight.governance.matrix import Cell, counts, expectation
from overflight.governance.personas import Comparison, comparison_source
from overflight.iam.access import Access

_SHOWN = 200


def write_page(
    path: Path,
    access: Access,
    *,
    answers: Sequence[Answer],
    cells: Sequence[Cell],
    compared: Sequence[Comparison],
    made: str = "",
) -> None:
    """Write the page.

    Args:
        path: HTML file to be written.
        access: Roles and policies.
        answers: Of all activities and roles.
        cells: Of the whole matrix.
        compared: With AWS's personas.
        made: When, as text.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=False, undefined=jinja2.StrictUndefined)
    template = environment.from_string(files("overflight.governance").joinpath("matrix.html").read_text("utf-8"))
    of_kind = {
        kind: [key for key, role in access.roles.items() if role.kind == kind] for kind in ("persona", "execution")
    }
    different = [cell for cell in cells if not cell.as_expected]
    wrong = sum(one.allowed != one.expected for one in answers)
    text = template.render(
        access=access,
        made=made,
        decisions=len(cells) + len(answers),
        unexpected=len(different) + wrong,
        roles=list(access.roles.values()),
        tables=[("People", of_kind["persona"], "people"), ("Services", of_kind["execution"], "services")],
        activities=grouped(answers),
        services=expectation().services,
        counts=counts(cells),
        differences=different[:_SHOWN],
        stricter=[one for one in compared if one.stricter],
        source=comparison_source(),
        why=in_words,
    )
    write_text(path, text)


def write_csv(path: Path, cells: Iterable[Cell]) -> None:
    """Write every decision as a line of CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["role", "action", "level", "resource type", "kind", "request", "resource", "decision", "expected"])
    for cell in cells:
        expected = "allow" if cell.expected else "deny"
        where = (cell.type, cell.kind, cell.sent, cell.resource)
        writer.writerow([cell.role, cell.action, cell.level, *where, cell.decision.outcome, expected])
    write_text(path, text.getvalue())


def grouped(answers: Sequence[Answer]) -> list[tuple[str, dict[str, dict[str, Answer]]]]:
    """(heading, activity -> role -> answer), in the order of the table."""
    found: dict[str, dict[str, dict[str, Answer]]] = {}
    for one in answers:
        found.setdefault(one.group, {}).setdefault(one.activity, {})[one.role] = one
    return list(found.items())


def in_words(answer: Answer) -> str:
    """The request that settled an activity, and the statement that decided it."""
    need, why = answer.need, answer.why
    request = f"{need.action} on {need.resource}"
    if why.outcome == "implicit-deny":
        return f"{request}: nothing allows it ({why.layer})"
    one = next(found for found in why.matched if (found.effect == "Deny") != why.allowed) if why.matched else None
    verb = "allowed" if why.allowed else "denied"
    return f"{request}: {verb} by {one.sid} of {one.policy}" if one else f"{request}: {verb}"
