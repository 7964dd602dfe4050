"""Whole sources with YOLO labels: every layout, every line counted, the short way as strict as the long one."""

import os
from collections import Counter
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from overflight.data.files import find_files
from overflight.data.formats import yolo, yolo_text
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners
from overflight.data.formats.yolo_names import find_class_names
from overflight.data.quarantine import named_only
from overflight.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_photographs = pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")

BOX = "0 0.5 0.5 0.2 0.1\n"
OBB = "1 .1 .1 .3 .1 .3 .2 .1 .2\n"
POLYGON = "0 .1 .1 .5 .2 .3 .4\n"


def make(root, files):
    """A source of empty photographs and text files."""
    for name, content in {"classes.txt": "car\nboat\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return find_files(root)


def read(files, size=(200, 100), labels=None):
    sizes = {photo.key: size for photo in files.photos}
    sniffed = yolo.sniff(files)
    return yolo.read(files, sizes, labels=labels or (sniffed.labels if sniffed else ()))


def codes(labels):
    return sorted((finding.code, finding.where) for finding in labels.findings)


def refusals(labels):
    return [(one.finding.code, one.finding.where, one.boxes) for one in labels.refused]


# --- layouts


@pytest.mark.parametrize(
    ("photo", "label"),
    [
        pytest.param("images/a.jpg", "labels/a.txt", id="images and labels"),
        pytest.param("images/f1/deep/a.JPG", "labels/f1/deep/a.txt", id="sub-folders"),
        pytest.param("train/images/a.png", "train/labels/a.txt", id="Roboflow"),
        pytest.param("images/train/a.jpg", "labels/train/a.txt", id="Ultralytics"),
        pytest.param("JPEGImages/a.jpg", "labels/a.txt", id="darknet's VOC"),
        pytest.param("obj_train_data/a.jpg", "obj_train_data/a.txt", id="beside the photograph"),
        pytest.param("images/a.jpg", "images/a.txt", id="beside it in the folder of images"),
        pytest.param("a.jpg", "a.txt", id="all in one folder"),
        pytest.param("f1/a.jpg", "labels/f1/a.txt", id="no folder of images"),
        pytest.param("images/a b.v2.final.JPEG", "labels/a b.v2.final.txt", id="spaces and dots"),
        pytest.param("images/a.jpg", "labels/a.TXT", id="upper-case suffix of the labels"),
        pytest.param("images/labels/images/a.jpg", "images/labels/labels/a.txt", id="the last folder of images counts"),
    ],
)
def test_the_labels_of_a_photograph_are_found(tmp_path, photo, label):
    files = make(tmp_path, {photo: b"", label: BOX})
    labels = read(files)
    assert labels.findings == ()
    assert labels.photos[photo].file == label
    assert labels.photos[photo].xyxy_px.round(6).tolist() == [[80, 45, 120, 55]]


def test_what_else_is_text_is_no_label(tmp_path):
    texts = {
        "readme.txt": "hello",
        "train.txt": "images/a.jpg\n",
        "lists/some.txt": "images/a.jpg\n",
        "x/notes.txt": "a b",
    }
    files = make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX, "labels/classes.txt": "car\nboat\n", **texts})
    assert yolo.sniff(files).labels == ("labels/a.txt",)
    assert read(files).findings == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(BOX, "yolo", id="boxes"),
        pytest.param(OBB, "yolo-obb", id="oriented"),
        pytest.param(POLYGON, "yolo", id="polygons"),
        pytest.param("0 960 540 20 30\n", "yolo", id="pixels: said by the checks"),
        pytest.param("684,8,273,116,0,0,0,0\n", None, id="VisDrone"),
        pytest.param("1 2 3 2 3 4 1 4 small-vehicle 0\n", None, id="DOTA"),
        pytest.param("imagesource:GoogleEarth\ngsd:0.1\n1 2 3 2 3 4 1 4 ship 0\n", None, id="DOTA with header"),
        pytest.param("10 20 30 20 30 40 10 40 7\n", None, id="corners in pixels before a number"),
        pytest.param("Car 0 0 0 1 2 3 4 5 6 7 8 9 10 11\n", None, id="KITTI"),
        pytest.param("a few words\n", None, id="prose"),
        pytest.param(b"\xff\xd8\xff\xe0" * 50, None, id="binary"),
    ],
)
def test_the_format_is_recognised_by_its_lines(tmp_path, text, name):
    files = make(tmp_path, {"images/a.jpg": b"", "images/b.jpg": b"", "labels/a.txt": text, "labels/b.txt": ""})
    found = yolo.sniff(files)
    assert (found.format if found else None) == name
    if found:
        assert "labels/a.txt" in found.evidence
        assert "2 text files" in found.evidence


