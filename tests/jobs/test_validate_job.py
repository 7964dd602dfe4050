"""Job validate: a faulty survey is a result with reasons; only a missing one fails the job."""

import json
import logging
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import pytest

from factories import make_survey_source
from overflight.data.survey import read_survey, write_survey
from overflight.jobs.contract import JobFolders, run_job
from overflight.jobs.validate import ValidateSettings, run, validate

SHARED = Path(__file__).parents[2].parent / "shared/data"


@pytest.fixture
def folders(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=3, photos=3, size_wh=(120, 80))
    write_survey(read_survey(source, name="harbour"), tmp_path / "ml/processing/input/survey")
    return JobFolders(tmp_path / "ml")


def documents(folders):
    output = folders.root / "processing/output/report"
    return [json.loads((output / name).read_text()) for name in ("decision.json", "report.json")]


def test_a_good_survey_passes_with_its_figures(folders, caplog):
    caplog.set_level(logging.INFO)
    message = run(folders, {})
    decision, report = documents(folders)
    assert message.startswith("survey harbour passed: 9 photos")
    assert (decision["passed"], decision["errors"], decision["reasons"]) == (True, 0, [])
    assert decision["survey_digest"] == report["survey"]["digest"]
    assert report["per_flight"]["flight1"]["photos"] == 3
    assert sum(flight["boxes"] for flight in report["per_flight"].values()) == report["survey"]["boxes"]
    assert report["boxes_per_class"] == report["survey"]["boxes_per_class"]
    assert report["photo_sizes"] == {"120x80": 9}
    assert 5 < report["box_side_px"]["p50"] < 20
    assert "images checked 9/9" in caplog.text


def test_summary_for_tracking(folders, tmp_path):
    (tmp_path / "out").mkdir()
    summary = validate(folders.input("survey"), tmp_path / "out", settings=ValidateSettings(workers=1))
    assert summary.metrics["photos"] == 9.0
    assert summary.params["survey"] == "harbour"


def photo(folder):
    return folder / "photos/flight1/flight1_0001.jpg"


def change_photo(folder):
    picture = cv2.imread(str(photo(folder)))
    cv2.imwrite(str(photo(folder)), picture[:, ::-1])


def change_label(folder):
    (folder / "labels/flight1/flight1_0001.txt").write_text("0 0.5 0.5 0.1 0.1\n")


def remove_photo(folder):
    photo(folder).unlink()


def add_photo(folder):
    shutil.copy(photo(folder), folder / "photos/new.jpg")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param(change_photo, "flight1_0001.jpg: does not match its digest", id="photo changed"),
        pytest.param(change_label, "flight1_0001.txt: does not match its digest", id="labels changed"),
        pytest.param(remove_photo, "flight1_0001.jpg: is missing", id="photo removed"),
        pytest.param(add_photo, "photos/new.jpg: is not in the manifest", id="photo added"),
    ],
)
def test_a_survey_that_is_not_what_it_says_does_not_pass(folders, change, what):
    change(folders.input("survey"))
    assert run_job(run, {"OVERFLIGHT_ML_ROOT": str(folders.root)}) == 0
    decision, report = documents(folders)
    assert decision["passed"] is False
    assert decision["errors"] == len(decision["reasons"]) == len(report["errors"]) == 1
    assert what in decision["reasons"][0]


def png_with_damaged_data():
    """Structure and checksums are right, the compressed pixels are not: only decoding shows it."""
    header = struct.pack(">II5B", 60, 40, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b"not compressed pixels"), (b"IEND", b"")]
    blocks = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(blocks)


def test_a_photo_that_only_decoding_shows_to_be_damaged_does_not_pass(tmp_path):
    source = make_survey_source(tmp_path / "source", photos=2, size_wh=(60, 40))
    (source / "images/flight1/flight1_0001.jpg").unlink()
    (source / "images/flight1/flight1_0001.png").write_bytes(png_with_damaged_data())
    write_survey(read_survey(source, name="a"), tmp_path / "ml/processing/input/survey")
    run(JobFolders(tmp_path / "ml"), {})
    (reason,) = documents(JobFolders(tmp_path / "ml"))[0]["reasons"]
    assert "flight1_0001.png: its data is damaged" in reason


def one_flight(tmp_path):
    source = make_survey_source(tmp_path / "one", flights=1, photos=8, size_wh=(60, 40))
    write_survey(read_survey(source, name="one"), tmp_path / "one-ml/processing/input/survey")
    return JobFolders(tmp_path / "one-ml")


def test_one_flight_does_not_pass_unless_it_is_to_be_cut(tmp_path):
    folders = one_flight(tmp_path)
    run(folders, {})
    assert "--split-by time-gap" in documents(folders)[0]["reasons"][0]
    run(folders, {"OVERFLIGHT_SPLIT_BY": "time-gap"})
    assert documents(folders)[0]["passed"] is True


