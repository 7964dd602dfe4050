"""How results look: tables, key-value lists and JSON; live progress on a terminal, plain lines elsewhere.

Decides looks only; what is shown comes from the use cases.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overflight.lifecycle.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_WIDE = 1000  # files and pipes get whole lines
_STATUS_STYLES = {
    "Succeeded": "green",
    "Approved": "green",
    "InService": "green",
    "Completed": "green",
    "Failed": "red",
    "Rejected": "red",
    "Stopped": "yellow",
    "Executing": "cyan",
    "Creating": "cyan",
    "PendingManualApproval": "yellow",
}


def console() -> Console:
    """A console on stdout; plain when stdout is not a terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def emit_json(value: Any) -> None:
    """Print ``value`` as one JSON document."""
    click.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False, allow_nan=False))


def emit_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print ``rows`` as a table of ``columns``, or the sentence ``empty``."""
    if not rows:
        click.echo(empty)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console().print(table)


def emit_facts(facts: Mapping[str, Any], *, title: str = "") -> None:
    """Print ``facts`` as aligned ``name  value`` lines; nested mappings are indented below their name."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, title=title or None, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if isinstance(value, Mapping):
            table.add_row(name.replace("_", " "), "")
            for inner, content in value.items():
                table.add_row(f"  {inner}", _cell(content))
        else:
            table.add_row(name.replace("_", " "), _cell(value))
    console().print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    if isinstance(value, Mapping):
        return escape(", ".join(f"{key} {_cell(item)}" for key, item in value.items())) or "-"
    if isinstance(value, (list, tuple)):
        return escape(", ".join(str(item) for item in value)) or "-"
    text = escape(str(value))
    style = _STATUS_STYLES.get(str(value))
    return f"[{style}]{text}[/{style}]" if style else text


def _plain(value: Any) -> Any:
    """JSON form of dates and paths."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


@contextmanager
def progress_view(*, as_json: bool) -> Iterator[Progress]:
    """Progress for a command: nothing with ``--json``, a live line on a terminal, plain lines elsewhere."""
    if as_json:
        yield Silent()
    elif sys.stderr.isatty():
        with LiveProgress() as live:
            yield live
    else:
        yield LineProgress()


class LineProgress:
    """Plain lines on stderr; updates at most every few seconds, so that a log stays readable."""

    def __init__(self, *, every_s: float = 5.0) -> None:
        self._every_s = every_s
        self._last_s = 0.0

    def begin(self, stage: str) -> None:
        """Announce the stage."""
        click.echo(f"[{_clock()}] {stage} ...", err=True)
        self._last_s = time.monotonic()

    def update(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Print the update when the last one is old enough."""
        now_s = time.monotonic()
        if now_s - self._last_s >= self._every_s:
            self._last_s = now_s
            click.echo(f"[{_clock()}]   {_progress_text(text, done, total)}", err=True)

    def end(self, stage: str, seconds: float, result: str) -> None:
        """Print result and duration."""
        click.echo(f"[{_clock()}] {stage}: {result or 'done'} ({seconds:.1f} s)", err=True)


class LiveProgress:
    """One spinner line at the bottom of the terminal, finished stages above it."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._stages: list[str] = []
        self._status: Status = self._console.status("starting")

    def __enter__(self) -> LiveProgress:
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def begin(self, stage: str) -> None:
        """Show the stage at the bottom."""
        self._stages.append(stage)
        self._status.update(" > ".join(self._stages))

    def update(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Refresh the bottom line, with a bar where the end is known."""
        from rich.markup import escape

        bar = ""
        if done is not None and total:
            filled = min(20, round(20 * done / total))
            bar = f"[green]{'━' * filled}[/green][dim]{'━' * (20 - filled)}[/dim] "
        self._status.update(f"{' > '.join(self._stages)}  {bar}{escape(_progress_text(text, done, total))}")

    def end(self, stage: str, seconds: float, result: str) -> None:
        """Leave a line for the finished stage."""
        from rich.markup import escape

        if stage in self._stages:
            self._stages.remove(stage)
        indent = "  " * len(self._stages)
        good = not result.startswith(("failed", "stopped"))
        style, mark = ("green", "✓") if good else ("red", "✗")
        name = f"{indent}{stage}"
        self._console.print(f"[{style}]{mark}[/{style}] {name:<28} [dim]{seconds:7.1f} s[/dim]  {escape(result)}")


def _progress_text(text: str, done: int | None, total: int | None) -> str:
    counted = done is not None and total is not None and f"{done}/{total}" not in text
    return f"{text} {done}/{total}" if counted else text


def _clock() -> str:
    return time.strftime("%H:%M:%S")
