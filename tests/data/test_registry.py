"""Recognising, reading and writing label formats by name; where several are possible the user decides."""

from pathlib import Path

import numpy as np
import pytest

from overflight.data.files import find_files
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.registry import FORMATS, read_with, sniff_all, write_with
from overflight.errors import InputError, UsageError

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_photographs = pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")

SIZE = (400, 300)
BOXES = np.array([[10.0, 20, 110, 70], [200, 100, 260, 220]])


def a_set(names=("f1/a.jpg", "f2/b c.JPG")):
    labels = PhotoLabels(SIZE, np.array([0, 1]), BOXES, np.array([1, 2]), "x")
    return LabelSet("x", ("boat", "car"), dict.fromkeys(names, labels))


def written(folder, name, labels=None):
    labels = labels or a_set()
    result = write_with(name, labels, folder, names={key: key for key in labels.photos})
    for place in result.places.values():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    return find_files(folder)


def read(files, **options):
    return read_with(files, {photo.key: SIZE for photo in files.photos}, **options)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_recognised_as_itself_and_nothing_else(tmp_path, name):
    files = written(tmp_path, name)
    (found,) = sniff_all(files)
    assert found.format == name
    assert found.labels
    assert set(found.labels) <= set(files.others)
    assert found.labels[0].rsplit("/", 1)[-1] in found.evidence
    labels, sniffed = read(files)
    assert sniffed == found
    assert (labels.format, labels.classes, labels.boxes, labels.refused) == (name, ("boat", "car"), 4, ())
    for one in labels.photos.values():
        assert np.abs(one.xyxy_px - BOXES).max() < 0.01
        assert one.class_ids.tolist() == [0, 1]


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_can_be_named(tmp_path, name):
    files = written(tmp_path, name)
    assert read(files, format=name)[0].boxes == 4


def two_formats(tmp_path):
    written(tmp_path, "coco")
    return written(tmp_path, "yolo")


def test_two_formats_are_a_question_not_a_guess(tmp_path):
    files = two_formats(tmp_path)
    with pytest.raises(UsageError, match="labels in 2 formats found") as error:
        read(files)
    assert "labels/f1/a.txt" in error.value.what
    assert "annotations.json" in error.value.what
    assert "--format" in error.value.cure


@pytest.mark.parametrize(
    ("options", "name"),
    [
        pytest.param({"format": "coco"}, "coco", id="format"),
        pytest.param({"labels": "annotations.json"}, "coco", id="label file"),
        pytest.param({"labels": "./annotations.json"}, "coco", id="with a dot"),
        pytest.param({"labels": "labels"}, "yolo", id="folder of labels"),
        pytest.param({"labels": "labels/"}, "yolo", id="with a slash"),
        pytest.param({"labels": "annotations.json", "format": "coco"}, "coco", id="both"),
    ],
)
def test_the_user_decides(tmp_path, options, name):
    labels, sniffed = read(two_formats(tmp_path), **options)
    assert (labels.format, sniffed.format, labels.boxes) == (name, name, 4)


def test_a_label_file_may_be_given_by_its_whole_path(tmp_path):
    files = two_formats(tmp_path)
    assert read(files, labels=str(tmp_path / "annotations.json"))[0].format == "coco"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        pytest.param({"format": "kitti"}, "there is no format 'kitti'", id="unknown format"),
        pytest.param({"labels": "other.json"}, "no such label file", id="no such file"),
        pytest.param({"labels": "/etc/passwd"}, "no such label file", id="outside"),
        pytest.param({"labels": "images/f1/a.jpg"}, "no such label file", id="a photo"),
        pytest.param({"labels": ""}, "no such label file", id="empty"),
        pytest.param({"labels": "a\0b"}, "no such label file", id="NUL"),
    ],
)
def test_what_cannot_be_chosen(tmp_path, options, what):
    with pytest.raises(UsageError, match=what) as error:
        read(two_formats(tmp_path), **options)
    assert error.value.cure


def test_an_unknown_format_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match="there is no format"):
        write_with("kitti", a_set(), tmp_path, names={})


def test_a_format_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no labels in the format voc found"):
        read(two_formats(tmp_path), format="voc")


def test_nothing_found_says_what_was_looked_for_and_seen(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "readme.md").touch()
    with pytest.raises(InputError) as error:
        read(find_files(tmp_path))
    assert all(name in error.value.what for name in FORMATS)
    assert "1 photos and 1 .md (such as readme.md)" in error.value.what


def coco_files(tmp_path, **photos):
    """A COCO file for each name, about the photographs given."""
    for name, keys in photos.items():
        written(tmp_path, "coco", a_set(keys))
        (tmp_path / "annotations.json").rename(tmp_path / f"{name}.json")
    return find_files(tmp_path)


def test_coco_files_about_different_photographs_are_one_set(tmp_path):
    files = coco_files(tmp_path, train=("a.jpg", "b.jpg"), val=("c.jpg",))
    labels, sniffed = read(files)
    assert sniffed.labels == ("train.json", "val.json")
    assert (len(labels.photos), labels.boxes, labels.findings) == (3, 6, ())


def test_coco_files_about_the_same_photographs_are_a_question(tmp_path):
    files = coco_files(tmp_path, one=("a.jpg", "b.jpg"), two=("b.jpg", "c.jpg"))
    with pytest.raises(UsageError, match=r"one.json and two.json share 1, such as 'b.jpg'") as error:
        read(files)
    assert "--labels" in error.value.cure
    labels, _ = read(files, labels="two.json")
    assert sorted(labels.photos) == ["images/b.jpg", "images/c.jpg"]


def test_a_file_that_is_not_recognised_is_read_as_the_user_says(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.txt").write_text("car 1 2 3 4\n")
    (tmp_path / "classes.txt").write_text("car\n")
    files = find_files(tmp_path)
    assert sniff_all(files) == ()
    labels, sniffed = read(files, format="yolo", labels="a.txt")
    assert (sniffed.labels, labels.boxes_in, len(labels.refused)) == (("a.txt",), 1, 1)


@needs_photographs
@pytest.mark.parametrize(
    ("folder", "options", "boxes"),
    [
        pytest.param("aerial-cars", {}, 1617, id="YOLO with lists and orphans around"),
        pytest.param("formats/sahi_coco", {"labels": "terrain2_coco.json"}, None, id="one of five COCO files"),
        pytest.param("formats/uavvaste_coco", {}, 3718, id="COCO without photographs"),
        pytest.param("formats/deepforest", {"format": "voc"}, None, id="VOC beside COCO and CSV"),
    ],
)
def test_real_folders(folder, options, boxes):
    labels, _ = read(find_files(SHARED / folder), **options)
    assert labels.boxes == boxes if boxes else labels.boxes > 0


@needs_photographs
@pytest.mark.parametrize("folder", ["formats/sahi_coco", "formats/deepforest"])
def test_real_folders_that_hold_several_sets(folder):
    with pytest.raises(UsageError, match="found"):
        read(find_files(SHARED / folder))
