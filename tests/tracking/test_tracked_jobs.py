"""Jobs of one execution, run one after the other, seen in MLflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from factories import make_survey_source
from overflight.data.survey import read_survey, write_survey
from overflight.jobs import evaluate, prepare, validate
from overflight.jobs.contract import run_job
from overflight.tracking.database import open_client
from overflight.tracking.events import pending_logs
from overflight.tracking.reading import find_execution_run
from toy_model import CLASSES, write_model_folder


def put(folder: Path, content: Path) -> Path:
    shutil.copytree(content, folder)
    return folder


def test_an_execution_of_three_jobs_shows_data_figures_and_files(tracking, tmp_path):
    survey = tmp_path / "survey"
    source = make_survey_source(tmp_path / "source", flights=4, photos=3, classes=CLASSES)
    write_survey(read_survey(source, name="harbour"), survey)
    model = write_model_folder(tmp_path / "model")

    def start(name, job, **inputs) -> Path:
        root = tmp_path / name / "opt/ml"
        for key, folder in inputs.items():
            put(root / "processing/input" / key, folder)
        environ = {
            "OVERFLIGHT_ML_ROOT": str(root),
            "MLFLOW_TRACKING_URI": tracking.tracking_uri,
            "OVERFLIGHT_EXECUTION_ID": tracking.execution_id,
            "OVERFLIGHT_STEP": name,
            "OVERFLIGHT_SEED": "3",
            "OVERFLIGHT_RESAMPLES": "20",
            "OVERFLIGHT_WORKERS": "1",
        }
        assert run_job(job.run, environ) == 0, (root / "output/failure").read_text()
        return root / "processing/output"

    start("Validate", validate, survey=survey)
    dataset = start("Prepare", prepare, survey=survey) / "dataset"
    (tmp_path / "archive").mkdir()
    with tarfile.open(tmp_path / "archive/model.tar.gz", "w:gz") as tar:
        for path in model.iterdir():
            tar.add(path, path.name)
    start("Evaluate", evaluate, dataset=dataset, model=tmp_path / "archive")

    execution = find_execution_run(tracking.tracking_uri, tracking.execution_id)
    assert execution is not None
    assert [(step.name, step.status) for step in execution.steps] == [
        ("Validate", "FINISHED"),
        ("Prepare", "FINISHED"),
        ("Evaluate", "FINISHED"),
    ]
    assert execution.params["survey"] == "harbour"
    evaluation = tmp_path / "Evaluate/opt/ml/processing/output/evaluation"
    map50 = json.loads((evaluation / "evaluation.json").read_text())["metrics"]["map50"]["value"]
    assert execution.metrics["map50"] == pytest.approx(map50)
    assert execution.tags["overflight.passed"] == str(map50 >= 0.5).lower()
    digest = json.loads((survey / "survey.json").read_text())["digest"]
    inputs = {
        step.name: open_client(tracking.tracking_uri).get_run(step.run_id).inputs.dataset_inputs
        for step in execution.steps
    }
    assert [one.dataset.digest for one in inputs["Prepare"]] == [digest[:36]]
    [held_out] = inputs["Evaluate"]
    assert {tag.key: tag.value for tag in held_out.tags}["overflight.lineage.survey"] == digest
    files = {
        step.name: {
            path.relative_to(step.artifact_uri.removeprefix("file://")).as_posix()
            for path in Path(step.artifact_uri.removeprefix("file://")).rglob("*")
            if path.is_file()
        }
        for step in execution.steps
    }
    assert files["Validate"] == {"decision.json", "report.json", "report.html"}
    assert files["Prepare"] == {"dataset/baseline.json", "dataset/dataset.json", "dataset/truth.json"}
    assert {"evaluation.json", "predictions.json", "plots/curves.png", "plots/confusion.png"} <= files["Evaluate"]
    assert pending_logs(tmp_path) == []


@pytest.mark.slow
def test_a_real_training_is_tracked_epoch_by_epoch(tracking, tmp_path):
    survey = tmp_path / "survey"
    write_survey(read_survey(make_survey_source(tmp_path / "source", flights=4, photos=3), name="harbour"), survey)
    root = tmp_path / "opt/ml"
    settings = prepare.PrepareSettings(workers=1)
    dataset = prepare.prepare(survey, root / "input/data/dataset", settings=settings).dataset
    (root / "input/config").mkdir()
    wanted = {"recipe": "demo", "model": "yolo11n", "imgsz": "64", "epochs": "2", "batch": "4", "seed": "3"}
    (root / "input/config/hyperparameters.json").write_text(json.dumps(wanted))
    environ = {
        **os.environ,
        "OVERFLIGHT_ML_ROOT": str(root),
        "MLFLOW_TRACKING_URI": tracking.tracking_uri,
        "OVERFLIGHT_EXECUTION_ID": tracking.execution_id,
        "OVERFLIGHT_STEP": "Train",
        "OMP_NUM_THREADS": "1",
    }
    command = [str(Path(sys.executable).with_name("overflight-job")), "train"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    execution = find_execution_run(tracking.tracking_uri, tracking.execution_id)
    assert execution is not None
    assert wanted.items() <= execution.params.items()
    [step] = execution.steps
    client = open_client(tracking.tracking_uri)
    for name in ("train/box_loss", "images_per_s", "lr"):
        assert [point.step for point in client.get_metric_history(step.run_id, name)] == [1, 2]
    assert {"val/map50", "env.torch", "lr0"} <= step.metrics.keys() | step.params.keys()
    inputs = client.get_run(step.run_id).inputs.dataset_inputs
    assert sorted(tag.value for one in inputs for tag in one.tags if tag.key == "mlflow.data.context") == [
        "training",
        "validation",
    ]
    assert {one.dataset.digest for one in inputs} == {dataset["digest"][:36]}
    files = Path(step.artifact_uri.removeprefix("file://"))
    assert {"model.json", "model.onnx", "weights.pt"} <= {path.name for path in (files / "model").iterdir()}
    assert {"results.csv", "epochs.jsonl"} <= {path.name for path in (files / "training").iterdir()}
    assert not (tmp_path / "mlruns").exists()
    assert not (tmp_path / "mlflow.db").exists()
