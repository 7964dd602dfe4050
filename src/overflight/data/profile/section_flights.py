"""Sections of a report about flights: classes by flight, photographs in time, where they were taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from overflight.data.profile import charts
from overflight.data.profile.cards import MAX_ROWS, Card, Section, flight_colours, median_text, not_shown
from overflight.data.profile.charts import Bar, number
from overflight.data.profile.ground_map import Place, by_site, map_of
from overflight.data.profile.story import has_position
from overflight.data.profile.summary import co_occurrence
from overflight.data.profile.tables import Profile

MAX_SITES = 6
_SHOWN_CLASSES = 9

Footprints = Mapping[int, NDArray[np.float64]]


def balance(profile: Profile) -> Section:
    """Boxes per class, over all and by flight."""
    ids = profile.boxes["class_id"]
    counts = np.bincount(ids, minlength=len(profile.classes))
    photos = np.diag(co_occurrence(profile.boxes, classes=len(profile.classes))) if len(ids) else counts
    order = np.argsort(-counts, kind="stable").tolist()
    colour = {index: min(place, _SHOWN_CLASSES) for place, index in enumerate(order)}
    rows = [
        Bar(
            profile.classes[index],
            (float(counts[index]),),
            f"{counts[index]:,} ({counts[index] / max(len(ids), 1):.1%})",
            colour[index],
            (f"{profile.classes[index]}: {counts[index]:,} boxes in {photos[index]:,} photos",),
        )
        for index in order[:MAX_ROWS]
    ]
    more = len(order) - MAX_ROWS
    cards = [Card("Boxes per class", charts.bars(rows), f"and {more} more classes" if more > 0 else "")]
    if len(ids):
        cards.append(_balance_by_flight(profile, order, colour))
    return Section(
        "classes",
        "Class balance",
        "Does every class have enough examples, and does every flight hold the same mixture? A class that lives in one "
        "flight only is learned together with that flight's light and ground.",
        tuple(cards) if profile.classes else (),
    )


def _balance_by_flight(profile: Profile, order: Sequence[int], colour: Mapping[int, int]) -> Card:
    flights = flight_colours(profile)
    rows_of = np.array([flights[name] for name in profile.photos["flight"].astype(str).tolist()], dtype=np.int64)
    of_box = rows_of[profile.boxes["photo_index"]]
    counts = np.zeros((len(flights), _SHOWN_CLASSES + 1))
    places = np.array([colour[index] for index in range(len(profile.classes))], dtype=np.int64)
    np.add.at(counts, (of_box, places[profile.boxes["class_id"]]), 1)
    names = [profile.classes[index] for index in order[:_SHOWN_CLASSES]]
    names += ["others"] if len(order) > _SHOWN_CLASSES else []
    bars = [
        Bar(
            name,
            tuple((counts[row] / max(counts[row].sum(), 1)).tolist()),
            f"{counts[row].sum():,.0f}",
            0,
            tuple(f"{name}, {what}: {count:,.0f}" for what, count in zip([*names, *[""] * 10], counts[row])),  # noqa: B905
        )
        for name, row in list(flights.items())[:MAX_ROWS]
    ]
    legend = charts.legend({name: place for place, name in enumerate(names)})
    return Card(
        "Mixture by flight", legend + charts.bars(bars), not_shown(flights), width="all" if len(flights) > 12 else "one"
    )


def flown(profile: Profile) -> Section:
    """Photographs in time, and what each flight is."""
    flights = flight_colours(profile)
    names = profile.photos["flight"].astype(str)
    times = [_seconds(stamp) for stamp in profile.photos["captured_at"].tolist()]
    strips = []
    longest = 0.0
    for name in list(flights)[:MAX_ROWS]:
        rows = np.flatnonzero(names == name)
        known = sorted((time, row) for row in rows.tolist() if (time := times[row]) is not None)
        longest = max(longest, known[-1][0] - known[0][0] if known else 0.0)
        strips.append((name, rows.tolist(), known))
    lines = [_strip(profile, name, rows, known, longest) for name, rows, known in strips]
    table = charts.table(
        ("flight", "photos", "boxes", "size (px)", "GPS", "height (m)", "cm / px", "brightness"),
        [_flight_row(profile, name, np.flatnonzero(names == name)) for name in list(flights)[:MAX_ROWS]],
    )
    colours = [flights[name] for name in list(flights)[:MAX_ROWS]]
    said = f"All lines have one scale: {_span(longest)} from left to right." if longest else ""
    note = f"{said} Where no time is known, photographs stand in the order of their names.".strip()
    return Section(
        "flights",
        "Flights",
        "Photographs of one flight share light, ground and camera; they belong on one side of a split. A gap in a line "
        "is a pause: two flights under one name, perhaps.",
        (
            Card("Photos in time", charts.strips(lines, colours=colours), f"{note} {not_shown(flights)}", "all"),
            Card("What each flight is", table, "Medians of the flight.", width="all"),
        ),
    )


def _strip(
    profile: Profile, name: str, rows: Sequence[int], known: Sequence[tuple[float, int]], longest: float
) -> tuple[str, list[float], str, list[str]]:
    keys, stamps = profile.photos["photo"], profile.photos["captured_at"]
    if known:
        first = known[0][0]
        places = [(time - first) / longest if longest else 0.0 for time, _ in known]
        titles = [f"{keys[row]}: {stamps[row].replace('T', ' ')}" for _, row in known]
        start = stamps[known[0][1]][:16].replace("T", " ")
        return name, places, f"{len(rows):,} from {start}", titles
    places = [index / max(len(rows) - 1, 1) for index in range(len(rows))]
    return name, places, f"{len(rows):,}, no times", [str(keys[row]) for row in rows]


def _flight_row(profile: Profile, name: str, rows: NDArray[np.int64]) -> tuple[str, ...]:
    photos = profile.photos
    sizes = sorted({(int(photos["width_px"][row]), int(photos["height_px"][row])) for row in rows.tolist()} - {(0, 0)})
    shown = ", ".join(f"{width}x{height}" for width, height in sizes[:2]) or "unknown"
    there = int(has_position(profile)[rows].sum())
    return (
        name,
        f"{len(rows):,}",
        f"{int(photos['boxes'][rows].sum()):,}",
        shown + (f" and {len(sizes) - 2} more" if len(sizes) > 2 else ""),
        "all" if there == len(rows) else f"{there} of {len(rows)}" if there else "none",
        *(median_text(photos[column][rows]) for column in ("altitude_agl_m", "gsd_cm", "mean_luma")),
    )


def ground(profile: Profile, footprints: Footprints) -> Section:
    """A map per site; ``footprints`` by row of the photographs: (N, 2) longitude and latitude."""
    photos, flights = profile.photos, flight_colours(profile)
    places = {
        row: Place(
            (float(photos["longitude_deg"][row]), float(photos["latitude_deg"][row])),
            footprints.get(row),
            flights[str(photos["flight"][row])],
            f"{photos['photo'][row]}: flight {photos['flight'][row]}, "
            f"{_known(photos['altitude_agl_m'][row], 'm above ground', 'height not known')}, "
            f"{photos['boxes'][row]} boxes",
        )
        for row in np.flatnonzero(has_position(profile)).tolist()
    }
    found = by_site(photos["site"], places, at_most=MAX_SITES)
    sites = {str(photos["site"][row]) for row in places}
    cards = []
    for site, here in found:
        outlined = sum(1 for place in here if place.footprint_lonlat_deg is not None)
        note = f"{len(here):,} photos; outlines ({outlined:,}) show the ground where height, pitch and lens are known."
        colours = {place.colour for place in here}
        legend = {name: colour for name, colour in flights.items() if colour in colours}
        drawn = map_of(here)
        if len(legend) <= charts.SERIES:
            drawn = charts.legend(legend) + drawn
        cards.append(Card(site, drawn, note, width="two" if len(found) == 1 else "one"))
    more = f" {len(sites) - MAX_SITES} smaller sites are not drawn." if len(sites) > MAX_SITES else ""
    return Section(
        "map",
        "Where it was flown",
        "North is up. Flights over the same ground see the same objects: put on two sides of a split, they leak."
        + more,
        tuple(cards),
    )


def _known(value: float, unit: str, otherwise: str) -> str:
    return f"{number(float(value))} {unit}" if np.isfinite(value) else otherwise


def _seconds(stamp: str) -> float | None:
    """Seconds since a fixed day; cameras' local times are compared within a flight only."""
    try:
        return (datetime.fromisoformat(stamp).replace(tzinfo=None) - datetime(2000, 1, 1)).total_seconds()
    except ValueError:
        return None


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
