"""Reading the text of a CloudFormation template: YAML with its short tags, as plain values with the long forms.

Knows what CloudFormation refuses in YAML (aliases, merges, null, a key written twice) and two traps of YAML 1.1,
numbers with leading zeros and with colons. It knows no function's meaning; that is ``templates``.

Source: AWS CloudFormation user guide, "CloudFormation template formats" and "Intrinsic function reference".
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from overflight.errors import UsageError

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML was built without libyaml: the same answers, about ten times slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # both offer the part that is used here

SHORT_TAGS = {
    "!Ref": "Ref",
    "!Condition": "Condition",
    **{
        f"!{name}": f"Fn::{name}"
        for name in [
            *(
                "And",
                "Base64",
                "Cidr",
                "Equals",
                "FindInMap",
                "GetAZs",
                "GetAtt",
                "If",
                "ImportValue",
                "Join",
                "Length",
            ),
            *("Not", "Or", "Select", "Split", "Sub", "ToJsonString", "Transform"),
        ]
    },
}
_CORE = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")  # not .inf and .nan, which JSON has not
_DEEPEST = 100
_LONGEST_NUMBER = 100
_TRUE = {"yes", "true", "on"}


def read_template(text: str, *, where: str = "template") -> dict[str, Any]:
    """The template in ``text`` (YAML or JSON) with ``!Ref x`` as ``{"Ref": "x"}``; dates stay text.

    Args:
        text: The whole template.
        where: Name for messages.

    Raises:
        UsageError: the text is no template that CloudFormation would read; says line and column.
    """
    try:
        _check_depth(text, where)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise UsageError(
            f"this is not YAML: {' '.join(str(error).split())}", where=where, cure="Correct the text"
        ) from error
    if not isinstance(node, yaml.MappingNode) or node.tag != _CORE + "map":
        raise UsageError("a template is a mapping of sections", where=where, cure="Begin with Resources:")
    document: dict[str, Any] = _Reading(where).value(node)
    return document


def _check_depth(text: str, where: str) -> None:
    """Refuse what is nested deeper than any template: building it would break the stack of Python, or of libyaml."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            mark = event.start_mark
            raise UsageError(
                f"lists and mappings are nested deeper than {_DEEPEST}",
                where=f"{where}, line {mark.line + 1}" if mark else where,
                cure="Write it flatter",
            )


class _Reading:
    """One pass over the nodes; remembers which were seen, because an alias gives the same node again."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.seen: set[int] = set()

    def value(self, node: yaml.Node) -> Any:
        if id(node) in self.seen:
            raise self.error(node, "CloudFormation reads no aliases (*name)", "Write the value out, or use a parameter")
        self.seen.add(id(node))
        tag = node.tag
        if tag.startswith("!"):
            return self.short_form(node, tag)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        return self.mapping(node)

    def mapping(self, node: yaml.Node) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _CORE + "str":
                cure = "Write the keys out" if key_node.tag == _CORE + "merge" else "Put it in quotes"
                raise self.error(key_node, f"{_text(key_node)} is not a text key", cure)
            key = key_node.value
            if key in document:
                raise self.error(key_node, f"the key {key} is written twice; the first would be lost", "Remove one")
            document[key] = self.value(value_node)
        return document

    def short_form(self, node: yaml.Node, tag: str) -> dict[str, Any]:
        name = SHORT_TAGS.get(tag)
        if name is None:
            raise self.error(node, f"{tag} is no CloudFormation function", f"Known: {' '.join(sorted(SHORT_TAGS))}")
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = node.value
            if name == "Fn::GetAtt":
                value = value.split(".", 1)
        elif isinstance(node, yaml.SequenceNode):
            value = [self.value(item) for item in node.value]
        else:
            value = self.mapping(node)
        return {name: value}

    def scalar(self, node: yaml.ScalarNode) -> str | int | float | bool:
        kind, text = node.tag.removeprefix(_CORE), node.value
        if kind in {"str", "timestamp"}:
            return str(text)
        if kind == "bool":
            return text.lower() in _TRUE
        if kind == "int" and _DECIMAL.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
            return int(text)
        if kind == "float" and _FLOAT.fullmatch(text):
            return float(text)
        if kind == "null":
            raise self.error(
                node, "there is no value here; CloudFormation refuses null", "Write a value or remove the key"
            )
        raise self.error(node, f"YAML does not read {text!r} as it is written", "Put it in quotes")

    def error(self, node: yaml.Node, what: str, cure: str) -> UsageError:
        mark = node.start_mark
        return UsageError(what, where=f"{self.where}, line {mark.line + 1}, column {mark.column + 1}", cure=cure)


def _text(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
