"""Cutting: labels follow the pixels, what is not labelled is painted over, workers do not change a byte."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data import tile_cut, tile_run
from overflight.data.formats.yolo import read_labels, xyxy_px_from_rows
from overflight.data.tile import TileRules
from overflight.data.tile_cut import CutTask, cut_photo, painted_over
from overflight.data.tile_run import Journals, Shard, cut_all
from overflight.errors import InputError, JobError, ResourceError
from overflight.files import sha256_file
from overflight.imaging import windows
from overflight.imaging.codecs import decode, encode_jpeg

RULES = TileRules(tile_px=96, overlap_px=32)
BOX_PX = (100, 60, 140, 100)


def test_painting_uses_the_colour_around_and_spares_kept_boxes():
    picture = np.full((60, 80, 3), 100, np.uint8)
    picture[20:40, 20:60] = 250
    painted = painted_over(picture, np.array([[20.0, 20, 40, 40]]), keep=np.array([[40.0, 20, 60, 40]]))
    assert (painted[20:40, 20:40] == 100).all()
    assert (painted[20:40, 40:60] == 250).all()
    assert (picture[20:40, 20:60] == 250).all()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_painting_never_fails_and_changes_only_its_regions(seed):
    random = np.random.default_rng(seed)
    picture = random.integers(0, 255, (50, 60, 3), dtype=np.uint8)
    corners = random.uniform(0, 1, (6, 2, 2)) * (60, 50)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    painted = painted_over(picture, boxes[:3], keep=boxes[3:])
    changed = (painted != picture).any(axis=2)
    allowed = np.zeros((50, 60), bool)
    for x0, y0, x1, y1 in boxes[:3]:
        allowed[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    assert not (changed & ~allowed).any()


def task_in(folder: Path, number=0, *, suffix=".png", size_wh=(300, 200), boxes_px=(BOX_PX,), rules=RULES):
    """A grey photograph with a red square where each box is."""
    folder.mkdir(exist_ok=True)
    picture = np.full((size_wh[1], size_wh[0], 3), 90 + number, np.uint8)
    for x0, y0, x1, y1 in boxes_px:
        picture[y0:y1, x0:x1] = (0, 0, 255)
    photo = folder / f"p{number}{suffix}"
    cv2.imwrite(str(photo), picture)
    return CutTask(
        photo=photo,
        sha256=sha256_file(photo),
        stem=f"p{number}",
        size_wh=size_wh,
        class_ids=np.ones(len(boxes_px), dtype=np.int64),
        boxes_px=np.array(boxes_px, dtype=np.float64).reshape(-1, 4),
        rules=rules,
        images=folder / "images",
        labels=folder / "labels",
    )


def tasks_in(folder: Path, count=3, **options):
    return [task_in(folder, number, **options) for number in range(count)]


def content(folder):
    return {
        f"{kind}/{path.name}": path.read_bytes() for kind in ("images", "labels") for path in (folder / kind).iterdir()
    }


def test_boxes_written_cover_the_object_in_the_pixels(tmp_path):
    task = task_in(tmp_path)
    cut_all([task], tmp_path / Shard().journal)
    seen = 0
    for found in task.plans():
        picture = decode((tmp_path / f"images/{found.name}.jpg").read_bytes()).astype(int)
        red = (picture[..., 0] - picture[..., 1]) > 90
        labels = read_labels((tmp_path / f"labels/{found.name}.txt").read_bytes(), classes=2, where="")
        boxes = xyxy_px_from_rows(labels.rows, width_px=picture.shape[1], height_px=picture.shape[0])
        assert red.any() == bool(len(boxes)), "what is not labelled is painted over"
        for x0, y0, x1, y1 in boxes.round().astype(int):
            ys, xs = np.nonzero(red)
            assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == pytest.approx((x0, y0, x1, y1), abs=1)
            seen += 1
    assert seen >= 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_tiles_are_those_of_the_decoded_photograph_painted_and_encoded(tmp_path, suffix, monkeypatch):
    boxes = [(10, 10, 50, 40), (80, 60, 120, 100), (90, 60, 170, 130), (0, 0, 290, 190)]
    task = task_in(tmp_path, suffix=suffix, boxes_px=boxes)
    whole = decode(task.photo.read_bytes())
    for banded in (0, 10**9):
        monkeypatch.setattr(
            windows.windows, "__kwdefaults__", windows.windows.__kwdefaults__ | {"banded_from_px": banded}
        )
        cut_all([task], tmp_path / Shard().journal)
        for one in task.plans():
            tile = one.tile
            pixels = painted_over(whole[tile.y0 : tile.y1, tile.x0 : tile.x1], one.ignored_px, keep=one.boxes_px)
            assert (tmp_path / f"images/{one.name}.jpg").read_bytes() == encode_jpeg(pixels, 95), one.name
        (tmp_path / Shard().journal).unlink()


def test_labels_written_bring_the_photographs_boxes_back(tmp_path):
    random = np.random.default_rng(3)
    first = random.integers(0, (260, 160), (20, 2))
    boxes = np.concatenate([first, first + random.integers(3, 32, (20, 2))], axis=1)
    task = task_in(tmp_path, boxes_px=boxes.tolist())
    record = cut_photo(make_folders(task))
    back = {}
    for tile in record["tiles"]:
        x0, y0, x1, y1 = tile["xyxy_px"]
        rows = read_labels((task.labels / f"{tile['name']}.txt").read_bytes(), classes=2, where="").rows
        found = xyxy_px_from_rows(rows, width_px=x1 - x0, height_px=y1 - y0) + np.array([x0, y0, x0, y0])
        for number, box in zip(tile["box_ids"], found, strict=True):
            before = back.get(number, box)
            back[number] = np.concatenate([np.minimum(before[:2], box[:2]), np.maximum(before[2:], box[2:])])
    np.testing.assert_allclose([back[number] for number in range(20)], boxes, atol=0.01)


def make_folders(task):
    for folder in (task.images, task.labels):
        folder.mkdir(exist_ok=True)
    return task


def test_neither_workers_nor_shards_change_a_byte(tmp_path):
    seen = []
    cut_all(tasks_in(tmp_path / "one"), tmp_path / "one" / Shard().journal, workers=1)
    two = tasks_in(tmp_path / "two")
    progress = lambda done, total: seen.append((done, total))  # noqa: E731
    assert cut_all(two, tmp_path / "two" / Shard().journal, workers=2, progress=progress) == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    three = tasks_in(tmp_path / "three")
    for index in range(3):
        shard = Shard(index, 3)
        cut_all([task for task in three if shard.has(task.sha256)], tmp_path / "three" / shard.journal, workers=1)
    expected = content(tmp_path / "one")
    assert content(tmp_path / "two") == content(tmp_path / "three") == expected
    journals = [Journals(tmp_path / name) for name in ("one", "two", "three")]
    records = [[journal.record(task.key) for task in two] for journal in journals]
    assert records[0] == records[1] == records[2] != [None] * 3


def test_every_photograph_falls_to_one_shard():
    digests = [f"{number:064x}" for number in (0, 1, 2**60, 3 * 16**49)] + ["f" * 64]
    for digest in digests:
        assert sum(Shard(index, 7).has(digest) for index in range(7)) == 1
    with pytest.raises(ValueError, match="shard 2 of 2"):
        Shard(2, 2)


def test_what_is_done_is_not_done_again_and_what_is_harmed_is(tmp_path):
    tasks, journal = tasks_in(tmp_path), tmp_path / Shard().journal
    assert cut_all(tasks, journal) == 3
    before = content(tmp_path)
    assert cut_all(tasks, journal) == 0
    first, second, _ = (task.plans()[0].name for task in tasks)
    (tmp_path / f"images/{first}.jpg").write_bytes(b"")
    (tmp_path / f"labels/{second}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    journal.write_bytes(journal.read_bytes()[:-20])  # a kill cut the last line off
    assert tasks[2].key not in Journals(tmp_path)
    assert cut_all(tasks, journal) == 3
    assert content(tmp_path) == before
    assert cut_all(tasks, journal) == 0


def test_other_settings_are_other_work(tmp_path):
    cut_all(tasks_in(tmp_path), tmp_path / Shard().journal)
    assert cut_all(tasks_in(tmp_path, rules=TileRules(tile_px=96, overlap_px=32, jpeg_quality=90)), tmp_path / "j") == 3
    assert cut_all(tasks_in(tmp_path, boxes_px=[(100, 60, 140, 101)]), tmp_path / "j") == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unreadable_photo_in_the_middle_is_named_and_the_others_are_cut(tmp_path, workers):
    tasks, journal = tasks_in(tmp_path, count=5), tmp_path / Shard().journal
    good = tasks[1].photo.read_bytes()
    tasks[1].photo.write_bytes(good[:60])
    with pytest.raises(InputError, match=r"p1\.png: unreadable image.*Copy it again.*the other 4 are cut") as caught:
        cut_all(tasks, journal, workers=workers)
    assert "will not be cut again" in caught.value.cure
    tasks[1].photo.write_bytes(good)
    assert cut_all(tasks, journal, workers=workers) == 1
    cut_all(tasks_in(tmp_path / "clean", count=5), tmp_path / "clean" / Shard().journal)
    assert content(tmp_path) == content(tmp_path / "clean")


def test_many_unreadable_photos_are_counted(tmp_path):
    tasks = tasks_in(tmp_path, count=8)
    for task in tasks[:7]:
        task.photo.unlink()
    with pytest.raises(InputError, match=r"7 of 8 photos cannot be read: .*p0\.png.*p4\.png.*and 2 more.*Copy them"):
        cut_all(tasks, tmp_path / "j")


def test_a_photo_that_was_exchanged_for_one_of_another_size_is_named(tmp_path):
    task = task_in(tmp_path)
    cv2.imwrite(str(task.photo), np.zeros((210, 300, 3), np.uint8))
    with pytest.raises(InputError, match=r"p0\.png: is 300x210 px, not 300x200 px as it was"):
        cut_all([task], tmp_path / "j")


def test_a_full_disk_stops_the_run_which_goes_on_later(tmp_path, monkeypatch):
    tasks, journal = tasks_in(tmp_path, count=4), tmp_path / Shard().journal
    write = tile_cut.write_into

    def full(folder, name, data):
        if name.startswith("p2"):
            write(folder, name, data[:100])
            raise OSError(28, "No space left on device")
        write(folder, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(tile_cut, "write_into", full)
        with pytest.raises(ResourceError, match="no space left on the disk") as caught:
            cut_all(tasks, journal, workers=1)
    assert "run the same command again: 2 of 4 photos are cut and will not be cut again" in caught.value.cure
    assert cut_all(tasks, journal) == 2
    cut_all(tasks_in(tmp_path / "clean", count=4), tmp_path / "clean" / Shard().journal)
    assert content(tmp_path) == content(tmp_path / "clean")


def test_a_killed_worker_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(tile_run, "_start_worker", _die)
    with pytest.raises(JobError, match="was killed") as caught:
        cut_all(tasks_in(tmp_path), tmp_path / "j", workers=2)
    assert "OVERFLIGHT_WORKERS=1" in caught.value.cure


def _die():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def test_mosaics_are_cut_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tile_run, "_MOSAIC_FROM_PIXELS", 60_000)
    monkeypatch.setattr(tile_run, "_MOSAICS_BYTES", 100_000)
    monkeypatch.setattr(tile_run, "_by_processes", None)  # one at a time means without processes
    assert cut_all(tasks_in(tmp_path), tmp_path / "j", workers=2) == 3
