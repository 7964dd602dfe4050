"""Lineage from records: what made a model, what came of a survey, where a photograph went, and what is not recorded."""

import csv
import json
import uuid
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner

from factories import make_survey_source
from lineage_account import GROUP, approve_and_serve, make_account, serve
from overflight.cli.app import App
from overflight.cli.lineage import lineage as command
from overflight.errors import NotFoundError, UsageError
from overflight.governance.lineage_answer import answer
from overflight.jobs.code import code_identity, source_digest
from overflight.lifecycle.context import Context
from overflight.lifecycle.lineage import lineage_of
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.surveys import add_survey
from overflight.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def no_supervisor():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("overflight.account.local.supervisor.ensure_supervisor", lambda _account: None)
        yield


@pytest.fixture(scope="module")
def made(no_supervisor, tmp_path_factory):
    work = tmp_path_factory.mktemp("made")
    story = make_account(Context(Settings(home=work / "home", user="anna")), work / "work")
    approve_and_serve(story)
    return story


def forget_code(folder):
    path = folder / "model.json"
    document = json.loads(path.read_text())
    del document["code"], document["weights_sha256"]
    path.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def broken(no_supervisor, tmp_path_factory):
    """Records with links missing: see the table of remarks."""
    work = tmp_path_factory.mktemp("broken")
    story = make_account(Context(Settings(home=work / "home", user="anna")), work / "work", on_model=forget_code)
    approve_and_serve(story, evidence=False)
    sagemaker = story.context.client("sagemaker")
    facts = sagemaker.describe_model_package(ModelPackageName=story.names["package"])
    artefact = facts["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    second = sagemaker.create_model_package(
        ModelPackageGroupName=GROUP,
        InferenceSpecification={
            "Containers": [{"Image": "overflight/serve:0.1.0", "ModelDataUrl": artefact}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={"survey_uri": f"s3://{story.context.names.bucket}/surveys/other/0123456789ab"},
        ClientToken=uuid.uuid4().hex,
    )["ModelPackageArn"]
    sagemaker.update_model_package(
        ModelPackageArn=second,
        ModelApprovalStatus="Approved",
        ApprovalDescription="fine",
        CustomerMetadataProperties={"approval_event": "e", "approval_artefact_sha256": "f" * 64},
    )
    image = {"Image": "somebody/else:1"}
    serve(story, "overflight-dev-second", {"ModelPackageName": second})
    serve(story, "overflight-dev-image", image)
    serve(story, "overflight-dev-meadow", image)
    serve(story, "overflight-dev-artefact", {**image, "ModelDataUrl": artefact})
    serve(story, "overflight-dev-headless", image)
    sagemaker.delete_model(ModelName="overflight-dev-headless-1")
    serve(story, "overflight-dev-rootless", image)
    sagemaker.delete_endpoint_config(EndpointConfigName="overflight-dev-rootless-1")
    return story


def links(graph):
    """Edges by types: the story without names."""
    kinds = {one.arn: one.properties.get("step", one.type) for one in graph.entities}
    return {(kinds[edge.source], edge.kind, kinds[edge.destination]) for edge in graph.edges}


def remarks(context, name):
    found = lineage_of(context, name, kind="survey" if name == "meadow" else None)
    assert found.graph.faults() == ()
    return {(remark.tone, remark.text) for remark in found.graph.remarks}


class TestEndpoint:
    def test_it_leads_back_to_every_flight_over_every_link(self, made):
        found = lineage_of(made.context, "cars")
        assert found.graph.faults() == ()
        assert [remark.text for remark in found.graph.remarks] == [
            "No run of the deploy pipeline was at work when it was made: who made it is not recorded here."
        ]
        assert links(found.graph) >= {
            ("Flight", "ContributedTo", "Survey"),
            ("Survey", "ContributedTo", "Prepare"),
            ("Survey", "DerivedFrom", "DataSet"),
            ("Prepare", "Produced", "DataSet"),
            ("DataSet", "ContributedTo", "Train"),
            ("Checkpoint", "ContributedTo", "Train"),
            ("Code", "ContributedTo", "Train"),
            ("Train", "Produced", "ModelData"),
            ("ModelData", "ContributedTo", "Evaluate"),
            ("DataSet", "ContributedTo", "Evaluate"),
            ("Evaluate", "Produced", "Evaluation"),
            ("Evaluation", "ContributedTo", "Model"),
            ("ModelData", "ContributedTo", "Model"),
            ("PipelineDefinition", "ContributedTo", "PipelineExecution"),
            ("PipelineExecution", "AssociatedWith", "Train"),
            ("PipelineExecution", "Produced", "Model"),
            ("Validate", "Produced", "Report"),
            ("Report", "AssociatedWith", "Model"),
            ("Model", "ContributedTo", "Approval"),
            ("Approval", "ContributedTo", "DeployedModel"),
            ("DeployedModel", "ContributedTo", "ModelDeployment"),
            ("ModelDeployment", "AssociatedWith", "Endpoint"),
        }
        assert {one.name for one in found.graph.of_type("Flight")} == {f"flight{n}" for n in range(1, 5)}
        assert found.graph.ancestors(found.start) == found.graph.by_arn.keys() - {found.start}

    def test_the_answer_names_data_code_people_and_measurement(self, made):
        found = lineage_of(made.context, "overflight-dev-cars")
        said = answer(found.graph, found.start)
        assert said["Model"].startswith("overflight-cars/1: Approved, registered ")
        assert "by berta as approver: Looked at 40 photographs" in said["Decision"]
        assert said["Data"].startswith(f"meadow@{made.survey.digest[:12]}: 12 photographs of 4 flights (")
        assert said["Code"] == (
            f"overflight {code_identity()['version']} sha256 {code_identity()['sha256'][:12]} "
            "(the files of this installation)"
        )
        assert made.names["run"] in said["Pipeline"]
        assert "anna as " in said["Pipeline"]
        assert said["Settings"] == "epochs=3, seed=7, model=yolo11n"
        assert said["Base weights"] == f"yolo11n.pt {'ab' * 6}"
        assert said["Measured"] == "mAP50 0.812 [0.700, 0.900]"

    def test_every_flight_says_its_part_and_every_artefact_its_digest(self, made):
        graph = lineage_of(made.context, "cars").graph
        assert {one.properties["part"] for one in graph.of_type("Flight")} == {"train", "val", "test"}
        (survey,) = graph.of_type("Survey")
        assert survey.properties["manifest sha256"] == made.survey.digest
        digest = graph.of_type("ModelData")[0].properties["sha256"]
        assert graph.of_type("Approval")[0].properties["evidence: artefact sha256"] == digest


class TestOtherSides:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("overflight-cars/1", "package"),
            ("{run}", "run"),
            ("{package}", "package"),
            ("meadow", "survey"),
            ("{survey}", "survey"),
        ],
        ids=["package", "run", "package by ARN", "survey", "survey of a digest"],
    )
    def test_each_leads_to_the_endpoint(self, made, name, kind):
        given = name.format(**made.names, survey=f"meadow@{made.survey.digest[:6]}")
        found = lineage_of(made.context, given)
        assert found.kind == kind
        (endpoint,) = found.graph.of_type("Endpoint")
        assert endpoint.arn in found.graph.descendants(found.start)
        assert found.graph.faults() == ()

    def test_of_a_survey_it_is_known_what_must_be_withdrawn(self, made):
        found = lineage_of(made.context, "meadow")
        said = answer(found.graph, found.start)
        assert said["Models"] == "overflight-cars/1"
        assert said["Endpoints"] == "overflight-dev-cars"

    def test_older_versions_of_a_survey_are_named(self, broken, tmp_path):
        context = broken.context
        digests = []
        for seed in (5, 6):
            source = make_survey_source(tmp_path / str(seed), flights=seed - 4, seed=seed)
            digests.append(add_survey(context, source, name="brook", progress=Silent()).digest[:12])
        found = lineage_of(context, "brook")
        assert {found.versions[0], found.graph.of_type("Survey")[0].name} == {f"brook@{digest}" for digest in digests}
        assert lineage_of(context, found.versions[0]).versions == ()

    def test_a_name_of_several_things_says_so(self, made, broken):
        assert lineage_of(broken.context, "meadow").others == ("survey",)
        assert lineage_of(broken.context, "meadow", kind="survey").kind == "survey"
        assert lineage_of(made.context, GROUP).kind == "package"

    def test_a_name_of_nothing_is_an_error_that_says_where_to_look(self, made):
        with pytest.raises(NotFoundError, match="survey list"):
            lineage_of(made.context, "nothing")


