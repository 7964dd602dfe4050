"""The graph of a definition, as data, in the terminal and as Mermaid."""

from __future__ import annotations

import pytest

from overflight.account.local.graph import read_steps
from overflight.pipelines.graph import draw, edges, mermaid
from overflight.pipelines.structure import Edge, ancestors, split_path


def test_edges_come_from_data_order_and_branches(definition):
    found = edges(definition)
    assert Edge("Prepare", "Train", "data") in found
    assert Edge("Train", "Tune", "order") in found
    assert Edge("Gate", "Register", "branch", "yes") in found
    assert Edge("Gate", "Stop", "branch", "no") in found
    assert Edge("Measure", "Gate", "data") in found
    assert not [edge for edge in found if edge.target == "Prepare"]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("which", ["definition", "train_definition"])
def test_the_graph_is_the_one_that_the_local_account_executes(request, which):
    found = request.getfixturevalue(which)
    ours: dict[str, set[str]] = {}
    for edge in edges(found):
        ours.setdefault(edge.target, set()).add(edge.source)
    assert {name: set(step.needs) for name, step in read_steps(found).items() if step.needs} == ours


def test_ancestors_reach_through_branches(definition):
    before = ancestors(edges(definition))
    assert before["Register"] == {"Prepare", "Train", "Measure", "Gate"}
    assert before["Stop"] == {"Prepare", "Train", "Measure", "Gate"}
    assert "Prepare" not in before


def test_the_drawing_shows_steps_conditions_branches_and_parameters(train_definition):
    drawing = draw(train_definition)
    lines = drawing.splitlines()
    for text in (
        "Validate  ·  Processing",
        "Validate:passed = true ?",
        "Evaluate:metrics.map50.value ≥ MinMap50 ?",
        "├─ yes ─▶",
        "└─ no ─▶",
        "uses Prepare",
        "(required)",
        "flight, ground, time-gap",
    ):
        assert text in drawing
    order = [
        next(i for i, line in enumerate(lines) if f" {name}  ·" in line) for name in ("Prepare", "Train", "Register")
    ]
    assert order == sorted(order)


@pytest.mark.parametrize("width", [100, 80])
def test_the_drawing_keeps_within_the_width(train_definition, width):
    assert max(len(line) for line in draw(train_definition, width=width).splitlines()) <= width


def test_a_small_drawing_looks_like_this():
    definition = {
        "Steps": [
            {"Name": "A", "Type": "Processing", "Description": "first", "Arguments": {}},
            {
                "Name": "Ok",
                "Type": "Condition",
                "Arguments": {
                    "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Steps.A.ExitMessage"}, "RightValue": "y"}],
                    "IfSteps": [{"Name": "B", "Type": "Model", "Arguments": {}}],
                    "ElseSteps": [{"Name": "C", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
                },
            },
        ]
    }
    assert draw(definition).splitlines() == [
        "┌──────────────────┐",
        "│ A  ·  Processing │",
        "│ first            │",
        "└──┬───────────────┘",
        "╭──▼──────────────────╮",
        "│ Ok  ·  Condition    │",
        "│ A.ExitMessage = y ? │",
        "╰──┬──────────────────╯",
        "   ├─ yes ─▶",
        "   │    ┌─────────────┐",
        "   │    │ B  ·  Model │",
        "   │    └─────────────┘",
        "   └─ no ─▶",
        "        ╭────────────╮",
        "        │ C  ·  Fail │",
        "        │ no         │",
        "        ╰────────────╯",
    ]


def test_mermaid_has_a_node_for_each_step_and_an_arrow_for_each_edge(definition):
    chart = mermaid(definition)
    assert chart.startswith("flowchart TD\n")
    assert 's3{"Gate<br/>Measure:error.value &lt; Limit' in chart
    assert "-->|yes|" in chart
    assert "-.->" in chart
    assert sum("-->" in line or "-.->" in line for line in chart.splitlines()) == len(edges(definition))


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        pytest.param("Parameters.X", ("Parameters", "X"), id="parameter"),
        pytest.param("Steps.P.Outputs['a b'].S3Uri", ("Steps", "P", "Outputs", "a b", "S3Uri"), id="by name"),
        pytest.param('Steps.P.Outputs["a"].S3Uri', ("Steps", "P", "Outputs", "a", "S3Uri"), id="double quotes"),
        pytest.param("a[0].b", ("a", 0, "b"), id="by index"),
        pytest.param("a[", (), id="broken"),
        pytest.param("", (), id="empty"),
    ],
)
def test_paths_are_taken_apart(path, parts):
    assert split_path(path) == parts
