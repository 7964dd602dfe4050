"""``overflight models card``: what a model is for, how good it is, what it was trained on, and what is not known."""

from __future__ import annotations

from pathlib import Path

import click

from overflight.cli.app import App, json_option, pass_app

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("package", default="latest")
@click.option("--facts", type=_FILE, help="YAML file with what only people know: see --init.")
@click.option("--html", type=_FILE, help="Write the card as one page to read and print.")
@click.option("--pdf", type=_FILE, help="Write the card as PDF (A4).")
@click.option("--init", type=_FILE, help="Write a facts file to fill in, and nothing else.")
@click.option("--store", is_flag=True, help="Keep the card in the account below cards/ (--as approver).")
@json_option
@pass_app
def card(
    app: App, /, package: str, *, facts: Path | None, html: Path | None, pdf: Path | None, init: Path | None,
    store: bool, as_json: bool,
) -> None:  # fmt: skip
    """Model card in AWS's schema; PACKAGE is GROUP/VERSION, GROUP, an ARN or `latest`.

    Figures are measured, uses and risk are stated in the facts file, the status follows from the approval.
    """
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle import cards
    from overflight.lifecycle.models import find_package

    if init is not None:
        cards.write_blank_facts(init)
        click.echo(f"Fill in {init}, then: overflight models card {package} --facts {init} --html card.html")
        return
    context = app.context(default_role="auditor")
    stated = None if facts is None else cards.load_facts(facts)
    made = cards.make_package_card(context, find_package(context, package), stated=stated)
    cards.write_card(made, html=html, pdf=pdf)
    kept = str(cards.store_card(context, made)) if store else ""
    written = {name: str(value) for name, value in (("html", html), ("pdf", pdf), ("stored", kept)) if value}
    if as_json:
        emit_json({**made.as_dict(), "written": written})
        return
    emit_facts(
        {
            "card": made.facts.name,
            "status": made.status,
            "summary": made.content["model_overview"]["model_description"],
            "missing": "; ".join(made.missing),
            **written,
        }
    )
    click.echo()
    for limit in made.limits:
        click.echo(f"! {limit.text}")
    if not written:
        click.echo("\nTo read and print it: overflight models card --html card.html --pdf card.pdf")
