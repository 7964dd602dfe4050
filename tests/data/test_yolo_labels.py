"""YOLO labels: what is fine is read exactly, what is not is named with line and cure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.formats import yolo
from overflight.data.formats.yolo import read_class_names, read_labels
from overflight.errors import InputError

GOOD = "1 0.5 0.5 0.2 0.1\n"


def read(text, classes=3):
    data = text.encode() if isinstance(text, str) else text
    return read_labels(data, classes=classes, where="labels/a.txt")


@pytest.mark.parametrize(
    ("line", "code", "what"),
    [
        pytest.param("0 0.5 0.5 0.2", "columns", "4 columns where 5 are needed", id="column missing"),
        pytest.param("0 0.5 0.5 0.2 0.1 0.9", "columns", "6 columns", id="score appended"),
        pytest.param("0 .1 .1 .2 .1 .2 .2 .1 .2", "columns", "9 columns", id="oriented box"),
        pytest.param("0 .1 .1 .2 .1 .2 .2", "columns", "7 columns", id="polygon"),
        pytest.param("0 0.5 0,5 0.2 0.1", "not-a-number", "'0,5' is not a number", id="decimal comma"),
        pytest.param("0 0.5 0.5 0_1 0.1", "not-a-number", "'0_1' is not a number", id="digits grouped as Python does"),
        pytest.param("0 nan 0.5 0.2 0.1", "not-finite", "NaN or infinity", id="NaN"),
        pytest.param("0 inf 0.5 0.2 0.1", "not-finite", "NaN or infinity", id="infinity"),
        pytest.param("1.5 0.5 0.5 0.2 0.1", "unknown-class", "'1.5'", id="class with a fraction"),
        pytest.param("-1 0.5 0.5 0.2 0.1", "unknown-class", "'-1'", id="negative class"),
        pytest.param("3 0.5 0.5 0.2 0.1", "unknown-class", "there are 3: 0 to 2", id="unknown class"),
        pytest.param("4" * 300 + " 0.5 0.5 0.2 0.1", "unknown-class", "there are 3", id="class of 300 digits"),
        pytest.param("0 1.01 0.5 0.2 0.1", "out-of-range", "outside 0..1", id="centre outside"),
        pytest.param("0 960 540 20 30", "out-of-range", "outside 0..1", id="pixels"),
        pytest.param("0 0.5 0.5 0 0.1", "no-size", "no size", id="no width"),
        pytest.param("0 0.5 0.5 0.2 -0.1", "no-size", "no size", id="negative height"),
        pytest.param("0 0.01 0.5 0.2 0.1", "outside", "leaves the photo by 9.0%", id="box outside"),
    ],
)
def test_a_faulty_line_is_an_error_with_its_place(line, code, what):
    labels = read(GOOD + line + "\n" + "2 0.5 0.5 0.1 0.1\n")
    (finding,) = labels.findings
    assert (finding.severity, finding.code, finding.where) == ("error", code, "labels/a.txt:2")
    assert what in finding.what
    assert finding.cure
    assert labels.rows[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param(GOOD.strip(), "duplicate", id="the same line twice"),
        pytest.param("0 0.1 0.5 0.204 0.1", "overhang", id="2 thousandths over the edge"),
    ],
)
def test_what_can_be_used_is_a_warning(line, code):
    (finding,) = read(GOOD + line).findings
    assert (finding.severity, finding.code) == ("warning", code)


def test_rounding_in_the_sixth_place_is_no_finding():
    assert read("0 0.0999995 0.5 0.2 1.0000005\n").findings == ()


def test_leading_zeros_of_a_class_are_harmless():
    assert read("0" * 5000 + "1 0.5 0.5 0.1 0.1\n").rows[:, 0].tolist() == [1]


def test_harmless_spelling_is_counted():
    labels = read(b"\xef\xbb\xbf0 0.5 0.5 0.2 0.1\r\n\r\n   \r\n1\t0.5  0.5 2e-1 .1\r\n")
    assert labels.findings == ()
    assert labels.rows.tolist() == [[0, 0.5, 0.5, 0.2, 0.1], [1, 0.5, 0.5, 0.2, 0.1]]
    assert (labels.has_bom, labels.has_crlf, labels.blank_lines) == (True, True, 2)


def test_an_empty_file_means_nothing_to_see():
    assert read("").rows.shape == (0, 5)
    assert read("").findings == ()


def test_a_binary_file_is_an_error():
    (finding,) = read(b"\xff\xfe\x00\x01").findings
    assert finding.code == "not-text"


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(data):
    labels = read(data)
    assert np.isfinite(labels.rows).all()


@st.composite
def boxes_in_photo(draw):
    width, height = draw(st.integers(16, 12000)), draw(st.integers(16, 12000))
    unit = st.floats(0, 1)
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        xs, ys = sorted((draw(unit) * width, draw(unit) * width)), sorted((draw(unit) * height, draw(unit) * height))
        if xs[1] - xs[0] > 0.01 and ys[1] - ys[0] > 0.01:
            rows.append([xs[0], ys[0], xs[1], ys[1]])
    return width, height, np.array(rows).reshape(-1, 4)


@given(boxes_in_photo())
def test_written_boxes_come_back_within_a_hundredth_of_a_pixel(photo):
    width, height, boxes_px = photo
    ids = np.arange(len(boxes_px)) % 3
    text = yolo.format_labels(ids, yolo.fractions_from_xyxy_px(boxes_px, width_px=width, height_px=height))
    labels = read(text)
    assert [finding for finding in labels.findings if finding.code != "duplicate"] == []
    if not labels.findings:
        found = yolo.xyxy_px_from_rows(labels.rows, width_px=width, height_px=height)
        assert np.abs(found - boxes_px).max(initial=0) < 0.01
        assert labels.rows[:, 0].astype(int).tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("data.yaml", "names: [car, boat]", id="list"),
        pytest.param("data.yaml", "names:\n  0: car\n  1: boat\n", id="mapping"),
        pytest.param("other.yml", "train: images\nnames: {1: boat, 0: car}\n", id="another YAML file"),
        pytest.param("classes.txt", "car\r\nboat\r\n\r\n", id="classes.txt"),
        pytest.param("labels/classes.txt", "car\nboat", id="classes.txt among the labels"),
        pytest.param("aerial.names", "car\nboat\n", id="darknet"),
    ],
)
def test_class_names_are_found(tmp_path, name, text):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert read_class_names(tmp_path) == ("car", "boat")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        pytest.param("notes.md", "", "no names of classes found", id="no file"),
        pytest.param("data.yaml", "names: {1: car, 2: boat}", "not 0 to 1", id="numbered from 1"),
        pytest.param("data.yaml", "names: car", "neither a list nor a mapping", id="one word"),
        pytest.param("data.yaml", "names: [car\n", "is not valid YAML", id="broken YAML"),
        pytest.param("classes.txt", "car\ncar\n", "used twice", id="repeated"),
        pytest.param("classes.txt", "car\n\nboat\n", "has no name", id="gap"),
        pytest.param("classes.txt", "", "has no name", id="empty"),
    ],
)
def test_unusable_class_names_are_refused(tmp_path, name, text, what):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=what):
        read_class_names(tmp_path)
