"""The facts of a model card, gathered by ordinary calls: registry, run, jobs, and the documents they left in S3.

A document that is not there, or that the caller may not read, is an absent fact and named on the card. What a card says
is decided by ``governance.model_card``; whether an approval holds is not known here.
"""

from __future__ import annotations

import contextlib
import logging
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, TypeVar

import numpy as np

from overflight.account.aws_errors import in_our_words
from overflight.account.objects import S3Uri, read_bytes
from overflight.data.profile.sites import sites_of
from overflight.errors import InputError, NotFoundError, OverflightError, RefusedError, UsageError
from overflight.files import sha256_bytes
from overflight.governance.approvals import person_of
from overflight.governance.containers import image_of
from overflight.governance.documents import read_document
from overflight.governance.evidence import artefact_address, metrics_address
from overflight.governance.model_card import make_card
from overflight.governance.model_card_facts import Approval, CardFacts, PhotoFacts, photo_facts
from overflight.governance.model_card_stated import StatedFacts, read_stated
from overflight.governance.provenance import Provenance, provenance_of
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import package_facts
from overflight.lifecycle.runs import Step, output_uri, started_by, steps_of

CARDS, FACTS_FILE = "cards", "facts.yaml"
_LARGEST_DESCRIPTION_BYTES = 1024 * 1024
_ABSENT = (NotFoundError, RefusedError, InputError, UsageError)

Found = TypeVar("Found")
log = logging.getLogger(__name__)


def gather_facts(context: Context, package: Mapping[str, Any], *, approval: Approval) -> CardFacts:
    """Everything measured and recorded about a package.

    Args:
        context: Whose rights are used.
        package: Answer of DescribeModelPackage.
        approval: What is known of the decision.
    """
    kept = package.get("CustomerMetadataProperties") or {}
    reader = _Reader(context)
    run = _provenance(reader, package)
    facts = CardFacts(
        name=f"{package['ModelPackageGroupName']}/{package['ModelPackageVersion']}",
        arn=package["ModelPackageArn"],
        approval=approval,
        registered_by=person_text(package.get("CreatedBy")),
        registered_at=moment_text(package["CreationTime"]),
        image=image_of(package.get("InferenceSpecification")),
        artefact=artefact_address(package),
        gate=_number(run.min_map50),
        registry_status=package.get("ModelCard", {}).get("ModelCardStatus", ""),
    )
    evaluation = reader.content("evaluation.json", metrics_address(package))
    survey = run.survey_uri
    facts = replace(
        facts,
        evaluation=reader.parsed("evaluation.json", evaluation),
        model=reader.parsed("model.json", reader.optional("model.json", lambda: _description(context, facts.artefact))),
        survey=reader.document("survey.json", survey, "survey.json"),
    )
    facts = _of_run(reader, facts, kept.get("execution_arn", ""), survey=survey)
    return replace(facts, digests=_digests(facts, evaluation, kept), absent=dict(reader.absent))


def kept_facts(context: Context, package: str) -> StatedFacts:
    """What was stated for ``group/version`` when its card was kept; nothing when none was.

    Raises:
        InputError: the file that is kept cannot be read any more.
    """
    place = card_place(context, package) / FACTS_FILE
    try:
        text = read_bytes(context.client("s3"), place.bucket, place.key).decode()
    except (NotFoundError, RefusedError):
        return StatedFacts()
    return read_stated(text, where=str(place))


def card_for_decision(
    context: Context, arn: str, *, verdict: Literal["approve", "reject", "revoke"], reason: str = "", event: str = ""
) -> dict[str, str] | None:
    """``ModelCard`` for the UpdateModelPackage that carries a decision, so that card and package change at once.

    The card is that of the package after the decision; only who may decide can send it. None where there can be none:
    AWS changes no card that is archived, and a decision does not wait for a card whose facts cannot be read.
    """
    try:
        package = package_facts(context, arn)
        if package.get("ModelCard", {}).get("ModelCardStatus") == "Archived":
            return None
        approved = verdict == "approve"
        decision = Approval(
            status="Approved" if approved else "Rejected",
            valid=approved,
            by=str(person_of(context.client("sts").get_caller_identity()["Arn"])),
            at=moment_text(context.clock()),
            reason=reason,
            event=event,
        )
        facts = gather_facts(context, package, approval=decision)
        card = make_card(facts, kept_facts(context, facts.name))
        return {"ModelCardContent": card.package_text, "ModelCardStatus": card.status}
    except OverflightError as error:
        log.warning("the package gets no model card: %s", error)
        return None


