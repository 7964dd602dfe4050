"""The second stage of a call: may this caller do this? A port, and the implementation used until there are policies.

:class:`Personas` knows the names of the roles and no rules: whoever acts as a known persona may do everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from overflight.account.local.wire import Call

PERSONAS = ("administrator", "admin", "data-scientist", "ml-engineer", "approver", "auditor", "pipeline")


@dataclass(frozen=True)
class Decision:
    """Allowed or not, and in one sentence why not and what helps."""

    allowed: bool
    reason: str = ""
    cure: str = ""


class Authoriser(Protocol):
    """Decides each call before it is done; must not change anything."""

    def decide(self, call: Call) -> Decision:
        """Whether ``call.caller`` may do ``call.service:call.operation`` with ``call.params``."""


class Personas:
    """Allows everything to the known personas and nothing to any other."""

    def decide(self, call: Call) -> Decision:
        """See :class:`Authoriser`."""
        if call.caller.role in PERSONAS:
            return Decision(allowed=True)
        return Decision(
            allowed=False,
            reason=f"there is no role {call.caller.role!r} in this account",
            cure=f"Set OVERFLIGHT_ROLE to one of {', '.join(PERSONAS)}",
        )