def test_a_source_without_any_object_is_recognised_by_its_names(tmp_path):
    files = make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": ""})
    assert "empty" in yolo.sniff(files).evidence
    assert len(read(files).photos["images/a.jpg"]) == 0


# --- boxes in = boxes read + boxes refused


def test_every_line_is_a_box_or_has_a_reason(tmp_path):
    text = BOX + "\n0 0.5 0.5 0.2\n" + "7 .1 .1 .1 .1\nx .1 .1 .1 .1\n0 nan .1 .1 .1\n1.0 .1 .1 .1 .1\n" + OBB + BOX
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": text}))
    assert labels.photos["images/a.jpg"].numbers.tolist() == [1, 9]
    assert refusals(labels) == [
        ("columns", "labels/a.txt:3", 1),
        ("unknown-class", "labels/a.txt:4", 1),
        ("not-a-number", "labels/a.txt:5", 1),
        ("not-finite", "labels/a.txt:6", 1),
        ("unknown-class", "labels/a.txt:7", 1),
        ("columns", "labels/a.txt:8", 1),
    ]
    assert {one.finding.photo for one in labels.refused} == {"images/a.jpg"}
    assert labels.boxes_in == 8
    assert labels.refused[0].raw == "0 0.5 0.5 0.2"
    assert all(one.finding.cure for one in labels.refused)


def test_boxes_are_not_judged_here(tmp_path):
    text = "0 0.99 0.5 0.2 0.1\n0 0.5 0.5 0 -0.1\n" + BOX + BOX + "0 960 540 20 30\n"
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": text}), size=(100, 100))
    found = labels.photos["images/a.jpg"].xyxy_px.round(6).tolist()
    assert found[:2] == [[89, 45, 109, 55], [50, 55, 50, 45]]
    assert len(found) == 5
    assert labels.refused == ()


def test_byte_order_marks_and_windows_line_ends_are_harmless(tmp_path):
    text = b"\xef\xbb\xbf0 0.5 0.5 0.2 0.1\r\n\r\n1\t0.5  0.5 2e-1 .1\r\n"
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": text}))
    assert labels.photos["images/a.jpg"].class_ids.tolist() == [0, 1]
    assert labels.photos["images/a.jpg"].numbers.tolist() == [1, 3]
    assert labels.refused == ()


def test_labels_without_a_photograph_are_counted(tmp_path):
    files = make(
        tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX, "labels/b.txt": BOX + "\nrubbish\n", "old/c.txt": BOX}
    )
    labels = read(files)
    assert codes(labels) == [("orphan-labels", "labels/b.txt"), ("orphan-labels", "old/c.txt")]
    assert refusals(labels) == [("orphan-labels", "labels/b.txt", 2), ("orphan-labels", "old/c.txt", 1)]
    assert {finding.severity for finding in labels.findings} == {"warning"}
    assert labels.boxes_in == 4


def test_a_name_that_differs_by_a_space_is_pointed_out(tmp_path):
    labels = read(make(tmp_path, {"images/DJI 1.jpg": b"", "labels/dji1.txt": BOX}))
    assert codes(labels) == [("missing-labels", "images/DJI 1.jpg"), ("name-differs", "labels/dji1.txt")]
    assert refusals(labels) == [("name-differs", "labels/dji1.txt", 1)]
    assert any("labels/DJI 1.txt" in finding.cure for finding in labels.findings)


NFC, NFD = normalize("NFC", "Mühle"), normalize("NFD", "Mühle")


