"""Damaged and hostile label files: InputError or findings, never anything else, and nothing gets lost on the way."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from format_sources import SOURCES
from label_sources import label_set, photo_labels, place
from overflight.data.files import find_files
from overflight.data.formats.registry import FORMATS, sniff_all
from overflight.errors import InputError

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SIZE = (100, 80)
NUMBER = re.compile(rb"-?\d+\.?\d*")


IN_JSON = {"coco", "groundtruth", "labelme"}
IN_XML = {"voc", "cvat"}
FRACTIONS = {"yolo", "yolo-obb"}
CENTRAL = {"coco", "groundtruth", "cvat", "csv"}
every_format = pytest.mark.parametrize("name", FORMATS)


def good(name):
    return "0.2" if name in FRACTIONS else "5"


def source(name, a=None, b=None, photo="a.jpg"):
    """Label files of two photographs, three boxes and one."""
    if name == "groundtruth" and photo == "a.jpg":
        photo = "images/a.jpg"
    return SOURCES[name](a or [good(name)] * 3, b or [good(name)], photo)


def label_keys(name, contents):
    return tuple(sorted(key for key in contents if not key.endswith(".yaml")))


def read(name, contents, root):
    """Read as ``name``; None when the source is refused as a whole. Photographs are a.jpg and b.jpg, both readable."""
    files = place(root, contents | {"images/a.jpg": None, "images/b.jpg": None})
    sniff_all(files)
    sizes = {photo.key: SIZE for photo in files.photos}
    try:
        labels = FORMATS[name].read(files, sizes, labels=label_keys(name, contents))
    except InputError as error:
        message = str(error)
    else:
        assert_accounted(files, labels)
        return labels
    assert 0 < len(message) < 2000
    assert message.isprintable()
    return None


def assert_accounted(files, labels):
    """Every photograph has labels or a finding; every box can be computed with; every message can be shown."""
    findings = [*labels.findings, *(refused.finding for refused in labels.refused)]
    named = {finding.photo for finding in findings}
    lost = [photo.key for photo in files.photos if photo.key not in labels.photos and photo.key not in named]
    assert lost == []
    for key, found in labels.photos.items():
        assert len(key) <= 300
        assert key.isprintable()
        assert (key in labels.absent) == (key not in {photo.key for photo in files.photos})
        assert np.isfinite(found.xyxy_px).all()
        assert found.xyxy_px.shape == (len(found), 4)
        assert ((found.class_ids >= 0) & (found.class_ids < max(1, len(labels.classes)))).all()
        assert min(found.size_wh_px) > 0
    for finding in findings:
        assert finding.what
        assert len(finding.what) < 1000
        assert (finding.what + finding.cure + finding.where).isprintable(), finding
        assert finding.severity == "warning" or finding.cure
    assert all(len(refused.raw) <= 200 and refused.raw.isprintable() for refused in labels.refused)


@every_format
def test_the_sources_of_these_tests_are_sound(name, tmp_path):
    labels = read(name, source(name), tmp_path)
    assert (labels.boxes, labels.refused, labels.findings) == (4, (), ())
    (seen,) = sniff_all(find_files(tmp_path))
    assert seen.format == name
    assert seen.labels == label_keys(name, source(name))


# --- one entry is no box: it is refused, and the others are read

NO_NUMBERS = [
    "abc",
    "nan",
    "NaN",
    "inf",
    "-1e999",
    "1e300",
    "1e15",
    "9" * 5000,
    "\uff11\uff12",
    "1_0",
    "0x1f",
    "--5",
    "\u0661",
]
NO_NUMBERS_IN_JSON = [
    '"5"',
    "null",
    "true",
    "NaN",
    "-Infinity",
    "1e999",
    "1e300",
    "1e15",
    "1" + "0" * 18,
    "[]",
    "{}",
    '"' + "x" * 10_000 + '"',
]
BAD_ENTRIES = [
    pytest.param(name, value, id=f"{name}-{value[:12]}")
    for name in FORMATS
    for value in (NO_NUMBERS_IN_JSON if name in IN_JSON else NO_NUMBERS)
]


@pytest.mark.parametrize(("name", "value"), BAD_ENTRIES)
def test_an_entry_that_is_no_box_is_refused_and_the_others_are_read(name, value, tmp_path):
    labels = read(name, source(name, a=[good(name), value, good(name)]), tmp_path)
    assert labels.boxes == 3
    assert labels.boxes_in == 4
    (refused,) = labels.refused
    assert refused.finding.photo == "images/a.jpg"
    assert refused.finding.code in {"not-a-number", "not-finite", "no-box", "columns"}


# --- damage at any byte

edits = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(b"")),
    st.tuples(st.just("flip"), st.floats(0, 1), st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    st.tuples(
        st.just("insert"), st.floats(0, 1), st.sampled_from([b"\xef\xbb\xbf", b"\0", b"\r\n", b"\xff\xfe", b'"'])
    ),
    st.tuples(
        st.just("number"),
        st.floats(0, 1),
        st.sampled_from([b"1e999", b"9" * 5000, b"nan", b"null", b"-1", b"", b"1e308", b"0", b'"x"', b"[[]]", b"<a/>"]),
    ),
    st.tuples(st.just("replace"), st.floats(0, 1), st.binary(max_size=60)),
)


def edited(data, kind, where, new):
    at = int(where * len(data))
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        return data[:at] + new + data[at + 1 :]
    if kind == "insert":
        return data[:at] + new + data[at:]
    if kind == "replace":
        return new
    numbers = list(NUMBER.finditer(data))
    if not numbers:
        return data
    chosen = numbers[min(int(where * len(numbers)), len(numbers) - 1)]
    return data[: chosen.start()] + new + data[chosen.end() :]


@every_format
@settings(max_examples=60, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(changes=st.lists(edits, min_size=1, max_size=3), all_files=st.booleans())
def test_damaged_files_give_findings_and_nothing_else(name, changes, all_files):
    contents = source(name)
    keys = sorted(contents) if all_files else [label_keys(name, contents)[0]]
    for key in keys:
        data = contents[key].encode()
        for change in changes:
            data = edited(data, *change)
        contents[key] = data
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        read(name, contents, Path(folder))


@every_format
def test_a_copy_that_broke_off_never_passes_for_whole(name, tmp_path):
    """Every tenth of the file: what is left is refused, or boxes and photographs are missing with a finding."""
    key = label_keys(name, source(name))[0]
    whole = source(name)[key]
    for tenth in range(10):
        contents = source(name) | {key: whole[: len(whole) * tenth // 10]}
        labels = read(name, contents, tmp_path / str(tenth))
        if name in IN_JSON | IN_XML and labels is not None:
            assert [finding.code for finding in labels.findings if finding.severity == "error"]


# --- hostile documents

DEEP = 100_000
BOMB = '<!DOCTYPE a [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(12)
)
ROOTS = {"voc": "annotation", "cvat": "annotations"}
HOSTILE = [
    *[
        pytest.param(name, text, id=f"{name}-{title}")
        for name in sorted(IN_JSON)
        for title, text in {
            "deep lists": "[" * DEEP,
            "deep objects": '{"images":' * DEEP,
            "deep and closed": "[" * DEEP + "]" * DEEP,
            "a number": "5",
            "null": "null",
            "a list": "[1, 2, 3]",
            "empty": "",
            "wrong types": '{"images": {"a": 1}, "annotations": "b", "categories": 7, "shapes": 3, "imagePath": []}',
            "lists of nothing": '{"images": [null, 5, []], "annotations": [null], "categories": [[]], "shapes": [0]}',
            "ids of all kinds": '{"images": [{"id": 1e999, "file_name": {}}, {"id": [], "file_name": "b.jpg"}],'
            ' "categories": [{"id": {}, "name": 5}, {"id": true, "name": "car"}],'
            ' "annotations": [{"image_id": [], "category_id": {}, "bbox": {}}, {"image_id": 1e999, "bbox": [1]}]}',
            "endless number": '{"images": [], "annotations": [], "categories": [{"id": ' + "9" * 100_000 + "}]}",
            "lone surrogate": '{"version": "1", "imagePath": "\\ud800", "shapes": [{"label": "\\udfff"}],'
            ' "imageData": null, "images": [{"id": 1, "file_name": "\\ud800"}], "annotations": [], "categories": []}',
            "UTF-16": '{"images": []}'.encode("utf-16"),
        }.items()
    ],
    *[
        pytest.param(name, text.replace("ROOT", ROOTS[name]), id=f"{name}-{title}")
        for name in sorted(IN_XML)
        for title, text in {
            "deep": "<ROOT>" + "<a>" * DEEP,
            "deep and closed": "<ROOT>" + "<a>" * DEEP + "</a>" * DEEP + "</ROOT>",
            "billion laughs": f"{BOMB}]><ROOT>&m;</ROOT>",
            "quadratic": f'<!DOCTYPE a [<!ENTITY a "{"x" * 100_000}">]><ROOT>{"&a;" * 1000}</ROOT>',
            "file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ROOT><filename>&x;</filename></ROOT>',
            "parameter entity": '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/">%x;]><ROOT/>',
            "external document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><ROOT/>',
            "many attributes": "<ROOT><a " + " ".join(f'b{i}="1"' for i in range(20_000)) + "/></ROOT>",
            "long attribute": f'<ROOT><image name="{"x" * 3_000_000}"/></ROOT>',
            "long text": f"<ROOT><filename>{'x' * 3_000_000}</filename></ROOT>",
            "long name": f"<ROOT><{'x' * 100_000}/></ROOT>",
            "empty": "",
            "only blanks": "  \n",
            "no root": "<!-- nothing -->",
        }.items()
    ],
    *[
        pytest.param(name, text, id=f"{name}-{title}")
        for name in ("yolo", "yolo-obb", "visdrone", "dota", "csv")
        for title, text in {
            "one endless line": "0 " * 500_000,
            "one endless word": "9" * 2_000_000,
            "one endless row": "a.jpg," * 200_000,
            "NUL": "\0" * 1000,
            "empty lines": "\n" * 100_000,
            "control characters": "\x1b[31m 1 2 3 4\n\x07,\x08,\x0c,1,2,3,4,5\n",
            "lone quote": '"' + "a," * 1000,
            "UTF-16": "0 0.5 0.5 0.1 0.1\n".encode("utf-16"),
        }.items()
    ],
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("name", "text"), HOSTILE)
def test_a_hostile_document_is_refused(name, text, tmp_path):
    contents = source(name)
    contents[label_keys(name, contents)[0]] = text
    labels = read(name, contents, tmp_path)
    assert labels is None or "images/a.jpg" not in labels.photos or len(labels.photos["images/a.jpg"]) == 0
    if name in CENTRAL:
        assert labels is None or labels.boxes == 0


NAMES = {
    "out of the folder": "../../secret.jpg",
    "absolute": "/etc/passwd",
    "of Windows": "C:\\x\\y.jpg",
    "share": "\\\\server\\x.jpg",
    "of a folder": "images",
    "dots": "..",
    "slashes": "///",
    "empty": "",
    "blanks": "   ",
    "long": "x" * 100_000 + ".jpg",
    "deep": "a/" * 20_000 + "a.jpg",
    "address": "https://user:password@example.com/a.jpg?b=c",
    "escape": "a\u202e.jpg",
    "surrounded": " a.jpg ",
}


@pytest.mark.parametrize("name", ["coco", "voc", "groundtruth", "cvat", "labelme", "csv"])
@pytest.mark.parametrize("photo", NAMES.values(), ids=NAMES)
def test_a_hostile_name_is_a_photograph_that_is_not_there(name, photo, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    labels = read(name, source(name, photo=photo), tmp_path / "a/b")
    if labels is not None:
        assert set(labels.photos) - labels.absent <= {"images/a.jpg", "images/b.jpg"}
        assert labels.boxes_in == 4


@every_format
@pytest.mark.parametrize("path", ["../x.jpg", "/x.jpg", "a/../../x.jpg", "a/../x.jpg"])
def test_writers_stay_in_their_folder(name, path, tmp_path):
    labels = label_set({"a.jpg": photo_labels([[1, 2, 3, 4]])})
    with pytest.raises(InputError):
        FORMATS[name].write(labels, tmp_path / "deep/down", names={"a.jpg": path})
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(tmp_path / "deep/down")]
    assert outside == []


@every_format
def test_a_label_file_that_is_a_link_out_of_the_folder_is_not_read(name, tmp_path):
    contents = source(name)
    key = label_keys(name, contents)[0]
    (tmp_path / "outside").write_text(contents.pop(key))
    inside = tmp_path / "inside"
    files = place(inside, contents | {"images/a.jpg": None, "images/b.jpg": None})
    (inside / key).parent.mkdir(parents=True, exist_ok=True)
    (inside / key).symlink_to(tmp_path / "outside")
    files = find_files(inside)
    assert key not in files.others
    assert "link" in {finding.code for finding in files.findings}
    for seen in sniff_all(files):
        labels = FORMATS[seen.format].read(files, {photo.key: SIZE for photo in files.photos}, labels=seen.labels)
        assert labels.boxes == 1
        assert_accounted(files, labels)


@pytest.mark.slow
@every_format
def test_a_hundred_thousand_boxes_in_one_file(name, tmp_path):
    labels = read(name, source(name, a=[good(name)] * 100_000), tmp_path)
    assert labels.boxes == 100_001
