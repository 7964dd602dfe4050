"""``overflight trail``: what was done, by whom, and the proof that nothing is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overflight.cli.app import App, json_option, pass_app
from overflight.errors import UsageError

if TYPE_CHECKING:
    from overflight.lifecycle.context import Context

_NOT_INTACT = 8  # exit code of files that are not what they should be
since_option = click.option("--since", metavar="WHEN", default="", help="30m, 12h, 2d, 1w or a date.")
_COLUMNS = ["time", "user", "role", "action", "resource", "outcome", "statement"]


@click.group()
def trail() -> None:
    """The record of every call, allowed or denied. Acts as the auditor unless a role is named."""


@trail.command()
@click.option(
    "--file", "path", type=click.Path(path_type=Path, dir_okay=False), help="File of `trail export`, not the account."
)
@click.option("--public-key", type=click.Path(path_type=Path, dir_okay=False), help="PEM file: the only key to trust.")
@click.option("--without-checkpoints", is_flag=True, help="Look at the chain of the entries only.")
@json_option
@pass_app
@click.pass_context
def verify(
    click_context: click.Context,
    app: App,
    *,
    path: Path | None,
    public_key: Path | None,
    without_checkpoints: bool,
    as_json: bool,
) -> None:
    """Find edited, removed, added and reordered entries, cut-off ends and rewritten trails; exit code 8 if any."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle import trail as use_cases

    if without_checkpoints and public_key is not None:
        raise UsageError("only checkpoints are checked with a key", where="--public-key --without-checkpoints")
    if path is None:
        found = use_cases.verify(_context(app), public_key=public_key, chain_only=without_checkpoints)
    else:
        found = use_cases.verify_file(path, public_key=public_key, chain_only=without_checkpoints)
    if as_json:
        emit_json(found)
    else:
        _show_verification(found)
    click_context.exit(0 if found["intact"] else _NOT_INTACT)


