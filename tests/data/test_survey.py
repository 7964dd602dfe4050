"""Surveys: everything wrong is listed at once; written all or nothing; the same photos give the same digest."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from factories import make_survey_source
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.files import SourceFiles
from overflight.data.findings import Finding, errors_of, refuse, warnings_of
from overflight.data.manifest import load_manifest
from overflight.data.survey import read_survey, write_survey
from overflight.errors import InputError, ResourceError, UsageError

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_photographs = pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")


# the drawn photographs are small, and so are their boxes: that is not what these tests are about
SMALL_PICTURES = load_catalogue(["odd-size=off", "tiny=off", "sliver=off"])


@pytest.fixture
def source(tmp_path):
    return make_survey_source(tmp_path / "source", flights=3, photos=2, size_wh=(96, 64))


def codes(draft):
    return sorted(finding.code for finding in errors_of(draft.findings))


def test_a_clean_folder_becomes_a_survey(source, tmp_path):
    draft = read_survey(source, name="harbour", catalogue=SMALL_PICTURES)
    assert draft.findings == ()
    facts = write_survey(draft, tmp_path / "out/harbour")
    stored = load_manifest(tmp_path / "out/harbour")
    assert stored.as_dict() | {"quarantined": 0} == facts
    assert facts["photos"] == 6
    assert facts["flights"] == {"flight1": 2, "flight2": 2, "flight3": 2}
    assert facts["boxes"] == sum(facts["boxes_per_class"].values()) == sum(p.boxes for p in stored.photos)
    assert {(p.width_px, p.height_px, p.flight_evidence) for p in stored.photos} == {(96, 64, "folder")}
    for photo in stored.photos:
        inside = photo.path.removeprefix("photos/")
        assert (tmp_path / "out/harbour" / photo.path).read_bytes() == (source / "images" / inside).read_bytes()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["harbour"]


def test_the_digest_follows_the_content_not_the_place(source, tmp_path):
    first = write_survey(read_survey(source, name="a"), tmp_path / "a")
    shutil.copytree(source, tmp_path / "copy")
    again = write_survey(read_survey(tmp_path / "copy", name="a", workers=1), tmp_path / "b")
    assert again == first
    label = next((source / "labels").rglob("*.txt"))
    label.write_text("0 0.5 0.5 0.1 0.1\n")
    assert write_survey(read_survey(source, name="a"), tmp_path / "c")["digest"] != first["digest"]


def test_writing_twice_changes_nothing_and_another_folder_is_not_overwritten(source, tmp_path):
    draft = read_survey(source, name="a")
    facts = write_survey(draft, tmp_path / "a")
    assert write_survey(draft, tmp_path / "a") == facts
    (tmp_path / "b").mkdir()
    (tmp_path / "b/precious.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_survey(draft, tmp_path / "b")
    assert (tmp_path / "b/precious.txt").read_text() == "mine"


def write_photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(".png" if path.suffix.lower() == ".png" else ".jpg", pixels)[1].tobytes())


def damage_photo(source):
    path = source / "images/flight1/flight1_0001.jpg"
    path.write_bytes(path.read_bytes()[:500])


def remove_label(source):
    (source / "labels/flight1/flight1_0001.txt").unlink()


def spoil_label(source):
    (source / "labels/flight1/flight1_0001.txt").write_text("7 0.5 0.5 0.1 0.1\n0 nan 0 1 1\n")


def add_tiff(source):
    (source / "images/flight1/map.TIF").write_bytes(b"II*\x00")


def add_webp(source):
    (source / "images/flight1/map.WebP").write_bytes(b"RIFF")


def share_label(source):
    write_photo(source / "images/flight1/flight1_0001.png")


def same_name(source):
    """``images`` is left out of a photo's name in the survey, so these two would become one."""
    write_photo(source / "images/flight1/images/flight1_0001.jpg")
    (source / "images/flight1/labels").mkdir()
    (source / "images/flight1/labels/flight1_0001.txt").write_text("")


def repeat_in_other_flight(source):
    for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
        shutil.copy(source / kind / f"flight1/flight1_0001{suffix}", source / kind / f"flight2/again_1{suffix}")


