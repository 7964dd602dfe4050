"""What is stored with a model, and how far later photographs are from it."""

import json

import numpy as np
import pytest
from pictures import jpeg, town
from test_profile import NADIR, known, read_of

from label_subjects import photo
from overflight.data.facts import photo_facts
from overflight.data.metadata import PhotoMetadata
from overflight.data.profile.baseline import baseline, compare_profiles, psi
from overflight.data.profile.measure import measure
from overflight.data.profile.tables import BOX_FEATURES
from overflight.errors import InputError


def survey(*, factor=1.0, altitude_m=50.0, light=0, classes=("car", "bus"), seed=0, count=12):
    random = np.random.default_rng(seed)
    facts, labels = [], {}
    for number in range(count):
        key = f"{number}"
        picture = np.clip(town(number + seed, size_wh=(96, 72)).astype(int) + light, 0, 255).astype(np.uint8)
        pixels = photo_facts(jpeg(picture), key=key, decode=True).pixels
        facts.append(known(key, PhotoMetadata(**{**vars(NADIR), "altitude_agl_m": altitude_m}), pixels=pixels))
        corners = random.uniform(0, 250, (20, 2))
        boxes = np.concatenate([corners, corners + factor * random.uniform(10, 40, (20, 2))], axis=1)
        labels[key] = photo(*boxes, classes=random.integers(0, 2, 20))
    return measure(read_of(facts, labels, classes=classes))


@pytest.fixture(scope="module")
def reference():
    return survey()


def test_a_survey_is_like_itself(reference):
    for document in (baseline(reference), reference.summary, json.loads(json.dumps(baseline(reference)))):
        shifts = compare_profiles(document, reference)
        assert {shift.feature for shift in shifts} >= {
            "photos.mean_luma",
            "boxes.box_side_px",
            "classes",
            "altitude_band",
        }
        assert max(shift.psi for shift in shifts) < 1e-9
        assert max(shift.ks for shift in shifts) < 1e-9


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        ({"factor": 2.5}, "boxes.box_side_px"),
        ({"altitude_m": 90.0}, "altitude_band"),
        ({"light": 60}, "photos.mean_luma"),
        ({"classes": ("bus", "van")}, "classes"),
    ],
)
def test_what_moved_is_named(reference, change, feature):
    shifts = {shift.feature: shift for shift in compare_profiles(baseline(reference), survey(**change))}
    assert shifts[feature].psi > 0.25
    assert shifts[feature].ks > 0.3
    assert shifts["photos.gimbal_pitch_deg"].psi < 1e-9


def test_the_largest_shift_comes_first(reference):
    values = [shift.psi for shift in compare_profiles(baseline(reference), survey(factor=2, light=30))]
    assert values == sorted(values, reverse=True)


def test_a_survey_without_boxes_is_compared_by_its_pixels(reference):
    later = measure(read_of([known("a")]))
    features = {shift.feature for shift in compare_profiles(baseline(reference), later)}
    assert not any(name.startswith("boxes.") or name == "classes" for name in features)
    assert "photos.altitude_agl_m" in features
    assert compare_profiles(baseline(later), reference)


def test_baselines_stay_small():
    names = tuple(f"class {'x' * 300} {number}" for number in range(3000))
    labels = {f"{n}": photo((0, 0, 9, 9), (30, 30, 50, 50), classes=[n, n + 1]) for n in range(400)}
    flights = {key: f"flight {key}" for key in labels}
    profile = measure(read_of([known(key) for key in labels], labels, classes=names, flights=flights))
    found = baseline(profile)
    assert len(json.dumps(found)) < 200_000
    assert sum(entry["boxes"] for entry in found["class_balance"]) == 800


def test_other_documents_are_refused(reference):
    with pytest.raises(InputError, match="schema"):
        compare_profiles({"schema": "another/1"}, reference)


def test_chance_alone_is_no_shift():
    for shift in compare_profiles(baseline(survey(count=40)), survey(count=40, seed=1000)):
        assert shift.psi < (1.0 if shift.feature.startswith("photos.") else 0.1), shift


def test_psi_by_hand():
    p, q = np.array([499.5, 499.5]), np.array([249.5, 749.5])
    assert psi(p, q) == pytest.approx(-0.25 * np.log(0.5) + 0.25 * np.log(1.5))
    assert np.isfinite(psi(np.array([1.0, 0.0]), np.array([0.0, 1.0])))


def test_every_box_feature_has_a_distribution(reference):
    assert set(reference.summary["features"]["boxes"]) == set(BOX_FEATURES)
