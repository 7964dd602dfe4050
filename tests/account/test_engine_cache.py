"""The step cache: what makes a step the same step, and what does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pipeline_tools import Pipelines, definition, make_pipelines, processing, training_request

from overflight.account.local import step_cache

CACHE = {"Enabled": True, "ExpireAfter": "P30D"}
CODE = "(ml/'processing/output/out/a.txt').write_text(os.environ.get('V', '') + 'x')"


@pytest.fixture
def pipelines(account, session, monkeypatch) -> Pipelines:
    return make_pipelines(account, session, monkeypatch)


def _cached(pipelines: Pipelines, *, value: str = "1", run: str = "a", config: dict | None = None, **more) -> str:
    bucket = pipelines.account.bucket
    step = processing(
        "S",
        CODE,
        inputs={"in": f"s3://{bucket}/input"},
        outputs={"out": f"s3://{bucket}/out-{run}"},
        environment={"V": value, "OVERFLIGHT_EXECUTION_ID": run, "MLFLOW_RUN_ID": run},
        CacheConfig=config or CACHE,
        **more,
    )
    look = processing("Look", inputs={"x": {"Get": "Steps.S.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}})
    return definition(step, look)


@pytest.fixture
def first(pipelines) -> str:
    pipelines.account.objects.put_bytes(pipelines.account.bucket, "input/a.txt", b"1")
    arn = pipelines.run(_cached(pipelines))
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    return arn


def _hit(pipelines: Pipelines, arn: str) -> str | None:
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    result = pipelines.listed(arn)["S"].get("CacheHitResult")
    return result["SourcePipelineExecutionArn"] if result else None


def test_the_same_step_is_not_run_again(pipelines, first):
    assert _hit(pipelines, first) is None
    second = pipelines.run(_cached(pipelines, run="b"))
    third = pipelines.run(_cached(pipelines, run="c"))
    assert _hit(pipelines, second) == first
    assert _hit(pipelines, third) == first
    assert pipelines.keys("out-b") == {}  # what follows reads the earlier outputs
    job = pipelines.listed(first)["S"]["Metadata"]
    assert pipelines.listed(second)["S"]["Metadata"] == job


def test_another_argument_runs_again(pipelines, first):
    assert _hit(pipelines, pipelines.run(_cached(pipelines, value="2", run="b"))) is None


def test_other_input_content_runs_again_and_the_old_content_hits_again(pipelines, first):
    bucket = pipelines.account.bucket
    pipelines.account.objects.put_bytes(bucket, "input/a.txt", b"2")
    assert _hit(pipelines, pipelines.run(_cached(pipelines, run="b"))) is None
    pipelines.account.objects.put_bytes(bucket, "input/a.txt", b"1")
    assert _hit(pipelines, pipelines.run(_cached(pipelines, run="c"))) == first


def test_changed_or_lost_outputs_are_computed_again(pipelines, first, session):
    session.client("s3").delete_object(Bucket=pipelines.account.bucket, Key="out-a/a.txt")
    assert _hit(pipelines, pipelines.run(_cached(pipelines, run="b"))) is None


def test_changed_code_runs_again(pipelines, first, monkeypatch):
    monkeypatch.setattr(step_cache, "code_digest", lambda: "another version")
    assert _hit(pipelines, pipelines.run(_cached(pipelines, run="b"))) is None


def test_only_code_that_jobs_can_run_counts(monkeypatch, tmp_path):
    for name in ("cli/a.py", "jobs/b.py", "detection/recipes/demo.yaml", "jobs/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr("overflight.__file__", str(tmp_path / "__init__.py"))
    seen = {"": step_cache.code_digest()}
    for name in ("cli/a.py", "jobs/notes.txt", "jobs/b.py", "detection/recipes/demo.yaml"):
        (tmp_path / name).write_text("22")
        seen[name] = step_cache.code_digest()
    assert seen[""] == seen["cli/a.py"] == seen["jobs/notes.txt"]
    assert len(set(seen.values())) == 3


def test_results_expire(pipelines, first, clock):
    clock.advance(days=29)
    assert _hit(pipelines, pipelines.run(_cached(pipelines, run="b"))) == first
    clock.advance(days=2)
    assert _hit(pipelines, pipelines.run(_cached(pipelines, run="c"))) is None


def test_without_cache_config_nothing_is_looked_up(pipelines, first):
    assert _hit(pipelines, pipelines.run(_cached(pipelines, run="b", config={"Enabled": False}))) is None


def test_failures_are_not_kept(pipelines, tmp_path):
    code = "f = pathlib.Path(os.environ['F']); first = not f.exists(); f.touch(); first and 1/0"
    text = definition(processing("S", code, environment={"F": str(tmp_path / "f")}, CacheConfig={"Enabled": True}))
    assert pipelines.status(pipelines.run(text)) == "Failed"
    again = pipelines.run(text)
    assert _hit(pipelines, again) is None


def test_training_is_cached_with_its_model(pipelines):
    request = training_request("(ml/'model/w.txt').write_text('w')", pipelines.account.bucket)
    train = {"Name": "S", "Type": "Training", "Arguments": request, "CacheConfig": CACHE}
    look = processing("Look", inputs={"m": {"Get": "Steps.S.ModelArtifacts.S3ModelArtifacts"}})
    one, two = (pipelines.run(definition(train, look)) for _ in range(2))
    assert (_hit(pipelines, one), _hit(pipelines, two)) == (None, one)
    assert len(pipelines.keys("models")) == 1


TRAINER = "c = ml/'checkpoints/last'; (ml/'model/w').write_text(c.read_text() if c.exists() else 'from nothing')"


def _training(pipelines: Pipelines, run: str, end: str = "") -> str:
    bucket = pipelines.account.bucket
    kept = {"S3Uri": f"s3://{bucket}/{run}/checkpoints{end}"}
    request = training_request(TRAINER, bucket, CheckpointConfig=kept)
    request["OutputDataConfig"] = {"S3OutputPath": f"s3://{bucket}/{run}"}
    return definition({"Name": "S", "Type": "Training", "Arguments": request, "CacheConfig": CACHE})


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_what_went_on_from_a_checkpoint_is_not_taken_for_what_began_anew(pipelines, end):
    pipelines.account.objects.put_bytes(pipelines.account.bucket, "one/checkpoints/last", b"poison")
    poisoned = pipelines.run(_training(pipelines, "one", end=end))
    honest = pipelines.run(_training(pipelines, "two"))
    later = pipelines.run(_training(pipelines, "three"))
    assert [_hit(pipelines, one) for one in (poisoned, honest, later)] == [None, None, honest]


def test_the_same_checkpoint_elsewhere_is_the_same_step(pipelines):
    for run in ("one", "two"):
        pipelines.account.objects.put_bytes(pipelines.account.bucket, f"{run}/checkpoints/last", b"epoch 3")
    first = pipelines.run(_training(pipelines, "one"))
    assert _hit(pipelines, pipelines.run(_training(pipelines, "two"))) == first


@pytest.mark.parametrize(
    ("more", "hits"),
    [
        pytest.param({"MLFLOW_TRACKING_URI": "sqlite:///other", "MLFLOW_EXPERIMENT_NAME": "b"}, True, id="tracking"),
        pytest.param({"OVERFLIGHT_STEP": "x", "OVERFLIGHT_EXECUTION_ARN": "arn"}, True, id="run"),
        pytest.param({"MLFLOW_START_FROM": "s3://b/weights"}, False, id="a name that only looks like it"),
    ],
)
def test_variables_that_do_not_count_are_named_one_by_one(account, more, hits):
    keys = {step_cache.cache_key(account, "Training", {"Environment": one}) for one in ({"V": "1"}, {"V": "1", **more})}
    assert (len(keys) == 1) is hits


def test_hyperparameters_count_whatever_they_are_called(account):
    given = [{"HyperParameters": {name: value}} for name in ("Tags", "ExperimentConfig") for value in "12"]
    assert len({step_cache.cache_key(account, "Training", one) for one in given}) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P30D", timedelta(days=30)),
        ("PT1H30M", timedelta(minutes=90)),
        ("P1Y2M3DT4S", timedelta(days=365 + 60 + 3, seconds=4)),
        ("P2W", timedelta(weeks=2)),
        ("30d", None),
        ("P", None),
        ("", None),
    ],
)
def test_durations(text, expected):
    assert step_cache.read_duration(text) == expected
