"""A model card as people read it: sections of sentences, lists, pairs and figures, the same for the page and the PDF.

It decides what is said in which order and in which words; it knows neither HTML nor PDF and computes no fact.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from typing import ClassVar, Literal

from overflight.governance.model_card import Card, data_text, summary
from overflight.governance.model_card_facts import KINDS, CardFacts, Measure, PhotoFacts
from overflight.governance.model_card_limits import words
from overflight.governance.model_card_stated import NOT_STATED

Tone = Literal["plain", "note", "warning"]
UNKNOWN = "not known"
MOST_ROWS = 40  # slices shown of one kind, those with most objects

_EXPLAINED = (
    "Average precision (AP) says in one number how many objects are found and how few boxes are wrong, at all scores; "
    "mAP is its mean over the classes. A box is right from an overlap (IoU) of 0.50 on. Recall is the share of objects "
    "found, precision the share of boxes that are right."
)

STATUS_WORDS = {
    "Draft": "Draft",
    "PendingReview": "Pending review",
    "Approved": "Approved",
    "Archived": "Archived",
}


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Lists:
    """Lists side by side, each with its title."""

    kind: ClassVar[str] = "lists"
    lists: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Pairs:
    """Names with values."""

    kind: ClassVar[str] = "pairs"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Figures:
    """Figures with intervals on one axis from 0 to 1.

    Attributes:
        title: What is compared.
        figure: What was measured.
        rows: The figures.
        whole: Value over everything, drawn as a line through all rows; None for no line.
        left_out: Slices that are not shown.
    """

    kind: ClassVar[str] = "figures"
    title: str
    figure: str
    rows: tuple[Measure, ...]
    whole: float | None = None
    left_out: int = 0


Block = Text | Lists | Pairs | Figures


@dataclass(frozen=True)
class Section:
    """Blocks that answer one question."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class View:
    """The whole card.

    Attributes:
        title: Name of the package.
        status: In AWS's words.
        badge: The status as people say it.
        summary: One paragraph.
        remarks: What must be known before the rest: why it is a draft, why an approval does not hold.
        sections: In the order they are read.
        footer: How the card was made.
    """

    title: str
    status: str
    badge: str
    summary: str
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: str


def view_of(card: Card) -> View:
    """What is said about ``card``."""
    facts = card.facts
    sections = (
        _uses(card),
        _accuracy(facts),
        _limits(card),
        _training(facts),
        _licences(card),
        _people(facts),
        _identity(facts),
    )
    return View(
        title=f"Model card: {facts.name}",
        status=card.status,
        badge=STATUS_WORDS[card.status],
        summary=summary(facts),
        remarks=_remarks(card),
        sections=tuple(section for section in sections if section.blocks),
        footer=(
            "Every figure was measured or recorded by Overflight; uses, risk and owner are what people stated. The "
            "status follows from the package's approval and cannot be typed."
        ),
    )


def _remarks(card: Card) -> tuple[str, ...]:
    approval, said = card.facts.approval, []
    if approval.status == "Approved" and not approval.valid:
        reasons = "; ".join(approval.reasons) or "its evidence was not checked"
        said.append(f"The package is marked as approved, but the approval does not hold: {reasons}.")
    if card.status == "Archived":
        said.append("This version was rejected or its approval was taken back: do not use it.")
    if card.facts.registry_status == "Approved" and card.status != "Approved":
        said.append("The card in the registry says Approved. That does not count: only a valid approval does.")
    if card.missing and card.status != "Archived":
        said.append(f"Not complete: {_missing(card)}.")
    if card.status == "PendingReview":
        said.append("Complete, and waiting for a decision.")
    return tuple(said)


def _missing(card: Card) -> str:
    """The entries, those that are not stated in one list."""
    suffix = f" {NOT_STATED}"
    stated = [name.removesuffix(suffix) for name in card.missing if name.endswith(suffix)]
    others = [name for name in card.missing if not name.endswith(suffix)]
    return "; ".join([*others, *([f"{NOT_STATED} are {', '.join(stated)}"] if stated else [])])