class TestPhotographs:
    @pytest.mark.parametrize("start", ["cars", "meadow"])
    def test_a_photograph_says_what_it_was_used_for(self, made, start):
        uses = {}
        for flight in range(1, 5):
            (use,) = lineage_of(made.context, start, photo=f"flight{flight}_0001.jpg").photos
            uses[use.part] = use.use
            assert (use.tiles > 0) == (use.part != "test")
            assert use.models == ("overflight-cars/1",)
            assert use.endpoints == ("overflight-dev-cars",)
        assert uses == {"train": "learned from", "val": "chosen with", "test": "measured on"}

    def test_it_is_in_the_graph_at_its_flight(self, made):
        graph = lineage_of(made.context, "cars", photo="flight2/flight2_0002.jpg").graph
        (photo,) = graph.of_type("Photograph")
        (flight,) = graph.destinations[photo.arn]
        assert graph.by_arn[flight].name == "flight2"
        assert len(photo.properties["sha256"]) == 64

    def test_one_that_is_not_there_or_not_alone_is_refused(self, made):
        with pytest.raises(NotFoundError, match="no photograph"):
            lineage_of(made.context, "cars", photo="other.jpg")

    def test_part_of_a_name_is_no_name(self, made):
        with pytest.raises(NotFoundError):
            lineage_of(made.context, "cars", photo="0001.jpg")

    def test_all_of_them_are_listed_with_their_parts(self, made, tmp_path):
        lineage_of(made.context, "cars", photos=tmp_path / "photos.csv")
        rows = list(csv.DictReader((tmp_path / "photos.csv").read_text().splitlines()))
        part = next(name for name in rows[0] if name.startswith("part in "))
        assert len(rows) == 12
        by_flight = {row["flight"]: {other[part] for other in rows if other["flight"] == row["flight"]} for row in rows}
        graph = lineage_of(made.context, "cars").graph
        assert by_flight == {one.name: {one.properties["part"]} for one in graph.of_type("Flight")}


