"""Recipes and model descriptions are data that is checked when it is read."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest
import yaml

from overflight.detection.recipes import OWN_ENTRIES, Recipe, architecture, load_recipe, model_names
from overflight.errors import UsageError


@pytest.mark.parametrize("name", ["default", "demo"])
def test_recipe_is_valid_and_gives_a_reason_for_every_choice(name):
    recipe = load_recipe(name)
    assert recipe.model in model_names()
    text = (resources.files("overflight.detection") / "recipes" / f"{name}.yaml").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(Recipe.model_fields)
    silent = [line for line in lines if "#" not in line]
    assert all(line.split(":")[0] in {"cls", "dfl", "hsv_s", "hsv_v", "translate", "mixup"} for line in silent), silent


def test_recipe_entries_are_ultralytics_arguments_or_declared_as_ours(isolated):
    from ultralytics.utils import DEFAULT_CFG_DICT

    assert set(Recipe.model_fields) - set(OWN_ENTRIES) <= set(DEFAULT_CFG_DICT)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown recipe 'fast'.*default, demo"):
        load_recipe("fast")
    with pytest.raises(UsageError, match=r"unknown model 'yolo99'.*yolo11n"):
        architecture("yolo99")


@pytest.mark.parametrize("name", model_names())
def test_every_model_is_a_yolo11_description(name):
    description = architecture(name)
    assert description["scale"] in description["scales"]
    official = yaml.safe_load((_ultralytics_models() / "yolo11.yaml").read_text())
    kinds = {layer[2] for part in ("backbone", "head") for layer in official[part]}
    assert {layer[2] for part in ("backbone", "head") for layer in description[part]} <= kinds


def test_reading_a_recipe_loads_no_heavy_library():
    code = (
        "import sys; from overflight.detection import recipes, plan, isolation, tiles, evaluate, export; "
        "recipes.load_recipe('demo'); recipes.architecture('yolo11n'); "
        "print([name for name in ('torch', 'ultralytics', 'torchvision', 'onnx') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def _ultralytics_models():
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "cfg" / "models" / "11"
