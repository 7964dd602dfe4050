"""Lineage graphs: laws of the graph, SageMaker's nouns, drawings and the page."""

import itertools
import re
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, datetime

import boto3
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from overflight.governance.lineage import Draft, Edge, Entity, Graph, Remark, entity_name
from overflight.governance.lineage_answer import NOT_RECORDED, answer
from overflight.governance.lineage_layout import CARD_H, CARD_W, layout
from overflight.governance.lineage_page import page
from overflight.governance.lineage_text import as_dot, as_mermaid
from overflight.governance.lineage_view import card, condensed, ends, tree, without_implied

KINDS = ("Artifact", "Action", "Context", "TrialComponent")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def draft() -> Draft:
    return Draft("123456789012", "eu-central-1")


def numbered(count, pairs) -> Graph:
    """A graph of entities 0..count-1 with edges from pairs (later, earlier) as far as they close no circle."""
    made = draft()
    arns = [made.add(KINDS[n % 4], f"Type{n}", f"entity {n}", source_uri=f"s3://b/{n}") for n in range(count)]
    for a, b in pairs:
        if a < count and b < count:
            made.connect(arns[a], arns[b], "ContributedTo")
    return made.graph()


graphs = st.builds(
    numbered, st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30)
)


def model_story(*, flights=2) -> tuple[Graph, dict[str, str]]:
    """Flights, survey, preparation, training and endpoint."""
    d = draft()
    arns = {
        "survey": d.add("Artifact", "Survey", "meadow@0123", source_uri="s3://b/surveys/meadow/0123",
                        properties={"manifest sha256": "a" * 64, "photographs": "9", "flights": str(flights)}),
        "prepare": d.add("TrialComponent", "ProcessingJob", "prepare-1", properties={"step": "Prepare"}),
        "dataset": d.add("Artifact", "DataSet", "1/prepare", source_uri="s3://b/1", properties={"digest": "b" * 64}),
        "train": d.add("TrialComponent", "TrainingJob", "train-1", properties={"settings": "epochs=3"}),
        "model": d.add("Artifact", "ModelData", "model", source_uri="s3://b/m", properties={"base weights": "none"}),
        "code": d.add("Artifact", "Code", "overflight 1", source_uri="sha256:c",
                      properties={"sha256": "c" * 64, "this installation": "the files of this installation"}),
        "endpoint": d.add("Context", "Endpoint", "cars", created=NOON, properties={"status": "InService"}),
    }  # fmt: skip
    for number in range(flights):
        part = ("train", "test")[number % 2]
        flight = d.add("Artifact", "Flight", f"f{number}", source_uri=f"s3://b/m#{number}",
                       properties={"part": part, "photographs": "3"})  # fmt: skip
        d.connect(flight, arns["survey"], "ContributedTo")
        arns[f"f{number}"] = flight
    for source, destination, kind in [
        ("survey", "prepare", "ContributedTo"), ("prepare", "dataset", "Produced"),
        ("survey", "dataset", "DerivedFrom"),
        ("dataset", "train", "ContributedTo"), ("train", "model", "Produced"), ("model", "endpoint", "AssociatedWith"),
        ("code", "prepare", "ContributedTo"), ("code", "train", "ContributedTo"),
    ]:  # fmt: skip
        d.connect(arns[source], arns[destination], kind)
    return d.graph(), arns


