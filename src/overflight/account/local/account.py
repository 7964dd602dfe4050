"""An AWS account in a folder: what every operation of it needs, put together.

Knows where things are; the operations themselves are in ``services``, the wire that carries calls to them in ``wire``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from overflight.account.clock import Clock, utc_now
from overflight.account.local.authorise import Authoriser, TemplateAuthoriser
from overflight.account.local.checkpoints import Checkpointer, Ledger
from overflight.account.local.objects import ObjectStore
from overflight.account.local.store import Store
from overflight.settings import Settings

if TYPE_CHECKING:
    from overflight.iam.access import Access


@dataclass(frozen=True)
class LocalAccount:
    """The parts of one local account.

    Attributes:
        home: Absolute folder.
        account_id: 12 digits.
        region: Only part of the names.
        environment: Where people work: ``dev``, ``staging`` or ``prod``.
        bucket: Name of the bucket that exists from the beginning, with versioning.
        store: State.
        objects: Contents behind S3.
        clock: Gives the time to everything in the account.
        authoriser: Decides each call.
        trail_keys: Folder of the keys and checkpoints of the trail, apart from ``home``; None writes no checkpoints.
    """

    home: Path
    account_id: str
    region: str
    bucket: str
    store: Store
    objects: ObjectStore
    clock: Clock
    authoriser: Authoriser
    environment: str = "dev"
    trail_keys: Path | None = None

    def arn(self, service: str, resource: str) -> str:
        """Name of a resource, for example ``arn:aws:sagemaker:eu-central-1:000000000000:pipeline/train``."""
        region = "" if service in {"iam", "s3", "sts"} else self.region
        account = "" if service == "s3" else self.account_id
        return f"arn:aws:{service}:{region}:{account}:{resource}"

    def role_arn(self, persona: str) -> str:
        """``arn:aws:iam::<account>:role/overflight-<persona>``."""
        return self.arn("iam", f"role/overflight-{persona}")

    def role_key(self, role_arn: str) -> str:
        """Short name of one of Overflight's roles of this account (``train``), "" for any other ARN."""
        prefix = self.role_arn("")
        return role_arn.removeprefix(prefix) if role_arn.startswith(prefix) else ""

    def close(self) -> None:
        """Close the files that are kept open."""
        self.store.close()


def open_account(settings: Settings, *, clock: Clock = utc_now) -> LocalAccount:
    """The account in ``settings.home_path``; folder, state and bucket are made when missing.

    Raises:
        StoreError: the folder or the state in it cannot be used.
    """
    store = Store(settings.home_path, clock=clock)
    objects = ObjectStore(store, clock=clock)
    objects.ensure_bucket(settings.bucket, region=settings.region)
    store.listener = Checkpointer(Ledger(settings.trail_keys_path), account_id=settings.account_number, clock=clock)
    return LocalAccount(
        home=store.home,
        account_id=settings.account_number,
        region=settings.region,
        bucket=settings.bucket,
        store=store,
        objects=objects,
        clock=clock,
        authoriser=TemplateAuthoriser(functools.partial(_access, settings)),
        environment=settings.environment,
        trail_keys=settings.trail_keys_path,
    )


def _access(settings: Settings) -> Access:
    from overflight.account.identity import access_for  # with it come PyYAML and the templates

    return access_for(settings)
