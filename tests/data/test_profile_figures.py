"""Figures for notebooks: matplotlib figures with the numbers of the profile, without global state."""

import sys

import numpy as np
import pytest
from profile_columns import made_box, made_profile

from factories import make_survey_source
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.profile import figures
from overflight.data.profile.measure import measure
from overflight.data.reading import read_source
from overflight.errors import ResourceError, UsageError

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is in the extra explore")

EMPTY = made_profile([])
SURVEY = made_profile(
    [
        {"flight": "a", "site": "site-1", "latitude_deg": 52.0, "longitude_deg": 13.0, "mean_luma": 100.0},
        {"flight": "b", "site": "site-1", "latitude_deg": 52.001, "longitude_deg": 13.0, "mean_luma": 120.0},
        {"flight": "b", "mean_luma": 45.0},
    ],
    [made_box(0, side=20.0), made_box(0, side=40.0), made_box(1, side=80.0, class_id=1, at=(0.1, 0.9))],
)


@pytest.mark.parametrize("profile", [SURVEY, EMPTY], ids=["survey", "empty"])
@pytest.mark.parametrize(
    "draw",
    [
        figures.class_balance,
        figures.box_sizes,
        figures.flight_map,
        figures.quality,
        lambda profile: figures.by_flight(profile, "mean_luma"),
        figures.heat_map,
        lambda profile: figures.examples(profile, None, []),
    ],
    ids=["class_balance", "box_sizes", "flight_map", "quality", "by_flight", "heat_map", "examples"],
)
def test_every_figure_can_be_drawn_also_of_nothing(draw, profile):
    figure = draw(profile)
    assert isinstance(figure, matplotlib.figure.Figure)
    figure.canvas.draw()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_class_balance_has_a_bar_per_class_most_first():
    axes = figures.class_balance(SURVEY).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [2, 1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["car", "bus"]


@pytest.mark.parametrize("unit", ["px", "cm"])
def test_box_sizes_hold_every_box(unit):
    boxes = [made_box(0, side=20.0 * index, box_side_cm=50.0 * index, class_id=index % 2) for index in range(1, 9)]
    axes = figures.box_sizes(made_profile([{}], boxes), unit=unit).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 8
    assert axes.get_xlabel() == f"side ({unit})"
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"car", "bus"}


def test_the_map_is_in_metres_with_north_up():
    axes = figures.flight_map(SURVEY).axes[0]
    a, b = (line.get_xydata()[0] for line in axes.lines)
    assert b - a == pytest.approx([0, 111.3], abs=0.5)
    assert [line.get_label() for line in axes.lines] == ["a", "b"]


def test_quality_marks_limits_near_the_values():
    axes = figures.quality(SURVEY, columns=["mean_luma"], catalogue=load_catalogue()).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 3
    assert [line.get_xdata()[0] for line in axes.lines] == [40.0]


def test_the_heat_map_has_the_centres_where_they_are():
    (image,) = figures.heat_map(SURVEY, cells=10).axes[0].images
    counts = np.asarray(image.get_array())
    assert counts.sum() == 3
    assert counts[9, 1] == 1
    assert counts[5, 5] == 2


def test_examples_show_photographs_with_their_boxes(tmp_path):
    read = read_source(make_survey_source(tmp_path, flights=1, photos=2), name="cars")
    keys = [photo.key for photo in read.files.photos]
    figure = figures.examples(measure(read), read, [*keys, "gone.jpg"], captions={keys[0]: "first"})
    shown = figure.axes
    assert shown[0].get_title() == "first"
    assert shown[1].get_title() == "flight1_0002.jpg (flight1)"
    for axes, key in zip(shown, keys, strict=False):
        assert len(axes.images) == 1
        labels = read.subject.labels.photos[key]
        drawn = [line.get_xydata() for line in axes.lines]
        assert [[*line.min(axis=0), *line.max(axis=0)] for line in drawn] == [
            pytest.approx(box) for box in labels.xyxy_px.tolist()
        ]
    assert not shown[2].images
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["car", "boat"]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: figures.box_sizes(SURVEY, unit="inch"), id="unit"),
        pytest.param(lambda: figures.by_flight(SURVEY, "brightness"), id="column"),
        pytest.param(lambda: figures.quality(SURVEY, columns=["flight"]), id="words"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call):
    with pytest.raises(UsageError):
        call()


def test_without_matplotlib_the_cure_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ResourceError, match=r"overflight\[explore\]"):
        figures.heat_map(SURVEY)
