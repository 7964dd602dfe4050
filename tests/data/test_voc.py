"""Pascal VOC: pixels from 1 with the last included, elements by name, and a stated rule where tools differ."""

import csv

import numpy as np
import pytest

from label_sources import SHARED, codes, label_set, photo_labels, place, read_source, write_and_read
from overflight.data.files import find_files
from overflight.data.formats import voc
from overflight.errors import InputError

DEEPFOREST = SHARED / "formats/deepforest"
BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>"
SIZE = "<size><width>100</width><height>80</height><depth>3</depth></size>"


def annotation(*objects, name="a.jpg", size=SIZE):
    return f"<annotation><filename>{name}</filename>{size}{''.join(objects)}</annotation>"


def item(box=BOX, name="car", more=""):
    return f"<object>{more}<name>{name}</name>{box}</object>"


def corners(xmin, ymin, xmax, ymax):
    return f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>"


def read(tmp_path, xml, **others):
    return read_source(voc, tmp_path, {"Annotations/a.xml": xml, "JPEGImages/a.jpg": None} | others)


@pytest.mark.parametrize(
    ("objects", "boxes", "said"),
    [
        pytest.param([item()], [[0, 1, 10, 20]], "VOC's own: 1-based", id="VOC: first pixel 1, last included"),
        pytest.param([item(), item(corners(0, 5, 9, 9))], [[1, 2, 10, 20], [0, 5, 9, 9]], "0-based", id="a 0 as xmin"),
        pytest.param([item(corners(3, 0, 9, 9))], [[3, 0, 9, 9]], "a.xml:1 begins at 0", id="a 0 as ymin"),
        pytest.param([item(corners(-3, 5, 9, 9))], [[-4, 4, 9, 9]], "1-based", id="below 0 is a box outside, no rule"),
        pytest.param([item(corners(1.5, 2.25, "1e1", 9))], [[0.5, 1.25, 10, 9]], "1-based", id="decimals"),
    ],
)
def test_the_pixel_convention_is_chosen_by_a_rule_and_said(tmp_path, objects, boxes, said):
    labels = read(tmp_path, annotation(*objects))
    np.testing.assert_allclose(labels.photos["JPEGImages/a.jpg"].xyxy_px, boxes)
    assert said in labels.losses[-1]
    assert labels.findings == ()


def test_one_zero_decides_for_all_files_of_a_source(tmp_path):
    second = {"Annotations/b.xml": annotation(item(corners(0, 3, 9, 9)), name="b.jpg"), "JPEGImages/b.jpg": None}
    labels = read(tmp_path, annotation(item()), **second)
    assert labels.photos["JPEGImages/a.jpg"].xyxy_px.tolist() == [[1, 2, 10, 20]]


@pytest.mark.parametrize(
    "box",
    [
        pytest.param("<xmin>1</xmin><xmax>10</xmax><ymin>2</ymin><ymax>20</ymax>", id="x before y"),
        pytest.param("<ymax>20</ymax><xmax>10</xmax><ymin>2</ymin><xmin>1</xmin>", id="backwards"),
        pytest.param(
            "\n <!-- c --><xmin> 1 </xmin>\n<ymin>2</ymin><xmax>10\n</xmax><ymax>20</ymax>", id="spaces, comments"
        ),
    ],
)
def test_corners_are_found_by_name(tmp_path, box):
    labels = read(tmp_path, annotation(item(f"<bndbox>{box}</bndbox>")))
    assert labels.photos["JPEGImages/a.jpg"].xyxy_px.tolist() == [[0, 1, 10, 20]]


def test_parts_are_no_objects_and_flags_are_counted(tmp_path):
    part = f"<part><name>wheel</name>{corners(3, 3, 5, 5)}</part>"
    flags = "<difficult>1</difficult><truncated>1</truncated><occluded>0</occluded>"
    labels = read(tmp_path, annotation(item(more=part + flags), item(more="<difficult>1</difficult>")))
    assert labels.boxes == 2
    assert labels.classes == ("car",)
    assert labels.losses[:3] == (
        "2 objects are marked difficult",
        "1 object is marked truncated",
        "1 part of an object was not read",
    )


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(item(corners("x", 2, 3, 4)), "not-a-number", id="a word"),
        pytest.param(item(corners("1_0", 2, 30, 4)), "not-a-number", id="digits grouped as Python does"),
        pytest.param(item(corners("1e999", 2, 3, 4)), "not-finite", id="too large"),
        pytest.param(item(corners("9" * 5000, 2, 3, 4)), "not-finite", id="5000 digits"),
        pytest.param(item(corners("nan", 2, 3, 4)), "not-finite", id="NaN"),
        pytest.param(item(corners("", 2, 3, 4)), "no-box", id="empty"),
        pytest.param(item("<bndbox><xmin>1</xmin></bndbox>"), "no-box", id="corners missing"),
        pytest.param(item(""), "no-box", id="no bndbox"),
        pytest.param(item("<polygon><x1>1</x1></polygon>"), "no-box", id="polygon only"),
        pytest.param(f"<object>{BOX}</object>", "unknown-class", id="no name"),
    ],
)
def test_an_object_that_is_no_box_is_refused_with_its_line(tmp_path, wrong, code):
    labels = read(tmp_path, annotation("\n", wrong, "\n", item()))
    (refused,) = labels.refused
    assert (refused.finding.code, refused.finding.where) == (code, "Annotations/a.xml:2")
    assert refused.finding.photo == "JPEGImages/a.jpg"
    assert refused.finding.cure
    assert len(refused.raw) <= 200
    assert (labels.boxes, labels.boxes_in) == (1, 2)