def _uses(card: Card) -> Section:
    stated = card.stated
    blocks: list[Block] = [
        Text(stated.purpose or f"Purpose: {NOT_STATED}."),
        Lists(
            (
                ("Meant for", stated.intended_uses or (NOT_STATED,)),
                ("Not meant for", stated.out_of_scope_uses or (NOT_STATED,)),
                ("What makes it better or worse", stated.factors or (NOT_STATED,)),
            )
        ),
        Pairs(
            (
                ("Risk rating", _risk(card)),
                ("Problem it helps with", stated.business_problem or NOT_STATED),
                ("Stakeholders", "; ".join(stated.stakeholders) or NOT_STATED),
                *((("Line of business", stated.line_of_business),) if stated.line_of_business else ()),
                ("People and ethics", stated.ethical_considerations or NOT_STATED),
                ("Owner", f"{stated.owner or NOT_STATED}; contact: {stated.contact or NOT_STATED}"),
            )
        ),
    ]
    return Section("uses", "What it is for", tuple(blocks))


def _risk(card: Card) -> str:
    if card.stated.risk_rating == "Unknown":
        return NOT_STATED
    return f"{card.stated.risk_rating}: {card.stated.risk_explanation or NOT_STATED}"


def _accuracy(facts: CardFacts) -> Section:
    overall = facts.measures("all")
    if not overall:
        return Section("accuracy", "How good it is", (Text("Not measured.", "warning"),))
    share = ""
    if facts.confidence is not None:
        share = f" Dots are measured values, bars their {facts.confidence:.0%} intervals, the broken line is the figure"
        share += " over everything."
    bootstrap = facts.evaluation.get("bootstrap", {})
    drawn = f" Resampled {bootstrap['resamples']:,} times by {bootstrap['unit']}." if bootstrap.get("resamples") else ""
    named = tuple(_renamed(one) for one in overall)
    blocks: list[Block] = [
        Text(f"Measured on photographs the model had not seen; 1 is best.{share}{drawn}"),
        Text(_EXPLAINED, "note"),
        Figures("Overall", "", named),
    ]
    whole = {"class": facts.overall("map50"), "flight": facts.overall("map50"), "size": facts.overall("recall")}
    for kind, (title, figure) in KINDS.items():
        rows = facts.measures(kind)
        line = whole[kind]
        shown = rows
        if len(rows) > MOST_ROWS:
            shown = tuple(sorted(rows, key=lambda one: -(one.boxes or 0))[:MOST_ROWS])
        if rows:
            level = None if line is None else line.value
            blocks.append(Figures(title.capitalize(), figure, shown, level, len(rows) - len(shown)))
    blocks.append(Pairs((("Held-out flights", _names(facts.test_flights)), *_separation(facts))))
    if protocol := facts.evaluation.get("protocol"):
        blocks.append(Text(f"{protocol}.", "note"))
    blocks.append(Text("By distance from the ground, weather and light: not measured.", "note"))
    return Section("accuracy", "How good it is", tuple(blocks))


def _renamed(one: Measure) -> Measure:
    return Measure(one.kind, one.figure, one.figure, one.value, one.low, one.high, one.photos, one.boxes)


def _separation(facts: CardFacts) -> tuple[tuple[str, str], ...]:
    leak = facts.leak
    said = "not measured"
    if leak:
        said = f"{leak['leaking']} of {leak['photos']['b']} held-out photographs share something with training"
        said += f" ({leak['score']:.1%})"
    gate = UNKNOWN if facts.gate is None else f"mAP at IoU 0.50 of at least {facts.gate:g}"
    gate = "no accuracy was asked for" if facts.gate == 0 else gate
    return (
        ("Separated from training by", str(facts.dataset.get("split_by", UNKNOWN))),
        ("Leaks", said),
        ("Gate before registration", gate),
    )


def _limits(card: Card) -> Section:
    if not card.limits:
        return Section("limits", "What the figures do not say", (Text("No rule found a limit in the facts."),))
    said = tuple(limit.text for limit in card.limits)
    return Section(
        "limits",
        "What the figures do not say",
        (Text("Found by rule from the facts, the gravest first.", "note"), Lists((("", said),))),
    )


def _training(facts: CardFacts) -> Section:
    if not facts.dataset and not facts.model:
        return Section("training", "What it was trained on", (Text("Not known.", "warning"),))
    rows = [
        ("Survey", str(facts.survey.get("name") or UNKNOWN)),
        ("Photographs", _parts(facts, "photos")),
        ("Objects", _parts(facts, "boxes")),
        ("Objects to learn from", _counts(facts.trained_boxes())),
        ("Flights of the survey", _counts(facts.flights())),
        *_photos(facts),
        *_hyperparameters(facts),
    ]
    sentence = data_text(facts)
    blocks: tuple[Block, ...] = (Pairs(tuple(rows)),)
    return Section("training", "What it was trained on", (*((Text(sentence),) if sentence else ()), *blocks))


