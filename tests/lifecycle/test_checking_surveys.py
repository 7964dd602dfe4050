"""Surveys checked, cured, compared and exported as a person does it: from a folder, from S3, from the account."""

import hashlib
import json
import os
import tarfile

import cv2
import numpy as np
import pytest

from factories import make_survey_source
from overflight.account.objects import S3Uri, read_bytes, upload_folder
from overflight.data.manifest import load_manifest
from overflight.errors import InputError, UsageError
from overflight.lifecycle import mislabels
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.sources import open_source
from overflight.lifecycle.survey_checks import CheckOptions, check_survey, compare_surveys
from overflight.lifecycle.survey_export import export_survey
from overflight.lifecycle.survey_versions import list_surveys
from overflight.lifecycle.surveys import add_survey
from overflight.settings import Settings
from toy_model import write_model_folder

QUIET = Silent()


@pytest.fixture
def context(tmp_path):
    return Context(Settings(home=tmp_path / ".overflight"))


@pytest.fixture
def source(tmp_path):
    return make_survey_source(tmp_path / "harbour", flights=3, photos=2, size_wh=(320, 240))


def label(source, number=1):
    return source / f"labels/flight1/flight1_000{number}.txt"


def spoil(source):
    """One box over the edge by half a pixel, one without area, one twice, one unknown class."""
    width, height = 320, 240
    label(source).write_text(
        label(source).read_text()
        + f"0 {(width - 9.5) / width:.8f} 0.5 {20 / width:.8f} {10 / height:.8f}\n"
        + "0 0.5 0.5 0 0.1\n"
        + label(source).read_text().splitlines()[0]
        + "\n"
    )
    label(source, 2).write_text("7 0.5 0.5 0.1 0.1\n")


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def codes(checked):
    return {row["check"]: row["severity"] for row in checked.report.table()}


def check(context, source, tmp_path, **options):
    return check_survey(context, str(source), options=CheckOptions(**options), out=tmp_path / "report", progress=QUIET)


def test_a_check_names_every_fault_writes_its_report_and_leaves_the_source_alone(context, source, tmp_path):
    spoil(source)
    before = digests(source)
    checked = check(context, source, tmp_path)
    errors = {code for code, severity in codes(checked).items() if severity == "error"}
    assert errors == {"no-size", "duplicate-box", "unknown-class"}
    assert codes(checked)["overhang"] == "warning"
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert {row["check"] for row in report["checks"]} == set(codes(checked))
    left_out = [json.loads(line) for line in (tmp_path / "report/quarantine.jsonl").read_text().splitlines()]
    assert sorted(line["path"] for line in left_out) == [f"images/flight1/flight1_000{n}.jpg" for n in (1, 2)]
    assert "Box has no area" in (tmp_path / "report/report.html").read_text()
    assert any("= 4 stored + 2 quarantined" in sentence for sentence in checked.sentences())
    assert digests(source) == before
    clean = make_survey_source(tmp_path / "clean", flights=3, photos=2, size_wh=(320, 240))
    check(context, clean, tmp_path)
    assert not (tmp_path / "report/quarantine.jsonl").exists()  # of the earlier check


def test_safe_cures_make_a_new_version_and_the_rest_is_quarantined(context, source):
    spoil(source)
    before = digests(source)
    with pytest.raises(InputError, match="class 7 is not known"):
        add_survey(context, source, name="harbour", progress=QUIET, fix=True)
    version = add_survey(context, source, name="harbour", progress=QUIET, fix=True, quarantine=True)
    assert digests(source) == before
    assert version.quarantined == 1
    assert len(version.cures) == 3
    bucket, prefix = S3Uri.parse(version.uri).bucket, S3Uri.parse(version.uri).key
    left_out = read_bytes(context.client("s3"), bucket, f"{prefix}/quarantine.jsonl").decode().splitlines()
    reasons = [reason["code"] for line in left_out for reason in json.loads(line)["reasons"]]
    assert sorted(reasons) == ["duplicate-box", "no-size", "unknown-class"]
    ledger = version.facts["ledger"]
    assert (ledger["photos_in"], ledger["photos_stored"], ledger["photos_quarantined"]) == (6, 5, 1)
    assert ledger["boxes_removed"] == 2
    assert list_surveys(context)[0].digest == version.digest


