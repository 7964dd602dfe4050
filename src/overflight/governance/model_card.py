"""The model card of a package in AWS's schema: stated uses, measured facts, limits that follow, and its status.

Facts only: every number is one that a document holds, an entry without a fact is absent. The status is never typed, it
follows from the package: a card says Approved only while the package's approval is valid. It does not know where facts
come from (``lifecycle.cards``) or how a card looks (``model_card_view``). Schema: SageMaker Developer Guide, Model card
JSON schema and Model package model card schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from overflight.governance.model_card_facts import KINDS, CardFacts, Measure
from overflight.governance.model_card_limits import Limit, licence_facts, limits
from overflight.governance.model_card_schema import content_text
from overflight.governance.model_card_stated import NOT_STATED, StatedFacts, lines_text, uses_text

Status = Literal["Draft", "PendingReview", "Approved", "Archived"]

_MOST_PER_GROUP = 500  # thousands of classes would not fit into 100,000 characters
_LONG, _OBSERVED, _SHORT, _NAME = 2048, 2096, 1024, 63


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes:
        status: In AWS's words.
        facts: What was measured.
        stated: What people stated.
        limits: What the figures do not say.
        licences: Licence facts by what they are of.
        missing: Why the card is not complete: entries not stated, facts not measured.
        content: The card in AWS's schema.
    """

    status: Status
    facts: CardFacts
    stated: StatedFacts
    limits: tuple[Limit, ...]
    licences: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    content: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Content of a card of its own (``CreateModelCard``), one line."""
        return content_text(self.content)

    @property
    def package_text(self) -> str:
        """Content of the package's own card (``UpdateModelPackage``), one line."""
        return content_text(package_content(self.content), package=True)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json`` and ``card.json``."""
        return {
            "schema": "overflight.card/1",
            "package": self.facts.name,
            "arn": self.facts.arn,
            "status": self.status,
            "missing": list(self.missing),
            "limits": [{"id": limit.id, "text": limit.text} for limit in self.limits],
            "content": self.content,
        }


def make_card(facts: CardFacts, stated: StatedFacts) -> Card:
    """The card of ``facts`` and ``stated``, checked against AWS's schema.

    Raises:
        InputError: it does not fit the schema.
    """
    found = limits(facts)
    licences = licence_facts(facts, data_licence=stated.data_licence or NOT_STATED)
    missing = missing_entries(facts, stated)
    card = Card(
        status=card_status(facts.approval.status, valid=facts.approval.valid, complete=not missing),
        facts=facts,
        stated=stated,
        limits=found,
        licences=licences,
        missing=missing,
        content=_content(facts, stated, found, licences),
    )
    content_text(card.content)
    content_text(package_content(card.content), package=True)
    return card


def card_status(approval: str, *, valid: bool, complete: bool) -> Status:
    """Status of the card.

    Args:
        approval: AWS's approval status of the package.
        valid: The approval has a record and its evidence is unchanged.
        complete: Nothing is missing on the card.
    """
    if approval == "Approved" and valid:
        return "Approved"
    if approval == "Rejected":
        return "Archived"
    if approval == "PendingManualApproval" and complete:
        return "PendingReview"
    return "Draft"


def missing_entries(facts: CardFacts, stated: StatedFacts) -> tuple[str, ...]:
    """What a reviewer would ask for and is not there."""
    found = [f"{name.replace('_', ' ')} {NOT_STATED}" for name in stated.missing()]
    if facts.overall("map50") is None:
        found.append("accuracy not measured")
    if not facts.dataset:
        found.append("training data not known")
    if not facts.model:
        found.append("model's description not known")
    return tuple(found)


def package_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """The card as a model package takes it: its overview knows creator and artefact only."""
    kept = {name: value for name, value in content.items() if name != "model_package_details"}
    overview = content.get("model_overview", {})
    return {**kept, "model_overview": {k: v for k, v in overview.items() if k in {"model_creator", "model_artifact"}}}


def summary(facts: CardFacts) -> str:
    """One paragraph in plain words: what it finds, how well, how surely."""
    classes = _listed(list(facts.classes)) or "objects"
    text = f"It finds {classes} on photographs taken by drones and draws a box around each."
    whole = facts.overall("map50")
    if whole is None:
        return f"{text} It was not measured on photographs it had not seen."
    flights = len(facts.evaluation.get("per_flight", {}))
    text += f" On {_counted(whole.photos, 'photograph')} of {_counted(flights, 'flight')} held out from training,"
    text += f" with {_counted(whole.boxes, 'object')}, it reached a mean average precision of "
    text += interval_text(whole, facts.confidence)
    text += " at IoU 0.50. "
    recall, precision = facts.overall("recall"), facts.overall("precision")
    threshold = facts.evaluation.get("score_threshold")
    if recall is not None and recall.value is not None:
        text += f"At the score it is served with ({threshold:g}), " if threshold is not None else ""
        text += f"it found {recall.value:.0%} of the objects"
        if precision is not None and precision.value is not None:
            text += f", and {precision.value:.0%} of its boxes were right"
        text += "."
    return text.strip()


def interval_text(one: Measure, confidence: float | None) -> str:
    """``0.71 (95% interval 0.60 to 0.80)``; a figure without an interval says so."""
    if one.value is None:
        return "not measured"
    if one.low is None or one.high is None or confidence is None:
        return f"{one.value:.2f} (no interval)"
    return f"{one.value:.2f} ({confidence:.0%} interval {one.low:.2f} to {one.high:.2f})"


def _content(
    facts: CardFacts, stated: StatedFacts, found: tuple[Limit, ...], licences: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    content = {
        "model_overview": _overview(facts, stated),
        "model_package_details": _package(facts),
        "intended_uses": {
            "purpose_of_model": stated.purpose or NOT_STATED,
            "intended_uses": uses_text(stated) or NOT_STATED,
            "factors_affecting_model_efficiency": lines_text(stated.factors) or NOT_STATED,
            "risk_rating": stated.risk_rating,
            "explanations_for_risk_rating": stated.risk_explanation or NOT_STATED,
        },
        "business_details": {
            "business_problem": stated.business_problem or NOT_STATED,
            "business_stakeholders": lines_text(stated.stakeholders) or NOT_STATED,
            "line_of_business": stated.line_of_business or NOT_STATED,
        },
        "training_details": _training(facts),
        "evaluation_details": _evaluations(facts),
        "additional_information": {
            "ethical_considerations": stated.ethical_considerations or NOT_STATED,
            "caveats_and_recommendations": _caveats(found),
            "custom_details": _details(facts, licences, stated),
        },
    }
    return {name: value for name, value in content.items() if value}


def _overview(facts: CardFacts, stated: StatedFacts) -> dict[str, Any]:
    version = facts.name.rpartition("/")[2]
    return _present(
        {
            "model_id": facts.arn,
            "model_name": facts.name,
            "model_description": _cut(summary(facts), _SHORT),
            "model_version": int(version) if version.isdigit() else None,
            "problem_type": "Object Detection",
            "algorithm_type": facts.model.get("model"),
            "model_creator": _cut(facts.trained_by or facts.registered_by, _SHORT),
            "model_owner": stated.owner or NOT_STATED,
            "model_artifact": [facts.artefact] if facts.artefact else None,
            "inference_environment": {"container_image": [facts.image]} if facts.image else None,
        }
    )


def _package(facts: CardFacts) -> dict[str, Any]:
    group, _, version = facts.name.rpartition("/")
    container = _present({"image": facts.image, "model_data_url": facts.artefact})
    return _present(
        {
            "model_package_arn": facts.arn,
            "model_package_group_name": group,
            "model_package_version": int(version) if version.isdigit() else None,
            "model_approval_status": facts.approval.status,
            "approval_description": _cut(facts.approval.reason, _SHORT),
            "domain": "COMPUTER_VISION",
            "task": "OBJECT_DETECTION",
            "inference_specification": {"containers": [container]} if facts.image else None,
        }
    )


def _training(facts: CardFacts) -> dict[str, Any]:
    given = {**dict(facts.training.get("hyperparameters", {})), **_resolved(facts)}
    job = _present(
        {
            "training_arn": facts.training.get("arn"),
            "training_datasets": [facts.training["data"]] if facts.training.get("data") else None,
            "training_environment": (
                {"container_image": [facts.training["image"]]} if facts.training.get("image") else None
            ),
            "training_metrics": [
                {"name": name, "value": float(value), "notes": "on validation tiles, not on held-out photographs"}
                for name, value in facts.model.get("validation", {}).items()
            ],
            "hyper_parameters": [
                {"name": name, "value": _cut(" ".join(str(value).split()), 255)} for name, value in given.items()
            ][:100],
        }
    )
    if not job and not facts.model:
        return {}
    return _present(
        {
            "objective_function": {
                "function": {"function": "Minimize", "facet": "Loss"},
                "notes": "Loss of YOLO11: boxes, classes and the distribution of box edges",
            },
            "training_observations": _cut(data_text(facts), _SHORT),
            "training_job_details": job,
        }
    )


def _resolved(facts: CardFacts) -> dict[str, Any]:
    """Hyperparameters as they were used, where the request left the choice to a recipe."""
    names = {"model": "model", "imgsz_px": "imgsz", "epochs": "epochs", "seed": "seed", "precision": "precision"}
    found = {other: facts.model[name] for name, other in names.items() if name in facts.model}
    if (weights := facts.weights()) is not None:
        found["weights"] = weights or "none: trained from scratch"
    return found


def data_text(facts: CardFacts) -> str:
    """What it was trained on, in a sentence; empty where it is not known."""
    if not facts.dataset:
        return ""
    photos, boxes, split = (facts.dataset.get(name, {}) for name in ("photos", "boxes", "split"))
    text = f"Trained on {_counted(photos.get('train'), 'photograph')} with {_counted(boxes.get('train'), 'object')}"
    text += f" of {_counted(len(split.get('train', ())), 'flight')}; chosen on {_counted(photos.get('val'), 'other')};"
    text += f" tested on {_counted(photos.get('test'), 'photograph')} of {_listed(list(facts.test_flights))}."
    return text + f" Separated by {facts.dataset.get('split_by', 'an unknown rule')}."


def _evaluations(facts: CardFacts) -> list[dict[str, Any]]:
    if not facts.evaluation:
        return []
    groups = [_group("Overall", facts.measures("all"))]
    groups += [_group(words.capitalize(), facts.measures(kind)) for kind, (words, _) in KINDS.items()]
    bootstrap = facts.evaluation.get("bootstrap", {})
    metadata = {
        "photos": facts.evaluation.get("photos"),
        "objects": facts.evaluation.get("boxes"),
        "confidence": facts.confidence,
        "bootstrap_resamples": bootstrap.get("resamples"),
        "bootstrap_unit": bootstrap.get("unit"),
        "score_threshold": facts.evaluation.get("score_threshold"),
        "held_out": _listed(list(facts.test_flights)),
        "leak_score": facts.leak.get("score"),
        "split_by": facts.dataset.get("split_by"),
    }
    return [
        _present(
            {
                "name": "Held-out flights",
                "evaluation_observation": _cut(facts.evaluation.get("protocol", ""), _OBSERVED),
                "evaluation_job_arn": facts.evaluation_job,
                "datasets": [facts.training["data"]] if facts.training.get("data") else None,
                "metadata": {key: _cut(str(value), _SHORT) for key, value in metadata.items() if value is not None},
                "metric_groups": [group for group in groups if group["metric_data"]],
            }
        )
    ]


def _group(name: str, measures: tuple[Measure, ...]) -> dict[str, Any]:
    rows = [
        {"name": _one_line(one.name, 255), "type": "number", "value": one.value, "notes": _notes(one)}
        for one in measures
        if one.value is not None
    ]
    return {"name": _one_line(name, _NAME), "metric_data": rows[:_MOST_PER_GROUP]}


def _notes(one: Measure) -> str:
    interval = "no interval" if one.low is None or one.high is None else f"interval {one.low:.4f} to {one.high:.4f}"
    counts = [f"{count} {name}" for name, count in (("photographs", one.photos), ("objects", one.boxes)) if count]
    return _cut("; ".join([one.figure, interval, *counts]), _SHORT)


def _caveats(found: tuple[Limit, ...]) -> str:
    """The gravest limits that fit, and how many do not: all are in the card's page."""
    lines: list[str] = []
    for place, limit in enumerate(found):
        rest = f"- and {len(found) - place} more on the card's page"
        if len("\n".join([*lines, f"- {limit.text}", rest])) > _LONG:
            return "\n".join([*lines, rest])
        lines.append(f"- {limit.text}")
    return "\n".join(lines)