@pytest.mark.parametrize(("photo", "label"), [pytest.param(NFC, NFD, id="apart"), pytest.param(NFD, NFC, id="as one")])
def test_the_two_ways_to_write_an_accent_are_one_name(tmp_path, photo, label):
    labels = read(make(tmp_path, {f"images/{photo}.jpg": b"", f"labels/{label}.txt": BOX}))
    assert labels.findings == ()
    assert len(labels.photos[f"images/{photo}.jpg"]) == 1


def test_photographs_that_differ_only_so_keep_their_own_labels(tmp_path):
    files = {f"images/{name}.jpg": b"" for name in (NFC, NFD)}
    labels = read(make(tmp_path, {**files, f"labels/{NFC}.txt": BOX, f"labels/{NFD}.txt": BOX * 2}))
    assert {key: len(found) for key, found in labels.photos.items()} == {
        f"images/{NFC}.jpg": 1,
        f"images/{NFD}.jpg": 2,
    }


def test_a_photograph_without_labels_says_where_they_are_expected(tmp_path):
    labels = read(make(tmp_path, {"images/f/a.jpg": b"", "images/b.jpg": b"", "labels/b.txt": ""}))
    (finding,) = labels.findings
    assert (finding.code, finding.photo, finding.severity) == ("missing-labels", "images/f/a.jpg", "error")
    assert "labels/f/a.txt" in finding.cure
    assert list(labels.photos) == ["images/b.jpg"]


def test_two_photographs_cannot_share_a_label_file(tmp_path):
    labels = read(make(tmp_path, {"images/a.jpg": b"", "images/a.png": b"", "labels/a.txt": BOX}))
    (finding,) = labels.findings
    assert (finding.code, finding.photo) == ("shared-labels", "images/a.png")
    assert "images/a.jpg" in finding.what
    assert labels.boxes_in == 1


@pytest.mark.parametrize(
    ("second", "content", "lines"),
    [
        pytest.param("images/a.txt", BOX * 2, 2, id="beside the photograph"),
        pytest.param("images/a.txt", "", 0, id="beside the photograph, empty"),
        pytest.param("labels/a.TXT", BOX, 1, id="another suffix"),
    ],
)
def test_a_photograph_with_two_label_files_is_an_error_that_names_both(tmp_path, second, content, lines):
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX, second: content}))
    (finding,) = labels.findings
    assert (finding.code, finding.severity, finding.photo) == ("two-label-files", "error", "images/a.jpg")
    assert "labels/a.txt" in finding.what
    assert second in finding.what
    assert labels.boxes_in == 1 + lines
    assert labels.photos["images/a.jpg"].file == "labels/a.txt"


def test_a_text_beside_the_photograph_that_is_no_label_file_is_none(tmp_path):
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX, "images/a.txt": "Taken at noon.\n"}))
    assert labels.findings == ()


def test_boxes_of_a_photograph_without_a_size_are_refused_together(tmp_path):
    files = make(tmp_path, {"images/a.jpg": b"", "images/b.jpg": b"", "labels/a.txt": BOX * 3, "labels/b.txt": BOX})
    labels = yolo.read(files, {"images/b.jpg": (10, 10)}, labels=yolo.sniff(files).labels)
    assert refusals(labels) == [("unreadable-photo", "labels/a.txt", 3)]
    assert labels.refused[0].finding.photo == "images/a.jpg"
    assert labels.boxes_in == 4


@pytest.mark.parametrize("kind", ["another format", "link", "pipe"])
def test_labels_of_a_photograph_that_cannot_be_taken_belong_to_it(tmp_path, kind):
    odd = tmp_path / f"images/b.{'bmp' if kind == 'another format' else 'jpg'}"
    make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX, "labels/b.txt": BOX * 2})
    if kind == "another format":
        odd.write_bytes(b"")
    elif kind == "link":
        odd.symlink_to("/nowhere/b.jpg")
    else:
        os.mkfifo(odd)
    labels = read(find_files(tmp_path))
    assert labels.findings == ()
    assert refusals(labels) == [("unreadable-photo", "labels/b.txt", 2)]
    assert labels.refused[0].finding.photo == odd.relative_to(tmp_path).as_posix()
    assert named_only(labels) == 0  # the photograph is there: nothing is only named
    assert labels.boxes_in == 3


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("ünknown".encode("latin-1") + b"\n" + BOX.encode(), id="Latin-1"),
        pytest.param(BOX.encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xff\xd8\xff\xe0\n\n\n", id="a photograph"),
    ],
)
def test_a_file_that_is_not_text_is_damaged_and_counted(tmp_path, content):
    files = make(tmp_path, {"images/a.jpg": b"", "images/b.jpg": b"", "labels/a.txt": content, "labels/b.txt": BOX})
    labels = read(files)
    (finding,) = labels.findings
    assert (finding.code, finding.photo, finding.where) == ("damaged", "images/a.jpg", "labels/a.txt")
    assert labels.refused[0].finding is finding
    assert list(labels.photos) == ["images/b.jpg"]


