"""Files of a source: what is a photograph, what a label file means by a name, and what is never followed."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.files import PhotoFile, SourceFiles, find_files
from overflight.errors import InputError


def folder(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def keys(files):
    return [photo.key for photo in files.photos]


def codes(files):
    return [(finding.severity, finding.code, finding.where) for finding in files.findings]


def source(*photos, root=Path("/source")):
    return SourceFiles(root, tuple(PhotoFile(key, name) for key, name in photos), ())


@pytest.mark.parametrize(
    ("key", "name"),
    [
        pytest.param("a.jpg", "a.jpg", id="in the root"),
        pytest.param("images/a.JPG", "a.JPG", id="folder of images"),
        pytest.param("JPEGImages/a.jpeg", "a.jpeg", id="Pascal VOC"),
        pytest.param("images/flight 1/a b.v2.png", "flight 1/a b.v2.png", id="spaces and dots"),
        pytest.param("train/images/a.tif", "train/a.tif", id="split before images"),
        pytest.param("pictures/a.MPO", "pictures/a.MPO", id="another name of the folder stays"),
    ],
)
def test_photographs_keep_their_path_without_the_folder_of_images(tmp_path, key, name):
    (photo,) = find_files(folder(tmp_path, key)).photos
    assert (photo.key, photo.name) == (key, name)


def test_everything_visible_is_listed_once_and_sorted(tmp_path):
    folder(tmp_path, "b/2.jpg", "a.jpg", "b.jpg", "labels/a.txt", "LICENSE", "b/1.jpg")
    files = find_files(tmp_path)
    assert keys(files) == ["a.jpg", "b.jpg", "b/1.jpg", "b/2.jpg"]
    assert files.others == ("LICENSE", "labels/a.txt")
    assert files.findings == ()


def test_hidden_files_and_the_shadows_of_macos_are_left_out(tmp_path):
    folder(tmp_path, "a.jpg", ".a.jpg", ".cache/b.jpg", "__MACOSX/a.jpg", "images/._a.jpg", "images/.DS_Store")
    assert keys(find_files(tmp_path)) == ["a.jpg"]
    assert find_files(tmp_path).others == ()


def test_formats_that_cannot_be_read_are_errors_not_silence(tmp_path):
    files = find_files(folder(tmp_path, "a.HEIC", "b.dng", "c.jpg"))
    assert keys(files) == ["c.jpg"]
    assert codes(files) == [("error", "format", "a.HEIC"), ("error", "format", "b.dng")]
    assert files.findings[0].photo == "a.HEIC"


def test_two_photographs_with_one_name_in_the_survey(tmp_path):
    files = find_files(folder(tmp_path, "images/a.jpg", "a.jpg"))
    assert codes(files) == [("error", "same-name", "images/a.jpg")]
    assert "as a.jpg (a.jpg)" in files.findings[0].what


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside = folder(tmp_path / "outside", "secret.jpg", "deep/more.jpg")
    root = folder(tmp_path / "source", "a.jpg", "sub/b.jpg")
    (root / "out.jpg").symlink_to(outside / "secret.jpg")
    (root / "out").symlink_to(outside)
    (root / "nowhere.txt").symlink_to(root / "gone.txt")
    (root / "self.jpg").symlink_to(root / "self.jpg")
    (root / "inside.jpg").symlink_to(root / "a.jpg")
    (root / "again").symlink_to(root / "sub")
    (root / "loop").symlink_to(root)
    files = find_files(root)
    assert keys(files) == ["a.jpg", "inside.jpg", "sub/b.jpg"]
    assert sorted(codes(files)) == [
        ("error", "link", "nowhere.txt"),
        ("error", "link", "out"),
        ("error", "link", "out.jpg"),
        ("error", "link", "self.jpg"),
        ("warning", "link", "again"),
        ("warning", "link", "loop"),
    ]
    assert {finding.photo for finding in files.findings} == {"", "out.jpg", "self.jpg"}


def test_a_root_that_is_a_link_is_the_folder_it_leads_to(tmp_path):
    folder(tmp_path / "real", "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files = find_files(tmp_path / "link")
    assert files.root == (tmp_path / "real").resolve()
    assert (keys(files), files.findings) == (["a.jpg"], ())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_a_finding_and_nobody_waits_for_it(tmp_path):
    folder(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "b.jpg")
    files = find_files(tmp_path)
    assert keys(files) == ["a.jpg"]
    assert codes(files) == [("error", "unreadable", "b.jpg")]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can read everything")
def test_a_closed_folder_is_a_finding(tmp_path):
    folder(tmp_path, "a.jpg", "closed/b.jpg")
    (tmp_path / "closed").chmod(0)
    try:
        assert codes(find_files(tmp_path)) == [("error", "unreadable", "closed")]
    finally:
        (tmp_path / "closed").chmod(0o755)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        pytest.param(lambda path: None, "there is no such folder", id="nothing"),
        pytest.param(lambda path: path.write_text(""), "is a file, not a folder", id="file"),
        pytest.param(lambda path: path.mkdir(), "the folder is empty", id="empty"),
    ],
)
def test_no_folder_no_files(tmp_path, make, what):
    make(tmp_path / "source")
    with pytest.raises(InputError, match=what):
        find_files(tmp_path / "source")


def test_label_files_are_read_up_to_a_limit(tmp_path):
    files = find_files(folder(tmp_path, "a.txt"))
    assert files.read("a.txt") == b"x"
    with pytest.raises(InputError, match="1 bytes; at most 0"):
        files.read("a.txt", max_bytes=0)
    with pytest.raises(InputError, match="cannot be opened"):
        files.read("b.txt")


TREE = source(
    ("images/f1/a.jpg", "f1/a.jpg"),
    ("images/f2/a.jpg", "f2/a.jpg"),
    ("images/f2/only b.JPG", "f2/only b.JPG"),
    ("top.png", "top.png"),
)


@pytest.mark.parametrize(
    ("name", "beside", "key"),
    [
        pytest.param("images/f1/a.jpg", "", "images/f1/a.jpg", id="path from the root"),
        pytest.param("./images//f1/a.jpg", "", "images/f1/a.jpg", id="dots and doubled slashes"),
        pytest.param("images\\f1\\a.jpg", "", "images/f1/a.jpg", id="back slashes"),
        pytest.param("f1/a.jpg", "", "images/f1/a.jpg", id="path below the images"),
        pytest.param("a.jpg", "images/f2/labels.json", "images/f2/a.jpg", id="beside the label file"),
        pytest.param("../images/f2/a.jpg", "labels/x.json", "images/f2/a.jpg", id="up and down again"),
        pytest.param("/home/me/data/f1/a.jpg", "", "images/f1/a.jpg", id="absolute path of another machine"),
        pytest.param("C:\\data\\f2\\a.jpg", "", "images/f2/a.jpg", id="Windows"),
        pytest.param("s3://bucket/prefix/f2/a.jpg", "", "images/f2/a.jpg", id="bucket"),
        pytest.param("aerial/only b.JPG", "", "images/f2/only b.JPG", id="folder that is not there, name used once"),
        pytest.param("aerial/a.jpg", "", None, id="folder that is not there, name used twice"),
        pytest.param("only b.jpg", "", None, id="other case is another name"),
        pytest.param("../../etc/passwd", "", None, id="out of the folder"),
        pytest.param("../../../top.png", "", "top.png", id="out of the folder, but the file name is known"),
        pytest.param("", "", None, id="empty"),
        pytest.param("..", "labels/x.json", None, id="only dots"),
        pytest.param("top.png\0", "", None, id="NUL"),
    ],
)
def test_names_in_label_files(name, beside, key):
    found = TREE.resolve(name, beside=beside)
    assert (found.key if found else None) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param("only b.jpg", "images/f2/only b.JPG", id="case of the suffix"),
        pytest.param("Only_b.jpg", None, id="underscore is another letter"),
        pytest.param("labels/ONLYB.txt", "images/f2/only b.JPG", id="case, space and suffix"),
        pytest.param("a.png", None, id="two photographs"),
        pytest.param("", None, id="nothing"),
        pytest.param(" .txt", None, id="a name of spaces"),
    ],
)
def test_names_that_are_nearly_right(name, key):
    found = TREE.similar(name)
    assert (found.key if found else None) == key


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_name_makes_it_fail_and_only_photographs_are_found(name, beside):
    for found in (TREE.resolve(name, beside=beside), TREE.similar(name)):
        assert found is None or found in TREE.photos


def test_a_name_of_a_million_folders_is_looked_up_at_once():
    assert TREE.resolve("x/" * 1_000_000 + "f1/a.jpg").key == "images/f1/a.jpg"


def test_an_accent_taken_apart_is_the_same_name():
    files = source(("images/Mu\u0308nster.jpg", "Mu\u0308nster.jpg"), ("images/b.jpg", "b.jpg"))
    assert files.resolve("M\u00fcnster.jpg").key == "images/Mu\u0308nster.jpg"
    assert files.similar("labels/M\u00fcnster.txt").key == "images/Mu\u0308nster.jpg"


def test_folders_given_choose_among_photographs_of_one_name():
    files = source(("photos/f1/a.jpg", "photos/f1/a.jpg"), ("photos/f2/a.jpg", "photos/f2/a.jpg"))
    assert files.resolve("f2\\a.jpg").key == "photos/f2/a.jpg"
    assert files.resolve("2/a.jpg") is None
    assert files.resolve("a.jpg") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("f/A.jpg", "f/a.jpg", id="case"),
        pytest.param("f/a.JPG", "f/a.jpg", id="case of the suffix"),
        pytest.param("M\u00fchle.jpg", "Mu\u0308hle.jpg", id="accents"),
    ],
)
def test_photographs_that_some_disks_take_for_one_are_a_warning(tmp_path, first, second):
    files = find_files(folder(tmp_path, first, second, "g/a.jpg"))
    ((severity, code, _),) = codes(files)
    assert (severity, code) == ("warning", "names-alike")
    assert "Windows" in files.findings[0].cure
    assert len(files.photos) == 3