def _details(facts: CardFacts, licences: tuple[tuple[str, str], ...], stated: StatedFacts) -> dict[str, str]:
    approval = facts.approval
    details: dict[str, Any] = {
        "contact": stated.contact or NOT_STATED,
        "run": facts.run,
        "registered_by": facts.registered_by,
        "registered_at": facts.registered_at,
        "trained_by": facts.trained_by,
        "decided_by": approval.by,
        "approval_event": approval.event,
        "approval_people": approval.people,
        "dataset_digest": facts.dataset.get("digest"),
        "survey": facts.survey.get("name"),
        "gate_map50": facts.gate,
        "not_measured": "; ".join(f"{name}: {why}" for name, why in facts.absent.items()),
    }
    details |= {f"licence_{name.split()[0].lower()}": text for name, text in licences}
    details |= {"sha256_" + re.sub(r"\W", "_", name): value for name, value in facts.digests.items()}
    return {name: _cut(str(value), _SHORT) for name, value in details.items() if value not in (None, "")}


def _present(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value not in (None, "", [], {})}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _one_line(text: str, most: int) -> str:
    return _cut(" ".join(text.split()), most) or "-"


def _counted(count: int | None, thing: str) -> str:
    if count is None:
        return f"an unknown number of {thing}s"
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _listed(names: list[str], *, most: int = 12) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