@pytest.mark.parametrize(
    ("survey", "remark"),
    [
        pytest.param(b'{"name": "odd"}', None, id="no digest"),
        pytest.param(b'{"digest": 7, "photos": "x", "flights": {"a": {}, "b": 2}, "boxes_per_class": []}',
                     "survey.json is not as it should be: digest, photos, flights.a and 1 more; "
                     "what it should say there is not known.", id="other types"),
        pytest.param(b"[]", "survey.json is not a JSON object; what it should say there is not known.", id="a list"),
        pytest.param(b'{"name": "\\ud800", "digest": "' + b"\xff" * 9,
                     "survey.json is not a JSON object; what it should say there is not known.", id="no text"),
    ],
)  # fmt: skip
def test_a_survey_that_somebody_wrote_by_hand_is_shown_as_far_as_it_goes(made, survey, remark):
    s3, bucket = made.context.client("s3"), made.context.names.bucket
    folder = "surveys/odd/0123456789ab"
    lines = [
        b'{"path": "photos/a.jpg"}',
        b"7",
        b"nothing",
        b'{"path": ["photos/a.jpg"], "boxes": {}}',
        b"\xff photos/a",
    ]
    whole = b'{"path": "photos/a.jpg", "sha256": "ab", "flight": "f", "boxes": 1, "captured_at": 7}'
    s3.put_object(Bucket=bucket, Key=f"{folder}/survey.json", Body=survey)
    s3.put_object(Bucket=bucket, Key=f"{folder}/manifest.jsonl", Body=b"\n".join([*lines, whole]))
    found = lineage_of(made.context, "odd", kind="survey")
    assert found.graph.faults() == ()
    assert [one.text for one in found.graph.remarks] == ([remark] if remark else [])
    assert found.graph.by_arn[found.start].name.endswith("@0123456789ab")
    json.dumps(answer(found.graph, found.start)).encode()
    if remark is None:
        assert found.graph.by_arn[found.start].properties["manifest sha256"] == "not recorded"
        (photo,) = lineage_of(made.context, "odd", kind="survey", photo="a.jpg").photos
        assert (photo.photo, photo.sha256) == ("photos/a.jpg", "ab")


