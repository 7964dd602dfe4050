"""``overflight pipeline``, ``overflight run`` and ``overflight runs``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from overflight.cli.app import App, json_option, pass_app


@click.group()
def pipeline() -> None:
    """The training pipeline as data."""


@pipeline.command("show")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "definition"]),
    default="text",
    show_default=True,
    help="A drawing, a Mermaid graph, or the JSON that SageMaker gets.",
)
@json_option
@pass_app
def show_pipeline(app: App, *, form: str, as_json: bool) -> None:
    """Draw the graph of the training pipeline, or print its SageMaker definition."""
    from overflight.lifecycle.runs import training_definition
    from overflight.pipelines.graph import draw, mermaid

    definition = training_definition(app.settings())
    if as_json or form == "definition":
        click.echo(definition)
    else:
        click.echo((draw if form == "text" else mermaid)(json.loads(definition)))


@pipeline.command("publish")
@json_option
@pass_app
def publish(app: App, *, as_json: bool) -> None:
    """Create the training pipeline in the account, or bring it up to this version."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle.runs import publish_pipeline

    name = publish_pipeline(app.context(default_role="ml-engineer"))
    if as_json:
        emit_json({"pipeline": name})
    else:
        click.echo(f"Published: {name}")


@click.group()
def run() -> None:
    """Start a pipeline."""


@run.command()
@click.option("--survey", required=True, help="Survey to train on: NAME or NAME@DIGEST.")
@click.option("--model", help="yolo11n, yolo11s, yolo11m, yolo11l, yolo11x.")
@click.option("--imgsz", type=click.IntRange(64, 2048), help="Network input size (px).")
@click.option("--epochs", type=click.IntRange(1, 10000), help="Passes over the training tiles.")
@click.option("--batch", type=click.IntRange(1, 1024), help="Tiles per training step.")
@click.option("--seed", type=click.IntRange(0), help="Of split, weights and augmentation.")
@click.option("--weights", help="Checkpoint to start from (.pt); empty: from scratch.")
@click.option("--recipe", help="Named set of training settings, e.g. default or demo.")
@click.option("--split-by", type=click.Choice(["flight", "ground", "time-gap"]), help="What may not be torn apart.")
@click.option("--max-leak", type=click.FloatRange(0, 1), help="Gate: share of the test that may leak, 0..1.")
@click.option("--augment", help="Preset for copies of the training tiles: nadir, oblique (default: none).")
@click.option("--copies", type=click.IntRange(0, 20), help="Copies of each training tile.")
@click.option("--tile", "tile_px", type=click.IntRange(64, 4096), help="Tile size for large photos (px).")
@click.option("--overlap", "overlap_px", type=click.IntRange(0, 2048), help="Overlap of tiles (px).")
@click.option("--set", "checks", multiple=True, metavar="CHECK=LEVEL", help="Change a check, e.g. dark=off.")
@click.option("--max-warnings", type=click.IntRange(0), help="Gate: refuse a survey with more warnings (default: any).")
@click.option("--min-map50", type=click.FloatRange(0, 1), help="Gate: refuse a model below this mAP50.")
@click.option("--group", help="Model package group to register in (default: overflight-SURVEY).")
@click.option("--no-wait", is_flag=True, help="Return as soon as the run has started.")
@json_option
@pass_app
def train(app: App, /, *, survey: str, no_wait: bool, as_json: bool, **given: Any) -> None:
    """Run the training pipeline: validate, prepare, train, evaluate, gate, register."""
    from overflight.cli.output import emit_facts, emit_json, progress_view
    from overflight.lifecycle.run_reports import mlflow_page, report_links
    from overflight.lifecycle.runs import describe_run, follow, start_run
    from overflight.lifecycle.training import training_parameters

    context, publisher = app.context(default_role="data-scientist"), app.context(default_role="ml-engineer")
    chosen = {key: value for key, value in given.items() if value is not None and value != ()}
    parameters = training_parameters(context, survey, chosen)
    arn = start_run(context, parameters, publisher=publisher)
    if not no_wait:
        with progress_view(as_json=as_json) as progress:
            follow(context, arn, progress=progress)
    facts = describe_run(context, arn) | {"reports": {} if no_wait else report_links(context, arn)}
    if as_json:
        emit_json(facts)
        return
    links = {} if no_wait else {**facts["reports"], "mlflow": mlflow_page(context, arn)}
    emit_facts({key: facts[key] for key in ("run", "status", "started", "started_by")} | links)
    verb = (
        "Follow it: overflight runs show"
        if no_wait
        else "Look at it: overflight models show latest; overflight runs report"
    )
    click.echo(f"\n{verb} {facts['run']}")


