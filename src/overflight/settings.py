"""Settings of one Overflight process, read once from the environment and passed on.

Knows names and defaults only: nothing is opened, created or contacted here.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from overflight.errors import UsageError

LOCAL_ACCOUNT_ID = "000000000000"
_SHORTEST_USER, _LONGEST_USER = 2, 64  # STS API reference, AssumeRole: RoleSessionName
PREFIX = "overflight"  # of every name in an account; the templates' parameter Prefix


def _login_name() -> str:
    """Name of the person at the keyboard, or ``uid-1000`` where the machine has no name for it (containers).

    What a session name cannot have (a domain's backslash, spaces, letters beyond ASCII) becomes a hyphen.
    """
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    fitting = re.sub(r"[^\w+=,.@-]", "-", name, flags=re.ASCII)[:_LONGEST_USER]
    return fitting if len(fitting) >= _SHORTEST_USER else f"uid-{os.getuid()}"


def _session_name(user: str) -> str:
    """``user`` when STS takes it as the name of a session; a slash would make the session's ARN another's."""
    if not re.fullmatch(rf"[\w+=,.@-]{{{_SHORTEST_USER},{_LONGEST_USER}}}", user, flags=re.ASCII):
        raise ValueError(f"a user has {_SHORTEST_USER} to {_LONGEST_USER} letters, digits or any of _+=,.@-")
    return user


class Settings(BaseSettings):
    """Where Overflight works and as whom; every field can be set as ``OVERFLIGHT_<NAME>``.

    Attributes:
        platform: ``local`` (an account in a folder) or ``aws``.
        home: Folder of the local account; relative to the working directory.
        profile: AWS CLI profile used on the platform ``aws``.
        region: AWS region; locally only part of the names (ARNs).
        account_id: AWS account that must be reached (12 digits), or None for whichever the profile opens.
        role: Persona to act as (``administrator`` or a named one such as ``data-scientist``).
        user: Name of the person, recorded in the trail: the session's name in ARNs, so 2 to 64 letters, digits and any
            of ``_+=,.@-``. The login name is made to fit; one that is set has to.
        max_payload_bytes: Largest body sent to an endpoint (SageMaker's real-time limit is 6 MiB).
        environment: Where people work in this account: second part of the names of what they make. Production is
            ``prod`` in every account.
        four_eyes: Whether an approval needs another person (``persons``, always so on AWS) or, for work on one
            machine, only another role of the same person (``roles``); None takes what the platform asks for.
        source_buckets: Names of further buckets that surveys are read from, separated by commas; known to the policies
            of the local account.
        trail_keys: Folder of the keys and checkpoints of the trail, apart from ``home``; None takes the user's state
            folder.
        mlflow_uri: MLflow's tracking URI or the ARN of a managed MLflow; None takes the local account's own
            database, and no tracking on the platform ``aws``.
    """

    model_config = SettingsConfigDict(env_prefix="OVERFLIGHT_", extra="forbid", frozen=True)

    platform: Literal["local", "aws"] = "local"
    home: Path = Path(".overflight")
    profile: str = "ab"
    region: str = Field("eu-central-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    account_id: str | None = Field(None, pattern=r"^\d{12}$")
    role: str = Field("administrator", pattern=r"^[a-z][a-z0-9-]{0,40}$")
    user: Annotated[str, AfterValidator(_session_name)] = Field(default_factory=_login_name)
    max_payload_bytes: int = Field(6 * 1024 * 1024, ge=1024)
    environment: Literal["dev", "staging", "prod"] = "dev"
    four_eyes: Literal["persons", "roles"] | None = None
    source_buckets: str = Field("", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9](,|$))*$")
    trail_keys: Path | None = None
    mlflow_uri: str | None = None

    @property
    def home_path(self) -> Path:
        """Absolute folder of the local account."""
        return self.home.expanduser().absolute()

    @property
    def trail_keys_path(self) -> Path:
        """Absolute folder of the keys and checkpoints of this account folder's trail; each account folder has its own.

        Without ``trail_keys`` below ``$XDG_STATE_HOME`` or ``~/.local/state`` (XDG Base Directory Specification).
        """
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / PREFIX
        digest = hashlib.sha256(os.path.realpath(self.home_path).encode()).hexdigest()
        return (self.trail_keys or state).expanduser().absolute() / digest[:16]

    @property
    def identity_parameters(self) -> dict[str, list[str]]:
        """Parameters of the template ``identity`` that follow from the settings, besides prefix and environment."""
        names = [name for name in self.source_buckets.split(",") if name]
        arns = [f"arn:aws:s3:::{name}{part}" for name in names for part in ("", "/*")]
        return {"SourceBucketArns": arns} if arns else {}

    def name(self, part: str) -> str:
        """Name of what people make in their environment, e.g. the pipeline ``overflight-dev-train``."""
        return f"{PREFIX}-{self.environment}-{part}"

    @property
    def account_number(self) -> str:
        """Account id used in names: the configured one, or the local account's."""
        return self.account_id or LOCAL_ACCOUNT_ID

    def role_arn(self, name: str) -> str:
        """ARN of Overflight's role ``name``, e.g. ``register``."""
        return f"arn:aws:iam::{self.account_number}:role/{PREFIX}-{name}"

    @property
    def bucket(self) -> str:
        """Bucket that holds surveys, job outputs and models."""
        return f"{PREFIX}-{self.account_number}-{self.region}"


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment, with ``overrides`` (None means: not given) on top.

    Raises:
        UsageError: a value is not allowed; the message names the variable.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks the values; that is its purpose
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{first['msg']} (got {first['input']!r})",
            where=f"OVERFLIGHT_{name.upper()}",
            cure=f"Set OVERFLIGHT_{name.upper()} to an allowed value or unset it",
        ) from error