# --- oriented boxes and polygons


def test_oriented_boxes_keep_their_corners(tmp_path):
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": OBB + BOX + OBB}))
    found = labels.photos["images/a.jpg"]
    assert labels.format == "yolo-obb"
    assert found.corners_px[0].round(6).tolist() == [[20, 10], [60, 10], [60, 20], [20, 20]]
    assert found.xyxy_px[0].round(6).tolist() == [20, 10, 60, 20]
    assert refusals(labels) == [("columns", "labels/a.txt:2", 1)]
    assert "upright box" in labels.refused[0].finding.cure


def test_a_set_of_polygons_becomes_boxes_and_says_so(tmp_path):
    square = "1 .1 .1 .2 .1 .2 .2 .1 .2\n"
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": POLYGON * 2 + square}))
    assert labels.format == "yolo"
    assert labels.losses == ("3 polygons became the upright boxes around them",)
    assert labels.photos["images/a.jpg"].xyxy_px[0].round(6).tolist() == [20, 10, 100, 40]
    assert labels.refused == ()


def test_polygons_among_boxes_become_boxes_and_four_points_stay_refused(tmp_path):
    square = "1 .1 .1 .2 .1 .2 .2 .1 .2\n"
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX * 2 + POLYGON + square}))
    assert labels.photos["images/a.jpg"].xyxy_px.round(6).tolist() == [[80, 45, 120, 55]] * 2 + [[20, 10, 100, 40]]
    assert labels.losses == ("1 polygon became the upright boxes around them",)
    assert refusals(labels) == [("columns", "labels/a.txt:4", 1)]
    assert "oriented" in labels.refused[0].finding.cure


def test_a_score_and_a_track_behind_a_box_are_no_polygon(tmp_path):
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX + "0 .5 .5 .2 .1 .9 17\n"}))
    assert refusals(labels) == [("columns", "labels/a.txt:2", 1)]
    assert labels.losses == ()


def test_the_kind_is_decided_by_all_lines_not_by_the_first_file(tmp_path):
    texts = {f"labels/{name}.txt": BOX * 5 for name in "bc"}
    photos = {f"images/{name}.jpg": b"" for name in "abc"}
    labels = read(make(tmp_path, {**photos, **texts, "labels/a.txt": OBB * 2}))
    assert (labels.format, labels.boxes, len(labels.refused)) == ("yolo", 10, 2)


# --- one parser, two ways

ODD_NUMBERS = "0 1 00 1. .5 -0.5 +1 1e-3 1E5 1e999 -1e999 1e 1_0 nan inf Infinity 0x1 1.2.3 - . 1,5".split()  # noqa: SIM905
ODD_NUMBERS += ["\u0661", "\uff11"]  # digits of other scripts, which float() takes
ENDS = ["\n", "\r\n", "\r", "\n\n", "\x0b", "\u2028", "\x85"]
NUMBER = st.one_of(
    st.floats(0, 1).map(repr),
    st.sampled_from(ODD_NUMBERS),
)
LINE = st.one_of(
    st.lists(NUMBER, min_size=5, max_size=5).map(" ".join),
    st.lists(NUMBER, max_size=10).map("\t".join),
    st.text(max_size=12),
    st.just("0 0.5 0.5 0.1 0.1"),
)
TEXT = st.lists(LINE, max_size=6).flatmap(lambda lines: st.sampled_from(ENDS).map(lambda end: end.join(lines)))


