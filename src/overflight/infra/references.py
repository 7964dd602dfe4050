"""What ``Ref`` and ``Fn::GetAtt`` of a resource give: AWS's value where it follows from the name, else a stand-in.

AWS chooses key ids, unique ids and the end of generated names. The stand-ins here are made from the stack and the
logical id, so the same template gives the same values on every machine. The types and their attributes are in
``references.json``; it knows no template.

Source: AWS CloudFormation template reference, "Return values" of each resource type.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from overflight.errors import UsageError

_SUFFIX = {"aws-cn": "amazonaws.com.cn"}


@dataclass(frozen=True)
class Stack:
    """Where a template is resolved to: what the pseudo parameters give."""

    account_id: str
    region: str
    partition: str
    name: str

    @property
    def url_suffix(self) -> str:
        """``amazonaws.com``, or China's."""
        return _SUFFIX.get(self.partition, "amazonaws.com")

    @property
    def id(self) -> str:
        """ARN of the stack, with a stand-in for the part that AWS chooses."""
        arn = f"arn:{self.partition}:cloudformation:{self.region}:{self.account_id}:stack/{self.name}"
        return f"{arn}/{_uuid(_digest(arn))}"


@cache
def _types() -> Mapping[str, Any]:
    text = files("overflight.infra").joinpath("references.json").read_text(encoding="utf-8")
    types: Mapping[str, Any] = json.loads(text)
    return types


def arn_attribute(kind: str) -> str | None:
    """Attribute of a resource type that gives its ARN; None where it has none or is not known."""
    attributes = _types().get(kind, {}).get("attributes", {})
    return next((name for name in attributes if name.endswith("Arn")), None)


def reference(
    stack: Stack, logical_id: str, kind: str, attribute: str | None, read: Callable[[str], Any], *, where: str
) -> str:
    """``Ref`` (``attribute`` None) or an attribute of the resource ``logical_id``.

    Args:
        stack: Where it is created.
        logical_id: Name inside the template.
        kind: Type, ``AWS::S3::Bucket``.
        attribute: ``Arn`` and the like.
        read: Gives the resolved property of that resource under a name, or None.
        where: Place of the reference, for messages.

    Raises:
        UsageError: the type or the attribute is not in the table.
    """
    entry = _types().get(kind)
    if entry is None:
        raise UsageError(
            f"the value of a reference to {logical_id} is not known here: its type is {kind}",
            where=where,
            cure="Write the name or ARN out with !Sub, or add the type to infra/references.json",
        )
    form = entry["ref"] if attribute is None else entry["attributes"].get(attribute)
    if form is None:
        raise UsageError(
            f"{kind} has no attribute {attribute} that is known here",
            where=where,
            cure=f"Known: {', '.join(entry['attributes']) or 'none'}",
        )
    return str(form.format_map(_Parts(stack, logical_id, entry.get("name"), read)))


class _Parts(dict[str, str]):
    """The parts of a form, each made when the form asks for it: most forms need only the name."""

    def __init__(self, stack: Stack, logical_id: str, name_property: str | None, read: Callable[[str], Any]) -> None:
        super().__init__(
            partition=stack.partition, region=stack.region, account=stack.account_id, suffix=stack.url_suffix
        )
        self.stack, self.logical_id, self.name_property, self.read = stack, logical_id, name_property, read

    def __missing__(self, key: str) -> str:
        match key:
            case "name":
                given = self.read(self.name_property) if self.name_property else None
                return self["generated"] if given is None else str(given)
            case "lower":
                return self["name"].lower()
            case "generated":
                return f"{self.stack.name}-{self.logical_id}-{self.chosen_by_aws()['hex12'].upper()}"
            case "path":
                return str(self.read("Path") or "/")
            case "bus_bar" | "bus_slash":
                bus = str(self.read("EventBusName") or "default")
                return "" if bus == "default" else f"{bus.rpartition('/')[2]}{'|/'[key == 'bus_slash']}"
            case "uuid" | "hex12" | "hex17" | "upper17":
                return self.chosen_by_aws()[key]
            case _:
                return str(self.read(key) or "")

    def chosen_by_aws(self) -> dict[str, str]:
        """Stand-ins for what AWS chooses, in the forms that ids have."""
        digest = _digest(f"{self.stack.id}/{self.logical_id}")
        return {"uuid": _uuid(digest), "hex12": digest[:12], "hex17": digest[:17], "upper17": digest[:17].upper()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _uuid(digest: str) -> str:
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
