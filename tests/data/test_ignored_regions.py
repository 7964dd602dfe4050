"""Regions to be ignored: never taught as background, never counted for or against a model."""

import json

import cv2
import numpy as np
import pytest

from overflight.data import tile_cut
from overflight.data.dataset import DatasetRequest, build_dataset
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.registry import write_with
from overflight.data.survey import read_survey, write_survey
from overflight.data.tile import TileRules, plan_photo
from overflight.detection.evaluate import evaluate
from overflight.errors import ResourceError
from overflight.imaging.codecs import decode

SIZE_WH = (320, 240)
CAR, CROWD = (20, 20, 60, 50), (200, 100, 300, 200)
RULES = TileRules(tile_px=160, overlap_px=32)


@pytest.fixture
def survey(tmp_path):
    """Three flights of one photograph: a red car, and a blue crowd that is to be ignored."""
    boxes = np.array([CAR, CROWD], dtype=np.float64)
    labels = PhotoLabels(SIZE_WH, np.array([0, 0]), boxes, np.array([1, 2]), "made", ignored=np.array([False, True]))
    photos = dict.fromkeys(("a-1.png", "b-1.png", "c-1.png"), labels)
    source = tmp_path / "source"
    written = write_with(
        "coco", LabelSet("coco", ("car", "boat"), photos), source, names={name: name for name in photos}
    )
    for number, place in enumerate(written.places.values()):
        picture = np.full((SIZE_WH[1], SIZE_WH[0], 3), 90 + number, dtype=np.uint8)
        picture[CAR[1] : CAR[3], CAR[0] : CAR[2]] = (0, 0, 255)
        picture[CROWD[1] : CROWD[3], CROWD[0] : CROWD[2]] = (255, 0, 0)
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(source / place), picture)
    write_survey(read_survey(source, name="s"), tmp_path / "survey")
    return tmp_path / "survey"


def blue(picture):
    return ((picture[..., 2].astype(int) - picture[..., 0]) > 60).sum()


def test_they_are_painted_over_in_tiles_and_stay_in_held_out_photographs(survey, tmp_path):
    build_dataset(survey, tmp_path / "dataset", request=DatasetRequest(rules=RULES, workers=1))
    tiles = list((tmp_path / "dataset/images").rglob("*.jpg"))
    assert tiles
    assert sum(blue(decode(path.read_bytes())) for path in tiles) == 0
    (held_out,) = (tmp_path / "dataset/test/photos").iterdir()
    assert blue(decode(held_out.read_bytes())) == 100 * 100
    labels = [line for path in (tmp_path / "dataset/labels").rglob("*.txt") for line in path.read_text().splitlines()]
    assert {line.split()[0] for line in labels} == {"0"}


def test_a_tile_that_shows_nothing_else_is_painted_too():
    nothing = np.zeros((0, 4))
    plans = plan_photo(
        "p",
        size_wh=SIZE_WH,
        class_ids=np.zeros(0, dtype=np.int64),
        boxes_px=nothing,
        rules=RULES,
        ignored_px=np.array([CROWD], dtype=np.float64),
    )
    painted = {
        plan.tile.x0: plan.ignored_px.tolist() for plan in plans if plan.tile.y0 == min(p.tile.y0 for p in plans)
    }
    assert painted[0] == []
    assert all(regions for x0, regions in painted.items() if x0 + 160 > CROWD[0])


def test_the_truth_holds_them_as_crowds_of_every_class_and_no_detection_there_counts(survey, tmp_path):
    dataset = build_dataset(survey, tmp_path / "dataset", request=DatasetRequest(rules=RULES, workers=1))
    truth = json.loads((tmp_path / "dataset/test/truth.json").read_text())
    crowds = [one for one in truth["annotations"] if one["iscrowd"]]
    assert {one["category_id"] for one in crowds} == {0, 1}
    assert {tuple(one["bbox"]) for one in crowds} == {(200, 100, 100, 100)}
    assert dataset["boxes"]["test"] == len(truth["annotations"]) - len(crowds) == 1
    found = [[20, 20, 40, 30], [210, 110, 30, 20], [250, 150, 30, 20]]
    predictions = [{"image_id": 1, "category_id": 0, "bbox": box, "score": 0.9} for box in found]
    document = evaluate(truth, [*predictions, {**predictions[2], "category_id": 1}], resamples=1)
    assert document["metrics"]["precision"]["value"] == pytest.approx(1)
    assert document["metrics"]["map50"]["value"] == pytest.approx(1)
    assert document["boxes"] == 1


def test_a_disk_that_fills_up_while_tiles_are_written_is_said(survey, tmp_path, monkeypatch):
    def full(_folder, _name, _content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tile_cut, "write_into", full)
    with pytest.raises(ResourceError, match="no space left on the disk"):
        build_dataset(survey, tmp_path / "dataset", request=DatasetRequest(rules=RULES, workers=1))
