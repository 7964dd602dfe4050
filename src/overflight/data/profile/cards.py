"""Cards and sections of a report, and what their makers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from overflight.data.profile.charts import number
from overflight.data.profile.story import flight_counts
from overflight.data.profile.tables import Profile

MAX_ROWS = 30


@dataclass(frozen=True)
class Card:
    """One chart.

    Attributes:
        title: What it shows.
        chart: The picture.
        note: How to read it, or what is missing.
        width: Columns of the page that it takes.
    """

    title: str
    chart: Markup
    note: str = ""
    width: Literal["one", "two", "all"] = "one"


@dataclass(frozen=True)
class Section:
    """Charts that answer one question."""

    id: str
    title: str
    text: str
    cards: tuple[Card, ...]


def flight_colours(profile: Profile) -> dict[str, int]:
    """Flights by name with their colours."""
    return {name: index for index, (name, _) in enumerate(flight_counts(profile))}


def median_text(values: NDArray[np.float32]) -> str:
    """Median of the known values."""
    known = values[np.isfinite(values)]
    return number(float(np.median(known))) if len(known) else "unknown"


def not_shown(flights: Mapping[str, int]) -> str:
    """How many flights a card leaves out."""
    return f"{len(flights) - MAX_ROWS} more flights are not shown." if len(flights) > MAX_ROWS else ""