class TestGraph:
    @given(graphs)
    def test_what_a_draft_makes_is_a_lineage(self, graph):
        assert graph.faults() == ()

    @given(graphs)
    def test_every_edge_leads_to_a_later_layer_and_every_entity_has_one(self, graph):
        level = {one.arn: at for at, layer in enumerate(graph.layers()) for one in layer}
        assert len(level) == len(graph.entities)
        assert all(level[edge.source] < level[edge.destination] for edge in graph.edges)

    @given(graphs)
    def test_ancestors_and_descendants_mirror_each_other(self, graph):
        for one in graph.entities:
            assert all(one.arn in graph.descendants(above) for above in graph.ancestors(one.arn))
            assert all(one.arn in graph.ancestors(below) for below in graph.descendants(one.arn))
            assert not graph.ancestors(one.arn) & graph.descendants(one.arn)

    @given(graphs)
    def test_implied_edges_change_nothing_that_can_be_reached(self, graph):
        light = Graph(graph.entities, tuple(Edge(e.source, e.destination, "AssociatedWith") for e in graph.edges))
        reduced = without_implied(light)
        assert all(reduced.descendants(one.arn) == light.descendants(one.arn) for one in light.entities)

    def test_an_edge_that_would_close_a_circle_is_a_contradiction_not_an_edge(self):
        d = draft()
        a, b = (d.add("Artifact", "DataSet", name, source_uri=f"s3://b/{name}") for name in "ab")
        assert d.connect(a, b, "DerivedFrom")
        assert not d.connect(b, a, "DerivedFrom")
        graph = d.graph()
        assert graph.edges == (Edge(a, b, "DerivedFrom"),)
        assert [remark.tone for remark in graph.remarks] == ["contradiction"]

    def test_one_address_is_one_artifact_and_facts_are_added_to_it(self):
        d = draft()
        first = d.add("Artifact", "DataSet", "a", source_uri="s3://b/a", properties={"x": "1", "empty": ""})
        again = d.add(
            "Artifact", "DataSet", "a", source_uri="s3://b/a", properties={"y": "2", "none": None}, created=NOON
        )
        assert first == again
        assert d.entity(first).properties == {"x": "1", "y": "2"}
        assert d.entity(first).created == NOON

    def test_edges_need_their_ends(self):
        d = draft()
        with pytest.raises(KeyError):
            d.connect(d.add("Action", "Approval", "x"), "arn:nothing", "Produced")

    @pytest.mark.parametrize(
        ("graph", "says"),
        [
            pytest.param(
                Graph((Entity("Action", "A", "a", "x"),), (Edge("x", "y", "Produced"),)), "not there", id="loose end"
            ),
            pytest.param(
                Graph((Entity("Action", "A", "a", "x"), Entity("Action", "A", "b", "x"))), "twice", id="one ARN twice"
            ),
            pytest.param(
                Graph((Entity("Artifact", "A", "a", "x", "s3://u"), Entity("Artifact", "A", "b", "y", "s3://u"))),
                "two artifacts", id="one address twice",
            ),
            pytest.param(
                Graph((Entity("Action", "A", "a", "x"), Entity("Action", "A", "b", "y")),
                      (Edge("x", "y", "Produced"), Edge("y", "x", "Produced"))),
                "circle", id="circle",
            ),
        ],
    )  # fmt: skip
    def test_what_is_no_lineage_says_why(self, graph, says):
        assert says in " ".join(graph.faults())


@pytest.fixture(scope="module")
def model():
    return boto3.client("sagemaker", region_name="eu-central-1").meta.service_model


class TestNouns:
    @given(st.text(min_size=1, max_size=200))
    def test_any_name_becomes_one_that_sagemaker_takes(self, name):
        assert re.fullmatch(r"[a-z0-9](-*[a-z0-9]){0,119}", entity_name(name))

    @given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
    def test_names_that_differ_stay_apart(self, a, b):
        assert (entity_name(a) == entity_name(b)) == (a == b)

    def test_the_graph_is_an_answer_of_query_lineage(self, model):
        graph, _ = model_story()
        shape = model.operation_model("QueryLineage").output_shape
        report = ParamValidator().validate(graph.query_lineage(), shape)
        assert not report.has_errors(), report.generate_report()

    def test_arns_kinds_and_edges_are_those_of_the_api(self, model):
        graph, _ = model_story()
        pattern = re.compile(model.shape_for("AssociationEntityArn").metadata["pattern"])
        assert all(pattern.fullmatch(one.arn) and len(one.arn) <= 256 for one in graph.entities)
        assert {one.kind for one in graph.entities} <= set(model.shape_for("LineageType").enum)
        assert {edge.kind for edge in graph.edges} <= set(model.shape_for("AssociationEdgeType").enum)


