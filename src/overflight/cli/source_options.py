"""Options that several commands about surveys share: how to read a source, and which checks to apply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def source_options(command: Command) -> Command:
    """``--format``, ``--labels`` and ``--flights``."""
    for option in (
        click.option("--flights", type=click.Path(path_type=Path), help="Table image,flight that names the flights."),
        click.option("--labels", help="Label file or folder to use, relative to SOURCE, where there are several."),
        click.option("--format", "form", help="Label format, where it is not recognised: see survey formats."),
    ):
        command = option(command)
    return command


def checks_options(command: Command) -> Command:
    """``--set`` and ``--checks``."""
    for option in (
        click.option("--checks", "changes_file", type=click.Path(path_type=Path), help="YAML file with such changes."),
        click.option(
            "--set", "changes", multiple=True, metavar="CHECK=VALUE", help="E.g. dark=off, tiny.min_side_px=9."
        ),
    ):
        command = option(command)
    return command