@pytest.mark.parametrize(
    ("name", "photo", "finding"),
    [
        pytest.param("a.jpg", "JPEGImages/a.jpg", [], id="as it is"),
        pytest.param("", "JPEGImages/a.jpg", [], id="no name"),
        pytest.param("a", "JPEGImages/a.jpg", [], id="no suffix"),
        pytest.param("a.JPG", "JPEGImages/a.jpg", [], id="suffix in capitals"),
        pytest.param("C:\\photos\\a.jpg", "JPEGImages/a.jpg", [], id="path of another machine"),
        pytest.param("../../etc/passwd", "JPEGImages/a.jpg", ["name-differs"], id="path out of the folder"),
        pytest.param("frame 7.jpg", "JPEGImages/a.jpg", ["name-differs"], id="another name"),
        pytest.param("Lake 2020 b.JPG", "JPEGImages/Lake 2020 b.JPG", ["missing-labels"], id="another photograph"),
    ],
)
def test_the_photograph_is_found_by_file_name_then_by_the_label_files_own(tmp_path, name, photo, finding):
    more = {"JPEGImages/Lake 2020 b.JPG": None} if "Lake" in name else {}
    labels = read(tmp_path, annotation(item(), name=name), **more)
    assert [key for key, found in labels.photos.items() if len(found)] == [photo]
    assert [f.code for f in labels.findings] == finding


def test_sub_folders_are_mirrored(tmp_path):
    contents = {}
    for index, part in enumerate(("north", "south"), start=2):
        contents[f"Annotations/{part}/a.xml"] = annotation(item(corners(index, 2, 9, 9)))
        contents[f"JPEGImages/{part}/a.jpg"] = None
    labels = read_source(voc, tmp_path, contents)
    assert {key: found.xyxy_px[0, 0] for key, found in labels.photos.items()} == {
        "JPEGImages/north/a.jpg": 1,
        "JPEGImages/south/a.jpg": 2,
    }


@pytest.mark.parametrize(
    ("others", "sizes", "code", "boxes"),
    [
        pytest.param({"Annotations/b.xml": annotation(item(), name="b.jpg")}, None, "missing-photo", 2, id="absent"),
        pytest.param({"JPEGImages/b.jpg": None}, None, "missing-labels", 1, id="photograph without labels"),
        pytest.param(
            {"Annotations/b.xml": annotation(item())}, None, "same-name", 2, id="two label files for one photograph"
        ),
        pytest.param({}, {"JPEGImages/a.jpg": (80, 100)}, "size-differs", 1, id="declared size swapped"),
        pytest.param({}, {}, None, 1, id="unreadable, but the size is declared"),
        pytest.param({"Annotations/b.xml": "<annotation><object>"}, None, "damaged", 1, id="broken off"),
        pytest.param({"Annotations/b.xml": "<other/>"}, None, "damaged", 1, id="another document"),
    ],
)
def test_every_photograph_and_label_file_is_accounted_for(tmp_path, others, sizes, code, boxes):
    contents = {"Annotations/a.xml": annotation(item()), "JPEGImages/a.jpg": None} | others
    labels = read_source(voc, tmp_path, contents, sizes=sizes)
    assert codes(labels) == ([code] if code else [])
    assert labels.boxes == boxes
    assert set(labels.absent) == ({"b.jpg"} if code == "missing-photo" else set())


def test_without_any_size_all_objects_of_a_photograph_are_refused(tmp_path):
    labels = read_source(
        voc,
        tmp_path,
        {"Annotations/a.xml": annotation(item(), item(), size=""), "JPEGImages/a.jpg": None},
        sizes={},
    )
    (refused,) = labels.refused
    assert (refused.boxes, refused.finding.code, refused.finding.photo) == (2, "unreadable-photo", "JPEGImages/a.jpg")
    assert labels.photos == {}


@pytest.mark.parametrize(
    "encoding",
    [pytest.param("utf-8-sig", id="byte order mark"), "utf-16", pytest.param("iso-8859-1", id="Latin-1"), "cp1252"],
)
def test_declared_encodings_are_read(tmp_path, encoding):
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    xml = f'<?xml version="1.0" encoding="{declared}"?>\r\n' + annotation(item(name="vélo"))
    assert read(tmp_path, xml.encode(encoding)).classes == ("vélo",)


