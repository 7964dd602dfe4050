"""Escalation: nobody comes further than is written down, and every planted mistake is found with a counter-example."""

import pytest
from escalation_variants import TWO_HOPS, VARIANTS
from escalation_weaknesses import WEAKNESSES, Change, Weakness, deny, planted

from overflight.governance.escalation import Finding, chain_words, check, findings, search
from overflight.governance.escalation_paths import OUTSIDE, actions_that_take_a_role, catalogue

# Takes a role only for pipelines that AWS manages; a pipeline of ours runs as its own role.
NO_ROLE = {"sagemaker:StartPipelineExecution"}


def found_by(weakness: Weakness, changes: tuple[Change, ...]) -> list[Finding]:
    escalation = search(planted(changes), only=[weakness.who])
    return [one for one in findings(escalation) if one.id == weakness.id and weakness.way in {"", one.way}]


def label(weakness: Weakness) -> str:
    return f"{weakness.id} {weakness.words}"


# ---------------------------------------------------------------- the template as it is


@pytest.fixture(scope="module")
def ours():
    return search(planted(()))


def test_nobody_comes_further_than_is_written_down(ours):
    assert [line for one in findings(ours) for line in one.describe()] == []


def test_everything_that_is_written_down_is_really_reached(ours):
    written = {
        (who, target, way)
        for who, accepted in ours.catalogue.reach.items()
        for target, one in accepted.items()
        for way in one.by
    }
    assert written - {(who, *key) for who, reach in ours.reaches.items() for key in reach.chains} == set()
    assert set(ours.catalogue.reach) == set(ours.reaches)


@pytest.mark.parametrize(
    ("who", "roles", "capabilities"),
    [
        ("data-scientist", ("experiment",), ()),
        (
            "ml-engineer",
            ("evaluate", "prepare", "register", "train", "watch"),
            ("write datasets", "write metrics", "write models", "write surveys"),
        ),
        ("approver", (), ("approve",)),
        ("auditor", (), ("sign",)),
        ("admin", (), ()),
        ("deploy", ("serve", "watch"), ("production", "write captures", "write deployments")),
        ("experiment", (), ()),
        (OUTSIDE, (), ()),
    ],
)
def test_reach_of_a_role(ours, who, roles, capabilities):
    assert ours.reaches[who].roles == roles
    assert ours.reaches[who].capabilities == capabilities


def test_only_deploy_reaches_production_and_only_the_approver_approves(ours):
    assert [who for who, reach in ours.reaches.items() if "production" in reach.targets] == ["deploy"]
    assert [who for who, reach in ours.reaches.items() if "approve" in reach.targets] == ["approver"]


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_other_environments_have_no_finding(environment):
    assert [one.describe() for one in check(planted((), environment))] == []


def test_an_attacker_sends_the_subnets_that_are_asked_for(ours):
    escalation = search(planted((), subnets="subnet-1,subnet-2"))
    assert findings(escalation) == []
    assert escalation.reaches["data-scientist"].targets == ours.reaches["data-scientist"].targets


def test_in_production_nobody_starts_jobs_by_hand_or_publishes_pipelines():
    reaches = search(planted((), "prod")).reaches
    assert reaches["data-scientist"].roles == ()
    assert "register" not in reaches["ml-engineer"].roles


def test_the_same_account_gives_the_same_answer(ours):
    again = search(planted(()))
    assert {who: dict(reach.chains) for who, reach in again.reaches.items()} == {
        who: dict(reach.chains) for who, reach in ours.reaches.items()
    }


def test_chains_are_calls_in_order(ours):
    words = chain_words(ours.reaches["ml-engineer"].chain("write metrics"))
    assert [line.split(" on ")[0] for line in words] == [
        "ml-engineer: sagemaker:CreatePipeline",
        "register: sagemaker:CreateProcessingJob",
        "evaluate: s3:PutObject",
    ]
    assert "handing over the role register" in words[0]


def test_the_reach_reads_as_sentences(ours):
    assert "auditor: sign for the trail" in ours.describe()
    assert "data-scientist: the rights of experiment" in ours.describe()


def test_what_cannot_be_had_has_no_chain(ours):
    with pytest.raises(KeyError):
        ours.reaches["auditor"].chain("deploy")


# ---------------------------------------------------------------- planted weaknesses


def test_every_path_has_a_planted_weakness():
    assert [one.id for one in WEAKNESSES] == [f"E{number:02}" for number in range(1, 26)]
    assert list(catalogue(planted(())).paths) == [one.id for one in WEAKNESSES]


