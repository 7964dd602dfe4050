"""profile.json and the Parquet files: figures, exact round trip, damage."""

import json
import math
import sys

import numpy as np
import pytest
from test_profile import known, read_of

from label_subjects import photo
from overflight.data.profile.measure import measure
from overflight.data.profile.parquet import read_profile, read_summary, write_profile
from overflight.data.profile.summary import MOST_DESCRIBED, QUANTILES, co_occurrence, distribution, heat_map
from overflight.data.profile.tables import GROUPS, boxes_frame, photos_frame
from overflight.errors import InputError, ResourceError


@pytest.fixture
def profile():
    labels = {
        "a ü.jpg": photo((0, 0, 40, 30), (100, 100, 140, 160), (300, 200, 330, 240), classes=[0, 1, 1]),
        "b.jpg": photo((10, 10, 60, 40), classes=[0]),
        "c.jpg": photo(classes=[]),
    }
    return measure(read_of([known(key) for key in labels], labels, flights={"b.jpg": "second"}))


def test_the_summary_is_json_without_nan(profile):
    text = json.dumps(profile.summary, allow_nan=False)
    assert json.loads(text) == profile.summary
    assert profile.summary["schema"] == "overflight.profile/1"


def test_classes_and_what_occurs_together(profile):
    assert profile.summary["co_occurrence"] == [[2, 1], [1, 1]]
    car, bus = profile.summary["class_balance"]
    assert (car["boxes"], car["photos"], car["share"]) == (2, 2, 0.5)
    assert (bus["boxes"], bus["photos"]) == (2, 1)
    assert bus["median_side_px"] == pytest.approx((math.sqrt(2400) + math.sqrt(1200)) / 2, rel=1e-5)


def test_groups_add_up(profile):
    for group in GROUPS:
        found = profile.summary["groups"][group].values()
        assert sum(entry["photos"] for entry in found) == 3
        assert sum(entry["boxes"] for entry in found) == 4
    flights = profile.summary["groups"]["flight"]
    assert list(flights) == ["a", "second"]
    assert flights["a"]["classes"] == {"car": 1, "bus": 2}
    assert flights["second"]["features"]["boxes"]["mean"] == 1


def test_distributions():
    values = np.concatenate([np.arange(101.0), [math.nan, math.inf]])
    found = distribution("anything", values)
    assert (found["count"], found["mean"], found["min"], found["max"]) == (101, 50, 0, 100)
    assert found["quantiles"] == {str(percent): float(percent) for percent in QUANTILES}
    assert sum(found["histogram"]["counts"]) == 101
    assert len(found["histogram"]["edges"]) == len(found["histogram"]["counts"]) + 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mean_luma", [3.0, 300.0]),
        ("sharpness", [0.0, 0.0]),
        ("sharpness", [1.0, 1e6, 7.0]),
        ("boxes", [0.0]),
        ("width_px", [4000.0] * 5),
        ("file_bytes", [1.0]),
    ],
)
def test_histograms_hold_everything(name, values):
    histogram = distribution(name, np.array(values))["histogram"]
    assert sum(histogram["counts"]) == len(values)
    assert (np.diff(histogram["edges"]) > 0).all()


def test_the_heat_map_has_rows_from_the_top():
    centres = {"centre_x": np.array([0.01, 0.99, -3.0, 1.0, math.nan]), "centre_y": np.array([0.01, 0.5, 7.0, 1.0, 0])}
    found = heat_map(centres)
    assert found.shape == (32, 32)
    assert (found[0, 0], found[16, 31], found[31, 0], found[31, 31], found.sum()) == (1, 1, 1, 1, 4)


def test_co_occurrence_counts_photographs_not_boxes():
    boxes = {"photo_index": np.array([0, 0, 0, 2, 3, 3]), "class_id": np.array([1, 1, 2, 1, 0, 2])}
    assert co_occurrence(boxes, classes=3).tolist() == [[1, 0, 1], [0, 2, 1], [1, 1, 2]]


