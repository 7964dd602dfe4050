"""The tiles of a data set: who is cut how, what the journals say at the end, and what the seams do to the boxes.

Every job plans all photographs (that needs labels only), so that backgrounds are chosen the same way by all; each cuts
its own. ``tiles.jsonl`` is made of the journals in the order of the plan, whoever cut what. It knows no truth of the
test part and does not split.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from overflight.data.formats.labels import PhotoLabels
from overflight.data.manifest import PhotoRecord
from overflight.data.tile import Seams, TileRules, chosen_backgrounds, seams
from overflight.data.tile_cut import CutTask, Record
from overflight.data.tile_run import Journals
from overflight.errors import InputError
from overflight.files import atomic_write, canonical_json, sha256_bytes
from overflight.imaging.tiles import GRID_PX

TILED_PARTS = ("train", "val")
_TORN_SHARE = 0.01
_PLACE = re.compile(r"_x\d{5,}_y\d{5,}$")  # behind the stem in the names of tiles


@dataclass(frozen=True)
class PlannedPhoto:
    """A photograph of train or val and how it is cut."""

    part: str
    record: PhotoRecord
    task: CutTask


@dataclass(frozen=True)
class TilePlans:
    """All photographs that give tiles, in the order of ``tiles.jsonl``.

    Attributes:
        photos: Train first.
        seams: How their boxes come through.
        boxes: Kept boxes of all tiles by part.
        small: Number of photographs smaller than a tile.
        looked_at: Number of photographs of train and val.
    """

    photos: tuple[PlannedPhoto, ...]
    seams: Seams
    boxes: Mapping[str, int]
    small: int
    looked_at: int


def plan_tiles_of(
    folder: Path,
    target: Path,
    *,
    parts: Mapping[str, Sequence[PhotoRecord]],
    labels: Mapping[str, PhotoLabels],
    rules: TileRules,
    seed: int,
) -> TilePlans:
    """How the photographs of train and val are cut, backgrounds limited.

    Args:
        folder: The stored survey.
        target: Where the data set goes.
        parts: Photographs of ``train`` and ``val``.
        labels: By path of the photograph.
        rules: How they are cut.
        seed: Chooses the background tiles.
    """
    stems = _stems([photo for part in TILED_PARTS for photo in parts[part]])
    planned: list[PlannedPhoto] = []
    total, boxes, small = Seams(), Counter[str](), 0
    for part in TILED_PARTS:
        tasks = [
            CutTask(
                photo=folder / photo.path,
                sha256=photo.sha256,
                stem=stems[photo.path],
                size_wh=(photo.width_px, photo.height_px),
                class_ids=labels[photo.path].class_ids,
                boxes_px=labels[photo.path].xyxy_px,
                rules=rules,
                images=target / "images" / part,
                labels=target / "labels" / part,
                ignored_px=np.array(photo.ignored_px, dtype=np.float64).reshape(-1, 4),
            )
            for photo in parts[part]
        ]
        full, empty = [], dict[str, tuple[int, int]]()
        for number, task in enumerate(tasks):
            plans = task.plans()
            total += seams(plans, task.boxes_px)
            small += max(task.size_wh) < rules.tile_px
            full.append([index for index, plan in enumerate(plans) if len(plan.class_ids)])
            boxes[part] += sum(len(plan.class_ids) for plan in plans)
            empty |= {plan.name: (number, index) for index, plan in enumerate(plans) if not len(plan.class_ids)}
        tiles_with_boxes = sum(map(len, full))
        chosen = chosen_backgrounds(empty, with_boxes=tiles_with_boxes, share=rules.background_share, seed=seed)
        for name in chosen if tiles_with_boxes else empty:  # a part without any box is still a part
            number, index = empty[name]
            full[number].append(index)
        planned += [
            PlannedPhoto(part, photo, replace(task, wanted=tuple(sorted(wanted))))
            for photo, task, wanted in zip(parts[part], tasks, full, strict=True)
            if wanted
        ]
    return TilePlans(tuple(planned), total, boxes, small, sum(len(parts[part]) for part in TILED_PARTS))


def _stems(photos: Sequence[PhotoRecord]) -> dict[str, str]:
    """A file name without suffix for each photograph: its path in one piece; with a digest where two would collide.

    Two tiles too: a photograph may be called like a tile of another.
    """
    flat = {photo.path: "__".join(PurePosixPath(photo.path).with_suffix("").parts[1:]) for photo in photos}
    uses = Counter(stem.lower() for stem in flat.values())

    def alone(stem: str) -> bool:
        whole = _PLACE.sub("", stem)
        return uses[stem] == 1 and (whole == stem or whole not in uses)

    return {
        path: stem if alone(stem.lower()) else f"{stem}_{sha256_bytes(path.encode())[:8]}"
        for path, stem in flat.items()
    }


@dataclass
class TileTotals:
    """Sums over ``tiles.jsonl``: tiles and boxes by part, ignored regions, and the SHA-256 of its text."""

    tiles: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TILED_PARTS, 0))
    boxes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TILED_PARTS, 0))
    ignored: int = 0
    sha256: str = ""


def write_tile_lines(path: Path, plans: TilePlans, journals: Journals) -> TileTotals:
    """Write ``tiles.jsonl``: one line of provenance per tile.

    Raises:
        ResourceError: the disk is full.
    """
    totals, digest = TileTotals(), hashlib.sha256()
    with atomic_write(path) as file:
        for line in _lines(plans, journals):
            totals.tiles[line["part"]] += 1
            totals.boxes[line["part"]] += line["boxes"]
            totals.ignored += line["ignored"]
            text = f"{canonical_json(line)}\n".encode()
            digest.update(text)
            file.write(text)
    totals.sha256 = digest.hexdigest()
    return totals


def _lines(plans: TilePlans, journals: Journals) -> Iterator[Record]:
    for planned in plans.photos:
        record = journals.record(planned.task.key) or {"tiles": []}
        for tile in record["tiles"]:
            counts = {name: value for name, value in tile.items() if name != "name"}
            yield {
                "tile": f"images/{planned.part}/{tile['name']}.jpg",
                "part": planned.part,
                "photo": planned.record.path,
                "photo_sha256": planned.record.sha256,
                "flight": planned.record.flight,
                **counts,
            }


def require_complete(plans: TilePlans, journals: Journals, *, where: str, shards: int) -> None:
    """Refuse when photographs are not cut yet.

    Raises:
        InputError: names how many, and the jobs that have to run (again).
    """
    missing = [planned.record.sha256 for planned in plans.photos if planned.task.key not in journals]
    if missing:
        late = sorted({int(sha256[:15], 16) % shards for sha256 in missing})
        jobs = ", ".join(map(str, late[:20])) + (" and more" if len(late) > 20 else "")
        cure = f"Let job{'s' if len(late) > 1 else ''} {jobs} of {shards} (from 0) end, or run again what failed"
        raise InputError(f"{len(missing)} of {len(plans.photos)} photos are not cut yet", where=where, cure=cure)


def settle_files(target: Path, plans: TilePlans, journals: Journals) -> None:
    """Remove tiles and labels that do not belong to the data set (of an earlier run with other settings).

    Raises:
        InputError: a tile that the journals name is not there.
    """
    for part in TILED_PARTS:
        for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
            folder = target / kind / part
            present = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
            wanted = {f"{name}{suffix}" for name in _names(plans, journals, part)}
            if not wanted <= present:
                missing = min(wanted - present)
                cure = "Bring the tiles of all jobs together in this folder, then run again"
                raise InputError("a tile is missing", where=str(folder / missing), cure=cure)
            for name in present - wanted:
                (folder / name).unlink()


def _names(plans: TilePlans, journals: Journals, part: str) -> Iterator[str]:
    for planned in plans.photos:
        if planned.part == part:
            record = journals.record(planned.task.key) or {"tiles": []}
            yield from (tile["name"] for tile in record["tiles"])


def notes_on(plans: TilePlans, rules: TileRules) -> list[str]:
    """Sentences on what the tiles do to objects and photographs, each with what to do about it; mostly none."""
    found, notes = plans.seams, []
    torn = found.parts + found.lost
    if found.lost or torn > _TORN_SHARE * found.boxes or (torn and not rules.overlap_px):
        needed = int(-(-found.largest_torn_px // GRID_PX) * GRID_PX)
        cure = f"OVERFLIGHT_OVERLAP_PX={needed}"
        if needed > rules.tile_px // 2:
            cure = f"OVERFLIGHT_TILE_PX={needed * 2} with {cure}"
        notes.append(
            f"{torn} of {found.boxes} boxes are whole in no tile (the longest has {found.largest_torn_px:.0f} px, "
            f"tiles share {rules.overlap_px} px): {found.parts} are taught in parts, {found.lost} not at all. "
            f"Set {cure}, so that every object is whole in a tile"
        )
    if plans.small:
        notes.append(
            f"{plans.small} of {plans.looked_at} photos are smaller than a tile of {rules.tile_px} px: they stay whole "
            "and the network sees them enlarged. Set OVERFLIGHT_TILE_PX to their longer side or less"
        )
    return notes


def seam_counts(plans: TilePlans) -> dict[str, Any]:
    """For ``dataset.json``: boxes of train and val that are whole in a tile, in parts only, and in no tile."""
    return {"whole": plans.seams.whole, "parts": plans.seams.parts, "lost": plans.seams.lost}