@pytest.mark.parametrize("weakness", [*WEAKNESSES, *VARIANTS], ids=label)
def test_a_planted_weakness_is_found_with_a_counter_example(weakness):
    found = [one for one in found_by(weakness, (*weakness.asked, *weakness.guards)) if one.target == weakness.target]
    shown = [tuple(move.action for link in one.chain for move in link.moves) for one in found]
    assert weakness.actions in shown, shown
    text = "\n".join(found[shown.index(weakness.actions)].describe())
    assert weakness.id in text
    assert weakness.who in text
    assert all(action in text for action in weakness.actions)


GUARDS = [
    pytest.param(weakness, number, id=f"{label(weakness)}, guard {number + 1} back")
    for weakness in [*WEAKNESSES, *VARIANTS]
    for number in range(len(weakness.guards))
]


@pytest.mark.parametrize(("weakness", "number"), GUARDS)
def test_any_guard_put_back_closes_the_path(weakness, number):
    others = weakness.guards[:number] + weakness.guards[number + 1 :]
    found = [one for one in found_by(weakness, (*weakness.asked, *others)) if one.target == weakness.target]
    assert [line for one in found for line in one.describe()] == []


@pytest.mark.parametrize("weakness", [one for one in WEAKNESSES if one.instead], ids=label)
def test_the_same_wish_with_its_guard_is_no_finding(weakness):
    assert [line for one in found_by(weakness, weakness.instead) for line in one.describe()] == []


def test_every_weakness_has_a_twin():
    assert [one.id for one in WEAKNESSES if not one.guards and not one.instead] == []


def test_remote_debugging_is_also_closed_by_the_roles_themselves():
    weakness = next(one for one in WEAKNESSES if one.id == "E15")
    without = {"Bool": {"sagemaker:EnableRemoteDebug": "true"}}
    twin = (*weakness.guards, *(deny(role, "sagemaker:Create*", without) for role in ("DataScientist", "Register")))
    assert found_by(weakness, twin) == []


# ---------------------------------------------------------------- chains


def test_two_hops_from_data_scientist_over_the_pipelines_role_to_production():
    escalation = search(planted((*TWO_HOPS.asked, *TWO_HOPS.guards)))
    chain = escalation.reaches["data-scientist"].chain("deploy")
    assert tuple(move.action for link in chain for move in link.moves) == TWO_HOPS.actions
    assert [move.passes for link in chain for move in link.moves] == ["register", "deploy"]
    assert "production" in escalation.reaches["data-scientist"].targets

    found = {(one.id, one.who, one.target): one for one in findings(escalation)}
    first = found["E07", "data-scientist", "register"]
    assert "the rights of deploy" in first.follows
    assert "serve in production" in first.follows
    # What only follows is not told twice; who is one hop nearer is told as well.
    assert ("E03", "data-scientist", "deploy") not in found
    assert ("E03", "ml-engineer", "deploy") in found


@pytest.mark.parametrize("number", range(len(TWO_HOPS.guards)))
def test_each_hop_closes_the_way_to_production(number):
    guards = TWO_HOPS.guards[:number] + TWO_HOPS.guards[number + 1 :]
    reach = search(planted((*TWO_HOPS.asked, *guards)), only=["data-scientist"]).reaches["data-scientist"]
    assert "deploy" not in reach.targets
    assert "production" not in reach.targets


# ---------------------------------------------------------------- the data behind it


def test_every_request_that_takes_a_role_is_tried():
    session = pytest.importorskip("botocore.session", reason="botocore is not installed")
    model = session.get_session().get_service_model("sagemaker")

    def has_role(shape, above=()):
        if shape.name in above:
            return False
        parts = getattr(shape, "members", {}).values()
        inside = [*parts, *(getattr(shape, name) for name in ("member", "value") if hasattr(shape, name))]
        return shape.name == "RoleArn" or any(has_role(part, (*above, shape.name)) for part in inside)

    shapes = {name: model.operation_model(name).input_shape for name in model.operation_names}
    take = {f"sagemaker:{name}" for name, shape in shapes.items() if shape is not None and has_role(shape)}
    assert take - actions_that_take_a_role() - NO_ROLE == set()


def test_every_action_that_takes_a_role_is_in_a_way():
    paths = catalogue(planted(()))
    tried = {action for way in paths.ways for step in way.steps if step.passes for action in step.actions}
    assert actions_that_take_a_role() - tried == set()


def test_every_way_has_its_own_key_and_every_target_has_words():
    paths = catalogue(planted(()))
    keys = [way.key for way in paths.ways]
    assert len(keys) == len(set(keys))
    assert {way.capability for way in paths.ways} - {""} == set(paths.capabilities)
    assert {way for accepted in paths.reach.values() for one in accepted.values() for way in one.by} <= set(keys)
    assert all(one.why for accepted in paths.reach.values() for one in accepted.values())