@trail.command()
@click.option("--user", default="", help="Name of a person.")
@click.option("--role", default="", help="Short name of a role, e.g. ml-engineer.")
@click.option("--action", default="", metavar="PATTERN", help="E.g. 'sagemaker:Update*', s3:PutObject.")
@click.option("--resource", default="", metavar="TEXT", help="Part of an ARN, name or object.")
@click.option("--run", default="", metavar="ID", help="Calls of one run.")
@click.option("--denied", is_flag=True, help="Only what was not allowed.")
@since_option
@click.option("--until", metavar="WHEN", default="", help="Like --since.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="Newest entries shown.")
@json_option
@pass_app
def query(app: App, /, *, since: str, until: str, limit: int, as_json: bool, **wanted: Any) -> None:
    """Who did what, newest last."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.governance.questions import Filter
    from overflight.lifecycle import trail as use_cases

    context = _context(app)
    asked = Filter(**wanted, since=_moment(context, since), until=_moment(context, until))
    rows = use_cases.query(context, asked, limit=limit)[::-1]
    if as_json:
        emit_json(rows)
        return
    emit_rows(rows, _COLUMNS, empty="Nothing in the trail fits.")
    if len(rows) == limit:
        click.echo(f"\nThe newest {limit}; more with --limit, or ask for less with --since.")


@trail.command()
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "cloudtrail"]),
    default="jsonl",
    show_default=True,
    help="jsonl can be verified; cloudtrail is for tools that read CloudTrail's log files.",
)
@json_option
@pass_app
def export(app: App, *, out: Path, form: str, as_json: bool) -> None:
    """Write the trail to a file that `trail verify --file` checks without the account."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle import trail as use_cases

    facts = use_cases.export(_context(app), out, form=form)
    if as_json:
        emit_json(facts)
        return
    click.echo(f"{facts['entries']} entries in {out}.")
    if form == "jsonl":
        click.echo(f"Signed up to entry {facts['covered']} with the key {facts['key']}.")
        click.echo(f"Check it: overflight trail verify --file {out}")


@trail.command()
@click.option(
    "--kms-key", default="", metavar="ARN", help="Sign with an ed25519 key in AWS KMS instead of the key file."
)
@click.option(
    "--begin",
    default="",
    metavar="REASON",
    help="Begin anew: the folder was deleted or moved on purpose, what was signed before is of another trail.",
)
@json_option
@pass_app
def checkpoint(app: App, *, kms_key: str, begin: str, as_json: bool) -> None:
    """Sign number and hash of the newest entry, apart from the account's folder."""
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle import trail as use_cases

    made = use_cases.checkpoint(_context(app), kms_key=kms_key, begin=begin)
    if as_json:
        emit_json(made)
        return
    emit_facts({name: made[name] for name in ("number", "sequence", "hash", "time", "reason", "key", "file")})
    click.echo("\nKeep hash and key where nobody of this machine can change them: with them a new trail cannot pass.")


@trail.command("who-approved")
@click.argument("package")
@json_option
@pass_app
def who_approved(app: App, package: str, *, as_json: bool) -> None:
    """Who approved a model, when, why and on which evidence; PACKAGE is GROUP/VERSION, GROUP, an ARN or `latest`."""
    from overflight.cli.output import emit_facts, emit_json, emit_rows
    from overflight.lifecycle import trail as use_cases

    answer = use_cases.who_approved(_context(app), package)
    if as_json:
        emit_json(answer)
        return
    emit_facts(_approval_facts(answer))
    if answer["note"]:
        click.echo(f"\n{answer['note']}")
    for title, name in (("After that", "later"), ("Before that", "earlier")):
        if answer[name]:
            click.echo(f"\n{title}:")
            emit_rows(answer[name], ["time", "decision", "user", "role", "reason"], empty="")
    if answer["refused"]:
        click.echo("\nRefused attempts:")
        emit_rows(answer["refused"], _COLUMNS, empty="")


@trail.command()
@click.argument("name")
@since_option
@json_option
@pass_app
def user(app: App, name: str, *, since: str, as_json: bool) -> None:
    """Everything that the person NAME did: by day and session, reads counted, changes and denials listed."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle import trail as use_cases

    context = _context(app)
    answer = use_cases.user_activity(context, name, since=_moment(context, since))
    if as_json:
        emit_json(answer)
    else:
        _show_activity(answer)


@trail.command("access-changes")
@since_option
@json_option
@pass_app
def access_changes(app: App, *, since: str, as_json: bool) -> None:
    """What changed in roles and policies."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle import trail as use_cases

    context = _context(app)
    found = use_cases.access_changes(context, since=_moment(context, since))
    if as_json:
        emit_json(found)
    elif not found:
        click.echo("No change of access is recorded in this time.")
    elif "changes" not in found[0]:
        emit_rows(found, _COLUMNS, empty="")
    else:
        for one in found:
            _show_access_change(one)


def _context(app: App) -> Context:
    return app.context(default_role="auditor")


def _moment(context: Context, text: str) -> datetime | None:
    from overflight.governance.questions import moment

    return moment(text, now=context.clock()) if text else None


def _show_verification(found: Mapping[str, Any]) -> None:
    span = f", {found['first_time'][:19]} to {found['last_time'][:19]} UTC" if found["entries"] else ""
    points = f"{found['checkpoints']} checkpoint{'' if found['checkpoints'] == 1 else 's'}"
    covered = "" if found["without_checkpoints"] else f"; {found['covered']} of them covered by {points}"
    click.echo(f"{found['entries']} entries{span}{covered}.")
    if found["keys"]:
        click.echo(f"Trusted keys: {', '.join(found['keys'])}")
    for colour, word, name in (("red", "FOUND", "findings"), ("yellow", "note", "warnings")):
        for one in found[name]:
            place = f"entry {one['sequence']}: " if one["sequence"] else ""
            click.echo(f"{click.style(word, fg=colour)}  {place}{one['problem']}\n       {one['meaning']}")
    if found["intact"] and found["without_checkpoints"]:
        click.echo("The chain fits. Checked without checkpoints: a trail that was written anew would fit as well.")
    elif found["intact"]:
        click.echo(click.style("Intact: nothing was edited, removed, added or put in another order.", fg="green"))
    else:
        click.echo(click.style("NOT intact.", fg="red"))


def _approval_facts(answer: Mapping[str, Any]) -> dict[str, Any]:
    approval, proof = answer["approval"] or {}, answer["proof"] or {}
    return {
        "package": answer["package"],
        "status_now": answer["status_now"],
        "approved_by": f"{approval['user']} as {approval['role']}" if approval else "nobody",
        "time": approval.get("time"),
        "reason": approval.get("reason"),
        "stage": approval.get("stage"),
        "approval_event": f"{approval['approval_event'] or 'none'} ({approval['announced']})" if approval else None,
        "evidence": approval.get("evidence") or None,
        "gates": approval.get("gates") or None,
        "metrics_now": {name: _interval(value) for name, value in answer["metrics_now"].items()} or None,
        "registered_by": answer["registered_by"],
        "trained_by": answer["trained_by"],
        "run": answer["run"],
        "survey": answer["survey"],
        "people": answer["people"]["verdict"],
        "statement": approval.get("statement"),
        "entry": f"{approval['sequence']}, event {approval['event_id']}" if approval else None,
        "hash": approval.get("hash"),
        "covered_by": f"checkpoint {proof['checkpoint']} of {proof['checkpoint_time']}, key {proof['key']}"
        if proof.get("checkpoint")
        else "no checkpoint",
        "trail": "intact" if proof.get("trail_intact") else "NOT intact: overflight trail verify" if proof else None,
    }


def _interval(metric: Any) -> str:
    if not isinstance(metric, Mapping):
        return str(metric)
    value, low, high = (metric.get(name) for name in ("value", "low", "high"))
    if not all(isinstance(one, int | float) for one in (value, low, high)):
        return str(value)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _show_activity(answer: Mapping[str, Any]) -> None:
    from overflight.cli.output import emit_rows

    if not answer["days"]:
        click.echo(f"Nothing in the trail was done by {answer['user']}.")
        return
    click.echo(f"{answer['user']}: {answer['changes']} changes, {answer['reads']} reads, {answer['denied']} denied")
    for day in answer["days"]:
        click.echo(click.style(f"\n{day['day']}", bold=True))
        for session in day["sessions"]:
            count = session["processes"]
            place = (
                f"{session['host']}, {count} {'process' if count == 1 else 'processes'}" if count else session["host"]
            )
            reads = ", ".join(f"{count} {action}" for action, count in session["reads"].items()) or "none"
            click.echo(f"as {session['role'] or '-'} {f'({place}) ' if place else ''}reads: {reads}")
            done: Sequence[Mapping[str, Any]] = sorted(
                [*session["changes"], *session["denied"]], key=lambda row: row["sequence"]
            )
            if done:
                emit_rows(done, ["time", "action", "resource", "outcome", "statement"], empty="")


def _show_access_change(one: Mapping[str, Any]) -> None:
    from overflight.cli.output import emit_rows

    who = f" (seen with a call of {one['seen_with']})" if one["seen_with"] else ""
    title = f"{one['time']:%Y-%m-%d %H:%M:%S} UTC{who}: {one['old'][:12] or 'nothing recorded'} -> {one['new'][:12]}"
    click.echo(click.style(title, bold=True))
    if one["first"]:
        click.echo(f"first recorded, {len(one['roles'])} roles: {', '.join(one['roles'])}")
    else:
        emit_rows(one["changes"], ["role", "change", "what", "name", "before", "after"], empty="The documents differ.")
