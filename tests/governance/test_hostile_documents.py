"""Documents that people can write: what fits is kept, the rest is named, and no card or lineage breaks on it."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_model_card import facts

from overflight.governance.documents import fitted, read_document
from overflight.governance.model_card import make_card
from overflight.governance.model_card_facts import photo_facts
from overflight.governance.model_card_page import card_page
from overflight.governance.model_card_stated import StatedFacts
from overflight.governance.model_card_view import view_of
from overflight.lifecycle.lineage_data import dataset_facts, evaluation_facts, model_facts, parts_of_flights

HOSTILE = [None, "x", "\ud800", "y" * 100_000, 7, -1, 10**400, 1e308, float("nan"), True, [], [[]], [{}], {}, {"a": {}}]
DOCUMENTS = {name: getattr(facts(), name) for name in ("evaluation", "dataset", "survey", "baseline", "model")}


def places(value, path=()):
    """Every member of a document, the document itself included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def with_at(value, path, item):
    made = copy.deepcopy(value)
    if not path:
        return item
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = item
    return made


def read(name, value):
    return read_document(f"{name}.json", json.dumps(value)).content


def use(name, content):
    """Everything that is made of a document."""
    card = make_card(facts(**{name: content}), StatedFacts())
    card_page(view_of(card)).encode()
    json.dumps(card.as_dict(), allow_nan=False).encode()
    told = {"dataset": dataset_facts, "evaluation": evaluation_facts, "model": model_facts}.get(name)
    if told is not None:
        assert all(isinstance(text, str) for text in told(content).values())
    if name == "dataset":
        parts_of_flights(content)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_good_document_is_kept_as_it_is(name):
    found = read_document(f"{name}.json", json.dumps(DOCUMENTS[name]))
    assert found.problem == ""
    use(name, found.content)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_in_any_place_breaks_what_is_made_of_it(name):
    for number, path in enumerate(places(DOCUMENTS[name])):
        start = number % len(HOSTILE)
        for item in HOSTILE if len(path) < 2 else (HOSTILE + HOSTILE)[start : start + 3]:
            use(name, read(name, with_at(DOCUMENTS[name], path, item)))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_that_is_missing_breaks_what_is_made_of_it(name):
    for path in places(DOCUMENTS[name]):
        if path:
            made = copy.deepcopy(DOCUMENTS[name])
            inner = made
            for key in path[:-1]:
                inner = inner[key]
            del inner[path[-1]]
            use(name, read(name, made))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "is not a JSON object", id="empty"),
        pytest.param(b"{", "is not a JSON object", id="half"),
        pytest.param(b"\xff\xfe{", "is not a JSON object", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "is not a JSON object", id="deep"),
        pytest.param(b'{"boxes":' + b"9" * 5_000 + b"}", "is not a JSON object", id="a number of 5000 digits"),
        pytest.param(b"[1]", "is not a JSON object", id="a list"),
        pytest.param(b'{"boxes": "many", "photos": -1, "flights": 7, "name": []}',
                     "is not as it should be: boxes, photos, flights and 1 more", id="other types"),
        pytest.param(b'{"flights": {"a": 1, "b": "x"}}', "is not as it should be: flights.b", id="one of several"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(content, problem):
    assert read_document("survey.json", content).problem == problem


def test_members_without_which_the_rest_says_nothing():
    leaks = {"leaks": {"test of train": {"score": 0.1}}}
    found = fitted("dataset.json", leaks)
    assert (found.content, found.problem) == ({"leaks": {}}, "is not as it should be: leaks.test of train")
    assert fitted("manifest.jsonl", {"sha256": "a"}).content == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
LINE = st.fixed_dictionaries(
    {"path": st.text()},
    optional=dict.fromkeys(("gsd_m", "captured_at", "camera_make", "camera_model", "latitude_deg", "boxes"), JSON),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINE, max_size=4))
def test_lines_of_a_manifest(lines):
    photo_facts(read_document("manifest.jsonl", json.dumps(line)).content for line in lines)


@pytest.mark.parametrize("time", ["2026-13-01", "9999-99-99", "yesterday", "2026", 7])
def test_times_that_are_none_are_no_days(time):
    known = photo_facts([{"path": "a", "captured_at": time}])
    assert (known.days, known.months) == (None, ())
