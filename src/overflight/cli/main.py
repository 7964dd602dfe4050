"""``overflight``: the command line.

Reads arguments and shows results; every decision is taken in ``overflight.lifecycle``. Errors end with one line on
stderr (what, where, what to do) and the exit code of their kind; with ``--json`` the same as an object on stdout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from overflight import __version__, logs
from overflight.cli import (
    access,
    demo,
    endpoints,
    lineage,
    model_card,
    models,
    pipelines,
    survey_augment,
    survey_checks,
    survey_leaks,
    survey_profile,
    surveys,
    system,
    trail,
)
from overflight.cli.app import App
from overflight.errors import OverflightError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="overflight")
@click.option("--platform", type=click.Choice(["local", "aws"]), help="Account to work in (default: local).")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the local account (default: .overflight).")
@click.option("--profile", help="AWS CLI profile (default: ab).")
@click.option("--region", help="AWS region (default: eu-central-1).")
@click.option("--as", "role", metavar="ROLE", help="Role to act as, e.g. data-scientist, ml-engineer, approver.")
@click.option("--verbose", "-v", is_flag=True, help="Show log lines of the library.")
@click.pass_context
def cli(context: click.Context, /, *, verbose: bool, **options: Any) -> None:
    """Drone photographs in, a governed object detector out.

    Start with `overflight demo`. Everything lives in ./.overflight until you choose `--platform aws`.
    """
    logs.set_up("INFO" if verbose else "WARNING")
    if isinstance(context.obj, dict):  # of ``main``, which has no context any more when it words an error
        context.obj.update(options)
    context.obj = App(options)


for command in (
    demo.demo,
    access.access,
    trail.trail,
    lineage.lineage,
    surveys.survey,
    pipelines.pipeline,
    pipelines.run,
    pipelines.runs,
    models.models,
    endpoints.deploy,
    endpoints.endpoints,
    endpoints.predict,
    system.mlflow,
    system.status,
    system.down,
):
    cli.add_command(command)
for command in (*survey_augment.COMMANDS, *survey_checks.COMMANDS, *survey_leaks.COMMANDS, *survey_profile.COMMANDS):
    surveys.survey.add_command(command)
models.models.add_command(model_card.card)


def main() -> None:
    """Entry point of the program ``overflight``."""
    as_json = "--json" in sys.argv
    given: dict[str, Any] = {}
    try:
        code = cli.main(standalone_mode=False, obj=given)
        sys.exit(code if isinstance(code, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt) as interrupt:
        words = str(interrupt.__cause__ or interrupt)
        click.echo(f"overflight: interrupted{'; ' + words if words else ''}", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OverflightError as error:
        _report(error, as_json=as_json)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if not type(error).__module__.startswith("botocore"):
            raise
        from overflight.account.aws_errors import translate

        profile = App(given).settings().profile if given else None
        translated = translate(error, profile=profile)  # type: ignore[arg-type]  # botocore's errors are its two bases
        _report(translated, as_json=as_json)
        sys.exit(translated.exit_code)


def _report(error: OverflightError, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "kind": type(error).__name__,
            "what": error.what,
            "where": error.where,
            "cure": error.cure,
            "exit_code": error.exit_code,
        }
        click.echo(json.dumps({"error": facts}, indent=2))
    click.echo(click.style("overflight: ", fg="red") + str(error), err=True)


if __name__ == "__main__":
    main()
