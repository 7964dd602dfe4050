"""How much a split by photograph flatters: mAP50 of one recipe on a random split and on ours, same data, same sizes.

The survey is read once. Ours keeps flights over the same ground and flights with almost the same picture together
(``--split-by ground``); the random split puts single photographs into parts of exactly the same sizes. Both are
trained and evaluated by the jobs of the product, with the same seed, one after the other. Without ``--data`` a
synthetic survey is drawn, with several flights to a site; with it any folder of photographs and labels::

    python benchmarks/split_inflation.py [--data DIR] [--epochs 6] [--seeds 7 8] [--flights 12 --photos 12] [--json]

The test photographs differ between the two, so one pair of figures also holds the luck of the draw: give several seeds
and read the mean. The leak scores are printed beside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from overflight.data.dataset import DatasetRequest, build_dataset, read_labels
from overflight.data.facts import read_facts
from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.leaks import Side, measure_leaks, traits_of_record
from overflight.data.manifest import MANIFEST_FILE, SURVEY_FILE, Survey, load_manifest, make_survey, manifest_line
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise
from overflight.data.split import PARTS, split_photos
from overflight.data.split_balance import size_bands
from overflight.data.split_groups import near_across
from overflight.data.survey import read_survey, write_survey
from overflight.data.tile import TileRules
from overflight.files import write_json, write_text
from overflight.jobs.contract import seal

TRIES = 50
Parts = Mapping[str, Sequence[str]]


def main() -> None:
    """Train twice per seed and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, help="folder of photographs and labels (default: a synthetic survey)")
    parser.add_argument("--flights", type=int, default=12, help="of the synthetic survey")
    parser.add_argument("--photos", type=int, default=12, help="per flight of the synthetic survey")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 960), metavar=("W", "H"), help="of its photographs")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--tile", type=int, default=960, help="tile (px)")
    parser.add_argument("--imgsz", type=int, default=480, help="input of the network (px)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7])
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="overflight-inflation-") as scratch:
        survey = stored_survey(given, Path(scratch))
        rows = [measured(survey, Path(scratch) / f"seed{seed}", given, seed=seed) for seed in given.seeds]
    document = {"epochs": given.epochs, "load": os.getloadavg()[0], "rows": rows, "mean": mean_of(rows)}
    if given.json:
        print(json.dumps(document, indent=2))
        return
    for row in rows:
        sizes = "/".join(str(count) for count in row["photos"].values())
        print(f"seed {row['seed']}: {sizes} photographs in train/val/test, {given.epochs} epochs")
        for name in ("random", "ours"):
            one = row[name]
            print(f"  {name:7} mAP50 {one['map50']:.3f} {one['interval']}, {one['leaking']:.0%} of the test leaks "
                  f"({one['leaks']}), {one['seconds']:.0f} s")  # fmt: skip
        print(f"  inflation {row['inflation']:+.3f} ({row['inflation_share']:+.0%} of ours)")
    mean = document["mean"]
    print(
        f"mean of {len(rows)}: random {mean['random']:.3f}, ours {mean['ours']:.3f}, inflation {mean['inflation']:+.3f}"
    )


def stored_survey(given: argparse.Namespace, scratch: Path) -> Path:
    """The survey, read and stored; faulty photographs are left out."""
    source = given.data
    if source is None:
        source = scratch / "source"
        scene = SceneSettings(
            flights=given.flights, photos=given.photos, size_px=tuple(given.size), seed=given.seeds[0]
        )
        synthesise(scene, source, workers=min(2, os.cpu_count() or 1))
    folder = scratch / "survey"
    write_survey(read_survey(source, name="inflation"), folder, quarantine=True)
    return folder


def measured(folder: Path, scratch: Path, given: argparse.Namespace, *, seed: int) -> dict[str, Any]:
    """Both splits of one seed."""
    survey = load_manifest(folder)
    labels = read_labels(folder, survey)
    counts = {path: np.bincount(found.class_ids, minlength=len(survey.classes)) for path, found in labels.items()}
    sizes = {path: size_bands(found.xyxy_px) for path, found in labels.items()}
    paths = [photo.path for photo in survey.photos]
    files = SourceFiles(folder, tuple(PhotoFile(path, path) for path in paths), ())
    seen = read_facts(files, paths, decode=True)
    near = near_across(survey.photos, seen)
    split = split_photos(survey.photos, counts, by="ground", seed=seed, size_counts=sizes, near=near)
    ours = {part: [photo.path for photo in split.photos(part)] for part in PARTS}
    shuffled = np.random.default_rng(seed).permutation([path for part in PARTS for path in ours[part]]).tolist()
    bounds = np.cumsum([0, *(len(ours[part]) for part in PARTS)])
    by_chance = {part: sorted(shuffled[bounds[at] : bounds[at + 1]]) for at, part in enumerate(PARTS)}
    row: dict[str, Any] = {"seed": seed, "photos": {part: len(ours[part]) for part in PARTS}, "notes": split.notes}
    for name, parts in (("random", by_chance), ("ours", ours)):
        sides = [
            Side(
                part, {p.path: traits_of_record(p, pixels=seen[p.path].pixels) for p in survey.photos if p.path in use}
            )
            for part, use in (("train", set(parts["train"])), ("test", set(parts["test"])))
        ]
        report = measure_leaks(*sides)
        start = time.perf_counter()
        evaluation = trained(regrouped(folder, survey, parts, scratch / name), scratch / name, given, parts, seed=seed)
        figure = evaluation["metrics"].get("map50", {"value": 0.0})
        row[name] = {
            "map50": figure["value"],
            "interval": [round(figure[side], 3) for side in ("low", "high") if side in figure],
            "leaking": report.score,
            "leaks": ", ".join(f"{kind} {count}" for kind, count in report.counts().items() if count) or "none",
            "seconds": time.perf_counter() - start,
        }
    row["inflation"] = row["random"]["map50"] - row["ours"]["map50"]
    row["inflation_share"] = row["inflation"] / row["ours"]["map50"] if row["ours"]["map50"] else 0.0
    return row


