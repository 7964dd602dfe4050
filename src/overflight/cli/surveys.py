"""``overflight survey``: synthetic surveys, adding, listing, showing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from overflight.cli.app import App, json_option, pass_app
from overflight.cli.source_options import checks_options, source_options
from overflight.errors import UsageError

_WARNINGS_SHOWN = 20


@click.group()
def survey() -> None:
    """Surveys: photographs of flights with labels."""


@survey.command()
@click.argument("source")
@click.option("--name", required=True, help="Name of the survey, e.g. harbour.")
@click.option("--quarantine", is_flag=True, help="Leave broken photos out and list them instead of refusing.")
@click.option("--fix", is_flag=True, help="Safe cures: clip boxes by 1 px, drop repeated and empty boxes.")
@source_options
@checks_options
@json_option
@pass_app
def add(
    app: App, /, source: str, *, changes: tuple[str, ...], changes_file: Path | None, as_json: bool, **given: Any
) -> None:
    """Read SOURCE (a folder or s3://bucket/prefix of photographs with labels) and store it as a version of a survey.

    SOURCE is never changed.
    """
    from overflight.cli.output import emit_facts, emit_json, progress_view
    from overflight.lifecycle.survey_checks import catalogue_of
    from overflight.lifecycle.surveys import add_survey

    catalogue = catalogue_of(changes, changes_file)
    with progress_view(as_json=as_json) as progress:
        version = add_survey(
            app.context(default_role="ml-engineer"), source, progress=progress, catalogue=catalogue, **given
        )
    if as_json:
        emit_json(version.as_dict())
        return
    emit_facts(_facts(version.as_dict()), title=f"survey {version.name}")
    for sentence in (*version.sentences, *version.cures):
        click.echo(sentence)
    for warning in version.warnings[:_WARNINGS_SHOWN]:
        click.echo(f"warning: {warning}", err=True)
    if len(version.warnings) > _WARNINGS_SHOWN:
        click.echo(f"... and {len(version.warnings) - _WARNINGS_SHOWN} more warnings (all of them: --json)", err=True)
    if version.quarantined:
        click.echo(f"\nWhat was left out, and why: {version.uri}/quarantine.jsonl")
    click.echo(f"\nTrain on it: overflight run train --survey {version.name}")


@survey.command("list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """All surveys of the account."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.survey_versions import list_surveys

    rows = [version.as_dict() for version in list_surveys(app.context(default_role="data-scientist"))]
    if as_json:
        emit_json(rows)
        return
    shown = [{**row, "version": row["digest"][:12], "flights": len(row["flights"])} for row in rows]
    emit_rows(
        shown,
        ["name", "version", "photos", "boxes", "flights", "classes"],
        empty="No surveys yet. Add one: overflight survey add FOLDER --name NAME",
    )


@survey.command()
@click.argument("name")
@json_option
@pass_app
def show(app: App, name: str, *, as_json: bool) -> None:
    """Facts of a survey: NAME (its newest version) or NAME@DIGEST."""
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle.survey_versions import show_survey

    version = show_survey(app.context(default_role="data-scientist"), name)
    if as_json:
        emit_json(version.as_dict())
    else:
        emit_facts(_facts(version.as_dict()), title=f"survey {name}")


@survey.command()
@click.option("--out", type=click.Path(path_type=Path), help="New folder for the photos (default: survey-SEED).")
@click.option("--flights", default=12, show_default=True, type=click.IntRange(1, 1000), help="Number of flights.")
@click.option("--photos", default=20, show_default=True, type=click.IntRange(1, 10000), help="Photos per flight.")
@click.option("--size", default="1280x960", show_default=True, metavar="WxH", help="Photo size (px).")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Equal seeds give equal surveys.")
@click.option("--altitude", type=float, nargs=2, metavar="LOW HIGH", help="Altitude range above ground (m).")
@click.option("--altitude-factor", type=float, help="Drift: multiplies every altitude.")
@click.option("--night", type=click.FloatRange(0, 1), help="Drift: 0 day ... 1 night.")
@click.option("--fog", type=click.FloatRange(0, 1), help="Drift: 0 clear ... 1 dense fog.")
@click.option("--blur", "blur_px", type=click.FloatRange(0, 20), help="Drift: extra blur (px).")
@click.option("--new-site", is_flag=True, help="Drift: another landscape.")
@click.option("--class-mix", metavar="CLASS=W,...", help="Drift: weights of classes, e.g. truck=3,person=0.2.")
@json_option
@pass_app
def synth(app: App, /, *, out: Path | None, size: str, as_json: bool, **knobs: Any) -> None:
    """Make a synthetic survey: procedural scenes from above with exact labels, EXIF and DJI metadata."""
    from overflight.cli.output import emit_facts, emit_json, progress_view
    from overflight.lifecycle.surveys import synthesise_survey

    del app
    target = out or Path(f"survey-{knobs['seed']}")
    knobs["size_px"] = _size(size)
    knobs["class_mix"] = _weights(knobs.pop("class_mix"))
    knobs["altitude_m"] = knobs.pop("altitude")
    with progress_view(as_json=as_json) as progress:
        summary = synthesise_survey(target, progress=progress, **knobs)
    if as_json:
        emit_json(summary)
        return
    emit_facts({key: value for key, value in summary.items() if key != "target"}, title=f"synthetic survey {target}")
    click.echo(f"\nAdd it: overflight survey add {target} --name synthetic")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError("is not WIDTHxHEIGHT", where=f"--size {text}", cure="Try --size 1280x960")
    return int(width), int(height)


def _weights(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    weights = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            weights[name.strip()] = float(value)
        except ValueError:
            raise UsageError(
                "is not CLASS=WEIGHT", where=f"--class-mix {part}", cure="Try --class-mix truck=3,person=0.2"
            ) from None
    return weights


def _facts(version: dict[str, Any]) -> dict[str, Any]:
    hidden = {"schema", "name", "warnings", "ledger", "losses", "cures"}
    return {key: value for key, value in version.items() if key not in hidden}
