"""Sessions: the one way to an AWS account, in the cloud or in a folder. What comes back is an ordinary boto3 session.

Knows how to reach an account and to say in one line why it cannot; nothing of what is done there. The local account and
SQLAlchemy are loaded only when the platform is ``local``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from overflight.account.clock import Clock, utc_now
from overflight.errors import AccountError
from overflight.settings import Settings, load_settings

if TYPE_CHECKING:
    import boto3

    from overflight.account.local.account import LocalAccount

_OF_JOBS = ("home", "region", "account_id", "environment", "trail_keys")


def open_session(settings: Settings, *, clock: Clock = utc_now) -> boto3.Session:
    """A boto3 session to the account of the settings, acting as ``settings.role``.

    Raises:
        AccountError: the AWS account cannot be used; the message says what to do.
        StoreError: the local account's folder cannot be used.
    """
    if settings.platform == "local":
        from overflight.account.local.login import local_session

        return local_session(local_account(settings, clock=clock), role=settings.role, user=settings.user)
    from overflight.account.aws import aws_session

    return aws_session(settings)


def open_job_session(environ: Mapping[str, str], *, clock: Clock = utc_now) -> boto3.Session:
    """The session of a job that calls AWS as its own role.

    In SageMaker's containers it is boto3's ordinary session: the service hands the role's credentials over. A process
    of the local account gets temporary keys of its role in the environment when its request sets
    ``OVERFLIGHT_ACCOUNT_ACCESS=1`` (see ``account/local/job_access``).

    Args:
        environ: The job's environment.
        clock: Source of the time in the local account.

    Raises:
        AccountError: the job runs in a local account and was given no keys.
        StoreError: the local account's folder cannot be used.
    """
    if environ.get("OVERFLIGHT_PLATFORM") != "local":
        import boto3

        return boto3.Session(region_name=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"))
    from overflight.account.local.login import session_with_keys

    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    if missing := [name for name in ("OVERFLIGHT_HOME", *names) if not environ.get(name)]:
        raise AccountError(
            "the job has no access to the account",
            where=", ".join(missing),
            cure="Set OVERFLIGHT_ACCOUNT_ACCESS=1 in the Environment of the job's request",
        )
    settings = load_settings(platform="local", **{name: environ.get(f"OVERFLIGHT_{name.upper()}") for name in _OF_JOBS})
    return session_with_keys(local_account(settings, clock=clock), *(environ[name] for name in names))


def local_account(settings: Settings, *, clock: Clock = utc_now) -> LocalAccount:
    """The account in ``settings.home_path`` itself, for what runs inside it; made when missing.

    Raises:
        StoreError: the folder or the state in it cannot be used.
    """
    from overflight.account.local.account import open_account

    return open_account(settings, clock=clock)