@click.group()
def runs() -> None:
    """Executions of pipelines."""


@runs.command("list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """The newest runs."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.runs import list_runs

    rows = list_runs(app.context(default_role="data-scientist"))
    if as_json:
        emit_json(rows)
    else:
        emit_rows(
            rows,
            ["run", "pipeline", "status", "started"],
            empty="No runs yet. Start one: overflight run train --survey NAME",
        )


@runs.command()
@click.argument("run", default="latest")
@json_option
@pass_app
def show(app: App, run: str, *, as_json: bool) -> None:
    """One run with its steps; RUN is an id, its first characters, an ARN or `latest`."""
    from overflight.cli.output import emit_facts, emit_json, emit_rows
    from overflight.lifecycle.runs import describe_run, find_run

    context = app.context(default_role="data-scientist")
    facts = describe_run(context, find_run(context, run))
    if as_json:
        emit_json(facts)
        return
    emit_facts({key: value for key, value in facts.items() if key != "steps"})
    click.echo()
    emit_rows(facts["steps"], ["step", "status", "seconds", "cached", "attempts", "reason"], empty="No steps yet.")


@runs.command()
@click.argument("run", default="latest")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the reports (default: report-RUN).")
@json_option
@pass_app
def report(app: App, run: str, *, out: Path | None, as_json: bool) -> None:
    """Fetch what the gates of a run looked at: the survey's checks with pictures, the evaluation."""
    from overflight.cli.output import emit_facts, emit_json, progress_view
    from overflight.lifecycle.run_reports import fetch_reports, mlflow_page
    from overflight.lifecycle.runs import find_run

    context = app.context(default_role="data-scientist")
    arn = find_run(context, run)
    target = out or Path(f"report-{arn.rsplit('/', 1)[1]}")
    with progress_view(as_json=as_json) as progress:
        pages = fetch_reports(context, arn, target, progress=progress)
    facts = {step.lower(): str(page) for step, page in pages.items()} | {"mlflow": mlflow_page(context, arn)}
    if as_json:
        emit_json(facts)
    else:
        emit_facts(facts)


@runs.command()
@click.argument("run", default="latest")
@click.option("--step", help="Only this step, e.g. Train.")
@json_option
@pass_app
def logs(app: App, run: str, *, step: str | None, as_json: bool) -> None:
    """Log lines of a run's jobs."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle.runs import find_run, run_logs

    context = app.context(default_role="data-scientist")
    lines = run_logs(context, find_run(context, run), step=step)
    if as_json:
        emit_json([{"step": name, "line": line} for name, line in lines])
        return
    for name, line in lines:
        click.echo(f"{name:>10} | {line}")


@runs.command()
@click.argument("run")
@json_option
@pass_app
def stop(app: App, run: str, *, as_json: bool) -> None:
    """Stop a run; its jobs are terminated."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle.runs import find_run, stop_run

    context = app.context(default_role="data-scientist")
    arn = find_run(context, run)
    stop_run(context, arn)
    if as_json:
        emit_json({"run": arn.rsplit("/", 1)[1], "stopping": True})
    else:
        click.echo(f"Stopping. See: overflight runs show {arn.rsplit('/', 1)[1]}")


@runs.command()
@click.argument("run")
@click.option("--no-wait", is_flag=True, help="Return at once.")
@json_option
@pass_app
def resume(app: App, run: str, *, no_wait: bool, as_json: bool) -> None:
    """Go on with a failed or stopped run after its last finished step."""
    from overflight.cli.output import emit_facts, emit_json, progress_view
    from overflight.lifecycle.runs import describe_run, find_run, follow, resume_run

    context = app.context(default_role="data-scientist")
    arn = find_run(context, run)
    resume_run(context, arn)
    if not no_wait:
        with progress_view(as_json=as_json) as progress:
            follow(context, arn, progress=progress)
    facts = describe_run(context, arn)
    if as_json:
        emit_json(facts)
    else:
        emit_facts({key: facts[key] for key in ("run", "status", "reason")})
