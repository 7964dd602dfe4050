"""Splits that published data sets bring: found where they are usual, and every broken entry said."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.files import find_files
from overflight.data.given_split import find_split, part_of
from overflight.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_photographs = pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
PHOTOS = ("images/a.jpg", "images/b.jpg", "images/c.jpg")


def make(root, texts, photos=PHOTOS):
    for name, content in {**dict.fromkeys(photos, ""), **texts}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return find_files(root)


def parts(split):
    return {name: [key.rsplit("/", 1)[1] for key in keys] for name, keys in split.parts.items()}


SPLIT = {"train": ["a.jpg", "b.jpg"], "val": ["c.jpg"]}
FOLDERS = ("t/a.jpg", "t/b.jpg", "v/c.jpg")


@pytest.mark.parametrize(
    ("photos", "texts"),
    [
        pytest.param(FOLDERS, {"data.yaml": "train: t\nval: v\nnames: [car]"}, id="folders"),
        pytest.param(FOLDERS, {"data.yaml": "path: ../datasets/x\ntrain: t\nval: v/"}, id="a path that is elsewhere"),
        pytest.param(FOLDERS, {"data.yaml": "train: ../t\nval: ../v"}, id="Roboflow's wrong dots"),
        pytest.param(FOLDERS, {"data.yaml": "train: /home/me/x/t\nvalid: /home/me/x/v"}, id="another machine"),
        pytest.param(
            ("x/t/a.jpg", "x/u/b.jpg", "x/v/c.jpg"),
            {"data.yaml": "path: x\ntrain: [t, u]\nval: [v]\ntest:\n"},
            id="lists of folders below a path",
        ),
        pytest.param(
            PHOTOS,
            {
                "data.yaml": "train: t.txt\nval: l/v.txt",
                "t.txt": "./images/a.jpg\nb.jpg\n",
                "l/v.txt": "../images/c.jpg",
            },
            id="text files, entries relative to several places",
        ),
        pytest.param(
            PHOTOS,
            {
                "obj.data": "classes = 1\ntrain = data/train.txt\nvalid=data/test.txt\n",
                "train.txt": "x/a.jpg\nx/b.jpg",
                "test.txt": "x/c.jpg",
            },
            id="darknet",
        ),
        pytest.param(
            ("JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg"),
            {
                "ImageSets/Main/train.txt": "a\nb\n",
                "ImageSets/Main/val.txt": "c\n",
                "ImageSets/Main/trainval.txt": "a\nb\nc",
                "ImageSets/Main/car_train.txt": "a 1\nb -1",
            },
            id="Pascal VOC",
        ),
        pytest.param(PHOTOS, {"train.txt": "\ufeffa.jpg\r\n\r\nb.jpg\r\n", "val.txt": "c.jpg"}, id="lists in the root"),
        pytest.param(("train/images/a.jpg", "train/images/b.jpg", "valid/images/c.jpg"), {}, id="Roboflow's folders"),
        pytest.param(
            ("images/train2017/a.jpg", "images/train2017/b.jpg", "images/val2017/c.jpg"), {}, id="COCO's folders"
        ),
        pytest.param(
            ("V-DET-train/images/a.jpg", "V-DET-train/images/b.jpg", "V-DET-val/images/c.jpg"),
            {},
            id="VisDrone's folders",
        ),
    ],
)
def test_usual_places_of_a_split(tmp_path, photos, texts):
    split = find_split(make(tmp_path, texts, photos))
    assert {name if name == "train" else "val": keys for name, keys in parts(split).items()} == SPLIT
    assert split.findings == ()
    assert split.evidence


@pytest.mark.parametrize(
    ("photos", "texts"),
    [
        pytest.param(PHOTOS, {}, id="nothing said"),
        pytest.param(PHOTOS, {"train.txt": "a.jpg"}, id="only one list"),
        pytest.param(("train/a.jpg", "ship/b.jpg"), {}, id="trains and ships"),
        pytest.param(("test/a.jpg", "valley/b.jpg"), {}, id="a test flight"),
        pytest.param(PHOTOS, {"data.yaml": "names: [car]"}, id="names only"),
        pytest.param(PHOTOS, {"data.yaml": "train: ["}, id="broken YAML: said by the reader of names"),
        pytest.param(PHOTOS, {"data.yaml": "train:\nval: {a: b}"}, id="values of other kinds"),
    ],
)
def test_no_split_is_no_finding(tmp_path, photos, texts):
    split = find_split(make(tmp_path, texts, photos))
    assert (split.parts, split.findings, split.evidence) == ({}, (), "")


def lists(root, **texts):
    """A source and list files beside it."""
    files = make(root / "source", {})
    paths = []
    for name, text in texts.items():
        paths.append(root / f"{name}.txt")
        paths[-1].write_text(text)
    return files, tuple(paths)


@pytest.mark.parametrize(
    ("texts", "found", "severity", "what"),
    [
        pytest.param(
            {"train": "a.jpg\nx.jpg\n", "test": "b.jpg"},
            {"train": ["a.jpg"], "test": ["b.jpg"]},
            "warning",
            "1 of 2 entries name no photo (x.jpg)",
            id="a photo that is not there",
        ),
        pytest.param(
            {"train": "aerial/x.jpg\naerial/y.jpg\n", "test": "b.jpg"},
            {"test": ["b.jpg"]},
            "error",
            "2 of 2 entries name no photo (aerial/x.jpg, aerial/y.jpg); the folder aerial/ does not exist",
            id="none is there",
        ),
        pytest.param(
            {"train": "a.jpg", "test": "images/a.jpg\nb.jpg"},
            {"train": ["a.jpg"], "test": ["a.jpg", "b.jpg"]},
            "error",
            "both name this photo (train and test)",
            id="in two parts",
        ),
        pytest.param(
            {"train": "a.jpg\n./a.jpg", "test": "b.jpg"},
            {"train": ["a.jpg"], "test": ["b.jpg"]},
            "warning",
            "names 1 photo twice",
            id="twice in one list",
        ),
        pytest.param({"train": "", "test": "b.jpg"}, {"test": ["b.jpg"]}, "warning", "is empty", id="empty list"),
    ],
)
def test_what_is_wrong_with_lists(tmp_path, texts, found, severity, what):
    files, paths = lists(tmp_path, **texts)
    split = find_split(files, lists=paths)
    assert parts(split) == found
    (finding,) = split.findings
    assert (finding.severity, finding.code) == (severity, "split-list")
    assert what in finding.what


def test_the_finding_of_a_photo_in_two_parts_names_the_photo_and_both_lists(tmp_path):
    files, paths = lists(tmp_path, train="a.jpg", test="a.jpg")
    (finding,) = find_split(files, lists=paths).findings
    assert finding.photo == finding.where == "images/a.jpg"
    assert "train.txt" in finding.what
    assert "test.txt" in finding.what


def test_a_missing_photo_in_two_parts_is_an_error_too(tmp_path):
    files, paths = lists(tmp_path, train="a.jpg\nx.jpg", test="b.jpg\nx.jpg")
    found = [finding for finding in find_split(files, lists=paths).findings if finding.severity == "error"]
    assert len(found) == 1
    assert "x.jpg" in found[0].where


def test_one_numbered_pair_is_a_plain_split_and_several_are_splits_of_their_own(tmp_path):
    files, paths = lists(tmp_path, train1="a.jpg", test1="b.jpg", train2="b.jpg", test2="a.jpg")
    assert parts(find_split(files, lists=paths[:2])) == {"train": ["a.jpg"], "test": ["b.jpg"]}
    both = find_split(files, lists=paths)
    assert list(both.parts) == ["train1", "test1", "train2", "test2"]
    assert both.findings == ()


def test_train_and_val_of_the_same_folder_are_no_split(tmp_path):
    split = find_split(make(tmp_path, {"data.yaml": "train: images\nval: images"}))
    assert split.parts == {}
    (finding,) = split.findings
    assert finding.severity == "warning"
    assert "val is the same as train (3 photos)" in finding.what


def test_photographs_in_no_part_are_said(tmp_path):
    split = find_split(make(tmp_path, {"train.txt": "a.jpg", "val.txt": "b.jpg"}))
    (finding,) = split.findings
    assert (finding.severity, finding.what[:11]) == ("warning", "1 photo of ")
    assert "images/c.jpg" in finding.what


def test_a_folder_that_does_not_exist_is_said(tmp_path):
    split = find_split(make(tmp_path, {"data.yaml": "train: images\nval: nowhere"}))
    assert split.parts == {}
    assert "val: nowhere names no folder" in split.findings[0].what


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        find_split(make(tmp_path, {}), lists=(tmp_path / "train.txt",))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_list_and_no_yaml_make_it_fail(tmp_path_factory, text, yaml):
    root = tmp_path_factory.mktemp("f")
    files = make(root, {"train.txt": text, "val.txt": b"c.jpg", "data.yaml": yaml})
    for split in (find_split(files), find_split(files, lists=(root / "train.txt", root / "val.txt"))):
        assert {key for keys in split.parts.values() for key in keys} <= {photo.key for photo in files.photos}


@pytest.mark.parametrize(
    ("folder", "part"),
    [("train", "train"), ("Valid", "val"), ("VisDrone2019-DET-test-dev", "test"), ("val2017", "val"), ("trains", None)],
)
def test_folders_named_after_parts(folder, part):
    assert part_of(folder) == part


@needs_photographs
@pytest.mark.parametrize(
    ("number", "found", "missing", "shared"),
    [
        pytest.param("", (22, 6), ("13 of 35", "3 of 9"), None, id="train and test"),
        pytest.param("1", (30, 3), ("23 of 53", "12 of 15"), "images/DJI_0005-0078.jpg", id="pair 1"),
        pytest.param("2", (23, 9), ("30 of 53", "6 of 15"), "aerial/harlem-0053.jpg", id="pair 2"),
        pytest.param("3", (59, 12), ("75 of 134", "9 of 21"), "aerial/MOS164.png", id="pair 3"),
    ],
)
def test_the_lists_as_published(number, found, missing, shared):
    files = find_files(SHARED / "aerial-cars")
    folder = SHARED / "aerial-cars/as_published"
    split = find_split(files, lists=(folder / f"train{number}.txt", folder / f"test{number}.txt"))
    assert (len(split.parts["train"]), len(split.parts["test"])) == found
    warnings = [finding for finding in split.findings if finding.severity == "warning"]
    assert [finding.what.split(" entries")[0] for finding in warnings] == list(missing)
    assert all("the folder aerial/ does not exist" in finding.what for finding in warnings)
    errors = [finding.where for finding in split.findings if finding.severity == "error"]
    assert len(errors) == (shared is not None)
    assert all(shared in where for where in errors)


@needs_photographs
def test_the_real_set_says_itself_that_val_is_train():
    split = find_split(find_files(SHARED / "aerial-cars"))
    assert split.parts == {}
    assert [finding.where for finding in split.findings] == ["data.yaml"]