def _photos(facts: CardFacts) -> tuple[tuple[str, str], ...]:
    known = facts.trained_photos
    if known is None:
        return ()
    gsd = facts.trained_gsd_cm()
    return (
        ("Pixel on the ground", UNKNOWN if gsd is None else f"{gsd[0]:.2g} to {gsd[1]:.2g} cm"),
        ("Dates", _dates(known)),
        ("Cameras", _counts(known.cameras)),
        ("Sites", UNKNOWN if known.sites is None else str(known.sites)),
        ("Light", _light(facts)),
    )


def _dates(known: PhotoFacts) -> str:
    if known.days is None:
        return UNKNOWN
    months = ", ".join(calendar.month_name[month] for month in known.months)
    days = known.days[0] if known.days[0] == known.days[1] else f"{known.days[0]} to {known.days[1]}"
    return f"{days} ({months})"


def _light(facts: CardFacts) -> str:
    seen = facts.baseline.get("time_of_day", {})
    return _counts({name: seen[name] for name in words()["times_of_day"] if seen.get(name)})


def _hyperparameters(facts: CardFacts) -> tuple[tuple[str, str], ...]:
    model = facts.model
    names = {
        "model": "Network",
        "imgsz_px": "Input (px)",
        "tile_px": "Tiles (px)",
        "epochs": "Epochs",
        "seed": "Seed",
        "precision": "Precision of training",
        "score_threshold": "Score it is served with",
    }
    rows = [(words, str(model[name])) for name, words in names.items() if name in model]
    versions = model.get("versions", {})
    if versions:
        rows.append(("Programs", ", ".join(f"{name} {version}" for name, version in versions.items())))
    started, ended = facts.training.get("started"), facts.training.get("ended")
    if started and ended:
        rows.append(("Trained", f"{started} to {ended}"))
    return tuple(rows)


def _licences(card: Card) -> Section:
    return Section("licences", "Licences", (Pairs(card.licences), Text(words()["advice"], "note")))


def _people(facts: CardFacts) -> Section:
    approval = facts.approval
    decided = UNKNOWN if not approval.by else f"{approval.by}{f' on {approval.at}' if approval.at else ''}"
    rows = [
        ("Trained by", facts.trained_by or UNKNOWN),
        ("Registered by", f"{facts.registered_by or UNKNOWN}, {facts.registered_at or 'date not known'}"),
        ("Status of the package", approval.status),
    ]
    if approval.status != "PendingManualApproval":
        rows += [("Decided by", decided), ("Reason", approval.reason or UNKNOWN)]
        rows.append(("Event", approval.event or UNKNOWN))
        if approval.people:
            rows.append(("People", approval.people))
    return Section("people", "Who did what", (Pairs(tuple(rows)),))


def _identity(facts: CardFacts) -> Section:
    rows = [
        ("Package", facts.arn),
        ("Run", facts.run or UNKNOWN),
        ("Training job", str(facts.training.get("arn") or UNKNOWN)),
        ("Artefact", facts.artefact or UNKNOWN),
        ("Serving image", facts.image or UNKNOWN),
        *((f"SHA-256 of {name.replace('_', ' ')}", value) for name, value in facts.digests.items()),
        *((f"Could not be had: {name}", why) for name, why in facts.absent.items()),
    ]
    return Section("identity", "What exactly this is about", (Pairs(tuple(rows)),))


def _parts(facts: CardFacts, what: str) -> str:
    found = facts.dataset.get(what, {})
    names = (("train", "training"), ("val", "validation"), ("test", "held out"))
    return ", ".join(f"{found[key]:,} {words}" for key, words in names if key in found) or UNKNOWN


def _counts(found: object, *, most: int = 12) -> str:
    items = list(dict(found).items()) if isinstance(found, dict) else []
    shown = ", ".join(f"{name} ({count:,})" for name, count in items[:most])
    return (f"{shown} and {len(items) - most} more" if len(items) > most else shown) or UNKNOWN


def _names(names: tuple[str, ...], *, most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return (f"{shown} and {len(names) - most} more" if len(names) > most else shown) or UNKNOWN
