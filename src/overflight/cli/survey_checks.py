"""``overflight survey check|checks|diff|export``: is it fit for training, what changed, and out into other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from overflight.cli.app import App, json_option, pass_app
from overflight.cli.source_options import checks_options, source_options
from overflight.errors import InputError, OverflightError

_SHOWN = 12
_REGIONS = ["ignored_added", "ignored_removed"]


def _survey_name(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """The name of ``--fix``, refused before anything is read."""
    from overflight.data.survey import check_name

    if name is not None:
        check_name(name, option="--fix")
    return name


@click.command()
@click.argument("source")
@source_options
@checks_options
@click.option("--split", "lists", multiple=True, type=click.Path(path_type=Path), help="List of photos of one part.")
@click.option(
    "--split-by", type=click.Choice(["flight", "ground", "time-gap"]), default="flight", help="How it will be split."
)
@click.option("--imgsz", type=click.IntRange(64, 2048), default=640, show_default=True, help="Size at training (px).")
@click.option("--tile", "tile_px", type=click.IntRange(64, 8192), default=640, show_default=True, help="Tile (px).")
@click.option("--model", help="Model package whose disagreement with the labels is ranked, e.g. latest.")
@click.option(
    "--fix",
    "fix_name",
    metavar="NAME",
    callback=_survey_name,
    help="Store the survey as NAME with the safe cures applied.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report (default: in OVERFLIGHT_HOME).")
@json_option
@pass_app
def check(app: App, /, source: str, *, out: Path | None, fix_name: str | None, as_json: bool, **given: Any) -> None:
    """Look for everything that is wrong with SOURCE: a folder, s3://bucket/prefix, or NAME of a stored survey.

    Exits with 3 when there are errors. SOURCE is never changed.
    """
    from overflight.cli.output import emit_facts, emit_json, emit_rows, progress_view
    from overflight.lifecycle.survey_checks import CheckOptions, check_survey
    from overflight.lifecycle.surveys import add_survey

    context, options, fixed, unfixed = app.context(default_role="data-scientist"), CheckOptions(**given), None, None
    with progress_view(as_json=as_json) as progress:
        checked = check_survey(context, source, options=options, out=out, progress=progress)
        if fix_name is not None:
            try:
                fixed = add_survey(
                    app.context(default_role="ml-engineer"),
                    source,
                    name=fix_name,
                    progress=progress,
                    fix=True,
                    catalogue=options.catalogue(),
                    form=options.form,
                    labels=options.labels,
                    flights=options.flights,
                )
            except OverflightError as error:  # what was found is shown first
                unfixed = error
    report = checked.report
    if as_json:
        stored = None if fixed is None else fixed.as_dict()
        emit_json({**checked.as_dict(), "fixed": stored, "not_fixed": None if unfixed is None else str(unfixed)})
    else:
        emit_facts(checked.facts(), title=f"survey {checked.title}")
        click.echo()
        emit_rows(report.table(), ["check", "severity", "findings", "photos", "boxes", "example"], empty="No findings.")
        for line in checked.sentences():
            click.echo(line)
        if fixed is not None:
            click.echo(f"\nFixed: {fixed.name}@{fixed.digest[:12]}: {'; '.join(fixed.cures) or 'nothing to cure'}")
        click.echo(f"\nPictures and all findings: {checked.folder / 'report.html'}")
    if unfixed is not None and as_json:
        click.get_current_context().exit(unfixed.exit_code)
    if unfixed is not None:
        raise unfixed
    if report.errors and fixed is None and as_json:
        click.get_current_context().exit(InputError.exit_code)
    if report.errors and fixed is None:
        cure = "Correct them, apply the safe cures with --fix NAME, or leave faulty photos out: survey add --quarantine"
        count = len(report.errors)
        raise InputError(f"{count} error{'' if count == 1 else 's'}", where=checked.title, cure=cure)


@click.command()
@json_option
def checks(*, as_json: bool) -> None:
    """All checks with their severities and limits."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.data.checks.catalogue import load_catalogue

    rules = load_catalogue().values()
    rows = [
        {
            "no": rule.number,
            "check": rule.code,
            "severity": rule.level,
            "limits": ", ".join(f"{name}={value:g}" for name, value in rule.limits.items()),
            "what": rule.title,
            "why": rule.explanation,
            "cure": rule.cure,
        }
        for rule in rules
    ]
    if as_json:
        emit_json(rows)
    else:
        emit_rows(rows, ["no", "check", "severity", "limits", "what"], empty="")
        click.echo("\nChange one: --set dark=off, --set tiny.min_side_px=10, or --checks FILE")


