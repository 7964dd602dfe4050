"""``overflight access``: who may do what, why, and what is wrong with the policies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overflight.cli.app import App, json_option, pass_app
from overflight.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from overflight.iam.access import Access

_FILE = click.Path(dir_okay=False, path_type=Path)
template_option = click.option(
    "--template", type=_FILE, help="A changed copy of the identity template to look at instead."
)
send_option = click.option(
    "--send", "sent", multiple=True, metavar="KEY=VALUE", help="A condition key of the request; repeat for more."
)


@click.group()
def access() -> None:
    """Who may do what, why, and what could be reached."""


@access.command()
@click.argument("role")
@click.argument("action")
@click.argument("resource", default="*")
@send_option
@template_option
@json_option
@pass_app
def check(
    app: App, /, role: str, action: str, resource: str, *, sent: tuple[str, ...], template: Path | None, as_json: bool
) -> None:
    """May ROLE do ACTION on RESOURCE? Exits with 5 when not.

    RESOURCE is an ARN, `*`, or an ARN with names in braces: {sm}:endpoint/{prod}-cars, {data}/surveys/x.
    """
    from overflight.cli.output import emit_json
    from overflight.lifecycle.access import able_roles, explain_request, in_words, names_filled, needed_besides

    found, keys = _access(app, template), _sent(sent)
    explanation = explain_request(found, role, action, resource, keys, user=app.settings().user)
    arn, words = names_filled(found, resource), in_words(explanation, role)
    able, besides = able_roles(found, action, arn, keys), needed_besides(found, role, action)
    if as_json:
        matched = [vars(one) for one in explanation.decision.matched]
        emit_json(
            {
                "role": role,
                "action": action,
                "resource": arn,
                "allowed": explanation.decision.allowed,
                "outcome": explanation.decision.outcome,
                "layer": explanation.decision.layer,
                "statements": matched,
                "roles_that_may": able,
                "needs_also": besides,
            }
        )
    else:
        click.echo(words)
        for one in besides:
            click.echo(f"needs also: {one['action']}" + (f" ({one['note']})" if one["note"] else ""))
    if not explanation.decision.allowed:
        who = f"Roles that may: {', '.join(able)}" if able else "No role may"
        raise RefusedError(f"{action} on {arn} is denied", where=role, cure=who)


@access.command("explain")
@click.argument("role")
@click.argument("action")
@click.argument("resource", default="*")
@send_option
@template_option
@json_option
@pass_app
def explain_(
    app: App, /, role: str, action: str, resource: str, *, sent: tuple[str, ...], template: Path | None, as_json: bool
) -> None:
    """Why ROLE may or may not do ACTION on RESOURCE: every statement about it, and what did not fit."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.access import explain_request, in_words

    explanation = explain_request(_access(app, template), role, action, resource, _sent(sent), user=app.settings().user)
    rows = [
        {
            "effect": one.effect,
            "layer": one.layer,
            "policy": one.policy,
            "statement": one.sid,
            "applies": "yes" if one.applies else "no: " + "; ".join(one.why_not),
        }
        for one in explanation.considered
    ]
    if as_json:
        emit_json(
            {"allowed": explanation.decision.allowed, "outcome": explanation.decision.outcome, "considered": rows}
        )
        return
    click.echo(in_words(explanation, role) + ".\n")
    emit_rows(
        rows, ["effect", "layer", "policy", "statement", "applies"], empty="No statement is about this action at all."
    )