def test_several_photographs_of_one_name_are_named(made, monkeypatch):
    lines = [{"path": f"photos/{flight}/a.jpg", "flight": flight} for flight in ("f1", "f2")]
    monkeypatch.setattr("overflight.lifecycle.lineage_data.photo_records", lambda *_, **__: iter(lines))
    with pytest.raises(UsageError, match=r"2 photographs are called so: photos/f1/a\.jpg, photos/f2/a\.jpg"):
        lineage_of(made.context, "cars", photo="a.jpg")


class TestNotRecorded:
    @pytest.mark.parametrize(
        ("name", "tone", "says"),
        [
            ("cars", "not recorded", "Which code it ran"),
            ("cars", "not recorded", "digest of these weights"),
            ("cars", "not recorded", "No event and no digests"),
            ("cars", "contradiction", "measured another model"),
            ("second", "contradiction", "not the one that was approved"),
            ("second", "contradiction", "names the survey other@0123456789ab"),
            ("second", "not recorded", "the gates of a pipeline did not look at it"),
            ("second", "not recorded", "names no evaluation"),
            ("image", "not recorded", "an image only"),
            ("artefact", "not recorded", "without a model package"),
            ("headless", "not recorded", "The model is not there any more"),
            ("rootless", "not recorded", "configuration is not there any more"),
            ("meadow", "not recorded", "behind endpoint overflight-dev-headless is not there any more"),
        ],
    )
    def test_what_is_missing_is_said(self, broken, name, tone, says):
        assert [text for found, text in remarks(broken.context, name) if found == tone and says in text]

    def test_a_package_without_a_run_is_followed_over_its_training_job(self, broken):
        graph = lineage_of(broken.context, "second").graph
        assert {"TrainingJob", "DataSet", "Survey", "Flight"} <= {one.type for one in graph.entities}
        assert not graph.of_type("PipelineExecution")

    def test_an_artefact_served_without_a_package_is_found_from_the_survey(self, broken):
        found = lineage_of(broken.context, "meadow", kind="survey").graph.of_type("Endpoint")
        assert {one.name for one in found} == {
            "overflight-dev-cars",
            "overflight-dev-second",
            "overflight-dev-artefact",
        }


class TestCommand:
    @pytest.fixture
    def run(self, made):
        def call(*arguments):
            app = App({"home": made.context.settings.home_path, "role": "auditor", "user": "zoe"})
            result = CliRunner().invoke(command, arguments, obj=app, catch_exceptions=False)
            assert result.exit_code == 0, result.output
            return result.output

        return call

    def test_an_auditor_reads_the_answer_and_the_tree(self, run):
        text = run("cars", "--photo", "flight1_0001.jpg")
        assert text.index("Decision") < text.index("● Endpoint overflight-dev-cars") < text.index("▶ Training")
        assert "photos/flight1/flight1_0001.jpg" in text
        assert "Missing or contradictory" in text

    def test_json_is_query_lineage_with_facts(self, run):
        document = json.loads(run("cars", "--json"))
        assert {one["LineageType"] for one in document["Vertices"]} == {
            "Artifact",
            "Action",
            "Context",
            "TrialComponent",
        }
        assert document["start"] in {one["Arn"] for one in document["Vertices"]}
        assert document["answer"]["Measured"].startswith("mAP50")
        assert len(document["entities"]) == len(document["Vertices"])

    def test_files_are_written(self, run, tmp_path):
        run("meadow", "--html", str(tmp_path / "a.html"), "--dot", str(tmp_path / "a.dot"),
            "--mermaid", str(tmp_path / "a.mmd"), "--photos", str(tmp_path / "a.csv"))  # fmt: skip
        assert "<svg" in (tmp_path / "a.html").read_text()
        assert (tmp_path / "a.dot").read_text().startswith("digraph")
        assert (tmp_path / "a.mmd").read_text().startswith("flowchart")
        assert (tmp_path / "a.csv").read_text().count("\n") == 13


