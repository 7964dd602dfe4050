"""Figures of a profile for notebooks, as matplotlib ``Figure`` objects without global state.

Needs matplotlib (extra ``explore``), which is imported when a figure is asked for. Every function draws also where a
survey says nothing about its subject: the figure then says so. The tables are ``photos_frame`` and ``boxes_frame``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from overflight.data.checks.catalogue import Catalogue
from overflight.data.facts import MAX_PHOTO_BYTES
from overflight.data.formats.labels import upright_corners
from overflight.data.profile.cards import flight_colours
from overflight.data.profile.story import has_position
from overflight.data.profile.summary import heat_map as counted
from overflight.data.profile.tables import PHOTO_COLUMNS, Profile
from overflight.data.reading import Read
from overflight.errors import InputError, ResourceError, UsageError
from overflight.imaging.codecs import decode
from overflight.imaging.geo import metres_per_degree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUALITY = ("mean_luma", "contrast", "focus", "noise_sigma", "haze", "colourfulness")
_LIMITS = {
    "mean_luma": (("dark", "max_mean_luma"), ("bright", "min_mean_luma")),
    "contrast": (("low-contrast", "max_contrast"),),
    "focus": (("blurry", "max_focus"),),
    "noise_sigma": (("noisy", "min_noise_sigma"),),
    "haze": (("haze", "min_haze"),),
}
_MAX_LEGEND, _MAX_SITES, _MAX_BARS = 10, 4, 40


def class_balance(profile: Profile) -> Figure:
    """Boxes per class, most first."""
    figure, (axes,) = _figure(1, width=7, height=0.6 + 0.32 * min(max(len(profile.classes), 2), _MAX_BARS))
    counts = np.bincount(profile.boxes["class_id"], minlength=len(profile.classes))
    order = np.argsort(-counts, kind="stable")[:_MAX_BARS]
    if not counts.any():
        return _nothing(figure, axes, "no boxes")
    bars = axes.barh([profile.classes[index] for index in order], counts[order])
    axes.bar_label(bars, [f"{count:,} ({count / counts.sum():.1%})" for count in counts[order]], padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("boxes")
    axes.margins(x=0.28)
    return figure


def box_sizes(profile: Profile, *, unit: str = "px") -> Figure:
    """Sides of boxes (square root of the area) by class, on a logarithmic axis.

    Args:
        profile: Of the survey.
        unit: ``px`` in the photograph, or ``cm`` on the ground.

    Raises:
        UsageError: another unit.
    """
    if unit not in ("px", "cm"):
        raise UsageError(f"no unit {unit!r}", cure="Use px or cm")
    sides = profile.boxes[f"box_side_{unit}"].astype(np.float64)
    good = np.isfinite(sides) & (sides > 0)
    figure, (axes,) = _figure(1)
    if not good.any():
        return _nothing(figure, axes, "no sizes on the ground" if unit == "cm" else "no boxes")
    low, high = float(sides[good].min()), float(sides[good].max())
    edges = np.geomspace(low * 0.98, max(high, low * 1.1) * 1.02, 40)
    ids = profile.boxes["class_id"]
    used = [
        index for index in np.argsort(-np.bincount(ids[good]), kind="stable").tolist() if (ids[good] == index).any()
    ]
    shown = used[: _MAX_LEGEND - 1]
    parts = [sides[good & (ids == index)] for index in shown]
    names = [profile.classes[index] for index in shown]
    if len(used) > len(shown):
        parts.append(sides[good & ~np.isin(ids, shown)])
        names.append("others")
    axes.hist(parts, edges.tolist(), stacked=True, label=names)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="x", which="minor", labelsize="small", rotation=45)
    axes.set_xlabel(f"side ({unit})")
    axes.set_ylabel("boxes")
    if unit == "px":
        axes.axvline(32, color="0.4", linestyle="--", linewidth=1)
    axes.legend(fontsize="small")
    return figure


def flight_map(profile: Profile) -> Figure:
    """Where photographs were taken, in metres around the middle of each site; the colour is the flight."""
    there = has_position(profile)
    sites, counts = np.unique(profile.photos["site"][there].astype(str), return_counts=True)
    shown = sites[np.argsort(-counts, kind="stable")][:_MAX_SITES].tolist()
    figure, panels = _figure(max(len(shown), 1), height=4.2)
    if not shown:
        return _nothing(figure, panels[0], "no photograph says where it was taken")
    for site, axes in zip(shown, panels, strict=True):
        rows = np.flatnonzero(there & (profile.photos["site"] == site))
        latitude, longitude = profile.photos["latitude_deg"][rows], profile.photos["longitude_deg"][rows]
        east_m, north_m = metres_per_degree(float(latitude.mean()))
        east = ((longitude - longitude[0] + 180) % 360 - 180) * east_m
        north = (latitude - latitude.mean()) * north_m
        names = profile.photos["flight"][rows].astype(str)
        for name, colour in flight_colours(profile).items():
            mine = names == name
            if mine.any():
                east_of = east[mine] - east.mean()
                axes.plot(east_of, north[mine], ".", color=f"C{colour % 10}", markersize=8, label=name)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(title=site, xlabel="east (m)", ylabel="north (m)")
        if len(axes.lines) <= _MAX_LEGEND:
            axes.legend(fontsize="small")
    return figure


def quality(profile: Profile, *, columns: Sequence[str] = QUALITY, catalogue: Catalogue | None = None) -> Figure:
    """Distributions of measures of the photographs, stacked by flight; limits near the values are drawn in red.

    Args:
        profile: Of the survey.
        columns: Names of ``PHOTO_COLUMNS``.
        catalogue: Whose limits are drawn; None draws none.

    Raises:
        UsageError: there is no such column.
    """
    figure, panels = _figure(len(columns), across=3, height=2.6)
    names = profile.photos["flight"].astype(str)
    colours = flight_colours(profile)
    for column, axes in zip(columns, panels, strict=True):
        values = _numbers(profile, column)
        good = np.isfinite(values)
        if good.any():
            flights = [name for name in colours if (good & (names == name)).any()]
            parts = [values[good & (names == name)] for name in flights]
            axes.hist(parts, 24, stacked=True, color=[f"C{colours[name] % 10}" for name in flights], label=flights)
        low, high = axes.get_xlim()
        for code, name in _LIMITS.get(column, ()):
            limit = catalogue[code].limits[name] if catalogue is not None else math.nan
            if low - (high - low) <= limit <= high + (high - low):
                axes.axvline(limit, color="red", linestyle="--", linewidth=1)
        axes.set_xlabel(column)
    if 1 < len(colours) <= _MAX_LEGEND:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=5, fontsize="small")
    return figure


def by_flight(profile: Profile, column: str) -> Figure:
    """A measure of the photographs as one box per flight: median, quartiles, whiskers at the 5th and 95th percentile.

    Raises:
        UsageError: there is no such column.
    """
    values, names = _numbers(profile, column), profile.photos["flight"].astype(str)
    good = np.isfinite(values)
    flights = [name for name in flight_colours(profile) if (good & (names == name)).any()][:_MAX_BARS]
    figure, (axes,) = _figure(1, height=0.8 + 0.32 * max(len(flights), 2))
    if not flights:
        return _nothing(figure, axes, f"{column} is not known")
    parts = [values[good & (names == name)] for name in flights]
    axes.boxplot(parts, orientation="horizontal", tick_labels=flights, whis=(5, 95))
    axes.invert_yaxis()
    axes.set_xlabel(column)
    return figure


def heat_map(profile: Profile, *, cells: int = 16) -> Figure:
    """Number of centres of boxes by place within the photograph."""
    figure, (axes,) = _figure(1, width=5)
    counts = counted(profile.boxes, cells=cells)
    if not counts.any():
        return _nothing(figure, axes, "no boxes")
    image = axes.imshow(counts, cmap="Blues", extent=(0, 1, 1, 0), aspect="auto")
    figure.colorbar(image, ax=axes, label="boxes")
    axes.set(xlabel="of the width", ylabel="of the height")
    return figure


def examples(
    profile: Profile, read: Read, photos: Sequence[str], *, captions: Mapping[str, str] | None = None, across: int = 3
) -> Figure:
    """Photographs with their boxes, coloured by class, oriented where the labels are; ignored regions are dotted.

    Args:
        profile: Of the survey.
        read: The same survey as read.
        photos: Keys; those that cannot be shown are empty.
        captions: By key; name and flight by default.
        across: Pictures in a row.
    """
    figure, panels = _figure(max(len(photos), 1), across=across, height=2.6)
    from matplotlib.lines import Line2D

    flights = dict(zip(profile.photos["photo"].tolist(), profile.photos["flight"].tolist(), strict=True))
    used: set[int] = set()
    for key, axes in zip(photos, panels, strict=False):
        caption = f"{key.rpartition('/')[2]} ({flights.get(key, 'unknown')})"
        axes.set_title((captions or {}).get(key, caption), fontsize="small")
        axes.set_axis_off()
        try:
            rgb = decode(read.files.read(key, max_bytes=MAX_PHOTO_BYTES), where=key)
        except (InputError, OSError) as error:
            axes.text(0.5, 0.5, str(error)[:60], ha="center")
            continue
        step = max(1, math.ceil(max(rgb.shape) / 1000))
        height, width = rgb.shape[:2]
        axes.imshow(rgb[::step, ::step], extent=(0, width, height, 0))
        labels = read.subject.labels.photos.get(key)
        if labels is not None and len(labels):
            corners = labels.corners_px if labels.corners_px is not None else upright_corners(labels.xyxy_px)
            ignored = labels.ignored if labels.ignored is not None else np.zeros(len(labels), dtype=np.bool_)
            for ring, class_id, skip in zip(corners, labels.class_ids.tolist(), ignored.tolist(), strict=True):
                colour, line = ("0.6", ":") if skip else (f"C{class_id % 10}", "-")
                axes.plot(*np.concatenate([ring, ring[:1]]).T, color=colour, linestyle=line, linewidth=1.2)
            axes.set(xlim=(0, width), ylim=(height, 0))
            used.update(labels.class_ids[~ignored].tolist())
    if not photos:
        return _nothing(figure, panels[0], "no photographs")
    if 0 < len(used) <= _MAX_LEGEND:
        handles = [Line2D([], [], color=f"C{index % 10}", label=profile.classes[index]) for index in sorted(used)]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize="small")
    return figure


def _numbers(profile: Profile, column: str) -> Any:
    kind = PHOTO_COLUMNS.get(column, ("object", ""))[0]
    if kind == "object":
        raise UsageError(f"no column of numbers {column!r}", cure="See overflight.data.profile.tables.PHOTO_COLUMNS")
    return profile.photos[column].astype(np.float64)


def _figure(panels: int, *, across: int = 2, width: float = 10, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """A figure of panels, ``across`` in a row; ``height`` (inches) is that of a row."""
    try:
        from matplotlib.figure import Figure as MatplotlibFigure
    except ImportError as error:
        raise ResourceError("matplotlib is not installed", cure="Run `pip install overflight[explore]`") from error
    columns = min(panels, across)
    rows = math.ceil(panels / columns)
    figure = MatplotlibFigure(figsize=(width if panels > 1 else min(width, 7), height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    found: list[Axes] = list(grid.ravel())
    for axes in found[panels:]:
        axes.set_axis_off()
    return figure, found[:panels]


def _nothing(figure: Figure, axes: Axes, text: str) -> Figure:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    return figure
