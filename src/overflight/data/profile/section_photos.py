"""Sections of a report about photographs: image quality, height and light, photographs that repeat each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from overflight.data.checks.catalogue import Catalogue
from overflight.data.profile import charts
from overflight.data.profile.cards import Card, Section, flight_colours
from overflight.data.profile.charts import Bar, Limit, number
from overflight.data.profile.tables import ALTITUDE_BANDS, KINDS, TIMES_OF_DAY, Profile

_QUALITY = (
    ("mean_luma", "Brightness", "mean luma, 0..255", (("dark", "max_mean_luma"), ("bright", "min_mean_luma"))),
    ("contrast", "Contrast", "standard deviation of luma", (("low-contrast", "max_contrast"),)),
    ("focus", "Focus", "focus: low is blurred", (("blurry", "max_focus"),)),
    ("noise_sigma", "Noise", "grey levels", (("noisy", "min_noise_sigma"),)),
    ("haze", "Haze", "dark channel, 0..1", (("haze", "min_haze"),)),
    ("bright_share", "Clipped to white", "% of pixels", (("clipped", "max_share"),)),
    ("dark_share", "Clipped to black", "% of pixels", (("clipped", "max_share"),)),
    ("colourfulness", "Colour", "colourfulness: 0 is grey", ()),
    ("illumination", "Uneven light", "range over the frame, 0..1", (("uneven-light", "min_illumination"),)),
)


def quality(profile: Profile, catalogue: Catalogue) -> Section:
    """Light, focus, noise and haze, with the limits of the checks."""
    cards = []
    for column, title, unit, marks in _QUALITY:
        times = 100.0 if unit.startswith("%") else 1.0
        limits = [
            Limit(times * catalogue[code].limits[limit], code)
            for code, limit in marks
            if code in catalogue and catalogue[code].level != "off"
        ]
        values = times * profile.photos[column]
        if np.isfinite(values).any():
            said = ", ".join(f"{limit.text} {number(limit.value)}" for limit in limits)
            note = f"limit of the checks: {said}" if said else ""
            cards.append(Card(title, charts.histogram(values, unit=unit, limits=limits), note))
    return Section(
        "quality",
        "Image quality",
        "One hump is one kind of light. Two humps are two: see which flights they are before you split. Red lines are "
        "the limits of the checks, where they lie within the picture.",
        tuple(cards),
    )


def height(profile: Profile) -> Section:
    """Height, ground per pixel, time of day."""
    photos, flights = profile.photos, flight_colours(profile)
    cards = []
    height, gsd = photos["altitude_agl_m"], photos["gsd_cm"]
    if np.isfinite(height).any():
        cards.append(Card("Height above ground", charts.histogram(height, unit="m")))
    if np.isfinite(gsd).any():
        cards.append(Card("Ground per pixel", charts.histogram(gsd, unit="cm per pixel")))
    if (np.isfinite(height) & np.isfinite(gsd)).any():
        colours = [flights[name] for name in photos["flight"].astype(str).tolist()]
        keys = photos["photo"].tolist()
        chart = charts.scatter(height, gsd, names=keys, colours=colours, x_unit="m", y_unit="cm per pixel")
        cards.append(Card("Both", chart, "Off the line: another lens, a crop, or a view that is not straight down."))
    if cards:
        cards.append(Card("Photos by height", _groups(photos["altitude_band"], ALTITUDE_BANDS)))
    if (photos["time_of_day"] != "unknown").any():
        cards.append(
            Card("Photos by time of day", _groups(photos["time_of_day"], TIMES_OF_DAY), "By the sun's height.")
        )
    return Section(
        "height",
        "Height, scale and light",
        "A detector learns sizes in pixels. Heights that training has not seen are heights it will be wrong at.",
        tuple(cards),
    )


def _groups(values: NDArray[np.object_], names: Sequence[str]) -> Markup:
    counts = {name: int((values == name).sum()) for name in names}
    rows = [Bar(name, (float(count),), f"{count:,}") for name, count in counts.items() if count or name != "unknown"]
    return charts.bars(rows)


def copies(profile: Profile) -> Section:
    """Pairs of photographs that repeat each other."""
    kinds = profile.neighbours["kind"]
    if not len(kinds):
        return Section("copies", "Photographs that repeat each other", "", ())
    pairs = [Bar(kind, (float(count),), f"{count:,}") for kind in KINDS if (count := int((kinds == kind).sum()))]
    cards = [
        Card(
            "Photos that repeat an earlier one",
            charts.bars(pairs),
            "Each counts once per kind, with the one most like it.",
        )
    ]
    near = profile.neighbours["value"][kinds == "near-duplicate"]
    if len(near):
        chart = charts.histogram(near, unit="correlation of the two pictures", thing="pairs")
        cards.append(Card("How alike near duplicates are", chart))
    return Section(
        "copies",
        "Photographs that repeat each other",
        "Each pair must stay on one side of a split. Many of them also mean that the survey holds less than its number "
        "of photographs says.",
        tuple(cards),
    )