@given(st.one_of(TEXT.map(str.encode), st.binary(max_size=60)), st.sampled_from(["detect", "obb"]))
@example("1" * 400 + " .5 .5 .1 .1", "detect")
@example(b"\n\n0 .5 .5 .1 .1\n \n", "detect")
@example(b"0 1.2.3 .5 .1\n", "detect")
def test_the_short_way_gives_what_the_long_one_gives(data, kind):
    data = data.encode() if isinstance(data, str) else data
    short = yolo_text.parse_clean(data, columns=yolo_text.COLUMNS[kind], classes=3)
    try:
        long = yolo_text.parse_by_line(data, kind=kind, classes=3)
    except UnicodeDecodeError:
        assert short is None
        return
    assert len(long.numbers) + len(long.refused) == sum(long.columns.values())
    if short is None:
        return
    assert long.refused == ()
    for one, other in ((short.class_ids, long.class_ids), (short.values, long.values), (short.numbers, long.numbers)):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert np.array_equal(one, other)
    assert (short.blank, short.has_crlf, short.has_bom) == (long.blank, long.has_crlf, long.has_bom)
    assert short.columns == long.columns


@given(st.lists(st.tuples(st.integers(0, 2), *[st.floats(0, 1)] * 4), min_size=1, max_size=20))
def test_clean_files_go_the_short_way(rows):
    data = "".join(f"{row[0]} " + " ".join(map(repr, row[1:])) + "\n" for row in rows).encode()
    found = yolo_text.parse_clean(data, columns=5, classes=3)
    assert found.values.tolist() == [list(row[1:]) for row in rows]
    assert found.class_ids.tolist() == [row[0] for row in rows]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("0 0.5 0.5 0.1 " + "1" * 400, id="400 digits"),
        pytest.param("9" * 5000 + " .5 .5 .1 .1", id="class of 5000 digits"),
        pytest.param("x" * 2_000_000, id="two million letters"),
        pytest.param("0 " * 600_000, id="too many columns for a line"),
        pytest.param("\x1b[31m red \x07", id="control characters"),
    ],
)
def test_messages_stay_short_and_clean(line):
    found = yolo_text.parse((BOX + line + "\n").encode(), kind="detect", classes=3)
    (refused,) = found.refused
    assert len(found.numbers) == 1
    assert len(refused.what) < 300
    assert len(refused.raw) <= 1000
    assert (refused.what + refused.raw).isprintable()


def test_a_hundred_thousand_boxes_in_one_file(tmp_path):
    labels = read(make(tmp_path, {"images/a.jpg": b"", "labels/a.txt": BOX * 100_000}))
    assert labels.boxes == 100_000


# --- names of classes


@pytest.mark.parametrize(
    ("files", "names", "where"),
    [
        pytest.param({"data.yaml": "names: [no, 1, null]"}, ("no", "1", "null"), "data.yaml", id="words"),
        pytest.param({"obj.names": "a\nb"}, ("a", "b"), "obj.names", id="darknet"),
        pytest.param({"train/labels/classes.txt": "a\nb"}, ("a", "b"), "train/labels/classes.txt", id="LabelImg"),
        pytest.param({"sub/x.names": "a"}, ("a",), "sub/x.names", id="further below"),
        pytest.param({"classes.txt": "\ufeffcar\r\n", "x/classes.txt": "b"}, ("car",), "classes.txt", id="BOM"),
        pytest.param({"data.yaml": "names: [a]", "classes.txt": "a\n"}, ("a",), "data.yaml", id="two that agree"),
    ],
)
def test_names_of_classes(tmp_path, files, names, where):
    found = find_class_names(make_only(tmp_path, files))
    assert found == (names, where, ())


def make_only(root, files):
    return make(root, {"classes.txt": None, "images/a.jpg": b"", **files})


