"""What is asked for becomes parameters of the pipeline; what would only fail after the training fails before it."""

import re

import pytest

from factories import make_survey_source
from overflight.errors import InputError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.surveys import add_survey
from overflight.lifecycle.training import group_of, training_parameters
from overflight.settings import Settings

GROUP_NAMES = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # botocore's EntityName


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parameters")
    context = Context(Settings(home=folder / ".overflight"))
    add_survey(context, make_survey_source(folder / "source", photos=1), name="harbour_2.b", progress=Silent())
    return context


@pytest.mark.parametrize("name", ["harbour", "harbour_2.b", "v1.0", "site_", "a" * 63, "a" * 51 + "_b"])
def test_every_survey_name_gives_a_group_that_sagemaker_takes(name):
    assert GROUP_NAMES.fullmatch(group_of(name))


def test_options_become_parameters(context):
    given = {"epochs": 3, "weights": "", "checks": ("dark=off", "tiny.min_side_px=10"), "max_warnings": 0}
    parameters = training_parameters(context, "harbour_2.b", given)
    assert (parameters["SurveyChecks"], parameters["MaxWarnings"]) == ("dark=off,tiny.min_side_px=10", 0)
    assert parameters["SurveyUri"].startswith("s3://")
    assert (parameters["Epochs"], parameters["Weights"]) == (3, "scratch")
    assert parameters["ModelPackageGroup"] == "overflight-harbour-2-b"


def test_a_relative_checkpoint_is_found_from_the_job_too(context, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "start.pt").write_bytes(b"")
    assert training_parameters(context, "harbour_2.b", {"weights": "start.pt"})["Weights"] == str(tmp_path / "start.pt")


@pytest.mark.parametrize(
    ("given", "error", "what"),
    [
        pytest.param({"weights": "none.pt"}, InputError, "no such checkpoint", id="missing checkpoint"),
        pytest.param({"imgsz": 100}, UsageError, "multiple of 32", id="image size"),
        pytest.param({"checks": ("darkness=off",)}, UsageError, "no check 'darkness'", id="unknown check"),
        pytest.param({"group": "my_group"}, UsageError, "package group's name", id="underscore in the group"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(context, given, error, what):
    with pytest.raises(error, match=what):
        training_parameters(context, "harbour_2.b", given)
