"""Where a step's facts are tracked and under which names, read from the step's environment.

Knows names only: neither whether MLflow is installed nor whether the address answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_EXPERIMENT = "overflight"
OFF = "off"


class TrackingSettings(BaseModel):
    """Addresses and names of one step's tracking.

    Attributes:
        tracking_uri: MLflow's address: ``sqlite:////folder/mlflow.db``, ``http://...``, the ARN of a managed MLflow, or
            empty: then nothing is tracked.
        experiment: Name of the MLflow experiment.
        execution_id: Name of the pipeline execution; empty for a job that was started by hand.
        execution_arn: Its full ARN.
        step: Name of the step inside the execution.
        drain_s: How long a finishing step waits for the last uploads (s).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_uri: str = ""
    experiment: str = Field(default=DEFAULT_EXPERIMENT, min_length=1, max_length=500)
    execution_id: str = ""
    execution_arn: str = ""
    step: str = ""
    drain_s: float = Field(default=60.0, ge=0.0, le=3600.0)

    @property
    def enabled(self) -> bool:
        """Whether there is an address to report to."""
        return bool(self.tracking_uri)

    @property
    def public_uri(self) -> str:
        """The address without a user name or password: fit for files and logs."""
        parts = urlsplit(self.tracking_uri)
        if not parts.username and not parts.password:
            return self.tracking_uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def tracking_settings(environ: Mapping[str, str]) -> TrackingSettings:
    """Settings from the environment of a step.

    Read are ``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME`` and ``OVERFLIGHT_{EXECUTION_ID,EXECUTION_ARN,STEP}``.
    Without an address, or with ``off`` (a pipeline parameter cannot be empty), the result is not enabled: steps then
    record nothing, which is a choice, not a fault.
    """
    arn = environ.get("OVERFLIGHT_EXECUTION_ARN", "")
    uri = environ.get("MLFLOW_TRACKING_URI", "").strip()
    return TrackingSettings(
        tracking_uri="" if uri == OFF else uri,
        experiment=environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or DEFAULT_EXPERIMENT,
        execution_id=environ.get("OVERFLIGHT_EXECUTION_ID", "") or arn.rpartition("/")[2],
        execution_arn=arn,
        step=environ.get("OVERFLIGHT_STEP", ""),
    )


def local_database(home: Path) -> Path:
    """MLflow's database of the local account in ``home``."""
    return home / "mlflow" / "mlflow.db"


def local_tracking_uri(home: Path) -> str:
    """Tracking URI of the local account in ``home`` (an absolute folder)."""
    return f"sqlite:///{local_database(home)}"


def database_of(tracking_uri: str) -> Path | None:
    """The SQLite file behind ``tracking_uri``, or None when it is a server or an ARN."""
    prefix = "sqlite:///"
    return Path(tracking_uri.removeprefix(prefix)) if tracking_uri.startswith(prefix) else None
