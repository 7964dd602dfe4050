"""``overflight survey profile|report|browse``: what is in a survey, as tables, as a page, as pictures."""

from __future__ import annotations

from pathlib import Path

import click

from overflight.cli.app import App, json_option, pass_app
from overflight.cli.source_options import source_options


@click.command()
@click.argument("source")
@source_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the tables (default: in OVERFLIGHT_HOME).")
@json_option
@pass_app
def profile(
    app: App, /, source: str, *, form: str | None, labels: str | None, flights: Path | None, out: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure SOURCE (a folder, s3://bucket/prefix, NAME of a stored survey): light, sizes, classes, duplicates.

    Writes photos.parquet, boxes.parquet, neighbours.parquet and profile.json. SOURCE is never changed.
    """
    from overflight.cli.output import emit_facts, emit_json, emit_rows, progress_view
    from overflight.lifecycle.survey_profile import ReadOptions, profile_survey

    options = ReadOptions(form, labels, flights)
    with progress_view(as_json=as_json) as progress:
        found = profile_survey(
            app.context(default_role="data-scientist"), source, options=options, out=out, progress=progress
        )
    if as_json:
        emit_json(found.as_dict())
        return
    emit_facts(found.facts(), title=f"survey {found.title}")
    click.echo()
    columns = ["name", "boxes", "share", "photos", "median_side_px", "median_side_cm"]
    emit_rows(found.classes(), columns, empty="No classes.")
    click.echo()
    columns = ["flight", "photos", "boxes", "altitude_agl_m", "gsd_cm", "mean_luma", "focus"]
    emit_rows(found.flights(), columns, empty="No photographs.")
    click.echo()
    for remark in found.remarks():
        click.echo(f"{'-' if remark.tone == 'good' else '!'} {remark.text}")
    for note in found.profile.notes:
        click.echo(f"note: {note}")
    click.echo(f"\nTables: {found.out}")


@click.command()
@click.argument("source")
@source_options
@click.option("--out", type=click.Path(path_type=Path), help="HTML file to write (default: in OVERFLIGHT_HOME).")
@json_option
@pass_app
def report(
    app: App, /, source: str, *, form: str | None, labels: str | None, flights: Path | None, out: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Write one page about SOURCE: figures, charts, a map of flights, typical, extreme and suspicious photographs.

    The page is one file and needs no network.
    """
    from overflight.cli.output import emit_json, progress_view
    from overflight.lifecycle.survey_profile import ReadOptions, report_survey

    options = ReadOptions(form, labels, flights)
    with progress_view(as_json=as_json) as progress:
        found = report_survey(
            app.context(default_role="data-scientist"), source, options=options, out=out, progress=progress
        )
    if as_json:
        emit_json(found.as_dict())
    else:
        click.echo(f"Report: {found.out}")


@click.command()
@click.argument("source")
@source_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the pages (default: in OVERFLIGHT_HOME).")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1 (default: a free one).")
@click.option("--no-serve", is_flag=True, help="Only write the pages; open index.html from the disk.")
@json_option
@pass_app
def browse(
    app: App, /, source: str, *, form: str | None, labels: str | None, flights: Path | None, out: Path | None,
    port: int, no_serve: bool, as_json: bool,
) -> None:  # fmt: skip
    """Leaf through the photographs of SOURCE with their boxes: filter by flight, class and check, sort by any figure.

    Serves pages on this machine until Ctrl-C.
    """
    from overflight.cli.output import emit_json, progress_view
    from overflight.lifecycle.survey_browser import BrowseServer
    from overflight.lifecycle.survey_profile import ReadOptions, browse_survey

    options = ReadOptions(form, labels, flights)
    with progress_view(as_json=as_json) as progress:
        found = browse_survey(
            app.context(default_role="data-scientist"), source, options=options, out=out, progress=progress
        )
    index = found.out / "index.html"
    if no_serve:
        if as_json:
            emit_json({"out": str(found.out), "photos": len(found.profile), "url": None})
        else:
            click.echo(f"Pages: {index}")
        return
    with BrowseServer(found.out, found.read, found.profile.photos["photo"].tolist(), port=port) as server:
        if as_json:
            emit_json({"out": str(found.out), "photos": len(found.profile), "url": server.url})
        else:
            click.echo(f"Pages: {server.url} (Ctrl-C ends it; they lie in {found.out})")
        server.until_interrupted()


COMMANDS = (profile, report, browse)