class TestView:
    def test_many_flights_are_drawn_by_their_part_and_none_is_lost(self):
        graph, arns = model_story(flights=7)
        small = condensed(graph)
        groups = {one.name: one.properties for one in small.of_type("Flight")}
        assert groups.keys() == {"4 flights for training", "3 flights for the test"}
        assert sum(int(one["photographs"]) for one in groups.values()) == 21
        assert small.faults() == ()
        assert all(small.destinations[one.arn] == (arns["survey"],) for one in small.of_type("Flight"))

    def test_a_flight_whose_photograph_is_asked_for_stays_by_itself(self):
        graph, arns = model_story(flights=7)
        photo = Entity("Artifact", "Photograph", "p.jpg", "arn:photo", "s3://p")
        asked = Graph((*graph.entities, photo), (*graph.edges, Edge(photo.arn, arns["f0"], "ContributedTo")))
        small = condensed(asked)
        assert small.destinations[photo.arn] == (arns["f0"],)
        assert {one.name for one in small.of_type("Flight")} == {
            "f0",
            "3 flights for training",
            "3 flights for the test",
        }

    def test_few_flights_stay_as_they_are(self):
        graph, _ = model_story(flights=2)
        assert condensed(graph) == graph

    def test_the_main_line_hides_what_it_says_already(self):
        graph, arns = model_story()
        drawn = {(edge.source, edge.destination) for edge in without_implied(graph).edges}
        assert (arns["survey"], arns["dataset"]) not in drawn  # by way of the preparation
        assert (arns["code"], arns["train"]) not in drawn
        assert (arns["code"], arns["prepare"]) in drawn

    @given(graphs)
    def test_the_tree_shows_every_ancestor_once_and_refers_to_it_elsewhere(self, graph):
        lines = [line for line in tree(graph, ends(graph), forward=False) if line.arn]
        own = Counter(line.arn for line in lines if not line.reference)
        assert set(own.values()) == {1}
        assert own.keys() == graph.by_arn.keys()
        place = {line.arn: at for at, line in enumerate(lines) if not line.reference}
        for at, line in enumerate(lines):
            if line.reference:
                assert (place[line.arn] < at) == (line.reference == "above")

    def test_facts_that_are_not_known_leave_no_trace_on_a_card(self):
        assert card(Entity("Artifact", "Survey", "s", "x")).lines == ()
        assert card(Entity("Artifact", "Unheard", "s", "x")).word == "Unheard"


class TestLayout:
    @given(graphs)
    def test_cards_do_not_overlap_and_edges_go_down(self, graph):
        made = layout(graph)
        places = list(made.places.values())
        for at, (x, y) in enumerate(places):
            assert x >= -1e-6
            assert x + CARD_W <= made.size_wh[0] + 1e-6
            assert y + CARD_H <= made.size_wh[1] + 1e-6
            for other_x, other_y in places[at + 1 :]:
                assert abs(x - other_x) >= CARD_W - 1e-6 or abs(y - other_y) >= CARD_H
        for edge, points in made.ways.items():
            assert points[0][1] == made.places[edge.source][1] + CARD_H
            assert points[-1][1] == made.places[edge.destination][1]
            assert all(later[1] > earlier[1] for earlier, later in itertools.pairwise(points))


class TestAnswer:
    def test_what_the_graph_does_not_hold_is_called_not_recorded(self):
        d = draft()
        said = answer(d_graph := d_with(d), d_graph.entities[0].arn)
        assert (
            said["Data"] == said["Code"] == said["Measured"] == said["Pipeline"] == said["Base weights"] == NOT_RECORDED
        )

    def test_a_model_that_names_no_weights_was_trained_from_scratch(self):
        graph, arns = model_story()
        assert answer(graph, arns["endpoint"])["Base weights"] == "none: trained from scratch"

    def test_data_code_and_settings_are_named(self):
        graph, arns = model_story()
        said = answer(graph, arns["endpoint"])
        assert said["Data"] == "meadow@0123: 9 photographs of 2 flights (1 test, 1 train)"
        assert said["Code"] == f"overflight 1 sha256 {'c' * 12} (the files of this installation)"
        assert said["Settings"] == "epochs=3"

    def test_jobs_that_name_no_code_are_said_beside_those_that_do(self):
        graph, arns = model_story()
        kept = tuple(edge for edge in graph.edges if (edge.source, edge.destination) != (arns["code"], arns["prepare"]))
        assert answer(Graph(graph.entities, kept), arns["endpoint"])["Code"].endswith("not recorded for Prepare")

    def test_of_a_survey_it_is_what_learned_from_it(self):
        graph, arns = model_story()
        assert answer(graph, arns["survey"])["Endpoints"] == "cars"


