"""DOTA: corners in pixels and in their order, headers are no boxes, nothing comes out empty."""

from unicodedata import normalize

import numpy as np
import pytest

from label_sources import codes, label_set, photo_labels, place, read_source, write_and_read
from overflight.data.formats import dota
from overflight.errors import InputError

UPRIGHT = "10 20 30 20 30 40 10 40 plane 0\n"
TILTED = "50 10 60 20 50 30 40.5 20 storage-tank 1\n"


def read(tmp_path, text, **others):
    sizes = others.pop("sizes", None)
    contents = {"labelTxt/a.txt": text, "images/a.png": None} | others
    return read_source(dota, tmp_path, contents, sizes=sizes)


def test_corners_are_pixels_and_keep_their_order(tmp_path):
    labels = read(tmp_path, UPRIGHT + TILTED)
    found = labels.photos["images/a.png"]
    assert labels.classes == ("plane", "storage-tank")
    assert found.corners_px.tolist() == [
        [[10, 20], [30, 20], [30, 40], [10, 40]],
        [[50, 10], [60, 20], [50, 30], [40.5, 20]],
    ]
    assert found.xyxy_px.tolist() == [[10, 20, 30, 40], [40.5, 10, 60, 30]]
    assert found.numbers.tolist() == [1, 2]
    assert labels.losses == ("1 object is marked difficult",)
    assert labels.findings == ()


def test_only_boxes_that_start_at_their_top_left_are_plain_upright_ones(tmp_path):
    assert read(tmp_path, UPRIGHT).photos["images/a.png"].corners_px is None


def test_an_upright_box_that_starts_at_another_corner_keeps_it(tmp_path):
    found = read(tmp_path, "30 20 30 40 10 40 10 20 plane 0").photos["images/a.png"]
    assert found.corners_px[0, 0].tolist() == [30, 20]
    assert found.xyxy_px.tolist() == [[10, 20, 30, 40]]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("imagesource:GoogleEarth\ngsd:0.146\n" + UPRIGHT, id="header"),
        pytest.param("\ufeffimagesource:GoogleEarth\r\ngsd:null\r\n" + UPRIGHT.replace("\n", "\r\n"), id="BOM, CRLF"),
        pytest.param("\n\n" + UPRIGHT.replace(" ", "\t"), id="tabs and empty lines"),
        pytest.param(UPRIGHT.replace(" 0\n", ""), id="without the last column"),
        pytest.param("10.0 20.0 30.0 20.0 30.0 40.0 10.0 40.0 plane 2", id="decimals, no line end"),
    ],
)
def test_variants_say_the_same(tmp_path, text):
    labels = read(tmp_path, text)
    assert labels.photos["images/a.png"].xyxy_px.tolist() == [[10, 20, 30, 40]]
    assert labels.classes == ("plane",)
    assert labels.boxes_in == 1


def test_the_ground_sample_distance_of_a_header_is_mentioned(tmp_path):
    losses = read(tmp_path, "gsd:0.146\n" + UPRIGHT).losses
    assert losses == ("1 file gives a ground sample distance (gsd), which is not kept",)


@pytest.mark.parametrize(
    ("line", "code", "what"),
    [
        pytest.param("10 20 30 20 30 40 10 40", "columns", "8 columns", id="class missing"),
        pytest.param("10 20 30 40 plane", "columns", "5 columns", id="two corners"),
        pytest.param("0 .1 .2 .3 .2 .3 .4 .1 .4", "columns", "has the number '.4'", id="oriented boxes of YOLO"),
        pytest.param("10 20 x 20 30 40 10 40 plane 0", "not-a-number", "x2 is 'x'", id="a word"),
        pytest.param("10 20 3,5 20 30 40 10 40 plane 0", "not-a-number", "'3,5'", id="decimal comma"),
        pytest.param("10 20 nan 20 30 40 10 40 plane 0", "not-finite", "x2", id="NaN"),
        pytest.param("10 20 1e999 20 30 40 10 40 plane 0", "not-finite", "x2", id="too large"),
    ],
)
def test_a_line_that_is_no_box_is_refused_with_its_number(tmp_path, line, code, what):
    labels = read(tmp_path, UPRIGHT * 2 + line + "\n" + TILTED)
    (refused,) = labels.refused
    assert (refused.finding.code, refused.finding.where) == (code, "labelTxt/a.txt:3")
    assert what in refused.finding.what
    assert refused.finding.photo == "images/a.png"
    assert refused.raw == line
    assert (labels.boxes, labels.boxes_in) == (3, 4)


