"""Jobs and what they read and wrote, as lineage: processing, training and tuning jobs, data, models, code, images.

Links are made where a job's record names an address, never by the order of steps. A job or an object that was deleted
stays in the graph by its name with a remark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from overflight.data.dataset import DATASET_FILE
from overflight.governance.lineage import Draft
from overflight.jobs.code import code_identity
from overflight.lifecycle.lineage_data import (
    Survey,
    dataset_facts,
    evaluation_facts,
    model_facts,
    parts_of_flights,
    read_survey,
)
from overflight.lifecycle.lineage_records import Archive, Records

SURVEY = re.compile(r"^s3://[^/]+/surveys/[^/]+/[0-9a-f]{12,64}$")
EVALUATION_FILE = "evaluation.json"
_JOBS = {"processing-job": "ProcessingJob", "training-job": "TrainingJob", "hyper-parameter-tuning-job": "TuningJob"}
_RUN_VARIABLES = re.compile(r"^(MLFLOW_.*|OVERFLIGHT_(EXECUTION_.*|STEP))$")


@dataclass
class JobLineage:
    """Adds jobs and their data to a draft; everything is read and added once.

    Attributes:
        records: Where facts come from.
        draft: The graph in the making.
        surveys: Surveys by address.
        datasets: Content of ``dataset.json`` by address.
        parts: Part of each flight (ARN) by data set.
        archives: What packed models say, by address.
        evaluations: Content of ``evaluation.json`` by address of its folder.
        seen: ARNs in the graph by ARN or address of what is recorded.
        training_jobs: ARNs in the graph by the name of the job.
    """

    records: Records
    draft: Draft
    surveys: dict[str, Survey] = field(default_factory=dict)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    archives: dict[str, Archive] = field(default_factory=dict)
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    training_jobs: dict[str, str] = field(default_factory=dict)

    def job(self, job_arn: str, *, step: str = "", note: str = "") -> str:
        """Add a job with everything it read and wrote; returns its ARN in the graph.

        Args:
            job_arn: ARN of the job.
            step: Name of the pipeline's step, "" for a job of its own.
            note: How the step came by it, if that is special.
        """
        kind, _, name = job_arn.rsplit(":", 1)[1].partition("/")
        job_type = _JOBS.get(kind, kind)
        facts = {"step": step, "taken over": note}
        if job_arn in self.seen:
            return self.draft.add("TrialComponent", job_type, name, properties=facts)
        self.seen[job_arn] = arn = self.draft.add(
            "TrialComponent", job_type, name, source_uri=job_arn, properties=facts
        )
        if job_type == "TuningJob":
            return self._tuning(arn, name)
        if job_type == "TrainingJob":
            self.training_jobs[name] = arn
        operation = "describe_training_job" if job_type == "TrainingJob" else "describe_processing_job"
        answer = self.records.describe(operation, **{f"{job_type}Name": name})
        if answer is None:
            self.draft.remark(arn, "not recorded", "The job is not there any more; its inputs and settings are lost.")
            return arn
        self.draft.add(
            "TrialComponent", job_type, name, properties=_job_facts(answer, job_type), created=answer["CreationTime"]
        )
        self._image(arn, answer)
        if job_type == "TrainingJob":
            self._training(arn, answer)
        else:
            self._processing(arn, answer)
        return arn

    def data(self, uri: str) -> str:
        """Add what lies at an S3 address: a survey, a data set, a model, an evaluation or a report."""
        uri = uri.rstrip("/")
        if uri in self.seen:
            return self.seen[uri]
        if SURVEY.match(uri):
            arn = self._survey(uri)
        elif uri.endswith(".tar.gz"):
            arn = self._model(uri)
        else:
            arn = self._folder(uri)
        self.seen[uri] = arn
        return arn

    def settle(self) -> None:
        """Write into the flights which part they were in, when all data sets are known."""
        for flight, uses in self.parts.items():
            entity = self.draft.entity(flight)
            words = set(uses.values())
            facts = {"part": words.pop()} if len(words) == 1 else {f"part in {name}": uses[name] for name in uses}
            self.draft.add("Artifact", "Flight", entity.name, source_uri=entity.source_uri, properties=facts)

    def _tuning(self, arn: str, name: str) -> str:
        answer = self.records.describe("describe_hyper_parameter_tuning_job", HyperParameterTuningJobName=name)
        best = (answer or {}).get("BestTrainingJob", {}).get("TrainingJobArn")
        if best:
            self.draft.connect(arn, self.job(best), "AssociatedWith")
        else:
            self.draft.remark(arn, "not recorded", "Which of its trainings was the best is not there any more.")
        return arn

    def _processing(self, arn: str, answer: Mapping[str, Any]) -> None:
        for given in answer.get("ProcessingInputs") or ():
            if "S3Input" in given:
                self.draft.connect(self.data(given["S3Input"]["S3Uri"]), arn, "ContributedTo")
        codes = []
        for output in (answer.get("ProcessingOutputConfig") or {}).get("Outputs") or ():
            uri = output["S3Output"]["S3Uri"].rstrip("/")
            made_arn = self.data(uri)
            self.draft.date(made_arn, answer.get("ProcessingEndTime"))
            self.draft.connect(arn, made_arn, "Produced")
            codes.append((self.records.document(f"{uri}/manifest.json") or {}).get("code"))
        self.code(arn, codes)

    def _training(self, arn: str, answer: Mapping[str, Any]) -> None:
        channels = set()
        for channel in answer.get("InputDataConfig") or ():
            source = channel["DataSource"].get("S3DataSource")
            if source:
                channels.add(channel["ChannelName"])
                self.draft.connect(self.data(source["S3Uri"]), arn, "ContributedTo")
        uri = answer.get("ModelArtifacts", {}).get("S3ModelArtifacts")
        if not uri or answer["TrainingJobStatus"] != "Completed":
            return
        made = self.data(uri)
        self.draft.date(made, answer.get("TrainingEndTime"))
        self.draft.connect(arn, made, "Produced")
        description = self.archives[uri].description
        self.code(arn, [description.get("code")])
        name, digest = str(description.get("weights") or ""), str(description.get("weights_sha256") or "")
        if name and "weights" not in channels:
            weights = self.draft.add(
                "Artifact",
                "Checkpoint",
                name,
                source_uri=f"sha256:{digest}" if digest else f"file:{name}",
                properties={"sha256": digest},
            )
            self.draft.connect(weights, arn, "ContributedTo")
            if not digest:
                self.draft.remark(weights, "not recorded", "The digest of these weights is not recorded.")

    def code(self, job: str, recorded: Iterable[Any]) -> None:
        """Connect a job with the code that it says it ran."""
        codes = {one["sha256"]: one for one in recorded if isinstance(one, Mapping) and one.get("sha256")}
        if not codes:
            self.draft.remark(job, "not recorded", "Which code it ran is not recorded, only the image it names.")
        for digest, one in codes.items():
            same = digest == code_identity()["sha256"]
            facts = {
                "version": str(one.get("version", "")),
                "sha256": digest,
                "this installation": "the files of this installation" if same else "not the files of this installation",
            }
            arn = self.draft.add(
                "Artifact", "Code", f"overflight {one.get('version', '')}", source_uri=f"sha256:{digest}",
                properties=facts,
            )  # fmt: skip
            self.draft.connect(arn, job, "ContributedTo")

    def _image(self, job: str, answer: Mapping[str, Any]) -> None:
        uri = answer.get("AppSpecification", {}).get("ImageUri")
        uri = uri or answer.get("AlgorithmSpecification", {}).get("TrainingImage")
        if uri:
            ran = "not started: the local account runs the installed package" if self.records.context.is_local else ""
            image = self.draft.add(
                "Artifact", "Image", uri, source_uri=uri, properties={"address": uri, "container": ran}
            )
            self.draft.connect(image, job, "ContributedTo")

    def _survey(self, uri: str) -> str:
        survey = self.surveys[uri] = read_survey(self.records, uri)
        arn = self.draft.add(
            "Artifact",
            "Survey",
            survey.name,
            source_uri=uri,
            properties=survey.properties | {"address": uri},
            created=survey.created,
        )
        if not survey.known and f"{uri}/survey.json" not in self.records.problems:
            text = "Its survey.json is not there any more; what it held is not known."
            self.draft.remark(arn, "not recorded", text)
        self._tell_problem(arn, f"{uri}/survey.json")
        for name, count in survey.flights.items():
            flight = self.flight(uri, name)
            self.draft.add("Artifact", "Flight", name, source_uri=flight[1], properties={"photographs": str(count)})
            self.draft.connect(flight[0], arn, "ContributedTo")
        return arn

    def _tell_problem(self, arn: str, uri: str) -> None:
        """Remark what is wrong with a document: it was written by something else, or by hand."""
        if problem := self.records.problems.get(uri):
            self.draft.remark(arn, "not recorded", f"{problem}; what it should say there is not known.")

    def flight(self, survey_uri: str, name: str) -> tuple[str, str]:
        """ARN and address of a flight: its lines of the survey's manifest."""
        uri = f"{survey_uri}/manifest.jsonl#flight={name}"
        return self.draft.add("Artifact", "Flight", name, source_uri=uri), uri

    def _model(self, uri: str) -> str:
        archive = self.archives[uri] = self.records.archive(uri)
        facts = {
            "sha256": archive.sha256,
            "bytes": str(archive.size_bytes or ""),
            "model.json sha256": archive.digest,
            **model_facts(archive.description),
            "address": uri,
        }
        name = f"model {archive.sha256[:12]}" if archive.sha256 else uri.rsplit("/", 1)[1]
        arn = self.draft.add("Artifact", "ModelData", name, source_uri=uri, properties=facts)
        if archive.problem:
            self.draft.remark(arn, "not recorded", archive.problem)
        return arn

    def _folder(self, uri: str) -> str:
        """What lies at a prefix, by the documents in it; one without any that we know is data as SageMaker says it."""
        name = "/".join(uri.split("/")[-2:])
        sealed = self.records.document(f"{uri}/manifest.json")
        files = set((sealed or {}).get("files", {}))
        if DATASET_FILE in files or sealed is None:
            document = self.records.document(f"{uri}/{DATASET_FILE}")
            if document is not None:
                return self._dataset(uri, name, document)
        if EVALUATION_FILE in files or sealed is None:
            document = self.records.document(f"{uri}/{EVALUATION_FILE}")
            if document is not None:
                self.evaluations[uri] = document
                facts = evaluation_facts(document) | {"address": uri}
                arn = self.draft.add("Artifact", "Evaluation", name, source_uri=uri, properties=facts)
                self._tell_problem(arn, f"{uri}/{EVALUATION_FILE}")
                return arn
        if "decision.json" in files:
            document = self.records.document(f"{uri}/decision.json") or {}
            decision = {
                "passed": str(document.get("passed", "")).lower(),
                "because": "; ".join(map(str, document.get("reasons", ())[:3])),
                "address": uri,
            }
            arn = self.draft.add("Artifact", "Report", name, source_uri=uri, properties=decision)
            self._tell_problem(arn, f"{uri}/decision.json")
            return arn
        arn = self.draft.add("Artifact", "DataSet", name, source_uri=uri, properties={"address": uri})
        for file in (DATASET_FILE, EVALUATION_FILE, "manifest.json"):
            self._tell_problem(arn, f"{uri}/{file}")
        if sealed is None:
            self.draft.remark(arn, "not recorded", "Nothing there says what it is (no manifest.json).")
        return arn

    def _dataset(self, uri: str, name: str, document: dict[str, Any]) -> str:
        self.datasets[uri] = document
        arn = self.draft.add(
            "Artifact", "DataSet", name, source_uri=uri, properties=dataset_facts(document) | {"address": uri}
        )
        self._tell_problem(arn, f"{uri}/{DATASET_FILE}")
        digest = str(document.get("survey_digest", ""))
        origin = next((known for known in self.surveys.values() if digest and known.digest == digest), None)
        if origin is None:
            survey_uri = self._survey_with(digest)
            if survey_uri is None:
                text = f"The survey it was made from (digest {digest[:12] or 'unknown'}) is not in the account."
                self.draft.remark(arn, "not recorded", text)
                return arn
            self.data(survey_uri)
            origin = self.surveys[survey_uri]
        self.draft.connect(self.data(origin.uri), arn, "DerivedFrom")
        for flight, part in parts_of_flights(document).items():
            if flight in origin.flights:
                self.parts.setdefault(self.flight(origin.uri, flight)[0], {})[name] = part
        return arn

    def _survey_with(self, digest: str) -> str | None:
        """Address of the stored survey with this digest."""
        if not digest:
            return None
        context = self.records.context
        pages = context.client("s3").get_paginator("list_objects_v2")
        wanted = re.compile(rf"surveys/[^/]+/{re.escape(digest[:12])}/survey\.json")
        bucket = context.names.bucket
        for page in pages.paginate(Bucket=bucket, Prefix="surveys/", Delimiter="/"):
            for named in page.get("CommonPrefixes", []):
                key = f"{named['Prefix']}{digest[:12]}/survey.json"
                listed = context.client("s3").list_objects_v2(Bucket=bucket, Prefix=key)
                if any(wanted.fullmatch(item["Key"]) for item in listed.get("Contents", [])):
                    return f"s3://{bucket}/{key.removesuffix('/survey.json')}"
        return None


