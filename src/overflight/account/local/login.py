"""Who is calling: sessions of the local account that act as a persona, and the credentials of assumed roles.

Knows names and keys; what a role may do is the authoriser's business.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import boto3
import botocore.session
import sqlalchemy as sa
from botocore.configprovider import ConstantProvider
from botocore.loaders import Loader

from overflight.account.local import tables
from overflight.account.local.account import LocalAccount
from overflight.account.local.clients import Wire
from overflight.account.local.store import Transaction, time_text
from overflight.account.local.wire import AwsError, Caller
from overflight.files import sha256_bytes

_OWN_KEY = "LOCALACCOUNT"  # of a session's own clients; opens nothing anywhere
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ROLE_PREFIX = "overflight-"


@dataclass(frozen=True)
class Credentials:
    """Temporary keys of an assumed role; ``expires_at`` is aware, UTC."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime


def caller_for(account: LocalAccount, *, role: str, user: str) -> Caller:
    """The caller with the ARN that STS would give."""
    arn = account.arn("sts", f"assumed-role/{ROLE_PREFIX}{role}/{user}")
    return Caller(arn=arn, account_id=account.account_id, region=account.region, role=role, user=user)


def local_session(account: LocalAccount, *, role: str, user: str, loader: Loader | None = None) -> boto3.Session:
    """A boto3 session whose clients are answered by ``account`` and act as ``role``.

    The person at the keyboard is trusted: ``overflight --as ROLE`` opens the session directly, without asking the trust
    policy of the role, which could not be enforced against somebody who owns the account's files. ``sts:AssumeRole``
    asks it.

    ``loader`` lets several sessions read botocore's service models once. Nothing of the machine's AWS configuration
    (profiles, files, credentials) is read, and nothing is sent anywhere.
    """
    core = _core(account, loader)
    core.set_credentials(_OWN_KEY, _OWN_KEY)
    own = caller_for(account, role=role, user=user)

    def caller_of(signer: Any) -> Caller:
        keys = signer._credentials  # the client's own keys; botocore offers no other way to them
        if keys is None or keys.access_key == _OWN_KEY:
            return own
        return assumed(account, keys.access_key, keys.secret_key, keys.token or "")

    Wire(account, caller_of).attach(core.get_component("event_emitter"))
    return boto3.Session(botocore_session=core)


def session_with_keys(
    account: LocalAccount, access_key_id: str, secret_access_key: str, session_token: str
) -> boto3.Session:
    """A boto3 session whose clients are answered by ``account`` and act as whoever the keys were given to."""
    core = _core(account, None)
    core.set_credentials(access_key_id, secret_access_key, session_token)

    def caller_of(signer: Any) -> Caller:
        given = signer._credentials  # the client's own keys; botocore offers no other way to them
        if given is None:
            raise AwsError("MissingAuthenticationToken", "The request carries no keys.", 403)
        return assumed(account, given.access_key, given.secret_key, given.token or "")

    Wire(account, caller_of).attach(core.get_component("event_emitter"))
    return boto3.Session(botocore_session=core)


def _core(account: LocalAccount, loader: Loader | None) -> botocore.session.Session:
    """A session that reads nothing of the machine's AWS configuration."""
    core = botocore.session.Session()
    core.set_config_variable("config_file", os.devnull)
    core.set_config_variable("credentials_file", os.devnull)
    config: Any = core.get_component("config_store")
    config.set_config_provider("profile", ConstantProvider(None))
    if loader is not None:
        core.register_component("data_loader", loader)
    core.set_config_variable("region", account.region)
    return core


def assume(account: LocalAccount, transaction: Transaction, *, role: str, user: str, duration_s: int) -> Credentials:
    """New keys for a role; only a digest of the secret parts is kept."""
    now = account.clock()
    keys = Credentials(
        access_key_id="ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16)),
        secret_access_key=secrets.token_urlsafe(30),
        session_token=secrets.token_urlsafe(120),
        expires_at=now + timedelta(seconds=duration_s),
    )
    row = {
        "access_key_id": keys.access_key_id,
        "secret_sha256": _digest(keys.secret_access_key, keys.session_token),
        "role": role,
        "user": user,
        "created_at": time_text(now),
        "expires_at": time_text(keys.expires_at),
    }
    transaction.connection.execute(
        sa.delete(tables.sessions).where(tables.sessions.c.expires_at < time_text(now - timedelta(days=1)))
    )
    transaction.connection.execute(sa.insert(tables.sessions), row)
    return keys


def assumed(account: LocalAccount, access_key_id: str, secret_access_key: str, session_token: str) -> Caller:
    """The caller that holds these keys.

    Raises:
        AwsError: the keys are unknown or have expired.
    """
    table = tables.sessions
    with account.store.read() as transaction:
        row = transaction.connection.execute(sa.select(table).where(table.c.access_key_id == access_key_id)).first()
    if row is None or not hmac.compare_digest(row.secret_sha256, _digest(secret_access_key, session_token)):
        raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    if row.expires_at <= time_text(account.clock()):
        raise AwsError(
            "ExpiredToken", "The security token included in the request is expired: assume the role again", 403
        )
    return caller_for(account, role=row.role, user=row.user)


def _digest(secret_access_key: str, session_token: str) -> str:
    return sha256_bytes(f"{secret_access_key}\n{session_token}".encode())
