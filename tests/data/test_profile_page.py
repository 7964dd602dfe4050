"""The report: one file without a network, honest about what is not known, readable where little is there."""

import base64
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from pictures import SHARED, jpeg, subject, town
from profile_columns import made_box, made_profile

from factories import make_survey_source
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.facts import photo_facts
from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.sniffed import Sniffed
from overflight.data.metadata import PhotoMetadata
from overflight.data.profile.measure import measure
from overflight.data.profile.page import footprints_of, write_page
from overflight.data.profile.pictures import extreme, typical
from overflight.data.reading import Read
from overflight.data.report import check_source

VOID = {"meta", "img", "link", "br", "input", "hr"}
NASTY = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Sections by id with their headings, pictures and text; refuses tags that do not close."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.tags, self.ids, self.images, self.text, self.captions = [], [], [], [], [], []
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "section":
            self.ids.append(attrs["id"])
        if tag == "img":
            data = base64.b64decode(attrs["src"].partition("base64,")[2])
            self.images.append(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "figcaption":
            self.captions.append(data)


def page_of(tmp_path, root, *, findings=None, **options):
    report = check_source(root, name=root.name, **options)
    found = report.findings if findings is None else findings
    path = tmp_path / "report.html"
    write_page(path, measure(report.read), report.read, findings=found, catalogue=report.catalogue)
    return Page(path)


def assert_no_network(page):
    """Nothing is fetched: no scripts, style sheets, frames or links out; pictures lie in the page."""
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base"} == set()
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset", "poster", "data", "action"):
            value = attrs.get(name, "#")
            assert value.startswith(("#", "data:image/jpeg;base64,")), value
        assert not [name for name in attrs if name.startswith("on")]
        assert "url(" not in (attrs.get("style") or "")
    styles = re.search(r"<style>(.*?)</style>", page.source, re.S)[1]
    assert "url(" not in styles
    assert "@import" not in styles


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn") / "cars"
    return page_of(tmp_path_factory.mktemp("page"), make_survey_source(root, flights=3, photos=3))


def test_the_page_needs_no_network(drawn):
    assert_no_network(drawn)


def test_the_page_is_in_order(drawn):
    wanted = ["classes", "flights", "sizes", "positions", "quality", "together", "typical", "extreme"]
    assert [name for name in drawn.ids if name in wanted] == wanted
    links = [attrs["href"][1:] for tag, attrs in drawn.tags if tag == "a"]
    assert links == drawn.ids


def test_what_is_not_known_has_no_empty_charts(drawn):
    assert "map" not in drawn.ids
    assert "No flight has GPS positions: neither map nor shared ground can be known there." in drawn.text
    assert "unknown" in drawn.text


def test_pictures_carry_their_boxes_and_say_whose_they_are(drawn):
    assert len(drawn.images) == len(drawn.captions) >= 8
    assert all("flight flight" in caption or ":" in caption for caption in drawn.captions)
    red = [((image[..., 2] > 200) & (image[..., 1] < 90) & (image[..., 0] < 90)).any() for image in drawn.images]
    largest = next(index for index, caption in enumerate(drawn.captions) if caption.startswith("largest object"))
    assert red[largest]


def test_names_never_become_html(tmp_path):
    profile = made_profile(
        [{"photo": f"{NASTY}.jpg", "flight": NASTY, "camera": NASTY, "captured_at": NASTY}] * 2,
        [made_box(0), made_box(1, class_id=1)],
        classes=(NASTY, "bus"),
        name=NASTY,
    )
    read = Read(subject({}), SourceFiles(tmp_path, (), ()), (), Sniffed("yolo", (), ""))
    finding = Finding("error", "dark", NASTY, NASTY, NASTY)
    write_page(tmp_path / "a.html", profile, read, findings=[finding], catalogue=load_catalogue())
    page = Page(tmp_path / "a.html")
    assert_no_network(page)
    assert NASTY in page.text


def test_a_map_shows_what_is_known_of_the_ground(tmp_path):
    where = PhotoMetadata(
        latitude_deg=52.0, longitude_deg=13.0, altitude_agl_m=50.0, gimbal_pitch_deg=-90.0, yaw_deg=0.0,
        focal_length_35mm_mm=24.0,
    )  # fmt: skip
    facts = photo_facts(jpeg(town()), key="a.jpg", decode=True)
    without = replace(facts, key="b.jpg", metadata=PhotoMetadata(latitude_deg=52.0, longitude_deg=13.001))
    photos = {"a.jpg": replace(facts, metadata=where), "b.jpg": without, "c.jpg": replace(facts, key="c.jpg")}
    read = Read(subject(photos), SourceFiles(tmp_path, (), ()), (), Sniffed("yolo", (), ""))
    profile = measure(read)
    footprints = footprints_of(profile, read)
    assert list(footprints) == [0]
    assert footprints[0].mean(axis=0) == pytest.approx([13.0, 52.0], abs=1e-4)
    write_page(tmp_path / "a.html", profile, read, findings=[], catalogue=load_catalogue())
    page = Page(tmp_path / "a.html")
    drawn = [(tag, attrs.get("class")) for tag, attrs in page.tags if tag in ("polygon", "circle")]
    assert drawn.count(("polygon", "s0")) == 1
    assert "a.jpg: flight a, 50 m above ground, 0 boxes" in page.text
    assert "b.jpg: flight a, height not known, 0 boxes" in page.text


@pytest.mark.parametrize(
    "photos",
    [
        pytest.param([], id="nothing"),
        pytest.param([{"fault": "zero-bytes", "labelled": False, "width_px": 0, "height_px": 0}], id="unusable"),
        pytest.param([{"labelled": False}] * 3, id="without-labels"),
    ],
)
def test_little_is_little_and_no_error(tmp_path, photos):
    read = Read(subject({}), SourceFiles(tmp_path, (), ()), (), Sniffed("none", (), ""))
    profile = made_profile(photos, classes=())
    write_page(tmp_path / "a.html", profile, read, findings=[], catalogue=load_catalogue())
    assert_no_network(Page(tmp_path / "a.html"))


def test_a_thousand_photographs_make_less_than_eight_megabytes(tmp_path):
    random = np.random.default_rng(0)
    noise = cv2.imencode(".jpg", random.integers(0, 255, (480, 640, 3), dtype=np.uint8))[1].tobytes()
    rows = [
        {"flight": f"f{index % 30}", "latitude_deg": 52 + index * 1e-5, "longitude_deg": 13 + index % 40 * 1e-5,
         "altitude_agl_m": 50 + index % 7, "gsd_cm": 2 + index % 5, "mean_luma": random.uniform(0, 255),
         "contrast": 40.0, "focus": random.uniform(0, 1), "site": f"site-{index % 9}",
         "captured_at": f"2025-05-01T10:{index % 60:02}:00"}
        for index in range(1000)
    ]  # fmt: skip
    boxes = [made_box(index % 1000, class_id=index % 12, side=random.uniform(5, 200)) for index in range(20_000)]
    (tmp_path / "p0.jpg").write_bytes(noise)
    for index in range(1, 1000):
        os.link(tmp_path / "p0.jpg", tmp_path / f"p{index}.jpg")
    files = SourceFiles(tmp_path, tuple(PhotoFile(f"p{index}.jpg", f"p{index}.jpg") for index in range(1000)), ())
    read = Read(subject({}), files, (), Sniffed("yolo", (), ""))
    profile = made_profile(rows, boxes, classes=tuple(f"class-{index}" for index in range(12)))
    codes = list(load_catalogue())[:30]
    findings = [Finding("warning", code, "p", "p", "", photo=f"p{index}.jpg") for index, code in enumerate(codes)]
    write_page(tmp_path / "a.html", profile, read, findings=findings, catalogue=load_catalogue())
    assert (tmp_path / "a.html").stat().st_size < 8e6


def test_typical_photographs_are_near_the_median_and_of_several_flights():
    rows = [{"flight": "a" if index < 8 else "b", "mean_luma": luma, "contrast": 40.0, "focus": 0.5}
            for index, luma in enumerate([100, 101, 102, 99, 98, 100, 20, 250, 103, 30])]  # fmt: skip
    picked = [pick.row for pick in typical(made_profile(rows), count=4)]
    assert set(picked) <= {0, 1, 3, 5, 8, 9, 2}
    assert 8 in picked
    assert not set(picked) & {6, 7}


def test_extreme_photographs_are_the_ends():
    rows = [{"mean_luma": 100.0 + index, "focus": 1.0 - index / 10} for index in range(5)]
    profile = made_profile(rows, [made_box(3, side=5.0), made_box(1, side=90.0), made_box(1, side=50.0)])
    assert [(pick.row, pick.why) for pick in extreme(profile, count=1)] == [
        (0, "darkest: brightness 100"),
        (4, "brightest: brightness 104"),
        (4, "least sharp: focus 0.6"),
        (1, "most objects: 2"),
        (1, "largest object: side 90 px"),
        (3, "smallest object: side 5 px"),
    ]


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
def test_the_real_survey_is_described_as_its_readme_does(tmp_path):
    page = page_of(tmp_path, SHARED / "aerial-cars")
    assert_no_network(page)
    text = " ".join(page.text)
    for words in (
        "car is 90% of all boxes",
        "cyclist is declared and never used",
        "truck (5) has fewer than 20 boxes",
        "45% of the objects are smaller than 32 px",
        "5 of 6 flights have no GPS positions",
        "nearly repeat another: a random split would test on training images",
    ):
        assert words in text
    assert {"map", "copies", "typical", "extreme", "suspicious"} <= set(page.ids)
