"""What an approval rests on, read from the account as it is now: digests of artefact, container, survey and metrics.

Knows where a model package points to and the schema of the files there, and who made it; takes the account's clients
and judges nothing (``governance.approvals`` does). What a run answers for is ``governance.provenance``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import tarfile
import zlib
from collections.abc import Mapping
from typing import Any

from overflight.account.aws_errors import in_our_words
from overflight.account.objects import S3Uri, read_bytes
from overflight.errors import NotFoundError, UsageError
from overflight.files import canonical_json, sha256_bytes
from overflight.governance.approvals import Evidence, Parties, Person, person_of
from overflight.governance.containers import container_digest, image_of
from overflight.governance.provenance import execution, movers_of, provenance_of

_CHUNK_BYTES = 1024 * 1024
_LARGEST_DESCRIPTION_BYTES = 1024 * 1024
_RUN_OF = re.compile(r"/runs/(?P<execution>[^/]+)/")


def gather(sagemaker: Any, s3: Any, facts: Mapping[str, Any]) -> Evidence:
    """The evidence of a package; every byte of the artefact is read, the rest are small files.

    Args:
        sagemaker: Client of SageMaker.
        s3: Client of S3.
        facts: Answer of DescribeModelPackage.

    Returns:
        What could be found; what does not exist is "" in it.

    Raises:
        OverflightError: the account refuses to show something, or cannot be reached.
    """
    kept = facts.get("CustomerMetadataProperties") or {}
    metrics_uri = metrics_address(facts)
    artefact_uri = artefact_address(facts)
    artefact, model = _artefact(s3, artefact_uri)
    metrics = _content(s3, metrics_uri)
    evaluation = _document(metrics)
    evaluation_uri = kept.get("evaluation_uri") or metrics_uri.rpartition("/")[0]
    run = provenance_of(sagemaker, facts, artefact_uri=artefact_uri, metrics_uri=metrics_uri)
    figure = (evaluation.get("metrics") or {}).get("map50") or {}
    return Evidence(
        artefact_uri=artefact_uri,
        artefact_sha256=artefact,
        model_sha256=model,
        image=image_of(facts.get("InferenceSpecification")),
        container_sha256=container_digest(facts),
        survey_uri=run.survey_uri,
        survey_digest=_survey_digest(s3, run.survey_uri),
        metrics_uri=metrics_uri,
        metrics_sha256=sha256_bytes(metrics) if metrics is not None else "",
        measured_sha256=str(evaluation.get("model_digest", "")),
        evaluation_uri=evaluation_uri,
        execution_arn=run.execution_arn,
        definition_sha256=run.definition_sha256,
        reused_from=run.reused_from,
        unexplained=run.unexplained,
        map50=_number(figure.get("value")),
        min_map50=_number(run.min_map50),
        gate=_gate(s3, evaluation_uri),
    )


def parties_of(
    sagemaker: Any, facts: Mapping[str, Any], evidence: Evidence, *, approver: Person, deployer: Person | None = None
) -> Parties:
    """Who registered and who trained the package, beside its approver.

    The artefact may come from the cache of an earlier run: whoever started that one trained it too, and so did whoever
    let a run go on that had failed (the last to change an execution is all that the account keeps of that).
    """
    made_by = str((facts.get("CreatedBy") or {}).get("IamIdentity", {}).get("Arn", ""))
    execution_arn = (facts.get("CustomerMetadataProperties") or {}).get("execution_arn", "")
    runs = [execution_arn] if execution_arn else []
    if execution_arn and (found := _RUN_OF.search(artefact_address(facts))):
        runs.append(f"{execution_arn.rpartition('/')[0]}/{found['execution']}")
    movers = {arn: movers_of(sagemaker, arn) for arn in dict.fromkeys([*runs, *evidence.reused_from])}
    trainers = tuple(dict.fromkeys(person_of(mover) for found in movers.values() for mover in found))
    unknown = tuple(arn for arn, found in movers.items() if not found)
    return Parties(approver, person_of(made_by) if made_by else None, trainers, deployer, unknown)


def starter_of(sagemaker: Any, execution_arn: str) -> str:
    """ARN of whoever started an execution, "" when there is no such execution."""
    answer = execution(sagemaker, execution_arn)
    return str((answer.get("CreatedBy") or {}).get("IamIdentity", {}).get("Arn", ""))


def artefact_address(facts: Mapping[str, Any]) -> str:
    """S3 address of the package's artefact, "" when it has none."""
    containers = (facts.get("InferenceSpecification") or {}).get("Containers") or [{}]
    return str(containers[0].get("ModelDataUrl", ""))


def metrics_address(facts: Mapping[str, Any]) -> str:
    """S3 address of the evaluation.json that the package points to, "" when it points to none."""
    quality = (facts.get("ModelMetrics") or {}).get("ModelQuality") or {}
    return str((quality.get("Statistics") or {}).get("S3Uri", ""))


class _Hashed:
    """A stream that is hashed while somebody reads it."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = bytes(self._body.read(size if size >= 0 else None))
        self._digest.update(data)
        return data

    def finish(self) -> str:
        """Digest of everything, after the rest was read."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._digest.hexdigest()


def _artefact(s3: Any, uri: str) -> tuple[str, str]:
    """Digests of the archive and of the ``model.json`` in it."""
    place = _place(uri)
    if place is None:
        return "", ""
    try:
        with (
            in_our_words(uri),
            contextlib.closing(s3.get_object(Bucket=place.bucket, Key=place.key)["Body"]) as body,
        ):
            stream = _Hashed(body)
            model = _description_digest(stream)
            return stream.finish(), model
    except NotFoundError:
        return "", ""


def _description_digest(stream: _Hashed) -> str:
    """SHA-256 of ``model.json`` at the top of the archive, "" when there is none or it is no archive."""
    try:
        with tarfile.open(fileobj=stream, mode="r|gz", bufsize=_CHUNK_BYTES) as tar:  # type: ignore[call-overload]  # read() is all it uses
            for member in tar:
                if member.name.removeprefix("./") == "model.json" and member.size <= _LARGEST_DESCRIPTION_BYTES:
                    handle = tar.extractfile(member)
                    return sha256_bytes(handle.read()) if handle else ""
    except (tarfile.TarError, EOFError, zlib.error, OSError):
        return ""
    return ""


def _survey_digest(s3: Any, uri: str) -> str:
    """Digest of a stored survey: of the lines of its manifest and its classes, as ``survey add`` writes them."""
    head = _document(_content(s3, f"{uri.rstrip('/')}/survey.json" if uri else ""))
    manifest = _content(s3, f"{uri.rstrip('/')}/manifest.jsonl" if uri else "")
    if manifest is None or "classes" not in head:
        return ""
    return sha256_bytes(manifest + f"{canonical_json(list(head['classes']))}\n".encode())


def _gate(s3: Any, evaluation_uri: str) -> bool | None:
    passed = _document(_content(s3, f"{evaluation_uri.rstrip('/')}/decision.json" if evaluation_uri else "")).get(
        "passed"
    )
    return passed if isinstance(passed, bool) else None


def _place(uri: str) -> S3Uri | None:
    try:
        return S3Uri.parse(uri)
    except UsageError:
        return None


def _content(s3: Any, uri: str) -> bytes | None:
    place = _place(uri)
    if place is None:
        return None
    try:
        return read_bytes(s3, place.bucket, place.key)
    except NotFoundError:
        return None


def _document(content: bytes | None) -> dict[str, Any]:
    if content is None:
        return {}
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
