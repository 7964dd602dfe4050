"""``overflight survey augment --preview``: what training copies of a survey's tiles would look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from overflight.cli.app import App, json_option, pass_app
from overflight.cli.source_options import source_options
from overflight.errors import UsageError


@click.command()
@click.argument("source")
@click.option("--preview", is_flag=True, help="Draw a contact sheet.")
@click.option("--preset", default="nadir", show_default=True, metavar="NAME|FILE.yaml", help="nadir, oblique, none.")
@click.option("--photos", type=click.IntRange(1, 35), default=6, show_default=True, help="Photographs shown.")
@click.option("--copies", type=click.IntRange(1, 12), default=4, show_default=True, help="Copies of each.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Chooses the changes.")
@click.option("--tile", "tile_px", type=click.IntRange(64, 8192), default=640, show_default=True, help="Tile (px).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the sheet (default: in OVERFLIGHT_HOME).")
@source_options
@json_option
@pass_app
def augment(app: App, /, source: str, *, preview: bool, out: Path | None, as_json: bool, **given: Any) -> None:
    """Show what augmentation does to SOURCE: a folder, s3://bucket/prefix, or NAME of a stored survey.

    The copies themselves are made by the prepare job, of training tiles only. SOURCE is never changed.
    """
    from overflight.cli.output import emit_facts, emit_json, emit_rows, progress_view
    from overflight.lifecycle.survey_augment import PreviewOptions, preview_augmentation

    if not preview:
        raise UsageError(
            "writes no copies: they belong to the training part of a split, and a folder of photos with their "
            "copies would be split again and leak",
            where="survey augment",
            cure="See them with --preview; the prepare job makes them with its setting augment",
        )
    with progress_view(as_json=as_json) as progress:
        done = preview_augmentation(
            app.context(default_role="data-scientist"),
            source,
            options=PreviewOptions(**given),
            out=out,
            progress=progress,
        )
    if as_json:
        emit_json(done.as_dict())
        return
    emit_facts({"photos": len(done.found.rows), "preset": done.preset}, title=f"augmentation of {done.title}")
    rows = [
        {"photo": row.photo, "copy": number, "boxes": len(found.class_ids), "applied": ", ".join(found.applied)}
        for row in done.found.rows
        for number, found in enumerate(row.augmented, start=1)
    ]
    emit_rows(rows, ["photo", "copy", "boxes", "applied"], empty="")
    for note in done.found.notes:
        click.echo(f"note: {note}")
    click.echo(f"\nContact sheet: {done.sheet}")


COMMANDS = (augment,)
