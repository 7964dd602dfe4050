"""The attempt that must fail: whoever trained a model approves it. Part of the demo, and of what it promises.

Asks the account itself, past the rules of ``lifecycle.approvals``: what stops somebody who calls AWS directly.
"""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError

from overflight.account.aws_errors import missing_action
from overflight.errors import OverflightError, RefusedError
from overflight.lifecycle.approvals import approve, revoke
from overflight.lifecycle.context import Context

REASON = "Demo: the data scientist approves the model it has trained"
TAKEN_BACK = "Demo: the approval by the one who trained the model should have been refused"
_STATEMENT = re.compile(r"\(statement (?P<sid>.+?) of (?P<policy>.+?)\)")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})


def attempt_self_approval(context: Context, package_arn: str) -> dict[str, Any]:
    """Try to approve a package as the one who trained it; returns how it was refused.

    On one machine the bare call is made, so that the account's policies answer. On AWS only our own rules are asked:
    nothing is risked in an account that others use.

    Returns:
        ``refused`` (always true), ``by`` (``account`` or ``four eyes``), ``action``, ``statement`` and ``policy`` that
        denied ("" where they are not told) and ``message``.

    Raises:
        RefusedError: it was not refused; the approval is taken back.
    """
    if not context.is_local:
        return _by_our_rules(context, package_arn)
    sagemaker = context.client("sagemaker")
    before = sagemaker.describe_model_package(ModelPackageName=package_arn)["ModelApprovalStatus"]
    try:
        sagemaker.update_model_package(
            ModelPackageArn=package_arn, ModelApprovalStatus="Approved", ApprovalDescription=REASON
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _DENIED:
            raise
        message = error.response["Error"]["Message"]
        found = _STATEMENT.search(message)
        return {
            "refused": True,
            "by": "account",
            "action": missing_action(error)[0],
            "statement": found["sid"] if found else "",
            "policy": found["policy"] if found else "",
            "message": message,
        }
    sagemaker.update_model_package(ModelPackageArn=package_arn, ModelApprovalStatus=before)
    raise _not_refused(context, package_arn)


def _by_our_rules(context: Context, package_arn: str) -> dict[str, Any]:
    try:
        approve(context, package_arn, reason=REASON)
    except RefusedError as refusal:
        told = {"action": "sagemaker:UpdateModelPackage", "statement": "", "policy": ""}
        return {"refused": True, "by": "four eyes", **told, "message": refusal.what}
    try:
        revoke(context, package_arn, reason=TAKEN_BACK)
    except OverflightError as error:
        raise RefusedError(
            f"the account let {context.settings.role} approve its own model, but not take the approval back: {error}",
            where=package_arn,
            cure=f"Take it back now: overflight --as approver models revoke {package_arn} --reason ...",
        ) from error
    raise _not_refused(context, package_arn)


def _not_refused(context: Context, package_arn: str) -> RefusedError:
    return RefusedError(
        f"the account let {context.settings.role} approve its own model",
        where=package_arn,
        cure="The identity template is not in force: see overflight access check",
    )
