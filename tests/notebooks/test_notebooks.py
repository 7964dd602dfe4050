"""The notebooks: each pair says the same, holds no outputs, and runs from top to bottom on several surveys."""

import tempfile
from pathlib import Path

import pytest

from factories import make_survey_source

jupytext = pytest.importorskip("jupytext", reason="notebooks are tested with the extra dev")
nbclient = pytest.importorskip("nbclient", reason="notebooks are tested with the extra dev")
pytest.importorskip("pandas", reason="notebooks need the extra explore")
pytest.importorskip("matplotlib", reason="notebooks need the extra explore")

FOLDER = Path(__file__).parents[2] / "notebooks"
SHARED = FOLDER.parents[1] / "shared/data"
NAMES = ("01_explore_survey", "02_survey_quality")
MAX_BYTES = 40_000


def executed(name, monkeypatch, tmp_path, *, source=""):
    """The notebook after a run from top to bottom; a cell that fails raises."""
    monkeypatch.setenv("OVERFLIGHT_NOTEBOOK_SOURCE", str(source))
    monkeypatch.setenv("OVERFLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = jupytext.read(FOLDER / f"{name}.ipynb")
    options = {"timeout": 300, "kernel_name": "python3", "resources": {"metadata": {"path": str(tmp_path)}}}
    client = nbclient.NotebookClient(notebook, **options)
    client.km = client.create_kernel_manager()
    # Sockets in the file system: no ports, and no warning about unencrypted ones. Their paths must be short.
    with tempfile.TemporaryDirectory() as folder:
        client.km.transport, client.km.ip = "ipc", f"{folder}/kernel"
        return client.execute()


def shown(notebook):
    """Texts and the number of pictures among the outputs."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


def test_every_notebook_is_a_pair():
    assert {path.stem for path in FOLDER.iterdir() if path.suffix in {".py", ".ipynb"}} == set(NAMES)
    assert all((FOLDER / f"{name}{suffix}").is_file() for name in NAMES for suffix in (".py", ".ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_the_pair_is_in_sync(name):
    sides = [jupytext.read(FOLDER / f"{name}{suffix}") for suffix in (".py", ".ipynb")]
    cells = [[(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in side.cells] for side in sides]
    assert cells[0] == cells[1], f"run: jupytext --to ipynb notebooks/{name}.py"


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_hold_no_outputs_and_explain_themselves(name):
    path = FOLDER / f"{name}.ipynb"
    notebook = jupytext.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert path.stat().st_size < MAX_BYTES
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert sum(cell.cell_type == "markdown" for cell in notebook.cells) >= len(code) - 2
    assert any("*Question" in cell.source for cell in notebook.cells)


def test_a_small_survey_is_explored(monkeypatch, tmp_path):
    source = make_survey_source(tmp_path / "cars", flights=2, photos=3)
    text, pictures = shown(executed("01_explore_survey", monkeypatch, tmp_path, source=source))
    assert pictures == 6
    assert "No flight has GPS positions" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_notebooks_run_on_the_synthetic_survey(name, monkeypatch, tmp_path):
    text, pictures = shown(executed(name, monkeypatch, tmp_path))
    assert pictures >= 4
    assert "flight" in text


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("01_explore_survey", "car is 90% of all boxes"),
        ("02_survey_quality", "one flight each:     0%"),
    ],
)
def test_notebooks_run_on_real_photographs(name, words, monkeypatch, tmp_path):
    text, pictures = shown(executed(name, monkeypatch, tmp_path, source=SHARED / "aerial-cars"))
    assert pictures >= 4
    assert words in text


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
@pytest.mark.parametrize("name", NAMES)
def test_notebooks_run_without_labels(name, monkeypatch, tmp_path):
    text, _ = shown(executed(name, monkeypatch, tmp_path, source=SHARED / "stills-4k/caliterra_cc0"))
    assert text
