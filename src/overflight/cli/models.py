"""``overflight models``: packages and the decisions about them."""

from __future__ import annotations

import click

from overflight.cli.app import App, json_option, pass_app


@click.group()
def models() -> None:
    """Registered model packages and their approval."""


@models.command("list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """All packages, newest first."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.models import list_packages

    rows = list_packages(app.context())
    if as_json:
        emit_json(rows)
    else:
        emit_rows(
            rows,
            ["package", "status", "created"],
            empty="No model packages yet. Train one: overflight run train --survey NAME",
        )


@models.command()
@click.argument("package", default="latest")
@json_option
@pass_app
def show(app: App, package: str, *, as_json: bool) -> None:
    """What an approver needs to know; PACKAGE is GROUP/VERSION, GROUP, an ARN or `latest`."""
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle.models import describe_package, find_package

    context = app.context()
    facts = describe_package(context, find_package(context, package))
    if as_json:
        emit_json(facts)
        return
    metrics = {name: _interval(metric) for name, metric in facts["metrics"].items()}
    emit_facts({**facts, "metrics": metrics})
    if facts["status"] == "PendingManualApproval":
        click.echo(f'\nDecide: overflight --as approver models approve {facts["package"]} --reason "..."')


@models.command()
@click.argument("package", default="latest")
@click.option("--reason", default="", help="Why: kept with the decision.")
@json_option
@pass_app
def approve(app: App, package: str, *, reason: str, as_json: bool) -> None:
    """Approve a package (another role than the one that trained or registered it)."""
    _decide(app, package, reason=reason, as_json=as_json, approved=True)


@models.command()
@click.argument("package", default="latest")
@click.option("--reason", default="", help="Why: kept with the decision.")
@json_option
@pass_app
def reject(app: App, package: str, *, reason: str, as_json: bool) -> None:
    """Reject a package, or take an approval back."""
    _decide(app, package, reason=reason, as_json=as_json, approved=False)


def _decide(app: App, package: str, *, reason: str, as_json: bool, approved: bool) -> None:
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle import models as use_cases

    context = app.context()
    decide = use_cases.approve if approved else use_cases.reject
    facts = decide(context, use_cases.find_package(context, package), reason=reason)
    if as_json:
        emit_json(facts)
        return
    emit_facts({key: facts[key] for key in ("package", "status", "decision", "decided_by")})
    if approved:
        click.echo(f"\nServe it: overflight deploy {facts['package']}")


def _interval(metric: dict[str, float]) -> str:
    if "low" not in metric:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f}  [{metric['low']:.3f}, {metric['high']:.3f}]"
