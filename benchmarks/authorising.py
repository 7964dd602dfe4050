"""What authorising adds to a call of the local account: median over many calls, with the template and with none.

    python benchmarks/authorising.py [--calls 400]

Prints the time to load roles and policies, and for each call the medians (ms) without and with authorising.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from overflight.account.local.account import LocalAccount
from overflight.account.local.authorise import Decision, TemplateAuthoriser
from overflight.account.local.login import local_session
from overflight.account.session import local_account
from overflight.settings import load_settings


class Anybody(TemplateAuthoriser):
    """Allows everything without looking at policies."""

    def decide(self, _call: Any) -> Decision:
        """Allowed."""
        return Decision(allowed=True)

    def fault(self, _call: Any) -> str:
        """None."""
        return ""


def prepared(account: LocalAccount) -> str:
    """An object, a group and a package; the package's ARN."""
    owner = local_session(account, role="administrator", user="bench")
    owner.client("s3").put_object(Bucket=account.bucket, Key="surveys/a", Body=b"x")
    sagemaker = owner.client("sagemaker")
    sagemaker.create_model_package_group(
        ModelPackageGroupName="overflight-bench", Tags=[{"Key": "env", "Value": "dev"}]
    )
    container = {"Image": "overflight:1", "ModelDataUrl": f"s3://{account.bucket}/runs/1/train/model.tar.gz"}
    made = sagemaker.create_model_package(
        ModelPackageGroupName="overflight-bench",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    return str(made["ModelPackageArn"])


def calls_of(account: LocalAccount, package: str) -> dict[str, Callable[[], object]]:
    """Some calls of people by name."""

    def client(role: str, service: str) -> Any:
        return local_session(account, role=role, user="bench").client(service)  # type: ignore[call-overload]  # varies

    reader, engineer = client("data-scientist", "s3"), client("ml-engineer", "s3")
    auditor, approver = client("auditor", "sagemaker"), client("approver", "sagemaker")
    decision = {"ModelPackageArn": package, "ModelApprovalStatus": "Approved"}
    event = {"CustomerMetadataProperties": {"approval_event": "e-1"}}
    return {
        "s3 HeadObject": lambda: reader.head_object(Bucket=account.bucket, Key="surveys/a"),
        "s3 PutObject": lambda: engineer.put_object(Bucket=account.bucket, Key="surveys/b", Body=b"x"),
        "sagemaker ListModels": auditor.list_models,
        "sagemaker DescribeModelPackage": lambda: auditor.describe_model_package(ModelPackageName=package),
        "sagemaker UpdateModelPackage": lambda: approver.update_model_package(**decision, **event),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400)
    count = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder) / "home", trail_keys=Path(folder) / "keys")
        account = local_account(settings)
        package = prepared(account)
        authoriser: Any = account.authoriser
        begin = time.perf_counter()
        roles = len(authoriser.access.roles)
        print(f"loading {roles} roles: {(time.perf_counter() - begin) * 1e3:.1f} ms (imports included)")
        open_account = replace(account, authoriser=Anybody(lambda: authoriser.access))
        without, within = calls_of(open_account, package), calls_of(account, package)
        print(f"{'call':34s} {'without':>9s} {'with':>9s} {'added':>9s}  (ms, median of {count})")
        for name in within:
            times: dict[str, list[float]] = {"without": [], "with": []}
            for number in range(count + 10):
                for kind, call in (("without", without[name]), ("with", within[name])):  # in turns: same load for both
                    begin = time.perf_counter()
                    call()
                    if number >= 10:
                        times[kind].append((time.perf_counter() - begin) * 1e3)
            low, high = (statistics.median(times[kind]) for kind in ("without", "with"))
            print(f"{name:34s} {low:9.3f} {high:9.3f} {high - low:9.3f}")
        account.close()


if __name__ == "__main__":
    main()
