"""A stored survey is checked like a source; what was changed since it was stored is found as well."""

import json
import shutil
from pathlib import Path

import cv2
import pytest

from factories import make_survey_source
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.run import by_catalogue
from overflight.data.findings import Finding, errors_of
from overflight.data.manifest import load_manifest
from overflight.data.stored import check_source, check_survey, open_stored
from overflight.data.survey import read_survey, write_survey
from overflight.files import sha256_bytes, write_json

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_photographs = pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")


@pytest.fixture
def survey(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=3, photos=2, size_wh=(320, 240))
    write_survey(read_survey(source, name="harbour"), tmp_path / "survey")
    return tmp_path / "survey"


PHOTO, LABELS = "photos/flight1/flight1_0001.jpg", "labels/flight1/flight1_0001.txt"


def change_photo(folder):
    picture = cv2.imread(str(folder / PHOTO))
    cv2.imwrite(str(folder / PHOTO), picture[:, ::-1])


def sign(folder, old, new):
    """Change the manifest and sign it again, as somebody would who knows how."""
    data = (folder / "manifest.jsonl").read_bytes()
    assert old in data
    data = data.replace(old, new, 1)
    (folder / "manifest.jsonl").write_bytes(data)
    head = json.loads((folder / "survey.json").read_text())
    classes = json.dumps(head["classes"], separators=(",", ":")).encode()
    write_json(folder / "survey.json", head | {"digest": sha256_bytes(data + classes + b"\n")})


def change_head(folder, **values):
    head = json.loads((folder / "survey.json").read_text())
    write_json(folder / "survey.json", head | values)


def swap_classes(folder):
    counts = json.loads((folder / "survey.json").read_text())["boxes_per_class"]
    change_head(folder, boxes_per_class={"car": counts["boat"] + 1, "boat": counts["car"] - 1})


def change_ledger(folder):
    ledger = json.loads((folder / "survey.json").read_text())["ledger"]
    change_head(folder, ledger=ledger | {"boxes_stored": 1})


def spoil_labels(folder):
    """Lines that were never written by us, with a manifest that says they were."""
    old = (folder / LABELS).read_bytes()
    new = old + b"0 nan 0.5 0.1 0.1\n9 0.5 0.5 0.1 0.1\n"
    (folder / LABELS).write_bytes(new)
    sign(folder, sha256_bytes(old).encode(), sha256_bytes(new).encode())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(change_photo, [("digest", PHOTO)], id="photo changed"),
        pytest.param(lambda f: (f / LABELS).write_text(""), [("digest", LABELS)], id="labels changed"),
        pytest.param(lambda f: (f / PHOTO).unlink(), [("missing", PHOTO)], id="photo removed"),
        pytest.param(lambda f: (f / LABELS).unlink(), [("missing", LABELS)], id="labels removed"),
        pytest.param(
            lambda f: shutil.copy(f / PHOTO, f / "photos/new.jpg"), [("unlisted", "photos/new.jpg")], id="photo added"
        ),
        pytest.param(swap_classes, [("summary", "survey.json")], id="boxes per class"),
        pytest.param(
            lambda f: change_head(f, flights={"flight1": 1, "flight2": 3, "flight3": 2}),
            [("summary", "survey.json")],
            id="flights",
        ),
        pytest.param(
            change_ledger,
            [("summary", "survey.json")],
            id="ledger",
        ),
        pytest.param(
            lambda f: sign(f, b'"width_px":320', b'"width_px":321'), [("size", PHOTO)], id="size of the photo"
        ),
        pytest.param(lambda f: sign(f, b'"boxes":4', b'"boxes":5'), [("boxes", LABELS)], id="number of boxes"),
        pytest.param(
            spoil_labels,
            [("not-finite", f"{LABELS}:5"), ("unknown-class", f"{LABELS}:6")],
            id="lines that are no boxes",
        ),
    ],
)
def test_what_changed_since_it_was_stored_is_an_error(survey, change, found):
    change(survey)
    report = check_survey(survey, decode=False)
    assert [(finding.code, finding.where) for finding in report.errors] == found


def test_a_survey_as_stored_has_no_errors_and_tells_its_figures(survey):
    report = check_survey(survey)
    stored = load_manifest(survey)
    assert report.errors == []
    document = report.as_dict()
    assert document["survey"] == stored.as_dict()
    assert document["boxes_per_class"] == stored.boxes_per_class
    assert {name: entry["photos"] for name, entry in document["per_flight"].items()} == stored.flights
    assert sum(entry["boxes"] for entry in document["per_flight"].values()) == stored.boxes
    assert document["photo_sizes"] == {"320x240": 6}
    assert document["photos_without_boxes"] == 0
    assert document["ledger"] == stored.as_dict()["ledger"]
    json.dumps(document, allow_nan=False)


def test_the_same_source_has_the_same_figures_raw_and_stored(tmp_path, survey):
    raw, stored = check_source(tmp_path / "source", name="harbour"), check_survey(survey)
    assert raw.figures == stored.figures
    assert raw.survey == stored.survey
    assert raw.ledger == stored.ledger
    kinds = [{finding.code for finding in report.findings} - {"split-list"} for report in (raw, stored)]
    assert kinds[0] == kinds[1]


