"""COCO: every annotation becomes a box or is refused with its reason; real files with their known defects."""

import contextlib
import io
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from overflight.data.checks.catalogue import load_catalogue
from overflight.data.files import find_files
from overflight.data.formats import coco
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners, xyxy_of_corners
from overflight.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared/data/formats"
needs_samples = pytest.mark.skipif(not SHARED.exists(), reason="the samples of formats are not here")
IMAGE = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40.5], "area": 1215, "iscrowd": 0}
CAR = {"id": 1, "name": "car"}


def source(folder, document=None, *, photos=("a.jpg",), **others):
    """A folder with photographs (empty files: nobody opens them) and ``labels.json``."""
    for name in photos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    contents = others if document is None else {"labels": document, **others}
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return find_files(folder)


def document(annotations=(BOX,), *, images=(IMAGE,), categories=(CAR,), **more):
    return {"images": list(images), "annotations": list(annotations), "categories": list(categories), **more}


def read(files, *labels, sizes=None, **more):
    sizes = {photo.key: (100, 80) for photo in files.photos} if sizes is None else sizes
    return coco.read(files, sizes, labels=labels or ("labels.json",), **more)


def codes(found):
    return Counter(finding.code for finding in found.findings)


def test_a_box_is_read_half_open_from_its_corner(tmp_path):
    found = read(source(tmp_path, document()))
    labels = found.photos["a.jpg"]
    assert labels.xyxy_px.tolist() == [[10, 20, 40, 60.5]]
    assert (labels.size_wh_px, labels.file, labels.where(0)) == ((100, 80), "labels.json", "labels.json: annotation 1")
    assert (found.format, found.classes, found.findings, found.refused, found.losses) == ("coco", ("car",), (), (), ())
    assert labels.ignored is None


def test_boxes_that_leave_the_photograph_or_have_no_area_are_kept(tmp_path):
    boxes = [[-5, -5, 500, 500], [1, 1, 0, 0], [9, 9, -4, -4], [1, 1, 0, 0]]
    found = read(source(tmp_path, document([BOX | {"bbox": box, "id": at} for at, box in enumerate(boxes)])))
    assert found.photos["a.jpg"].xyxy_px.tolist() == [[-5, -5, 495, 495], [1, 1, 1, 1], [9, 9, 5, 5], [1, 1, 1, 1]]
    assert found.photos["a.jpg"].numbers.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("ids", [(0, 1, 2), (1, 2, 3), (2, 5, 90), ("a", "b", "c")], ids=str)
def test_category_ids_may_start_anywhere_and_have_holes(tmp_path, ids):
    names = ("zebra", "car", "boat")
    categories = [{"id": key, "name": name} for key, name in zip(ids, names, strict=True)]
    annotations = [BOX | {"category_id": key} for key in reversed(ids)]
    found = read(source(tmp_path, document(annotations, categories=reversed(categories))))
    assert found.classes == names
    assert found.photos["a.jpg"].class_ids.tolist() == [2, 1, 0]