@pytest.mark.parametrize(
    ("other", "what"),
    [
        pytest.param("car\nboat\n", "names other classes than data.yaml (2 instead of 1)", id="another number"),
        pytest.param("boat\n", "class 0 is 'boat' instead of 'car'", id="another name"),
        pytest.param("car\ncar\n", "used twice", id="damaged"),
    ],
)
def test_class_files_that_disagree_are_an_error(tmp_path, other, what):
    names, _, (finding,) = find_class_names(make_only(tmp_path, {"data.yaml": "names: [car]", "classes.txt": other}))
    assert names == ("car",)
    assert (finding.severity, finding.code, finding.where) == ("error", "class-names", "classes.txt")
    assert what in finding.what


def test_yaml_about_other_things_does_not_disturb(tmp_path):
    files = make_only(tmp_path, {"compose.yaml": "a: &a 1\nb: *a", "classes.txt": "car"})
    assert find_class_names(files) == (("car",), "classes.txt", ())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("nc: 2\nnames: [a]", "says nc: '2' and names 1 classes", id="another number of classes"),
        pytest.param("a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]", "alias", id="a billion laughs"),
        pytest.param("names: &a [*a]", "alias", id="a list within itself"),
        pytest.param("names: " + "[" * 100_000, "not valid YAML|nested", id="very deep"),
        pytest.param("names: " + "[" * 30 + "]" * 30, "nested too deeply", id="deep"),
        pytest.param("names: [a]\n" + "#" * 1_000_001, "more than 1,000,000 bytes", id="very large"),
        pytest.param("names: {0: a, 0: b}", "the key '0' twice", id="the same number twice"),
        pytest.param("names: {0: a, 99999999999999999999: b}", "not 0 to 1", id="a huge number"),
        pytest.param("names: [[a], b]", "no text", id="a list as a name"),
        pytest.param("names: {[1]: a}", "key that is no text", id="a list as a key"),
        pytest.param("names: !!python/object/apply:os.system [ls]\n", "no text|neither|has no name|alias", id="code"),
        pytest.param("names: [a\n", "not valid YAML", id="broken"),
        pytest.param("names: [\0]", "not valid YAML", id="NUL"),
        pytest.param("names: []", "has no name", id="none"),
    ],
)
def test_hostile_yaml_is_refused(tmp_path, text, what):
    files = make_only(tmp_path, {"data.yaml": text})
    if "os.system" in text:  # tags mean nothing: a list of names it is
        assert find_class_names(files)[0] == ("ls",)
        return
    with pytest.raises(InputError, match=what):
        find_class_names(files)
    with pytest.raises(InputError, match=what):
        yolo.read_class_names(tmp_path)


def test_no_names_no_reading(tmp_path):
    files = make_only(tmp_path, {"labels/a.txt": BOX})
    with pytest.raises(InputError, match="no names of classes"):
        read(files)
    with pytest.raises(InputError, match="no label files"):
        yolo.read(files, {}, labels=())


# --- writing


def a_set(boxes, corners=None, ignored=None, size=(4000, 3000), keys=("a.jpg",)):
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    found = PhotoLabels(
        size, np.arange(len(boxes)) % 2, boxes, np.arange(1, len(boxes) + 1), "x", corners_px=corners, ignored=ignored
    )
    return LabelSet("x", ("car", "no: 1"), dict.fromkeys(keys, found))


def written_and_read(labels, folder, names, write=yolo.write):
    result = write(labels, folder, names=names)
    for place in result.places.values():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    return result, read(find_files(folder), size=next(iter(labels.photos.values())).size_wh_px)


COORDINATE = st.floats(-50, 20_000, allow_nan=False)


@given(st.lists(st.tuples(*[COORDINATE] * 4), max_size=5))
def test_written_boxes_come_back(tmp_path_factory, boxes):
    labels = a_set(boxes, size=(20_000, 15_000))
    result, again = written_and_read(labels, tmp_path_factory.mktemp("w"), {"a.jpg": "f 1/a.v2.JPG"})
    found = again.photos["images/f 1/a.v2.JPG"]
    assert result.losses == again.findings == again.refused == ()
    assert again.classes == labels.classes
    assert np.abs(found.xyxy_px - labels.photos["a.jpg"].xyxy_px).max(initial=0) < 0.001
    assert found.class_ids.tolist() == labels.photos["a.jpg"].class_ids.tolist()


