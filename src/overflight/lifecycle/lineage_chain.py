"""From an endpoint back to the run: deployment, model, package, decision, execution, definition; each link as recorded.

Knows SageMaker's Describe answers and the metadata that registering and approving write; jobs and data are next door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from overflight.files import sha256_bytes
from overflight.governance.approvals import Record, person_of, record_of
from overflight.lifecycle.lineage_jobs import EVALUATION_FILE, SURVEY, JobLineage
from overflight.pipelines.deploy import NAME as DEPLOY_PIPELINE

_STEP_JOBS = ("ProcessingJob", "TrainingJob", "TuningJob")
_EVIDENCE = {
    "event": "event",
    "artefact_sha256": "evidence: artefact sha256",
    "metrics_sha256": "evidence: metrics sha256",
    "survey": "evidence: survey",
    "people": "people",
}
_AT_WORK = frozenset({"Executing", "Stopping"})
_PINNED_MODEL = "OVERFLIGHT_SERVE_MODEL_SHA256"
_REGISTERED = ("survey_uri", "recipe", "seed", "map50", "min_map50")


@dataclass
class ChainLineage(JobLineage):
    """Adds what serves and what was decided to a draft."""

    def endpoint(self, name: str) -> str | None:
        """Add an endpoint with everything behind it; its ARN in the graph, None when there is none of this name."""
        answer = self.records.describe("describe_endpoint", EndpointName=name)
        if answer is None:
            return None
        if answer["EndpointArn"] in self.seen:
            return self.seen[answer["EndpointArn"]]
        tags = self.records.tags(answer["EndpointArn"])
        arn = self.draft.add(
            "Context",
            "Endpoint",
            name,
            source_uri=answer["EndpointArn"],
            properties={
                "status": answer["EndpointStatus"],
                "address": tags.get("overflight:url"),
                "changed": _when(answer.get("LastModifiedTime")),
                "environment": tags.get("env"),
                "owner": tags.get("owner"),
                "failure": answer.get("FailureReason"),
            },
            created=answer["CreationTime"],
        )
        self.seen[answer["EndpointArn"]] = arn
        self.draft.connect(self._deployment(answer["EndpointConfigName"], endpoint=name), arn, "AssociatedWith")
        return arn

    def _deployment(self, name: str, *, endpoint: str) -> str:
        answer = self.records.describe("describe_endpoint_config", EndpointConfigName=name)
        if answer is None:
            arn = self.draft.add("Action", "ModelDeployment", name)
            text = "The endpoint's configuration is not there any more; which model it named is not known."
            self.draft.remark(arn, "not recorded", text)
            return arn
        variants = answer.get("ProductionVariants") or ()
        machines = [
            f"{one.get('InitialInstanceCount', 1)} x {one['InstanceType']}" for one in variants if "InstanceType" in one
        ]
        tags = self.records.tags(answer["EndpointConfigArn"])
        arn = self.draft.add(
            "Action",
            "ModelDeployment",
            name,
            source_uri=answer["EndpointConfigArn"],
            properties={"machine": ", ".join(machines), "owner": tags.get("owner")},
            created=answer["CreationTime"],
        )
        for variant in variants:
            if "ModelName" in variant:
                self.draft.connect(self._model_resource(variant["ModelName"]), arn, "ContributedTo")
            else:
                self.draft.remark(arn, "not recorded", f"Variant {variant['VariantName']} names no model.")
        self._deployed_by(arn, endpoint, made=answer["CreationTime"])
        return arn

    def _deployed_by(self, deployment: str, endpoint: str, *, made: datetime) -> None:
        """The run of the deploy pipeline for this endpoint that was at work when the configuration was made."""
        for item in self.records.items(
            "list_pipeline_executions", "PipelineExecutionSummaries", PipelineName=DEPLOY_PIPELINE
        ):
            execution_arn = item["PipelineExecutionArn"]
            if item["StartTime"] > made or self._parameter(execution_arn, "EndpointName") != endpoint:
                continue
            answer = self.records.describe("describe_pipeline_execution", PipelineExecutionArn=execution_arn)
            if answer and (answer["LastModifiedTime"] >= made or answer["PipelineExecutionStatus"] in _AT_WORK):
                execution = self.execution(execution_arn)
                self.draft.connect(execution, deployment, "ContributedTo")
                for job in self.draft.graph().destinations[execution]:
                    if self.draft.entity(job).kind == "TrialComponent":
                        self.draft.connect(job, deployment, "Produced")
                return
            break  # the newest for this endpoint had ended before
        text = "No run of the deploy pipeline was at work when it was made: who made it is not recorded here."
        self.draft.remark(deployment, "not recorded", text)

    def _parameter(self, execution_arn: str, name: str) -> str:
        given = self.records.items(
            "list_pipeline_parameters_for_execution", "PipelineParameters", PipelineExecutionArn=execution_arn
        )
        return next((one["Value"] for one in given if one["Name"] == name), "")

    def _model_resource(self, name: str) -> str:
        answer = self.records.describe("describe_model", ModelName=name)
        if answer is None:
            arn = self.draft.add("Artifact", "DeployedModel", name)
            text = "The model is not there any more; which package it held is not known."
            self.draft.remark(arn, "not recorded", text)
            return arn
        if answer["ModelArn"] in self.seen:
            return self.seen[answer["ModelArn"]]
        arn = self.draft.add(
            "Artifact",
            "DeployedModel",
            name,
            source_uri=answer["ModelArn"],
            properties={"role": str(answer.get("ExecutionRoleArn", "")).rsplit("/", 1)[-1]},
            created=answer["CreationTime"],
        )
        self.seen[answer["ModelArn"]] = arn
        for container in answer.get("Containers") or [answer.get("PrimaryContainer") or {}]:
            self._container(arn, container)
        return arn

    def _container(self, model: str, container: Mapping[str, Any]) -> None:
        pinned = str(container.get("Environment", {}).get(_PINNED_MODEL, ""))
        known = self.draft.entity(model)
        facts = {"serves only model.json sha256": pinned}
        self.draft.add(known.kind, known.type, known.name, source_uri=known.source_uri, properties=facts)
        if package_arn := container.get("ModelPackageName"):
            package = self.package(package_arn)
            self.draft.connect(package, model, "ContributedTo")
            described = {archive.digest for archive in self.archives.values()} - {""}
            if pinned and described and pinned not in described:
                text = "It serves only a model that is not the one in S3 now: the server will refuse to start."
                self.draft.remark(model, "contradiction", text)
            if approval := self.seen.get(f"approval of {package}"):
                self.draft.connect(approval, model, "ContributedTo")
            return
        if uri := model_data_uri(container):
            self.draft.connect(self.data(uri), model, "ContributedTo")
            text = "It holds an artefact without a model package: nobody's approval of it is recorded."
        else:
            text = "It names an image only; what model is in it is not recorded."
        self.draft.remark(model, "not recorded", text)
        if image := container.get("Image"):
            entity = self.draft.add("Artifact", "Image", image, source_uri=image, properties={"address": image})
            self.draft.connect(entity, model, "ContributedTo")

    def package(self, package_arn: str) -> str:
        """Add a model package with its decision and everything it was made from; its ARN in the graph."""
        if package_arn in self.seen:
            return self.seen[package_arn]
        name = package_arn.rsplit(":", 1)[-1].removeprefix("model-package/")
        self.seen[package_arn] = arn = self.draft.add("Artifact", "Model", name, source_uri=package_arn)
        facts = self.records.describe("describe_model_package", ModelPackageName=package_arn)
        if facts is None:
            self.draft.remark(arn, "not recorded", "The model package is not there any more.")
            return arn
        metadata = facts.get("CustomerMetadataProperties", {})
        stage = facts.get("ModelLifeCycle", {})
        self.draft.add(
            "Artifact",
            "Model",
            name,
            source_uri=package_arn,
            properties={
                "approval": facts.get("ModelApprovalStatus"),
                "stage": "/".join(stage[key] for key in ("Stage", "StageStatus") if key in stage),
                "registered by": person(facts.get("CreatedBy")),
                "description": facts.get("ModelPackageDescription"),
                **{key.replace("_", " "): metadata.get(key) for key in _REGISTERED},
            },
            created=facts["CreationTime"],
        )
        execution = str(metadata.get("execution_arn") or facts.get("MetadataProperties", {}).get("GeneratedBy") or "")
        if "/execution/" in execution:
            self.draft.connect(self.execution(execution, package=arn), arn, "Produced")
        self._contents(arn, facts, execution=execution)
        self._named_survey(arn, str(metadata.get("survey_uri", "")).rstrip("/"))
        self._decision(arn, facts, record_of(facts))
        return arn

    def _contents(self, arn: str, facts: Mapping[str, Any], *, execution: str) -> None:
        containers = facts.get("InferenceSpecification", {}).get("Containers") or ()
        for container in containers:
            uri = model_data_uri(container)
            if uri is None:
                self.draft.remark(arn, "not recorded", "It names no artefact: what model it is is not recorded.")
                continue
            data = self.data(uri)
            if "/execution/" not in execution:
                self._trained_directly(arn, uri)
            if trained := self.training_jobs.get(_job_of(uri)):
                self.draft.connect(trained, data, "Produced")
            self.draft.connect(data, arn, "ContributedTo")
        uri = facts.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri")
        if uri:
            folder = uri.removesuffix(f"/{EVALUATION_FILE}")
            self.draft.connect(self.data(folder), arn, "ContributedTo")
            self._compare(folder, [model_data_uri(one) for one in containers])
        else:
            self.draft.remark(arn, "not recorded", "It names no evaluation.")

    def _named_survey(self, package: str, uri: str) -> None:
        """The survey that the package names, held against those that its jobs have read."""
        if not SURVEY.match(uri):
            return
        graph = self.draft.graph()
        read = {graph.by_arn[arn].source_uri for arn in graph.ancestors(package) if graph.by_arn[arn].type == "Survey"}
        if not read:
            self.draft.connect(self.data(uri), package, "AssociatedWith")
            text = "It names its survey; which job read it is not recorded."
            self.draft.remark(package, "not recorded", text)
        elif uri not in read:
            text = f"It names the survey {'@'.join(uri.split('/')[-2:])}, its jobs have read another."
            self.draft.remark(package, "contradiction", text)

    def _trained_directly(self, package: str, uri: str) -> None:
        """A package without an execution: its artefact may say which job made it."""
        job = _job_of(uri)
        answer = self.records.describe("describe_training_job", TrainingJobName=job) if job else None
        if answer and answer.get("ModelArtifacts", {}).get("S3ModelArtifacts") == uri:
            self.job(answer["TrainingJobArn"])
            text = "It was registered without a pipeline: the gates of a pipeline did not look at it."
        else:
            text = "It was registered without a pipeline: which job made its artefact is not recorded."
        self.draft.remark(package, "not recorded", text)

    def _compare(self, evaluation_uri: str, model_uris: list[str | None]) -> None:
        """Whether the evaluation measured this artefact on the data set it was trained with."""
        evaluation = self.evaluations.get(evaluation_uri)
        archives = [self.archives[uri] for uri in model_uris if uri in self.archives]
        if evaluation is None or not archives or not archives[0].digest:
            return
        arn = self.data(evaluation_uri)
        if evaluation.get("model_digest") not in (None, archives[0].digest):
            self.draft.remark(arn, "contradiction", "It measured another model than the artefact of the package.")
        trained_on = archives[0].description.get("dataset_digest")
        if evaluation.get("dataset_digest") not in (None, trained_on):
            text = "It measured on another data set than the one that the model names as its own."
            self.draft.remark(arn, "contradiction", text)

    def _decision(self, package: str, facts: Mapping[str, Any], record: Record) -> None:
        status = facts.get("ModelApprovalStatus", "")
        if status not in {"Approved", "Rejected"}:
            return
        name = self.draft.entity(package).name
        arn = self.draft.add(
            "Action",
            "Approval",
            name,
            source_uri=self.draft.entity(package).source_uri,
            properties={
                "decision": status,
                "by": _who(record.approved_by) or person(facts.get("LastModifiedBy")),
                "reason": facts.get("ApprovalDescription"),
                **{label: getattr(record, name) for name, label in _EVIDENCE.items()},
            },
            created=facts.get("LastModifiedTime"),
        )
        self.seen[f"approval of {package}"] = arn
        self.draft.connect(package, arn, "ContributedTo")
        if status == "Approved" and not record.event:
            text = "No event and no digests were kept with it: what the approver had before them cannot be proved."
            self.draft.remark(arn, "not recorded", text)
        told = record.artefact_sha256
        uris = [model_data_uri(one) for one in facts.get("InferenceSpecification", {}).get("Containers") or ()]
        measured = {self.archives[uri].sha256 for uri in uris if uri in self.archives} - {""}
        if told and measured and told not in measured:
            self.draft.remark(arn, "contradiction", "The artefact in S3 is not the one that was approved.")

    def execution(self, execution_arn: str, *, package: str = "") -> str:
        """Add a pipeline execution with its definition and jobs; ``package`` is what is known to have come of it."""
        if execution_arn in self.seen:
            return self.seen[execution_arn]
        name = execution_arn.rsplit("/", 1)[1]
        self.seen[execution_arn] = arn = self.draft.add("Context", "PipelineExecution", name, source_uri=execution_arn)
        answer = self.records.describe("describe_pipeline_execution", PipelineExecutionArn=execution_arn)
        if answer is None:
            text = "The pipeline execution is not there any more; its jobs, parameters and starter are lost."
            self.draft.remark(arn, "not recorded", text)
            return arn
        given = self.records.items(
            "list_pipeline_parameters_for_execution", "PipelineParameters", PipelineExecutionArn=execution_arn
        )
        self.draft.add(
            "Context",
            "PipelineExecution",
            name,
            properties={
                "pipeline": execution_arn.split("/")[1],
                "status": answer["PipelineExecutionStatus"],
                "started by": person(answer.get("CreatedBy")),
                "parameters": ", ".join(f"{one['Name']}={one['Value']}" for one in given),
                "role": str(answer.get("RoleArn", "")).rsplit("/", 1)[-1],
            },
            created=answer["CreationTime"],
        )
        self._definition(arn, execution_arn)
        self._steps(arn, execution_arn, package=package)
        return arn

    def _definition(self, execution: str, execution_arn: str) -> None:
        answer = self.records.describe("describe_pipeline_definition_for_execution", PipelineExecutionArn=execution_arn)
        text = (answer or {}).get("PipelineDefinition")
        if not text:
            self.draft.remark(execution, "not recorded", "The definition it followed is not there any more.")
            return
        digest = sha256_bytes(text.encode())
        pipeline = execution_arn.partition("/execution/")[0]
        facts = {"sha256": digest, "characters": str(len(text))}
        arn = self.draft.add(
            "Artifact",
            "PipelineDefinition",
            pipeline.rsplit("/", 1)[1],
            source_uri=f"{pipeline}#sha256={digest}",
            properties=facts,
        )
        self.draft.connect(arn, execution, "ContributedTo")

    def _steps(self, execution: str, execution_arn: str, *, package: str) -> None:
        packages, jobs = {package} - {""}, []
        for step in self.records.items(
            "list_pipeline_execution_steps",
            "PipelineExecutionSteps",
            PipelineExecutionArn=execution_arn,
            SortOrder="Ascending",
        ):
            metadata = step.get("Metadata", {})
            for kind in _STEP_JOBS:
                if job_arn := metadata.get(kind, {}).get("Arn"):
                    earlier = step.get("CacheHitResult", {}).get("SourcePipelineExecutionArn", "").rsplit("/", 1)[-1]
                    note = f"from run {earlier}" if earlier else ""
                    jobs.append(self.job(job_arn, step=step["StepName"], note=note))
                    self.draft.connect(execution, jobs[-1], "AssociatedWith")
            if registered := metadata.get("RegisterModel", {}).get("Arn"):
                packages.add(self.package(registered))
                self.draft.connect(execution, self.package(registered), "Produced")
        graph = self.draft.graph()
        made = {arn for job in jobs for arn in graph.destinations[job]}
        for report in (entity for entity in graph.of_type("Report") if entity.arn in made):
            for registered in packages:  # the gate that read it let the run go on
                self.draft.connect(report.arn, registered, "AssociatedWith")


def _job_of(uri: str) -> str:
    """Training job that an artefact's address names: SageMaker writes ``<path>/<job>/output/model.tar.gz``."""
    parts = uri.split("/")
    return parts[-3] if len(parts) > 5 and parts[-2] == "output" else ""


def model_data_uri(container: Mapping[str, Any]) -> str | None:
    """Address of a container's model, None when it names none."""
    source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
    uri = container.get("ModelDataUrl") or source
    return str(uri).rstrip("/") if uri else None


def person(user_context: Mapping[str, Any] | None) -> str:
    """``ada as data-scientist`` for a session of a role, else the ARN; "" when not recorded."""
    return _who(str((user_context or {}).get("IamIdentity", {}).get("Arn", "")))


def _who(arn: str) -> str:
    found = person_of(arn) if arn else None
    return f"{found.user} as {found.role}" if found and found.role and found.user else arn


def _when(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time else ""
