"""The catalogue is complete, its page is current, and what a user may change is exactly that."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from overflight.data.checks.all import CHECKS, READER_CODES
from overflight.data.checks.catalogue import LEVELS, load_catalogue, load_changes_file
from overflight.data.checks.describe import catalogue_markdown
from overflight.data.checks.run import by_catalogue
from overflight.data.findings import Finding
from overflight.errors import UsageError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/checks.md"
CATALOGUE_FILE = ROOT / "src/overflight/data/checks/catalogue.yaml"
WHAT_IS_LEFT_OUT = frozenset(
    {"columns", "not-a-number", "not-finite", "unknown-class", "no-box", "damaged", "unreadable", "truncated"}
    | {"zero-bytes", "missing-photo", "missing-labels", "size-differs", "unreadable-photo", "name-differs"}
    | {"split-list"}
)


@pytest.fixture
def changes(tmp_path):
    def write(text):
        path = tmp_path / "checks.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_every_entry_is_a_check_or_found_while_reading_and_nothing_else_is():
    assert set(load_catalogue()) == set(CHECKS) | set(READER_CODES)


def test_all_39_checks_of_the_common_list_are_covered():
    assert {rule.number for rule in load_catalogue().values()} >= set(range(1, 40))


def test_codes_are_unique_also_in_the_text():
    codes = re.findall(r"(?m)^([a-z][a-z-]*):$", CATALOGUE_FILE.read_text(encoding="utf-8"))
    assert sorted(codes) == sorted(load_catalogue())


@pytest.mark.parametrize("rule", load_catalogue().values(), ids=load_catalogue())
def test_each_entry_says_why_it_matters_and_what_to_do(rule):
    assert rule.level in LEVELS
    assert rule.level != "off"
    assert len(rule.explanation) > 20
    assert rule.explanation.endswith(".")
    assert len(rule.cure) > 10
    assert not rule.cure.endswith(".")
    assert "to be written" not in rule.explanation + rule.cure


def test_the_page_is_that_of_the_catalogue():
    text = catalogue_markdown(load_catalogue())
    if os.environ.get("OVERFLIGHT_WRITE_GOLDEN"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text


def test_every_row_of_the_page_has_seven_cells():
    rows = [line for line in catalogue_markdown(load_catalogue()).splitlines() if line.startswith("| ")]
    assert len(rows) == len(load_catalogue()) + 4
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}


def test_a_bar_in_a_sentence_is_no_cell():
    rule = replace(load_catalogue()["dark"], title="dark | night")
    row = catalogue_markdown({"dark": rule}).splitlines()[-1]
    assert "dark \\| night" in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 8


# Changes


def test_levels_and_limits_change_and_nothing_else():
    before = load_catalogue()
    after = load_catalogue(["dark=off", "tiny.min_side_px=10", "tiny=error", "huge.max_area_share = 0.8"])
    assert after["dark"].level == "off"
    assert (after["tiny"].level, after["tiny"].limits) == ("error", {"min_side_px": 10.0})
    assert after["huge"].limits == {"max_area_share": 0.8}
    assert {code for code in before if before[code] != after[code]} == {"dark", "tiny", "huge"}
    assert load_catalogue() == before


@pytest.mark.parametrize(
    ("change", "what", "cure"),
    [
        ("dark", "not of the form", "overflight survey checks"),
        ("drak=off", "no check 'drak'", "Do you mean dark?"),
        ("zzzzz=off", "no check", "overflight survey checks"),
        ("dark=loud", "'loud' is not error, warning or off", "dark=warning"),
        ("tiny.min_side=10", "no limit 'min_side'", "Do you mean min_side_px?"),
        ("no-size.x=1", "no limit 'x' (it has: none)", "overflight survey checks"),
        ("tiny.min_side_px=many", "not a number", "tiny.min_side_px=8"),
        ("tiny.min_side_px=1e999", "not a number", "tiny.min_side_px=8"),
        ("tiny.min_side_px=nan", "not a number", "tiny.min_side_px=8"),
        ("tiny.min_side_px=-1", "never less than 0", "tiny=off"),
        ("overhang.max_overhang_px=3", "limit of 'outside'", "outside.max_overhang_px=3"),
    ],
)
def test_a_change_that_cannot_be_made_says_what_would(change, what, cure):
    with pytest.raises(UsageError) as error:
        load_catalogue([change])
    assert what in error.value.what
    assert cure in error.value.cure
    assert error.value.where == change


@pytest.mark.parametrize("code", sorted(WHAT_IS_LEFT_OUT))
def test_what_is_left_out_of_a_survey_can_be_lowered_but_not_silenced(code):
    assert load_catalogue([f"{code}=warning"])[code].level == "warning"
    with pytest.raises(UsageError, match="cannot be switched off") as error:
        load_catalogue([f"{code}=off"])
    assert error.value.cure == f"Write {code}=warning"


def test_the_limit_of_outside_is_that_of_overhang():
    assert load_catalogue(["outside.max_overhang_px=4"])["overhang"].limits["max_overhang_px"] == 4


def test_findings_of_readers_get_the_level_of_the_catalogue():
    found = [Finding("error", code, "a.txt", "what", "cure") for code in ("columns", "area-field", "of-another-part")]
    levels = load_catalogue(["columns=warning", "area-field=off"])
    assert [(f.code, f.severity) for f in by_catalogue(found, levels)] == [
        ("columns", "warning"),
        ("of-another-part", "error"),
    ]


# Files of changes


def test_a_file_of_changes(changes):
    path = changes(
        b"\xef\xbb\xbf# for thermal photographs\r\ndark: off\nclipped: 'off'\ntiny: {min_side_px: 10}\n"
        b"huge:\n  level: error\n  max_area_share: 0.75\n"
    )
    found = load_changes_file(path)
    assert found == ["dark=off", "clipped=off", "tiny.min_side_px=10", "huge=error", "huge.max_area_share=0.75"]
    assert load_catalogue(found)["clipped"].level == "off"


def test_an_empty_file_changes_nothing(changes):
    assert load_changes_file(changes("# nothing yet\n")) == []


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("drak: off", "no check 'drak'", "drak=off"),
        ("tiny: {min_sid_px: 10}", "no limit 'min_sid_px'", "tiny.min_sid_px=10"),
        ("columns: off", "cannot be switched off", "columns=off"),
        ("dark: on", "neither a level nor a number", "dark"),
        ("dark: [off]", "neither a level nor a number", "dark"),
        ("dark:", "neither a level nor a number", "dark"),
        ("tiny: {min_side_px: yes}", "neither a level nor a number", "tiny.min_side_px"),
        ("tiny: {min_side_px: .inf}", "not a number", "tiny.min_side_px"),
        ("tiny: {min_side_px: {a: 1}}", "neither a level nor a number", "tiny.min_side_px"),
        ("- dark", "not a table", "checks.yaml"),
        ("dark: off\ndark: error\n", "twice", "checks.yaml:2"),
        ("dark: 'off\n", "not YAML", "checks.yaml:2"),
        ("a: !!python/object:os.system {}", "not YAML", "checks.yaml:1"),
        (b"\xff\xfe\x00", "not YAML", "checks.yaml"),
        ("x" * 1_000_001, "larger than", "checks.yaml"),
        ("[" * 500, "not YAML", "checks.yaml"),
        ("tiny: {min_side_px: " + "9" * 5000 + "}", "not YAML", "checks.yaml"),
        ("? {a: 1}\n: off", "not YAML", "checks.yaml"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_file_that_cannot_be_used_says_where(changes, text, what, where):
    with pytest.raises(UsageError) as error:
        load_changes_file(changes(text))
    assert what in error.value.what
    assert where in error.value.where
    assert "checks.yaml" in error.value.where
    assert error.value.cure


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot be opened"):
        load_changes_file(tmp_path / "none.yaml")
