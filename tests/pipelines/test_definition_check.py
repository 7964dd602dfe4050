"""What is wrong with a definition is found before it is sent: one fault at a time, each with the place it is at."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from faults import CLUSTER, CONDITIONS, FORM, GRAPH, REFERENCES, REQUESTS, SEEDED, put

from overflight.errors import UsageError
from overflight.pipelines.check import check, require_valid

DEFINITIONS = Path(__file__).parent / "definitions"


@pytest.mark.parametrize(("fault", "path"), [*SEEDED, *REQUESTS, *REFERENCES, *GRAPH, *FORM, *CONDITIONS])
def test_each_fault_is_found_where_it_is(definition, fault, path):
    fault(definition)
    assert path in [finding.path for finding in check(definition)]


@pytest.mark.parametrize(("fault", "path"), [param for param in SEEDED if param.id != "bad instance type"])
def test_seeded_faults_keep_a_definition_from_being_sent(definition, fault, path):
    fault(definition)
    with pytest.raises(UsageError, match=re.escape(path)):
        require_valid(definition)


def test_the_definition_without_faults_has_no_findings(definition):
    assert check(definition) == []
    assert require_valid(definition) == []


@pytest.mark.parametrize("name", ["houses", "claims"])
def test_definitions_as_the_public_writes_them_have_no_findings(name):
    assert check(json.loads((DEFINITIONS / f"{name}.json").read_text())) == []


@pytest.mark.parametrize("member", ["Expression", "Condition"])
def test_not_is_taken_as_the_sdk_and_as_the_schema_write_it(definition, member):
    text = json.dumps(definition).replace('"Type": "Not", "Expression"', f'"Type": "Not", "{member}"')
    assert f'"Not", "{member}"' in text
    assert check(json.loads(text)) == []


def test_an_instance_type_newer_than_the_installed_model_is_a_warning(definition):
    put("Train", "Arguments/ResourceConfig/InstanceType", "ml.g99.xlarge")(definition)
    assert [finding.severity for finding in require_valid(definition)] == ["warning"]


def test_the_message_helps_with_a_slip_of_the_pen(definition):
    put("Train", "Arguments/HyperParameter", {})(definition)
    assert "did you mean HyperParameters?" in str(check(definition)[0])


def test_errors_come_before_warnings_and_once_each(definition):
    put("Prepare", f"{CLUSTER}/InstanceType", "ml.new.large")(definition)
    put("Train", "Arguments/RoleArn", "nobody")(definition)
    findings = check(definition)
    assert [finding.severity for finding in findings] == sorted(finding.severity for finding in findings)
    assert len(findings) == len(set(findings))


JUNK = [None, 3, "text", [], [1], {}, {"Get": 1}, {"Std:Join": None}, True]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) below ``value``."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    inner = [place for _, item in items if isinstance(item, dict | list) for place in places(item)]
    return [(value, key) for key, _ in items] + inner


@pytest.mark.parametrize("number", range(len(JUNK)))
def test_junk_anywhere_gives_findings_and_never_a_traceback(definition, number):
    """Every place of the definition gets one kind of junk in turn."""
    for index in range(number, len(places(definition)), len(JUNK)):
        broken = copy.deepcopy(definition)
        holder, key = places(broken)[index]
        holder[key] = JUNK[number]
        check(broken)
