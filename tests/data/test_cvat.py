"""CVAT for images: boxes exact, turned boxes with their corners, other shapes accounted for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from label_sources import codes, label_set, photo_labels, place, read_source, write_and_read
from overflight.data.formats import cvat
from overflight.errors import InputError

META = "<meta><task><labels>{}</labels></task></meta>"
BOX = '<box label="car" occluded="0" xtl="1.5" ytl="2" xbr="10" ybr="20" z_order="0"/>'


def annotations(*shapes, classes=("van", "car"), name="a.jpg", size='width="100" height="80"', more=""):
    declared = META.format("".join(f"<label><name>{name}</name></label>" for name in classes)) if classes else ""
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{declared}\n'
        f'<image id="0" name="{name}" {size}>\n{"".join(shapes)}</image>{more}</annotations>'
    )


def box(values, more="", label="car"):
    corners = " ".join(f'{name}="{value}"' for name, value in zip(cvat.CORNERS, values, strict=True))
    return f'<box label="{label}" {corners} {more}/>'


def read(tmp_path, xml, **others):
    sizes = others.pop("sizes", None)
    return read_source(cvat, tmp_path, {"annotations.xml": xml, "images/a.jpg": None} | others, sizes=sizes)


def test_boxes_are_taken_as_they_are_and_the_declared_list_orders_classes(tmp_path):
    labels = read(tmp_path, annotations(BOX, box([9, 9, 3, 3])))
    found = labels.photos["images/a.jpg"]
    assert labels.classes == ("van", "car")
    assert found.class_ids.tolist() == [1, 1]
    assert found.xyxy_px.tolist() == [[1.5, 2, 10, 20], [9, 9, 3, 3]]
    assert found.where(0) == "annotations.xml:4"
    assert labels.findings == labels.losses == ()


def test_without_a_declared_list_classes_are_the_sorted_names(tmp_path):
    labels = read(tmp_path, annotations(BOX, box([1, 2, 3, 4], label="bus"), classes=()))
    assert labels.classes == ("bus", "car")


@pytest.mark.parametrize(
    ("rotation", "corners"),
    [
        pytest.param(90, [[25, 10], [25, 30], [15, 30], [15, 10]], id="a quarter turn clockwise"),
        pytest.param(-270, [[25, 10], [25, 30], [15, 30], [15, 10]], id="three quarters back"),
        pytest.param(180, [[30, 25], [10, 25], [10, 15], [30, 15]], id="upside down"),
        pytest.param(
            30,
            [[13.83975, 10.66987], [31.16025, 20.66987], [26.16025, 29.33013], [8.83975, 19.33013]],
            id="30 degrees",
        ),
    ],
)
def test_rotation_turns_a_box_clockwise_about_its_centre(tmp_path, rotation, corners):
    labels = read(tmp_path, annotations(box([10, 15, 30, 25], f'rotation="{rotation}"'), BOX))
    found = labels.photos["images/a.jpg"]
    np.testing.assert_allclose(found.corners_px[0], corners, atol=1e-4)
    np.testing.assert_allclose(found.xyxy_px[0], [*np.min(corners, axis=0), *np.max(corners, axis=0)], atol=1e-4)
    np.testing.assert_allclose(found.corners_px[1], [[1.5, 2], [10, 2], [10, 20], [1.5, 20]])


@pytest.mark.parametrize("rotation", ["0", "0.0", "360", "-720", ""])
def test_a_box_that_is_not_turned_stays_upright(tmp_path, rotation):
    labels = read(tmp_path, annotations(box([10, 15, 30, 25], f'rotation="{rotation}"')))
    assert labels.photos["images/a.jpg"].corners_px is None


@given(
    place_wh=st.tuples(st.floats(-10, 1000), st.floats(-10, 1000), st.floats(1, 500), st.floats(1, 500)),
    rotation=st.floats(0, 359.99),
    first=st.integers(0, 3),
    backwards=st.booleans(),
)
def test_corners_of_a_turned_box_give_the_box_and_its_rotation_back(place_wh, rotation, first, backwards):
    x, y, width, height = place_wh
    corners = np.roll(cvat.turned([x, y, x + width, y + height], rotation), first, axis=0)
    corners = corners[::-1] if backwards else corners
    again = cvat.turned(*cvat.unturned(corners))
    gaps = np.abs(again[:, None] - corners[None]).max(axis=2).min(axis=1)
    assert gaps.max() < 1e-3


def test_a_quadrangle_that_is_no_rectangle_has_no_rotation():
    assert cvat.unturned(np.array([[0, 0], [10, 0], [12, 5], [0, 5.0]])) is None


def test_polygons_become_boxes_and_tags_and_marks_are_counted(tmp_path):
    polygon = '<polygon label="van" points="1.5,2;10,3;7,20.25"/>'
    marked = box([1, 2, 3, 4], 'occluded="1"').replace("/>", '><attribute name="colour">red</attribute></box>')
    labels = read(tmp_path, annotations(polygon, '<tag label="car"/>', marked))
    assert labels.photos["images/a.jpg"].xyxy_px.tolist() == [[1.5, 2, 10, 20.25], [1, 2, 3, 4]]
    assert labels.photos["images/a.jpg"].corners_px is None
    assert labels.losses == (
        "1 polygon became the box around it",
        "1 tag of a whole photograph was not read",
        "1 object is marked occluded",
        "1 object has attributes, which were not read",
    )


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param('<points label="car" points="1,2"/>', "no-box", id="points"),
        pytest.param('<polyline label="car" points="1,2;3,4"/>', "no-box", id="line"),
        pytest.param('<mask label="car" rle="1,2,3" left="1" top="1" width="2" height="2"/>', "no-box", id="mask"),
        pytest.param('<cuboid label="car"/>', "no-box", id="cuboid"),
        pytest.param('<something label="car"/>', "no-box", id="never heard of"),
        pytest.param('<polygon label="car" points="1,2;3,4"/>', "no-box", id="polygon of two points"),
        pytest.param('<polygon label="car" points="1,2;3,4;5,x"/>', "not-a-number", id="polygon with a word"),
        pytest.param('<polygon label="car"/>', "no-box", id="polygon without points"),
        pytest.param('<box label="car" xtl="1" ytl="2" xbr="3"/>', "no-box", id="corner missing"),
        pytest.param(box([1, "two", 3, 4]), "not-a-number", id="a word"),
        pytest.param(box([1, 2, "1e999", 4]), "not-finite", id="too large"),
        pytest.param(box([1, 2, 3, 4], 'rotation="nan"'), "not-finite", id="rotation NaN"),
        pytest.param(box([1, 2, 3, 4], label="boat"), "unknown-class", id="class not declared"),
        pytest.param(box([1, 2, 3, 4], label=""), "unknown-class", id="no class"),
    ],
)
def test_a_shape_that_is_no_box_is_refused_with_its_line(tmp_path, wrong, code):
    labels = read(tmp_path, annotations(wrong, "\n", BOX))
    (refused,) = labels.refused
    assert (refused.finding.code, refused.finding.where) == (code, "annotations.xml:4")
    assert refused.finding.photo == "images/a.jpg"
    assert (labels.boxes, labels.boxes_in) == (1, 2)


IMAGE_B = f'<image name="b.jpg" width="100" height="80">{BOX}</image>'


@pytest.mark.parametrize(
    ("xml", "others", "expected", "boxes"),
    [
        pytest.param(annotations(BOX, more=IMAGE_B), {}, ["missing-photo"], 2, id="absent"),
        pytest.param(
            annotations(BOX, more=IMAGE_B), {"images/B.JPG": None}, ["missing-labels", "name-differs"], 2, id="case"
        ),
        pytest.param(annotations(BOX), {"images/b.jpg": None}, ["missing-labels"], 1, id="photograph not mentioned"),
        pytest.param(annotations(BOX, size='width="80" height="100"'), {}, ["size-differs"], 1, id="size swapped"),
        pytest.param(annotations(BOX, more=IMAGE_B.replace("b.jpg", "a.jpg")), {}, ["same-name"], 2, id="named twice"),
        pytest.param(annotations(), {}, [], 0, id="without boxes"),
        pytest.param(annotations(BOX), {"b.xml": "<annotations><image "}, ["damaged"], 1, id="a second, damaged file"),
        pytest.param(annotations(BOX, size=""), {"sizes": {}}, ["unreadable-photo"], 0, id="no size known"),
    ],
)
def test_every_photograph_and_label_file_is_accounted_for(tmp_path, xml, others, expected, boxes):
    labels = read(tmp_path, xml, **others)
    assert codes(labels) == expected
    assert labels.boxes == boxes


def test_tracks_of_a_video_are_refused_with_their_number(tmp_path):
    track = '<track id="0" label="car"><box frame="0" xtl="1"/><box frame="1" xtl="1"/></track>'
    labels = read(tmp_path, annotations(BOX, more=track * 2))
    (refused,) = labels.refused
    assert (refused.boxes, refused.finding.code) == (4, "no-box")
    assert "2 tracks" in refused.finding.what
    assert "CVAT for images" in refused.finding.cure


@pytest.mark.parametrize(
    "xml",
    [
        pytest.param("<annotations><image name='a.jpg'><box", id="broken off"),
        pytest.param('<!DOCTYPE a [<!ENTITY b "c">]><annotations><meta/>&b;</annotations>', id="entity"),
        pytest.param("<annotations><image/>" + "<a>" * 100_000, id="100,000 deep"),
        pytest.param("<annotations><image/><a b='" + "x" * 12_000_000, id="one endless value"),
        pytest.param("<annotations><image/><a>" + "x" * 2_000_000, id="one endless text"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, xml):
    files = place(tmp_path, {"annotations.xml": xml, "images/a.jpg": None})
    with pytest.raises(InputError, match=r"annotations\.xml"):
        cvat.read(files, {}, labels=("annotations.xml",))


def test_written_files_come_back_exactly(tmp_path):
    tilted = cvat.turned([10, 15, 30, 25], 33.3)
    upright = [[1.5, 2], [10, 2], [10, 20], [1.5, 20]]
    labels = label_set(
        {
            'north/a "b" & c.JPG': photo_labels([], corners=[tilted, upright], class_ids=[2, 0]),
            "north/empty.png": photo_labels([]),
            "x.jpg": photo_labels([[0.12344, 3, 7, -9]], ignored=[False]),
        },
        classes=("car", "<van>", "bus"),
    )
    written, photos, again = write_and_read(cvat, labels, tmp_path)
    assert written.losses == again.losses == again.findings == ()
    assert again.classes == labels.classes
    for key, found in labels.photos.items():
        np.testing.assert_allclose(photos[key].xyxy_px, found.xyxy_px, atol=1e-3)
        np.testing.assert_array_equal(photos[key].class_ids, found.class_ids)
    np.testing.assert_allclose(photos['north/a "b" & c.JPG'].corners_px, [tilted, upright], atol=1e-3)


def test_what_cvat_cannot_hold_is_said(tmp_path):
    quadrangle = [[0, 0], [10, 0], [12, 5], [0, 5]]
    labels = label_set({"a.jpg": photo_labels([], corners=[quadrangle, quadrangle], ignored=[False, True])})
    written, photos, _ = write_and_read(cvat, labels, tmp_path)
    assert written.losses == ("1 oriented box became upright", "1 ignored region was left out")
    assert photos["a.jpg"].xyxy_px.tolist() == [[0, 0, 12, 5]]
