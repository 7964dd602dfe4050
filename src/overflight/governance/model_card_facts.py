"""The measured facts of a model card, read from the documents that the jobs and the registry left.

A fact that no document holds is None or empty, never a default: the card then says that it was not measured. It does
not know where the documents lie, and judges nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]

_DAY = re.compile(r"[12]\d{3}-(0[1-9]|1[0-2])-[0-3]\d", re.ASCII)
FIGURES: Mapping[str, str] = {
    "map50": "mAP at IoU 0.50",
    "map50_95": "mAP at IoU 0.50 to 0.95",
    "precision": "precision",
    "recall": "recall",
}
KINDS: Mapping[str, tuple[str, str]] = {
    "class": ("by class", "AP at IoU 0.50"),
    "size": ("by size of the object in the photograph", "share of objects found"),
    "flight": ("by held-out flight", "mAP at IoU 0.50"),
}


@dataclass(frozen=True)
class Measure:
    """One figure of the evaluation.

    Attributes:
        kind: ``all``, or a key of :data:`KINDS`.
        name: Of the figure, or of the slice.
        figure: What was measured.
        value: 0..1; None where it could not be computed.
        low: Lower bound of the interval, None where there is none.
        high: Upper bound.
        photos: Photographs behind it, None where it was not counted.
        boxes: Objects behind it.
    """

    kind: str
    name: str
    figure: str
    value: float | None
    low: float | None = None
    high: float | None = None
    photos: int | None = None
    boxes: int | None = None

    @property
    def width(self) -> float | None:
        """Of the interval."""
        return None if self.low is None or self.high is None else self.high - self.low


@dataclass(frozen=True)
class PhotoFacts:
    """What the metadata of some photographs say; empty and None where it says nothing.

    Attributes:
        photos: How many.
        gsd_cm: Smallest, median and largest side of a pixel on the ground.
        cameras: Photographs by camera.
        days: First and last day, ISO 8601.
        months: Months of the year (1..12) that occur.
        sites: How many places, at least 300 m apart.
    """

    photos: int
    gsd_cm: tuple[float, float, float] | None
    cameras: Mapping[str, int]
    days: tuple[str, str] | None
    months: tuple[int, ...]
    sites: int | None


@dataclass(frozen=True)
class Approval:
    """What is known of the decision about the package.

    Attributes:
        status: AWS's approval status.
        valid: The approval's evidence still is what was approved; only true of an approved package.
        reasons: Why it is not, one sentence each.
        by: Who decided, empty while nobody did.
        at: When, ISO 8601.
        reason: Their words.
        event: Id of the event that records it.
        people: How many people were behind the roles, in words.
    """

    status: str
    valid: bool = False
    reasons: tuple[str, ...] = ()
    by: str = ""
    at: str = ""
    reason: str = ""
    event: str = ""
    people: str = ""


@dataclass(frozen=True)
class CardFacts:
    """Everything a card is made of, apart from what people state.

    Attributes:
        name: ``group/version``.
        arn: Of the package.
        approval: The decision.
        registered_by: Person and role.
        registered_at: ISO 8601.
        trained_by: Person and role that started the run.
        run: Id of the run, empty without one.
        image: Serving image.
        artefact: Address of the model's archive.
        digests: By what they are of.
        evaluation: ``evaluation.json``.
        dataset: ``dataset.json``.
        survey: ``survey.json``.
        baseline: ``baseline.json``.
        model: ``model.json``.
        training: The training job: arn, image, hyperparameters, started, ended, data (an address).
        evaluation_job: ARN.
        trained_photos: Metadata of the photographs of training and validation.
        test_photos: Metadata of the held-out photographs.
        gate: Accuracy that was asked for, None where it is not known.
        registry_status: Status of the card that the registry keeps; told where it differs, and never believed.
        absent: Documents that could not be had, by name with the reason.
    """

    name: str
    arn: str
    approval: Approval
    registered_by: str = ""
    registered_at: str = ""
    trained_by: str = ""
    run: str = ""
    image: str = ""
    artefact: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    evaluation: Document = field(default_factory=dict)
    dataset: Document = field(default_factory=dict)
    survey: Document = field(default_factory=dict)
    baseline: Document = field(default_factory=dict)
    model: Document = field(default_factory=dict)
    training: Document = field(default_factory=dict)
    evaluation_job: str = ""
    trained_photos: PhotoFacts | None = None
    test_photos: PhotoFacts | None = None
    gate: float | None = None
    registry_status: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return tuple(self.model.get("classes") or self.dataset.get("classes") or self.survey.get("classes") or ())

    @property
    def test_flights(self) -> tuple[str, ...]:
        """Held-out flights, or pieces of flights, by the split."""
        return tuple(self.dataset.get("split", {}).get("test") or self.evaluation.get("per_flight", {}))

    @property
    def confidence(self) -> float | None:
        """Of the intervals, 0..1."""
        return next((one["confidence"] for one in self._metrics.values() if "confidence" in one), None)

    @property
    def leak(self) -> Document:
        """What the test shares with training, from the data set; empty where it was not measured."""
        return dict(self.dataset.get("leaks", {}).get("test of train") or {})

    @property
    def _metrics(self) -> Document:
        return dict(self.evaluation.get("metrics", {}))

    def overall(self, name: str) -> Measure | None:
        """A figure over everything that was held out, None where it was not measured."""
        return next((one for one in self.measures("all") if one.name == name), None)

    def measures(self, kind: str) -> tuple[Measure, ...]:
        """Figures ``all``, or those by class, size or flight."""
        if kind == "all":
            photos, boxes = self.evaluation.get("photos"), self.evaluation.get("boxes")
            return tuple(
                Measure("all", name, words, found.get("value"), *_bounds(found), photos, boxes)
                for name, words in FIGURES.items()
                if (found := self._metrics.get(name))
            )
        figure = KINDS[kind][1]
        return tuple(
            Measure(kind, name, figure, e.get("value"), *_bounds(e), e.get("photos"), e.get("boxes"))
            for name, e in self._slices(kind).items()
        )

    def _slices(self, kind: str) -> Mapping[str, Document]:
        """Evaluations of earlier versions have no intervals by slice, and nothing by size."""
        if "slices" in self.evaluation:
            return dict(self.evaluation["slices"].get(kind, {}))
        earlier = {"class": ("per_class", "ap50"), "flight": ("per_flight", "map50")}
        if kind not in earlier:
            return {}
        table, value = earlier[kind]
        return {
            name: {**entry, **({"value": entry[value]} if value in entry else {})}
            for name, entry in self.evaluation.get(table, {}).items()
        }

    def trained_boxes(self) -> Mapping[str, int]:
        """Boxes on training photographs by class; empty where it is not known."""
        return {entry["name"]: int(entry["boxes"]) for entry in self.baseline.get("class_balance", ())}

    def trained_gsd_cm(self) -> tuple[float, float] | None:
        """Range of the ground sample distance (cm per pixel) of the training photographs: 1st to 99th percentile."""
        known = (self.baseline.get("features", {}).get("photos", {}).get("gsd_cm") or {}).get("quantiles") or {}
        if {"1", "99"} <= known.keys():
            return float(known["1"]), float(known["99"])
        found = self.trained_photos.gsd_cm if self.trained_photos else None
        return (found[0], found[2]) if found else None

    def flights(self) -> Mapping[str, int]:
        """Photographs by flight of the survey."""
        return dict(self.survey.get("flights", {}))

    def weights(self) -> str | None:
        """File of the base weights, empty for none, None where it is not known."""
        return None if "weights" not in self.model else str(self.model["weights"])


def _bounds(entry: Document) -> tuple[float | None, float | None]:
    """Both bounds of a figure, or none of them: half an interval around nothing says nothing."""
    value, low, high = (entry.get(name) for name in ("value", "low", "high"))
    return (None, None) if value is None or low is None or high is None else (low, high)


def photo_facts(records: Iterable[Document]) -> PhotoFacts:
    """Facts of photographs from the lines of a survey's manifest, with ``site`` added where positions are known."""
    known: Sequence[Document] = list(records)
    gsd = sorted(100 * float(one["gsd_m"]) for one in known if (one.get("gsd_m") or 0) > 0)
    days = sorted(day for one in known if _DAY.match(day := str(one.get("captured_at") or "")[:10]))
    cameras = Counter(
        words for one in known if (words := " ".join(filter(None, (one.get("camera_make"), one.get("camera_model")))))
    )
    sites = {one["site"] for one in known if one.get("site", "unknown") != "unknown"}
    return PhotoFacts(
        photos=len(known),
        gsd_cm=(gsd[0], gsd[len(gsd) // 2], gsd[-1]) if gsd else None,
        cameras=dict(sorted(cameras.items(), key=lambda item: (-item[1], item[0]))),
        days=(days[0], days[-1]) if days else None,
        months=tuple(sorted({int(day[5:7]) for day in days})),
        sites=len(sites) or None,
    )
