"""The profile of a part of a survey equals the profile of these photographs alone."""

import numpy as np
import pytest

from factories import make_survey_source
from overflight.data.profile.measure import measure
from overflight.data.profile.part import part_of
from overflight.data.reading import read_source


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    source = make_survey_source(tmp_path_factory.mktemp("part") / "source", flights=3, photos=2, size_wh=(160, 120))
    return measure(read_source(source, name="harbour"))


def test_all_photographs_are_the_whole(whole):
    part = part_of(whole, whole.photos["photo"].tolist())
    assert part.summary == whole.summary


def test_a_part_has_its_own_figures_and_no_others(whole, tmp_path):
    source = make_survey_source(tmp_path / "source", flights=3, photos=2, size_wh=(160, 120))
    keys = [key for key in whole.photos["photo"].tolist() if "flight2" in key]
    part = part_of(whole, keys)
    for kind in ("images", "labels"):
        for flight in (1, 3):
            for path in (source / kind / f"flight{flight}").iterdir():
                path.unlink()
    alone = measure(read_source(source, name="harbour"))
    assert part.photos["photo"].tolist() == alone.photos["photo"].tolist() == keys
    assert part.boxes["photo_index"].tolist() == alone.boxes["photo_index"].tolist()
    np.testing.assert_array_equal(part.boxes["box_width_px"], alone.boxes["box_width_px"])
    assert part.summary["features"] == alone.summary["features"]


def test_no_photographs_have_no_figures(whole):
    part = part_of(whole, [])
    assert (len(part), part.summary["boxes"]) == (0, 0)
