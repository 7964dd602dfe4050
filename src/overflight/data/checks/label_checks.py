"""Checks of boxes one by one: where they lie, how large and what shape they are, how many a photograph has.

One hit per photograph and check, with all its boxes, so that a hundred thousand tiny boxes are not as many findings.
Ignored regions are judged only by ``outside``, ``overhang`` and ``no-size``. Oriented boxes are judged by the upright
box around them, which is what a detector of upright boxes learns from. It looks at no pixel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.overlaps import FAR_PX
from overflight.data.checks.subject import Hit, Limits, Subject
from overflight.data.formats.labels import BoxTable, PhotoLabels
from overflight.imaging.boxes import Boxes

NO_SIZE_PX = 1e-6  # what is left of a side of zero after a reader's arithmetic
ROUNDING_PX = 0.01  # YOLO text of six decimals moves an edge of a 4000 px photograph by 0.003 px
SWAPPED_CURE = "Corners out of order are not mended: look whether the columns are in another order, then draw it again"
SHOWN_PLACES = 3

Index = NDArray[np.int64]


def outside(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Boxes that leave the photograph by more than ``max_overhang_px``, or lie beside it."""
    table, most = subject.table, limits["max_overhang_px"]
    over, beside = _overhang(table)
    for key, part in by_photo(table, np.flatnonzero((over > most + ROUNDING_PX) | beside)):
        boxes, worst, apart = indices(table, part), float(over[part].max()), int(beside[part].sum())
        tail = f", {apart} of them fully" if apart else ""
        what = f"{count_of(len(part), 'box')} outside the photograph by up to {worst:.4g} px{tail} (limit {most:g} px)"
        yield Hit(f"{what}: {named(subject.labels.photos[key], boxes)}", key, boxes, score=worst)


