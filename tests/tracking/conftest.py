"""An MLflow database: its schema is made once per session and copied for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from overflight.tracking.database import ensure_database
from overflight.tracking.settings import TrackingSettings, local_tracking_uri

ARN = "arn:aws:sagemaker:eu-central-1:000000000000:pipeline/overflight-train/execution/exec00000001"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    return ensure_database(tmp_path_factory.mktemp("template") / "mlflow.db")


@pytest.fixture
def home(tmp_path, empty_database) -> Path:
    """Folder of a local account in which MLflow's database exists."""
    (tmp_path / "home/mlflow").mkdir(parents=True)
    shutil.copy(empty_database, tmp_path / "home/mlflow/mlflow.db")
    return tmp_path / "home"


@pytest.fixture
def tracking(home) -> TrackingSettings:
    """Settings of a step of an execution of that account."""
    return TrackingSettings(
        tracking_uri=local_tracking_uri(home), execution_id="exec00000001", execution_arn=ARN, step="Train"
    )
