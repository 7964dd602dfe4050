"""Nothing is lost without a word: what comes in is in the survey or in its quarantine, and both are counted again here.

Sources of several formats are spoilt at random; the ledger has to agree with a count of the files that uses nothing of
the product.
"""

import json
import os
import re
import shutil
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.registry import write_with
from overflight.data.ledger import Ledger, ledger_of
from overflight.data.survey import read_survey, write_survey
from overflight.errors import InputError, OverflightError

SIZE_WH = (60, 40)
NAMES = ("north/a_1.jpg", "north/a_2.png", "south/b_1.jpg", "south/b 2.jpg", "c_3.png")


@cache
def picture(number, suffix):
    pixels = np.random.default_rng(number).integers(0, 255, (SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def make_source(folder, form, boxes):
    """A clean source with ``boxes[n]`` boxes in its photograph ``n``."""
    photos = {}
    for number, (name, count) in enumerate(zip(NAMES, boxes, strict=True)):
        draw = np.random.default_rng(number)
        first = draw.uniform(0, 30, (count, 2)).round(1)
        xyxy = np.concatenate([first, first + draw.uniform(2, 9, (count, 2)).round(1)], axis=1)
        photos[name] = PhotoLabels(SIZE_WH, np.arange(count) % 2, xyxy, np.arange(1, count + 1), "made")
    labels = LabelSet(form, ("car", "boat"), photos)
    written = write_with(form, labels, folder, names={name: name for name in NAMES})
    for number, name in enumerate(NAMES):
        place = folder / written.places[name]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(number, place.suffix))
    return folder


def pick(paths, number):
    found = sorted(paths)
    return found[number % len(found)] if found else None


def photo_files(folder):
    suffixes = {".jpg", ".png", ".webp"}
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names if Path(name).suffix in suffixes]


def label_files(folder):
    return [p for p in folder.rglob("*") if p.suffix in {".txt", ".json", ".xml", ".csv"} and p.name != "classes.txt"]


def cut_photo(folder, number):
    path = pick(photo_files(folder), number)
    if path.is_file():
        path.write_bytes(path.read_bytes()[: number % 700])


def remove_photo(folder, number):
    pick(photo_files(folder), number).unlink()


def add_photo(folder, number):
    (folder / f"images/new_{number}.jpg").parent.mkdir(exist_ok=True)
    (folder / f"images/new_{number}.jpg").write_bytes(picture(number + 9, ".jpg"))


def add_webp(folder, number):
    (folder / f"new_{number}.webp").write_bytes(b"RIFF")


def link_photo(folder, number):
    if not (folder / f"new_{number}.png").is_symlink():
        (folder / f"new_{number}.png").symlink_to("nowhere.png")


def repeat_photo(folder, number):
    path = pick(photo_files(folder), number)
    copy = path.with_name(f"copy_{number}{path.suffix}")
    if path.is_file() and not copy.exists():
        shutil.copy(path, copy)


def remove_labels(folder, number):
    if len(label_files(folder)) > 1:
        pick(label_files(folder), number).unlink()


def rename_labels(folder, number):
    if len(label_files(folder)) > 1:
        path = pick(label_files(folder), number)
        path.rename(path.with_name(f"other_{number}{path.suffix}"))


def spoil_number(folder, number):
    """One number of a label file becomes something else."""
    path = pick(label_files(folder), number)
    text = path.read_text()
    numbers = list(re.finditer(r"(?<=[\s>,:\[])\d+\.\d+", text))
    if numbers:
        at = numbers[number % len(numbers)]
        new = ("nan", "1e400", "-7", "900000", "0", "x", "")[number % 7]
        if path.suffix == ".json" and new in {"nan", "x", ""}:
            new = '"x"'
        path.write_text(text[: at.start()] + new + text[at.end() :])


def repeat_box(folder, number):
    path = pick(label_files(folder), number)
    if path.suffix == ".txt" and (lines := path.read_text().splitlines()):
        path.write_text("\n".join([*lines, lines[number % len(lines)]]) + "\n")


def cut_labels(folder, number):
    path = pick(label_files(folder), number)
    path.write_bytes(path.read_bytes()[: number * 7])


HARMS = [cut_photo, remove_photo, add_photo, add_webp, link_photo, repeat_photo, remove_labels, rename_labels]
HARMS += [spoil_number, repeat_box]


def boxes_in_files(folder, form):
    """Entries of all label files, counted with nothing of the product."""
    if form == "coco":
        return len(json.loads((folder / "annotations.json").read_text())["annotations"])
    if form == "csv":
        # a photograph that shows nothing is a row of zeros
        lines = (folder / "annotations.csv").read_text().splitlines()[1:]
        return sum(1 for line in lines if line.strip() and ",0,0,0,0," not in line)
    if form == "voc":
        return sum(path.read_text().count("<object>") for path in folder.rglob("*.xml"))
    texts = [path for path in folder.rglob("*.txt") if path.name != "classes.txt"]
    return sum(1 for path in texts for line in path.read_text().splitlines() if line.strip())


def counted(survey):
    """Photographs and boxes of a stored survey, from its files."""
    photos = sum(1 for path in (survey / "photos").rglob("*") if path.is_file())
    boxes = sum(len(path.read_text().splitlines()) for path in (survey / "labels").rglob("*.txt"))
    listing = survey / "quarantine.jsonl"
    lines = [json.loads(line) for line in listing.read_text().splitlines()] if listing.exists() else []
    return photos, boxes, lines