def test_a_stored_survey_can_be_cured_into_another_version(context, source, tmp_path):
    spoil(source)
    label(source, 2).write_text("")
    rules = {"no-size": "warning", "duplicate-box": "warning"}
    options = CheckOptions(changes=tuple(f"{code}={level}" for code, level in rules.items()))
    stored = add_survey(context, source, name="raw", progress=QUIET, catalogue=options.catalogue())
    cured = add_survey(context, "raw", name="clean", progress=QUIET, fix=True)
    assert cured.facts["boxes"] == stored.facts["boxes"] - 2
    found = compare_surveys(context, "raw", "clean", progress=QUIET)
    assert sum(found.boxes.removed.values()) == 2
    assert len(found.boxes.shifts_px) == 1
    assert codes(check(context, "clean", tmp_path)).get("overhang") is None


def test_a_prefix_in_s3_gives_the_same_survey_as_the_folder(context, source, tmp_path):
    s3 = context.client("s3")
    s3.create_bucket(Bucket="drone-photos", CreateBucketConfiguration={"LocationConstraint": context.settings.region})
    upload_folder(s3, source, "drone-photos", "2026/harbour")
    address = "s3://drone-photos/2026/harbour"
    assert codes(check(context, address, tmp_path)) == codes(check(context, source, tmp_path))
    there = add_survey(context, address, name="harbour", progress=QUIET)
    assert there.digest == add_survey(context, source, name="harbour", progress=QUIET).digest


def test_levels_of_a_file_and_of_the_command_line_change_the_outcome(context, source, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("tiny: {min_side_px: 1000}\nno-position: off\n")
    assert codes(check(context, source, tmp_path, changes_file=rules))["tiny"] == "warning"
    checked = check(context, source, tmp_path, changes_file=rules, changes=("tiny=error",))
    assert codes(checked)["tiny"] == "error"
    assert "no-position" not in codes(checked)


def test_options_of_reading_are_refused_for_a_stored_survey(context, source, tmp_path):
    add_survey(context, source, name="harbour", progress=QUIET)
    with pytest.raises(UsageError, match="--format is for folders"):
        check(context, "harbour", tmp_path, form="coco")


@pytest.mark.parametrize("form", ["coco", "voc", "csv", "labelme", "cvat"])
def test_an_export_read_again_is_the_same_survey(context, source, tmp_path, form):
    add_survey(context, source, name="harbour", progress=QUIET)
    facts = export_survey(context, "harbour", form=form, out=tmp_path / form, progress=QUIET)
    assert (facts["photos"], facts["losses"]) == (6, [])
    found = compare_surveys(context, "harbour", str(tmp_path / form), progress=QUIET)
    assert not found.boxes.any
    assert (found.photos_same, found.photos_added, found.photos_removed) == (6, (), ())


def test_an_export_never_lies_over_other_files(context, source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        export_survey(context, str(source), form="coco", out=tmp_path / "mine", progress=QUIET)
    with pytest.raises(UsageError, match="tfrecord"):
        export_survey(context, str(source), form="tfrecord", out=tmp_path / "new", progress=QUIET)
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("inside", [".", "report"])
def test_nothing_is_written_into_the_source(context, source, inside):
    before = digests(source)
    with pytest.raises(UsageError, match="inside the source"):
        check_survey(context, str(source), options=CheckOptions(), out=source / inside, progress=QUIET)
    with pytest.raises(UsageError, match=r"inside the source|not empty"):
        export_survey(context, str(source), form="coco", out=source / inside, progress=QUIET)
    assert digests(source) == before


def test_an_unknown_format_is_refused_before_anything_is_read(context, tmp_path):
    with pytest.raises(UsageError, match=r"--to: there is no format 'nix'"):
        export_survey(context, str(tmp_path / "absent"), form="nix", out=tmp_path / "out", progress=Silent())


def test_a_pipe_named_like_a_photograph_is_a_finding_and_never_opened(context, source, tmp_path):
    os.mkfifo(source / "images/pipe.jpg")
    (source / "images/outside.jpg").symlink_to(tmp_path / "other.jpg")
    cv2.imwrite(str(tmp_path / "other.jpg"), np.full((64, 64, 3), 99, np.uint8))
    checked = check(context, source, tmp_path)
    assert {"unreadable", "link"} <= codes(checked).keys()
    sections = (checked.folder / "report.html").read_text().split("<section")
    (linked,) = [section for section in sections if "a link leads out of the folder" in section]
    assert "<img" not in linked


def test_ignored_regions_that_were_lost_are_a_difference(context, tmp_path):
    folders = []
    for name, crowd in (("with", True), ("without", False)):
        folder = tmp_path / name
        folder.mkdir()
        cv2.imwrite(str(folder / "a.jpg"), np.full((64, 64, 3), 99, np.uint8))
        box = {"image_id": 1, "category_id": 1, "bbox": [8, 8, 16, 16]}
        annotations = [box | {"id": 1}, *([box | {"id": 2, "iscrowd": 1, "bbox": [30, 30, 20, 20]}] if crowd else [])]
        document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations}
        document["categories"] = [{"id": 1, "name": "car"}]
        (folder / "labels.json").write_text(json.dumps(document))
        folders.append(str(folder))
    boxes = compare_surveys(context, *folders, progress=Silent()).as_dict()["boxes"]
    assert (boxes["ignored_removed"], boxes["removed"], boxes["ignored_added"]) == (1, 0, 0)


def test_regions_that_an_export_leaves_out_are_no_boxes_of_it(context, tmp_path):
    folder = tmp_path / "harbour"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.jpg"), np.full((64, 64, 3), 99, np.uint8))
    box = {"image_id": 1, "category_id": 1, "bbox": [8, 8, 16, 16]}
    annotations = [box | {"id": 1}, box | {"id": 2, "iscrowd": 1}]
    document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations}
    (folder / "labels.json").write_text(json.dumps(document | {"categories": [{"id": 1, "name": "car"}]}))
    facts = export_survey(context, str(folder), form="yolo", out=tmp_path / "yolo", progress=Silent())
    assert (facts["boxes"], facts["losses"]) == (1, ["1 ignored region was left out"])


