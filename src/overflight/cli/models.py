"""``overflight models``: packages and the decisions about them."""

from __future__ import annotations

from typing import Any

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

    rows = list_packages(app.context(default_role="data-scientist"))
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
    """What an approver needs, and whether an approval still holds; PACKAGE is GROUP/VERSION, GROUP or `latest`."""
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle.approvals import approval_of
    from overflight.lifecycle.models import describe_package, find_package

    context = app.context(default_role="data-scientist")
    arn = find_package(context, package)
    facts = describe_package(context, arn) | {"approval": approval_of(context, arn)}
    if as_json:
        emit_json(facts)
        return
    metrics = {name: _interval(metric) for name, metric in facts["metrics"].items()}
    emit_facts({**facts, "metrics": metrics, "approval": _approval(facts["approval"])})
    if facts["status"] == "PendingManualApproval":
        click.echo(f'\nDecide: overflight --as approver models approve {facts["package"]} --reason "..."')


@models.command()
@click.argument("package", default="latest")
@click.option("--reason", default="", help="What you looked at and found: kept with the decision.")
@json_option
@pass_app
def approve(app: App, package: str, *, reason: str, as_json: bool) -> None:
    """Approve a package: another person (on one machine: another role) than the one that trained or registered it."""
    _decide(app, package, reason=reason, as_json=as_json, verdict="approve")


@models.command()
@click.argument("package", default="latest")
@click.option("--reason", default="", help="What you looked at and found: kept with the decision.")
@json_option
@pass_app
def reject(app: App, package: str, *, reason: str, as_json: bool) -> None:
    """Reject a package that waits for a decision."""
    _decide(app, package, reason=reason, as_json=as_json, verdict="reject")


@models.command()
@click.argument("package", default="latest")
@click.option("--reason", default="", help="Why it may not be used any more: kept with the decision.")
@json_option
@pass_app
def revoke(app: App, package: str, *, reason: str, as_json: bool) -> None:
    """Take an approval back; says which endpoints still serve the model."""
    _decide(app, package, reason=reason, as_json=as_json, verdict="revoke")


def _decide(app: App, package: str, *, reason: str, as_json: bool, verdict: str) -> None:
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle import approvals
    from overflight.lifecycle.models import find_package

    context = app.context(default_role="data-scientist")  # no role decides by accident
    decide = {"approve": approvals.approve, "reject": approvals.reject, "revoke": approvals.revoke}[verdict]
    facts = decide(context, find_package(context, package), reason=reason)
    if as_json:
        emit_json(facts)
        return
    emit_facts({key: facts[key] for key in ("package", "status", "decision", "decided_by", "people")})
    if verdict == "approve":
        click.echo(f"\nServe it: overflight deploy {facts['package']}")
    for endpoint in facts.get("still_serving", ()):
        click.echo(f"\nStill serving: {endpoint}. End it: overflight endpoints delete {endpoint}")


def _approval(approval: dict[str, Any]) -> dict[str, str]:
    """Valid or not and why, who, which event and what it rests on."""
    evidence = approval["evidence"]
    told = {
        "valid": "yes" if approval["valid"] else "no: " + "; ".join(approval["reasons"]),
        "event": approval["event"],
        "people": approval["people"],
        **{name: evidence[f"{name}_sha256"] or "cannot be read" for name in ("artefact", "container", "metrics")},
        "survey": evidence["survey_digest"] or "cannot be read",
    }
    return {name: value for name, value in told.items() if value}


def _interval(metric: dict[str, float]) -> str:
    if "low" not in metric:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f}  [{metric['low']:.3f}, {metric['high']:.3f}]"
