"""The contact sheet and its command."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from factories import make_survey_source
from overflight.cli.main import cli
from overflight.data.augment.preview import preview
from overflight.data.augment.settings import load_settings, parse_settings
from overflight.data.augment.sheet import CELL_PX, draw_sheet
from overflight.data.reading import read_source
from overflight.data.tile import TileRules
from overflight.errors import InputError, UsageError

RULES = TileRules(tile_px=160, overlap_px=32)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_survey_source(tmp_path_factory.mktemp("made") / "source", flights=3, photos=3, classes=("car", "bus"))


def shown(source, *, preset="nadir", photos=3, copies=2, **options):
    read = read_source(source, name="here", **options)
    settings = preset if not isinstance(preset, str) else load_settings(preset)
    return preview(read, settings=settings, photos=photos, copies=copies, seed=1, rules=RULES)


def test_rows_are_spread_over_the_source_and_show_the_busiest_tile(source):
    found = shown(source)
    assert [row.photo.split("/")[1] for row in found.rows] == ["flight1", "flight2", "flight3"]
    assert all(row.original.labels for row in found.rows)
    assert [len(row.copies) for row in found.rows] == [2, 2, 2]
    assert [row.as_dict() for row in found.rows] == [row.as_dict() for row in shown(source).rows]


def test_the_sheet_has_a_cell_for_each(source):
    sheet = draw_sheet(shown(source), title="Augmentation: nadir", subtitle="here")
    assert sheet.shape[1] > 3 * CELL_PX
    assert sheet.shape[0] > 3 * CELL_PX
    assert np.std(sheet[100:, 40:]) > 20


def test_what_cannot_happen_is_noted(source):
    nothing = shown(source, preset="none", copies=1)
    assert nothing.notes == ("these settings change nothing",)
    assert nothing.rows[0].copies[0].caption == "unchanged"
    even = shown(source, preset=parse_settings("copy_paste: {probability: 1, rare_below: 0.1}", where=""))
    assert any("no class is rare" in note for note in even.notes)


def test_photographs_without_boxes_and_damaged_ones(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=1, photos=3)
    for path in (source / "labels").rglob("*.txt"):
        path.write_text("")
    (source / "images/flight1/flight1_0001.jpg").write_bytes(b"")
    found = shown(source)
    assert len(found.rows) == 2
    assert "no photograph has boxes: copies show light and geometry only" in found.notes
    for path in (source / "images").rglob("*.jpg"):
        path.write_bytes(b"no picture")
    with pytest.raises(InputError):
        shown(source)


def test_only_the_training_part_of_a_given_split_is_used(source, tmp_path):
    lists = []
    for part, flight in (("train", 1), ("val", 2), ("test", 3)):
        path = tmp_path / f"{part}.txt"
        path.write_text("".join(f"images/flight{flight}/flight{flight}_{n:04d}.jpg\n" for n in (1, 2, 3)))
        lists.append(path)
    found = shown(source, split_lists=lists, photos=9)
    assert {row.photo.split("/")[1] for row in found.rows} == {"flight1"}


def run(*arguments, home):
    return CliRunner().invoke(cli, ["--home", str(home), "survey", "augment", *map(str, arguments)])


def test_the_command_writes_sheet_and_facts(source, tmp_path):
    answer = run(source, "--preview", "--photos", 2, "--copies", 1, "--out", tmp_path / "out", "--json", home=tmp_path)
    assert answer.exit_code == 0, answer.output
    said = json.loads(answer.output)
    assert said["sheet"] == str(tmp_path / "out/augmentation.png")
    assert cv2.imread(said["sheet"]).shape[1] > 2 * CELL_PX
    assert json.loads((tmp_path / "out/augmentation.json").read_text()) == said
    text = run(source, "--preview", "--photos", 1, "--copies", 1, home=tmp_path / "home")
    assert "Contact sheet: " in text.output
    assert (tmp_path / "home/augment/source/augmentation.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "would be split again and leak", id="without --preview"),
        pytest.param(["--preview", "--preset", "obliq"], "Did you mean oblique", id="unknown preset"),
    ],
)
def test_the_command_refuses_with_a_cure(source, tmp_path, arguments, said):
    answer = run(source, *arguments, home=tmp_path)
    assert isinstance(answer.exception, UsageError)
    assert said in str(answer.exception)
