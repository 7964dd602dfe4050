"""The command line: exit codes, one-line errors, JSON, plain output when nobody watches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import UnauthorizedSSOTokenError

from factories import make_survey_source
from overflight.cli.main import cli, main

OVERFLIGHT = [sys.executable, "-m", "overflight.cli.main"]


@pytest.fixture
def run(tmp_path):
    """Run ``overflight`` as its own process in an empty folder."""

    def call(*arguments, **environment):
        env = {key: value for key, value in os.environ.items() if not key.startswith("OVERFLIGHT_")}
        return subprocess.run(
            [*OVERFLIGHT, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=env | environment,
            check=False,
        )

    return call


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        pytest.param(["survey", "show", "nowhere"], {}, 4, "there is no such survey", id="unknown-survey"),
        pytest.param(["runs", "show", "ffff"], {}, 4, "no run has this id", id="unknown-run"),
        pytest.param(["models", "show", "cars/1"], {}, 4, "no such model package", id="unknown-package"),
        pytest.param(["endpoints", "show", "cars"], {}, 4, "no such endpoint", id="unknown-endpoint"),
        pytest.param(["predict", "cars", "missing.jpg"], {}, 4, "no such file", id="missing-photo"),
        pytest.param(["survey", "add", "nowhere", "--name", "x"], {}, 4, "nowhere", id="missing-folder"),
        pytest.param(["survey", "add", ".", "--name", "A b"], {}, 2, "name", id="bad-survey-name"),
        pytest.param(["survey", "synth", "--size", "big"], {}, 2, "WIDTHxHEIGHT", id="bad-size"),
        pytest.param(["survey", "synth", "--class-mix", "car"], {}, 2, "CLASS=WEIGHT", id="bad-class-mix"),
        pytest.param(["survey", "synth", "--size", "10x10"], {}, 2, "--size: width and height", id="tiny-size"),
        pytest.param(["survey", "synth", "--altitude", "50", "20"], {}, 2, "--altitude: ", id="altitudes-swapped"),
        pytest.param(["demo", "--data", "nowhere"], {}, 2, "is not a folder", id="demo-without-data"),
        pytest.param(["status"], {"OVERFLIGHT_PLATFORM": "mars"}, 2, "OVERFLIGHT_PLATFORM", id="bad-platform"),
        pytest.param(["status"], {"OVERFLIGHT_REGION": "here"}, 2, "OVERFLIGHT_REGION", id="bad-region"),
        pytest.param(["--as", "pilot", "survey", "list"], {}, 5, "pilot", id="unknown-role"),
        pytest.param(["nonsense"], {}, 2, "No such command", id="unknown-command"),
    ],
)
def test_errors_are_one_line_with_the_exit_code_of_their_kind(run, arguments, environment, code, says):
    answer = run(*arguments, **environment)
    assert answer.returncode == code, answer.stderr
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_with_json_an_error_is_an_object_on_stdout(run):
    answer = run("survey", "show", "nowhere", "--json")
    error = json.loads(answer.stdout)["error"]
    assert (error["kind"], error["exit_code"], error["where"]) == ("NotFoundError", 4, "nowhere")
    assert error["cure"]


def test_a_missing_profile_is_said_with_the_cure(run, tmp_path):
    nothing = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    answer = run("--platform", "aws", "survey", "list", **nothing)
    assert answer.returncode == 6
    assert "ab" in answer.stderr
    assert "aws configure" in answer.stderr


def test_empty_accounts_list_nothing_and_say_what_to_do(run):
    for command, hint in (
        (["survey", "list"], "survey add"),
        (["runs", "list"], "run train"),
        (["models", "list"], "run train"),
        (["endpoints", "list"], "deploy"),
    ):
        answer = run(*command)
        assert answer.returncode == 0
        assert hint in answer.stdout
        assert json.loads(run(*command, "--json").stdout) == []


def test_status_of_an_unused_account_starts_nothing(run, tmp_path):
    facts = json.loads(run("status", "--json").stdout)
    assert facts["supervisor"] is None
    assert facts["endpoints"] == []
    assert not (tmp_path / ".overflight").exists()


def test_a_survey_is_added_once_and_shown(run, tmp_path):
    source = make_survey_source(tmp_path / "photos")
    first = json.loads(run("survey", "add", source, "--name", "harbour", "--json").stdout)
    again = json.loads(run("survey", "add", source, "--name", "harbour", "--json").stdout)
    assert first == again
    assert [row["name"] for row in json.loads(run("survey", "list", "--json").stdout)] == ["harbour"]
    shown = json.loads(run("survey", "show", f"harbour@{first['digest'][:8]}", "--json").stdout)
    assert shown["photos"] == first["photos"]


def test_warnings_of_the_reader_are_shown(run, tmp_path):
    source = make_survey_source(tmp_path / "photos", flights=2, photos=1)
    (source / "labels/flight1/orphan.txt").write_text("")
    assert "warning: labels/flight1/orphan.txt: no photo belongs" in run("survey", "add", source, "--name", "a").stderr
    warnings = json.loads(run("survey", "add", source, "--name", "a", "--json").stdout)["warnings"]
    assert sum("orphan.txt" in warning for warning in warnings) == 1


def test_down_says_what_it_did(run):
    assert run("down").stdout == "Nothing was running.\n"
    assert json.loads(run("down", "--json").stdout) == {"runs": 0, "supervisor": False, "mlflow": False}


def test_a_faulty_survey_is_refused_or_quarantined_never_half_added(run, tmp_path):
    source = make_survey_source(tmp_path / "photos")
    broken = sorted(source.rglob("*.jpg"))[0]
    broken.write_bytes(b"not a picture")
    refused = run("survey", "add", source, "--name", "harbour")
    assert refused.returncode == 3
    assert broken.name in refused.stderr
    assert json.loads(run("survey", "list", "--json").stdout) == []
    added = json.loads(run("survey", "add", source, "--name", "harbour", "--quarantine", "--json").stdout)
    assert added["quarantined"] == 1
    assert added["photos"] + added["quarantined"] == len(list(source.rglob("*.jpg")))


def test_photographs_that_only_labels_name_are_quarantined_in_every_place(run, tmp_path):
    source = make_survey_source(tmp_path / "photos")
    label = next((source / "labels").rglob("*.txt"))
    label.with_name("orphan.txt").write_bytes(label.read_bytes())
    added = json.loads(run("survey", "add", source, "--name", "harbour", "--json").stdout)
    shown = json.loads(run("survey", "show", "harbour", "--json").stdout)
    assert added["quarantined"] == shown["quarantined"] == added["ledger"]["photos_quarantined"] == 1


def test_output_into_a_pipe_has_no_control_characters(run):
    answer = run("pipeline", "show")
    assert "\x1b" not in answer.stdout + answer.stderr
    assert "Validate" in answer.stdout


def test_the_definition_is_json_that_sagemaker_takes(run):
    definition = json.loads(run("pipeline", "show", "--json").stdout)
    assert definition["Version"] == "2020-12-01"


def test_help_names_every_command(run):
    text = run("--help").stdout
    for name in (
        "demo",
        "survey",
        "run",
        "runs",
        "models",
        "deploy",
        "endpoints",
        "predict",
        "mlflow",
        "status",
        "down",
    ):
        assert name in text


def test_every_command_takes_json_and_every_option_has_a_help():
    def commands(command, name=""):
        for word, child in getattr(command, "commands", {}).items():
            yield from commands(child, f"{name} {word}")
        if not hasattr(command, "commands"):
            yield name, [option for option in command.params if option.param_type_name == "option"]

    for name, options in commands(cli):
        assert "--json" in [word for option in options for word in option.opts], name
        assert [option.name for option in options if not option.help] == [], name


def test_an_error_of_aws_names_the_profile_that_was_chosen(monkeypatch, capsys):
    def fail(*_given, **_options):
        raise UnauthorizedSSOTokenError

    monkeypatch.setattr("overflight.lifecycle.survey_versions.list_surveys", fail)
    monkeypatch.setattr(sys, "argv", ["overflight", "--profile", "fieldwork", "survey", "list"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert "fieldwork" in said
    assert "OVERFLIGHT_PROFILE" not in said


def test_the_program_is_installed():
    assert (Path(sys.executable).parent / "overflight").exists()


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_what_a_check_found_is_shown_also_when_the_safe_cures_do_not_suffice(run, tmp_path, as_json):
    source = make_survey_source(tmp_path / "harbour")
    label = next((source / "labels").rglob("*.txt"))
    label.write_text("0 0.9 0.9 0.6 0.6\n")
    answer = run("survey", "check", source, "--fix", "cured", *(["--json"] if as_json else []))
    assert answer.returncode == 3
    if as_json:
        assert label.name in json.loads(answer.stdout)["not_fixed"]
    else:
        assert "outside" in answer.stdout
        assert label.name in answer.stderr.splitlines()[-1]


def test_a_name_that_cannot_be_used_is_refused_before_the_check_runs(run, tmp_path):
    answer = run("survey", "check", tmp_path / "nowhere", "--fix", "a/b")
    assert answer.returncode == 2
    assert "--fix" in answer.stderr
    assert "cannot be the name of a survey" in answer.stderr
