"""Sentences of a report: each is said when its figures ask for it, and not of a clean twin."""

import pytest
from profile_columns import made_box, made_profile

from overflight.data.profile.story import head, stands_out


def said(profile, **counts):
    return {remark.text: remark.tone for remark in stands_out(profile, **counts)}


def flights(*names, **values):
    return [
        {"flight": name, **{key: column[index] for key, column in values.items()}} for index, name in enumerate(names)
    ]


TWO = flights("a", "b", mean_luma=(100, 110))
EVEN = [made_box(photo, class_id=number % 2) for photo in (0, 1) for number in range(40)]

CASES = [
    pytest.param(
        made_profile([*TWO, {"flight": "b", "fault": "truncated"}], EVEN),
        "1 photograph cannot be used",
        "bad",
        id="unusable",
    ),
    pytest.param(made_profile(TWO), "There are no boxes", "bad", id="no-boxes"),
    pytest.param(
        made_profile(TWO, [*EVEN, *[made_box(0)] * 300]), "car is 89% of all boxes", "look", id="dominant-class"
    ),
    pytest.param(
        made_profile(TWO, EVEN, classes=("car", "bus", "cyclist")), "cyclist is declared and never used", "look",
        id="unused-class",
    ),
    pytest.param(
        made_profile(TWO, [*EVEN, *[made_box(0, class_id=2)] * 5], classes=("car", "bus", "boat")),
        "boat (5) has fewer than 20 boxes", "look", id="rare-class",
    ),
    pytest.param(
        made_profile(TWO, [*EVEN, *[made_box(0, class_id=2)] * 30], classes=("car", "bus", "boat")),
        "boat occurs in one flight only", "look", id="class-of-one-flight",
    ),
    pytest.param(
        made_profile([{**photo, "width_px": 4000} for photo in TWO], EVEN), "leaves 6.4 px of it: cut tiles", "look",
        id="small-when-scaled",
    ),
    pytest.param(
        made_profile([*TWO, {"flight": "b", "near_duplicate_of": "p1.jpg"}], EVEN),
        "33% of the photographs nearly repeat another", "look", id="near-duplicates",
    ),
    pytest.param(
        made_profile([*TWO, {"flight": "b", "same_file_as": "p1.jpg"}], EVEN), "1 photograph is an exact copy", "look",
        id="copies",
    ),
    pytest.param(
        made_profile([*TWO, {"flight": "b", "same_ground_as": "p1.jpg"}], EVEN), "33% of the photographs show ground",
        "look", id="same-ground",
    ),
    pytest.param(made_profile(flights("a", "a")), "It is one single flight", "look", id="one-flight"),
    pytest.param(
        made_profile(flights("a", "b", "b", "b"), EVEN), "Flight b holds 75% of the photographs", "look",
        id="large-flight",
    ),
    pytest.param(
        made_profile(flights("a", "b", "c", mean_luma=(100, 100, 30)), EVEN),
        "Flight c is much darker than the survey (by 70 grey levels)", "look", id="dark-flight",
    ),
    pytest.param(
        made_profile(flights("a", "b", latitude_deg=(52, float("nan")), longitude_deg=(13, float("nan"))), EVEN),
        "1 of 2 flights have no GPS positions (b)", "look", id="without-gps",
    ),
    pytest.param(
        made_profile(flights("a", "b", gsd_cm=(2, 6)), EVEN), "the same object is 2.6 times as large", "look",
        id="scales",
    ),
    pytest.param(
        made_profile([*TWO, {"flight": "b", "labelled": False}], EVEN), "1 photograph has no labels at all", "look",
        id="unlabelled",
    ),
    pytest.param(
        made_profile([*TWO, *flights("a", "b")], EVEN), "50% of the labelled photographs hold no object", "look",
        id="empty",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "words", "tone"), CASES)
def test_what_stands_out_is_said(profile, words, tone):
    found = said(profile)
    assert [found[text] for text in found if words in text] == [tone], found


CLEAN = made_profile(
    flights(
        *"abcabc", mean_luma=(100, 104, 108, 101, 103, 107), gsd_cm=[2.0] * 6, latitude_deg=[52.0] * 6,
        longitude_deg=[13.0] * 6,
    ),
    [made_box(photo, class_id=number % 2) for photo in range(6) for number in range(20)],
)  # fmt: skip


def test_of_a_clean_survey_only_good_things_are_said():
    found = stands_out(CLEAN)
    assert found
    assert {remark.tone for remark in found} == {"good"}


@pytest.mark.parametrize(
    ("counts", "words", "tone"),
    [
        pytest.param({"errors": 2, "warnings": 5}, "The checks found 2 errors", "bad", id="errors"),
        pytest.param({"warnings": 1}, "no errors and 1 warning.", "look", id="warnings"),
    ],
)
def test_findings_of_the_checks_come_first(counts, words, tone):
    first = stands_out(CLEAN, **counts)[0]
    assert words in first.text
    assert first.tone == tone


def test_the_head_says_unknown_where_nothing_is_known():
    assert head(made_profile([{}]))["taken"] == "unknown"
    assert head(made_profile([{}]))["ground per pixel (median)"] == "unknown"
    assert head(made_profile([{}]))["side of objects (median)"] == "no boxes"


@pytest.mark.parametrize(
    ("stamps", "text"),
    [
        (["2025-05-01T10:00:00"] * 2, "2025-05-01"),
        (["2025-05-01T10:00:00", "2025-05-03T10:00:00"], "2025-05"),
        (["2025-05-01T10:00:00", "", "2024-12-03T10:00:00"], "2024-12 to 2025-05"),
    ],
    ids=["day", "month", "months"],
)
def test_the_head_says_when(stamps, text):
    assert head(made_profile([{"captured_at": stamp} for stamp in stamps]))["taken"] == text
