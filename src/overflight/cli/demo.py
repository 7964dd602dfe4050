"""``overflight demo``: the whole life of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from overflight.cli.app import App, json_option, pass_app


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Your own folder of photos with YOLO labels.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("overflight-demo"),
    show_default=True,
    help="Folder for pictures and results.",
)
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="Of survey, split and training.")
@click.option("--epochs", type=click.IntRange(1, 10000), help="Training length (default: the recipe's).")
@click.option(
    "--split-by",
    type=click.Choice(["flight", "time-gap"]),
    default="flight",
    show_default=True,
    help="What may not be torn apart; time-gap where there is one flight only.",
)
@json_option
@pass_app
def demo(app: App, /, *, as_json: bool, **given: Any) -> None:
    """Survey, train, evaluate, approve, deploy, predict: a model's life on this machine, left serving."""
    from overflight.cli.output import emit_json, progress_view
    from overflight.lifecycle.demo import DemoSettings, run_demo

    with progress_view(as_json=as_json) as progress:
        summary = run_demo(app.context(), DemoSettings(**given), progress=progress)
    if as_json:
        emit_json(summary)
    else:
        _show(summary)


def _show(summary: dict[str, Any]) -> None:
    from rich.panel import Panel
    from rich.table import Table

    from overflight.cli.output import console

    low, high = summary["map50_interval"]
    interval = f"  [95 % interval {low:.3f} to {high:.3f}]" if low is not None else ""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    survey = summary["survey"]
    table.add_row("survey", f"{survey['photos']} photos, {survey['boxes']} boxes, {len(survey['flights'])} flights")
    table.add_row("mAP50", f"[bold green]{summary['map50']:.3f}[/bold green]{interval}  on flights never trained on")
    for stage, seconds in summary["seconds"].items():
        table.add_row(stage, f"{seconds:.1f} s")
    table.add_row("total", f"{summary['seconds_total']:.1f} s")
    refusal = summary["self_approval"]
    denied = f" by {refusal['statement']}" if refusal["statement"] else ""
    table.add_row("self-approval", f"refused: {refusal['action']}{denied}")
    table.add_row("package", f"{summary['package']}  (approved by another role)")
    if summary["approval"]["people"]:
        table.add_row("people", summary["approval"]["people"])
    table.add_row("endpoint", f"{summary['endpoint']['name']}  {summary['endpoint']['url']}")
    table.add_row("pictures", summary["paths"]["overlays"])
    table.add_row("MLflow", summary["paths"]["mlflow"])
    target = console()
    target.print(Panel(table, title="Overflight demo", title_align="left", expand=False))
    target.print("Next:")
    for command in summary["next"]:
        target.print(f"  {command}", markup=False, soft_wrap=True)
    target.print("Stop everything with: overflight down")
