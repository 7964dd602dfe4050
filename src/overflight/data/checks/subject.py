"""What checks look at, and what they answer with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from overflight.data.facts import PhotoFacts
from overflight.data.flights import FlightOf
from overflight.data.formats.labels import BoxTable, LabelSet

Limits = Mapping[str, float]


@dataclass(frozen=True)
class Subject:
    """A source or a stored survey, read.

    Attributes:
        name: Its name, for findings about the whole.
        root: Its folder.
        photos: Facts by photo key, sorted by key; also of photographs that cannot be read.
        labels: Labels by the same keys; ``labels.absent`` names those without a file.
        flights: Flight by photo key.
        split: Photo keys by part (``train``, ``val``, ``test``), empty when no split is given.
        train_scale: Size at training / size in the photograph: 1 when tiles are cut at full resolution and trained
            at their own size, 0.333 when 1920 px become 640.
        split_by: ``flight``, ``ground`` or ``time-gap``: how it is going to be split.
    """

    name: str
    root: Path
    photos: Mapping[str, PhotoFacts]
    labels: LabelSet
    flights: Mapping[str, FlightOf]
    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    train_scale: float = 1.0
    split_by: str = "flight"

    @cached_property
    def table(self) -> BoxTable:
        """All boxes side by side (computed once)."""
        return self.labels.table()


@dataclass(frozen=True)
class Hit:
    """One place where a check found what it looks for; severity and cure come from the catalogue.

    Attributes:
        what: One sentence, with the figure and the limit.
        photo: Photo key, empty when it concerns the survey as a whole.
        boxes: Indices of boxes within the labels of ``photo``.
        where: Place for people; by default the first box's place, the photo or the survey's name.
        score: Larger is worse.
        cure: Where the catalogue's sentence does not fit this case.
        beside: Key of the photograph that ``photo`` is to be looked at beside, such as the other one of a pair.
    """

    what: str
    photo: str = ""
    boxes: tuple[int, ...] = ()
    where: str = ""
    score: float = 0.0
    cure: str = ""
    beside: str = ""


Check = Callable[[Subject, Limits], Iterator[Hit]]
