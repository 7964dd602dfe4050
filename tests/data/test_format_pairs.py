"""Every format into every other: the same photographs, classes and boxes to 0.01 px, or it says what is lost."""

import itertools
import os
import string
import tempfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from label_sources import place
from overflight.data.files import find_files
from overflight.data.formats.cvat import turned
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners, xyxy_of_corners
from overflight.data.formats.registry import FORMATS, sniff_all

EXACT_PX = 0.01
# thousands of small files: in memory where the system offers that
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# an example writes dozens of files: looking for a smaller one that fails takes minutes
GENERATE = (Phase.explicit, Phase.generate)
FOLDERS = ("", "north/", "Flug 2.1/", "süd/b/")
SUFFIXES = (".jpg", ".JPG", ".jpeg", ".png", ".TIF")
LETTERS = string.ascii_letters + string.digits + "äß中 .-_(),'&#+%"
CLASS_LETTERS = LETTERS + '<>"/:;'
# what is written may be read back as the same kind under another name
READ_AS = {"yolo-obb": {"yolo-obb", "yolo"}}

stems = st.text(LETTERS, min_size=1, max_size=12).map(lambda text: text.strip(" .")).filter(bool)
paths = st.builds(lambda *parts: "".join(parts), st.sampled_from(FOLDERS), stems, st.sampled_from(SUFFIXES))
names_of_classes = st.text(CLASS_LETTERS, min_size=1, max_size=16).map(lambda text: " ".join(text.split())).filter(bool)


@st.composite
def label_sets(draw):
    """Random sets; coordinates come from a seed, as hypothesis is slow at thousands of numbers."""
    names = draw(st.lists(paths, min_size=1, max_size=6, unique_by=str.casefold))
    classes = tuple(draw(st.lists(names_of_classes, min_size=1, max_size=5, unique_by=str.casefold)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    with_tilted, with_ignored = draw(st.booleans()), draw(st.booleans())
    photos = {}
    for name in names:
        size = tuple(draw(st.tuples(*[st.sampled_from([1, 37, 640, 5472, 20000])] * 2)))
        count = draw(st.sampled_from([0, 1, 3, 40]))
        photos[name] = random_labels(rng, size, count, len(classes), tilted=with_tilted, ignored=with_ignored)
    return LabelSet("test", classes, photos)


def random_labels(rng, size, count, classes, *, tilted, ignored):
    start = rng.uniform(-0.1, 1, (count, 2)) * size
    boxes = np.concatenate([start, start + rng.uniform(0.001, 0.5, (count, 2)) * size], axis=1)
    corners = None
    if tilted and count:
        corners = upright_corners(boxes)
        for index in np.flatnonzero(rng.random(count) < 0.5):
            corners[index] = turned(boxes[index].tolist(), rng.uniform(1, 89))
        boxes = xyxy_of_corners(corners)
    return PhotoLabels(
        size_wh_px=size,
        class_ids=rng.integers(0, classes, count),
        xyxy_px=boxes,
        numbers=np.arange(count) + 1,
        file="test",
        corners_px=corners,
        ignored=rng.random(count) < 0.3 if ignored and count else None,
    )


def convert(labels, names, name, root):
    """Write as ``name``, recognise and read again; the labels by the photographs' names, and all losses."""
    written = FORMATS[name].write(labels, root, names=names)
    place(root, dict.fromkeys(written.places.values()))
    files = find_files(root)
    (seen,) = sniff_all(files)
    assert seen.format in READ_AS.get(name, {name}), seen
    sizes = {written.places[key]: labels.photos[key].size_wh_px for key in names}
    again = FORMATS[seen.format].read(files, sizes, labels=seen.labels)
    assert again.findings == again.refused == ()
    assert again.absent == frozenset()
    assert set(again.photos) == set(written.places.values())
    assert again.boxes_in == again.boxes
    back = {where: names[key] for key, where in written.places.items()}
    return again, back, [*written.losses, *again.losses]


def said(losses, word):
    return any(word in loss for loss in losses)


def same_corners(one, other):
    """Largest gap between corners of boxes (N, 4, 2), whichever corner comes first."""
    ways = [np.roll(way, shift, axis=1) for way in (other, other[:, ::-1]) for shift in range(4)]
    gaps = np.array([np.abs(one - way).max(axis=(1, 2), initial=0) for way in ways])
    return gaps.min(axis=0).max(initial=0)


def corners_of(labels):
    return upright_corners(labels.xyxy_px) if labels.corners_px is None else labels.corners_px


def ignored_of(labels):
    return np.zeros(len(labels), dtype=bool) if labels.ignored is None else labels.ignored


def assert_same(before, after, losses):
    ignored = ignored_of(before)
    if said(losses, "left out"):
        before, ignored = before.select(~ignored), ignored[~ignored]
    assert len(after) == len(before)
    assert after.size_wh_px == before.size_wh_px
    np.testing.assert_array_equal(ignored_of(after), ignored)
    np.testing.assert_array_equal(after.class_ids[~ignored], before.class_ids[~ignored])
    np.testing.assert_allclose(after.xyxy_px, before.xyxy_px, rtol=0, atol=EXACT_PX)
    if not said(losses, "oriented"):
        assert same_corners(corners_of(before), corners_of(after)) <= EXACT_PX


def check(labels, way):
    """``labels`` through the formats of ``way``, one after the other."""
    losses, current, names = [], labels, {key: key for key in labels.photos}
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for step, name in enumerate(way):
            current, names, lost = convert(current, names, name, Path(folder, str(step)))
            losses += lost
    assert current.classes == labels.classes
    assert sorted(names.values()) == sorted(labels.photos)
    for key, name in names.items():
        assert PurePosixPath(key).suffix == PurePosixPath(name).suffix
        assert_same(labels.photos[name], current.photos[key], losses)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=30, derandomize=True, phases=GENERATE)
@given(labels=label_sets())
def test_what_a_format_wrote_it_reads_again(name, labels):
    check(labels, [name])


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMATS, FORMATS)))
@settings(max_examples=2, derandomize=True, phases=GENERATE)
@given(labels=label_sets())
def test_every_format_becomes_every_other(first, second, labels):
    check(labels, [first, second])


LOSSES = {
    "yolo": {"oriented", "ignored"},
    "yolo-obb": {"ignored"},
    "coco": {"oriented"},
    "voc": {"oriented", "ignored"},
    "visdrone": {"oriented"},
    "dota": {"ignored"},
    "groundtruth": {"oriented", "ignored"},
    "cvat": {"ignored"},
    "labelme": {"ignored"},
    "csv": {"oriented", "ignored"},
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_loses_what_it_must_and_nothing_else(name, tmp_path):
    tilted = turned([20, 30, 60, 50], 30)
    labels = LabelSet(
        "test",
        ("car",),
        {
            "a.jpg": PhotoLabels(
                (100, 80),
                np.zeros(2, dtype=np.int64),
                xyxy_of_corners(np.array([tilted, tilted])),
                np.arange(2),
                "test",
                corners_px=np.array([tilted, tilted]),
                ignored=np.array([False, True]),
            )
        },
    )
    written = FORMATS[name].write(labels, tmp_path, names={"a.jpg": "a.jpg"})
    assert {word for word in ("oriented", "ignored") if said(written.losses, word)} == LOSSES[name]
    assert FORMATS[name].write(LabelSet("test", ("car",), {}), tmp_path / "empty", names={}).losses == ()
