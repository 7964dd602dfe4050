"""Charts: what is drawn is what is counted, tooltips say it, names never become HTML."""

import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.profile import charts
from overflight.data.profile.charts import Bar, Limit, number, ticks
from overflight.data.profile.ground_map import HEIGHT, WIDTH, Place, map_of
from overflight.imaging.geo import metres_per_degree


def parsed(markup):
    """Charts are well-formed XML, so that a browser reads what was meant."""
    return ET.fromstring(f"<all>{markup}</all>")


def titles(markup):
    return [element.text for element in parsed(markup).iter("title")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1234.4, "1,234"), (-1234.4, "-1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123"),
        (2.0, "2"), (0.00001234, "1.2e-05"), (math.nan, "unknown"), (math.inf, "unknown"), (99.96, "100"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(value, text):
    assert number(value) == text


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_within(low, span):
    high = low + span
    found = ticks(low, high)
    step = 1e-9 * max(abs(low), abs(high)) + 1e-11
    assert len(found) <= 7
    assert all(low - step - span * 1e-6 <= tick <= high + step + span * 1e-6 for tick in found)
    assert len(set(found)) == len(found)


def test_a_histogram_counts_every_known_value_once():
    values = np.concatenate([np.linspace(0, 100, 500), [np.nan] * 7])
    counts = [int(re.search(r": ([\d,]+) photos?", title)[1].replace(",", "")) for title in titles(
        charts.histogram(values, unit="m")) if " photo" in title]  # fmt: skip
    assert sum(counts) == 500


def test_a_long_tail_is_one_bar():
    found = charts.histogram(np.concatenate([np.linspace(0, 10, 995), [1e6] * 5]), unit="m")
    assert "last bar: and more" in found
    assert any("and more m:" in title for title in titles(found))


def test_counts_have_bars_of_whole_numbers():
    found = titles(charts.histogram(np.array([0, 0, 1, 3, 3, 3.0]), unit="boxes", whole=True))
    assert found == ["0 boxes: 2 photos", "1 boxes: 1 photo", "3 boxes: 3 photos"]


def test_a_few_different_values_are_named_and_nothing_known_is_said():
    assert "98.9 (2 photos), 120 (1 photo)" in charts.histogram(np.array([98.9, 98.9, 120]), unit="m")
    assert "not known" in charts.histogram(np.array([np.nan]), unit="m")


@pytest.mark.parametrize(("value", "drawn"), [(40, True), (400, False)], ids=["within", "far"])
def test_limits_are_marked_within_the_range_only(value, drawn):
    found = charts.histogram(np.linspace(0, 100, 50), unit="m", limits=[Limit(value, "dark")])
    assert ('class="limit"' in found) is drawn


def test_bars_are_as_long_as_their_values():
    found = charts.bars([Bar("car", (30.0, 10.0), "40"), Bar("bus", (10.0,), "10"), Bar("none", (0.0,), "0")])
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", found)]
    assert widths == [75, 25, 25]


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda bad: charts.bars([Bar(bad, (1.0,), bad, 0, (bad,))]), id="bars"),
        pytest.param(lambda bad: charts.strips([(bad, [0.5], bad, [bad])], colours=[0]), id="strips"),
        pytest.param(lambda bad: charts.legend({bad: 0}), id="legend"),
        pytest.param(lambda bad: charts.table([bad, bad], [[bad, bad]]), id="table"),
        pytest.param(lambda bad: charts.heat(np.ones((1, 1)), titles=[[bad]]), id="heat"),
        pytest.param(
            lambda bad: charts.scatter(np.ones(1), np.ones(1), names=[bad], colours=[0], x_unit=bad, y_unit=bad),
            id="scatter",
        ),
        pytest.param(lambda bad: charts.histogram(np.arange(9.0), unit=bad, limits=[Limit(4, bad)]), id="histogram"),
        pytest.param(lambda bad: map_of([Place((13.4, 52.5), None, 0, bad)]), id="map"),
    ],
)
def test_names_never_become_html(draw):
    found = draw('<script>alert("x")</script>&amp;')
    assert "<script" not in found
    parsed(found)


def test_heat_is_darkest_where_most_is():
    found = charts.heat(np.array([[0.0, 1.0], [4.0, 2.0]]), titles=[["a", "b"], ["c", "d"]])
    strengths = dict(zip(titles(found), map(float, re.findall(r'fill-opacity="([\d.]+)"', found)), strict=True))
    assert list(strengths) == ["b", "c", "d"]
    assert strengths["c"] == 1.0
    assert strengths["b"] < strengths["d"] < 1


def test_a_million_points_stay_a_small_picture():
    many = np.linspace(0, 1, 1_000_000)
    found = charts.scatter(many, many, names=["p"] * len(many), colours=[0] * len(many), x_unit="m", y_unit="m")
    assert found.count("<circle") <= 1500


def test_the_map_keeps_distances_and_north_is_up():
    east_m, north_m = metres_per_degree(52.5)
    places = [
        Place((13.4 + x / east_m, 52.5 + y / north_m), None, 0, f"{x},{y}") for x, y in [(0, 0), (300, 0), (0, 150)]
    ]
    found = map_of(places)
    circles = parsed(found).iter("circle")
    at = {circle.find("title").text: (float(circle.get("cx")), float(circle.get("cy"))) for circle in circles}
    bar_px, bar_m = bar_of(found)
    for name, (east, north) in {"300,0": (300, 0), "0,150": (0, 150)}.items():
        right, up = at[name][0] - at["0,0"][0], at["0,0"][1] - at[name][1]
        assert right / bar_px * bar_m == pytest.approx(east, abs=2)
        assert up / bar_px * bar_m == pytest.approx(north, abs=2)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in at.values())


def test_the_map_at_the_antimeridian_is_not_torn():
    found = map_of([Place((179.9999, 0.0), None, 0, "a"), Place((-179.9999, 0.0), None, 0, "b")])
    bar_px, bar_m = bar_of(found)
    a, b = (float(circle.get("cx")) for circle in parsed(found).iter("circle"))
    assert (b - a) / bar_px * bar_m == pytest.approx(22.3, abs=1)


def bar_of(markup):
    """Length of the scale bar in pixels of the map and in metres."""
    path = next(path.get("d") for path in parsed(markup).iter("path") if "H" in path.get("d"))
    text = next(text.text for text in parsed(markup).iter("text") if text.text.endswith("m"))
    metres = float(text.split()[0].replace(",", "")) * (1000 if text.endswith("km") else 1)
    return float(re.search(r"H([\d.]+)", path)[1]) - 14, metres


def test_footprints_are_outlines():
    corners = np.array([[13.399, 52.499], [13.401, 52.499], [13.401, 52.501], [13.399, 52.501]])
    polygon = next(parsed(map_of([Place((13.4, 52.5), corners, 3, "p")])).iter("polygon"))
    assert polygon.get("class") == "s3"
    points = np.array([pair.split(",") for pair in polygon.get("points").split()], dtype=float)
    assert np.ptp(points[:, 1]) / np.ptp(points[:, 0]) == pytest.approx(1 / math.cos(math.radians(52.5)), rel=0.01)
