"""Results of earlier steps that can be used again: same kind of step, same arguments, same inputs, same code.

The key ignores what names a run but does not change its result (execution ids, tracking variables, output URIs), and
looks through input URIs, those of checkpoints included, at the digests of what is stored there. Knows nothing of
executions beyond what it is told.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import overflight
from overflight.account.local.job_files import JobRefused, split_uri
from overflight.account.local.store import Resource, Transaction, time_text, to_json
from overflight.errors import NotFoundError
from overflight.files import canonical_json, sha256_bytes, sha256_file

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

KIND = "step-cache"
CACHED_STEP_TYPES = frozenset({"Processing", "Training", "Tuning"})
# They name a run or where it is tracked. Any other variable may change a result, those that merely look alike included.
_RUN_VARIABLES = frozenset(
    {
        "OVERFLIGHT_EXECUTION_ID",
        "OVERFLIGHT_EXECUTION_ARN",
        "OVERFLIGHT_STEP",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_EXPERIMENT_NAME",
        "MLFLOW_EXPERIMENT_ID",
        "MLFLOW_RUN_ID",
        "MLFLOW_RUN_NAME",
    }
)
_OUTPUTS = {"S3Output": "S3Uri", "OutputDataConfig": "S3OutputPath"}
_TEXTS = frozenset({"HyperParameters", "StaticHyperParameters"})  # names of the caller's own, not of the service's
_DURATION = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)
_YEAR_D, _MONTH_D = 365, 30
_CODE = frozenset({".py", ".yaml"})
_NOTHING = sha256_bytes(canonical_json({}).encode())
_ABOVE_JOBS = frozenset({"cli", "lifecycle", "pipelines"})


def read_duration(text: str) -> timedelta | None:
    """An ISO 8601 duration (a year as 365 days, a month as 30), or None when it cannot be read."""
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    days = part["years"] * _YEAR_D + part["months"] * _MONTH_D + part["weeks"] * 7 + part["days"]
    return timedelta(days=days, hours=part["hours"], minutes=part["minutes"], seconds=part["seconds"])


def cache_key(account: LocalAccount, step_type: str, arguments: Mapping[str, Any]) -> str:
    """Digest of everything that decides the result of a step; raises nothing for inputs that do not exist."""
    document = json.loads(to_json(dict(arguments)))
    return sha256_bytes(
        canonical_json({"type": step_type, "code": code_digest(), "arguments": _neutral(account, document)}).encode()
    )


def _neutral(account: LocalAccount, value: Any) -> Any:
    """The arguments without what only names this run, and with digests in the place of input URIs."""
    if isinstance(value, list):
        return [_neutral(account, one) for one in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for name, part in value.items():
        if name == "Environment" and isinstance(part, dict):
            out[name] = {k: v for k, v in part.items() if k not in _RUN_VARIABLES}
        elif name in _TEXTS:
            out[name] = part
        elif name == "CheckpointConfig" and isinstance(part, dict):
            out[name] = _neutral_checkpoints(account, part)
        elif name in _OUTPUTS and isinstance(part, dict):
            out[name] = {k: v for k, v in part.items() if k != _OUTPUTS[name]}
        elif name in {"S3Input", "S3DataSource"} and isinstance(part, dict):
            out[name] = {**part, "S3Uri": content_digest(account, str(part.get("S3Uri", "")))}
        elif name not in {"Tags", "ExperimentConfig"}:
            out[name] = _neutral(account, part)
    return out


def _neutral_checkpoints(account: LocalAccount, config: dict[str, Any]) -> dict[str, Any]:
    """Checkpoints are an output, and an input too: a job goes on from what lies there when it starts.

    An empty place adds nothing, so that ordinary runs, each with its own, are the same. The place is the folder that
    ``restore_checkpoints`` reads, however many slashes end its URI.
    """
    kept = {name: value for name, value in config.items() if name != "S3Uri"}
    digest = content_digest(account, f"{str(config.get('S3Uri', '')).rstrip('/')}/")
    return kept if digest == _NOTHING else {**kept, "S3Uri": digest}


def content_digest(account: LocalAccount, uri: str) -> str:
    """Digest of the names and contents under an S3 URI; of nothing when it does not exist."""
    try:
        bucket, key = split_uri(uri)
        prefix = key if not key or key.endswith("/") else f"{key}/"
        found = {one.key.removeprefix(prefix): one.sha256 for one in account.objects.list(bucket, prefix)}
        if not found and account.objects.exists(bucket, key):
            found = {Path(key).name: account.objects.info(bucket, key).sha256}
    except (JobRefused, NotFoundError):
        found = {}
    return sha256_bytes(canonical_json(found).encode())


def code_digest() -> str:
    """Digest of the code that a job can run (the layers above jobs cannot be) and of the Python version."""
    folder = Path(overflight.__file__).parent
    files = {
        path.relative_to(folder).as_posix(): _file_digest(path, path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.suffix in _CODE and path.relative_to(folder).parts[0] not in _ABOVE_JOBS
    }
    return sha256_bytes(canonical_json({"files": files, "python": sys.version_info[:3]}).encode())


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path, modified_ns: int, size_bytes: int) -> str:  # noqa: ARG001  # they are the key of the memory
    return sha256_file(path)


def output_digest(account: LocalAccount, answer: Mapping[str, Any]) -> str:
    """Digest of what a step has stored, from the answer of its Describe call."""
    uris = [one["S3Output"]["S3Uri"] for one in (answer.get("ProcessingOutputConfig") or {}).get("Outputs") or ()]
    for described in (answer, answer.get("BestTrainingJob") or {}):
        artefact = (described.get("ModelArtifacts") or {}).get("S3ModelArtifacts")
        if artefact:
            uris.append(str(artefact))
    return sha256_bytes(canonical_json([content_digest(account, uri) for uri in uris]).encode())


def find(tx: Transaction, account: LocalAccount, key: str, config: Mapping[str, Any]) -> Resource | None:
    """The earlier result for ``key``, when it is young enough and its outputs are still what they were."""
    found = tx.get(KIND, key)
    if found is None:
        return None
    if config.get("ExpireAfter"):
        longest = read_duration(str(config["ExpireAfter"]))
        if longest is None or account.clock() - found.modified_at > longest:
            return None
    return found if output_digest(account, found.body["answer"]) == found.body["outputs"] else None


def remember(tx: Transaction, account: LocalAccount, key: str, *, step: Mapping[str, Any], execution_arn: str) -> None:
    """Keep the result of a step that has succeeded (its record's body) for later executions."""
    body = {
        "execution_arn": execution_arn,
        "answer": step["answer"],
        "metadata": step.get("metadata"),
        "outputs": output_digest(account, step["answer"]),
        "at": time_text(account.clock()),
    }
    if tx.get(KIND, key) is None:
        tx.insert(KIND, key, body=body)
    else:
        tx.put(KIND, key, body=body)