@access.command()
@click.option("--html", type=_FILE, help="Write the page that people read.")
@click.option("--csv", "csv_file", type=_FILE, help="Write every decision.")
@template_option
@json_option
@pass_app
def matrix(app: App, *, html: Path | None, csv_file: Path | None, template: Path | None, as_json: bool) -> None:
    """Every role and activity; every action by rule. Exits with 5 when policies and rules differ."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.access import build_matrix, write_matrix

    found = build_matrix(_access(app, template))
    write_matrix(app.context(default_role="auditor"), found, html=html, csv=csv_file)
    differences = found.differences
    if as_json:
        emit_json(found.as_dict())
    else:
        people = [key for key, role in found.access.roles.items() if role.kind == "persona"]
        rows: dict[str, dict[str, str]] = {}
        for one in found.answers:
            mark = ("may" if one.allowed else "") + ("" if one.allowed == one.expected else " (!)")
            rows.setdefault(one.activity, {"activity": one.activity})[one.role] = mark
        emit_rows(list(rows.values()), ["activity", *people], empty="No activities.")
        click.echo(f"\n{len(found.cells) + len(found.answers):,} decisions, {len(differences)} not as the rules say")
        for path in (html, csv_file):
            if path is not None:
                click.echo(f"Written: {path}")
    if differences:
        first = differences[0]
        raise RefusedError(
            f"policies and rules differ {len(differences)} times; first: {first['role']} {first['what']}: "
            f"policies {first['policies']}, rules {first['rules']}",
            where="access matrix",
            cure="Correct the template, or the rules when they are wrong",
        )


@access.command()
@template_option
@json_option
@pass_app
def escalate(app: App, *, template: Path | None, as_json: bool) -> None:
    """How far each role could come, with counter-examples. Exits with 5 when somebody comes too far."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.access import escalate as use_case

    found = use_case(_access(app, template))
    if as_json:
        emit_json(found)
    else:
        rows = [
            {"role": one["who"], "can come by": one["comes_by"], "accepted because": one["accepted"]}
            for one in found["reach"]
        ]
        emit_rows(rows, ["role", "can come by", "accepted because"], empty="Nobody comes beyond their own rights.")
        click.echo(f"\nNothing beyond their own rights: {', '.join(found['nothing']) or 'nobody'}")
        click.echo(f"{found['paths']} paths tried, {len(found['findings'])} findings")
        for one in found["findings"]:
            click.echo("\n" + "\n".join(one["words"]))
    if found["missing"]:
        raise RefusedError(
            f"roles are missing: {', '.join(found['missing'])}",
            where="access escalate",
            cure="Put them back: see overflight access lint",
        )
    if found["findings"]:
        first = found["findings"][0]
        raise RefusedError(
            f"{len(found['findings'])} findings; first {first['id']}: {first['who']} comes by {first['comes_by']}",
            where="access escalate",
            cure="See the counter-examples above" if not as_json else "See findings",
        )


@access.command()
@template_option
@json_option
@pass_app
def compare(app: App, *, template: Path | None, as_json: bool) -> None:
    """What AWS's own personas may do and ours may not."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.access import compare_with_aws

    rows = [
        {"aws persona": one.persona, "ours": one.role, "may there, not here": one.activity}
        for one in compare_with_aws(_access(app, template))
    ]
    if as_json:
        emit_json(rows)
    else:
        emit_rows(rows, ["aws persona", "ours", "may there, not here"], empty="Nothing: ours are not stricter.")


@access.command()
@template_option
@json_option
@pass_app
def lint(app: App, *, template: Path | None, as_json: bool) -> None:
    """Shapes of policies that mislead. Exits with 5 when there is an error."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.access import lint as use_case
    from overflight.lifecycle.access import resolved_of_account

    rows = use_case(resolved_of_account(app.context(default_role="auditor"), template))
    if as_json:
        emit_json(rows)
    else:
        emit_rows(rows, ["severity", "rule", "where", "what"], empty="Nothing found.")
    errors = [row for row in rows if row["severity"] == "error"]
    if errors:
        raise RefusedError(f"{len(errors)} errors", where="access lint", cure=errors[0]["cure"])


@access.command()
@template_option
@json_option
@pass_app
def roles(app: App, *, template: Path | None, as_json: bool) -> None:
    """The roles and what they are for."""
    from overflight.cli.output import emit_json, emit_rows

    rows = [
        {"role": key, "kind": one.kind, "what for": one.description, "arn": one.arn}
        for key, one in _access(app, template).roles.items()
    ]
    if as_json:
        emit_json(rows)
    else:
        emit_rows(rows, ["role", "kind", "what for"], empty="No roles.")


def _access(app: App, template: Path | None) -> Access:
    from overflight.lifecycle.access import access_of_account

    return access_of_account(app.context(default_role="auditor"), template)


def _sent(given: tuple[str, ...]) -> dict[str, str | list[str]]:
    """Condition keys from ``KEY=VALUE``; a key given twice has several values."""
    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(
                "is not KEY=VALUE", where=f"--send {text}", cure="For example --send aws:RequestTag/env=dev"
            )
        if key not in found:
            found[key] = value
        else:
            found[key] = [*([found[key]] if isinstance(found[key], str) else found[key]), value]
    return found
