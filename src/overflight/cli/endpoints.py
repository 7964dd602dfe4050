"""``overflight deploy``, ``overflight endpoints`` and ``overflight predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from overflight.cli.app import App, json_option, pass_app

if TYPE_CHECKING:
    from overflight.serving.formats import PredictionFormat

ROLE = "ml-engineer"  # whom these commands act as when nobody is named


@click.command()
@click.argument("package", default="latest")
@click.option("--name", help="Name of the endpoint (default: the package's group).")
@click.option("--prod", "production", is_flag=True, help="In production: overflight-prod-NAME.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the local server (default: a free one).")
@json_option
@pass_app
def deploy(app: App, package: str, *, name: str | None, production: bool, port: int | None, as_json: bool) -> None:
    """Serve an approved package; an endpoint of the same name is switched over without a gap.

    The deploy pipeline does it after checking the approval, its people and its evidence again.
    """
    from overflight.cli.output import emit_facts, emit_json, progress_view
    from overflight.lifecycle.endpoints import deploy as use_case
    from overflight.lifecycle.models import find_package

    context = app.context(default_role=ROLE)
    arn = find_package(context, package)
    group = arn.split("/")[1]
    with progress_view(as_json=as_json) as progress:
        facts = use_case(context, arn, name=name or group, progress=progress, port=port, production=production)
    if as_json:
        emit_json(facts)
        return
    emit_facts({key: facts[key] for key in ("endpoint", "status", "url", "package")})
    click.echo(f"\nTry it: overflight predict {facts['endpoint']} PHOTO... --out predictions")


@click.group()
def endpoints() -> None:
    """Serving processes of approved packages."""


@endpoints.command("list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """All endpoints."""
    from overflight.cli.output import emit_json, emit_rows
    from overflight.lifecycle.endpoints import list_endpoints

    rows = list_endpoints(app.context(default_role=ROLE))
    if as_json:
        emit_json(rows)
    else:
        emit_rows(
            rows,
            ["endpoint", "status", "url", "package", "modified"],
            empty="No endpoints. Serve an approved package: overflight deploy PACKAGE",
        )


@endpoints.command()
@click.argument("name")
@json_option
@pass_app
def show(app: App, name: str, *, as_json: bool) -> None:
    """One endpoint: status, address, package."""
    from overflight.cli.output import emit_facts, emit_json
    from overflight.lifecycle.endpoints import describe_endpoint

    facts = describe_endpoint(app.context(default_role=ROLE), name)
    (emit_json if as_json else emit_facts)(facts)


@endpoints.command()
@click.argument("name")
@json_option
@pass_app
def logs(app: App, name: str, *, as_json: bool) -> None:
    """Log lines of an endpoint's server."""
    from overflight.cli.output import emit_json
    from overflight.lifecycle.endpoints import endpoint_log

    lines = endpoint_log(app.context(default_role=ROLE), name)
    if as_json:
        emit_json(lines)
        return
    for line in lines:
        click.echo(line)


@endpoints.command()
@click.argument("name")
@json_option
@pass_app
def delete(app: App, name: str, *, as_json: bool) -> None:
    """Stop an endpoint and remove its configuration; the package stays. In production the deploy pipeline does it."""
    from overflight.cli.output import emit_json, progress_view
    from overflight.lifecycle.endpoints import delete_endpoint

    with progress_view(as_json=as_json) as progress:
        delete_endpoint(app.context(default_role=ROLE), name, progress=progress)
    if as_json:
        emit_json({"deleted": name})
    else:
        click.echo(f"Deleted endpoint {name}.")


@click.command()
@click.argument("endpoint")
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("predictions"),
    show_default=True,
    help="Folder for detections and pictures.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "coco", "yolo", "geojson"]),
    default="json",
    show_default=True,
    help="Of the detections; geojson needs photos with GPS, height and yaw.",
)
@click.option("--no-overlays", is_flag=True, help="Write no pictures.")
@json_option
@pass_app
def predict(
    app: App,
    endpoint: str,
    photos: tuple[Path, ...],
    *,
    out: Path,
    form: PredictionFormat,
    no_overlays: bool,
    as_json: bool,
) -> None:
    """Send photos (files or folders) to an endpoint; writes detections and pictures with boxes below --out."""
    from overflight.cli.output import emit_json, emit_rows, progress_view
    from overflight.lifecycle.predict import find_photos
    from overflight.lifecycle.predict import predict as use_case

    context = app.context(default_role=ROLE)
    files = find_photos(photos)
    with progress_view(as_json=as_json) as progress:
        found = use_case(
            context,
            endpoint,
            files,
            out=out,
            form=form,
            progress=progress,
            overlays=not no_overlays,
        )
    rows = [{"photo": item.photo, "objects": item.counts, "overlay": item.overlay or ""} for item in found]
    if as_json:
        emit_json({"endpoint": endpoint, "out": out, "format": form, "photos": rows})
    else:
        emit_rows(rows, ["photo", "objects", "overlay"], empty="")