def mean_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over seeds."""
    random, ours = (statistics.mean(row[name]["map50"] for row in rows) for name in ("random", "ours"))
    return {"random": random, "ours": ours, "inflation": random - ours}


def regrouped(folder: Path, survey: Survey, parts: Parts, scratch: Path) -> Path:
    """The same survey with the parts as its flights, so that a split by flight gives exactly these parts."""
    target = scratch / "survey"
    of = {path: part for part, paths in parts.items() for path in paths}
    photos = [photo.model_copy(update={"flight": of[photo.path]}) for photo in survey.photos if photo.path in of]
    per_class = dict.fromkeys(survey.classes, 0)
    for path, found in read_labels(folder, make_survey(survey.name, classes=survey.classes, photos=photos,
                                                       boxes_per_class=per_class)).items():  # fmt: skip
        assert path in of
        for index, count in enumerate(np.bincount(found.class_ids, minlength=len(survey.classes))):
            per_class[survey.classes[index]] += int(count)
    made = make_survey(survey.name, classes=survey.classes, photos=photos, boxes_per_class=per_class)
    for photo in photos:
        for name in (photo.path, photo.labels):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / name, target / name)
    write_text(target / MANIFEST_FILE, "".join(f"{manifest_line(photo)}\n" for photo in made.photos))
    write_json(target / SURVEY_FILE, made.as_dict())
    return target


def trained(survey: Path, scratch: Path, given: argparse.Namespace, parts: Parts, *, seed: int) -> dict[str, Any]:
    """Evaluation document of the recipe ``demo``, trained and tested on these parts."""
    dataset = scratch / "dataset"
    rules = TileRules(tile_px=given.tile, overlap_px=given.tile // 5 // 16 * 16)
    names = {path.removeprefix("photos/") for path in parts["test"]}
    for attempt in range(TRIES):  # val and test have about one size: a seed decides which flight is which
        # Not by the prepare job: it would see what the random parts share and put them together again.
        build_dataset(survey, dataset, request=DatasetRequest(seed=attempt, rules=rules))
        truth = json.loads((dataset / "test/truth.json").read_text())
        if {image["file_name"] for image in truth["images"]} == names:
            break
        shutil.rmtree(dataset)
    else:
        raise SystemExit(f"no seed below {TRIES} gives the parts back: choose another --seeds")
    seal(dataset)
    train = scratch / "train"
    (train / "input/data").mkdir(parents=True)
    shutil.copytree(dataset, train / "input/data/dataset", copy_function=os.link)
    values = {"recipe": "demo", "epochs": given.epochs, "imgsz": given.imgsz, "seed": seed}
    write_json(train / "input/config/hyperparameters.json", {name: str(value) for name, value in values.items()})
    run_job("train", train, {})
    evaluate = scratch / "evaluate"
    (evaluate / "processing/input/model").mkdir(parents=True)
    with tarfile.open(evaluate / "processing/input/model/model.tar.gz", "w:gz", compresslevel=1) as archive:
        for path in sorted((train / "model").iterdir()):
            archive.add(path, path.name)
    shutil.copytree(dataset, evaluate / "processing/input/dataset", copy_function=os.link)
    run_job("evaluate", evaluate, {"OVERFLIGHT_OVERLAYS": "0"})
    document: dict[str, Any] = json.loads((evaluate / "processing/output/evaluation/evaluation.json").read_text())
    return document


def run_job(name: str, root: Path, settings: Mapping[str, str]) -> None:
    """One job as its container runs it, in a process of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OVERFLIGHT_", "MLFLOW_"))}
    command = [sys.executable, "-m", "overflight.jobs.main", name]
    environ = {**clean, "OVERFLIGHT_ML_ROOT": str(root), **settings}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


if __name__ == "__main__":
    main()