REFUSED = {
    "no annotation at all": (7, "no-box"),
    "null": (None, "no-box"),
    "a list": ([], "no-box"),
    "unknown category": (BOX | {"category_id": 9}, "unknown-class"),
    "category as text": (BOX | {"category_id": "1"}, "unknown-class"),
    "category true": (BOX | {"category_id": True}, "unknown-class"),
    "category list": (BOX | {"category_id": [1]}, "unknown-class"),
    "no category": ({key: value for key, value in BOX.items() if key != "category_id"}, "unknown-class"),
    "unknown image": (BOX | {"image_id": 9}, "missing-photo"),
    "image as text": (BOX | {"image_id": "1"}, "missing-photo"),
    "image object": (BOX | {"image_id": {"id": 1}}, "missing-photo"),
    "image true": (BOX | {"image_id": True}, "missing-photo"),
    "no image": ({key: value for key, value in BOX.items() if key != "image_id"}, "missing-photo"),
    "no bbox": ({key: value for key, value in BOX.items() if key != "bbox"}, "no-box"),
    "empty bbox": (BOX | {"bbox": []}, "no-box"),
    "bbox null": (BOX | {"bbox": None}, "no-box"),
    "bbox text": (BOX | {"bbox": "1 2 3 4"}, "no-box"),
    "bbox object": (BOX | {"bbox": {"x": 1}}, "no-box"),
    "bbox of three": (BOX | {"bbox": [1, 2, 3]}, "columns"),
    "rotated bbox of five": (BOX | {"bbox": [1, 2, 3, 4, 45]}, "columns"),
    "text in bbox": (BOX | {"bbox": [1, 2, "3", 4]}, "not-a-number"),
    "true in bbox": (BOX | {"bbox": [1, 2, True, 4]}, "not-a-number"),
    "null in bbox": (BOX | {"bbox": [1, 2, None, 4]}, "not-a-number"),
    "nan in bbox": (BOX | {"bbox": [1, 2, float("nan"), 4]}, "not-finite"),
    "infinity in bbox": (BOX | {"bbox": [1, 2, float("-inf"), 4]}, "not-finite"),
    "number too large": (BOX | {"bbox": [1, 2, 10**400, 4]}, "not-finite"),
    "sum too large": (BOX | {"bbox": [1.7e308, 2, 1.7e308, 4]}, "not-finite"),
    "crowd as text": (BOX | {"iscrowd": "1"}, "not-a-number"),
    "crowd two": (BOX | {"iscrowd": 2}, "not-a-number"),
    "mask without bbox": (BOX | {"bbox": [], "segmentation": {"counts": "abc", "size": [9, 9]}}, "no-box"),
    "outline of two points": (BOX | {"bbox": [], "segmentation": [[1, 2, 3, 4]]}, "no-box"),
    "odd outline": (BOX | {"bbox": [], "segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "no-box"),
    "text in outline": (BOX | {"bbox": [], "segmentation": [[1, 2, 3, 4, 5, "6"]]}, "not-a-number"),
}


@pytest.mark.parametrize(("entry", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_box_is_refused_and_its_neighbours_stay(tmp_path, entry, code):
    first, last = BOX | {"id": 11}, BOX | {"id": 12, "bbox": [1, 1, 2, 2]}
    found = read(source(tmp_path, document([first, entry, last])))
    (refused,) = found.refused
    assert (refused.finding.severity, refused.finding.code, refused.boxes) == ("error", code, 1)
    assert refused.finding.where.startswith("labels.json: annotation ")
    assert refused.finding.photo == ("" if code == "missing-photo" or not isinstance(entry, dict) else "a.jpg")
    assert found.photos["a.jpg"].xyxy_px.tolist() == [[10, 20, 40, 60.5], [1, 1, 3, 3]]
    assert (found.boxes, found.boxes_in) == (2, 3)
    assert len(refused.raw) <= 200


def test_one_odd_annotation_leaves_the_order_of_the_others(tmp_path):
    outline = {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[5, 6, 15, 6, 15, 16], [1, 9, 2, 9, 2, 8]]}
    found = read(source(tmp_path, document([BOX, outline, BOX | {"id": 3, "iscrowd": 1}])))
    labels = found.photos["a.jpg"]
    assert labels.xyxy_px.tolist() == [[10, 20, 40, 60.5], [1, 6, 15, 16], [10, 20, 40, 60.5]]
    assert labels.numbers.tolist() == [1, 2, 3]
    assert labels.ignored.tolist() == [False, False, True]
    assert found.losses == ("labels.json: 1 outlines without bbox were taken for the box around them",)


@pytest.mark.parametrize("flag", [{"iscrowd": 1}, {"iscrowd": True}, {"iscrowd": 1.0}, {"ignore": 1}], ids=str)
def test_crowds_are_ignored_regions(tmp_path, flag):
    found = read(source(tmp_path, document([BOX, BOX | {"iscrowd": 0} | flag])))
    assert found.photos["a.jpg"].ignored.tolist() == [False, True]
    assert found.refused == ()


def test_outlines_and_keypoints_are_a_stated_loss(tmp_path):
    entry = BOX | {"segmentation": [[1, 2, 3, 4, 5, 6]], "keypoints": [1, 2, 2]}
    found = read(source(tmp_path, document([entry, BOX])))
    assert found.losses == (
        "labels.json: 1 outlines (segmentation) are not kept, only their boxes",
        "labels.json: keypoints of 1 annotations are not kept",
    )


NAMES = {
    "sub-folder": ("images/north/a b.jpg", "images/north/a b.jpg"),
    "without the images folder": ("images/north/a b.jpg", "north/a b.jpg"),
    "Windows slashes": ("images/north/a b.jpg", "north\\a b.jpg"),
    "bare name": ("images/north/a b.jpg", "a b.jpg"),
    "upwards": ("images/north/a b.jpg", "../images/north/a b.jpg"),
    "absolute": ("images/north/a b.jpg", "/home/me/images/north/a b.jpg"),
    "another machine": ("images/north/a b.jpg", "C:\\data\\a b.jpg"),
}


@pytest.mark.parametrize(("key", "name"), NAMES.values(), ids=NAMES)
def test_file_names_lead_to_photographs(tmp_path, key, name):
    found = read(source(tmp_path, document(images=[IMAGE | {"file_name": name}]), photos=[key]))
    assert (set(found.photos), found.absent, found.findings) == ({key}, frozenset(), ())


def test_a_photograph_that_is_not_there_keeps_its_labels_and_is_said(tmp_path):
    images = [IMAGE | {"id": at, "file_name": name} for at, name in enumerate(("../../etc/passwd", "A.JPG", "x" * 999))]
    found = read(source(tmp_path, document([BOX | {"image_id": 0}], images=images)))
    assert codes(found) == {"missing-photo": 2, "name-differs": 1, "missing-labels": 1}
    assert found.absent == set(found.photos) == {"../../etc/passwd", "A.JPG", "x" * 197 + "..."}
    assert len(found.photos["../../etc/passwd"]) == 1
    hint = next(finding for finding in found.findings if finding.code == "name-differs")
    assert "'a.jpg'" in hint.cure
    assert all(finding.photo == "" for finding in found.findings if finding.code != "missing-labels")


def test_a_photograph_that_is_absent_without_a_size_has_its_boxes_refused(tmp_path):
    images = [{"id": 1, "file_name": "b.jpg"}, IMAGE | {"id": 2}]
    found = read(source(tmp_path, document([BOX, BOX | {"image_id": 2}], images=images)))
    assert [refused.finding.code for refused in found.refused] == ["missing-photo"]
    assert set(found.photos) == {"a.jpg"}
    assert found.boxes_in == 2


@pytest.mark.parametrize("image", [IMAGE, {"id": 1, "file_name": "a.jpg"}], ids=["size given", "no size given"])
def test_a_photograph_that_cannot_be_read(tmp_path, image):
    found = read(source(tmp_path, document(images=[image])), sizes={})
    if "width" in image:
        assert found.photos["a.jpg"].size_wh_px == (100, 80)
    else:
        assert [refused.finding.code for refused in found.refused] == ["unreadable-photo"]
        assert codes(found) == {"unreadable-photo": 1}


@pytest.mark.parametrize(
    ("size", "what"), [((80, 100), "swapped"), ((200, 160), "labelled as 100x80 px")], ids=["swapped", "other"]
)
def test_a_size_that_differs_is_said(tmp_path, size, what):
    found = read(source(tmp_path, document()), sizes={"a.jpg": size})
    (finding,) = found.findings
    assert (finding.code, finding.photo) == ("size-differs", "a.jpg")
    assert what in finding.what
    assert found.photos["a.jpg"].size_wh_px == size


def test_two_images_with_one_file_and_one_id_for_two_images(tmp_path):
    several = [IMAGE | {"id": 3, "file_name": name} for name in ("b.jpg", "c.jpg")]
    images = [IMAGE, IMAGE | {"id": 2}, *several]
    annotations = [BOX | {"id": at, "image_id": at} for at in (1, 2, 3)]
    found = read(source(tmp_path, document(annotations, images=images), photos=["a.jpg", "b.jpg", "c.jpg"]))
    assert codes(found) == {"same-name": 1, "missing-labels": 2}
    assert {finding.photo for finding in found.findings} == {"a.jpg", "b.jpg", "c.jpg"}
    assert len(found.photos["a.jpg"]) == 2
    assert [refused.finding.code for refused in found.refused] == ["missing-photo"]
    assert found.boxes_in == 3


def test_images_without_boxes_are_known_and_others_are_missed(tmp_path):
    images = [IMAGE, IMAGE | {"id": 2, "file_name": "b.jpg"}, {"id": 3}, 7, {"file_name": "d.jpg"}]
    found = read(source(tmp_path, document(images=images), photos=["a.jpg", "b.jpg", "c.jpg"]))
    assert len(found.photos["b.jpg"]) == 0
    assert [f.photo for f in found.findings if f.code == "missing-labels"] == ["c.jpg"]
    assert codes(found)["missing-photo"] == 3


CATEGORIES = {
    "one id twice": ([CAR, {"id": 1, "name": "boat"}], ("car",)),
    "one name twice": ([CAR, {"id": 2, "name": "car"}], ("car",)),
    "no name": ([CAR, {"id": 2}], ("car",)),
    "name is a number": ([CAR, {"id": 2, "name": 5}], ("car",)),
    "id is true": ([CAR, {"id": True, "name": "boat"}], ("car",)),
    "no object": ([CAR, "boat"], ("car",)),
}


@pytest.mark.parametrize(("categories", "classes"), CATEGORIES.values(), ids=CATEGORIES)
def test_odd_categories_are_found(tmp_path, categories, classes):
    found = read(source(tmp_path, document(categories=categories)))
    assert codes(found) == {"class-names": 1}
    assert found.classes == classes
    assert found.boxes == 1


NAMES_OF_CLASSES = {
    "spaces around it": (" tree, dead ", "tree, dead"),
    "other scripts": ("деревья 🚴\u200d♀\xa0x", "деревья 🚴\u200d♀\xa0x"),
    "line break": ("a\nb", "a\\nb"),
    "half a surrogate": ("a\ud800", "a\\ud800"),
    "very long": ("x" * 10_000, "x" * 197 + "..."),
}


@pytest.mark.parametrize(("name", "expected"), NAMES_OF_CLASSES.values(), ids=NAMES_OF_CLASSES)
def test_names_of_classes_fit_on_a_line(tmp_path, name, expected):
    assert read(source(tmp_path, document(categories=[{"id": 1, "name": name}]))).classes == (expected,)


def test_annotations_without_any_category_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no list of categories"):
        read(source(tmp_path, {"images": [IMAGE], "annotations": [BOX]}))
    with pytest.raises(InputError, match="no COCO file"):
        coco.read(find_files(tmp_path), {}, labels=())


def test_files_for_training_and_validation_are_read_together(tmp_path):
    val = document(images=[IMAGE | {"file_name": "b.jpg"}], categories=[CAR, {"id": 4, "name": "boat"}])
    files = source(tmp_path, photos=["a.jpg", "b.jpg"], train=document(), val=val)
    found = read(files, "train.json", "val.json")
    assert found.findings == ()
    assert found.classes == ("car", "boat")
    assert {key: labels.file for key, labels in found.photos.items()} == {"a.jpg": "train.json", "b.jpg": "val.json"}


def test_files_whose_categories_contradict_each_other(tmp_path):
    categories = [{"id": 1, "name": "boat"}, {"id": 2, "name": "car"}]
    val = document([BOX | {"category_id": 2}], images=[IMAGE | {"file_name": "b.jpg"}], categories=categories)
    files = source(tmp_path, photos=["a.jpg", "b.jpg"], train=document(), val=val)
    found = read(files, "train.json", "val.json")
    assert codes(found) == {"class-names": 1}
    assert found.classes == ("car", "boat")
    assert found.photos["b.jpg"].class_ids.tolist() == [0]


def test_a_photograph_in_two_files_has_the_boxes_of_both(tmp_path):
    files = source(tmp_path, train=document(), val=document([BOX | {"iscrowd": 1}]))
    found = read(files, "train.json", "val.json", "train.json")
    assert codes(found) == {"same-name": 1}
    assert found.photos["a.jpg"].ignored.tolist() == [False, True]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"images": [', "breaks off"),
        ([BOX | {"score": 0.5}] * 3, "predictions, not labels"),
        ([1], "is a list"),
        ({"train": ["a.jpg"]}, "neither images nor annotations"),
        ("7", "neither images nor annotations"),
        ("null", "neither images nor annotations"),
    ],
    ids=["broken off", "results", "list", "another file", "number", "null"],
)
def test_a_file_that_is_no_coco_is_damaged_and_the_others_count(tmp_path, content, what):
    found = read(source(tmp_path, document(), other=content), "labels.json", "other.json")
    (finding,) = found.findings
    assert (finding.code, finding.where) == ("damaged", "other.json")
    assert what in finding.what
    assert found.boxes_in == 1 + (len(content) if isinstance(content, list) else 0)
    with pytest.raises(InputError):
        read(find_files(tmp_path), "other.json")


def test_images_of_a_file_without_annotations_are_not_photographs_without_objects(tmp_path):
    files = source(tmp_path, document(), photos=["a.jpg", "b.jpg"], test={"images": [IMAGE | {"file_name": "b.jpg"}]})
    found = read(files, "labels.json", "test.json")
    assert codes(found) == {"damaged": 1, "missing-labels": 1}
    assert set(found.photos) == {"a.jpg"}


def test_lists_of_another_type_are_damage(tmp_path):
    found = read(source(tmp_path, {"images": {}, "annotations": [BOX], "categories": [CAR]}))
    assert codes(found) == {"damaged": 1, "missing-labels": 1}
    assert found.boxes_in == len(found.refused) == 1


def test_keys_written_twice_are_found(tmp_path):
    text = json.dumps(document()).replace('"bbox": [', '"bbox": [1, 1, 1, 1], "bbox": [')
    assert codes(read(source(tmp_path, text))) == {"damaged": 1}


def test_an_area_larger_than_the_box_is_said_once_a_file(tmp_path):
    annotations = [BOX | {"area": area} for area in (8000, 1215, 1216, 300, 0, -5, None, "8000", 10**400, 1400, 1e999)]
    found = read(source(tmp_path, document(annotations)))
    (finding,) = [finding for finding in found.findings if finding.code == "area-field"]
    assert finding.severity == "warning"
    assert "2 of 11 annotations" in finding.what
    assert found.boxes == 11
    assert codes(read(find_files(tmp_path), max_area_ratio=float("inf")))["area-field"] == 0


def test_the_limit_for_areas_is_that_of_the_catalogue():
    assert load_catalogue()["area-field"].limits == {"max_ratio": coco.MAX_AREA_RATIO}


def test_annotation_ids_used_twice_are_a_warning_and_odd_ones_become_ordinals(tmp_path):
    found = read(source(tmp_path, document([BOX, BOX])))
    assert [(finding.code, finding.severity) for finding in found.findings] == [("repeated-id", "warning")]
    for entry in ({"id": "x"}, {"id": None}, {"id": 10**30}):
        found = read(source(tmp_path, document([BOX | {"id": 70}, BOX | entry])))
        assert found.photos["a.jpg"].numbers.tolist() == [1, 2]
        assert found.findings == ()


# --- recognition


def test_recognition_looks_at_head_and_tail(tmp_path):
    images = [IMAGE | {"id": at, "file_name": f"{at:06}.jpg"} for at in range(4000)]
    files = source(tmp_path, document(images=images), photos=[])
    sniffed = coco.sniff(files)
    assert (sniffed.format, sniffed.labels) == ("coco", ("labels.json",))
    assert 'first: labels.json ("images", "annotations", "categories"; at least ' in sniffed.evidence


NOT_COCO = {
    "split list": {"train": ["a.jpg"], "val": []},
    "LabelMe": {"shapes": [], "imagePath": "a.jpg", "images": []},
    "results": [BOX | {"score": 0.5}],
    "Ground Truth": {"source-ref": "s3://b/a.jpg", "x": {"annotations": []}, "categories": []},
    "words as values": {"a": "images", "b": "annotations", "c": ["categories"]},
    "number": 7,
}


@pytest.mark.parametrize("content", NOT_COCO.values(), ids=NOT_COCO)
def test_other_json_is_not_taken_for_coco(tmp_path, content):
    assert coco.sniff(source(tmp_path, content)) is None


def test_one_coco_file_is_found_among_many_others(tmp_path):
    files = source(tmp_path, photos=["images/a.jpg"], **{f"{at:03}": {"shapes": []} for at in range(50)})
    (tmp_path / "sets/annotations").mkdir(parents=True)
    (tmp_path / "sets/annotations/instances_train.json").write_text(json.dumps(document()))
    assert coco.sniff(files) is None
    assert coco.sniff(find_files(tmp_path)).labels == ("sets/annotations/instances_train.json",)


def test_a_coco_file_for_each_photograph_is_read_to_the_last(tmp_path):
    files = source(tmp_path, **{f"{at:03}": document() for at in range(40)})
    assert len(coco.sniff(files).labels) == 40


def test_results_beside_labels_are_named(tmp_path):
    sniffed = coco.sniff(source(tmp_path, document(), results=[BOX | {"score": 0.5}]))
    assert sniffed.labels == ("labels.json",)
    assert sniffed.evidence.endswith("left out as predictions: results.json")


# --- real files


VISDRONE = "sahi_coco/visdrone2019-det-train-first50image.json"
SAMPLES = {
    "sahi_coco/terrain1_coco.json": (("human",), 1, 7, {"area-field": 1, "missing-labels": 2}),
    "sahi_coco/terrain2_coco.json": (("car",), 1, 5, {"area-field": 1, "missing-labels": 2}),
    "sahi_coco/combined_coco.json": (("human", "car", "big_vehicle"), 2, 12, {"area-field": 1, "missing-labels": 1}),
    "sahi_coco/terrain_all_coco.json": (("human", "car"), 3, 22, {"area-field": 1, "missing-photo": 1}),
    VISDRONE: (("human", "vehicle"), 50, 3326, {"missing-photo": 50, "missing-labels": 3, "area-field": 0}),
    "deepforest/coco_sample_file.json": (("tree",), 2, 6, {"missing-photo": 2, "area-field": 0}),
    "uavvaste_coco/annotations.json": (("rubbish",), 772, 3718, {"missing-photo": 772, "area-field": 0}),
}


@needs_samples
@pytest.mark.parametrize("path", SAMPLES)
def test_real_files(path):
    classes, photos, boxes, expected = SAMPLES[path]
    folder, file = path.split("/")
    sizes = {"terrain1.jpg": (2048, 1365), "terrain2.png": (1024, 682)}
    found = coco.read(find_files(SHARED / folder), sizes, labels=(file,))
    assert (found.classes, len(found.photos), found.boxes, found.refused) == (classes, photos, boxes, ())
    assert {code: codes(found)[code] for code in expected} == expected
    assert "size-differs" not in codes(found)


@needs_samples
def test_the_sample_of_visdrone_holds_what_its_readme_says():
    file = "visdrone2019-det-train-first50image.json"
    found = coco.read(find_files(SHARED / "sahi_coco"), {}, labels=(file,))
    table = found.table()
    sides = np.sqrt(np.prod(table.wh_px, axis=1))
    assert sum(1 for labels in found.photos.values() if not len(labels)) == 2
    assert len(found.absent) == 50
    assert max(len(labels) for labels in found.photos.values()) == 306
    assert int((table.wh_px.min(axis=1) < 4).sum()) == 44
    assert round(float((sides < 16).mean()), 2) == 0.35
    assert np.bincount(table.class_ids).tolist()[0] > 0  # category 0 is a class like the others


@needs_samples
def test_samples_are_recognised_and_their_other_json_is_not():
    labels = {folder: coco.sniff(find_files(SHARED / folder)).labels for folder in ("sahi_coco", "uavvaste_coco")}
    assert labels["uavvaste_coco"] == ("annotations.json",)
    assert len(labels["sahi_coco"]) == 5
    assert "terrain1.json" not in labels["sahi_coco"]
    everything = coco.read(find_files(SHARED / "sahi_coco"), {}, labels=labels["sahi_coco"])
    assert codes(everything)["class-names"] == 2  # car is 1 in one file and 2 in another; human is 0, and 1
    assert everything.classes == ("human", "car", "big_vehicle", "vehicle")
    assert everything.boxes == 12 + 7 + 5 + 22 + 3326


# --- writing


def label_set(*, turned=False):
    xyxy = np.array([[0.1, 0.2, 19_999.9, 11_000.33], [-3.0, 4.0, 4.5, 4.0]])
    corners = upright_corners(xyxy)
    if turned:
        corners[0] += [[5, 0], [0, 5], [-5, 0], [0, -5]]
        xyxy = xyxy_of_corners(corners)
    ids, numbers = np.array([2, 0]), np.array([1, 2])
    first = PhotoLabels((20_000, 12_000), ids, xyxy, numbers, "x.txt", corners_px=corners if turned else None)
    crowd = PhotoLabels((20_000, 12_000), ids, xyxy, numbers, "y.txt", ignored=np.array([False, True]))
    empty = PhotoLabels((64, 48), ids[:0], xyxy[:0], numbers[:0], "z.txt")
    return LabelSet("yolo", ("Zug", "Auto", "tree, dead"), {"a.jpg": first, "n/ü b.JPG": crowd, "c.png": empty})


def placed(written, folder):
    for place in written.places.values():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    return find_files(folder)


def test_what_is_written_is_read_back(tmp_path):
    labels = label_set()
    written = coco.write(labels, tmp_path, names={key: key for key in labels.photos})
    assert written.losses == ()
    assert list(written.places.values()) == ["images/a.jpg", "images/n/ü b.JPG", "images/c.png"]
    files = placed(written, tmp_path)
    sniffed = coco.sniff(files)
    sizes = {place: labels.photos[key].size_wh_px for key, place in written.places.items()}
    found = coco.read(files, sizes, labels=sniffed.labels)
    assert (found.classes, found.findings, found.refused, found.losses) == (labels.classes, (), (), ())
    for key, place in written.places.items():
        np.testing.assert_allclose(found.photos[place].xyxy_px, labels.photos[key].xyxy_px, atol=1e-5)
        assert found.photos[place].class_ids.tolist() == labels.photos[key].class_ids.tolist()
    assert found.photos["images/n/ü b.JPG"].ignored.tolist() == [False, True]


def test_writing_is_deterministic_and_ids_start_at_one(tmp_path):
    labels = label_set()
    for folder in ("a", "b"):
        coco.write(labels, tmp_path / folder, names={key: key for key in labels.photos})
    text = (tmp_path / "a/annotations.json").read_bytes()
    assert text == (tmp_path / "b/annotations.json").read_bytes()
    content = json.loads(text)
    assert [entry["id"] for entry in content["categories"]] == [1, 2, 3]
    assert [entry["id"] for entry in content["images"]] == [1, 2, 3]
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3, 4]
    assert [entry["file_name"] for entry in content["images"]] == ["a.jpg", "n/ü b.JPG", "c.png"]


def test_oriented_boxes_become_upright_and_that_is_said(tmp_path):
    labels = label_set(turned=True)
    written = coco.write(labels, tmp_path, names={key: key for key in labels.photos})
    assert written.losses == ("1 oriented box became upright",)


def test_pycocotools_reads_the_same_boxes(tmp_path):
    labels = label_set()
    coco.write(labels, tmp_path, names={key: key for key in labels.photos})
    with contextlib.redirect_stdout(io.StringIO()):
        peer = COCO(str(tmp_path / "annotations.json"))
    names = {entry["id"]: entry["name"] for entry in peer.loadCats(peer.getCatIds())}
    for image in peer.loadImgs(peer.getImgIds()):
        own = labels.photos[image["file_name"]]
        entries = peer.loadAnns(peer.getAnnIds(imgIds=image["id"]))
        assert (image["width"], image["height"]) == own.size_wh_px
        assert [names[entry["category_id"]] for entry in entries] == [labels.classes[at] for at in own.class_ids]
        boxes = np.array([entry["bbox"] for entry in entries]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_allclose(boxes, own.xyxy_px, atol=1e-5)
        assert [entry["area"] for entry in entries] == pytest.approx([e["bbox"][2] * e["bbox"][3] for e in entries])


@needs_samples
def test_pycocotools_and_the_reader_agree_on_a_real_file(tmp_path):
    file = SHARED / "uavvaste_coco/annotations.json"
    shutil.copy(file, tmp_path)
    found = coco.read(find_files(tmp_path), {}, labels=("annotations.json",))
    with contextlib.redirect_stdout(io.StringIO()):
        peer = COCO(str(file))
    for image in peer.loadImgs(peer.getImgIds()):
        boxes = np.array([entry["bbox"] for entry in peer.loadAnns(peer.getAnnIds(imgIds=image["id"]))], dtype=float)
        np.testing.assert_array_equal(found.photos[image["file_name"]].xyxy_px[:, :2], boxes[:, :2])
        np.testing.assert_allclose(found.photos[image["file_name"]].xyxy_px[:, 2:], boxes[:, :2] + boxes[:, 2:])


# --- any JSON

WRONG = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        10**30,
        10**400,
        1.5,
        float("nan"),
        float("inf"),
        "",
        "1",
        "\ud800",
        [],
        [[]],
        {},
        [1],
    ]
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
@given(mutated(document([BOX, BOX | {"id": 2, "bbox": [], "segmentation": [[1, 2, 3, 4, 5, 6]]}])))
def test_wrong_types_anywhere_are_findings(tmp_path_factory, value):
    files = source(tmp_path_factory.mktemp("any"), json.dumps(value))
    coco.sniff(files)
    with contextlib.suppress(InputError):
        found = read(files)
        annotations = value.get("annotations") if isinstance(value, dict) else []
        assert found.boxes_in == (len(annotations) if isinstance(annotations, list) else 0)
        said = {finding.photo for finding in found.findings}
        assert "a.jpg" in found.photos or "a.jpg" in said
        for text in [*map(str, found.findings), *(str(refused.finding) for refused in found.refused), *found.photos]:
            text.encode()


def test_a_photograph_of_another_kind_of_file_cannot_be_used_though_its_size_is_given(tmp_path):
    images = [IMAGE, {"id": 2, "file_name": "b.bmp", "width": 100, "height": 80}]
    labels = document([BOX, {**BOX, "id": 2, "image_id": 2}], images=images)
    found = read(source(tmp_path, labels, photos=("a.jpg", "b.bmp")))
    said = [str(finding) for finding in (*found.findings, *(entry.finding for entry in found.refused))]
    assert said
    assert all("cannot be used" in text and "no size" not in text for text in said)
