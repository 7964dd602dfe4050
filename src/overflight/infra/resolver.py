"""The functions of CloudFormation, each replaced by its value.

Works on a template whose names were checked (``names``). Not for use outside this package: ``templates`` is the door.

Source: AWS CloudFormation user guide, "Intrinsic function reference".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from overflight.errors import UsageError
from overflight.infra.names import PLACEHOLDER, Path
from overflight.infra.references import Stack, arn_attribute, reference

_CONDITION_FUNCTIONS = {"Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals"}
_ATTRIBUTES = {"Condition", "Type"}  # of a resource: read before its values are resolved


class _NoValue:
    """``AWS::NoValue``: whatever has this value is left out."""


_NO_VALUE = _NoValue()


class Resolver:
    """Replaces functions by values; remembers conditions, properties that were asked for, and who refers to whom."""

    def __init__(
        self, template: Mapping[str, Any], name: str, parameters: Mapping[str, str | list[str]], stack: Stack
    ) -> None:
        self.template, self.name, self.stack = template, name, stack
        self.declared: Mapping[str, Any] = template["Resources"]
        self.constants: dict[str, Any] = {
            **parameters,
            "AWS::AccountId": stack.account_id,
            "AWS::NoValue": _NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": stack.partition,
            "AWS::Region": stack.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": stack.url_suffix,
        }
        self.conditions: dict[str, bool] = {}
        self.references = {key: self._after(resource) for key, resource in self.declared.items()}
        self.open: list[tuple[str, str]] = []
        self.functions: Mapping[str, Callable[[Any, Path], Any]] = {
            "Ref": self._ref,
            "Fn::Base64": self._base64,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._choose,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Sub": self._sub,
        }

    def _error(self, path: Path, what: str, cure: str) -> UsageError:
        return UsageError(what, where=self._where(path), cure=cure)

    def _where(self, path: Path) -> str:
        return f"{self.name}: {'/'.join(str(part) for part in path)}"

    @staticmethod
    def _after(resource: Mapping[str, Any]) -> set[str]:
        """Logical ids in ``DependsOn``."""
        names = resource.get("DependsOn", [])
        return {names} if isinstance(names, str) else set(names)

    def check_circles(self) -> None:
        """Refuse resources that wait for one another."""
        done: set[str] = set()
        for start in self.declared:
            trail: list[str] = []
            self._walk(start, trail, done)

    def _walk(self, key: str, trail: list[str], done: set[str]) -> None:
        if key in trail:
            circle = " -> ".join([*trail[trail.index(key) :], key])
            raise self._error(("Resources", key), f"resources wait for one another: {circle}", "Write a name out")
        if key in done:
            return
        trail.append(key)
        for other in sorted(self.references[key]):
            self._walk(other, trail, done)
        trail.pop()
        done.add(key)

    def exists(self, logical_id: str) -> bool:
        """Whether the resource is created: its condition holds or it has none."""
        condition = self.declared[logical_id].get("Condition")
        return condition is None or self.condition(condition)

    def resource(self, key: str) -> dict[str, Any]:
        """The resource under a logical id, without functions."""
        resource = self.declared[key]
        parts = [part for part in resource if part not in _ATTRIBUTES]
        plain = {part: self.value(resource[part], ("Resources", key, part)) for part in parts}
        return {"Type": resource["Type"], **{part: value for part, value in plain.items() if value is not _NO_VALUE}}

    def arns(self) -> dict[str, str]:
        """ARN by logical id of every resource that is created and has one."""
        found = {}
        for key, resource in self.declared.items():
            attribute = arn_attribute(resource["Type"])
            if attribute is not None and self.exists(key):
                read = partial(self._property, key)
                found[key] = reference(self.stack, key, resource["Type"], attribute, read, where=key)
        return found

    def condition(self, name: object) -> bool:
        """Whether the condition called ``name`` holds."""
        if not isinstance(name, str):
            raise self._error(("Conditions",), "a condition is asked for by something else than a name", "Name it")
        if name in self.conditions:
            return self.conditions[name]
        with_self = ("Conditions", str(name))
        if name not in self.template.get("Conditions", {}):
            raise self._error(with_self, "there is no such condition", "Declare it or correct the name")
        if with_self in self.open:
            raise self._error(with_self, "the condition refers to itself", "Break the circle")
        self.open.append(with_self)
        self.conditions[name] = self._holds(self.template["Conditions"][name], with_self)
        self.open.pop()
        return self.conditions[name]

    def _holds(self, test: Any, path: Path) -> bool:
        """Whether one condition function holds."""
        name, argument = self._single(test, path)
        path = (*path, name)
        if name == "Condition":
            return self.condition(argument)
        if name not in _CONDITION_FUNCTIONS or not isinstance(argument, list):
            raise self._error(path, "this is not a condition", "Use !Equals, !Not, !And, !Or or !Condition with a list")
        low, high = {"Fn::Not": (1, 1), "Fn::Equals": (2, 2)}.get(name, (2, 10))
        if not low <= len(argument) <= high:
            raise self._error(path, f"{name} takes {low} to {high} values", "Correct the list")
        if name == "Fn::Equals":
            left, right = (self.value(item, (*path, i)) for i, item in enumerate(argument))
            return bool(plain_text(left) == plain_text(right))
        answers = [self._holds(item, (*path, i)) for i, item in enumerate(argument)]
        return {"Fn::Not": not answers[0], "Fn::And": all(answers), "Fn::Or": any(answers)}[name]

    def _single(self, value: Any, path: Path) -> tuple[str, Any]:
        if not isinstance(value, Mapping) or len(value) != 1:
            raise self._error(path, "a function must stand alone", "Write one function here")
        return next(iter(value.items()))

    def value(self, value: Any, path: Path) -> Any:
        """``value`` without functions; ``AWS::NoValue`` inside lists and mappings is left out."""
        if isinstance(value, str | int | float):
            return value
        if isinstance(value, Mapping):
            function = next((key for key in value if key == "Ref" or key.startswith("Fn::")), None)
            if function is not None:
                return self._call(value, path)
            pairs = ((key, self.value(item, (*path, key))) for key, item in value.items())
            return {key: item for key, item in pairs if item is not _NO_VALUE}
        if isinstance(value, list):
            plain = [self.value(item, (*path, i)) for i, item in enumerate(value)]
            return [item for item in plain if item is not _NO_VALUE]
        raise self._error(path, f"{value!r} is no value of a template", "Write text, a number, a list or a mapping")

    def _call(self, value: Any, path: Path) -> Any:
        name, argument = self._single(value, path)
        function = self.functions.get(name)
        if function is None:
            cure = "Only in Conditions" if name in _CONDITION_FUNCTIONS else f"Supported: {', '.join(self.functions)}"
            raise self._error((*path, name), f"{name} is not supported here", cure)
        return function(argument, (*path, name))

    def _property(self, logical_id: str, name: str) -> Any:
        """The resolved property ``name`` of a resource, or None."""
        properties = self.declared[logical_id].get("Properties", {})
        if name not in properties:
            return None
        path = ("Resources", logical_id, "Properties", name)
        if (logical_id, name) in self.open:
            raise self._error(path, "the value depends on itself", "Write one name out")
        self.open.append((logical_id, name))
        value = self.value(properties[name], path)
        self.open.pop()
        return None if value is _NO_VALUE else value

    def _refer(self, logical_id: str, attribute: str | None, path: Path) -> str:
        if path[0] == "Conditions":
            raise self._error(path, f"a condition cannot depend on the resource {logical_id}", "Use a parameter")
        if not self.exists(logical_id):
            raise self._error(
                path,
                f"{logical_id} is not created: its condition {self.declared[logical_id]['Condition']} is false",
                "Give this the same condition, or use !If",
            )
        if path[0] == "Resources":
            self.references[str(path[1])].add(logical_id)
        kind = self.declared[logical_id]["Type"]
        read = partial(self._property, logical_id)
        return reference(self.stack, logical_id, kind, attribute, read, where=self._where(path))

    def _ref(self, argument: Any, path: Path) -> Any:
        if not isinstance(argument, str):
            raise self._error(path, "Ref takes a name", "Write the name of a parameter or resource")
        if argument in self.constants:
            return self.constants[argument]
        return self._refer(argument, None, path)

    def _get_att(self, argument: Any, path: Path) -> str:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        if not isinstance(parts, list) or len(parts) != 2 or not isinstance(parts[0], str):
            raise self._error(path, "GetAtt takes a logical id and an attribute", "Write !GetAtt Name.Arn")
        return self._refer(parts[0], self._text(parts[1], path), path)

    def _sub(self, argument: Any, path: Path) -> str:
        text, own = argument if isinstance(argument, list) and len(argument) == 2 else (argument, {})
        if not isinstance(text, str) or not isinstance(own, Mapping):
            raise self._error(path, "Sub takes text, or text and a mapping", 'Write !Sub "..."')
        unused = sorted(set(own) - set(PLACEHOLDER.findall(text)))
        if unused:
            raise self._error(path, f"{unused[0]} is in the mapping but not in the text", "Remove it or use it")

        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in own:
                return self._text(own[name], (*path, name))
            if name in self.constants:
                return self._text({"Ref": name}, path)
            logical_id, dot, attribute = name.partition(".")
            return self._refer(logical_id, attribute if dot else None, path)

        return PLACEHOLDER.sub(put, text)

    def _join(self, argument: Any, path: Path) -> str:
        between, items = self._pair(argument, path, "a separator and a list")
        if not isinstance(between, str):
            raise self._error(path, "the separator of Join is not text", 'Write !Join [",", [...]]')
        return between.join(self._text(item, (*path, i)) for i, item in enumerate(self._items(items, path)))

    def _select(self, argument: Any, path: Path) -> Any:
        index, items = self._pair(argument, path, "an index and a list")
        given, position = self._items(items, path), self._text(index, path)
        if not position.isdecimal() or int(position) >= len(given):
            raise self._error(path, f"there is no item {position} in a list of {len(given)}", "Count from 0")
        return given[int(position)]

    def _split(self, argument: Any, path: Path) -> list[str]:
        between, text = self._pair(argument, path, "a separator and text")
        if not isinstance(between, str) or not between:
            raise self._error(path, "the separator of Split is not text", 'Write !Split [",", text]')
        return self._text(text, path).split(between)

    def _base64(self, argument: Any, path: Path) -> str:
        return base64.b64encode(self._text(argument, path).encode()).decode()

    def _choose(self, argument: Any, path: Path) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            raise self._error(path, "If takes a condition and two values", "Write !If [Name, then, else]")
        index = 1 if self.condition(argument[0]) else 2
        return self.value(argument[index], (*path, index))

    def _find_in_map(self, argument: Any, path: Path) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            raise self._error(path, "FindInMap takes a mapping and two keys", "Write !FindInMap [Map, key, key]")
        found: Any = self.template.get("Mappings", {})
        for i, item in enumerate(argument):
            key = self._text(item, (*path, i))
            if not isinstance(found, Mapping) or key not in found:
                raise self._error((*path, i), f"there is no {key} in the mapping", "Add it to Mappings or correct it")
            found = found[key]
        return found

    def _pair(self, argument: Any, path: Path, what: str) -> tuple[Any, Any]:
        if not isinstance(argument, list) or len(argument) != 2:
            raise self._error(path, f"this function takes {what}", "Write a list of two")
        return argument[0], argument[1]

    def _items(self, value: Any, path: Path) -> list[Any]:
        plain = self.value(value, path)
        if not isinstance(plain, list):
            raise self._error(path, "this is not a list", "Write a list, or split the text")
        return plain

    def _text(self, value: Any, path: Path) -> str:
        plain = plain_text(self.value(value, path))
        if not isinstance(plain, str):
            raise self._error(path, "this is not text", "Use a parameter of type String, or !Join the list")
        return plain


def plain_text(value: Any) -> Any:
    """Scalars as CloudFormation writes them into text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value