def overhang(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Boxes that leave the photograph by less than ``outside`` speaks of, but more than the text's rounding."""
    table, least, most = subject.table, limits["min_overhang_px"], limits["max_overhang_px"]
    over, beside = _overhang(table)
    for key, part in by_photo(table, np.flatnonzero((over > least) & (over <= most + ROUNDING_PX) & ~beside)):
        boxes, worst = indices(table, part), float(over[part].max())
        what = f"{count_of(len(part), 'box')} over the edge by up to {worst:.2g} px"
        yield Hit(f"{what}: {named(subject.labels.photos[key], boxes)}", key, boxes, score=worst)


def no_size(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Boxes whose width or height is zero or negative."""
    del limits
    table = subject.table
    shorter = _wh_px(table).min(axis=1, initial=np.inf)
    for key, part in by_photo(table, np.flatnonzero(shorter <= NO_SIZE_PX)):
        boxes, swapped = indices(table, part), int((shorter[part] < -NO_SIZE_PX).sum())
        tail = f", {swapped} of them with corners out of order" if swapped else ""
        what = f"{count_of(len(part), 'box')} without area{tail}: {named(subject.labels.photos[key], boxes)}"
        yield Hit(what, key, boxes, score=float(len(part)), cure=SWAPPED_CURE if swapped else "")


def tiny(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Objects whose side, sqrt(area), is less than ``min_side_px`` at the size of training."""
    table, least = subject.table, limits["min_side_px"]
    side = _side_px(table) * subject.train_scale
    found = np.flatnonzero((side < least - ROUNDING_PX) & (side > 0) & ~table.ignored)
    found = found[np.lexsort((side[found], table.photo[found]))]
    objects = _objects(table)
    for key, part in by_photo(table, found):
        of = objects[table.photo[part[0]]]
        smallest, median = side[part[0]], side[part[(len(part) - 1) // 2]]
        what = (
            f"{len(part)} of {count_of(int(of), 'object')} smaller than {least:g} px at the training size "
            f"(smallest {smallest:.1f} px, median {median:.1f} px)"
        )
        yield Hit(what, key, indices(table, np.sort(part)), score=float((1 - side[part] / least).sum()))


def huge(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Boxes that cover more than ``max_area_share`` of their photograph."""
    table, most = subject.table, limits["max_area_share"]
    photo_px = np.maximum(table.photo_wh_px.prod(axis=1), 1)[table.photo]
    share = _side_px(table) ** 2 / photo_px
    for key, part in by_photo(table, np.flatnonzero((share > most) & ~table.ignored)):
        worst = float(share[part].max())
        what = f"{count_of(len(part), 'box')} larger than {most:.0%} of the photograph (largest {worst:.0%})"
        yield Hit(what, key, indices(table, part), score=worst)


def odd_box_aspect(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Boxes whose longer side is more than ``max_aspect`` times the shorter."""
    table, most = subject.table, limits["max_aspect"]
    size = _wh_px(table)
    shorter, longer = size.min(axis=1, initial=np.inf), size.max(axis=1, initial=0)
    found = np.flatnonzero((longer > most * shorter) & (shorter > NO_SIZE_PX) & ~table.ignored)
    for key, part in by_photo(table, found):
        aspect = longer[part] / shorter[part]
        width, height = size[part[np.argmax(aspect)]]
        boxes = indices(table, part)
        head = f"{count_of(len(part), 'box')} more than {most:g} times longer than wide"
        what = f"{head} (most: {width:.1f} x {height:.1f} px): {named(subject.labels.photos[key], boxes)}"
        yield Hit(what, key, boxes, score=float(aspect.max()))


def sliver(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Boxes with a side shorter than ``min_side_px`` in the photograph, as tiling leaves them at its edges."""
    table, least = subject.table, limits["min_side_px"]
    shorter = _wh_px(table).min(axis=1, initial=np.inf)
    found = np.flatnonzero((shorter < least - ROUNDING_PX) & (shorter > NO_SIZE_PX) & ~table.ignored)
    at_edge = _touches_edge(table)
    for key, part in by_photo(table, found):
        cut = int(at_edge[part].sum())
        tail = f", {cut} of them at the edge of the photograph" if cut else ""
        head = f"{count_of(len(part), 'box')} with a side under {least:g} px"
        what = f"{head} (narrowest {shorter[part].min():.2g} px){tail}"
        yield Hit(what, key, indices(table, part), score=float((1 - shorter[part] / least).sum()))


def empty_labels(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs whose labels say that they show no object.

    Where that is more than ``max_share`` of them it is one hit for the whole: then it is how the set was made, or it
    is not labelled to the end.
    """
    table = subject.table
    empty = np.flatnonzero(_objects(table) == 0)
    if len(empty) > limits["max_share"] * len(table.keys):
        what = f"{len(empty)} of {count_of(len(table.keys), 'photograph')} without any object"
        yield Hit(f"{what} (at most {limits['max_share']:.0%} are usual)", score=len(empty) / len(table.keys))
        return
    for index in empty.tolist():
        key = table.keys[index]
        file = subject.labels.photos[key].file
        whose = "" if PurePosixPath(file).stem == PurePosixPath(key).stem else f" in {key}"
        yield Hit(f"no object is labelled{whose}", key, where=file)


def count_outlier(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs with many times more, or fewer, objects than the others of their flight.

    The count must differ from the flight's median by the factor ``min_ratio``, by ``min_difference`` objects and by
    more than 3.5 robust standard deviations (1.4826 x median absolute deviation, Iglewicz and Hoaglin 1993). Flights
    of fewer than ``min_photos`` photographs have no usual number.
    """
    table = subject.table
    counts = _objects(table)
    members: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(table.keys):
        flight = subject.flights.get(key)
        if flight is not None:
            members[flight.flight].append(index)
    for name, flight_photos in members.items():
        if len(flight_photos) < limits["min_photos"]:
            continue
        photos = np.array(flight_photos)
        values = counts[photos]
        median = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - median)))
        ratio = np.maximum(values, 0.5) / max(median, 0.5)
        ratio = np.maximum(ratio, 1 / ratio)
        apart = np.abs(values - median)
        odd = (ratio >= limits["min_ratio"]) & (apart >= limits["min_difference"]) & (apart > 3.5 * spread)
        for index, times in zip(photos[odd].tolist(), ratio[odd].tolist(), strict=True):
            what = f"{count_of(int(counts[index]), 'object')} where photographs of flight {name!r} have {median:g}"
            yield Hit(f"{what} (median)", table.keys[index], score=times)


def by_photo(table: BoxTable, found: Index) -> Iterator[tuple[str, Index]]:
    """Photo keys with their part of ``found`` (indices of the table, photographs together)."""
    photos = table.photo[found]
    starts = np.flatnonzero(np.diff(photos, prepend=-1))
    ends = [*starts[1:].tolist(), len(found)] if len(found) else []
    for start, end in zip(starts.tolist(), ends, strict=True):
        yield table.keys[photos[start]], found[start:end]


def indices(table: BoxTable, part: Index) -> tuple[int, ...]:
    """Indices of boxes within their photograph, for a hit."""
    return tuple(table.within(part).tolist())


def named(labels: PhotoLabels, boxes: Sequence[int]) -> str:
    """``line 3, 7, 9 and 4 more``."""
    shown = ", ".join(str(number) for number in labels.numbers[list(boxes[:SHOWN_PLACES])].tolist())
    more = len(boxes) - SHOWN_PLACES
    return f"{labels.unit} {shown} and {more} more" if more > 0 else f"{labels.unit} {shown}"


def count_of(number: int, noun: str) -> str:
    """``1 box``, ``2 boxes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('x') else 's'}"


def overhang_px(xyxy_px: Boxes, photo_wh_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far boxes (N, 4) reach over the edges of photographs of (N, 2) px, (N,); and which lie fully beside them."""
    first, second = xyxy_px[:, :2], xyxy_px[:, 2:4]
    over = np.maximum(-np.minimum(first, second), np.maximum(first, second) - photo_wh_px).max(axis=1, initial=-np.inf)
    beside = ((np.maximum(first, second) <= 0) | (np.minimum(first, second) >= photo_wh_px)).any(axis=1)
    # A box of no area on the edge itself has no part outside: it has no size, that is all.
    return np.clip(over, 0, None), beside & (over > 0)


def _overhang(table: BoxTable) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return overhang_px(table.xyxy_px, table.photo_wh_px[table.photo])


def _wh_px(table: BoxTable) -> NDArray[np.float64]:
    """(N, 2) as in the table, without overflow for boxes that are nonsense."""
    near = np.clip(table.xyxy_px, -FAR_PX, FAR_PX)
    return np.asarray(near[:, 2:4] - near[:, :2])


def _side_px(table: BoxTable) -> NDArray[np.float64]:
    """sqrt(area) (N,), 0 for boxes without area."""
    return np.asarray(np.sqrt(np.clip(_wh_px(table), 0, None).prod(axis=1)))


def _touches_edge(table: BoxTable) -> NDArray[np.bool_]:
    """Boxes that come within half a pixel of the edge of their photograph, or reach over it."""
    far = table.photo_wh_px[table.photo] - table.xyxy_px[:, 2:4]
    return np.asarray(((table.xyxy_px[:, :2] < 0.5) | (far < 0.5)).any(axis=1))


def _objects(table: BoxTable) -> Index:
    """(P,) boxes of each photograph that are not ignored regions."""
    return np.asarray(np.bincount(table.photo[~table.ignored], minlength=len(table.keys)), dtype=np.int64)
