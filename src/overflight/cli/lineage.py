"""``overflight lineage``: what data and code made the model that serves, and what came of a survey or a photograph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overflight.cli.app import App, json_option, pass_app

if TYPE_CHECKING:
    from rich.text import Text

    from overflight.governance.lineage import Graph
    from overflight.lifecycle.lineage import Kind, Lineage

_COLOURS = {"Artifact": "blue", "TrialComponent": "green", "Action": "yellow", "Context": "magenta"}
_MARKS = {"Artifact": "■", "TrialComponent": "▶", "Action": "◆", "Context": "●"}
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["endpoint", "package", "run", "survey"]),
    help="What NAME is, when several things are called so.",
)
@click.option("--photo", default="", metavar="PHOTO", help="Also say where this photograph went (path or file name).")
@click.option("--photos", type=_FILE, help="Write every photograph with its part in each data set (CSV).")
@click.option("--html", type=_FILE, help="Write a page with the drawing and all facts.")
@click.option("--dot", type=_FILE, help="Write the graph for Graphviz.")
@click.option("--mermaid", type=_FILE, help="Write the graph for Mermaid.")
@json_option
@pass_app
def lineage(
    app: App,
    name: str,
    *,
    kind: Kind | None,
    photo: str,
    photos: Path | None,
    html: Path | None,
    dot: Path | None,
    mermaid: Path | None,
    as_json: bool,
) -> None:
    """What data and code made it, who approved it, what came of it.

    NAME is an endpoint (`cars`), a model package (GROUP/VERSION), a run's id or a survey; of a survey it shows which
    models and endpoints learned from it.
    """
    from dataclasses import asdict

    from overflight.cli.output import emit_json
    from overflight.files import write_text
    from overflight.governance.lineage_page import write_page
    from overflight.governance.lineage_text import as_dot, as_mermaid
    from overflight.governance.lineage_view import condensed
    from overflight.lifecycle.lineage import lineage_of

    context = app.context(default_role="auditor")
    found = lineage_of(context, name, kind=kind, photo=photo, photos=photos)
    uses = [
        {key: ", ".join(value) if isinstance(value, tuple) else value for key, value in asdict(one).items()}
        for one in found.photos
    ]
    if html is not None:
        write_page(html, found.graph, found.start, photos=uses, made=context.clock())
    if dot is not None:
        write_text(dot, as_dot(condensed(found.graph)))
    if mermaid is not None:
        write_text(mermaid, as_mermaid(condensed(found.graph)))
    if as_json:
        emit_json(_document(found))
        return
    _print(found, uses)
    for path in (html, dot, mermaid, photos):
        if path is not None:
            click.echo(f"Written: {path}")


def _document(found: Lineage) -> dict[str, Any]:
    """``Vertices`` and ``Edges`` as QueryLineage answers, with the facts beside them."""
    from dataclasses import asdict

    from overflight.governance.lineage_answer import answer

    return {
        "start": found.start,
        "kind": found.kind,
        "answer": answer(found.graph, found.start),
        "older_versions": found.versions,
        "photos": [asdict(one) for one in found.photos],
        "remarks": [asdict(one) for one in found.graph.remarks],
        **found.graph.query_lineage(),
        "entities": [asdict(one) for one in found.graph.entities],
    }


def _print(found: Lineage, uses: list[dict[str, Any]]) -> None:
    from overflight.cli.output import console, emit_facts, emit_rows
    from overflight.governance.lineage_answer import answer
    from overflight.governance.lineage_view import card, grouped_remarks

    emit_facts(answer(found.graph, found.start))
    if uses:
        click.echo("\nThe photograph")
        emit_rows(uses, ["photo", "survey", "dataset", "part", "use", "tiles", "models", "endpoints"], empty="")
    click.echo()
    out = console()
    for line in _drawing(found):
        out.print(line, soft_wrap=not out.is_terminal, overflow="ellipsis", no_wrap=True)
    if found.graph.remarks:
        click.echo("\nMissing or contradictory")
        for tone, text, entities in grouped_remarks(found.graph):
            click.echo(f"  {tone}: {text}")
            click.echo(f"      {', '.join(f'{card(one).word} {card(one).name}' for one in entities)}")
    if found.versions:
        click.echo(f"\nOlder versions of this survey, to be asked for by themselves: {', '.join(found.versions)}")
    if found.others:
        also = " and ".join(f"--kind {kind}" for kind in found.others)
        click.echo(f"\nThis is the {found.kind}; other things of this name: {also}")


def _drawing(found: Lineage) -> list[Text]:
    """The lines of the tree: of a survey what came of it, of everything else what made it."""
    from overflight.governance.lineage_view import condensed, ends, tree, without_implied

    graph = without_implied(condensed(found.graph))
    forward = found.kind == "survey"
    roots = (found.start,) if forward else ends(graph)
    return [
        _line(graph, line.prefix, line.arn, line.reference, found.start) for line in tree(graph, roots, forward=forward)
    ]


def _line(graph: Graph, prefix: str, arn: str, reference: str, start: str) -> Text:
    from rich.text import Text

    from overflight.governance.lineage_answer import day
    from overflight.governance.lineage_view import card

    text = Text(prefix, style="dim")
    if not arn:
        return text
    entity = graph.by_arn[arn]
    shown = card(entity)
    colour = _COLOURS[entity.kind]
    text.append(f"{_MARKS[entity.kind]} {shown.word} ", style=colour)
    text.append(shown.name, style="dim" if reference else "bold" if arn == start else "")
    if reference:
        text.append(f" ({reference})", style="dim")
        return text
    facts = [*shown.lines, *([day(entity.created)] if entity.created else [])]
    text.append("".join(f"  {fact}" for fact in facts), style="dim")
    if any(remark.arn == arn for remark in graph.remarks):
        text.append("  !", style="yellow")
    return text