def test_oriented_boxes_are_written_with_their_corners_or_become_upright(tmp_path):
    boxes = np.array([[10.0, 10, 50, 30], [60, 10, 90, 40]])
    corners = upright_corners(boxes)
    corners[0] = [[10, 20], [30, 10], [50, 20], [30, 30]]
    labels = a_set(boxes, corners=corners)
    result, again = written_and_read(labels, tmp_path / "obb", {"a.jpg": "a.jpg"}, yolo.write_obb)
    assert (result.losses, again.format) == ((), "yolo-obb")
    assert np.abs(again.photos["images/a.jpg"].corners_px - corners).max() < 0.001
    result, again = written_and_read(labels, tmp_path / "box", {"a.jpg": "a.jpg"})
    assert result.losses == ("1 oriented box became upright",)
    assert np.abs(again.photos["images/a.jpg"].xyxy_px - boxes).max() < 0.001


def test_regions_to_be_ignored_are_a_stated_loss(tmp_path):
    labels = a_set([[0, 0, 10, 10], [5, 5, 20, 20]], ignored=np.array([True, False]))
    result, again = written_and_read(labels, tmp_path, {"a.jpg": "a.jpg"})
    assert result.losses == ("1 ignored region was left out",)
    assert again.photos["images/a.jpg"].xyxy_px.round(3).tolist() == [[5, 5, 20, 20]]


def test_photographs_that_would_share_a_label_file_get_names_of_their_own(tmp_path):
    labels = a_set([[0, 0, 10, 10]], keys=("a.jpg", "a.png"))
    result, again = written_and_read(labels, tmp_path, {"a.jpg": "a.jpg", "a.png": "a.png"})
    assert result.places == {"a.jpg": "images/a.jpg", "a.png": "images/a-2.png"}
    assert len(result.losses) == 1
    assert (again.boxes, again.findings) == (2, ())


def test_a_photograph_called_classes_does_not_become_a_list_of_classes(tmp_path):
    result, again = written_and_read(a_set([[0, 0, 10, 10]]), tmp_path, {"a.jpg": "classes.jpg"})
    assert result.places == {"a.jpg": "images/classes-2.jpg"}
    assert (again.boxes, again.classes, again.findings) == (1, ("car", "no: 1"), ())


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "x/../../a.jpg", "a", "a\0.jpg"])
def test_nothing_is_written_outside_of_the_folder(tmp_path, name):
    with pytest.raises(InputError, match="cannot be the name"):
        yolo.write(a_set([]), tmp_path / "out", names={"a.jpg": name})
    assert not (tmp_path / "out").exists()


# --- fuzz and the real set


@given(st.dictionaries(st.sampled_from("abcd"), st.one_of(st.binary(max_size=80), TEXT.map(str.encode))), st.booleans())
def test_whatever_is_in_the_files_everything_is_counted(tmp_path_factory, contents, sized):
    root = tmp_path_factory.mktemp("f")
    photos = {f"images/{name}.jpg": b"" for name in "abc"}
    files = make(root, {**photos, **{f"labels/{name}.txt": data for name, data in contents.items()}})
    keys = tuple(f"labels/{name}.txt" for name in sorted(contents))
    if not keys:
        return
    labels = yolo.read(files, dict.fromkeys(photos, (10, 10)) if sized else {}, labels=keys)
    known = {finding.photo for finding in labels.findings} | {one.finding.photo for one in labels.refused}
    empty = {f"images/{name}.jpg" for name, data in contents.items() if not yolo_text.count_lines(data)}
    assert set(photos) <= set(labels.photos) | known | empty
    assert all(np.isfinite(found.xyxy_px).all() for found in labels.photos.values())


@needs_photographs
def test_the_real_set(tmp_path):
    files = find_files(SHARED / "aerial-cars")
    labels = read(files, size=(1920, 1080))
    assert Counter(finding.code for finding in labels.findings) == {"orphan-labels": 13}
    assert (len(labels.photos), labels.boxes, labels.classes[4]) == (71, 1617, "cyclist")
    texts = [path.read_text() for path in (SHARED / "aerial-cars").rglob("*.txt") if "as_published" not in path.parts]
    assert labels.boxes_in == sum(1 for text in texts for line in text.split("\n") if line.strip())