def stored(source, target, **options):
    """Ledger and counts, or None where nothing can be stored."""
    try:
        facts = write_survey(read_survey(source, name="s", workers=1, **options), target, quarantine=True)
    except InputError:
        return None
    return Ledger(**facts["ledger"]), *counted(target)


def check(ledger, photos, boxes, lines):
    assert photos == ledger.photos_stored
    assert boxes == ledger.boxes_stored
    assert sum(1 for line in lines if line["kind"] == "photo") == ledger.photos_quarantined
    assert sum(line["boxes"] for line in lines) == ledger.boxes_quarantined + ledger.boxes_removed
    assert all(line["reasons"] for line in lines)
    assert ledger.photos_in == photos + ledger.photos_quarantined
    assert ledger.boxes_in == boxes + ledger.boxes_ignored + ledger.boxes_quarantined + ledger.boxes_removed


harms = st.lists(st.tuples(st.sampled_from(HARMS), st.integers(0, 10**4)), max_size=4)
box_counts = st.tuples(*[st.integers(0, 4)] * len(NAMES)).filter(any)


@settings(max_examples=60)
@given(st.sampled_from(["yolo", "coco", "voc", "csv"]), box_counts, harms, st.booleans())
def test_the_ledger_agrees_with_a_count_of_the_files(tmp_path_factory, form, boxes, harm, fix):
    folder = make_source(tmp_path_factory.mktemp("l") / "source", form, boxes)
    for spoil, number in harm:
        if photo_files(folder):
            spoil(folder, number)
    result = stored(folder, folder.parent / "survey", fix=fix)
    if result is None:
        return
    check(*result)
    ledger = result[0]
    assert ledger.photos_in - ledger.photos_absent == len(photo_files(folder))
    assert ledger.boxes_in == boxes_in_files(folder, form)


OTHERS = ["yolo-obb", "visdrone", "dota", "groundtruth", "cvat", "labelme"]


@settings(max_examples=60)
@given(st.sampled_from(["yolo", "coco", "voc", "csv", *OTHERS]), box_counts, harms, st.integers(0, 400))
def test_it_balances_for_cut_off_label_files_of_every_format(tmp_path_factory, form, boxes, harm, cut):
    folder = make_source(tmp_path_factory.mktemp("l") / "source", form, boxes)
    for spoil, number in [*harm, (cut_labels, cut)]:
        if photo_files(folder) and label_files(folder):
            spoil(folder, number)
    result = stored(folder, folder.parent / "survey", format=form)
    if result is not None:
        check(*result)
        assert result[0].photos_in - result[0].photos_absent == len(photo_files(folder))


@pytest.mark.parametrize(
    "change",
    [{"photos_stored": 2}, {"photos_quarantined": 0}, {"boxes_stored": 6}, {"boxes_removed": 1}, {"boxes_in": 9}],
    ids=str,
)
def test_a_ledger_that_does_not_balance_stops_everything(change):
    right = {"photos_in": 4, "photos_stored": 3, "photos_quarantined": 1}
    right |= {"boxes_in": 8, "boxes_stored": 5, "boxes_quarantined": 2, "boxes_removed": 0, "boxes_ignored": 1}
    Ledger(**right).check()
    with pytest.raises(OverflightError, match="are accounted for"):
        Ledger(**{**right, **change}).check()


def test_it_is_said_in_two_sentences():
    ledger = Ledger(5, 3, 2, boxes_in=1200, boxes_stored=1190, boxes_quarantined=7, boxes_removed=3, photos_absent=1)
    assert ledger.sentences() == [
        "5 photographs (1 of them only named by labels) = 3 stored + 2 quarantined",
        "1,200 boxes = 1,190 stored + 7 quarantined + 3 removed by cures",
    ]
    assert ledger_of({**ledger.as_dict(), "later": 3}) == ledger


@pytest.mark.parametrize("declared", [{}, {"width": 60, "height": 40}], ids=["size unknown", "size declared"])
@pytest.mark.parametrize(("name", "make"), [("b.webp", Path.touch), ("b.jpg", os.mkfifo)], ids=["format", "pipe"])
def test_a_photograph_that_cannot_be_taken_is_counted_once_with_its_labels(tmp_path, name, make, declared):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jpg").write_bytes(picture(1, ".jpg"))
    make(source / name)
    box = {"category_id": 1, "bbox": [5, 5, 20, 20]}
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": name, **declared}],
        "annotations": [{"id": 1, "image_id": 1} | box, {"id": 2, "image_id": 2} | box, {"id": 3, "image_id": 2} | box],
        "categories": [{"id": 1, "name": "car"}],
    }
    (source / "labels.json").write_text(json.dumps(document))
    draft = read_survey(source, name="x")
    assert draft.ledger == Ledger(2, 1, 1, 3, 1, 2)
    (left,) = draft.left_out
    assert (left.path, left.boxes) == (name, 2)


def test_the_quarantine_takes_names_from_a_field_and_not_out_of_a_sentence(tmp_path):
    names = ("a.jpg", "it has labels.jpg", "b" * 300 + ".jpg")
    (tmp_path / names[0]).write_bytes(picture(1, ".jpg"))
    images = [{"id": at, "file_name": name, "width": 60, "height": 40} for at, name in enumerate(names)]
    boxes = [{"id": at, "image_id": at, "category_id": 1, "bbox": [1, 1, 9, 9]} for at in range(3)]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    draft = read_survey(tmp_path, name="a")
    absent = {entry.path: (entry.boxes, entry.reasons[0].names) for entry in draft.left_out if entry.absent}
    assert absent == {key: (1, key) for key in draft.labels.absent}
    assert "it has labels.jpg" in absent
    assert draft.ledger.photos_absent == 2
