"""The gallery: self-contained, every finding named, boxes drawn where they are, file names never become HTML."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.gallery import EXAMPLES, GAP_PX, LISTED, Marked, write_gallery
from overflight.data.findings import Finding
from overflight.data.formats.labels import PhotoLabels
from overflight.errors import InputError

GREY = np.full((480, 640, 3), 120, dtype=np.uint8)
PHOTO = cv2.imencode(".png", GREY)[1].tobytes()
LABELS = PhotoLabels(
    size_wh_px=(640, 480),
    class_ids=np.array([0, 0]),
    xyxy_px=np.array([[300.0, 200.0, 320.0, 215.0], [330.0, 200.0, 350.0, 215.0]]),
    numbers=np.array([1, 2]),
    file="labels/a.txt",
)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.pictures, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            data = base64.b64decode(dict(attrs)["src"].partition("base64,")[2])
            self.pictures.append(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))

    def handle_data(self, data):
        self.text.append(data.strip())


def page_of(tmp_path, findings, *, read=lambda _key: PHOTO, suspects=()):
    path = tmp_path / "report/gallery.html"
    write_gallery(
        path,
        title="harbour",
        facts={"photos": 3},
        findings=findings,
        catalogue=load_catalogue(),
        labels={"a.png": LABELS},
        read=read,
        suspects=suspects,
    )
    return path.read_text(encoding="utf-8")


def finding(code="tiny", severity="warning", *, photo="a.png", boxes=(0,), score=0.0, what="is 3 px"):
    return Finding(severity, code, "labels/a.txt:1", what, "cure", photo, boxes, score)


def is_red(picture):
    """BGR: where the outline of a marked box is."""
    return (picture[..., 2] > 180) & (picture[..., 1] < 110)


def test_a_finding_about_a_box_shows_the_box_in_red_and_its_surroundings(tmp_path):
    page = Page(page_of(tmp_path, [finding()]))
    (picture,) = page.pictures
    rows, columns = np.nonzero(is_red(picture))
    assert picture.shape == (240, 360, 3)
    # 20 x 15 px in a view of 160 px height, drawn 240 px high
    assert np.ptp(columns) == pytest.approx(20 * 1.5, abs=4)
    assert np.ptp(rows) == pytest.approx(15 * 1.5, abs=4)
    assert (picture.min(axis=2) > 220).any()  # the neighbour, in white


def test_a_finding_about_a_photo_shows_the_whole_photo_without_red(tmp_path):
    (picture,) = Page(page_of(tmp_path, [finding(code="dark", boxes=())])).pictures
    assert picture.shape == (240, 320, 3)
    assert not is_red(picture).any()


RED_PHOTO = cv2.imencode(".png", np.full((300, 300, 3), (0, 0, 250), dtype=np.uint8))[1].tobytes()


def pair(**values):
    return Finding("error", "near-duplicate", "a.png", "shows almost the same as b.png", "cure", "a.png", **values)


def test_the_two_photos_of_a_pair_are_shown_side_by_side(tmp_path):
    photos = {"a.png": PHOTO, "b.png": RED_PHOTO}
    text = page_of(tmp_path, [pair(beside="b.png")], read=photos.__getitem__)
    (picture,) = Page(text).pictures
    assert picture.shape == (240, 320 + GAP_PX + 240, 3)
    assert not is_red(picture[:, : 320 + GAP_PX]).any()
    assert is_red(picture[8:-8, 320 + GAP_PX + 8 :]).all()
    assert picture[:, 322:324].min() > 200
    assert '<figure class="pair">' in text


@pytest.mark.parametrize("gone", ["a.png", "b.png"])
def test_of_a_pair_that_cannot_be_shown_as_a_whole_one_is_shown(tmp_path, gone):
    def read(key):
        if key == gone:
            raise OSError("gone")
        return PHOTO

    text = page_of(tmp_path, [pair(beside="b.png")], read=read)
    (picture,) = Page(text).pictures
    assert picture.shape == (240, 320, 3)
    assert 'class="pair"' not in text


def test_the_other_photo_of_a_pair_is_in_the_report_where_there_is_one():
    assert pair(beside="b.png").as_dict()["beside"] == "b.png"
    assert "beside" not in pair().as_dict()


def test_errors_come_first_and_the_worst_example_first(tmp_path):
    findings = [finding(what="small", score=1), finding(what="smallest", score=9), finding("outside", "error")]
    text = page_of(tmp_path, findings)
    assert text.index('id="outside"') < text.index('id="tiny"')
    assert text.index("smallest") < text.index("small<")
    assert "1 error</span>" in text
    assert "2 warnings</span>" in text


def test_many_findings_are_counted_and_the_first_shown(tmp_path):
    page = Page(page_of(tmp_path, [finding(what=f"number {index}") for index in range(LISTED + 5)]))
    assert len(page.pictures) == EXAMPLES
    assert f"{LISTED + 5} findings" in page.text
    assert "... and 5 more in report.json" in page.text


@pytest.mark.parametrize("problem", [InputError("unreadable"), OSError("gone")], ids=["damaged", "missing"])
def test_a_photo_that_cannot_be_shown_is_still_listed(tmp_path, problem):
    def fail(_key):
        raise problem

    page = Page(page_of(tmp_path, [finding()], read=fail))
    assert page.pictures == []
    assert "labels/a.txt:1: is 3 px" in page.text


def test_nothing_of_a_file_name_becomes_html_and_nothing_is_loaded_from_elsewhere(tmp_path):
    text = page_of(tmp_path, [finding(what="<script>alert(1)</script>", photo="<b>.png")])
    assert "<script" not in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "http" not in text.replace("https://www.w3.org", "")


def test_suspects_are_shown_below(tmp_path):
    suspect = Marked("a.png", (300.0, 200.0, 320.0, 215.0), "labelled car, seen as boat")
    page = Page(page_of(tmp_path, [], suspects=[suspect]))
    assert len(page.pictures) == 1
    assert "labelled car, seen as boat" in page.text
    assert any("most suspicious of 1" in text for text in page.text)


@pytest.mark.parametrize(
    "box",
    [(-5000.0, -5000.0, 9e9, 9e9), (700.0, 500.0, 800.0, 600.0), (50.0, 50.0, 50.0, 50.0), (90.0, 90.0, 10.0, 10.0)],
    ids=["huge", "outside", "empty", "swapped"],
)
def test_odd_boxes_are_drawn_without_trouble(tmp_path, box):
    page = Page(page_of(tmp_path, [], suspects=[Marked("a.png", box, "odd")]))
    assert len(page.pictures) == 1