@pytest.mark.parametrize(
    "xml",
    [
        pytest.param('<!DOCTYPE annotation SYSTEM "http://x/y.dtd"><annotation/>', id="document type"),
        pytest.param('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', id="entity"),
        pytest.param('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>', id="file"),
        pytest.param('<?xml version="1.0" encoding="gb2312"?><annotation/>', id="encoding of several bytes"),
        pytest.param('<?xml version="1.0" encoding="nowhere"?><annotation/>', id="no such encoding"),
        pytest.param("<annotation>" + "<a>" * 100_000, id="100,000 deep"),
        pytest.param(b"<annotation><filename>\xff\xfe</filename></annotation>", id="not UTF-8"),
        pytest.param("", id="empty"),
    ],
)
def test_a_damaged_or_hostile_file_is_a_finding_of_its_photograph(tmp_path, xml):
    good = {"Annotations/b.xml": annotation(item(), name="b.jpg"), "JPEGImages/b.jpg": None}
    labels = read(tmp_path, xml, **good)
    (finding,) = labels.findings
    assert (finding.code, finding.photo) == ("damaged", "JPEGImages/a.jpg")
    assert finding.where.startswith("Annotations/a.xml")
    assert labels.boxes == 1


def test_nothing_readable_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match="none of 1 label files can be read"):
        read(tmp_path, annotation(item())[:-5])


def test_a_declared_list_of_classes_is_binding(tmp_path):
    labels = read(tmp_path, annotation(item(name="boat"), item()), **{"classes.txt": "\ufeffbus\r\ncar\r\n"})
    assert labels.classes == ("bus", "car")
    assert codes(labels) == ["unknown-class"]
    assert labels.photos["JPEGImages/a.jpg"].class_ids.tolist() == [1]


def test_what_gdal_writes_beside_a_geotiff_is_no_label_file(tmp_path):
    labels = read(tmp_path, annotation(item()), **{"JPEGImages/a.jpg.aux.xml": "<PAMDataset/>"})
    assert labels.findings == ()


def test_other_xml_is_not_recognised(tmp_path):
    contents = {"a.xml": "<annotations><image/></annotations>", "b.xml": "<annotation><note/></annotation>"}
    assert voc.sniff(place(tmp_path, contents)) is None


def test_written_files_come_back_exactly(tmp_path):
    labels = label_set(
        {
            "north/a b.JPG": photo_labels([[0, 0, 100, 80], [0.5, 3.001, 7.1234, 9]], class_ids=[0, 2]),
            "a.jpg": photo_labels([[-2, 4, 5, 90]]),
            "a.png": photo_labels([]),
        },
        classes=("car", "<van> & co", "bus"),
    )
    written, photos, again = write_and_read(voc, labels, tmp_path)
    assert written.losses == again.losses == ()
    assert again.findings == ()
    assert again.classes == labels.classes
    for key, found in labels.photos.items():
        np.testing.assert_allclose(photos[key].xyxy_px, found.xyxy_px, atol=1e-4)
        np.testing.assert_array_equal(photos[key].class_ids, found.class_ids)
    assert "<xmin>1</xmin><ymin>1</ymin><xmax>100</xmax>" in (tmp_path / "Annotations/north/a b.xml").read_text()


def test_what_voc_cannot_hold_is_said(tmp_path):
    tilted = [[50, 10], [60, 20], [50, 30], [40, 20]]
    labels = label_set({"a.jpg": photo_labels([], corners=[tilted, tilted], ignored=[False, True])})
    written, photos, _ = write_and_read(voc, labels, tmp_path)
    assert written.losses == ("1 oriented box became upright", "1 ignored region was left out")
    assert photos["a.jpg"].xyxy_px.tolist() == [[40, 10, 60, 30]]


def test_a_name_out_of_the_folder_is_not_written(tmp_path):
    with pytest.raises(InputError, match="no path below a folder"):
        voc.write(label_set({"a.jpg": photo_labels([])}), tmp_path, names={"a.jpg": "../a.jpg"})


@pytest.mark.skipif(not DEEPFOREST.exists(), reason="the real photographs are not here")
def test_the_xml_of_deepforest_is_one_pixel_off_its_own_table_and_says_why(tmp_path):
    for name in ("OSBS_029.xml", "OSBS_029.tif"):
        (tmp_path / name).write_bytes((DEEPFOREST / name).read_bytes())
    files = find_files(tmp_path)
    labels = voc.read(files, {"OSBS_029.tif": (400, 400)}, labels=voc.sniff(files).labels)
    with (DEEPFOREST / "OSBS_029.csv").open(newline="") as handle:
        table = np.array([[float(row[name]) for name in voc.CORNERS] for row in csv.DictReader(handle)])
    np.testing.assert_array_equal(labels.photos["OSBS_029.tif"].xyxy_px, table - [1, 1, 0, 0])
    assert len(table) == 61
    assert labels.losses == (
        "coordinates are taken as VOC's own: 1-based, last pixel included (x1 = xmin - 1, x2 = xmax)",
    )
    assert labels.findings == ()
