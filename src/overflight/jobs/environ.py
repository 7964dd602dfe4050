"""Settings of a job from its environment, and progress as log lines.

A job's settings are ``OVERFLIGHT_<FIELD>`` for the fields of its settings class; other variables (which run it
belongs to, where it tracks) are not its business and are left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from overflight.errors import UsageError

PREFIX = "OVERFLIGHT_"
LINES_AT_MOST = 20

Settings = TypeVar("Settings", bound=BaseModel)

log = logging.getLogger(__name__)


def settings_from(environ: Mapping[str, str], model: type[Settings]) -> Settings:
    """An instance of ``model``; a field whose variable is missing or empty keeps its default.

    Raises:
        UsageError: a value is not allowed; the message names the variable.
    """
    given = {name: environ[key] for name in model.model_fields if environ.get(key := f"{PREFIX}{name.upper()}")}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        names = [f"{PREFIX}{name}"] if name else [f"{PREFIX}{field.upper()}" for field in given]
        raise UsageError(
            f"{first['msg']} (got {first['input']!r})", where=", ".join(names), cure="Set an allowed value or unset it"
        ) from error


def log_progress(what: str) -> Callable[[int, int], None]:
    """A progress callback that logs ``what 40/240`` about twenty times."""

    def report(done: int, total: int) -> None:
        step = max(1, total // LINES_AT_MOST)
        if done % step == 0 or done == total:
            log.info("%s %d/%d", what, done, total)

    return report