def test_the_table_has_errors_first_and_then_the_most_frequent(survey):
    (survey / PHOTO).unlink()
    report = check_survey(survey, catalogue=load_catalogue(["dark=off"]))
    rows = report.table()
    assert rows[0] == {
        "check": "missing",
        "number": None,
        "title": "",
        "severity": "error",
        "findings": 1,
        "photos": 1,
        "boxes": 0,
        "example": f"{PHOTO}: is missing",
    }
    assert [row["severity"] for row in rows] == sorted(row["severity"] for row in rows)
    counts = [row["findings"] for row in rows if row["severity"] == "warning"]
    assert counts == sorted(counts, reverse=True)
    assert sum(row["findings"] for row in rows) == len(report.findings)


def test_severities_and_limits_are_those_of_the_catalogue(survey):
    strict = load_catalogue(["few-boxes=error", "few-boxes.min_boxes=1000", "odd-size=off"])
    report = check_survey(survey, catalogue=strict, decode=False)
    assert [finding.code for finding in report.errors] == ["few-boxes", "few-boxes"]
    assert "odd-size" not in {finding.code for finding in report.findings}


def test_one_flight_is_an_error_only_when_it_is_to_be_split_by_flight(tmp_path):
    write_survey(read_survey(make_survey_source(tmp_path / "s", flights=1), name="one"), tmp_path / "survey")
    assert [finding.code for finding in check_survey(tmp_path / "survey").errors] == ["one-flight"]
    assert check_survey(tmp_path / "survey", split_by="time-gap").errors == []


def test_objects_are_judged_at_their_size_at_training(survey):
    large, small = (check_survey(survey, train_scale=scale, decode=False) for scale in (1.0, 0.1))
    tiny = [[finding for finding in report.findings if finding.code == "tiny"] for report in (large, small)]
    assert len(tiny[0]) < len(tiny[1])


def test_labels_can_be_read_without_the_photographs(survey):
    shutil.rmtree(survey / "photos")
    read = open_stored(survey, photos=False)
    assert read.findings == ()
    assert read.subject.labels.boxes == load_manifest(survey).boxes
    assert {key: facts.sha256 for key, facts in read.subject.photos.items()} == {
        record.path: record.sha256 for record in load_manifest(survey).photos
    }


def test_labels_as_earlier_versions_stored_them_are_read(survey):
    """Then the user's own bytes were kept: a byte order mark, Windows line ends, blank lines, fewer decimals."""
    old = (survey / LABELS).read_bytes()
    new = b"\xef\xbb\xbf" + old.replace(b"\n", b"\r\n") + b"\r\n"
    (survey / LABELS).write_bytes(new)
    sign(survey, sha256_bytes(old).encode(), sha256_bytes(new).encode())
    change_head(survey, ledger=None)
    report = check_survey(survey, decode=False)
    assert (report.errors, report.ledger) == ([], None)
    assert sum(report.figures["boxes_per_class"].values()) == load_manifest(survey).boxes


@pytest.mark.parametrize(
    ("severity", "changes", "becomes"),
    [
        pytest.param("error", [], ["error"], id="as the catalogue says"),
        pytest.param("error", ["link=warning"], ["warning"], id="lowered by the user"),
        pytest.param("warning", [], ["warning"], id="a harmless form of an error stays one"),
    ],
)
def test_severities_of_readers(severity, changes, becomes):
    finding = Finding(severity, "link", "a", "b", "c")
    assert [found.severity for found in by_catalogue([finding], load_catalogue(changes))] == becomes


def test_a_reader_s_warning_can_be_made_an_error():
    finding = Finding("warning", "orphan-labels", "a", "b", "c")
    (found,) = by_catalogue([finding], load_catalogue(["orphan-labels=error"]))
    assert found.severity == "error"


def test_a_folder_of_labels_only_can_be_checked(tmp_path):
    """COCO declares sizes, so boxes are judged although no photograph is there; none could be stored."""
    document = {
        "images": [{"id": 0, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 0, "bbox": [90, 10, 30, 10], "area": 300}],
        "categories": [{"id": 0, "name": "car"}],
    }
    write_json(tmp_path / "labels.json", document)
    report = check_source(tmp_path, name="s")
    assert {"outside", "missing-photo"} <= {finding.code for finding in report.errors}
    assert (report.ledger.photos_in, report.ledger.photos_absent, report.ledger.boxes_quarantined) == (1, 1, 1)


@needs_photographs
def test_the_real_survey_is_checked_without_errors(tmp_path):
    write_survey(read_survey(SHARED / "aerial-cars", name="cars"), tmp_path / "survey")
    report = check_survey(tmp_path / "survey", decode=False)
    assert report.errors == []
    assert report.figures["box_side_px"] == pytest.approx({"p5": 23, "p50": 40, "p95": 80}, abs=0.5)
    assert {"few-boxes", "imbalance", "overhang"} <= {finding.code for finding in report.warnings}


@needs_photographs
def test_the_published_leak_is_found():
    """6 of its 7 test photographs are neighbours of training photographs of the same hover."""
    lists = [SHARED / f"aerial-cars/as_published/{part}.txt" for part in ("train", "test")]
    report = check_source(SHARED / "aerial-cars", name="cars", split_lists=lists, decode=False)
    assert "flight-torn" in {finding.code for finding in errors_of(report.findings)}
    assert report.ledger.photos_stored == 71
