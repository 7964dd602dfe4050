"""What all commands share: the context made from the global options, the ``--json`` option, name arguments.

Nothing heavy is imported here: ``overflight --help`` must answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from overflight.lifecycle.context import Context
    from overflight.settings import Settings

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


@dataclass(frozen=True)
class App:
    """Global options of one invocation."""

    options: dict[str, Any]

    def settings(self) -> Settings:
        """Settings from the environment with the global options on top."""
        from overflight.settings import load_settings

        return load_settings(**self.options)

    def context(self, *, default_role: str | None = None) -> Context:
        """Context for use cases; ``default_role`` is used when neither option nor environment names one."""
        from overflight.lifecycle.context import Context

        settings = self.settings()
        if default_role and "role" not in settings.model_fields_set:
            settings = settings.model_copy(update={"role": default_role})
        return Context(settings)


pass_app = click.make_pass_decorator(App)