def test_files_give_back_the_same_profile(profile, tmp_path):
    written = write_profile(profile, tmp_path)
    assert [path.name for path in written] == ["photos.parquet", "boxes.parquet", "neighbours.parquet", "profile.json"]
    back = read_profile(tmp_path)
    assert back.summary == profile.summary
    assert (back.name, back.classes, back.notes) == (profile.name, profile.classes, profile.notes)
    for table in ("photos", "boxes", "neighbours"):
        ours, theirs = getattr(profile, table), getattr(back, table)
        assert list(ours) == list(theirs)
        for name, values in ours.items():
            assert values.dtype == theirs[name].dtype, name
            np.testing.assert_array_equal(values, theirs[name], err_msg=name)
    assert photos_frame(back).equals(photos_frame(profile))


def test_equal_profiles_are_equal_files(profile, tmp_path):
    first = [path.read_bytes() for path in write_profile(profile, tmp_path / "1")]
    assert first == [path.read_bytes() for path in write_profile(profile, tmp_path / "2")]


@pytest.mark.parametrize("rows", [0, 1])
def test_almost_nothing_goes_through_files_too(rows, tmp_path):
    profile = measure(read_of([known("a")][:rows], classes=()))
    write_profile(profile, tmp_path)
    assert len(read_profile(tmp_path)) == rows


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("photos.parquet", b"no table", "damaged"),
        ("boxes.parquet", None, "missing"),
        ("profile.json", b"{", "damaged"),
        ("profile.json", b"[" * 100_000, "damaged"),
        ("profile.json", b"\xff\xfe", "damaged"),
        ("profile.json", b"[]", "schema"),
        ("profile.json", b'{"schema": "overflight.profile/2"}', "schema"),
        ("profile.json", None, "no profile"),
    ],
)
def test_damaged_files_are_refused_with_a_cure(profile, tmp_path, file, content, said):
    write_profile(profile, tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=said) as refused:
        read_profile(tmp_path)
    assert file in str(refused.value)
    assert "survey profile" in str(refused.value)


def test_a_table_of_another_kind_is_refused(profile, tmp_path):
    write_profile(profile, tmp_path)
    (tmp_path / "photos.parquet").write_bytes((tmp_path / "boxes.parquet").read_bytes())
    with pytest.raises(InputError, match="no column 'photo'"):
        read_profile(tmp_path)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("pandas", lambda profile, _: photos_frame(profile)),
        ("pandas", lambda profile, _: boxes_frame(profile)),
        ("pyarrow", write_profile),
        ("pyarrow", lambda _, folder: read_profile(folder)),
    ],
)
def test_without_the_extra_one_is_told_its_name(profile, tmp_path, monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ResourceError, match=r"pip install overflight\[explore\]"):
        call(profile, tmp_path)


def test_the_summary_alone_needs_no_library(profile, tmp_path, monkeypatch):
    write_profile(profile, tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert read_summary(tmp_path) == profile.summary


def test_frames_know_names_and_order(profile):
    boxes = boxes_frame(profile)
    assert boxes["photo"].tolist() == ["a ü.jpg"] * 3 + ["b.jpg"]
    assert boxes["class_name"].tolist() == ["car", "bus", "bus", "car"]
    assert boxes["flight"].tolist() == ["a", "a", "a", "second"]
    assert photos_frame(profile)["altitude_band"].cat.ordered


def test_classes_of_one_name_can_be_told_apart():
    profile = measure(read_of([], {"a": photo((0, 0, 9, 9), (20, 20, 30, 30), classes=[0, 1])}, classes=("car", "car")))
    assert boxes_frame(profile)["class_name"].tolist() == ["car", "car (1)"]


def test_only_the_largest_of_very_many_flights_are_described():
    keys = [f"{number}" for number in range(MOST_DESCRIBED + 21)]
    flights = {key: f"flight {key}" for key in keys} | {keys[-1]: f"flight {keys[-2]}"}
    profile = measure(read_of([known(key) for key in keys], flights=flights))
    found = profile.summary["groups"]["flight"]
    assert len(found) == MOST_DESCRIBED + 20
    assert sum(bool(entry["features"]) for entry in found.values()) == MOST_DESCRIBED
    assert found[f"flight {keys[-2]}"]["features"]
    assert list(found)[:3] == ["flight 0", "flight 1", "flight 2"]
