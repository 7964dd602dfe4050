"""Ground Truth manifests: one line a photograph, label attributes of any name, S3 references that are only compared."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.files import find_files
from overflight.data.formats import groundtruth
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners, xyxy_of_corners
from overflight.errors import InputError

BOX = {"class_id": 0, "left": 10, "top": 20, "width": 30, "height": 40.5}
KIND = "groundtruth/object-detection"


def line(boxes=(BOX,), *, ref="s3://bucket/survey/a.jpg", name="cars", classes=("car",), size=(100, 80), **metadata):
    width, height = size
    return {
        "source-ref": ref,
        name: {"image_size": [{"width": width, "height": height, "depth": 3}], "annotations": list(boxes)},
        f"{name}-metadata": {
            "objects": [{"confidence": 0} for _ in boxes],
            "class-map": {str(key): value for key, value in enumerate(classes)},
            "type": KIND,
            "human-annotated": "yes",
            "creation-date": "2024-05-01T10:00:00.000000",
            "job-name": "labeling-job/cars",
            **metadata,
        },
    }


def source(folder, *lines, photos=("a.jpg",)):
    for name in photos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    text = "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in lines)
    (folder / "output.manifest").write_text(text)
    return find_files(folder)


def read(files, *labels, sizes=None):
    sizes = {photo.key: (100, 80) for photo in files.photos} if sizes is None else sizes
    return groundtruth.read(files, sizes, labels=labels or ("output.manifest",))


def codes(found):
    return [finding.code for finding in found.findings]


def test_a_line_is_a_photograph(tmp_path):
    files = source(tmp_path, "", line(), line([], ref="s3://bucket/survey/b.jpg"), photos=["a.jpg", "b.jpg"])
    found = read(files)
    assert found.photos["a.jpg"].xyxy_px.tolist() == [[10, 20, 40, 60.5]]
    assert found.photos["a.jpg"].where(0) == "output.manifest:2"
    assert len(found.photos["b.jpg"]) == 0
    assert (found.format, found.classes, found.findings, found.refused, found.losses) == (
        "groundtruth",
        ("car",),
        (),
        (),
        (),
    )
    sniffed = groundtruth.sniff(files)
    assert sniffed.labels == ("output.manifest",)
    assert sniffed.evidence.startswith('1 file of lines with "source-ref"')


REFERENCES = {
    "longest end of the path": ("s3://bucket/x/north/a.jpg", "north/a.jpg"),
    "only one of that name": ("s3://bucket/x/north/c d.jpg", "south/c d.jpg"),
    "path below the manifest": ("north/a.jpg", "north/a.jpg"),
    "another scheme": ("https://host/south/a.jpg", "south/a.jpg"),
    "key without folders": ("s3://bucket/c d.jpg", "south/c d.jpg"),
}


@pytest.mark.parametrize(("ref", "key"), REFERENCES.values(), ids=REFERENCES)
def test_references_are_compared_with_the_photographs_found(tmp_path, ref, key):
    found = read(source(tmp_path, line(ref=ref), photos=["north/a.jpg", "south/a.jpg", "south/c d.jpg"]))
    assert set(found.photos) == {key}
    assert found.absent == frozenset()


@pytest.mark.parametrize("ref", ["s3://bucket/a.jpg", "s3://bucket", "s3://", "s3://b/" + "x/" * 100_000 + "a.jpg"])
def test_a_reference_that_fits_none_or_several_is_said(tmp_path, ref):
    found = read(source(tmp_path, line(ref=ref), photos=["north/a.jpg", "south/a.jpg"]))
    assert codes(found) == ["missing-photo", "missing-labels", "missing-labels"]
    assert found.boxes == 1
    assert len(found.absent) == 1


def test_class_maps_of_lines_are_united_by_name(tmp_path):
    other = line([BOX, BOX | {"class_id": 2}], ref="b.jpg", classes=("boat", "dog", "car"))
    found = read(source(tmp_path, line(), other, photos=["a.jpg", "b.jpg"]))
    names = [found.classes[at] for at in found.photos["b.jpg"].class_ids]
    assert (set(found.classes), names, found.findings) == ({"car", "boat", "dog"}, ["boat", "car"], ())


def test_unused_classes_of_the_map_stay(tmp_path):
    assert read(source(tmp_path, line(classes=("car", "boat", "dog")))).classes == ("car", "boat", "dog")


def test_the_last_label_attribute_counts_and_that_is_said(tmp_path):
    adjusted = line([BOX | {"left": 11}], name="cars-adjusted", **{"adjustment-status": "adjusted"})
    verified = {"check": 1, "check-metadata": {"type": "groundtruth/label-verification", "class-name": "good"}}
    found = read(source(tmp_path, line() | adjusted | verified))
    assert found.photos["a.jpg"].xyxy_px[0, 0] == 11
    assert found.losses == (
        "1 labels of the kind 'groundtruth/label-verification' are not kept",
        "1 lines have several label attributes: 'cars-adjusted' counts, not 'cars'",
    )


def test_confidences_are_a_stated_loss(tmp_path):
    found = read(source(tmp_path, line([BOX, BOX], objects=[{"confidence": 0.62}, {"confidence": 1}])))
    assert found.losses == ("1 confidences of boxes are not kept",)


UNLABELLED = {
    "failed": (line([], **{"failure-reason": "ClientError: a\x1b[0m.jpg"}), "the labelling job failed: 'ClientError"),
    "failed with boxes": (line(**{"failure-reason": "timeout"}), "the labelling job failed"),
    "input manifest": ({"source-ref": "a.jpg"}, f"has no labels of the type {KIND}"),
    "another task": ({"source-ref": "a.jpg", "x": 1, "x-metadata": {"type": "groundtruth/image-classification"}}, KIND),
    "labels are no object": (line() | {"cars": 7}, "has no list of annotations"),
    "annotations are no list": (line() | {"cars": {"annotations": {}}}, "has no list of annotations"),
}


@pytest.mark.parametrize(("entry", "what"), UNLABELLED.values(), ids=UNLABELLED)
def test_a_photograph_that_was_not_labelled_is_not_one_without_objects(tmp_path, entry, what):
    found = read(source(tmp_path, entry, line(ref="b.jpg"), photos=["a.jpg", "b.jpg"]))
    (finding,) = found.findings
    assert (finding.code, finding.photo, finding.where) == ("missing-labels", "a.jpg", "output.manifest:1")
    assert what in finding.what
    assert finding.what.isprintable()
    assert set(found.photos) == {"b.jpg"}
    assert found.boxes_in == (2 if what == "the labelling job failed" else 1)


REFUSED = {
    "no object": (7, "no-box"),
    "unknown class": (BOX | {"class_id": 4}, "unknown-class"),
    "class as text": (BOX | {"class_id": "0"}, "unknown-class"),
    "class false": (BOX | {"class_id": False}, "unknown-class"),
    "class list": (BOX | {"class_id": [0]}, "unknown-class"),
    "no class": ({key: value for key, value in BOX.items() if key != "class_id"}, "no-box"),
    "no width": ({key: value for key, value in BOX.items() if key != "width"}, "no-box"),
    "null": (BOX | {"left": None}, "no-box"),
    "text": (BOX | {"left": "10"}, "not-a-number"),
    "true": (BOX | {"top": True}, "not-a-number"),
    "nan": (BOX | {"height": float("nan")}, "not-finite"),
    "too large": (BOX | {"width": 10**400}, "not-finite"),
    "sum too large": (BOX | {"left": 1.7e308, "width": 1.7e308}, "not-finite"),
}


@pytest.mark.parametrize(("entry", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_box_is_refused_and_its_neighbours_stay(tmp_path, entry, code):
    found = read(source(tmp_path, line([BOX, entry, BOX])))
    (refused,) = found.refused
    assert (refused.finding.code, refused.finding.where, refused.finding.photo) == (code, "output.manifest:1", "a.jpg")
    assert refused.finding.what.startswith("annotation 2: ")
    assert (found.boxes, found.boxes_in) == (2, 3)


def test_lines_that_are_no_photograph_are_said_with_their_number(tmp_path):
    text = {key: value for key, value in line().items() if key != "source-ref"} | {"source": "some words"}
    found = read(
        source(
            tmp_path, line(), "[1]", '{"source-ref":', text, {"x": 1}, '"\ud83d"'.encode("utf-8", "replace").decode()
        )
    )
    assert [(finding.code, finding.where[-1]) for finding in found.findings] == [
        ("damaged", "2"),
        ("damaged", "3"),
        ("missing-photo", "4"),
        ("missing-photo", "5"),
        ("damaged", "6"),
    ]
    assert [refused.finding.code for refused in found.refused] == ["missing-photo"]
    assert found.boxes_in == 2


def test_a_photograph_on_two_lines_has_the_boxes_of_both_and_is_said(tmp_path):
    found = read(source(tmp_path, line(), line()))
    assert codes(found) == ["same-name"]
    assert found.photos["a.jpg"].numbers.tolist() == [1, 2]


@pytest.mark.parametrize("size", [(80, 100), (50, 40)], ids=["swapped", "other"])
def test_a_size_that_differs_is_said(tmp_path, size):
    found = read(source(tmp_path, line(size=size)))
    assert codes(found) == ["size-differs"]
    assert found.photos["a.jpg"].size_wh_px == (100, 80)


def test_a_photograph_without_any_size_has_its_boxes_refused(tmp_path):
    found = read(
        source(tmp_path, line(size=("100", 80)), line([], ref="b.jpg", size=(0, 0)), photos=["a.jpg", "b.jpg"]),
        sizes={},
    )
    assert [refused.finding.code for refused in found.refused] == ["unreadable-photo"]
    assert codes(found) == ["unreadable-photo"]
    assert (dict(found.photos), found.boxes_in) == ({}, 1)


@pytest.mark.parametrize("text", ["", "7", "{", '{"source-ref": "a.jpg"}', "\x00\x01"], ids=str)
def test_a_manifest_without_labels_cannot_be_read(tmp_path, text):
    with pytest.raises(InputError):
        read(source(tmp_path, text))
    with pytest.raises(InputError, match="no manifest given"):
        groundtruth.read(find_files(tmp_path), {}, labels=())


def test_a_file_in_another_encoding_is_damaged_and_the_others_count(tmp_path):
    source(tmp_path, line())
    (tmp_path / "b.manifest").write_bytes(json.dumps(line()).encode("utf-16"))
    found = read(find_files(tmp_path), "output.manifest", "b.manifest")
    assert [(finding.code, finding.where) for finding in found.findings] == [("damaged", "b.manifest")]


def test_other_json_is_not_taken_for_a_manifest(tmp_path):
    assert groundtruth.sniff(source(tmp_path, {"images": [], "annotations": [], "categories": []})) is None
    assert groundtruth.sniff(source(tmp_path, {"source-ref": "a.jpg"})) is None


def label_set():
    xyxy = np.array([[0.1, 0.2, 19_999.9, 11_000.33], [-3.0, 4.0, 4.5, 4.0]])
    corners = upright_corners(xyxy)
    corners[0] += [[5, 0], [0, 5], [-5, 0], [0, -5]]
    ids, numbers, size = np.array([2, 0]), np.array([1, 2]), (20_000, 12_000)
    photos = {
        "a.jpg": PhotoLabels(size, ids, xyxy, numbers, "x.txt", ignored=np.array([False, True])),
        "n/ü b.JPG": PhotoLabels(size, ids, xyxy_of_corners(corners), numbers, "x.txt", corners_px=corners),
        "c.png": PhotoLabels((64, 48), ids[:0], xyxy[:0], numbers[:0], "z.txt"),
    }
    return LabelSet("yolo", ("Zug", "Auto", "tree, dead"), photos)


def test_what_is_written_is_read_back(tmp_path):
    labels = label_set()
    written = groundtruth.write(labels, tmp_path, names={key: key for key in labels.photos})
    assert written.losses == ("1 oriented box became upright", "1 ignored region was left out")
    for place in written.places.values():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    files = find_files(tmp_path)
    sizes = {place: labels.photos[key].size_wh_px for key, place in written.places.items()}
    found = groundtruth.read(files, sizes, labels=groundtruth.sniff(files).labels)
    assert (found.classes, found.findings, found.refused, found.losses) == (labels.classes, (), (), ())
    for key, place in written.places.items():
        given = labels.photos[key] if key != "a.jpg" else labels.photos[key].select(np.array([0]))
        np.testing.assert_allclose(found.photos[place].xyxy_px, given.xyxy_px, atol=1e-5)
        assert found.photos[place].class_ids.tolist() == given.class_ids.tolist()


def test_a_prefix_and_a_date_can_be_given_and_nothing_else_differs(tmp_path):
    labels = label_set()
    names = {key: key for key in labels.photos}
    groundtruth.write(labels, tmp_path / "a", names=names)
    groundtruth.write(labels, tmp_path / "b", names=names)
    groundtruth.write(labels, tmp_path / "c", names=names, prefix="s3://bucket/x/", created="2026-01-02T03:04:05")
    text = [(tmp_path / folder / "output.manifest").read_text() for folder in "abc"]
    assert text[0] == text[1]
    changed = text[0].replace('"images/', '"s3://bucket/x/images/').replace(groundtruth.CREATED, "2026-01-02T03:04:05")
    assert text[2] == changed
    assert all(json.loads(row)["labels-metadata"]["class-map"]["2"] == "tree, dead" for row in text[0].splitlines())


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
@given(mutated(line([BOX, BOX])))
def test_wrong_types_anywhere_are_findings(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("any")
    files = source(folder, line(ref="b.jpg"), json.dumps(value), photos=["a.jpg", "b.jpg"])
    groundtruth.sniff(files)
    found = read(files)
    content = value.get("cars") if isinstance(value, dict) else None
    entries = content.get("annotations") if isinstance(content, dict) else None
    metadata = value.get("cars-metadata") if isinstance(value, dict) else None
    with contextlib.suppress(AttributeError):
        if metadata.get("type", KIND) == KIND and isinstance(entries, list):
            assert found.boxes_in == 1 + len(entries)
    assert "a.jpg" in found.photos or "a.jpg" in {finding.photo for finding in found.findings}
    for text in [*map(str, found.findings), *(str(refused.finding) for refused in found.refused), *found.photos]:
        text.encode()