def link_out(source):
    path = source / "images/flight1/flight1_0001.jpg"
    path.rename(source.parent / "elsewhere.jpg")
    path.symlink_to(source.parent / "elsewhere.jpg")


def dangling_link(source):
    (source / "images/flight1/gone.jpg").symlink_to("nowhere.jpg")


def unreadable(source):
    (source / "images/flight1/flight1_0001.jpg").chmod(0)


DEFECTS = [
    pytest.param(damage_photo, ["truncated", "unreadable-photo"], 1, id="cut off photo"),
    pytest.param(remove_label, ["missing-labels"], 1, id="label file missing"),
    pytest.param(spoil_label, ["not-finite", "unknown-class"], 1, id="faulty labels"),
    pytest.param(add_tiff, ["missing-labels", "truncated"], 1, id="cut off TIFF"),
    pytest.param(add_webp, ["format"], 1, id="WebP"),
    pytest.param(share_label, ["shared-labels"], 1, id="two photos, one label file"),
    pytest.param(same_name, ["same-name"], 1, id="two photos, one name"),
    pytest.param(repeat_in_other_flight, ["leak"], 1, id="same photo in two flights"),
    pytest.param(link_out, ["link", "unreadable-photo"], 1, id="link out of the folder"),
    pytest.param(dangling_link, ["link"], 1, id="link to nowhere"),
]


def quarantined(survey):
    return [json.loads(line) for line in (survey / "quarantine.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("defect", "expected", "faulty"), DEFECTS)
def test_any_error_refuses_the_survey_and_writes_nothing(source, tmp_path, defect, expected, faulty):
    defect(source)
    draft = read_survey(source, name="harbour")
    assert codes(draft) == expected
    with pytest.raises(InputError) as caught:
        write_survey(draft, tmp_path / "out/harbour")
    assert all(finding.what in str(caught.value) for finding in errors_of(draft.findings))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("defect", "expected", "faulty"), DEFECTS)
def test_quarantine_leaves_faulty_photos_out_and_lists_them(source, tmp_path, defect, expected, faulty):
    defect(source)
    there = {path.name for path in (source / "images").rglob("*.*")}
    draft = read_survey(source, name="harbour")
    facts = write_survey(draft, tmp_path / "harbour", quarantine=True)
    lines = [line for line in quarantined(tmp_path / "harbour") if not line["absent"]]
    left_out = facts["quarantined"] - facts["ledger"]["photos_absent"]
    assert left_out == len(lines) == faulty
    assert facts["photos"] + left_out == len(there)
    assert sorted(reason["code"] for line in lines for reason in line["reasons"]) == expected
    kept = {photo.path for photo in load_manifest(tmp_path / "harbour").photos}
    assert not kept & {line["path"].replace("images/", "photos/", 1) for line in lines}


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_photo_without_permission_is_an_error(source):
    unreadable(source)
    assert codes(read_survey(source, name="a")) == ["unreadable"]


def test_a_file_that_cannot_be_opened_is_an_error(source, monkeypatch):
    read = SourceFiles.read

    def refuse(files, key, **limits):
        if key.endswith("flight1_0001.jpg"):
            raise InputError("cannot be opened (Permission denied)", where=key)
        return read(files, key, **limits)

    monkeypatch.setattr(SourceFiles, "read", refuse)
    draft = read_survey(source, name="a", catalogue=SMALL_PICTURES)
    (finding,) = [finding for finding in draft.findings if finding.code == "unreadable"]
    assert str(finding).startswith("images/flight1/flight1_0001.jpg: cannot be opened (Permission denied)")
    assert list(draft.faulty) == ["images/flight1/flight1_0001.jpg"]


def test_a_linked_folder_is_refused_when_it_leads_out_and_else_not_entered(source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (source / "images/out").symlink_to(tmp_path / "elsewhere")
    (source / "images/again").symlink_to(source / "images/flight1")
    draft = read_survey(source, name="a", catalogue=SMALL_PICTURES)
    assert [(f.severity, f.where) for f in draft.findings] == [("warning", "images/again"), ("error", "images/out")]
    with pytest.raises(InputError, match="leads out of the folder"):
        write_survey(draft, tmp_path / "a", quarantine=True)


def test_a_link_in_place_of_the_images_folder_is_refused(source, tmp_path):
    (source / "images").rename(tmp_path / "images")
    (source / "images").symlink_to(tmp_path / "images")
    with pytest.raises(InputError, match="images: a link leads out of the folder"):
        write_survey(read_survey(source, name="a"), tmp_path / "a")


def test_all_problems_are_listed_the_first_twenty_in_full(source):
    label = source / "labels/flight1/flight1_0001.txt"
    label.write_text("9 0.5 0.5 0.1 0.1\n" * 30)
    with pytest.raises(InputError) as caught:
        write_survey(read_survey(source, name="a"), source.parent / "out")
    text = str(caught.value)
    assert "30 problems" in text
    assert "flight1_0001.txt:20:" in text
    assert "and 10 more" in text


def test_nothing_is_left_when_writing_fails_half_way(source, tmp_path):
    draft = read_survey(source, name="harbour")
    (source / "images/flight3/flight3_0002.jpg").write_bytes(b"changed meanwhile")
    with pytest.raises(InputError, match="changed while it was read"):
        write_survey(draft, tmp_path / "out/harbour")
    assert list((tmp_path / "out").iterdir()) == []


def test_too_little_disk_is_seen_before_anything_is_written(source, tmp_path, monkeypatch):
    draft = read_survey(source, name="harbour")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1_000_000))
    with pytest.raises(ResourceError, match=r"MB are needed and 1 MB are free\. Free some space"):
        write_survey(draft, tmp_path / "out/harbour")
    assert not (tmp_path / "out").exists()


