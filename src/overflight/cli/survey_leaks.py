"""``overflight survey leaks``: what a test knows of the training, and by which photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from overflight.cli.app import App, json_option, pass_app

_SHOWN = 10
_KINDS = ("same-file", "near-duplicate", "same-ground", "same-minute", "same-flight")


@click.command()
@click.argument("first", metavar="SOURCE|A")
@click.argument("second", metavar="[B]", required=False)
@click.option("--split", "lists", multiple=True, type=click.Path(path_type=Path), help="List of photos of one part.")
@click.option("--flights", type=click.Path(path_type=Path), help="Table image,flight that names the flights.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Evidence that counts (default: all).")
@click.option("--min-share", default=0.2, show_default=True, type=click.FloatRange(0.01, 1), help="Of shared ground.")
@click.option("--no-pixels", is_flag=True, help="Do not decode: faster, finds no almost equal pictures.")
@click.option("--max-score", type=click.FloatRange(0, 1), help="Exit with 5 when a larger share of a part leaks.")
@click.option("--pairs", "shown", default=_SHOWN, show_default=True, type=click.IntRange(0), help="Pairs shown.")
@json_option
@pass_app
def leaks(
    app: App,
    /,
    first: str,
    second: str | None,
    *,
    no_pixels: bool,
    max_score: float | None,
    shown: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Leaks between the parts of SOURCE (its own split, or --split lists), or from A (training) to B (test).

    A and B are lists of photographs (one path per line), folders, s3://bucket/prefix or stored surveys. The score is
    the share of photographs of the test with at least one leak.
    """
    from overflight.cli.output import emit_facts, emit_json, emit_rows, progress_view
    from overflight.lifecycle.survey_leaks import LeakOptions, find_leaks

    options = LeakOptions(**given, pixels=not no_pixels)
    with progress_view(as_json=as_json) as progress:
        found = find_leaks(
            app.context(default_role="data-scientist"), first, second, options=options, progress=progress
        )
    if as_json:
        refused = max_score is not None and found.score > max_score
        emit_json({**found.as_dict(), "refused": refused})
        if refused:
            click.get_current_context().exit(5)
        return
    for finding in found.findings:
        click.echo(f"{finding.severity}: {finding}", err=True)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    for report in found.reports:
        facts = {
            "photos": f"{report.photos[0]} to learn from, {report.photos[1]} to test on",
            "leaking": f"{report.leaking} of {report.photos[1]}",
            "score": f"{report.score:.1%}",
        }
        click.echo()
        emit_facts(facts, title=f"{report.a} -> {report.b}")
        emit_rows(report.rows(), ["kind", "leaking", "share", "could_be_judged"], empty="")
        for pair in report.pairs[:shown]:
            click.echo(f"  {pair}")
        if len(report.pairs) > shown:
            click.echo(f"  ... and {len(report.pairs) - shown} more pairs: --json has all")
    if max_score is not None:
        found.require(max_score)


COMMANDS = (leaks,)