def test_names_that_make_every_photo_a_flight_do_not_pass(tmp_path):
    """Else the split would be one by photo, and neighbours would be on both sides."""
    source = make_survey_source(tmp_path / "source", flights=1, photos=12, size_wh=(60, 40))
    for kind in ("images", "labels"):
        for number, path in enumerate(sorted((source / kind / "flight1").iterdir())):
            path.rename(path.with_name(f"{chr(97 + number) * 4}{number}{path.suffix}"))  # as from a hash
    write_survey(read_survey(source, name="hashes"), tmp_path / "ml/processing/input/survey")
    folders = JobFolders(tmp_path / "ml")
    run(folders, {})
    decision, report = documents(folders)
    assert decision["passed"] is False
    assert [finding["code"] for finding in report["errors"]] == ["lone-photos"]
    assert "flights.csv" in decision["reasons"][0]


def test_a_survey_without_boxes_does_not_pass(tmp_path):
    source = make_survey_source(tmp_path / "source", photos=1, size_wh=(60, 40))
    for label in (source / "labels").rglob("*.txt"):
        label.write_text("")
    write_survey(read_survey(source, name="bare"), tmp_path / "ml/processing/input/survey")
    run(JobFolders(tmp_path / "ml"), {})
    assert "no boxes at all" in documents(JobFolders(tmp_path / "ml"))[0]["reasons"][0]


@pytest.mark.parametrize(
    ("environ", "exit_code", "what"),
    [
        pytest.param({"OVERFLIGHT_SPLIT_BY": "photo"}, 2, "OVERFLIGHT_SPLIT_BY: Input should be", id="unknown split"),
        pytest.param({"OVERFLIGHT_WORKERS": "0"}, 2, "OVERFLIGHT_WORKERS", id="no workers"),
        pytest.param({"OVERFLIGHT_ML_ROOT": "nowhere"}, 3, "input folder is missing", id="no input"),
    ],
)
def test_what_cannot_be_run_fails_with_one_sentence(folders, environ, exit_code, what, monkeypatch):
    monkeypatch.chdir(folders.root)
    environ = {"OVERFLIGHT_ML_ROOT": str(folders.root), **environ}
    assert run_job(run, environ) == exit_code
    assert what in (Path(environ["OVERFLIGHT_ML_ROOT"]) / "output/failure").read_text()


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
def test_aerial_cars_passes(tmp_path):
    write_survey(read_survey(SHARED / "aerial-cars", name="cars"), tmp_path / "ml/processing/input/survey")
    folders = JobFolders(tmp_path / "ml")
    assert run(folders, {}) == "survey cars passed: 71 photos, 1617 boxes, 6 flights, 0 errors, 5 warnings"
    _, report = documents(folders)
    assert "'cyclist' is declared and never used" in str(report["warnings"])
    assert report["box_side_px"] == pytest.approx({"p5": 23, "p50": 40, "p95": 80}, abs=0.5)


def test_a_page_with_pictures_lies_beside_the_report(folders):
    change_label(folders.input("survey"))
    run(folders, {})
    page = (folders.root / "processing/output/report/report.html").read_text()
    assert "does not match its digest" in page
    assert "data:image/jpeg;base64," in page


def test_limits_and_levels_of_checks_are_settings_of_the_gate(folders):
    run(folders, {"OVERFLIGHT_CHECKS": "tiny.min_side_px=1000,tiny=error"})
    decision, report = documents(folders)
    assert decision["passed"] is False
    assert {finding["code"] for finding in report["errors"]} == {"tiny"}
    run(folders, {"OVERFLIGHT_CHECKS": "tiny=off"})
    assert documents(folders)[0]["passed"] is True
    assert "tiny" not in {row["check"] for row in documents(folders)[1]["checks"]}


def test_more_warnings_than_allowed_refuse_the_survey_and_say_which(folders):
    run(folders, {"OVERFLIGHT_MAX_WARNINGS": "0"})
    decision, _ = documents(folders)
    assert (decision["passed"], decision["errors"]) == (False, 0)
    assert f"{decision['warnings']} warnings, 0 are allowed" in decision["reasons"][0]
    run(folders, {"OVERFLIGHT_MAX_WARNINGS": str(decision["warnings"])})
    assert documents(folders)[0]["passed"] is True


@pytest.mark.parametrize(
    ("environ", "scale"),
    [
        pytest.param({"imgsz": 320, "tile_px": 640}, 0.5, id="trained at half size"),
        pytest.param({"recipe": "demo", "tile_px": 960}, 0.5, id="the recipe's size"),
        pytest.param({"recipe": "demo", "imgsz": 960, "tile_px": 960}, 1.0, id="a size given goes before the recipe's"),
    ],
)
def test_the_size_of_objects_is_judged_at_the_size_of_the_training(environ, scale):
    assert ValidateSettings(**environ).train_scale == scale


def test_an_unknown_check_ends_the_job_with_the_exit_code_of_its_kind(folders):
    assert run_job(run, {"OVERFLIGHT_ML_ROOT": str(folders.root), "OVERFLIGHT_CHECKS": "darkness=off"}) == 2
