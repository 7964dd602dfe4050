"""Synthetic surveys: what is written, that it repeats to the byte, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from overflight.data.scenes.plan import FORWARD_STEP, ground_size_m, plan_survey, strips
from overflight.data.scenes.settings import CLASSES, SceneSettings
from overflight.data.scenes.survey import label_text, synthesise
from overflight.errors import UsageError

SMALL = SceneSettings(flights=3, photos=2, size_px=(320, 240), seed=3)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    target = tmp_path_factory.mktemp("scenes") / "survey"
    seen: list[tuple[int, int]] = []
    summary = synthesise(SMALL, target, workers=1, progress=lambda done, total: seen.append((done, total)))
    return target, summary, seen


def test_layout_of_the_folder(survey):
    target, summary, _ = survey
    names = [f"flight-0{flight}/flight-0{flight}_000{photo}" for flight in (1, 2, 3) for photo in (1, 2)]
    expected = {f"images/{name}.jpg" for name in names} | {f"labels/{name}.txt" for name in names}
    assert set(digests(target)) == expected | {"data.yaml", "flights.csv", "scenes.json"}
    assert summary.photos == {"flight-01": 2, "flight-02": 2, "flight-03": 2}


def test_progress_counts_every_photograph(survey):
    assert survey[2] == [(number, 6) for number in range(1, 7)]


def test_flights_csv_names_every_image_and_its_flight(survey):
    target, _, _ = survey
    rows = list(csv.DictReader((target / "flights.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert all((target / row["image"]).exists() and row["flight"] in row["image"] for row in rows)


def test_scenes_json_records_the_settings_and_counts_the_boxes(survey):
    target, summary, _ = survey
    facts = json.loads((target / "scenes.json").read_text())
    assert SceneSettings.model_validate(facts["settings"]) == SMALL
    lines = [line for path in target.glob("labels/*/*.txt") for line in path.read_text().splitlines()]
    by_class = {name: sum(line.startswith(f"{index} ") for line in lines) for index, name in enumerate(CLASSES)}
    assert by_class == summary.boxes_per_class
    assert {name: sum(flight["boxes"][name] for flight in facts["flights"]) for name in CLASSES} == by_class


def test_labels_lie_within_the_picture(survey):
    for path in survey[0].glob("labels/*/*.txt"):
        for line in path.read_text().splitlines():
            class_id, x, y, width, height = (float(value) for value in line.split())
            assert class_id in range(len(CLASSES))
            assert width > 0
            assert height > 0
            assert -1e-6 <= x - width / 2 <= x + width / 2 <= 1 + 1e-6
            assert -1e-6 <= y - height / 2 <= y + height / 2 <= 1 + 1e-6


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(survey, tmp_path):
    synthesise(SMALL, tmp_path / "again", workers=2)
    assert digests(tmp_path / "again") == digests(survey[0])


def test_another_seed_gives_other_pictures(survey, tmp_path):
    synthesise(SMALL.model_copy(update={"seed": 4, "flights": 1}), tmp_path / "other", workers=1)
    first = "images/flight-01/flight-01_0001.jpg"
    assert digests(tmp_path / "other")[first] != digests(survey[0])[first]


def test_photographs_carry_position_altitude_and_time(survey):
    target, _, _ = survey
    site = plan_survey(SMALL)[0]
    for number, pose in enumerate(site.flights[0].poses, start=1):
        path = target / f"images/flight-01/flight-01_000{number}.jpg"
        with Image.open(path) as image:
            exif = image.getexif()
            assert image.size == (320, 240)
            assert (exif[0x010F], exif[0x0110]) == ("DJI", "FC220")
            assert exif.get_ifd(0x8769)[0x9003] == pose.captured_at.strftime("%Y:%m:%d %H:%M:%S")
            gps = exif.get_ifd(0x8825)
            degrees = sum(float(part) / 60**power for power, part in enumerate(gps[2]))
            assert degrees == pytest.approx(site.latitude_deg - pose.y_m / 111_320, abs=1e-6)
        text = path.read_bytes()
        assert f'drone-dji:RelativeAltitude="{pose.altitude_m:+.2f}"'.encode() in text
        assert b"drone-dji:GimbalPitchDegree" in text


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda path: (path.mkdir(), (path / "mine.txt").write_text("x")), id="folder with a file"),
        pytest.param(lambda path: path.write_text("x"), id="a file"),
    ],
)
def test_a_target_in_use_is_refused_and_left_alone(tmp_path, prepare):
    target = tmp_path / "target"
    prepare(target)
    before = digests(tmp_path)
    with pytest.raises(UsageError, match="Name a new folder"):
        synthesise(SMALL, target)
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"flights": 0},
        {"photos": 0},
        {"size_px": (100, 100)},
        {"night": 1.5},
        {"fog": -0.1},
        {"altitude_m": (40, 30)},
        {"altitude_m": (1, 30)},
        {"class_mix": {"horse": 1}},
        {"class_mix": {"car": -1}},
        {"seed": -1},
        {"colour": "red"},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        SceneSettings.model_validate(wrong)


@pytest.mark.parametrize("photos", [1, 2, 5, 20, 33, 100])
def test_strips_hold_every_photograph(photos):
    lines = strips(photos, ground_size_m(30.0, (1280, 960)))
    assert sum(lines) == photos
    assert max(lines) - min(lines) <= 1


def test_neighbouring_photographs_overlap_and_some_flights_share_a_site():
    sites = plan_survey(SceneSettings(flights=6))
    assert [len(site.flights) for site in sites] == [2, 1, 2, 1]
    flight = sites[0].flights[0]
    first, second = flight.poses[:2]
    moved = ((first.x_m - second.x_m) ** 2 + (first.y_m - second.y_m) ** 2) ** 0.5
    height_m = ground_size_m(first.altitude_m, (1280, 960))[1]
    assert moved == pytest.approx(FORWARD_STEP * height_m, rel=0.25)


def test_label_text_is_yolo():
    text = label_text([1], [[10.0, 20.0, 30.0, 60.0]], width_px=100, height_px=200)
    assert text == "1 0.200000 0.200000 0.200000 0.200000\n"