class _Reader:
    """Reads documents; remembers why one could not be had."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.absent: dict[str, str] = {}

    def optional(self, name: str, read: Callable[[], Found]) -> Found | None:
        """What ``read`` gives, or None when it is not there or may not be read."""
        try:
            with in_our_words(name):
                return read()
        except _ABSENT as error:
            self.absent[name] = error.what
            return None

    def content(self, name: str, uri: str) -> bytes | None:
        """Bytes of an object, None without an address."""
        if not uri:
            self.absent[name] = "the package points to none"
            return None
        return self.optional(name, lambda: self._bytes(uri))

    def document(self, name: str, folder: str, path: str) -> Mapping[str, Any]:
        """A JSON document below ``folder``, empty when it cannot be had."""
        return self.parsed(name, self.content(name, f"{folder.rstrip('/')}/{path}" if folder else ""))

    def parsed(self, name: str, content: bytes | None) -> Mapping[str, Any]:
        """``content`` as a JSON object."""
        if content is None:
            return {}
        found = read_document(name, content)
        if found.problem:
            self.absent[name] = f"it {found.problem}"
        return found.content

    def _bytes(self, uri: str) -> bytes:
        place = S3Uri.parse(uri)
        return read_bytes(self.context.client("s3"), place.bucket, place.key)


def _provenance(reader: _Reader, package: Mapping[str, Any]) -> Provenance:
    """What the run was started with, whatever the package's metadata say; nothing without a run."""
    sagemaker = reader.context.client("sagemaker")
    places = {"artefact_uri": artefact_address(package), "metrics_uri": metrics_address(package)}
    return reader.optional("run", lambda: provenance_of(sagemaker, package, **places)) or Provenance()


def _of_run(reader: _Reader, facts: CardFacts, execution_arn: str, *, survey: str) -> CardFacts:
    """Facts of the execution that made the package: who started it, its jobs, the data set."""
    if not execution_arn:
        reader.absent["run"] = "no run of the training pipeline made the package"
        return facts
    sagemaker = reader.context.client("sagemaker")
    run = reader.optional("run", lambda: sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn))
    steps = {
        step.name: step for step in reader.optional("steps", lambda: steps_of(reader.context, execution_arn)) or ()
    }
    folder = _dataset_folder(reader, steps.get("Prepare"))
    dataset = reader.document("dataset.json", folder, "dataset.json")
    held_out = reader.document("truth.json", folder, "test/truth.json")
    trained, test = _photos(reader, survey, dataset, held_out)
    return replace(
        facts,
        run=execution_arn.rsplit("/", 1)[-1],
        trained_by=str(person_of(started_by(run))) if run else "",
        training=_training(reader, steps.get("Train"), folder),
        evaluation_job=steps["Evaluate"].job_arn if "Evaluate" in steps else "",
        dataset=dataset,
        baseline=reader.document("baseline.json", folder, "baseline.json"),
        trained_photos=trained,
        test_photos=test,
    )


def _dataset_folder(reader: _Reader, step: Step | None) -> str:
    if step is None or not step.job_arn:
        return ""
    found = reader.optional("dataset", lambda: output_uri(reader.context, step, "dataset"))
    return str(found) if found else ""