class TestOnAws:
    """The same code on answers of AWS's form: Stubber refuses what does not fit AWS's shapes."""

    PREFIX = "arn:aws:sagemaker:eu-central-1:123456789012"
    PACKAGE = f"{PREFIX}:model-package/cars/3"
    SESSION = "arn:aws:sts::123456789012:assumed-role"
    EXECUTION = f"{PREFIX}:pipeline/overflight-dev-train/execution/abcdefghijkl"
    JOB = f"{PREFIX}:training-job/pipelines-abcdefghijkl-Train-x"

    @pytest.fixture
    def stubbed(self, made):
        client = boto3.client("sagemaker", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        settings = Settings(platform="aws", account_id="123456789012", home=made.context.settings.home)
        clients = {"sagemaker": client, "s3": made.context.client("s3")}
        with Stubber(client) as stub:
            yield Context(settings, _clients=clients), stub
            stub.assert_no_pending_responses()

    def serving(self, stub):
        endpoint = {
            "EndpointName": "overflight-prod-cars", "EndpointArn": f"{self.PREFIX}:endpoint/overflight-prod-cars",
            "EndpointConfigName": "c", "EndpointStatus": "InService", "CreationTime": NOON, "LastModifiedTime": NOON,
        }  # fmt: skip
        for _ in range(2):
            stub.add_client_error("describe_endpoint", "ValidationException", "Could not find endpoint")
        for _ in range(2):
            stub.add_response("describe_endpoint", endpoint, {"EndpointName": "overflight-prod-cars"})
        stub.add_response("list_tags", {"Tags": [{"Key": "owner", "Value": "clara"}]})
        variant = {"VariantName": "main", "ModelName": "m", "InitialInstanceCount": 2, "InstanceType": "ml.c7i.large"}
        stub.add_response("describe_endpoint_config", {
            "EndpointConfigName": "c", "EndpointConfigArn": f"{self.PREFIX}:endpoint-config/c",
            "ProductionVariants": [variant], "CreationTime": NOON,
        })  # fmt: skip
        stub.add_response("list_tags", {"Tags": []})
        stub.add_response("describe_model", {
            "ModelName": "m", "ModelArn": f"{self.PREFIX}:model/m", "CreationTime": NOON,
            "Containers": [{"ModelPackageName": self.PACKAGE}],
        })  # fmt: skip

    def package(self, stub, **more):
        data = {
            "S3Uri": f"s3://b/x/{self.JOB.rsplit('/', 1)[1]}/output/model.tar.gz",
            "S3DataType": "S3Object",
            "CompressionType": "Gzip",
        }
        stub.add_response("describe_model_package", {
            "ModelPackageName": "cars", "ModelPackageGroupName": "cars", "ModelPackageVersion": 3,
            "ModelPackageArn": self.PACKAGE, "CreationTime": NOON, "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": []}, "ModelApprovalStatus": "Approved",
            "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataSource": {"S3DataSource": data}}]},
            "CreatedBy": {"IamIdentity": {"Arn": f"{self.SESSION}/overflight-register/SageMaker"}},
            **more,
        })  # fmt: skip

    def test_a_job_that_was_deleted_stays_by_its_name(self, stubbed):
        context, stub = stubbed
        self.serving(stub)
        self.package(stub, MetadataProperties={"GeneratedBy": self.EXECUTION})
        stub.add_response("describe_pipeline_execution", {
            "PipelineExecutionArn": self.EXECUTION, "PipelineExecutionStatus": "Succeeded", "CreationTime": NOON,
            "LastModifiedTime": NOON,
        })  # fmt: skip
        stub.add_response("list_pipeline_parameters_for_execution", {"PipelineParameters": []})
        stub.add_response("describe_pipeline_definition_for_execution", {"PipelineDefinition": '{"Steps": []}'})
        step = {"StepName": "Train", "StepStatus": "Succeeded", "Metadata": {"TrainingJob": {"Arn": self.JOB}}}
        stub.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": [step]})
        stub.add_client_error("describe_training_job", "ValidationException", "Requested resource not found.")
        stub.add_response("list_pipeline_executions", {"PipelineExecutionSummaries": []})
        found = lineage_of(context, "cars", kind="endpoint")
        (job,) = found.graph.of_type("TrainingJob")
        assert job.source_uri == self.JOB
        assert ("Train", "Produced", "ModelData") in links(found.graph)  # by the form of SageMaker's addresses
        texts = {remark.text for remark in found.graph.remarks}
        assert "The job is not there any more; its inputs and settings are lost." in texts
        assert "The artefact is not in S3 any more." in texts
        said = answer(found.graph, found.start)
        assert said["Pipeline"].startswith("run abcdefghijkl started 2026-03-01 12:00Z")
        assert said["Model"].endswith("by SageMaker as register")
        assert said["Data"] == said["Code"] == said["Settings"] == "not recorded"

    def test_a_package_without_a_run_and_an_execution_that_is_gone_are_no_errors(self, stubbed):
        context, stub = stubbed
        self.serving(stub)
        self.package(stub, CustomerMetadataProperties={"execution_arn": self.EXECUTION})
        stub.add_client_error("describe_pipeline_execution", "ResourceNotFound", "does not exist")
        stub.add_client_error("list_pipeline_executions", "ResourceNotFound", "there is no deploy pipeline")
        found = lineage_of(context, "cars", kind="endpoint")
        said = answer(found.graph, found.start)
        assert said["Data"] == said["Code"] == said["Measured"] == "not recorded"
        assert any("execution is not there any more" in remark.text for remark in found.graph.remarks)
        assert found.graph.faults() == ()

    def test_a_survey_that_only_the_package_names_is_shown_as_that(self, stubbed, made):
        context, stub = stubbed
        self.serving(stub)
        self.package(stub, CustomerMetadataProperties={"survey_uri": made.survey.uri})
        stub.add_client_error("describe_training_job", "ValidationException", "not found")
        stub.add_client_error("list_pipeline_executions", "ResourceNotFound", "there is no deploy pipeline")
        found = lineage_of(context, "cars", kind="endpoint")
        assert ("Survey", "AssociatedWith", "Model") in links(found.graph)
        assert answer(found.graph, found.start)["Data"].endswith("12 photographs of 4 flights")
        assert any("which job read it" in remark.text for remark in found.graph.remarks)

    def test_who_deployed_is_the_run_that_was_at_work_then(self, stubbed):
        context, stub = stubbed
        self.serving(stub)
        stub.add_client_error("describe_model_package", "ValidationException", "does not exist")
        arn = f"{self.PREFIX}:pipeline/overflight-deploy/execution/deployrun001"
        listed = [
            {"PipelineExecutionArn": f"{arn}x", "StartTime": NOON + timedelta(hours=1)},
            {"PipelineExecutionArn": f"{arn}y", "StartTime": NOON - timedelta(minutes=1)},
            {"PipelineExecutionArn": arn, "StartTime": NOON - timedelta(minutes=2)},
        ]
        stub.add_response("list_pipeline_executions", {"PipelineExecutionSummaries": listed})
        for name in ("overflight-dev-other", "overflight-prod-cars"):
            parameters = [{"Name": "EndpointName", "Value": name}]
            stub.add_response("list_pipeline_parameters_for_execution", {"PipelineParameters": parameters})
        execution = {
            "PipelineExecutionArn": arn, "PipelineExecutionStatus": "Succeeded",
            "CreationTime": NOON - timedelta(minutes=2), "LastModifiedTime": NOON + timedelta(minutes=2),
            "CreatedBy": {"IamIdentity": {"Arn": f"{self.SESSION}/overflight-ml-engineer/clara"}},
        }  # fmt: skip
        for _ in range(2):
            stub.add_response("describe_pipeline_execution", execution)
        stub.add_response("list_pipeline_parameters_for_execution", {"PipelineParameters": []})
        stub.add_client_error("describe_pipeline_definition_for_execution", "ResourceNotFound", "")
        job = {"ProcessingJob": {"Arn": f"{self.PREFIX}:processing-job/deploy-1"}}
        step = {"StepName": "Deploy", "StepStatus": "Succeeded", "Metadata": job}
        stub.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": [step]})
        stub.add_client_error("describe_processing_job", "ValidationException", "not found")
        found = lineage_of(context, "cars", kind="endpoint")
        said = answer(found.graph, found.start)
        assert said["Deployed"] == "2026-03-01 12:00Z by clara as ml-engineer with run deployrun001"
        assert said["Pipeline"] == "not recorded"  # what deployed it did not make it
        assert ("Deploy", "Produced", "ModelDeployment") in links(found.graph)

    def test_a_refusal_is_not_taken_for_an_absence(self, stubbed):
        context, stub = stubbed
        self.serving(stub)
        stub.add_client_error("describe_model_package", "AccessDeniedException", "not authorized")
        with pytest.raises(context.client("sagemaker").exceptions.ClientError, match="not authorized"):
            lineage_of(context, "cars", kind="endpoint")


def test_the_digest_of_code_is_of_its_files(tmp_path):
    (tmp_path / "a.py").write_text("1")
    first = source_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("2")
    (tmp_path / ".a.py.swp").write_text("3")
    assert source_digest(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert source_digest(tmp_path) != first
