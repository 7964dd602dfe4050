"""What a model's figures do not say, found by rule from the facts: few objects, wide intervals, one site, leaks.

A rule speaks only of what it knows: where a fact is missing, the missing is the limit. Thresholds and sentences are in
``model_card_words.yaml``. It does not know what the model will be used for.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from overflight.governance.model_card_facts import KINDS, CardFacts, Measure

_WHOLE_FLIGHTS = ("flight", "ground")  # splits that tear no flight; ground keeps flights over the same ground together
_SYNTHETIC = "synthetic"  # name of the survey that `overflight demo` draws
_SEASON_MONTHS = 3


@dataclass(frozen=True)
class Limit:
    """One limit: the id of its rule, and a sentence."""

    id: str
    text: str


@cache
def words() -> Mapping[str, Any]:
    """Content of ``model_card_words.yaml``."""
    text = files("overflight.governance").joinpath("model_card_words.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def limits(facts: CardFacts) -> tuple[Limit, ...]:
    """Limits that follow from ``facts``, the gravest first."""
    return tuple(Limit(name, words()["limits"][name].format(**given)) for rule in _RULES for name, given in rule(facts))


Found = Iterator[tuple[str, dict[str, Any]]]


def _origin(facts: CardFacts) -> Found:
    if facts.overall("map50") is None:
        yield "not-evaluated", {}
    if is_synthetic(facts):
        yield "synthetic", {}


def _separation(facts: CardFacts) -> Found:
    split_by = facts.dataset.get("split_by")
    if split_by is None:
        yield "split-unknown", {}
    elif split_by not in _WHOLE_FLIGHTS:
        yield "split", {"split_by": split_by}
    leak = facts.leak
    if not leak:
        yield "leak-unknown", {}
    elif leak["leaking"]:
        yield "leak", {"leaking": leak["leaking"], "photos": leak["photos"]["b"], "score": f"{leak['score']:.0%}"}
    if facts.gate == 0:
        yield "no-gate", {}


def _held_out(facts: CardFacts) -> Found:
    whole = facts.overall("map50")
    if whole is None:
        return
    if len(facts.evaluation.get("per_flight", {})) == 1:
        yield "one-flight", {}
    if whole.photos is not None and whole.photos < _limit("few_test_photos"):
        yield "few-photos", {"photos": whole.photos}
    if whole.low is None or whole.high is None:
        yield "no-interval", {}
    elif whole.high - whole.low > _limit("wide_overall"):
        yield "wide-overall", {"figure": whole.figure, "low": f"{whole.low:.2f}", "high": f"{whole.high:.2f}"}
    if "slices" not in facts.evaluation:
        yield "old-evaluation", {}


def _classes(facts: CardFacts) -> Found:
    found = facts.measures("class")
    yield from _named("no-test-boxes", [one.name for one in found if not one.boxes])
    few = [one for one in found if one.boxes and one.boxes < _limit("few_test_boxes")]
    yield from _named("few-test-boxes", [f"{one.name} ({one.boxes})" for one in few])
    learned = facts.trained_boxes()
    rare = [(name, count) for name, count in learned.items() if count < _limit("few_trained_boxes")]
    yield from _named("few-trained-boxes", [f"{name} ({count})" for name, count in rare])
    if any(one.boxes for one in found):
        yield from _named("sizes", [one.name for one in facts.measures("size") if not one.boxes])
    wide = [one for kind in KINDS for one in facts.measures(kind) if (one.width or 0) > _limit("wide_slice")]
    yield from _named("wide-slice", [_interval(one) for one in wide], limit=_limit("wide_slice"))


def _ground(facts: CardFacts) -> Found:
    if not facts.dataset and not facts.baseline:
        return
    trained = facts.trained_gsd_cm()
    if trained is None:
        yield "gsd-unknown", {}
        return
    low, high = trained
    given = {"low": _number(low), "high": _number(high)}
    yield "gsd", given
    test = facts.test_photos.gsd_cm if facts.test_photos else None
    slack = 1 + _limit("gsd_tolerance")
    if test is not None and (test[0] < low / slack or test[2] > high * slack):
        yield "gsd-outside", {**given, "test_low": _number(test[0]), "test_high": _number(test[2])}


def _variety(facts: CardFacts) -> Found:
    known = facts.trained_photos
    if known is None:
        return
    if known.sites == 1:
        yield "one-site", {}
    if len(known.cameras) == 1:
        yield "one-camera", {"camera": next(iter(known.cameras))}
    if not known.months:
        yield "undated", {}
    elif _one_season(known.months):
        yield "one-season", {"months": _listed([calendar.month_name[month] for month in known.months])}
    seen = facts.baseline.get("time_of_day", {})
    if any(seen.get(name) for name in words()["times_of_day"]):
        yield from _named("time-of-day", [name for name in words()["times_of_day"] if not seen.get(name)])


_RULES: tuple[Callable[[CardFacts], Found], ...] = (_origin, _separation, _held_out, _classes, _ground, _variety)


def is_synthetic(facts: CardFacts) -> bool:
    """Whether the survey is the one that the demo draws; of other drawn photographs nothing is known."""
    return str(facts.survey.get("name", "")).split("/")[0] == _SYNTHETIC


def licence_facts(facts: CardFacts, *, data_licence: str) -> tuple[tuple[str, str], ...]:
    """What the licences of program, base weights and data are, as far as it is known."""
    versions = facts.model.get("versions", {})
    rows = [(f"{name} {versions.get(name.lower(), '')}".strip(), text) for name, text in words()["licences"]]
    name, kinds = facts.weights(), words()["weights"]
    if name is None:
        text = kinds["unknown"]
    elif not name:
        text = kinds["none"]
    else:
        text = kinds["official" if name.startswith("yolo") else "other"].format(name=name)
    return (*rows, ("Base weights", text), ("Data", words()["data"].format(licence=data_licence)))


def _one_season(months: Sequence[int]) -> bool:
    """Whether the months lie within three that follow one another, over the turn of the year too."""
    return any({(start + step - 1) % 12 + 1 for step in range(_SEASON_MONTHS)} >= set(months) for start in range(1, 13))


def _named(name: str, names: Sequence[str], **given: Any) -> Found:
    if names:
        yield name, {"names": _listed(names), **given}


def _listed(names: Sequence[str]) -> str:
    most = int(_limit("most_listed"))
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _interval(one: Measure) -> str:
    return f"{one.name} ({one.low:.2f} to {one.high:.2f})"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _limit(name: str) -> float:
    return float(words()["thresholds"][name])