def d_with(made: Draft) -> Graph:
    made.add("Context", "Endpoint", "bare", properties={"status": "InService"})
    return made.graph()


EVIL = '</text><script>alert(1)</script>"];\n%%{init}%% & \\'


class TestTexts:
    def test_dot_has_a_line_for_every_entity_and_edge(self):
        graph, _ = model_story()
        text = as_dot(graph)
        assert text.startswith("digraph lineage {")
        assert text.count("[shape=") == len(graph.entities)
        assert text.count(" -> ") == len(graph.edges)

    def test_mermaid_has_a_line_for_every_entity_and_edge(self):
        graph, _ = model_story()
        lines = as_mermaid(graph).splitlines()
        assert lines[0] == "flowchart LR"
        assert len(lines) == 1 + len(graph.entities) + len(graph.edges)
        assert sum("-->|Produced|" in line for line in lines) == 2

    def test_names_cannot_become_syntax(self):
        d = draft()
        d.add("Artifact", "DataSet", EVIL, source_uri="s3://b/x")
        graph = d.graph()
        (label,) = re.findall(r'label="((?:[^"\\]|\\.)*)"\];', as_dot(graph))
        assert "script" in label
        node = as_mermaid(graph).splitlines()[1]
        assert node.count('"') == 2
        assert not set("<>[];&\\{}") & set(re.sub(r"#\d+;|<br/>", "", node[node.index('"') + 1 : node.rindex('"')]))


class TestPage:
    def test_it_is_one_file_without_scripts_or_addresses_elsewhere(self):
        graph, arns = model_story(flights=7)
        text = page(graph, arns["endpoint"], made=NOON)
        assert "<script" not in text
        assert not re.search(r"""(?:src|href)=["'](?!#)""", text)
        assert "url(" not in text

    def test_every_card_leads_to_its_row_and_every_row_to_its_sources(self):
        graph, arns = model_story(flights=7)
        text = page(graph, arns["endpoint"])
        ids = re.findall(r'<tr id="(e\d+)"', text)
        assert len(ids) == len(set(ids)) == len(condensed(graph).entities)
        assert set(re.findall(r'<a href="#(e\d+)" class="card', text)) == set(ids)
        assert set(re.findall(r'href="#(e\d+)"', text)) <= set(ids)

    def test_the_drawing_is_well_formed_and_what_was_asked_about_stands_out(self):
        graph, arns = model_story()
        drawing = re.search(r"<svg [^>]*viewBox.*?</svg>", page(graph, arns["endpoint"]), re.S)
        root = ET.fromstring(drawing[0])
        cards = [one for one in root if one.tag == "a"]
        assert len(cards) == len(graph.entities)
        assert [one.find("g/title").text for one in cards if "start" in one.get("class")] == ["Endpoint cars"]

    def test_its_parts_are_in_the_order_of_reading(self):
        graph, arns = model_story()
        noted = Graph(graph.entities, graph.edges, (Remark(arns["train"], "not recorded", "No code."),))
        text = page(noted, arns["endpoint"], photos=[{"photo": "p.jpg", "part": "test"}])
        assert re.findall(r'id="(answer|photos|remarks|drawing|facts)"', text) == [
            "answer", "photos", "remarks", "drawing", "facts",
        ]  # fmt: skip
        assert "No code." in text

    def test_names_are_text(self):
        d = draft()
        arn = d.add("Context", "Endpoint", EVIL, properties={"status": EVIL})
        d.remark(arn, "not recorded", EVIL)
        text = page(d.graph(), arn, photos=[{"photo": EVIL}])
        assert "<script" not in text
        assert "&lt;script&gt;" in text
