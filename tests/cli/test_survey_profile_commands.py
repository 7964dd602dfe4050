"""``overflight survey profile|report|browse`` as a person types them."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from factories import make_survey_source
from overflight.cli.main import cli


@pytest.fixture
def overflight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_survey_source(tmp_path / "cars", flights=2, photos=2)

    def call(*arguments):
        result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def test_profile_prints_tables_and_writes_files(overflight, tmp_path):
    shown = overflight("survey", "profile", "cars", "--out", "there")
    for words in ("photos", "median side px", "flight2", "No flight has GPS positions", "Tables: there"):
        assert words in shown
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [
        "boxes.parquet", "neighbours.parquet", "photos.parquet", "profile.json",
    ]  # fmt: skip


def test_profile_as_json_is_the_summary(overflight):
    document = json.loads(overflight("survey", "profile", "cars", "--json"))
    assert document["schema"] == "overflight.profile/1"
    assert document["photos"] == 4


def test_report_is_one_file(overflight, tmp_path):
    assert overflight("survey", "report", "cars", "--out", "a/report.html") == "Report: a/report.html\n"
    assert "<h1>cars</h1>" in (tmp_path / "a/report.html").read_text()


def test_browse_without_a_server_writes_pages(overflight, tmp_path):
    document = json.loads(overflight("survey", "browse", "cars", "--no-serve", "--json"))
    assert document["url"] is None
    assert (tmp_path / ".overflight/browse/cars/index.html").is_file()


def test_browse_serves_until_interrupted(overflight, tmp_path):
    command = [sys.executable, "-m", "overflight.cli.main", "survey", "browse", "cars"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    with process:
        line = process.stdout.readline()
        assert line.startswith("Pages: http://127.0.0.1:")
        with urllib.request.urlopen(line.split()[1] + "photos.js", timeout=10) as response:
            assert b"flight1_0001.jpg" in response.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