def _job_facts(answer: Mapping[str, Any], job_type: str) -> dict[str, str | None]:
    label = job_type.removesuffix("Job")
    resources = answer.get("ResourceConfig") or answer.get("ProcessingResources", {}).get("ClusterConfig") or {}
    started, ended = answer.get(f"{label}StartTime"), answer.get(f"{label}EndTime")
    command = answer.get("AppSpecification", {}).get("ContainerEntrypoint")
    command = command or answer.get("AlgorithmSpecification", {}).get("ContainerEntrypoint") or ()
    given = answer.get("HyperParameters") or {
        key: value for key, value in (answer.get("Environment") or {}).items() if not _RUN_VARIABLES.match(key)
    }
    machine = (
        f"{resources.get('InstanceCount', 1)} x {resources['InstanceType']}" if "InstanceType" in resources else ""
    )
    return {
        "status": str(answer[f"{job_type}Status"]),
        "seconds": _seconds(started, ended),
        "settings": ", ".join(f"{key.removeprefix('OVERFLIGHT_').lower()}={value}" for key, value in given.items()),
        "command": " ".join(map(str, command)),
        "machine": machine,
        "role": str(answer.get("RoleArn", "")).rsplit("/", 1)[-1],
        "message": str(answer.get("ExitMessage") or ""),
        "measured": json.dumps({one["MetricName"]: round(one["Value"], 4) for one in answer["FinalMetricDataList"]})
        if answer.get("FinalMetricDataList")
        else "",
    }


def _seconds(started: datetime | None, ended: datetime | None) -> str:
    return f"{(ended - started).total_seconds():.0f}" if started and ended else ""
