"""What MLflow knows of an execution: for the command line, which shows it and links to it.

Reads through MLflow's client only; creates nothing but a missing end of an execution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from overflight.tracking.database import open_client
from overflight.tracking.mlflow_runs import EXECUTION_TAG, KIND_TAG, PARENT_TAG, search
from overflight.tracking.settings import DEFAULT_EXPERIMENT, database_of


@dataclass(frozen=True)
class RunFacts:
    """One MLflow run.

    Attributes:
        run_id: MLflow's id.
        experiment_id: Id of its experiment.
        name: Name of the execution, or of the step.
        status: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``.
        url_path: Path and fragment of its page below the server's address; the home page of MLflow's pages is about
            something else, so link here.
        params: Parameters by name.
        metrics: Last value of each metric.
        tags: Our own tags (``overflight.*``).
        artifact_uri: Where its artefacts lie.
        steps: Nested runs, the oldest first; empty for a step.
    """

    run_id: str
    experiment_id: str
    name: str
    status: str
    url_path: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifact_uri: str = ""
    steps: tuple[RunFacts, ...] = ()


def find_execution_run(
    tracking_uri: str, execution_id: str, *, experiment: str = DEFAULT_EXPERIMENT
) -> RunFacts | None:
    """The run of a pipeline execution with its steps, or None when MLflow does not know it.

    Raises:
        StoreError: the database cannot be read.
        ResourceError: MLflow is not installed.
        mlflow.MlflowException: the server does not answer.
    """
    found = _find(tracking_uri, execution_id, experiment)
    if found is None:
        return None
    client, run = found
    steps = search(client, run.info.experiment_id, {PARENT_TAG: run.info.run_id})
    return _facts(run, tuple(_facts(step, ()) for step in steps))


def close_execution(
    tracking_uri: str,
    execution_id: str,
    *,
    status: Literal["FINISHED", "FAILED", "KILLED"],
    end_ms: int,
    experiment: str = DEFAULT_EXPERIMENT,
) -> bool:
    """Set the end of an execution: only its pipeline knows how gates and registration went.

    Returns:
        Whether MLflow knows the execution.
    """
    found = _find(tracking_uri, execution_id, experiment)
    if found is None:
        return False
    client, run = found
    client.set_terminated(run.info.run_id, status, end_time=end_ms)
    return True


def _find(tracking_uri: str, execution_id: str, experiment: str) -> tuple[Any, Any] | None:
    database = database_of(tracking_uri)
    if database is not None and not database.exists():
        return None
    client = open_client(tracking_uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return None
    runs = search(client, known.experiment_id, {EXECUTION_TAG: execution_id, KIND_TAG: "execution"})
    return (client, runs[0]) if runs else None


def _facts(run: Any, steps: tuple[RunFacts, ...]) -> RunFacts:
    info = run.info
    return RunFacts(
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        name=info.run_name,
        status=info.status,
        url_path=f"/#/experiments/{info.experiment_id}/runs/{info.run_id}",
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags={name: value for name, value in run.data.tags.items() if name.startswith("overflight.")},
        artifact_uri=info.artifact_uri,
        steps=steps,
    )
