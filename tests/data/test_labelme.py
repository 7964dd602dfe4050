"""LabelMe: one file a photograph; which shapes are boxes, which photograph a file means."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.files import find_files
from overflight.data.formats import labelme
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners, xyxy_of_corners
from overflight.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared/data/formats"
needs_samples = pytest.mark.skipif(not SHARED.exists(), reason="the samples of formats are not here")
BOX = {"label": "car", "points": [[10, 20], [40, 60.5]], "shape_type": "rectangle", "group_id": None, "flags": {}}


def document(shapes=(BOX,), *, name="a.jpg", size=(100, 80), **more):
    width, height = size
    content = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": None}
    return content | {"imageHeight": height, "imageWidth": width} | more


def source(folder, *, photos=("a.jpg",), classes="", **files):
    for name in photos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    if classes:
        (folder / "classes.txt").write_text(classes)
    return find_files(folder)


def read(files, *, sizes=None):
    sizes = {photo.key: (100, 80) for photo in files.photos} if sizes is None else sizes
    return labelme.read(files, sizes, labels=tuple(key for key in files.others if key.endswith(".json")))


def codes(found):
    return [finding.code for finding in found.findings]


def shape(kind, *points, **more):
    return BOX | {"shape_type": kind, "points": [list(point) for point in points]} | more


BOXES = {
    "rectangle": (BOX, [10, 20, 40, 60.5], ()),
    "from the lower right": (shape("rectangle", (40, 60.5), (10, 20)), [10, 20, 40, 60.5], ()),
    "from the lower left": (shape("rectangle", (10, 60.5), (40, 20)), [10, 20, 40, 60.5], ()),
    "rectangle of four": (shape("rectangle", (1, 2), (5, 2), (5, 9), (1, 9)), [1, 2, 5, 9], ()),
    "polygon": (shape("polygon", (1, 2), (9, 4), (3, 8)), [1, 2, 9, 8], ("1 polygon became the box around it",)),
    "old polygon": (
        {"label": "car", "points": [[1, 2], [9, 4], [3, 8]]},
        [1, 2, 9, 8],
        ("1 polygon became the box around it",),
    ),
    "circle": (shape("circle", (10, 10), (13, 14)), [5, 5, 15, 15], ("1 circle became the box around it",)),
    "mask": (shape("mask", (1, 2), (9, 8), mask="iVBOR"), [1, 2, 9, 8], ("1 mask became the box around it",)),
    "flags and groups": (
        BOX | {"flags": {"hidden": True}, "group_id": 3},
        [10, 20, 40, 60.5],
        ("1 shape has flags, which are not kept", "1 shape has a group, which is not kept"),
    ),
}


@pytest.mark.parametrize(("entry", "xyxy", "losses"), BOXES.values(), ids=BOXES)
def test_shapes_that_are_boxes(tmp_path, entry, xyxy, losses):
    found = read(source(tmp_path, a=document([entry])))
    labels = found.photos["a.jpg"]
    assert labels.xyxy_px.tolist() == [xyxy]
    assert labels.corners_px is None
    assert labels.where(0) == "a.json: object 1"
    assert (found.format, found.classes, found.losses) == ("labelme", ("car",), losses)
    assert (found.findings, found.refused) == ((), ())


@pytest.mark.parametrize("kind", ["oriented_rectangle", "rotation"])
def test_oriented_rectangles_keep_their_corners(tmp_path, kind):
    corners = [[10, 0], [20, 10], [10, 20], [0, 10]]
    found = read(source(tmp_path, a=document([BOX, shape(kind, *corners)])))
    labels = found.photos["a.jpg"]
    assert labels.corners_px[1].tolist() == corners
    assert labels.corners_px[0].tolist() == [[10, 20], [40, 20], [40, 60.5], [10, 60.5]]
    assert labels.xyxy_px[1].tolist() == [0, 0, 20, 20]


REFUSED = {
    "no shape": (7, "no-box"),
    "point": (shape("point", (1, 2)), "no-box"),
    "line": (shape("line", (1, 2), (3, 4)), "no-box"),
    "line strip": (shape("linestrip", (1, 2), (3, 4), (5, 6)), "no-box"),
    "unknown kind": (shape("cube", (1, 2), (3, 4)), "no-box"),
    "kind is a list": (shape([], (1, 2), (3, 4)), "no-box"),
    "kind is null": (shape(None, (1, 2), (3, 4)), "no-box"),
    "rectangle of one point": (shape("rectangle", (1, 2)), "no-box"),
    "polygon of two points": (shape("polygon", (1, 2), (3, 4)), "no-box"),
    "circle of three points": (shape("circle", (1, 2), (3, 4), (5, 6)), "no-box"),
    "oriented of three points": (shape("oriented_rectangle", (1, 2), (3, 4), (5, 6)), "no-box"),
    "no points": ({"label": "car", "shape_type": "rectangle"}, "no-box"),
    "points are text": (BOX | {"points": "1 2 3 4"}, "no-box"),
    "flat points": (BOX | {"points": [1, 2, 3, 4]}, "no-box"),
    "point of three": (shape("rectangle", (1, 2, 3), (4, 5)), "columns"),
    "text": (shape("rectangle", (1, "2"), (4, 5)), "not-a-number"),
    "true": (shape("rectangle", (1, True), (4, 5)), "not-a-number"),
    "nan": (shape("rectangle", (1, float("nan")), (4, 5)), "not-finite"),
    "too large": (shape("rectangle", (1, 10**400), (4, 5)), "not-finite"),
    "circle too large": (shape("circle", (1e308, 0), (-1e308, 0)), "not-finite"),
    "no label": ({key: value for key, value in BOX.items() if key != "label"}, "unknown-class"),
    "empty label": (BOX | {"label": " "}, "unknown-class"),
    "label is a number": (BOX | {"label": 5}, "unknown-class"),
}


@pytest.mark.parametrize(("entry", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_box_is_refused_and_its_neighbours_stay(tmp_path, entry, code):
    found = read(source(tmp_path, a=document([BOX, entry, BOX])))
    (refused,) = found.refused
    assert (refused.finding.code, refused.finding.where, refused.finding.photo) == (code, "a.json: object 2", "a.jpg")
    assert found.photos["a.jpg"].numbers.tolist() == [1, 3]
    assert found.boxes_in == 3


def test_classes_are_the_sorted_labels_or_those_of_the_list(tmp_path):
    shapes = [BOX | {"label": name} for name in ("zebra", "car", " boat ")]
    found = read(source(tmp_path, a=document(shapes)))
    assert found.classes == ("boat", "car", "zebra")
    assert found.photos["a.jpg"].class_ids.tolist() == [2, 1, 0]
    found = read(source(tmp_path, a=document(shapes), classes="zebra\ncar\ndog\n"))
    assert found.classes == ("zebra", "car", "dog")
    assert found.photos["a.jpg"].class_ids.tolist() == [0, 1]
    assert [refused.finding.code for refused in found.refused] == ["unknown-class"]
    assert "classes.txt" in found.refused[0].finding.what


PHOTOS = {
    "same name": ("a.jpg", ["a.jpg"], "a.jpg"),
    "path from another folder": ("../images/x.jpg", ["x.jpg"], "x.jpg"),
    "Windows path": ("..\\images\\x.jpg", ["x.jpg", "a.jpg"], "x.jpg"),
    "another photograph wins over the name": ("x.jpg", ["x.jpg", "a.jpg"], "x.jpg"),
    "no name": (None, ["a.jpg"], "a.jpg"),
    "name is a number": (5, ["a.png"], "a.png"),
}


@pytest.mark.parametrize(("name", "photos", "key"), PHOTOS.values(), ids=PHOTOS)
def test_which_photograph_a_file_means(tmp_path, name, photos, key):
    found = read(source(tmp_path, photos=photos, a=document(name=name)))
    assert set(found.photos) == {key}
    assert set(codes(found)) <= {"missing-labels"}


def test_a_name_that_is_not_there_gives_way_to_the_photograph_beside(tmp_path):
    found = read(source(tmp_path, a=document(name="scan 7.png")))
    (finding,) = found.findings
    assert (finding.severity, finding.code, finding.photo) == ("warning", "name-differs", "a.jpg")
    assert found.boxes == 1


def test_a_photograph_that_is_not_there_is_said(tmp_path):
    found = read(
        source(tmp_path, photos=["a.jpg", "a.png", "B.JPG"], a=document(name="c.jpg"), b=document(name="b.jpg"))
    )
    assert sorted(codes(found)) == ["missing-labels"] * 3 + ["missing-photo", "name-differs"]
    assert found.absent == {"c.jpg", "b.jpg"}
    assert found.boxes == 2


def test_an_empty_file_says_that_a_photograph_shows_nothing(tmp_path):
    found = read(source(tmp_path, photos=["a.jpg", "b.jpg"], a=document([]), b=document(name="b.jpg")))
    assert len(found.photos["a.jpg"]) == 0
    assert found.findings == ()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "breaks off"),
        ("[]", "is not a LabelMe file"),
        ({"images": [], "annotations": []}, "is not a LabelMe file"),
        ({"shapes": {}}, "shapes is {}, not a list"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=["broken off", "list", "COCO", "shapes are no list", "deep"],
)
def test_a_damaged_file_belongs_to_the_photograph_beside(tmp_path, content, what):
    found = read(source(tmp_path, photos=["a.jpg", "b.jpg"], a=content, b=document(name="b.jpg")))
    (finding,) = found.findings
    assert (finding.code, finding.where, finding.photo) == ("damaged", "a.json", "a.jpg")
    assert what in finding.what
    assert set(found.photos) == {"b.jpg"}
    (tmp_path / "b.json").unlink()
    with pytest.raises(InputError):
        read(find_files(tmp_path))
    with pytest.raises(InputError, match="no LabelMe file"):
        labelme.read(find_files(tmp_path), {}, labels=())


def test_embedded_pictures_are_not_looked_at_and_too_large_files_are_refused(tmp_path, monkeypatch):
    files = source(tmp_path, photos=["a.jpg", "b.jpg"], a=document(imageData="!" * 100_000), b=document(name="b.jpg"))
    assert read(files).boxes == 2
    monkeypatch.setattr(labelme, "MAX_BYTES", 50_000)
    found = read(files)
    assert [(finding.code, finding.photo) for finding in found.findings] == [("damaged", "a.jpg")]


def test_sizes_that_differ_and_photographs_that_cannot_be_read(tmp_path):
    files = source(tmp_path, a=document(size=(80, 100)))
    assert codes(read(files)) == ["size-differs"]
    assert read(files, sizes={}).photos["a.jpg"].size_wh_px == (80, 100)
    found = read(source(tmp_path, a=document(size=(None, None))), sizes={})
    assert [refused.finding.code for refused in found.refused] == ["unreadable-photo"]
    assert (found.boxes, found.boxes_in) == (0, 1)


def test_recognition_takes_only_files_with_shapes(tmp_path):
    files = source(tmp_path, a=document(), b={"images": [], "annotations": []}, c={"shapes": 1}, d="7")
    sniffed = labelme.sniff(files)
    assert sniffed.labels == ("a.json",)
    assert sniffed.evidence == '1 JSON file with LabelMe\'s "shapes", first: a.json'
    (tmp_path / "a.json").unlink()
    assert labelme.sniff(find_files(tmp_path)) is None


def test_of_many_files_some_are_looked_at_and_all_are_taken(tmp_path, monkeypatch):
    looked_at = []
    real = labelme.head_and_tail
    monkeypatch.setattr(labelme, "head_and_tail", lambda files, key: looked_at.append(key) or real(files, key))
    files = source(tmp_path, **{f"{number:03}": document(name=f"{number:03}.jpg") for number in range(100)})
    assert len(labelme.sniff(files).labels) == 100
    assert len(looked_at) == 32


@needs_samples
def test_the_real_file():
    files = find_files(SHARED / "sahi_coco")
    found = labelme.read(files, {"terrain1.jpg": (2048, 1365)}, labels=labelme.sniff(files).labels)
    assert (found.classes, found.boxes, found.refused) == (("human",), 7, ())
    assert found.losses == ("7 polygons became the boxes around them",)
    assert codes(found) == ["name-differs", "missing-labels", "missing-labels"]  # imagePath says terrain1.png
    coco = json.loads((SHARED / "sahi_coco/terrain1_coco.json").read_text())["annotations"]
    boxes = np.array([entry["bbox"] for entry in coco])
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(found.photos["terrain1.jpg"].xyxy_px, boxes, atol=1)  # its COCO twin is rounded


def label_set():
    xyxy = np.array([[0.1, 0.2, 19_999.9, 11_000.33], [-3.0, 4.0, 4.5, 4.0]])
    corners = upright_corners(xyxy)
    corners[0] += [[5, 0], [0, 5], [-5, 0], [0, -5]]
    ids, numbers, size = np.array([2, 0]), np.array([1, 2]), (20_000, 12_000)
    photos = {
        "a.jpg": PhotoLabels(size, ids, xyxy, numbers, "x.txt", ignored=np.array([False, True])),
        "n/ü b.JPG": PhotoLabels(size, ids, xyxy_of_corners(corners), numbers, "x.txt", corners_px=corners),
        "n/ü b.png": PhotoLabels((64, 48), ids[:0], xyxy[:0], numbers[:0], "z.txt"),
    }
    return LabelSet("yolo", ("Zug", "Auto", "tree, dead"), photos)


def test_what_is_written_is_read_back(tmp_path):
    labels = label_set()
    for folder in ("one", "two"):
        written = labelme.write(labels, tmp_path / folder, names={key: key for key in labels.photos})
    assert written.losses == ("1 ignored region was left out",)
    texts = [{path.name: path.read_bytes() for path in (tmp_path / part).rglob("*.*")} for part in ("one", "two")]
    assert texts[0] == texts[1]
    assert set(texts[0]) == {"a.json", "ü b.json", "ü b.png.json", "classes.txt"}
    for place in written.places.values():
        (tmp_path / "one" / place).touch()
    files = find_files(tmp_path / "one")
    sizes = {place: labels.photos[key].size_wh_px for key, place in written.places.items()}
    found = labelme.read(files, sizes, labels=labelme.sniff(files).labels)
    assert (found.classes, found.findings, found.refused, found.losses) == (labels.classes, (), (), ())
    for key, place in written.places.items():
        given = labels.photos[key] if key != "a.jpg" else labels.photos[key].select(np.array([0]))
        np.testing.assert_allclose(found.photos[place].xyxy_px, given.xyxy_px, atol=1e-5)
        assert found.photos[place].class_ids.tolist() == given.class_ids.tolist()
    turned = found.photos["images/n/ü b.JPG"].corners_px
    np.testing.assert_allclose(turned, labels.photos["n/ü b.JPG"].corners_px, atol=1e-5)


NAN, INFINITE = float("nan"), float("inf")
WRONG = st.sampled_from(
    [None, True, False, 0, 1, -1, 10**30, 10**400, 1.5, NAN, INFINITE, "", "1", "\ud800", [], [[]], {}, [1]]
)


def mutated(value):
    """``value`` with any of its parts replaced by something of another type, or left out."""
    if isinstance(value, dict):
        parts = st.fixed_dictionaries({}, optional={key: mutated(part) for key, part in value.items()})
        whole = st.fixed_dictionaries({key: mutated(part) for key, part in value.items()})
        return whole | parts | WRONG
    if isinstance(value, list):
        return st.tuples(*(mutated(part) for part in value)).map(list) | st.just(value) | WRONG
    return st.just(value) | st.just(value) | WRONG


@settings(max_examples=100)
@given(mutated(document([BOX, shape("circle", (3, 3), (4, 4))])))
def test_wrong_types_anywhere_are_findings(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("any")
    files = source(folder, photos=["a.jpg", "b.jpg"], a=json.dumps(value), b=document(name="b.jpg"))
    labelme.sniff(files)
    found = read(files)
    shapes = value.get("shapes") if isinstance(value, dict) else None
    assert found.boxes_in == 1 + (len(shapes) if isinstance(shapes, list) else 0)
    assert "a.jpg" in found.photos or "a.jpg" in {finding.photo for finding in found.findings}
    for text in [*map(str, found.findings), *(str(refused.finding) for refused in found.refused), *found.photos]:
        text.encode()
