"""Settings of augmentation: closed, with near names, presets that say why."""

from importlib import resources

import pytest

from overflight.data.augment.settings import AugmentSettings, load_settings, parse_settings, preset_names
from overflight.errors import UsageError


def test_presets_are_there_and_mean_what_they_say():
    assert preset_names() == ["nadir", "none", "oblique"]
    assert not load_settings("none").changes_anything
    assert load_settings("nadir").rotate.angle_deg == (-180, 180)
    assert load_settings("oblique").turn.probability == 0


@pytest.mark.parametrize("name", ["nadir", "oblique"])
def test_every_value_of_a_preset_has_a_reason(name):
    lines = (resources.files("overflight.data.augment") / f"{name}.yaml").read_text().splitlines()
    values = [line for line in lines if line.strip() and not line.startswith("#") and not line.endswith(":")]
    assert values
    assert [line for line in values if " # " not in line] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("rotat: {}", r"x: there is no entry 'rotat'\. Did you mean rotate\?", id="unknown effect"),
        pytest.param(
            "sun: {gama: [1, 1]}", r"there is no entry 'sun\.gama'\. Did you mean gamma\?", id="unknown value"
        ),
        pytest.param("zzz: 1", r"Use one of: copy_paste, mirror", id="nothing near"),
        pytest.param(
            "jpeg: {probability: 1.5}", r"jpeg\.probability: .*less than or equal to 1 \(given: 1\.5\)", id="above"
        ),
        pytest.param("jpeg: {probability: .nan}", r"jpeg\.probability", id="not a number"),
        pytest.param("jpeg: {quality: [5, 50]}", r"jpeg\.quality\.0: .*greater than or equal to 10", id="below"),
        pytest.param("sun: {gamma: [1.2, 0.9]}", r"the range ends \(0\.9\) before it begins \(1\.2\)", id="order"),
        pytest.param("motion_blur: {length_px: [4, 8]}", r"odd number of pixels", id="even blur"),
        pytest.param("jpeg: often", r"jpeg: .*given: 'often'", id="no table"),
        pytest.param("- jpeg", r"x: is not a table of effects", id="a list"),
        pytest.param("jpeg: {", r"x:\d+: is not YAML", id="not YAML"),
        pytest.param("base: nadier", r"there is no preset 'nadier'\. Did you mean nadir\?", id="unknown base"),
        pytest.param("base: [1]", r"there is no preset", id="base is no name"),
        pytest.param("1: 2", r"x: ", id="a number as name"),
    ],
)
def test_what_is_not_allowed_is_said_with_its_cure(text, said):
    with pytest.raises(UsageError, match=said):
        parse_settings(text, where="x")


def test_a_file_may_build_on_a_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: nadir\nhaze: {probability: 0.9}\njpeg: {probability: 0}\n")
    found, nadir = load_settings(str(path)), load_settings("nadir")
    assert found.haze == nadir.haze.model_copy(update={"probability": 0.9})
    assert found.jpeg.probability == 0
    assert found.rotate == nadir.rotate


def test_an_empty_file_changes_nothing():
    assert parse_settings("", where="x") == AugmentSettings()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("nadr", "there is no augmentation preset 'nadr'. Did you mean nadir", id="near a preset"),
        pytest.param("absent.yaml", "cannot be opened", id="no file"),
        pytest.param("folder.yaml", "cannot be opened", id="a folder"),
        pytest.param("binary.yaml", "is not UTF-8", id="binary"),
        pytest.param("huge.yaml", "is larger than", id="huge"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "huge.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(UsageError, match=said):
        load_settings(name)
