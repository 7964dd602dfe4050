"""Runs as MLflow keeps them: one per pipeline execution, one nested run per step; and how each tracked fact is written.

Knows MLflow's client and our event kinds; does not know threads, files of the log or retries.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from overflight.tracking.database import artifact_location, open_client, quiet_mlflow
from overflight.tracking.events import Event
from overflight.tracking.locks import exclusive
from overflight.tracking.settings import database_of

KIND_TAG = "overflight.kind"
EXECUTION_TAG = "overflight.execution_id"
EXECUTION_ARN_TAG = "overflight.execution_arn"
STEP_TAG = "overflight.step"
LOG_TAG = "overflight.log_id"
PARENT_TAG = "mlflow.parentRunId"
PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000
VALUE_LIMIT_CHARS = 6000
DIGEST_LIMIT_CHARS = 36

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """Where the facts of one step go.

    Attributes:
        client: The MlflowClient.
        run_id: The step's run.
        execution_run_id: The execution's run, empty for a job that was started by hand.
        experiment_id: The experiment of both.
    """

    client: Any
    run_id: str
    execution_run_id: str
    experiment_id: str


def find_or_create_target(tracking_uri: str, opened: Event) -> Target:
    """The runs of the step whose log begins with ``opened``; a second call finds what the first one created."""
    client = open_client(tracking_uri)
    facts = opened.body
    experiment_id = _experiment(client, tracking_uri, facts["experiment"])
    execution_run_id = ""
    if facts["execution_id"]:
        with _alone(tracking_uri):
            execution_run_id = _execution_run(client, experiment_id, opened)
    found = search(client, experiment_id, {LOG_TAG: facts["log_id"]})
    if found:
        return Target(client, found[0].info.run_id, execution_run_id, experiment_id)
    tags = {KIND_TAG: "step", STEP_TAG: facts["step"], LOG_TAG: facts["log_id"], "mlflow.source.name": "overflight-job"}
    if execution_run_id:
        tags |= {PARENT_TAG: execution_run_id, EXECUTION_TAG: facts["execution_id"]}
        client.update_run(execution_run_id, status="RUNNING")
    run = client.create_run(experiment_id, start_time=opened.at_ms, tags=tags, run_name=facts["run_name"])
    return Target(client, run.info.run_id, execution_run_id, experiment_id)


def search(client: Any, experiment_id: str, tags: dict[str, str]) -> list[Any]:
    """Runs of the experiment that carry all ``tags``, the oldest first."""
    text = " and ".join(f"tags.`{name}` = '{_quoted(value)}'" for name, value in tags.items())
    found = client.search_runs([experiment_id], filter_string=text, max_results=1000)
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def apply(target: Target, event: Event) -> None:
    """Write one event's fact; writing it twice changes nothing.

    Raises:
        KeyError: the event's kind is not known.
        Exception: whatever MLflow's client raises.
    """
    _APPLY[event.kind](target, event)


def is_refusal(error: Exception) -> bool:
    """Whether ``error`` means that this fact will never be accepted (as opposed to: the server is away)."""
    if isinstance(error, (FileNotFoundError, KeyError)):
        return True
    return getattr(error, "error_code", "") in {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS"}


def execution_status(client: Any, experiment_id: str, execution_id: str) -> tuple[str, int | None]:
    """What the steps say of their execution: status, and the end of the last step (Unix time, ms).

    A step that ran again counts with its last run. A gate or a registration is no job and says nothing here.
    """
    latest = {
        run.data.tags.get(STEP_TAG, ""): run.info
        for run in search(client, experiment_id, {EXECUTION_TAG: execution_id, KIND_TAG: "step"})
    }
    statuses = {info.status for info in latest.values()}
    if "RUNNING" in statuses or not statuses:
        return "RUNNING", None
    end_ms = max(info.end_time for info in latest.values())
    return ("FINISHED" if statuses == {"FINISHED"} else "FAILED"), end_ms


def name_of(text: str) -> str:
    """``text`` as a name MLflow accepts: letters, digits, ``_-. :/``; others become ``_``."""
    return re.sub(r"[^\w\-. :/]", "_", text)[:250].strip("/") or "_"


def _experiment(client: Any, tracking_uri: str, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_location(tracking_uri)))
        except quiet_mlflow().exceptions.MlflowException as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was faster
    return str(found.experiment_id)


def _execution_run(client: Any, experiment_id: str, opened: Event) -> str:
    wanted = {EXECUTION_TAG: opened.body["execution_id"], KIND_TAG: "execution"}
    found = search(client, experiment_id, wanted)
    if not found:
        tags = wanted | {EXECUTION_ARN_TAG: opened.body["execution_arn"], "mlflow.source.name": "overflight"}
        made = client.create_run(
            experiment_id, start_time=opened.at_ms, tags=tags, run_name=opened.body["execution_id"]
        )
        found = search(client, experiment_id, wanted) or [made]
        if found[0].info.run_id != made.info.run_id:  # only on a server, where no lock could be held
            client.delete_run(made.info.run_id)
    return str(found[0].info.run_id)


@contextmanager
def _alone(tracking_uri: str) -> Iterator[None]:
    database = database_of(tracking_uri)
    lock = nullcontext() if database is None else exclusive(database.with_name(database.name + ".lock"))
    with lock:
        yield


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _params(target: Target, event: Event) -> None:
    from mlflow.entities import Param

    values = [Param(name_of(key), str(value)[:VALUE_LIMIT_CHARS]) for key, value in event.body["values"].items()]
    for run_id in _runs(target, event):
        for chunk in _chunks(values, PARAMS_PER_CALL):
            target.client.log_batch(run_id, params=chunk)


def _metrics(target: Target, event: Event) -> None:
    from mlflow.entities import Metric

    values = [
        Metric(name_of(key), float(value), event.at_ms, int(event.body["step"]))
        for key, value in event.body["values"].items()
    ]
    for run_id in _runs(target, event):
        for chunk in _chunks(values, METRICS_PER_CALL):
            target.client.log_batch(run_id, metrics=chunk)


def _tags(target: Target, event: Event) -> None:
    from mlflow.entities import RunTag

    values = [RunTag(name_of(key), str(value)[:VALUE_LIMIT_CHARS]) for key, value in event.body["values"].items()]
    for run_id in _runs(target, event):
        for chunk in _chunks(values, PARAMS_PER_CALL):
            target.client.log_batch(run_id, tags=chunk)


def _dataset(target: Target, event: Event) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    body = event.body
    uri = str(body["source_uri"])
    dataset = Dataset(
        name=str(body["name"])[:500],
        digest=str(body["digest"])[:DIGEST_LIMIT_CHARS],
        source_type="s3" if uri.startswith("s3://") else "local",
        source=json.dumps({"uri": uri}),
        profile=json.dumps({"sha256": body["digest"], "lineage": body["lineage"], **body["profile"]}),
    )
    tags = [InputTag("mlflow.data.context", body["context"]), InputTag("overflight.sha256", str(body["digest"]))]
    tags += [InputTag(f"overflight.lineage.{key}"[:255], str(value)[:500]) for key, value in body["lineage"].items()]
    for run_id in _runs(target, event):
        target.client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])


def _text(target: Target, event: Event) -> None:
    target.client.log_text(target.run_id, event.body["text"], event.body["path"])


def _artifacts(target: Target, event: Event) -> None:
    source, path = Path(event.body["source"]), event.body["path"] or None
    if source.is_dir():
        target.client.log_artifacts(target.run_id, str(source), path)
    elif source.exists():
        target.client.log_artifact(target.run_id, str(source), path)
    else:
        raise FileNotFoundError(f"the artefact {source} is gone")


def _finish(target: Target, event: Event) -> None:
    target.client.set_terminated(target.run_id, event.body["status"], end_time=event.at_ms)
    if not target.execution_run_id:
        return
    execution_id = target.client.get_run(target.run_id).data.tags[EXECUTION_TAG]
    status, end_ms = execution_status(target.client, target.experiment_id, execution_id)
    if end_ms is not None:
        target.client.set_terminated(target.execution_run_id, status, end_time=end_ms)


def _open(_target: Target, _event: Event) -> None:
    """Finding the target has done it."""


def _runs(target: Target, event: Event) -> list[str]:
    both = event.body.get("on_execution") and target.execution_run_id
    return [target.run_id, target.execution_run_id] if both else [target.run_id]


def _chunks(values: list[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk


_APPLY: dict[str, Callable[[Target, Event], None]] = {
    "open": _open,
    "params": _params,
    "metrics": _metrics,
    "tags": _tags,
    "dataset": _dataset,
    "text": _text,
    "artifacts": _artifacts,
    "finish": _finish,
}
