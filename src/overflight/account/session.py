"""Sessions: the one way to an AWS account, in the cloud or in a folder. What comes back is an ordinary boto3 session.

Knows how to reach an account and to say in one line why it cannot; nothing of what is done there. The local account and
SQLAlchemy are loaded only when the platform is ``local``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from overflight.account.clock import Clock, utc_now
from overflight.settings import Settings

if TYPE_CHECKING:
    import boto3

    from overflight.account.local.account import LocalAccount


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


def local_account(settings: Settings, *, clock: Clock = utc_now) -> LocalAccount:
    """The account in ``settings.home_path`` itself, for what runs inside it; made when missing.

    Raises:
        StoreError: the folder or the state in it cannot be used.
    """
    from overflight.account.local.account import open_account

    return open_account(settings, clock=clock)