@pytest.mark.parametrize(
    ("others", "expected", "boxes"),
    [
        pytest.param({"labelTxt/b.txt": UPRIGHT * 3}, ["missing-photo", "missing-photo"], 1, id="absent, size unknown"),
        pytest.param({"labelTxt/b.txt": ""}, ["missing-photo"], 1, id="absent, no box"),
        pytest.param(
            {"labelTxt/b 1.txt": UPRIGHT, "images/b1.png": None},
            ["missing-labels", "missing-photo", "name-differs"],
            1,
            id="names that differ by a blank",
        ),
        pytest.param({"images/b.png": None}, ["missing-labels"], 1, id="photograph without labels"),
        pytest.param({"labelTxt/b.txt": b"\xff\xfe1\x00", "images/b.png": None}, ["damaged"], 1, id="UTF-16"),
        pytest.param({"sizes": {}}, ["unreadable-photo"], 0, id="unreadable photograph"),
        pytest.param(
            {"images/a.jpg": None}, ["missing-photo"] * 2 + ["shared-labels"] * 2, 0, id="fits two photographs"
        ),
        pytest.param({"labelTxt/train.txt": UPRIGHT, "images/train.png": None}, [], 2, id="a photograph called train"),
    ],
)
def test_every_photograph_and_line_is_accounted_for(tmp_path, others, expected, boxes):
    labels = read(tmp_path, UPRIGHT, **others)
    assert codes(labels) == expected
    assert labels.boxes == boxes
    lines = sum(text.count(UPRIGHT) for name, text in others.items() if name.endswith(".txt") and isinstance(text, str))
    assert labels.boxes_in == 1 + lines


def test_declared_names_may_be_written_with_hyphens(tmp_path):
    labels = read(tmp_path, TILTED + UPRIGHT, **{"classes.txt": "storage tank\nship\nplane\n"})
    assert labels.classes == ("storage tank", "ship", "plane")
    assert labels.photos["images/a.png"].class_ids.tolist() == [0, 2]


def test_a_class_that_is_not_declared_is_refused(tmp_path):
    assert codes(read(tmp_path, TILTED + UPRIGHT, **{"classes.txt": "plane\n"})) == ["unknown-class"]


def test_original_folders_pair_by_sub_folder(tmp_path):
    contents = {}
    for index, part in enumerate(("train", "val")):
        contents[f"{part}/labelTxt-v1.5/P1.txt"] = UPRIGHT * (index + 1)
        contents[f"{part}/images/P1.png"] = None
    labels = read_source(dota, tmp_path, contents)
    assert {key: len(found) for key, found in labels.photos.items()} == {
        "train/images/P1.png": 1,
        "val/images/P1.png": 2,
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0 0.5 0.5 0.2 0.1\n", id="YOLO"),
        pytest.param("0 .1 .2 .3 .2 .3 .4 .1 .4\n", id="oriented YOLO"),
        pytest.param("1,2,3,4,1,4,0,0\n", id="VisDrone"),
        pytest.param("", id="empty, in another folder"),
    ],
)
def test_other_text_is_not_recognised(tmp_path, text):
    assert dota.sniff(place(tmp_path, {"labels/a.txt": text, "images/a.png": None})) is None


def test_only_empty_files_are_recognised_by_their_folder(tmp_path):
    assert read(tmp_path, "").photos["images/a.png"].xyxy_px.shape == (0, 4)


def test_nothing_readable_at_all_is_an_error(tmp_path):
    files = place(tmp_path, {"labelTxt/a.txt": b"\xff", "images/a.png": None})
    with pytest.raises(InputError, match="none of 1 label files can be read"):
        dota.read(files, {}, labels=("labelTxt/a.txt",))


def test_written_files_come_back_exactly(tmp_path):
    tilted = [[50, 10], [60, 20.1234], [50, 30], [40, 20]]
    labels = label_set(
        {
            "north/a.JPG": photo_labels([[0.25, 1, 19999.9996, 7]], class_ids=[1], size_wh=(20000, 9)),
            "north/a.png": photo_labels([], corners=[tilted, tilted[::-1]], class_ids=[2, 0]),
            "a.b.jpg": photo_labels([]),
        },
        classes=("storage tank", "storage-tank", "small car"),
    )
    written, photos, again = write_and_read(dota, labels, tmp_path)
    assert written.losses == again.losses == again.findings == ()
    assert again.classes == labels.classes
    for key, found in labels.photos.items():
        np.testing.assert_allclose(photos[key].xyxy_px, found.xyxy_px, atol=1e-4)
        np.testing.assert_array_equal(photos[key].class_ids, found.class_ids)
    np.testing.assert_allclose(photos["north/a.png"].corners_px, [tilted, tilted[::-1]], atol=1e-4)
    assert photos["north/a.JPG"].corners_px is None
    assert (tmp_path / "labelTxt/north/a.png.txt").read_text().startswith("50 10 60 20.1234 50 30 40 20 small-car 0\n")


def test_what_dota_cannot_hold_is_said(tmp_path):
    labels = label_set({"a.jpg": photo_labels([[9, 9, 3, 3], [1, 2, 3, 4]], ignored=[False, True])})
    written, photos, _ = write_and_read(dota, labels, tmp_path)
    assert written.losses == ("1 ignored region was left out", "1 box had its corners swapped")
    assert photos["a.jpg"].xyxy_px.tolist() == [[3, 3, 9, 9]]


def test_an_accent_that_is_written_in_the_other_way_is_the_same_name(tmp_path):
    apart, as_one = normalize("NFD", "Mühle"), normalize("NFC", "Mühle")
    labels = read(tmp_path, UPRIGHT, **{f"labelTxt/{apart}.txt": TILTED, f"images/{as_one}.png": None})
    assert len(labels.photos[f"images/{as_one}.png"]) == 1
    assert not labels.absent
