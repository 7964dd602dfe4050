"""Every name that a template uses is declared in it, also in branches that are not taken today.

A wrong name in the part for production is found when the template is resolved for development. Knows which functions
name something; not what they give.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from overflight.errors import UsageError

Path = tuple[str | int, ...]
PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_PSEUDO = {"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition"}
_PSEUDO |= {"AWS::Region", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix"}


def check_sections(template: Mapping[str, Any], *, where: str) -> None:
    """Refuse sections, and entries of sections, that are no mappings, and attributes of resources that are no text.

    Args:
        template: Long forms only.
        where: Name of the template, for messages.

    Raises:
        UsageError: with the place.
    """
    for section in ("Parameters", "Mappings", "Conditions", "Resources", "Outputs"):
        entries = template.get(section, {})
        if not isinstance(entries, Mapping):
            raise _error(where, (section,), "this section is not a mapping", "Write its names and what each is")
        for key, entry in entries.items():
            if not isinstance(entry, Mapping):
                raise _error(where, (section, key), "this is not a mapping", "Write it as CloudFormation reads it")
    for key, resource in template["Resources"].items():
        _check_attributes(resource, ("Resources", key), where)
    for key, output in template.get("Outputs", {}).items():
        _check_attributes(output, ("Outputs", key), where)


def _check_attributes(entry: Mapping[str, Any], path: Path, where: str) -> None:
    if not isinstance(entry.get("Properties", {}), Mapping):
        raise _error(where, (*path, "Properties"), "this is not a mapping", "Write names and values")
    for attribute in ("Condition", "DependsOn"):
        names = entry.get(attribute, [])
        for name in names if isinstance(names, list) and attribute == "DependsOn" else [names]:
            if name != [] and not isinstance(name, str):
                raise _error(where, (*path, attribute), "this is not a name", "Name what the template declares")


def check_names(template: Mapping[str, Any], *, where: str) -> None:
    """Refuse a reference to a parameter, resource or condition that the template does not declare.

    Args:
        template: Long forms only.
        where: Name of the template, for messages.

    Raises:
        UsageError: with the place of the name.
    """
    parameters, resources = set(template.get("Parameters", {})), template["Resources"]
    conditions = set(template.get("Conditions", {}))
    values = parameters | set(resources) | _PSEUDO
    for key, resource in resources.items():
        if key in parameters:
            raise _error(where, ("Resources", key), f"{key} is a parameter too", "Rename one")
        if not isinstance(resource, Mapping) or not isinstance(resource.get("Type"), str):
            raise _error(where, ("Resources", key), "the resource has no Type", "Write Type: AWS::...")
    for section in ("Conditions", "Resources", "Outputs"):
        for path, sort, name in _used(template.get(section, {}), (section,), section == "Conditions"):
            known = {"condition": conditions, "resource": set(resources), "value": values}[sort]
            if name not in known:
                kinds = {"condition": "condition", "resource": "resource", "value": "parameter or resource"}[sort]
                raise _error(where, path, f"there is no {kinds} {name}", _cure(name))


def _cure(name: str) -> str:
    policy_variable = ":" in name and not name.startswith("AWS::")
    return f"Write ${{!{name}}} for a policy variable" if policy_variable else "Declare it or correct the name"


def _error(where: str, path: Path, what: str, cure: str) -> UsageError:
    return UsageError(what, where=f"{where}: {'/'.join(str(part) for part in path)}", cure=cure)


def _used(value: Any, path: Path, in_conditions: bool) -> Iterator[tuple[Path, str, str]]:
    """Place, sort and text of every name that is used below ``value``."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _used(item, (*path, i), in_conditions)
    if not isinstance(value, Mapping):
        return
    for key, item in value.items():
        here = (*path, key)
        if key in {"Ref", "Fn::GetAtt", "Fn::Sub", "Fn::If"}:
            yield from _named(key, item, here)
        elif key == "Condition" and isinstance(item, str) and (in_conditions or len(path) == 2):
            yield here, "condition", item
        elif key == "DependsOn" and len(path) == 2:
            yield from ((here, "resource", str(name)) for name in ([item] if isinstance(item, str) else item))
        if not isinstance(item, str | int | float):
            yield from _used(item, here, in_conditions)


def _named(function: str, argument: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    """The names in the argument of one function; an argument of a wrong form is refused when it is resolved."""
    head = argument[0] if isinstance(argument, list) and argument and function != "Ref" else argument
    if not isinstance(head, str):
        return
    if function == "Fn::Sub":
        own = argument[1] if isinstance(argument, list) and len(argument) > 1 else {}
        own = own if isinstance(own, Mapping) else {}
        for name in PLACEHOLDER.findall(head):
            if not name.startswith("!") and name not in own:
                yield path, "resource" if "." in name else "value", name.partition(".")[0] if "." in name else name
    elif function == "Fn::GetAtt":
        yield path, "resource", head.partition(".")[0]
    else:
        yield path, "condition" if function == "Fn::If" else "value", head