def test_every_photo_faulty_leaves_nothing_to_write(source, tmp_path):
    for path in (source / "images").rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no photograph without errors"):
        write_survey(read_survey(source, name="a"), tmp_path / "out", quarantine=True)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        pytest.param(lambda folder: None, "there is no such folder", id="no folder"),
        pytest.param(lambda folder: folder.write_text(""), "is a file", id="a file"),
        pytest.param(lambda folder: folder.mkdir(), "the folder is empty", id="empty folder"),
        pytest.param(
            lambda folder: (folder.mkdir(), (folder / "notes.txt").write_text("")), "no photographs", id="no images"
        ),
    ],
)
def test_folders_without_photographs_are_refused(tmp_path, make, what):
    make(tmp_path / "source")
    with pytest.raises(InputError, match=what):
        read_survey(tmp_path / "source", name="a")


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "x" * 64])
def test_names_that_cannot_be_part_of_an_address_are_refused(source, name):
    with pytest.raises(UsageError):
        read_survey(source, name=name)


@pytest.mark.parametrize(
    ("photos", "labels"),
    [
        pytest.param(
            ["images/a_1.JPG", "images/b_1.Png"], ["labels/a_1.txt", "labels/b_1.txt"], id="upper case suffixes"
        ),
        pytest.param(["images/train/a_1.jpg"], ["labels/train/a_1.txt"], id="images/<split>"),
        pytest.param(["train/images/a_1.jpg"], ["train/labels/a_1.txt"], id="<split>/images"),
        pytest.param(["a_1.jpg", "sub/b_1.jpg"], ["a_1.txt", "sub/b_1.txt"], id="beside the photos"),
        pytest.param(["images/a_1.jpg"], ["images/a_1.txt"], id="beside, in images"),
        pytest.param(["a_1.jpg"], ["labels/a_1.txt"], id="labels folder only"),
        pytest.param(
            ["images/.DS_Store.jpg", "images/._a.jpg", "images/a_1.jpg"], ["labels/a_1.txt"], id="hidden files"
        ),
        pytest.param(["images/a 1.jpg", "images/ü_1.jpg"], ["labels/a 1.txt", "labels/ü_1.txt"], id="spaces, umlauts"),
    ],
)
def test_layouts(tmp_path, photos, labels):
    for seed, name in enumerate(photos):
        write_photo(tmp_path / name, seed)
    for name in labels:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "classes.txt").write_text("car\n")
    draft = read_survey(tmp_path, name="a", catalogue=SMALL_PICTURES)
    assert draft.findings == ()
    assert sum(photo.record.boxes for photo in draft.photos) == len(labels)


