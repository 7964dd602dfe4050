"""Pages to leaf through: complete data, pictures of what can be shown, nothing drawn twice, names as they are."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from pictures import jpeg, subject, town
from profile_columns import made_profile

from factories import make_survey_source
from label_subjects import photo
from overflight.data.files import SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.labels import LabelSet
from overflight.data.formats.sniffed import Sniffed
from overflight.data.profile.browse import BOXES_PER_FILE, FULL_SIDE_PX, full_picture, write_browser
from overflight.data.profile.measure import measure
from overflight.data.reading import Read, read_source
from overflight.errors import InputError


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def called(path, function):
    """The JSON that a file hands to ``overflight.function``."""
    text = path.read_text(encoding="utf-8")
    start = f"overflight.{function}("
    assert text.startswith(start)
    assert text.endswith(");\n")
    return json.loads("[" + text[len(start) : -3] + "]")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = make_survey_source(tmp_path_factory.mktemp("source") / "cars", flights=2, photos=3)
    (root / "images/flight1/broken.jpg").write_bytes(b"")
    return read_source(root, name="cars")


@pytest.fixture(scope="module")
def written(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browse")
    key = "images/flight1/flight1_0001.jpg"
    findings = [
        Finding("warning", "dark", key, "is dark", "", photo=key, boxes=(0, 2)),
        Finding("error", "survey", "cars", "of the whole", ""),
        Finding("warning", "gone", "x", "of a photo that is not there", "", photo="x.jpg"),
    ]
    unshown = write_browser(folder, measure(source), source, findings=findings, title="My cars")
    return folder, unshown


def test_all_photographs_are_in_the_data_with_their_facts(source, written):
    folder, unshown = written
    (data,) = called(folder / "photos.js", "photos")
    assert unshown == 1
    assert data["title"] == "My cars"
    assert data["photo"] == [found.key for found in source.files.photos]
    broken = data["photo"].index("images/flight1/broken.jpg")
    assert data["thumb"][broken] == ""
    assert data["words"]["fault"]["names"][data["words"]["fault"]["of"][broken]] == "zero-bytes"
    assert all((folder / "thumbs" / name).is_file() for name in data["thumb"] if name)
    assert [data["words"]["flight"]["names"][of] for of in data["words"]["flight"]["of"]] == ["flight1"] * 4 + [
        "flight2"
    ] * 3
    assert data["numbers"]["mean_luma"][broken] is None
    assert all(value is not None for index, value in enumerate(data["numbers"]["mean_luma"]) if index != broken)
    assert set(data["meaning"]) >= set(data["numbers"])
    assert data["findings"] == {
        str(data["photo"].index("images/flight1/flight1_0001.jpg")): [["dark", "warning", "is dark", [0, 2]]]
    }


def test_boxes_are_those_of_the_labels(source, written):
    number, boxes = called(written[0] / "boxes/0.js", "boxes")
    (data,) = called(written[0] / "photos.js", "photos")
    assert number == 0
    for key, found, ids in zip(data["photo"], boxes, data["classIds"], strict=True):
        labels = source.subject.labels.photos.get(key)
        wanted = [] if labels is None else labels.xyxy_px.tolist()
        assert [box[1:5] for box in found] == [pytest.approx(box, abs=0.06) for box in wanted]
        assert [box[5] for box in found] == list(range(len(wanted)))
        assert sorted({box[0] for box in found}) == ids


def test_the_page_takes_nothing_from_elsewhere(written):
    folder, _ = written
    tags = Tags((folder / "index.html").read_text(encoding="utf-8")).found
    scripts = [attrs.get("src") for tag, attrs in tags if tag == "script"]
    assert scripts == ["browse.js", "photos.js"]
    assert not [tag for tag, _ in tags if tag in ("link", "iframe", "base")]
    assert [attrs["name"] for tag, attrs in tags if tag in ("select", "input") and "name" in attrs] == [
        "flight", "class", "check", "name", "sort", "down", "boxes",
    ]  # fmt: skip
    script = (folder / "browse.js").read_text(encoding="utf-8")
    assert "http:" not in script.replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in script


def test_the_script_knows_every_element_of_the_page(written):
    folder, _ = written
    ids = {attrs["id"] for _, attrs in Tags((folder / "index.html").read_text(encoding="utf-8")).found if "id" in attrs}
    assert set(re.findall(r'byId\("(\w+)"\)', (folder / "browse.js").read_text(encoding="utf-8"))) <= ids


def test_a_second_run_draws_only_what_is_new(source, written):
    folder, _ = written
    before = {path: path.stat().st_mtime_ns for path in (folder / "thumbs").iterdir()}
    next(iter(before)).unlink()
    write_browser(folder, measure(source), source, findings=[])
    after = {path: path.stat().st_mtime_ns for path in (folder / "thumbs").iterdir()}
    assert set(after) == set(before)
    assert sum(after[path] != before[path] for path in before) == 1


def test_many_photographs_are_a_few_small_files(tmp_path):
    photos = [{"flight": f"f{index % 7}"} for index in range(3 * BOXES_PER_FILE + 1)]
    profile = made_profile(photos)
    labels = LabelSet("yolo", ("car",), {key: photo((1, 2, 3, 4), (5, 6, 9, 9)) for key in profile.photos["photo"]})
    read = Read(replace(subject({}), labels=labels), SourceFiles(tmp_path, (), ()), (), Sniffed("yolo", (), ""))
    assert write_browser(tmp_path / "out", profile, read, findings=[]) == len(photos)
    parts = [called(tmp_path / f"out/boxes/{number}.js", "boxes") for number in range(4)]
    assert [len(boxes) for _, boxes in parts] == [BOXES_PER_FILE] * 3 + [1]
    assert (tmp_path / "out/photos.js").stat().st_size / len(photos) < 300


def test_oriented_boxes_have_corners_and_ignored_regions_no_class(tmp_path):
    ring = [(10, 0), (20, 10), (10, 20), (0, 10)]
    labels = {
        "p0.jpg": photo(corners=[ring]),
        "p1.jpg": photo((1, 2, 3, 4), (5, 6, 9, 9), ignored=[True, False]),
        "p2.jpg": photo((np.nan, 0, 1, 1), (0, 0, 1e300, 1)),
    }
    found = replace(subject({}), labels=LabelSet("dota", ("car",), labels))
    read = Read(found, SourceFiles(tmp_path, (), ()), (), Sniffed("dota", (), ""))
    write_browser(tmp_path, made_profile([{}] * 3), read, findings=[])
    _, boxes = called(tmp_path / "boxes/0.js", "boxes")
    assert boxes == [
        [[0, 0, 0, 20, 20, 0, 10, 0, 20, 10, 10, 20, 0, 10]],
        [[-1, 1, 2, 3, 4, 0], [0, 5, 6, 9, 9, 1]],
        [[0, 0, 0, 1e300, 1, 1]],
    ]
    assert called(tmp_path / "photos.js", "photos")[0]["classIds"] == [[0], [0], [0]]


def test_names_cannot_end_the_script(tmp_path):
    bad = "</script><script>alert(1)//\u2028.jpg"
    read = Read(subject({}), SourceFiles(tmp_path, (), ()), (), Sniffed("yolo", (), ""))
    write_browser(tmp_path, made_profile([{"photo": bad, "flight": bad}]), read, findings=[])
    text = (tmp_path / "photos.js").read_text(encoding="utf-8")
    assert "</script" not in text
    assert "\u2028" not in text
    assert called(tmp_path / "photos.js", "photos")[0]["photo"] == [bad]


@pytest.mark.parametrize(
    ("size_wh", "orientation", "shown_wh"),
    [
        pytest.param((3000, 1500), 1, (FULL_SIDE_PX, 960), id="large"),
        pytest.param((300, 150), 1, (300, 150), id="small-is-not-enlarged"),
        pytest.param((300, 150), 6, (150, 300), id="turned"),
    ],
)
def test_full_photographs_are_upright_and_fit(tmp_path, size_wh, orientation, shown_wh):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(jpeg(town(size_wh=size_wh), orientation=orientation))
    (tmp_path / "classes.txt").write_text("car\n")
    read = read_source(tmp_path, name="a", incomplete=True)
    shown = cv2.imdecode(np.frombuffer(full_picture(read, "images/a.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[1::-1] == shown_wh


def test_only_photographs_of_the_survey_are_shown(source):
    with pytest.raises(InputError, match="not in the survey"):
        full_picture(source, "data.yaml")
