"""Starting Overflight is cheap: nothing heavy is imported before it is needed."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "torchvision",
    "ultralytics",
    "mlflow",
    "boto3",
    "botocore",
    "cv2",
    "numpy",
    "sqlalchemy",
    "starlette",
}


def loaded_by(code: str) -> set[str]:
    probe = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in answer.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import overflight", id="import"),
        pytest.param(
            "from overflight.cli.main import cli\ntry:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass",
            id="help",
        ),
        pytest.param(
            "from overflight.cli.main import cli\ntry:\n    cli.main(['runs', '--help'])\nexcept SystemExit:\n    pass",
            id="help-of-a-group",
        ),
    ],
)
def test_starting_loads_nothing_heavy(code):
    assert loaded_by(code) & HEAVY == set()


def test_the_probe_sees_what_is_loaded():
    assert "numpy" in loaded_by("import overflight.imaging.boxes")


@pytest.mark.parametrize(
    "package",
    ["account", "data", "detection", "imaging", "jobs", "lifecycle", "pipelines", "serving", "tracking"],
)
def test_every_package_is_cheap_to_import(package):
    assert loaded_by(f"import overflight.{package}") & HEAVY == set()
