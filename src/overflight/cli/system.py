"""``overflight status``, ``overflight down`` and ``overflight mlflow``."""

from __future__ import annotations

import click

from overflight.cli.app import App, json_option, pass_app


@click.command()
@json_option
@pass_app
def status(app: App, *, as_json: bool) -> None:
    """What is running: supervisor, runs, endpoints, MLflow."""
    from overflight.cli.output import emit_facts, emit_json, emit_rows
    from overflight.lifecycle.system import status as use_case

    facts = use_case(app.context(default_role="ml-engineer"))
    if as_json:
        emit_json(facts)
        return
    emit_facts({key: value for key, value in facts.items() if key not in {"runs", "endpoints"}})
    click.echo("\nruns at work")
    emit_rows(facts["runs"], ["run", "pipeline", "status", "started"], empty="  none")
    click.echo("\nendpoints")
    emit_rows(facts["endpoints"], ["endpoint", "status", "url", "package"], empty="  none")


@click.command()
@json_option
@pass_app
def down(app: App, *, as_json: bool) -> None:
    """Stop everything that was started here; nothing is deleted."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle.system import down as use_case

    facts = use_case(app.context(default_role="ml-engineer"))
    if as_json:
        emit_json(facts)
        return
    stopped = [f"{facts['runs']} runs"] if facts["runs"] else []
    stopped += ["supervisor and endpoints"] if facts["supervisor"] else []
    stopped += ["MLflow's pages"] if facts["mlflow"] else []
    click.echo(f"Stopped: {', '.join(stopped)}. Nothing was deleted." if stopped else "Nothing was running.")


@click.command()
@click.option("--port", default=5001, show_default=True, type=click.IntRange(1, 65535), help="On 127.0.0.1.")
@click.option("--detach", is_flag=True, help="Leave it running and return (stop it with `overflight down`).")
@json_option
@pass_app
def mlflow(app: App, *, port: int, detach: bool, as_json: bool) -> None:
    """Open MLflow's pages over the account's runs; Ctrl-C ends them."""
    from overflight.cli.output import emit_json, progress_view
    from overflight.lifecycle.system import open_mlflow

    context = app.context(default_role="ml-engineer")
    with progress_view(as_json=as_json) as progress:
        progress.begin("MLflow")
        progress.update("starting (up to 30 s)")
        server = open_mlflow(context, port=port)
    if as_json:
        emit_json(server.as_dict())
    else:
        click.echo(f"MLflow: {server.url}/#/experiments")
    if detach:
        return
    try:
        server.wait()
    finally:
        server.stop()
