"""Cutting: labels follow the pixels, nothing visible becomes background, workers do not change a byte."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data import tile as cutting
from overflight.data.formats.yolo import read_labels, xyxy_px_from_rows
from overflight.data.tile import CutTask, TileRules, cut_all, limit_background, painted_over, plan_photo
from overflight.errors import InputError, JobError
from overflight.imaging.codecs import decode

RULES = TileRules(tile_px=96, overlap_px=32)


def plan(boxes_px, size_wh=(300, 200), rules=RULES):
    boxes = np.array(boxes_px, float).reshape(-1, 4)
    return plan_photo("p", size_wh=size_wh, class_ids=np.arange(len(boxes)) % 2, boxes_px=boxes, rules=rules)


@pytest.mark.parametrize(
    ("box", "kept", "ignored", "dropped"),
    [
        pytest.param((10, 10, 30, 30), 1, 0, 0, id="whole"),
        pytest.param((90, 10, 110, 30), 1, 0, 0, id="30 percent visible"),
        pytest.param((92, 10, 112, 30), 0, 1, 0, id="20 percent: painted over"),
        pytest.param((95.5, 10, 115.5, 30), 0, 0, 1, id="2.5 percent: too little to matter"),
        pytest.param((200, 10, 220, 30), 0, 0, 0, id="elsewhere"),
        pytest.param((10, 10, 11.5, 30), 0, 1, 0, id="a sliver narrower than 2 px"),
    ],
)
def test_the_visible_fraction_decides(box, kept, ignored, dropped):
    first = plan([box])[0]
    assert (len(first.class_ids), len(first.ignored_px), first.dropped) == (kept, ignored, dropped)


@given(st.integers(0, 2**32 - 1))
def test_labels_are_what_a_loop_over_tiles_and_boxes_gives(seed):
    random = np.random.default_rng(seed)
    first = random.uniform(0, 1, (12, 2)) * (290, 190)
    boxes = np.concatenate([first, np.minimum(first + random.uniform(1, 90, (12, 2)), (300, 200))], axis=1)
    for found in plan(boxes):
        expected = []
        for box in boxes:
            x0, y0 = max(box[0], found.tile.x0), max(box[1], found.tile.y0)
            x1, y1 = min(box[2], found.tile.x1), min(box[3], found.tile.y1)
            if x1 - x0 < 2 or y1 - y0 < 2:
                continue
            if (x1 - x0) * (y1 - y0) / ((box[2] - box[0]) * (box[3] - box[1])) >= 0.3:
                expected.append([x0 - found.tile.x0, y0 - found.tile.y0, x1 - found.tile.x0, y1 - found.tile.y0])
        np.testing.assert_allclose(found.boxes_px, np.array(expected).reshape(-1, 4))


def test_a_photo_hardly_larger_than_a_tile_stays_whole():
    (only,) = plan([(10, 10, 30, 30)], size_wh=(105, 100))
    assert only.name == "p"
    assert (only.tile.width_px, only.tile.height_px) == (105, 100)


@pytest.mark.parametrize(("with_boxes", "empty", "kept"), [(8, 20, 2), (80, 5, 5), (0, 5, 0), (3, 9, 0)])
def test_backgrounds_are_at_most_a_fifth(with_boxes, empty, kept):
    plans = [plan([(10, 10, 30, 30)], size_wh=(90, 90))[0]] * with_boxes
    plans += [
        plan_photo(f"e{n}", size_wh=(90, 90), class_ids=np.zeros(0, int), boxes_px=np.zeros((0, 4)), rules=RULES)[0]
        for n in range(empty)
    ]
    found = limit_background(plans, share=0.2, seed=1)
    assert len(found) == with_boxes + kept
    assert [p.name for p in limit_background(plans, share=0.2, seed=1)] == [p.name for p in found]


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


def tasks_in(folder: Path, count=3):
    folder.mkdir(exist_ok=True)
    tasks = []
    for number in range(count):
        picture = np.full((200, 300, 3), 90, np.uint8)
        cv2.rectangle(picture, (100, 60), (139, 99), (0, 0, 255), -1)
        photo = folder / f"p{number}.png"
        cv2.imwrite(str(photo), picture)
        plans = plan_photo(
            f"p{number}",
            size_wh=(300, 200),
            class_ids=np.array([1]),
            boxes_px=np.array([[100.0, 60, 140, 100]]),
            rules=RULES,
        )
        tasks.append(CutTask(photo, tuple(plans), folder / "images", folder / "labels", 95))
    return tasks


def test_boxes_written_cover_the_object_in_the_pixels(tmp_path):
    tasks = tasks_in(tmp_path, count=1)
    cut_all(tasks, pixels=0)
    seen = 0
    for found in (planned for planned in tasks[0].tiles if not planned.dropped):
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


def test_workers_do_not_change_a_byte(tmp_path):
    one, two = tasks_in(tmp_path / "one"), tasks_in(tmp_path / "two")
    seen = []
    digests = [
        cut_all(one, pixels=0, workers=1),
        cut_all(two, pixels=0, workers=2, progress=lambda done, total: seen.append((done, total))),
    ]
    assert digests[0] == digests[1]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    files = [{p.name: p.read_bytes() for p in (tmp_path / name / "images").iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]


def test_a_damaged_photo_is_named_also_by_a_worker(tmp_path):
    tasks = tasks_in(tmp_path)
    tasks[1].photo.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"p1\.png: unreadable image"):
        cut_all(tasks, pixels=0, workers=2)


def test_a_killed_worker_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(cutting, "_start_worker", _die)
    with pytest.raises(JobError, match="was killed") as caught:
        cut_all(tasks_in(tmp_path), pixels=0, workers=2)
    assert "OVERFLIGHT_WORKERS=1" in caught.value.cure


def _die():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
