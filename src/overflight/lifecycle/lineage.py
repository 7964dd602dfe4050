"""Lineage as a person asks for it: what made the model that serves, what came of a survey, where a photograph went.

Built anew at every question from ordinary Describe and List calls and the documents in S3, so that it needs no
bookkeeping, works in AWS and locally alike, and cannot be older than what it describes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from overflight.errors import NotFoundError
from overflight.files import atomic_write
from overflight.governance.lineage import Draft, Graph
from overflight.lifecycle.context import Context
from overflight.lifecycle.lineage_chain import ChainLineage, model_data_uri
from overflight.lifecycle.lineage_data import find_photo, parts_of_photos, photo_records, use_of_photo
from overflight.lifecycle.lineage_records import Records
from overflight.lifecycle.models import list_packages
from overflight.settings import PREFIX

Kind = Literal["endpoint", "package", "run", "survey"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_RUN_CHARS = 4  # fewer characters of a run's id could be anybody's name
_WORDS = {"train": "learned from", "val": "chosen with", "test": "measured on", "left out": "not used", "": "not known"}


@dataclass(frozen=True)
class PhotoAnswer:
    """What one photograph contributed to, through one data set.

    Attributes:
        photo: Path in the survey.
        sha256: Of its file.
        flight: Its flight.
        survey: Name of the survey version.
        dataset: Name of the data set, "" when none was made of the survey.
        part: ``train``, ``val``, ``test``, ``left out``, or "" when it is not known.
        use: What a model did with it.
        tiles: Tiles cut from it.
        models: Packages made with the data set.
        endpoints: Endpoints that serve one of them.
    """

    photo: str
    sha256: str
    flight: str
    survey: str
    dataset: str = ""
    part: str = ""
    use: str = ""
    tiles: int = 0
    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """An answer.

    Attributes:
        graph: Everything that belongs to it.
        start: ARN of what was asked about.
        kind: What that is.
        photos: Where the photograph that was asked for went.
        others: Other things of the same name, as ``--kind`` knows them.
        versions: Further versions of the survey: the same photographs may be in them.
    """

    graph: Graph
    start: str
    kind: Kind
    photos: tuple[PhotoAnswer, ...] = ()
    others: tuple[Kind, ...] = ()
    versions: tuple[str, ...] = ()


def lineage_of(
    context: Context, name: str, *, kind: Kind | None = None, photo: str = "", photos: Path | None = None
) -> Lineage:
    """Lineage of an endpoint, a model package, a run or a survey.

    Args:
        context: Whose account.
        name: Endpoint (``cars`` or its whole name), ``GROUP/VERSION`` or a group (its newest version), a run's id or
            its first characters, a survey or ``survey@digest``; or an ARN.
        kind: Which of them, when several have this name.
        photo: Also where this photograph of the surveys involved went: its path, the end of it, or its file name.
        photos: CSV file to be written: every photograph of the surveys involved with its part in each data set.

    Raises:
        NotFoundError: nothing has this name, or no photograph is called so.
        UsageError: several photographs are called so.
        StoreError: the records contradict one another so that no graph can be made of them.
    """
    found = {each: finder(context, name) for each, finder in _FINDERS.items() if kind in (None, each)}
    there = [each for each in KINDS if found.get(each)]
    if not there:
        what = f"there is no such {kind}" if kind else "no endpoint, package, run or survey is called so"
        lists = "overflight endpoints list, models list, runs list, survey list"
        raise NotFoundError(what, where=name, cure=f"See: {lists}")
    chain = ChainLineage(Records(context), _draft(context))
    chosen, target = there[0], str(found[there[0]])
    start = _START[chosen](chain, target)
    if chosen != "endpoint":
        _downstream(chain, start)
    chain.settle()
    answers = _photo_answers(chain, photo, start) if photo else ()
    graph = _around(chain.draft.graph(), start, upstream_only=chosen == "endpoint")
    if photos is not None:
        _write_photos(chain, graph, photos)
    versions = _survey_versions(context, name)[1:] if chosen == "survey" else []
    names = tuple("@".join(uri.split("/")[-2:]) for uri in versions)
    return Lineage(graph, start, chosen, answers, tuple(there[1:]), names)


def _draft(context: Context) -> Draft:
    return Draft(context.names.account_number, context.settings.region)


def _endpoint_named(context: Context, name: str) -> str | None:
    given = name.rsplit(":endpoint/", 1)[-1] if ":endpoint/" in name else name
    if "/" in given or given.startswith("arn:") or not re.fullmatch(r"[a-zA-Z0-9-]{1,63}", given):
        return None
    records = Records(context)
    candidates = (given, context.settings.name(given), f"{PREFIX}-prod-{given}")
    return next((one for one in candidates if records.describe("describe_endpoint", EndpointName=one)), None)


def _package_named(context: Context, name: str) -> str | None:
    if ":model-package/" in name:
        return name
    if name.startswith("arn:"):
        return None
    group, _, version = name.partition("/")
    packages = (row for row in list_packages(context) if row["package"].rsplit("/", 1)[0] == group)
    return next((str(row["arn"]) for row in packages if version in {"", row["package"].rsplit("/", 1)[1]}), None)


def _run_named(context: Context, name: str) -> str | None:
    if "/execution/" in name:
        return name
    matching = [arn for arn in _executions(Records(context)) if arn.rsplit("/", 1)[1].startswith(name)]
    return matching[0] if len(matching) == 1 and len(name) >= _RUN_CHARS else None


def _survey_named(context: Context, name: str) -> str | None:
    """Address of the newest version that fits."""
    return next(iter(_survey_versions(context, name)), None)


def _survey_versions(context: Context, name: str) -> list[str]:
    """Addresses of the versions called ``name`` or ``name@digest``, the newest first."""
    wanted, _, digest = name.partition("@")
    if not re.fullmatch(r"[\w.-]+", wanted):
        return []
    s3, bucket = context.client("s3"), context.names.bucket
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"surveys/{wanted}/{digest}")
    versions = [item for page in pages for item in page.get("Contents", []) if item["Key"].endswith("/survey.json")]
    ordered = sorted(versions, key=lambda item: item["LastModified"], reverse=True)
    return [f"s3://{bucket}/{item['Key'].removesuffix('/survey.json')}" for item in ordered]


_FINDERS: dict[Kind, Callable[[Context, str], str | None]] = {
    "endpoint": _endpoint_named,
    "package": _package_named,
    "run": _run_named,
    "survey": _survey_named,
}


def _start_endpoint(chain: ChainLineage, name: str) -> str:
    arn = chain.endpoint(name)
    if arn is None:
        raise NotFoundError("it was deleted just now", where=name, cure="See: overflight endpoints list")
    return arn


def _start_survey(chain: ChainLineage, uri: str) -> str:
    arn = chain.data(uri)
    for execution_arn in _executions(chain.records):
        given = chain.records.items(
            "list_pipeline_parameters_for_execution", "PipelineParameters", PipelineExecutionArn=execution_arn
        )
        if any(one["Value"].rstrip("/") == uri for one in given):
            chain.execution(execution_arn)
    for summary in chain.records.items("list_training_jobs", "TrainingJobSummaries"):
        job_arn = summary["TrainingJobArn"]
        if job_arn not in chain.seen and _reads(chain, summary["TrainingJobName"], {uri, *chain.datasets}):
            chain.job(job_arn)
    return arn


def _reads(chain: ChainLineage, job: str, uris: set[str]) -> bool:
    answer = chain.records.describe("describe_training_job", TrainingJobName=job) or {}
    sources = (channel["DataSource"].get("S3DataSource", {}) for channel in answer.get("InputDataConfig") or ())
    return any(source.get("S3Uri", "").rstrip("/") in uris for source in sources)


_START: dict[Kind, Callable[[ChainLineage, str], str]] = {
    "endpoint": _start_endpoint,
    "package": lambda chain, arn: chain.package(arn),
    "run": lambda chain, arn: chain.execution(arn),
    "survey": _start_survey,
}


def _executions(records: Records) -> Iterator[str]:
    for pipeline in records.items("list_pipelines", "PipelineSummaries"):
        for item in records.items(
            "list_pipeline_executions", "PipelineExecutionSummaries", PipelineName=pipeline["PipelineName"]
        ):
            yield item["PipelineExecutionArn"]


def _downstream(chain: ChainLineage, start: str) -> None:
    """Packages and endpoints that came of what is known so far: found by the artefacts and packages they name."""
    artefacts = set(chain.archives)
    packages = {entity.source_uri for entity in chain.draft.graph().of_type("Model")}
    for row in list_packages(chain.records.context) if artefacts else ():
        if row["arn"] not in packages:
            facts = chain.records.describe("describe_model_package", ModelPackageName=row["arn"]) or {}
            containers = facts.get("InferenceSpecification", {}).get("Containers") or ()
            if any(model_data_uri(container) in artefacts for container in containers):
                chain.package(row["arn"])
                packages.add(row["arn"])
    for endpoint in chain.records.items("list_endpoints", "Endpoints"):
        containers = _containers(chain.records, endpoint["EndpointName"])
        if containers is None:
            text = f"The model behind endpoint {endpoint['EndpointName']} is not there any more: it may serve this too."
            chain.draft.remark(start, "not recorded", text)
        elif any(one.get("ModelPackageName") in packages or model_data_uri(one) in artefacts for one in containers):
            chain.endpoint(endpoint["EndpointName"])


def _containers(records: Records, endpoint: str) -> list[dict[str, Any]] | None:
    """Containers behind an endpoint; None when its configuration or a model was deleted."""
    facts = records.describe("describe_endpoint", EndpointName=endpoint)
    if facts is None:
        return []
    config = records.describe("describe_endpoint_config", EndpointConfigName=facts["EndpointConfigName"])
    if config is None:
        return None
    found: list[dict[str, Any]] = []
    for variant in config["ProductionVariants"]:
        model = records.describe("describe_model", ModelName=variant["ModelName"]) if "ModelName" in variant else {}
        if model is None:
            return None
        found += model.get("Containers") or [model.get("PrimaryContainer") or {}]
    return found


def _around(graph: Graph, start: str, *, upstream_only: bool) -> Graph:
    """What led to the start, what came of it, and what else led to that."""
    forward = {start} if upstream_only else {start, *graph.descendants(start)}
    wanted = set(forward)
    for arn in forward:
        wanted |= graph.ancestors(arn)
    for run in graph.of_type("PipelineExecution"):
        if run.arn in wanted:  # also the jobs of a run that left nothing, or whose records are lost
            wanted |= {arn for arn in graph.destinations[run.arn] if graph.by_arn[arn].kind == "TrialComponent"}
    return graph.restricted(wanted)


def _photo_answers(chain: ChainLineage, name: str, start: str) -> tuple[PhotoAnswer, ...]:
    graph = chain.draft.graph()
    around = _around(graph, start, upstream_only=False)
    surveys = [entity for entity in around.of_type("Survey") if chain.surveys[entity.source_uri].known]
    answers = []
    for photo in find_photo(chain.records, [survey.source_uri for survey in surveys], name):
        record, flight = photo.record, chain.flight(photo.survey_uri, photo.record["flight"])[0]
        facts = {
            "sha256": record["sha256"],
            "boxes": str(record["boxes"]),
            "captured": record.get("captured_at"),
            "address": photo.uri,
        }
        arn = chain.draft.add("Artifact", "Photograph", record["path"], source_uri=photo.uri, properties=facts)
        chain.draft.connect(arn, flight, "ContributedTo")
        survey = chain.data(photo.survey_uri)
        plain = PhotoAnswer(record["path"], record["sha256"], record["flight"], chain.draft.entity(survey).name)
        datasets = [
            one
            for one in around.of_type("DataSet")
            if one.source_uri in chain.datasets and survey in graph.ancestors(one.arn)
        ]
        answers += [plain] if not datasets else []
        for dataset in datasets:
            use = use_of_photo(chain.records, dataset.source_uri, record["path"])
            later = [graph.by_arn[one] for one in graph.descendants(dataset.arn)]
            answers.append(
                replace(
                    plain,
                    dataset=dataset.name,
                    part=use.part,
                    use=_WORDS[use.part],
                    tiles=use.tiles,
                    models=tuple(sorted(one.name for one in later if one.type == "Model")),
                    endpoints=tuple(sorted(one.name for one in later if one.type == "Endpoint")),
                )
            )
    return tuple(answers)


def _write_photos(chain: ChainLineage, graph: Graph, path: Path) -> None:
    """One line per photograph: survey, path, digest, flight, and its part in each data set."""
    datasets = [entity for entity in graph.of_type("DataSet") if entity.source_uri in chain.datasets]
    with atomic_write(path) as handle:
        rows = csv.writer(_Text(handle.write), lineterminator="\n")
        rows.writerow(["survey", "photo", "sha256", "flight", *(f"part in {one.name}" for one in datasets)])
        parts = [parts_of_photos(chain.records, one.source_uri) for one in datasets]
        for survey in graph.of_type("Survey"):
            of_it = [survey.arn in graph.ancestors(one.arn) for one in datasets]
            for record in photo_records(chain.records, survey.source_uri):
                uses = [
                    known.get(record["path"], "left out") if mine else ""
                    for known, mine in zip(parts, of_it, strict=True)
                ]
                rows.writerow([survey.name, record["path"], record["sha256"], record["flight"], *uses])


@dataclass(frozen=True)
class _Text:
    """What ``csv`` needs of a file, over one of bytes."""

    put: Callable[[bytes], Any]

    def write(self, text: str) -> Any:
        """Write ``text`` as UTF-8."""
        return self.put(text.encode())