def test_labels_without_a_photo_are_warnings(source):
    (source / "labels/flight1/orphan.txt").write_text("")
    (source / "labels/classes.txt").write_text("car\nboat\n")
    (finding,) = read_survey(source, name="a", catalogue=SMALL_PICTURES).findings
    assert (finding.severity, finding.code, finding.where) == ("warning", "orphan-labels", "labels/flight1/orphan.txt")


def test_the_same_photo_twice_in_one_flight_is_a_warning(source):
    for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
        shutil.copy(source / kind / f"flight1/flight1_0001{suffix}", source / kind / f"flight1/flight1_0009{suffix}")
    (finding,) = read_survey(source, name="a", catalogue=SMALL_PICTURES).findings
    assert (finding.severity, finding.code) == ("warning", "repeated")


def test_a_table_given_by_hand_names_the_flights(source, tmp_path):
    rows = "".join(f"{p.name},{'one' if 'flight1' in p.name else 'two'}\n" for p in (source / "images").rglob("*.jpg"))
    (tmp_path / "mine.csv").write_text("image,flight\n" + rows)
    assert read_survey(source, name="a", flights=tmp_path / "mine.csv").survey().flights == {"one": 2, "two": 4}
    with pytest.raises(InputError, match="no such file"):
        read_survey(source, name="a", flights=tmp_path / "other.csv")


def test_progress_counts_every_photo(source, tmp_path):
    seen = []
    draft = read_survey(source, name="a", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 6) for n in range(1, 7)]
    write_survey(draft, tmp_path / "a", progress=lambda done, total: seen.append((done, total)))
    assert seen[6:] == [(n, 6) for n in range(1, 7)]


@needs_photographs
def test_aerial_cars_reads_without_errors():
    draft = read_survey(SHARED / "aerial-cars", name="cars")
    survey = draft.survey()
    assert errors_of(draft.findings) == []
    assert (len(survey.photos), survey.boxes, len(survey.flights)) == (71, 1617, 6)
    assert survey.boxes_per_class == {"car": 1459, "truck": 5, "bus": 68, "minibus": 85, "cyclist": 0}
    still = next(photo for photo in survey.photos if photo.path == "photos/DJI_0010.JPG")
    assert (still.width_px, still.altitude_agl_m, still.captured_at is not None) == (4000, 98.9, True)


@needs_photographs
def test_aerial_cars_flights_by_name_agree_with_its_table(tmp_path):
    (tmp_path / "cars").mkdir()
    for name in ("images", "labels", "data.yaml"):
        target = SHARED / "aerial-cars" / name
        (shutil.copytree if target.is_dir() else shutil.copy)(target, tmp_path / "cars" / name)
    by_name = {p.source.key: p.record.flight for p in read_survey(tmp_path / "cars", name="a").photos}
    by_table = {p.source.key: p.record.flight for p in read_survey(SHARED / "aerial-cars", name="a").photos}
    pairs = {(by_name[key], by_table[key]) for key in by_table}
    assert len(pairs) == len(set(by_name.values())) == len(set(by_table.values())) == 6


@needs_photographs
def test_published_orphan_labels_are_found(tmp_path):
    shutil.copytree(SHARED / "aerial-cars/defects/orphan_labels", tmp_path / "cars/labels")
    write_photo(tmp_path / "cars/images/a_1.jpg")
    (tmp_path / "cars/labels/a_1.txt").write_text("")
    (tmp_path / "cars/classes.txt").write_text("car\ntruck\nbus\nminibus\ncyclist\n")
    warnings = warnings_of(read_survey(tmp_path / "cars", name="a").findings)
    assert [finding.code for finding in warnings].count("orphan-labels") == 13


def test_a_list_of_problems_ends_with_the_cure_on_a_line_of_its_own():
    findings = [Finding("error", "x", f"{name}.txt", "is wrong", "Mend it") for name in "ab"]
    with pytest.raises(InputError) as caught:
        refuse(findings, where="source", cure="Correct them")
    assert str(caught.value).splitlines() == [
        "source: 2 problems:",
        "  a.txt: is wrong. Mend it",
        "  b.txt: is wrong. Mend it",
        "Correct them",
    ]
