"""Every defect known in the real photographs is found, and what only looks like a defect is read right.

One row per defect. Where the real files cannot be used as they are (no labels, or a defect seen in data that is not at
hand) it is planted into a copy. The list for people is in docs/surveys.md.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factories import make_survey_source
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.facts import photo_facts
from overflight.data.mislabels import Predicted, rank_disagreements
from overflight.data.report import check_source
from overflight.data.survey import draft_of
from overflight.errors import InputError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.survey_checks import compare_surveys
from overflight.settings import Settings

SHARED = Path(__file__).parents[2].parent / "shared/data"
CARS, FORMATS, METADATA = SHARED / "aerial-cars", SHARED / "formats", SHARED / "metadata"
VISDRONE = "visdrone2019-det-train-first50image.json"

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")


def lists(number=""):
    return [CARS / f"as_published/{part}{number}.txt" for part in ("train", "test")]


def overlapping_flight(folder):
    """One real flight cut into two parts by photographs: 18 and 20 against 19 and 21."""
    folder.mkdir()
    for part, numbers in (("train", (18, 20, 27)), ("test", (19, 21, 35))):
        (folder / f"{part}.txt").write_text("".join(f"DJI_00{number}.JPG\n" for number in numbers))
    parts = [folder / "train.txt", folder / "test.txt"]
    return check_source(METADATA / "brighton_dji_fc300s", name="flight", split_lists=parts, decode=False)


def with_boxes(folder, *boxes_px, size_wh=(320, 240)):
    """Small photographs, the first with the boxes (x1, y1, x2, y2) besides its own."""
    make_survey_source(folder, flights=3, photos=1, size_wh=size_wh)
    rows = [((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes_px]
    lines = [" ".join(f"{value:.8f}" for value in np.array(row) / [*size_wh, *size_wh]) for row in rows]
    path = folder / "labels/flight1/flight1_0001.txt"
    path.write_text("".join(f"0 {line}\n" for line in lines))
    return check_source(folder, name="planted", decode=False)


def renamed(folder):
    """Labels that name a photograph without the spaces of its file."""
    name = "AWPE Pigeon Lake 2020 DJI_0005.JPG"
    folder.mkdir(parents=True)
    shutil.copyfile(FORMATS / "deepforest" / name, folder / name)
    (folder / "a.csv").write_text(f"image_path,xmin,ymin,xmax,ymax,label\n{name.replace(' ', '')},9,9,40,40,bird\n")
    return check_source(folder, name="renamed", decode=False)


def sample(name, labels, *changes):
    return check_source(
        FORMATS / name, name=name, labels=labels, decode=False, catalogue=load_catalogue(["one-flight=off", *changes])
    )


SOURCES = {
    "cars": lambda _: check_source(CARS, name="cars", split_lists=lists(), workers=2),
    "cars1": lambda _: check_source(CARS, name="cars", split_lists=lists(1), decode=False),
    "cars2": lambda _: check_source(CARS, name="cars", split_lists=lists(2), decode=False),
    "cars3": lambda _: check_source(CARS, name="cars", split_lists=lists(3), decode=False),
    "stills": lambda _: check_source(
        SHARED / "stills-4k/labelled_4k", name="stills", split_lists=lists(), decode=False
    ),
    "agung": lambda _: check_source(METADATA / "agung_dji_fc8482", name="agung"),
    "brighton": overlapping_flight,
    "sahi": lambda _: sample("sahi_coco", "terrain_all_coco.json"),
    "visdrone": lambda _: sample("sahi_coco", VISDRONE),
    "visdrone-16": lambda _: sample("sahi_coco", VISDRONE, "tiny.min_side_px=16"),
    "deepforest": lambda _: sample("deepforest", "coco_sample_file.json"),
    "pigeons": renamed,
    "uavvaste": lambda _: sample("uavvaste_coco", "annotations.json"),
    "by-1-px": lambda folder: with_boxes(folder, (290, 50, 321, 80), (-1, 90, 20, 110)),
    "by-3-px": lambda folder: with_boxes(folder, (290, 50, 323, 80)),
    "slivers": lambda folder: with_boxes(folder, (319, 20, 320, 60), (50, 237, 90, 240), (90, 90, 94, 120)),
}


@pytest.fixture(scope="module")
def report_of(tmp_path_factory):
    """Reports by the name of their source, each made once."""
    made = {}

    def report(source):
        if source not in made:
            made[source] = SOURCES[source](tmp_path_factory.mktemp(source) / "source")
        return made[source]

    return report


# source, check, severity, (findings, boxes, words that each of them says); 0 findings: a check that must be silent
FOUND = [
    ("6 test photographs with a neighbour in training", "cars", "near-duplicate", "error", (6, 0, "correlation 0.9")),
    (
        "the seventh shares its ground",
        "stills",
        "ground-overlap",
        "error",
        (1, 0, "DJI_0022.JPG: is in test and shares 38%"),
    ),
    ("the hover is in both parts", "cars", "flight-torn", "error", (1, 0, "20 photographs in train and 6")),
    ("no file is in both parts", "cars", "leak", "error", (0, 0, "")),
    ("train1 and test1 share a file", "cars1", "split-list", "error", (1, 0, "DJI_0005-0078.jpg: as_published/train1")),
    ("train2 and test2 share a file", "cars2", "split-list", "error", (1, 0, "harlem-0053.jpg: as_published/test2")),
    ("train3 and test3 share a file", "cars3", "split-list", "error", (1, 0, "MOS164.png: as_published/test3")),
    ("lists 1 name a missing folder", "cars1", "split-list", "warning", (2, 0, "the folder aerial/ does not exist")),
    ("lists 2 name a missing folder", "cars2", "split-list", "warning", (2, 0, "the folder aerial/ does not exist")),
    ("lists 3 name a missing folder", "cars3", "split-list", "warning", (2, 0, "the folder aerial/ does not exist")),
    ("class 4 is never used", "cars", "few-boxes", "warning", (1, 0, "'cyclist' is declared and never used")),
    ("class 1 has 5 boxes", "cars", "few-boxes", "warning", (1, 0, "'truck' has 5 boxes")),
    ("class 0 has 90 % of the boxes", "cars", "imbalance", "warning", (1, 0, "'car' has 90% of all boxes (1459")),
    ("13 label files without a photograph", "cars", "orphan-labels", "warning", (13, 0, "no photo belongs to this")),
    ("frames of videos say no place", "cars", "no-position", "warning", (1, 0, "69 without a position")),
    ("a real box 0.3 px outside", "cars", "overhang", "warning", (1, 1, "MunichStreet02-MOS83.txt:24: ")),
    ("MPO under the name JPG is no other format", "cars", "wrong-extension", "warning", (0, 0, "")),
    ("a blurred photograph", "agung", "blurry", "warning", (1, 0, "POOR_SHARPNESS.JPG: is blurred")),
    ("lens caps: dark", "agung", "dark", "warning", (2, 0, "LENS_CAP.JPG: is dark")),
    ("lens caps: no contrast", "agung", "low-contrast", "warning", (2, 0, "LENS_CAP.JPG: has little contrast")),
    ("lens caps: nothing to see", "agung", "low-information", "warning", (2, 0, "LENS_CAP.JPG: shows almost nothing")),
    ("lens caps: black", "agung", "clipped", "warning", (2, 0, "LENS_CAP.JPG: ")),
    ("no height above ground in any", "agung", "no-position", "warning", (1, 0, "4 without a height above ground")),
    ("photographs without labels", "agung", "no-labels", "error", (1, 0, "for 4 photos")),
    ("labels without names of classes", "stills", "class-names", "error", (1, 0, "no names of classes")),
    ("area of the whole image", "sahi", "area-field", "warning", (1, 0, "`area` of 22 of 22 annotations")),
    ("a palette image", "sahi", "mixed-pixels", "warning", (1, 0, "terrain2.png: has a palette of 8 bits")),
    ("a photograph that is absent", "sahi", "missing-photo", "error", (1, 0, "'terrain3.png'")),
    ("35 % of boxes below 16 px", "visdrone-16", "tiny", "warning", (35, 1157, "smaller than 16 px")),
    ("44 boxes with a side below 4 px", "visdrone", "sliver", "warning", (8, 44, "side under 4 px")),
    ("two images without boxes", "visdrone", "empty-labels", "warning", (2, 0, "no object is labelled")),
    ("306 boxes in an image", "visdrone", "tiny", "warning", (1, 73, "73 of 306 objects")),
    ("one object with two classes", "visdrone", "overlap-other", "warning", (1, 2, "worst 0.86")),
    ("photographs that are absent: VisDrone", "visdrone", "missing-photo", "error", (50, 0, "")),
    ("polygon area is right: DeepForest", "deepforest", "area-field", "warning", (0, 0, "")),
    ("polygon area is right: UAVVaste", "uavvaste", "area-field", "warning", (0, 0, "")),
    ("boxes more than 8 times longer than wide", "uavvaste", "odd-box-aspect", "warning", (3, 3, "")),
    ("photographs that are absent: UAVVaste", "uavvaste", "missing-photo", "error", (772, 0, "")),
    ("a name with spaces", "deepforest", "missing-labels", "error", (1, 0, "AWPE Pigeon Lake 2020 DJI_0005.JPG")),
    ("names differ by a space", "pigeons", "name-differs", "error", (1, 0, "'AWPE Pigeon Lake 2020 DJI_0005.JPG'")),
    ("boxes 1 px outside", "by-1-px", "overhang", "warning", (1, 2, "2 boxes over the edge by up to 1 px")),
    ("boxes 1 px outside are no error", "by-1-px", "outside", "error", (0, 0, "")),
    ("a box 3 px outside", "by-3-px", "outside", "error", (1, 1, "by up to 3 px")),
    ("slivers of 1 and 3 px", "slivers", "sliver", "warning", (1, 2, "narrowest 1 px")),
    ("the same ground in two parts", "brighton", "ground-overlap", "error", (2, 0, "in train (limit 20%)")),
]


@pytest.mark.parametrize(
    ("source", "code", "severity", "expected"), [pytest.param(*row, id=name) for name, *row in FOUND]
)
def test_a_real_defect_is_found(report_of, source, code, severity, expected):
    count, boxes, words = expected
    findings = [found for found in report_of(source).findings if found.code == code]
    said = [found for found in findings if found.severity == severity and words in str(found)]
    assert (len(said), sum(len(found.boxes) for found in said)) == (count, boxes), [str(found) for found in findings]


def pillow_format(path):
    with Image.open(path) as image:
        return image.format


def raw_make(path):
    with Image.open(path) as image:
        return image.getexif()[0x010F]


DJI_STILL, LENS_CAP = CARS / "images/DJI_0010.JPG", "DJI_20251001213509_0003_D_LENS_CAP.JPG"
AGUNG, BRIGHTON = METADATA / "agung_dji_fc8482", METADATA / "brighton_dji_fc300s"
ATTRIBUTE, ELEMENT = b'drone-dji:RelativeAltitude="', b"<drone-dji:GimbalPitchDegree>"
NO_HEIGHT = {"altitude_agl_m": None, "altitude_source": None}


@pytest.mark.parametrize(
    ("path", "holds", "expected"),
    [
        pytest.param(DJI_STILL, ATTRIBUTE, {"altitude_agl_m": 98.9}, id="XMP as attributes"),
        pytest.param(AGUNG / LENS_CAP, ELEMENT, {"gimbal_pitch_deg": -80.0}, id="XMP as elements"),
        pytest.param(BRIGHTON / "DJI_0018.JPG", b'"+39.80"', {"altitude_agl_m": 39.8}, id="a number with its sign"),
        pytest.param(
            AGUNG / LENS_CAP, b"+1189.641<", {**NO_HEIGHT, "absolute_altitude_m": 1189.641}, id="no RelativeAltitude"
        ),
        pytest.param(
            METADATA / "thermal_rjpeg/M30T_DJI_0001_R.JPG", b"M30T", {**NO_HEIGHT, "yaw_deg": None}, id="no drone-dji"
        ),
        pytest.param(
            METADATA / "seneca_canon_fixedwing/IMG_0446.jpg",
            b"Canon",
            {**NO_HEIGHT, "absolute_altitude_m": 281.692},
            id="AbsoluteAltitude is not height above ground",
        ),
    ],
)
def test_what_real_metadata_says_is_read_right(path, holds, expected):
    data = path.read_bytes()
    assert holds in data
    found = vars(photo_facts(data, key=path.name, decode=False).metadata)
    assert {name: found[name] for name in expected} == expected


def test_a_number_without_its_sign_is_read_too():
    old, new = b'"+39.80"\n   ', b'"39.156853" '
    data = (BRIGHTON / "DJI_0018.JPG").read_bytes()
    assert (data.count(old), len(old)) == (1, len(new))
    assert photo_facts(data.replace(old, new), key="a", decode=False).metadata.altitude_agl_m == 39.156853


def test_mpo_is_a_jpeg_and_nul_does_not_belong_to_the_make(report_of):
    facts = report_of("cars").read.subject.photos["images/DJI_0010.JPG"]
    assert (pillow_format(DJI_STILL), raw_make(DJI_STILL)) == ("MPO", "DJI".ljust(len(raw_make(DJI_STILL)), "\0"))
    assert (facts.header.format, facts.metadata.camera_make) == ("jpeg", "DJI")


def test_what_leaks_and_what_is_left_over_is_counted(report_of):
    report = report_of("cars")
    assert len(report.read.subject.split["test"]) == 6
    scores = [found.score for found in report.findings if found.code == "near-duplicate"]
    assert (round(min(scores), 2), round(max(scores), 2)) == (0.94, 0.99)
    assert (report.ledger.boxes_in, report.ledger.boxes_stored, report.ledger.boxes_quarantined) == (1929, 1617, 312)


@pytest.mark.parametrize(
    ("source", "classes", "boxes"),
    [
        pytest.param("visdrone", ("human", "vehicle"), 3326, id="from 0: VisDrone"),
        pytest.param("deepforest", ("tree",), 6, id="only 2: DeepForest"),
        pytest.param("uavvaste", ("rubbish",), 3718, id="only 0: UAVVaste"),
    ],
)
def test_category_ids_of_any_start_become_classes_from_0(report_of, source, classes, boxes):
    labels = report_of(source).read.subject.labels
    assert (labels.classes, labels.boxes) == (classes, boxes)
    assert set(report_of(source).read.subject.table.class_ids) == set(range(len(classes)))
    assert max(map(len, labels.photos.values())) == {"visdrone": 306}.get(source, max(map(len, labels.photos.values())))


def test_float_boxes_keep_their_fractions(report_of):
    box = report_of("deepforest").read.subject.labels.photos["5dded5bc0140b80006d2e565_23.tif"].xyxy_px[0]
    assert box == pytest.approx([1569.34, 220.73, 1790.96, 440.23])


def test_boxes_a_pixel_outside_are_clipped_by_fix(report_of):
    for source, count in (("cars", "1 box"), ("by-1-px", "2 boxes")):
        draft = draft_of(report_of(source).read, catalogue=load_catalogue(), fix=True)
        assert draft.cures == (f"{count} over the edge by at most 1 px clipped",)
        assert "overhang" not in {found.code for found in draft.findings}


def voc_source(folder, change=lambda text: text):
    folder.mkdir(parents=True)
    name = "2019_YELL_2_541000_4977000_image_crop"
    shutil.copyfile(FORMATS / f"deepforest/{name}.png", folder / f"{name}.png")
    (folder / f"{name}.xml").write_text(change((FORMATS / f"deepforest/{name}.xml").read_text()))
    return folder


def reordered(text):
    """Corners in the order xmin, xmax, ymin, ymax."""
    changed, count = re.subn(r"(<ymin>\d+</ymin>)(\s*)(<xmax>\d+</xmax>)", r"\3\2\1", text)
    assert count > 50
    return changed


def shifted_yolo(folder, labels):
    """The labels as YOLO text, each box (+1, +1) px from where it is."""
    (key, found), *_ = labels.photos.items()
    (folder / "labels").mkdir(parents=True)
    (folder / "images").mkdir()
    shutil.copyfile(FORMATS / "deepforest" / key, folder / "images" / key)
    boxes = (found.xyxy_px + 1) / [*found.size_wh_px, *found.size_wh_px]
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    rows = "".join(f"0 {x:.8f} {y:.8f} {w:.8f} {h:.8f}\n" for x, y, w, h in np.hstack([centres, sizes]))
    (folder / f"labels/{Path(key).stem}.txt").write_text(rows)
    (folder / "classes.txt").write_text("\n".join(labels.classes))
    return folder


def compared(tmp_path, first, second):
    context = Context(Settings(home=tmp_path / "home"))
    return compare_surveys(context, str(first), str(second), progress=Silent())


def test_the_order_of_corners_in_voc_does_not_matter(tmp_path):
    first, second = voc_source(tmp_path / "a/source"), voc_source(tmp_path / "b/source", reordered)
    assert not compared(tmp_path, first, second).any


def test_boxes_one_pixel_off_their_voc_originals_are_named_as_a_shift(tmp_path):
    voc = voc_source(tmp_path / "voc")
    labels = check_source(voc, name="voc", decode=False).read.subject.labels
    found = compared(tmp_path, voc, shifted_yolo(tmp_path / "yolo", labels))
    assert found.uniform_shift_px == (1.0, 1.0)
    assert len(found.boxes.shifts_px) == labels.boxes > 50


def test_voc_corners_from_0_cannot_be_told_where_no_corner_is_0():
    """DeepForest's XML repeats the corners of its CSV, which count from 0: the XML says nowhere that it does too."""
    read = [sample("deepforest", f"OSBS_029.{suffix}").read for suffix in ("xml", "csv")]
    xml, table = (one.subject.labels.photos["OSBS_029.tif"].xyxy_px for one in read)
    assert len(xml) == len(table) == 61
    np.testing.assert_allclose(table - xml, np.tile([1, 1, 0, 0], (61, 1)))
    assert any("taken as VOC's own: 1-based" in note for note in read[0].notes)


def test_cars_at_the_border_without_labels_are_found_by_a_model_only(report_of):
    """Planted: the labels at the border of a real photograph are taken away, and the model sees what was there."""
    key = "images/MunichStreet02-MOS83.png"
    subject = report_of("cars").read.subject
    full, (width, height) = subject.labels.photos[key], subject.labels.photos[key].size_wh_px
    inside = (full.xyxy_px[:, :2] > 12).all(axis=1) & (full.xyxy_px[:, 2:] < [width - 12, height - 12]).all(axis=1)
    assert 3 <= (~inside).sum() < len(full) / 2
    seen = Predicted(full.class_ids, full.xyxy_px, np.full(len(full), 0.9))
    ranked = rank_disagreements({key: full.select(inside)}, {key: seen}, classes=subject.labels.classes)
    assert [found.kind for found in ranked] == ["no-label"] * int((~inside).sum())
    assert not [found for found in report_of("cars").findings if found.photo == key and found.code != "overhang"]


def test_labels_without_any_photograph_are_refused_as_a_whole(tmp_path):
    with pytest.raises(InputError, match="folder is empty"):
        check_source(tmp_path, name="nothing", decode=False)
