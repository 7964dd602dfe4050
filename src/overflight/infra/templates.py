"""Our CloudFormation templates with every reference, function and condition replaced by its value.

``load("identity", parameters=..., account_id=..., region=...)`` gives the plain policies that AWS would get from the
same text. It knows CloudFormation's functions; not what a policy means, nor whether AWS accepts a resource's properties
(cfn-lint checks that in the tests).

A policy variable inside ``!Sub`` is written ``${!aws:PrincipalTag/x}``; ``${aws:PrincipalTag/x}`` is refused, as by
AWS.

Source: AWS CloudFormation user guide, "Intrinsic function reference" and "Pseudo parameters reference".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from overflight.errors import NotFoundError, UsageError
from overflight.infra.names import check_names, check_sections
from overflight.infra.parameters import check_parameters
from overflight.infra.reading import read_template
from overflight.infra.references import Stack
from overflight.infra.resolver import Resolver

__all__ = ["Resolved", "load", "read_template", "resolve", "template_names", "template_text"]

_SECTIONS = {"Description", "Metadata", "Parameters", "Mappings", "Conditions", "Resources", "Outputs"}
_SECTIONS |= {"AWSTemplateFormatVersion"}


@dataclass(frozen=True)
class Resolved:
    """A template without functions.

    Attributes:
        name: Name of the template, ``identity``.
        stack: Account, region, partition and stack it was resolved for.
        resources: By logical id: ``Type``, ``Properties`` and what else the template says, as plain JSON. Resources
            whose condition is false are left out.
        outputs: Value by name; outputs whose condition is false are left out.
        parameters: Value of every parameter: text, or a list of text.
        conditions: Whether each condition holds.
        arns: ARN by logical id, of the resources that have one.
    """

    name: str
    stack: Stack
    resources: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Any]
    parameters: Mapping[str, str | list[str]]
    conditions: Mapping[str, bool]
    arns: Mapping[str, str]

    def of_type(self, *kinds: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Logical id and properties of every resource of these types, in the order of the template."""
        for logical_id, resource in self.resources.items():
            if resource["Type"] in kinds:
                yield logical_id, resource.get("Properties", {})


def template_names() -> list[str]:
    """Names that ``load`` takes."""
    folder = files("overflight.infra").joinpath("templates")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def template_text(name: str) -> str:
    """The text of our template ``name`` as it goes to AWS.

    Raises:
        NotFoundError: there is no such template.
    """
    path = files("overflight.infra").joinpath("templates", f"{name}.yaml")
    if name not in template_names():
        raise NotFoundError(f"there is no template {name}", cure=f"Templates: {', '.join(template_names()) or 'none'}")
    return path.read_text(encoding="utf-8")


@cache
def _packaged(name: str) -> Mapping[str, Any]:
    return read_template(template_text(name), where=f"{name}.yaml")


def load(
    name: str,
    *,
    parameters: Mapping[str, str | Sequence[str]],
    account_id: str,
    region: str,
    partition: str = "aws",
    stack_name: str = "overflight-identity",
) -> Resolved:
    """Our template ``name`` resolved for an account.

    Args:
        name: One of ``template_names()``.
        parameters: Values of its parameters; those with a default may be missing.
        account_id: 12 digits.
        region: For example ``eu-central-1``.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        stack_name: Name of the stack; part of generated names and ids.

    Raises:
        NotFoundError: there is no such template.
        UsageError: as for ``resolve``.
    """
    stack = Stack(account_id, region, partition, stack_name)
    return _resolve(_packaged(name), name, parameters, stack)


def resolve(
    template: Mapping[str, Any],
    *,
    parameters: Mapping[str, str | Sequence[str]],
    account_id: str,
    region: str,
    partition: str = "aws",
    stack_name: str = "overflight-identity",
    name: str = "template",
) -> Resolved:
    """A template (the long forms, from ``read_template``) resolved for an account; the template is not changed.

    Raises:
        UsageError: a section or function that is not supported, a reference to what does not exist, a circle, a
            parameter that is not allowed. The message names template, logical id and path.
    """
    return _resolve(template, name, parameters, Stack(account_id, region, partition, stack_name))


def _resolve(
    template: Mapping[str, Any], name: str, parameters: Mapping[str, str | Sequence[str]], stack: Stack
) -> Resolved:
    unknown = sorted(set(template) - _SECTIONS)
    if unknown:
        raise UsageError(f"the section {unknown[0]} is not supported", where=name, cure="Write it without this section")
    if not template.get("Resources"):
        raise UsageError("there are no resources", where=name, cure="Add Resources:")
    check_sections(template, where=name)
    values = check_parameters(template.get("Parameters", {}), parameters, where=name)
    check_names(template, where=name)
    resolver = Resolver(template, name, values, stack)
    resources = {key: resolver.resource(key) for key in template["Resources"] if resolver.exists(key)}
    resolver.check_circles()
    outputs = {
        key: resolver.value(output.get("Value"), ("Outputs", key, "Value"))
        for key, output in template.get("Outputs", {}).items()
        if "Condition" not in output or resolver.condition(output["Condition"])
    }
    conditions = {key: resolver.condition(key) for key in template.get("Conditions", {})}
    return Resolved(name, stack, resources, outputs, values, conditions, resolver.arns())
