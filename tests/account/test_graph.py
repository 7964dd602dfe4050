"""Dependencies, readiness and absence of steps, without running anything."""

from __future__ import annotations

import json
import random

import pytest
from pipeline_tools import condition, definition, equals, fail, processing

from overflight.account.local.graph import FINAL, GraphError, final_status, plan, read_steps

ONE = equals(1, 1)


def graph(*steps):
    return read_steps(json.loads(definition(*steps)))


def test_dependencies_come_from_references_depends_on_and_owners():
    reference = {"Get": "Steps.A.ProcessingOutputConfig.Outputs['o'].S3Output.S3Uri"}
    value = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.B.PropertyFiles.F"}, "Path": "x"}}
    gate = condition("Gate", [equals(value, 1)], then=[processing("In", DependsOn=["A"])])
    steps = graph(
        processing("A"), processing("B", inputs={"x": reference}), gate, processing("End", DependsOn=["Gate"])
    )
    assert {name: dict(step.needs) for name, step in steps.items()} == {
        "A": {},
        "B": {"A": "Succeeded"},
        "Gate": {"B": "Succeeded"},
        "In": {"A": "Succeeded", "Gate": "Succeeded"},
        "End": {"Gate": "Succeeded"},
    }


@pytest.mark.parametrize(
    ("steps", "part"),
    [
        pytest.param([], "no steps", id="empty"),
        pytest.param([processing("A"), processing("A")], "'A' is defined twice", id="twice"),
        pytest.param(
            [processing("A"), condition("C", [ONE], then=[processing("A")])], "'A' is defined twice", id="twice nested"
        ),
        pytest.param([{"Name": "X", "Type": "Nope"}], "unknown step type 'Nope'", id="type"),
        pytest.param([{"Type": "Fail"}], "no name", id="name"),
        pytest.param([condition("C", [])], "needs a list of conditions", id="no conditions"),
        pytest.param([processing("A", DependsOn=["Z"])], "'Z', which does not exist", id="unknown dependency"),
        pytest.param([processing("A", DependsOn=["A"])], "in a circle: A", id="itself"),
        pytest.param(
            [processing("A", DependsOn=["B"]), processing("B", DependsOn=["A"]), processing("C")],
            "in a circle: A, B",
            id="circle",
        ),
        pytest.param(
            [condition("C", [equals({"Get": "Steps.In.X"}, 1)], then=[processing("In")])], "circle", id="own branch"
        ),
        pytest.param([processing("A", DependsOn=[{"Step": "B", "Trigger": "Soon"}])], "cannot read", id="trigger"),
        pytest.param(["A"], "not an object", id="not an object"),
    ],
)
def test_definitions_that_are_no_graph_are_refused(steps, part):
    with pytest.raises(GraphError, match=part):
        read_steps({"Steps": steps})


NESTED = (
    condition(
        "Outer",
        [ONE],
        then=[condition("Inner", [ONE], then=[processing("Deep")], otherwise=[fail("F1", "x")])],
        otherwise=[processing("Else"), processing("AfterElse", DependsOn=["Else"])],
    ),
    processing("AfterDeep", DependsOn=["Deep"]),
    processing("Free"),
)


@pytest.mark.parametrize(
    ("statuses", "outcomes", "ready", "absent"),
    [
        ({}, {}, {"Outer", "Free"}, set()),
        ({"Outer": "Succeeded"}, {"Outer": "True"}, {"Inner", "Free"}, {"Else", "AfterElse"}),
        (
            {"Outer": "Succeeded"},
            {"Outer": "False"},
            {"Else", "Free"},
            {"Inner", "Deep", "F1", "AfterDeep"},
        ),
        (
            {"Outer": "Succeeded", "Inner": "Succeeded"},
            {"Outer": "True", "Inner": "False"},
            {"F1", "Free"},
            {"Deep", "AfterDeep", "Else", "AfterElse"},
        ),
        ({"Outer": "Failed"}, {}, {"Free"}, {"Inner", "Deep", "F1", "AfterDeep", "Else", "AfterElse"}),
    ],
)
def test_what_may_start_and_what_never_will(statuses, outcomes, ready, absent):
    found = plan(graph(*NESTED), statuses, outcomes)
    assert (set(found.ready), set(found.absent)) == (ready, absent)


@pytest.mark.parametrize(
    ("trigger", "status", "starts"),
    [
        ("Failed", "Failed", True),
        ("Failed", "Succeeded", False),
        ("Stopped", "Stopped", True),
        ("Any", "Succeeded", True),
        ("Any", "Failed", True),
        ("Succeeded", "Failed", False),
    ],
)
def test_triggers_of_dependencies(trigger, status, starts):
    steps = graph(processing("A"), processing("B", DependsOn=[{"Step": "A", "Trigger": trigger}]))
    found = plan(steps, {"A": status}, {})
    assert (found.ready, found.absent) == ((("B",), frozenset()) if starts else ((), {"B"}))


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ({"A": "Succeeded", "B": "Succeeded"}, "Succeeded"),
        ({"A": "Failed"}, "Failed"),
        ({"A": "Failed", "B": "Succeeded"}, "CompletedWithFailures"),
        ({"A": "Failed", "B": "Failed"}, "Failed"),
    ],
)
def test_status_of_the_execution(statuses, word):
    steps = graph(processing("A"), processing("B", DependsOn=[{"Step": "A", "Trigger": "Any"}]))
    assert final_status(steps, statuses) == word


@pytest.mark.parametrize("seed", range(20))
def test_every_random_graph_is_walked_to_its_end_in_order(seed):
    generator = random.Random(seed)
    names = [f"S{i}" for i in range(12)]
    documents = [
        processing(name, DependsOn=generator.sample(names[:i], k=min(i, generator.randint(0, 3))))
        for i, name in enumerate(names)
    ]
    generator.shuffle(documents)
    steps, statuses = graph(*documents), {}
    while not plan(steps, statuses, {}).is_done(steps, statuses):
        ready = plan(steps, statuses, {}).ready
        assert ready, "stuck"
        name = generator.choice(ready)
        assert all(statuses[target] == "Succeeded" for target in steps[name].needs)
        statuses[name] = generator.choice(["Succeeded", "Succeeded", "Failed"])
    assert set(statuses.values()) <= FINAL