@click.command()
@click.argument("first")
@click.argument("second")
@json_option
@pass_app
def diff(app: App, first: str, second: str, *, as_json: bool) -> None:
    """What changed from FIRST to SECOND: photos, boxes, classes, flights.

    Each is NAME or NAME@DIGEST of a stored survey, a folder or s3://bucket/prefix.
    """
    from overflight.cli.output import emit_facts, emit_json, emit_rows, progress_view
    from overflight.lifecycle.survey_checks import compare_surveys

    with progress_view(as_json=as_json) as progress:
        found = compare_surveys(app.context(default_role="data-scientist"), first, second, progress=progress)
    document = found.as_dict()
    if as_json:
        emit_json(document)
        return
    if not found.any:
        click.echo(f"{first} and {second} are equal")
        return
    names = {name: value for name, value in document["photos"].items() if name.endswith("_names") and value}
    counts = {name: value for name, value in document["photos"].items() if not name.endswith("_names")}
    emit_facts({"classes": document["classes"], "photos": counts}, title=f"{first} -> {second}")
    emit_facts({"boxes": {name: value for name, value in document["boxes"].items() if value not in ({}, None)}})
    for name, value in names.items():
        more = f" ... and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        click.echo(f"{name.removesuffix('_names')}: {', '.join(map(str, value[:_SHOWN]))}{more}")
    rows = [{"photo": photo, **changes} for photo, changes in list(document["per_photo"].items())[:_SHOWN]]
    if rows:
        click.echo()
        regions = _REGIONS if any(map(document["boxes"].get, _REGIONS)) else []
        emit_rows(rows, ["photo", "added", "removed", "moved", "reclassed", *regions], empty="")
    shift = document["boxes"]["uniform_shift_px"]
    if shift:
        click.echo(f"\nAll boxes moved by ({shift[0]:+g}, {shift[1]:+g}) px: one of the two was converted off by that")


@click.command()
@click.argument("source")
@click.option("--to", "form", required=True, help="Format to write, e.g. coco; see survey formats.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder.")
@source_options
@json_option
@pass_app
def export(app: App, /, source: str, *, form: str, out: Path, as_json: bool, **given: Any) -> None:
    """Write SOURCE (a stored survey, a folder, s3://...) in another label format, photographs beside the labels."""
    from overflight.cli.output import emit_facts, emit_json, progress_view
    from overflight.lifecycle.survey_export import export_survey

    with progress_view(as_json=as_json) as progress:
        facts = export_survey(
            app.context(default_role="data-scientist"), source, form=form, out=out, progress=progress, **given
        )
    if as_json:
        emit_json(facts)
        return
    emit_facts({name: value for name, value in facts.items() if name != "losses"}, title=f"{source} as {form}")
    for loss in facts["losses"]:
        click.echo(f"loss: {loss}", err=True)


@click.command()
@json_option
def formats(*, as_json: bool) -> None:
    """Label formats that are read and written."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.data.formats.registry import FORMATS

    rows = [{"format": name, "what": entry.title} for name, entry in FORMATS.items()]
    if as_json:
        emit_json(rows)
    else:
        emit_rows(rows, ["format", "what"], empty="")


COMMANDS = (check, checks, diff, export, formats)
