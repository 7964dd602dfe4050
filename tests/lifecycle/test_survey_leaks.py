"""Leaks measured as a person does it: lists of a source, two lists, folders, stored surveys, the published split."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from factories import make_survey_source
from overflight.cli.app import App
from overflight.cli.survey_leaks import leaks
from overflight.errors import InputError, RefusedError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.survey_leaks import LeakOptions, find_leaks
from overflight.lifecycle.surveys import add_survey
from overflight.settings import Settings

QUIET = Silent()
CARS = Path(__file__).parents[2].parent / "shared/data/aerial-cars"
needs_photographs = pytest.mark.skipif(not CARS.exists(), reason="the real photographs are not here")


@pytest.fixture
def context(tmp_path):
    return Context(Settings(home=tmp_path / ".overflight"))


@pytest.fixture
def source(tmp_path):
    """Three flights of two photographs; lists that tear flight2, and one photograph twice under another name."""
    root = make_survey_source(tmp_path / "harbour", flights=3, photos=2, size_wh=(160, 120))
    shutil.copy(photo(root, 1, 1), photo(root, 3, 9))
    (root / "train.txt").write_text("images/flight1/flight1_0001.jpg\nimages/flight2/flight2_0001.jpg\n")
    (root / "test.txt").write_text("flight2_0002.jpg\nflight3_0009.jpg\nflight3_0002.jpg\ngone.jpg\n")
    return root


def photo(root, flight, number):
    return root / f"images/flight{flight}/flight{flight}_000{number}.jpg"


def measured(context, first, second=None, **options):
    return find_leaks(context, str(first), second and str(second), options=LeakOptions(**options), progress=QUIET)


def pairs(report):
    return {(Path(pair.b).name, Path(pair.a).name, pair.kind) for pair in report.pairs}


TORN = ("flight2_0002.jpg", "flight2_0001.jpg", "same-flight")
COPIED = ("flight3_0009.jpg", "flight1_0001.jpg", "same-file")


def test_the_source_s_own_split_names_its_pairs(context, source):
    found = measured(context, source)
    assert pairs(found.reports[0]) == {TORN, COPIED}
    assert (found.reports[0].a, found.reports[0].b, round(found.score, 2)) == ("train", "test", 0.67)
    assert any("gone.jpg" in finding.what for finding in found.findings)
    assert "train.txt" in found.notes[0]


def test_lists_two_lists_and_kinds(context, source):
    lists = (source / "train.txt", source / "test.txt")
    assert pairs(measured(context, source, lists=lists).reports[0]) == {TORN, COPIED}
    assert pairs(measured(context, *lists).reports[0]) == {TORN, COPIED}
    assert pairs(measured(context, *lists, kinds=("same-file",)).reports[0]) == {COPIED}
    assert pairs(measured(context, source, lists=lists, pixels=False).reports[0]) == {TORN, COPIED}


def test_two_folders_know_a_flight_by_its_numbered_name_only(context, source, tmp_path):
    for side, numbers in (("one", (1,)), ("two", (2,))):
        for flight in (1, 2):
            for number in numbers:
                target = tmp_path / side / f"flight{flight}_000{number}.jpg"
                target.parent.mkdir(exist_ok=True)
                shutil.copy(photo(source, flight, number), target)
    report = measured(context, tmp_path / "one", tmp_path / "two").reports[0]
    assert pairs(report) == {
        ("flight1_0002.jpg", "flight1_0001.jpg", "same-flight"),
        ("flight2_0002.jpg", "flight2_0001.jpg", "same-flight"),
    }
    for side in ("one", "two"):
        for at in sorted((tmp_path / side).iterdir()):
            at.rename(at.with_name("DJI_" + at.stem[-1] + at.stem[6] + ".jpg"))
    assert measured(context, tmp_path / "one", tmp_path / "two").reports[0].pairs == ()


def test_stored_surveys_are_compared_and_split_by_lists(context, source, tmp_path):
    (source / "test.txt").unlink()
    add_survey(context, str(source), name="harbour", progress=QUIET, quarantine=True)
    lists = (tmp_path / "train.txt", tmp_path / "test.txt")
    lists[0].write_text("flight1_0001.jpg\nflight2_0001.jpg\n")
    lists[1].write_text("flight2_0002.jpg\nflight3_0002.jpg\n")
    assert pairs(measured(context, "harbour", lists=lists).reports[0]) == {TORN}
    for second, options in ((None, {"lists": lists}), ("harbour", {})):
        with pytest.raises(UsageError, match=r"--flights mine\.csv: is for folders .* Leave --flights out"):
            measured(context, "harbour", second, flights=Path("mine.csv"), pixels=False, **options)
    report = measured(context, "harbour", source, pixels=False).reports[0]
    assert report.score == 1.0
    assert report.counts()["same-file"] == report.photos[1]


def test_what_cannot_be_compared_is_said_with_a_cure(context, source, tmp_path):
    bare = make_survey_source(tmp_path / "bare", flights=2, photos=1, size_wh=(160, 120))
    lists = (source / "train.txt", source / "test.txt")
    for call, what, kind in (
        ((bare,), "has no split to measure: no part .*val is the same as train", UsageError),
        ((lists[0],), "is one list", UsageError),
        ((lists[0], source), "a list and a source", UsageError),
    ):
        with pytest.raises(kind, match=what) as caught:
            measured(context, *call)
        assert caught.value.cure
    with pytest.raises(UsageError, match="--split names parts of one source"):
        measured(context, source, bare, lists=lists)
    stray = tmp_path / "stray" / "deeper"
    stray.mkdir(parents=True)
    for name in ("a.txt", "b.txt"):
        (stray / name).write_text("nowhere.jpg\n")
    with pytest.raises(InputError, match="names no photo"):
        measured(context, stray / "a.txt", stray / "b.txt")
    with pytest.raises(InputError, match="there is no such file"):
        measured(context, source, flights=tmp_path / "none.csv")


def test_an_unreadable_photo_is_noted_and_the_rest_is_measured(context, source):
    photo(source, 3, 2).write_bytes(b"\xff\xd8\xff")
    found = measured(context, source)
    assert pairs(found.reports[0]) == {TORN, COPIED}
    assert any("cannot be read" in note and "flight3_0002" in note for note in found.notes)


def test_the_gate_refuses_above_its_score(context, source):
    found = measured(context, source)
    found.require(0.7)
    with pytest.raises(RefusedError, match=r"2 of 3 photos of test leak from train \(66.7%; at most 10.0%") as caught:
        found.require(0.1)
    assert caught.value.exit_code == 5
    assert "--split-by ground" in caught.value.cure


def test_the_command_prints_pairs_and_json(source, tmp_path):
    home = {"home": tmp_path / ".overflight"}
    shown = CliRunner().invoke(leaks, [str(source), "--pairs", "1"], obj=App(home))
    assert shown.exit_code == 0, shown.output
    assert "flight3_0009.jpg: same file as images/flight1/flight1_0001.jpg" in shown.output
    assert "and 1 more pairs" in shown.output
    arguments = [str(source), "--json", "--max-score", "0.5"]
    refused = CliRunner().invoke(leaks, arguments, obj=App(home))
    assert refused.exit_code == 5
    document = json.loads(refused.stdout)
    assert document["refused"]
    assert document["reports"][0]["kinds"]["same-file"]["leaking"] == 1
    with pytest.raises(RefusedError):
        CliRunner().invoke(leaks, [str(source), "--max-score", "0.5"], obj=App(home), catch_exceptions=False)


@needs_photographs
def test_the_published_lists_leak_as_their_readme_says(context):
    lists = tuple(CARS / f"as_published/{name}.txt" for name in ("train", "test"))
    report = measured(context, *lists).reports[0]
    assert (report.leaking, report.photos[1], report.counts()["near-duplicate"]) == (6, 6, 6)
    near = {Path(pair.b).stem: Path(pair.a).stem for pair in report.pairs if pair.kind == "near-duplicate"}
    assert near["DJI_0005-0018"] == "DJI_0005-0019"
    assert near["DJI_0005-0203"] in {"DJI_0005-0202", "DJI_0005-0204"}


@needs_photographs
def test_numbered_lists_are_splits_of_their_own_and_share_a_file_each(context):
    lists = tuple(CARS / f"as_published/{part}{number}.txt" for number in (1, 2, 3) for part in ("train", "test"))
    found = measured(context, CARS, lists=lists, pixels=False)
    assert [(report.a, report.b) for report in found.reports] == [(f"train{n}", f"test{n}") for n in (1, 2, 3)]
    assert ("DJI_0005-0078.jpg", "DJI_0005-0078.jpg", "same-file") in pairs(found.reports[0])
    named_twice = [finding for finding in found.findings if finding.severity == "error"]
    assert [finding.what.split()[0] for finding in named_twice] == [
        f"as_published/{w}.txt" for w in ("train1", "test2", "test3")
    ]
