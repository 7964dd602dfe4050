"""Cutting photographs of 4000x3000 into tiles of 640 px with labels, beside SAHI's ``slice_coco`` in the same run.

Both get the same photographs (quality 92, structure and noise) with 100 boxes each and SAHI's rules: an overlap of 128
px, boxes of which at least a tenth is visible, nothing painted over, every tile written. Ours are JPEG of quality 95;
SAHI writes JPEG of quality 75 when it is asked for ``.jpg``, PNG by default. SAHI is no dependency: its interpreter is
given by ``--sahi-python`` and its figures are left out without it. Mosaics of 12000x9000 are cut in a process of their
own, whose peak memory is read when it has ended::

    python -m venv /tmp/sahi && /tmp/sahi/bin/pip install sahi==0.12.8 opencv-python-headless
    python benchmarks/tiles.py --sahi-python /tmp/sahi/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from overflight.data.stored_labels import read_text
from overflight.data.tile import TileRules, cores
from overflight.data.tile_cut import CutTask
from overflight.data.tile_run import Shard, cut_all
from overflight.files import sha256_file

_SIZE_WH, _MOSAIC_WH, _BOXES = (4000, 3000), (12000, 9000), 100
_LIKE_SAHI = TileRules(min_visible=0.1, ignore_above=1.0, min_side_px=0)
_SAHI = """
import json, resource, sys, time
from sahi.slicing import slice_coco
options = json.loads(sys.argv[1])
began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
slice_coco(slice_height=640, slice_width=640, overlap_height_ratio=0.2, overlap_width_ratio=0.2, min_area_ratio=0.1,
           verbose=False, **options)
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps([time.perf_counter() - began, cpu]))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sahi-python", help="interpreter that can import sahi")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--mosaics", nargs="*", default=["png", "tif", "jpg"], choices=["png", "tif", "jpg"])
    parser.add_argument("--cut", nargs="*", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cut:
        _cut_mosaics(given.cut, given.workers)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder)
        if given.photos:
            compare(root, given)
        for kind in given.mosaics:
            mosaic(root, kind)