def _training(reader: _Reader, step: Step | None, data: str) -> dict[str, Any]:
    if step is None or not step.job_arn:
        reader.absent["training job"] = "the run has none"
        return {}
    name = step.job_arn.rsplit("/", 1)[-1]
    sagemaker = reader.context.client("sagemaker")
    job = reader.optional("training job", lambda: sagemaker.describe_training_job(TrainingJobName=name))
    if job is None:
        return {}
    return {
        "arn": step.job_arn,
        "image": job.get("AlgorithmSpecification", {}).get("TrainingImage", ""),
        "hyperparameters": {k: v for k, v in job.get("HyperParameters", {}).items() if not k.startswith("sagemaker_")},
        "started": moment_text(job.get("TrainingStartTime")),
        "ended": moment_text(job.get("TrainingEndTime")),
        "data": data,
    }


def _photos(
    reader: _Reader, survey: str, dataset: Mapping[str, Any], truth: Mapping[str, Any]
) -> tuple[PhotoFacts | None, PhotoFacts | None]:
    """Facts of the photographs of training and validation, and of those held out."""
    if not truth:
        return None, None
    content = reader.content("manifest.jsonl", f"{survey.rstrip('/')}/manifest.jsonl" if survey else "")
    if content is None:
        return None, None
    lines = [read_document("manifest.jsonl", line) for line in content.splitlines()]
    records = [line.content for line in lines if line.content]
    if bad := sum(bool(line.problem) for line in lines):
        reader.absent["manifest.jsonl"] = f"{bad} of {len(lines)} lines are not as they should be"
    test = {f"photos/{image['file_name']}" for image in truth.get("images", ())}
    left_out = set(dataset.get("left_out", ()))
    used = [one for one in _with_sites(records) if one["path"] not in left_out]
    trained = photo_facts(one for one in used if one["path"] not in test)
    return trained, photo_facts(one for one in used if one["path"] in test)


def _with_sites(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    known = list(records)
    places = [
        np.array([np.nan if one.get(name) is None else float(one[name]) for one in known])
        for name in ("latitude_deg", "longitude_deg")
    ]
    return [{**one, "site": site} for one, site in zip(known, sites_of(*places).tolist(), strict=True)]


def _description(context: Context, uri: str) -> bytes:
    """``model.json`` of the archive; the rest of it is not read."""
    place = S3Uri.parse(uri)
    body = context.client("s3").get_object(Bucket=place.bucket, Key=place.key)["Body"]
    try:
        with contextlib.closing(body), tarfile.open(fileobj=body, mode="r|gz") as archive:
            for member in archive:
                if member.name.removeprefix("./") == "model.json" and member.size <= _LARGEST_DESCRIPTION_BYTES:
                    handle = archive.extractfile(member)
                    return handle.read() if handle else b"{}"
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, OSError) as error:
        raise InputError(f"is no archive of a model ({error})", where=uri) from error
    raise NotFoundError("the archive has no model.json", where=uri)


def _digests(facts: CardFacts, evaluation: bytes | None, kept: Mapping[str, str]) -> dict[str, str]:
    found = {
        "artefact, as approved": kept.get("approval_artefact_sha256", ""),
        "container, as approved": kept.get("approval_container_sha256", ""),
        "model": str(facts.evaluation.get("model_digest", "")),
        "evaluation": "" if evaluation is None else sha256_bytes(evaluation),
        "data set": str(facts.dataset.get("digest", "")),
        "survey": str(facts.survey.get("digest", "")),
        "base weights": str(facts.model.get("weights_sha256", "")),
        "code that trained": str(facts.model.get("code", {}).get("sha256", "")),
    }
    return {name: value for name, value in found.items() if value}


def card_place(context: Context, package: str) -> S3Uri:
    """Where the card of ``group/version`` is kept."""
    return S3Uri(context.names.bucket, f"{CARDS}/{package}")


def person_text(user_context: Mapping[str, Any] | None) -> str:
    """``approver/ben`` of a UserContext, empty without one."""
    arn = (user_context or {}).get("IamIdentity", {}).get("Arn", "")
    return str(person_of(arn)) if arn else ""


def moment_text(moment: datetime | None) -> str:
    """``2026-11-20 14:02 UTC``, empty without one."""
    return f"{moment:%Y-%m-%d %H:%M %Z}".strip() if moment else ""


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
