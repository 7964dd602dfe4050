"""Any folder becomes one form: photographs, labels whatever their format, flights; and a survey is made of it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from factories import make_survey_source
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners
from overflight.data.formats.registry import FORMATS, write_with
from overflight.data.manifest import load_manifest
from overflight.data.reading import read_source
from overflight.data.report import check_source
from overflight.data.stored import open_stored
from overflight.data.survey import read_survey, write_survey
from overflight.errors import InputError, UsageError

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_photographs = pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")

SIZE_WH = (120, 80)
BOXES_PX = np.array([[10.25, 20.5, 40.75, 50.5], [60, 5, 100.125, 30.25], [0, 0, 30, 12]])


def labels_of(form, *, ignored=False):
    """Three photographs with the same three boxes; the last may be a region to be ignored."""
    mask = np.array([False, False, True]) if ignored else None
    one = PhotoLabels(SIZE_WH, np.array([0, 1, 0]), BOXES_PX, np.arange(1, 4), "made", ignored=mask)
    return LabelSet(form, ("car", "boat"), dict.fromkeys(("a/a_1.jpg", "b/b_1.png", "c_1.jpg"), one))


def make_source(folder, form, labels):
    written = write_with(form, labels, folder, names={key: key for key in labels.photos})
    for seed, place in enumerate(written.places.values()):
        pixels = np.random.default_rng(seed).integers(0, 255, (SIZE_WH[1], SIZE_WH[0], 3), dtype=np.uint8)
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(cv2.imencode(Path(place).suffix, pixels)[1].tobytes())
    return folder


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_survey(tmp_path, form):
    """The same boxes and photographs, so the same label files, whatever the labels came from."""
    source = make_source(tmp_path / "source", form, labels_of(form))
    read = read_source(source, name="s")
    assert (read.sniffed.format, read.subject.labels.boxes_in, len(read.subject.photos)) == (form, 9, 3)
    assert [finding for finding in read.findings if finding.code != "split-list"] == []
    assert any(note.startswith(f"{form}: ") for note in read.notes)
    facts = write_survey(read_survey(source, name="s"), tmp_path / "survey")
    assert facts["source_format"] == form
    assert (facts["photos"], facts["boxes"], facts["boxes_per_class"]) == (3, 9, {"boat": 3, "car": 6})
    stored = open_stored(tmp_path / "survey").subject.labels
    for labels in stored.photos.values():
        order = np.lexsort(labels.xyxy_px.T)
        np.testing.assert_allclose(labels.xyxy_px[order], BOXES_PX[np.lexsort(BOXES_PX.T)], atol=0.01)
    for record in load_manifest(tmp_path / "survey").photos:
        assert (source / record.label_source).is_file()


def test_formats_keep_their_photographs_and_folders(tmp_path):
    source = make_source(tmp_path / "source", "voc", labels_of("voc"))
    write_survey(read_survey(source, name="s"), tmp_path / "survey")
    names = [record.path for record in load_manifest(tmp_path / "survey").photos]
    assert names == ["photos/a/a_1.jpg", "photos/b/b_1.png", "photos/c_1.jpg"]
    assert (tmp_path / "survey/labels/a/a_1.txt").is_file()


@pytest.mark.parametrize("form", ["coco", "visdrone"])
def test_regions_to_be_ignored_go_into_the_manifest(tmp_path, form):
    source = make_source(tmp_path / "source", form, labels_of(form, ignored=True))
    facts = write_survey(read_survey(source, name="s"), tmp_path / "survey")
    assert (facts["boxes"], facts["ledger"]["boxes_ignored"], facts["ledger"]["boxes_in"]) == (6, 3, 9)
    for record in load_manifest(tmp_path / "survey").photos:
        assert record.ignored_px == ((0, 0, 30, 12),)
        assert record.boxes == len((tmp_path / "survey" / record.labels).read_text().splitlines()) == 2
    labels = open_stored(tmp_path / "survey").subject.labels
    assert labels.boxes == 9
    assert int(labels.table().ignored.sum()) == 3


def test_oriented_boxes_become_upright_and_that_is_said(tmp_path):
    labels = labels_of("dota")
    turned = {
        key: PhotoLabels(
            SIZE_WH,
            one.class_ids,
            one.xyxy_px,
            one.numbers,
            one.file,
            corners_px=upright_corners(one.xyxy_px),
        )
        for key, one in labels.photos.items()
    }
    source = make_source(tmp_path / "source", "yolo-obb", LabelSet("yolo-obb", labels.classes, turned))
    facts = write_survey(read_survey(source, name="s"), tmp_path / "survey")
    assert any("9 oriented boxes became the upright boxes" in loss for loss in facts["losses"])


def test_two_photographs_that_differ_by_their_suffix_keep_label_files_of_their_own(tmp_path):
    one = labels_of("coco").photos["c_1.jpg"]
    few = one.select(np.array([0]))
    labels = LabelSet("coco", ("car", "boat"), {"c_1.jpg": one, "c_1.png": few})
    source = make_source(tmp_path / "source", "coco", labels)
    write_survey(read_survey(source, name="s"), tmp_path / "survey")
    records = load_manifest(tmp_path / "survey").photos
    assert [record.boxes for record in records] == [3, 1]
    assert len({record.labels for record in records}) == 2


def test_the_source_is_never_written(tmp_path):
    source = make_survey_source(tmp_path / "source")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in source.rglob("*")}
    write_survey(read_survey(source, name="s", fix=True), tmp_path / "survey", quarantine=True)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in source.rglob("*")} == before


def spoil(source):
    """One line of each safe cure in one photograph: by a pixel outside, a repetition, a box without area."""
    path = source / "labels/flight1/flight1_0001.txt"
    path.write_text("0 0.004 0.5 0.01 0.2\n0 0.5 0.5 0.25 0.25\n0 0.5 0.5 0.25 0.25\n1 0.3 0.3 0 0.1\n")


def test_fix_applies_the_safe_cures_and_lists_what_it_took_away(tmp_path):
    source = make_survey_source(tmp_path / "source")
    spoil(source)
    with pytest.raises(InputError, match="2 problems"):
        write_survey(read_survey(source, name="s"), tmp_path / "survey")
    facts = write_survey(read_survey(source, name="s", fix=True), tmp_path / "survey")
    assert facts["cures"] == [
        "1 box over the edge by at most 1 px clipped",
        "1 box without area removed",
        "1 box repeating another one removed",
    ]
    assert (tmp_path / "survey/labels/flight1/flight1_0001.txt").read_text().splitlines() == [
        "0 0.00450000 0.50000000 0.00900000 0.20000000",
        "0 0.50000000 0.50000000 0.25000000 0.25000000",
    ]
    lines = [json.loads(line) for line in (tmp_path / "survey/quarantine.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["cured"], line["boxes"]) for line in lines] == [("box", True, 1)] * 2
    assert {entry["where"] for line in lines for entry in line["entries"]} == {
        "labels/flight1/flight1_0001.txt:3",
        "labels/flight1/flight1_0001.txt:4",
    }
    assert facts["ledger"]["boxes_removed"] == 2
    again = write_survey(read_survey(source, name="s", fix=True, workers=1), tmp_path / "again")
    assert again == facts


def test_an_error_leaves_the_photograph_out_with_all_its_boxes(tmp_path):
    source = make_survey_source(tmp_path / "source")
    spoil(source)
    draft = read_survey(source, name="s")
    facts = write_survey(draft, tmp_path / "survey", quarantine=True)
    (line,) = [json.loads(line) for line in (tmp_path / "survey/quarantine.jsonl").read_text().splitlines()]
    assert (line["path"], line["kind"], line["boxes"]) == ("images/flight1/flight1_0001.jpg", "photo", 4)
    assert {reason["code"] for reason in line["reasons"]} == {"duplicate-box", "no-size"}
    assert facts["quarantined"] == 1
    assert draft.ledger.boxes_quarantined == 4


def test_an_entry_that_is_no_box_is_listed_although_its_photograph_stays(tmp_path):
    source = make_survey_source(tmp_path / "source")
    path = source / "labels/flight1/flight1_0001.txt"
    path.write_text(path.read_text() + "7 0.5 0.5 0.1 0.1\n")
    rules = load_catalogue(["unknown-class=warning"])
    facts = write_survey(read_survey(source, name="s", catalogue=rules), tmp_path / "survey")
    (line,) = [json.loads(line) for line in (tmp_path / "survey/quarantine.jsonl").read_text().splitlines()]
    assert (line["kind"], line["boxes"], line["entries"][0]["raw"]) == ("box", 1, "7 0.5 0.5 0.1 0.1")
    assert (facts["quarantined"], facts["ledger"]["boxes_quarantined"]) == (0, 1)


def test_time_and_format_are_told_and_do_not_change_the_digest(tmp_path):
    draft = read_survey(make_survey_source(tmp_path / "source"), name="s")
    first = write_survey(draft, tmp_path / "a", created_at="2026-05-01T10:00:00+00:00")
    second = write_survey(draft, tmp_path / "b", created_at="2027-01-01T10:00:00+00:00")
    assert first["digest"] == second["digest"]
    assert load_manifest(tmp_path / "a").origin.created_at == "2026-05-01T10:00:00+00:00"


def test_a_name_that_is_not_text_is_quarantined(tmp_path):
    source = make_survey_source(tmp_path / "source")
    bad = bytes(source / "images/flight1") + b"/x\xff.jpg"
    Path(bad.decode("utf-8", "surrogateescape")).write_bytes((source / "images/flight1/flight1_0001.jpg").read_bytes())
    facts = write_survey(read_survey(source, name="s"), tmp_path / "survey", quarantine=True)
    assert facts["quarantined"] == 1
    assert r"x\udcff" in (tmp_path / "survey/quarantine.jsonl").read_text()


def test_a_given_split_is_read_and_reported_and_not_a_reason_to_leave_out(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=2, photos=2)
    names = sorted(path.relative_to(source).as_posix() for path in (source / "images").rglob("*.jpg"))
    for part, some in (("train", names), ("test", names[:1])):
        (tmp_path / f"{part}.txt").write_text("\n".join(some))
    lists = [tmp_path / "train.txt", tmp_path / "test.txt"]
    report = check_source(source, name="s", split_lists=lists, workers=1)
    assert report.read.subject.split["test"] == (names[0],)
    assert "split-list" in {finding.code for finding in report.errors}
    assert (report.left_out, report.ledger.photos_stored) == ((), 4)
    assert read_survey(source, name="s").faulty == {}


def test_flights_and_their_evidence_are_told(tmp_path):
    source = make_survey_source(tmp_path / "source")
    assert "3 flights (12 by folders)" in read_source(source, name="s").notes
    (source / "flights.csv").write_text("image,flight\nflight1_*,one\nflight[23]_*,two\n")
    assert "2 flights (12 by the table flights.csv)" in read_source(source, name="s").notes


def codes_of(report):
    return [finding.code for finding in report.errors]


def test_photographs_without_labels_are_checked_and_not_added(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=2, photos=2)
    shutil.rmtree(source / "labels")
    black = np.zeros((240, 320, 3), dtype=np.uint8)
    cv2.imwrite(str(source / "images/flight1/flight1_0001.jpg"), black)
    report = check_source(source, name="s", workers=1)
    assert codes_of(report) == ["no-labels"]
    assert report.errors[0].what.startswith("no labels found for 4 photos")
    assert {"dark", "two-flights"} <= {finding.code for finding in report.warnings}
    assert (report.read.sniffed.format, report.read.subject.labels.classes) == ("none", ())
    assert (report.ledger, report.left_out) == (None, ())
    assert report.as_dict()["ledger"] is None
    with pytest.raises(InputError, match="no labels found"):
        read_survey(source, name="s")


@pytest.mark.parametrize("options", [{"format": "coco"}, {"labels": "data.yaml"}], ids=["format", "file"])
def test_labels_that_were_asked_for_must_be_there(tmp_path, options):
    source = make_survey_source(tmp_path / "source", flights=1, photos=1)
    shutil.rmtree(source / "labels")
    with pytest.raises((InputError, UsageError)):
        check_source(source, name="s", **options)


def test_a_folder_without_photographs_and_labels_is_nothing_to_check(tmp_path):
    (tmp_path / "README.md").touch()
    with pytest.raises(InputError, match="no photographs"):
        check_source(tmp_path, name="s")


@pytest.mark.parametrize(
    ("broken", "cure"),
    [(None, "classes.txt"), ("names: 5\n", "Write `names: ")],
    ids=["no file", "a file that cannot be used"],
)
def test_labels_without_names_of_classes_are_checked_and_not_added(tmp_path, broken, cure):
    source = make_survey_source(tmp_path / "source", flights=3, photos=2, classes=("car", "boat"))
    (source / "data.yaml").unlink()
    if broken:
        (source / "data.yaml").write_text(broken)
    label = source / "labels/flight1/flight1_0001.txt"
    label.write_text(label.read_text() + "5 0.5 0.5 0 0.1\n1000 0.5 0.5 0.1 0.1\n")
    report = check_source(source, name="s", workers=1)
    assert sorted(codes_of(report)) == ["class-names", "no-size", "unknown-class"]
    (finding,) = [finding for finding in report.errors if finding.code == "class-names"]
    assert "called by their numbers" in finding.what
    assert cure in finding.cure
    assert report.read.subject.labels.classes == ("0", "1", "2", "3", "4", "5")
    with pytest.raises(InputError):
        read_survey(source, name="s")


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        pytest.param({"format": "yolov9"}, UsageError, "there is no format", id="unknown format"),
        pytest.param({"labels": "no.json"}, UsageError, "no such label file", id="unknown label file"),
        pytest.param({"flights": Path("no.csv")}, InputError, "no such file", id="unknown table"),
        pytest.param({"split_lists": [Path("no.txt")]}, InputError, "cannot be opened", id="unknown list"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(tmp_path, options, error, what):
    with pytest.raises(error, match=what):
        read_source(make_survey_source(tmp_path / "source", flights=1, photos=1), name="s", **options)


@needs_photographs
@pytest.mark.parametrize(
    ("folder", "options", "photos", "boxes"),
    [
        pytest.param("formats/deepforest", {"format": "voc"}, (4, 2), (340, 340), id="VOC"),
        pytest.param("formats/sahi_coco", {"labels": "terrain1_coco.json"}, (3, 1), (7, 7), id="COCO"),
    ],
)
def test_real_samples_balance(tmp_path, folder, options, photos, boxes):
    draft = read_survey(SHARED / folder, name="s", **options)
    write_survey(draft, tmp_path / "survey", quarantine=True)
    ledger = draft.ledger
    assert (ledger.photos_in, ledger.photos_stored) == photos
    assert (ledger.boxes_in, ledger.boxes_stored) == boxes


@needs_photographs
def test_drone_stills_say_where_they_were(tmp_path):
    record = next(p for p in read_survey(SHARED / "aerial-cars", name="s").survey().photos if "DJI_0010" in p.path)
    assert (record.camera_make, record.camera_model, record.format) == ("DJI", "FC220", "jpeg")
    assert record.gsd_m == pytest.approx(0.034, abs=0.003)
    assert len(record.footprint_lonlat) == 4
