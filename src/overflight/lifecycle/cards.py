"""Model cards: make the card of a package, write it as page and PDF, keep it in the account.

What a card says is decided by ``governance.model_card``, its facts come from ``lifecycle.card_facts``, and whether an
approval holds from ``lifecycle.approvals``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overflight.account.objects import S3Uri, write_bytes, write_json
from overflight.errors import InputError, NotFoundError, OverflightError, UsageError
from overflight.files import write_bytes as write_file
from overflight.files import write_text
from overflight.governance.model_card import Card, make_card
from overflight.governance.model_card_facts import Approval
from overflight.governance.model_card_page import card_page
from overflight.governance.model_card_pdf import card_pdf
from overflight.governance.model_card_stated import StatedFacts, blank_facts, read_stated
from overflight.governance.model_card_view import view_of
from overflight.lifecycle.approvals import approval_of
from overflight.lifecycle.card_facts import FACTS_FILE, card_place, gather_facts, kept_facts, moment_text, person_text
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import package_facts

CARD_FILE = "card.json"
_EVENT = " [event "


def make_package_card(context: Context, arn: str, *, stated: StatedFacts | None = None) -> Card:
    """The card of a package as it is now.

    Args:
        context: Whose rights are used: an auditor's suffice.
        arn: Of the package.
        stated: What people state; None takes what is kept with the package's card, if there is anything.

    Raises:
        NotFoundError: there is no such package.
    """
    package = package_facts(context, arn)
    facts = gather_facts(context, package, approval=_approval(context, package))
    return make_card(facts, stated or kept_facts(context, facts.name))


def load_facts(path: Path) -> StatedFacts:
    """A facts file of the disk.

    Raises:
        NotFoundError: it is missing.
        InputError: it cannot be used.
    """
    try:
        return read_stated(path.read_text(encoding="utf-8"), where=str(path))
    except FileNotFoundError as error:
        cure = f"Write one: overflight models card --init {path}"
        raise NotFoundError("there is no such file", where=str(path), cure=cure) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), cure="Make it a readable text file") from error


def write_blank_facts(path: Path) -> None:
    """Write a facts file to fill in.

    Raises:
        UsageError: the file exists.
    """
    if path.exists():
        raise UsageError("exists and is not overwritten", where=str(path), cure="Choose another name")
    write_text(path, blank_facts())


def write_card(card: Card, *, html: Path | None = None, pdf: Path | None = None) -> None:
    """Write the card as a page, as a PDF, or as both."""
    view = view_of(card)
    if html is not None:
        write_text(html, card_page(view))
    if pdf is not None:
        write_file(pdf, card_pdf(view))


def store_card(context: Context, card: Card) -> S3Uri:
    """Keep the card, its page, its PDF and what was stated below ``cards/<group>/<version>``; returns that address.

    Raises:
        RefusedError: the caller may not write there: approvers may.
    """
    place, view, s3 = card_place(context, card.facts.name), view_of(card), context.client("s3")
    files = {
        "card.html": (card_page(view).encode(), "text/html; charset=utf-8"),
        "card.pdf": (card_pdf(view), "application/pdf"),
        FACTS_FILE: (json.dumps(card.stated.model_dump(mode="json"), indent=2).encode(), "application/yaml"),
    }
    for name, (content, kind) in files.items():
        write_bytes(s3, place.bucket, f"{place.key}/{name}", content, content_type=kind)
    write_json(s3, place.bucket, f"{place.key}/{CARD_FILE}", card.as_dict())  # last: it says that the rest is there
    return place


def _approval(context: Context, package: Mapping[str, Any]) -> Approval:
    """The decision; one that cannot be checked does not hold."""
    status = package["ModelApprovalStatus"]
    if status == "PendingManualApproval":
        return Approval(status)
    try:
        found = approval_of(context, package["ModelPackageArn"])
    except OverflightError as error:
        found = {"valid": False, "reasons": [f"it could not be checked: {error.what}"]}
    said, _, event = str(package.get("ApprovalDescription", "")).partition(_EVENT)
    return Approval(
        status=status,
        valid=status == "Approved" and bool(found["valid"]),
        reasons=tuple(found["reasons"]),
        by=person_text(package.get("LastModifiedBy")) or str(found.get("approved_by", "")),
        at=moment_text(package.get("LastModifiedTime")),
        reason=said,
        event=str(found.get("event") or event.rstrip("]")),
        people=str(found.get("people", "")),
    )