def picture(size_wh: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Ground as a drone sees it, roughly: large patches of colour, texture of some pixels, a sensor's noise."""
    random = np.random.default_rng(seed)
    width, height = size_wh
    patches = cv2.resize(
        random.integers(0, 255, (height // 60, width // 60, 3), dtype=np.uint8), size_wh, interpolation=cv2.INTER_CUBIC
    )
    coarse = random.normal(0, 16, (height // 5, width // 5)).astype(np.float32)
    texture = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_LINEAR)
    texture += random.normal(0, 3, (height, width)).astype(np.float32)
    return np.asarray(np.clip(patches * 0.6 + 40 + texture[..., None], 0, 255).astype(np.uint8))


def boxes_of(size_wh: tuple[int, int], seed: int, count: int = _BOXES) -> NDArray[np.float64]:
    """Boxes (count, 4) of 16 to 120 px, whole pixels."""
    random = np.random.default_rng(seed)
    sides = random.integers(16, 121, (count, 2))
    first = random.integers(0, np.array(size_wh) - sides)
    return np.concatenate([first, first + sides], axis=1).astype(np.float64)


def task_of(photo: Path, size_wh: tuple[int, int], seed: int, target: Path, *, count: int = _BOXES) -> CutTask:
    """All tiles of a photograph at SAHI's rules."""
    boxes = boxes_of(size_wh, seed, count)
    return CutTask(
        photo=photo,
        sha256=sha256_file(photo),
        stem=photo.stem,
        size_wh=size_wh,
        class_ids=np.zeros(len(boxes), dtype=np.int64),
        boxes_px=boxes,
        rules=_LIKE_SAHI,
        images=target / "images",
        labels=target / "labels",
    )


def compare(root: Path, given: argparse.Namespace) -> None:
    """Photographs a second of ours and of SAHI, in turns."""
    photos = []
    for seed in range(given.photos):
        path = root / "photos" / f"p{seed:03}.jpg"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), picture(_SIZE_WH, seed), [cv2.IMWRITE_JPEG_QUALITY, 92])
        photos.append(path)
    size_mb = statistics.mean(path.stat().st_size for path in photos) / 1e6
    print(f"{len(photos)} photos of {_SIZE_WH[0]}x{_SIZE_WH[1]}, {size_mb:.1f} MB each, {_BOXES} boxes each")
    tasks = [task_of(path, _SIZE_WH, seed, root / "ours") for seed, path in enumerate(photos)]
    few = max(1, len(photos) // 30)
    for name, number in (("all.json", len(photos)), ("few.json", few)):
        (root / name).write_text(json.dumps(_coco(photos[:number])))
    found: dict[str, list[tuple[float, float]]] = {}
    for round_number in range(given.rounds):
        for workers in dict.fromkeys((1, cores())):
            shutil.rmtree(root / "ours", ignore_errors=True)
            fresh = [replace(task) for task in tasks]
            found.setdefault(f"ours, {workers} process{'es' if workers > 1 else ''}", []).append(
                _ours(fresh, root / "ours", workers)
            )
        if given.sahi_python:
            for name, number, options in (
                ("SAHI .jpg", len(photos), {"coco_annotation_file_path": str(root / "all.json"), "out_ext": ".jpg"}),
                ("SAHI default (PNG)", few, {"coco_annotation_file_path": str(root / "few.json")}),
            ):
                target = root / name.replace(" ", "-")
                shutil.rmtree(target, ignore_errors=True)
                wall, cpu = _sahi(given.sahi_python, photos[0].parent, target, options)
                found.setdefault(name, []).append((wall / number, cpu / number))
                if name == "SAHI .jpg" and round_number == 0:
                    same_labels(root / "ours", target, tasks)
        line = ", ".join(f"{name} {1 / seconds[-1][0]:.2f}" for name, seconds in found.items())
        print(f"  round: {line} photos/s, load average {os.getloadavg()[0]:.1f}", flush=True)
    _print(found)


def _ours(tasks: Sequence[CutTask], target: Path, workers: int) -> tuple[float, float]:
    """Seconds by the clock and by processors, for each photograph."""
    before, began = os.times(), time.perf_counter()
    cut_all(tasks, target / Shard().journal, workers=workers)
    wall, after = time.perf_counter() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    return wall / len(tasks), cpu / len(tasks)


def _sahi(python: str, photos: Path, target: Path, options: dict[str, str]) -> tuple[float, float]:
    every = {"image_dir": str(photos), "output_dir": str(target), "output_coco_annotation_file_name": "sliced"}
    run = subprocess.run(
        [python, "-c", _SAHI, json.dumps({**every, **options})], check=True, capture_output=True, text=True
    )
    wall, cpu = json.loads(run.stdout.splitlines()[-1])
    return wall, cpu


def _coco(photos: Sequence[Path]) -> dict[str, Any]:
    images, annotations = [], []
    for seed, path in enumerate(photos):
        images.append({"id": seed + 1, "file_name": path.name, "width": _SIZE_WH[0], "height": _SIZE_WH[1]})
        for x0, y0, x1, y1 in boxes_of(_SIZE_WH, seed).tolist():
            box = [x0, y0, x1 - x0, y1 - y0]
            common = {"id": len(annotations) + 1, "image_id": seed + 1, "category_id": 1, "iscrowd": 0}
            annotations.append({**common, "bbox": box, "area": box[2] * box[3], "segmentation": []})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}


def same_labels(ours: Path, theirs: Path, tasks: Sequence[CutTask]) -> None:
    """Tiles that both cut at the same place must show the same boxes (SAHI's in whole pixels); prints how many."""
    sliced = json.loads(next(theirs.rglob("*.json")).read_text())
    by_image: dict[int, list[list[float]]] = {}
    for annotation in sliced["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation["bbox"])
    boxes = {}
    for image in sliced["images"]:
        stem, _, x0, y0, x1, y1 = Path(image["file_name"]).stem.rsplit("_", 5)
        found = np.array(by_image.get(image["id"], []), dtype=np.float64).reshape(-1, 4)
        boxes[stem, int(x0), int(y0), int(x1), int(y1)] = np.column_stack([found[:, :2], found[:, :2] + found[:, 2:]])
    tiles = same = kept = 0
    for task in tasks:
        for plan in task.plans():
            tile = plan.tile
            tiles += 1
            text = (ours / "labels" / f"{plan.name}.txt").read_bytes()
            size = (tile.width_px, tile.height_px)
            labels, _ = read_text(text, size_wh_px=size, classes=1, where=plan.name, photo="")
            kept += len(labels)
            expected = boxes.get((task.stem, tile.x0, tile.y0, tile.x1, tile.y1))
            if expected is None:
                continue
            same += 1
            a, b = (np.array(sorted(rows.round().tolist())).reshape(-1, 4) for rows in (labels.xyxy_px, expected))
            assert a.shape == b.shape, (plan.name, a, b)
            assert np.abs(a - b).max(initial=0) <= 1, (plan.name, a, b)
    print(
        f"  tiles: {tiles} and {len(sliced['images'])}, boxes in them: {kept} and {len(sliced['annotations'])}; "
        f"{same} tiles lie at the same place and show the same boxes (the lowest row is 8 px higher for ours)"
    )


def _print(found: dict[str, list[tuple[float, float]]]) -> None:
    ours = found[[name for name in found if name.startswith("ours")][-1]]
    for name, seconds in found.items():
        walls, cpus = [wall for wall, _ in seconds], [cpu for _, cpu in seconds]
        ratios = [wall / mine for (wall, _), (mine, _) in zip(seconds, ours, strict=True)]
        print(
            f"{name:20} {1 / statistics.median(walls):6.2f} photos/s ({1 / max(walls):.2f} to {1 / min(walls):.2f}), "
            f"{1 / statistics.median(cpus):6.2f} a second of processor time (best {1 / min(cpus):.2f}), time of "
            f"ours with all cores x {statistics.median(ratios):.1f} (by round {min(ratios):.1f} to {max(ratios):.1f})",
            flush=True,
        )
    print(f"load average {os.getloadavg()[0]:.1f}, {cores()} cores")


def mosaic(root: Path, kind: str) -> None:
    """Peak memory of cutting one mosaic, and two of them by two processes."""
    paths = [root / f"mosaic{number}.{kind}" for number in range(2)]
    child = "import sys; sys.path.insert(0, sys.argv[1]); import tiles; tiles.write_mosaic(sys.argv[2])"
    subprocess.run([sys.executable, "-c", child, str(Path(__file__).parent), str(paths[0])], check=True)
    shutil.copyfile(paths[0], paths[1])
    for chosen, workers in ((paths[:1], 1), (paths, 2)):
        command = [sys.executable, __file__, "--workers", str(workers), "--cut", *map(str, chosen)]
        subprocess.run(command, check=True)
    for path in paths:
        path.unlink()


def write_mosaic(path: str) -> None:
    """A mosaic of 12000x9000; needs more memory than cutting it, so it is made in a process of its own."""
    bgr = picture(_MOSAIC_WH, 1)
    if path.endswith(".tif"):
        Image.MAX_IMAGE_PIXELS = None
        Image.fromarray(bgr[..., ::-1]).save(path, compression="tiff_adobe_deflate", tiffinfo={317: 2})
    else:
        cv2.imwrite(path, bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_JPEG_QUALITY, 92])


def _cut_mosaics(paths: Sequence[Path], workers: int) -> None:
    target = paths[0].parent / f"cut-{paths[0].suffix[1:]}-{workers}"
    tasks = [task_of(path, _MOSAIC_WH, 1, target, count=2000) for path in paths]
    began = time.perf_counter()
    cut_all(tasks, target / Shard().journal, workers=workers)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    tiles = len(list((target / "images").iterdir()))
    print(
        f"{len(paths)} mosaic{'s' if len(paths) > 1 else ''} of {_MOSAIC_WH[0]}x{_MOSAIC_WH[1]} {paths[0].suffix[1:]} "
        f"({paths[0].stat().st_size / 1e6:.0f} MB), {workers} allowed: {tiles} tiles in {seconds:.1f} s, peak memory "
        f"{peak:.0f} MiB, largest child {worker:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
