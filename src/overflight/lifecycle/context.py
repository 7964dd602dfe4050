"""What every use case needs: settings, AWS clients (real or local) and a clock; acting as other roles.

Does not know which use case it serves, nor whether AWS or a folder answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from overflight.account.clock import utc_now
from overflight.account.session import open_session
from overflight.settings import PREFIX, Settings

if TYPE_CHECKING:
    import boto3


@dataclass(frozen=True)
class Context:
    """One person's view of one account.

    Attributes:
        settings: Platform, folder, region and role.
        clock: Source of the current time (aware, UTC).
    """

    settings: Settings
    clock: Callable[[], datetime] = utc_now
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def session(self) -> boto3.Session:
        """The boto3 session all clients come from."""
        return open_session(self.settings, clock=self.clock)

    @cached_property
    def names(self) -> Settings:
        """The settings with the number of the account that is really reached: the source of buckets and ARNs."""
        if self.is_local or self.settings.account_id:
            return self.settings
        return self.settings.model_copy(update={"account_id": self.client("sts").get_caller_identity()["Account"]})

    @property
    def tags(self) -> list[dict[str, str]]:
        """Tags of whatever is created: the environment decides who may touch it, project and owner who pays."""
        values = {"env": self.settings.environment, "project": PREFIX, "owner": self.settings.user}
        return [{"Key": key, "Value": value} for key, value in values.items()]

    def client(self, service: str) -> Any:
        """The boto3 client of ``service``, made once."""
        if service not in self._clients:
            self._clients[service] = self.session.client(service)  # type: ignore[call-overload]  # the name varies
        return self._clients[service]

    def acting_as(self, role: str) -> Context:
        """The same account seen by another role of the same person."""
        return Context(self.settings.model_copy(update={"role": role}), self.clock)

    @property
    def is_local(self) -> bool:
        """Whether the account is a folder."""
        return self.settings.platform == "local"