def test_labels_that_were_converted_one_pixel_off_are_recognised(context, source, tmp_path):
    """VOC counts pixels from 1 and includes the last: read as plain corners, every box is off by one."""
    export_survey(context, str(source), form="coco", out=tmp_path / "coco", progress=QUIET)
    path = tmp_path / "coco/annotations.json"
    document = json.loads(path.read_text())
    for annotation in document["annotations"]:
        annotation["bbox"][0] += 1
        annotation["bbox"][1] += 1
    path.write_text(json.dumps(document))
    found = compare_surveys(context, str(source), str(tmp_path / "coco"), progress=QUIET)
    assert found.uniform_shift_px == (1.0, 1.0)


def painted(tmp_path):
    """Red and blue squares of the toy detector's size; one without a label, one labelled with the wrong colour."""
    folder = tmp_path / "painted"
    places = {"red": [(32, 32), (160, 32), (32, 160), (224, 160)], "blue": [(96, 96), (224, 32), (160, 160), (96, 224)]}
    for flight in (1, 2, 3):
        picture = np.full((320, 320, 3), 128, np.uint8)
        rows = []
        for index, (colour, corners) in enumerate(places.items()):
            for x, y in corners:
                picture[y : y + 32, x : x + 32] = (0, 0, 255) if colour == "red" else (255, 0, 0)
                rows.append(f"{index} {(x + 16) / 320:.8f} {(y + 16) / 320:.8f} 0.1 0.1\n")
        if flight == 1:
            rows = ["1" + rows[0][1:], *rows[2:]]
        for kind in ("images", "labels"):
            (folder / kind / f"f{flight}").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"images/f{flight}/f{flight}_1.png"), picture)
        (folder / f"labels/f{flight}/f{flight}_1.txt").write_text("".join(rows))
    (folder / "classes.txt").write_text("red\nblue\n")
    return folder


def test_a_model_points_at_the_labels_that_were_spoilt(context, tmp_path, monkeypatch):
    folder = write_model_folder(tmp_path / "model", input_px=320)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=".")
    bucket = context.names.bucket
    context.client("s3").upload_file(str(tmp_path / "model.tar.gz"), bucket, "toy/model.tar.gz")
    facts = {"package": "toy/1", "model_data": f"s3://{bucket}/toy/model.tar.gz"}
    monkeypatch.setattr(mislabels, "find_package", lambda _context, package: package)
    monkeypatch.setattr(mislabels, "describe_package", lambda _context, _arn: facts)
    checked = check(context, painted(tmp_path), tmp_path, model="latest")
    kinds = {(item.kind, item.label, item.predicted) for item in checked.suspects}
    assert kinds == {("wrong-class", "blue", "red"), ("no-label", "", "red")}
    assert {item.photo for item in checked.suspects} == {"images/f1/f1_1.png"}
    assert len(json.loads((tmp_path / "report/suspects.json").read_text())) == 2
    assert any("toy/1 disagrees with 2 labels" in sentence for sentence in checked.sentences())


def test_the_stored_version_holds_the_photographs_as_they_were(context, source):
    version = add_survey(context, source, name="harbour", progress=QUIET)
    opened = open_source(context, f"harbour@{version.digest[:12]}", progress=QUIET)
    for record in load_manifest(opened.folder).photos:
        original = source / "images" / record.path.removeprefix("photos/")
        assert (opened.folder / record.path).read_bytes() == original.read_bytes()
