"""A model card says what was measured and stated, names what is not known, and follows the approval."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.errors import InputError
from overflight.governance.model_card import card_status, make_card, package_content, summary
from overflight.governance.model_card_facts import Approval, CardFacts, PhotoFacts, photo_facts
from overflight.governance.model_card_limits import limits, words
from overflight.governance.model_card_page import card_page
from overflight.governance.model_card_pdf import card_pdf
from overflight.governance.model_card_schema import MAX_CONTENT_CHARS, card_schema, content_text, problems
from overflight.governance.model_card_stated import NOT_STATED, StatedFacts, blank_facts, read_stated
from overflight.governance.model_card_view import view_of

PENDING = Approval("PendingManualApproval")
APPROVED = Approval(
    "Approved", True, (), "approver/ben", "2026-11-21 09:12 UTC", "Looked at every overlay.", "event-77"
)
STATED = StatedFacts(
    owner="Harbour team",
    contact="harbour@example.org",
    purpose="Counts vehicles on our sites.",
    intended_uses=("Counting parked cars",),
    out_of_scope_uses=("Identifying people",),
    factors=("Snow",),
    risk_rating="Low",
    risk_explanation="Planners look at the photographs too.",
    business_problem="Counting by hand takes days.",
    stakeholders=("Planners",),
)


def measured(value, low=None, high=None, **counts):
    entry = {"value": value, **counts}
    return entry if low is None else {**entry, "low": low, "high": high}


def evaluation():
    figures = {"map50": (0.731, 0.66, 0.79), "recall": (0.812, 0.75, 0.86), "precision": (0.78, 0.7, 0.84)}
    return {
        "metrics": {name: {**measured(*found), "confidence": 0.95} for name, found in figures.items()},
        "slices": {
            "class": {
                "car": measured(0.8, 0.74, 0.85, photos=30, boxes=400),
                "bus": measured(0.6, 0.5, 0.7, photos=20, boxes=90),
            },
            "size": {
                "small (< 32 px)": measured(0.7, 0.6, 0.8, photos=30, boxes=250),
                "large (> 96 px)": measured(0.9, 0.85, 0.95, photos=30, boxes=240),
            },
            "flight": {
                "f-7": measured(0.7, 0.6, 0.8, photos=15, boxes=250),
                "f-8": measured(0.75, 0.65, 0.85, photos=15, boxes=240),
            },
        },
        "per_flight": {"f-7": {}, "f-8": {}},
        "photos": 30,
        "boxes": 490,
        "score_threshold": 0.31,
        "protocol": "COCO",
        "bootstrap": {"resamples": 1000, "unit": "flight, then photo", "seed": 0},
    }


def facts(**changes) -> CardFacts:
    """A model about which nothing remains to be said but the range of heights."""
    known = PhotoFacts(100, (1.5, 2.0, 3.0), {"DJI A": 60, "DJI B": 40}, ("2025-01-02", "2026-07-01"), (1, 7), 3)
    whole = CardFacts(
        name="harbour/4",
        arn="arn:aws:sagemaker:eu-central-1:000000000000:model-package/harbour/4",
        approval=PENDING,
        registered_by="register/pipeline",
        registered_at="2026-11-20 14:02 UTC",
        trained_by="data-scientist/anna",
        run="abcdefghijkl",
        image="overflight/serve:1",
        artefact="s3://b/runs/abcdefghijkl/train/model.tar.gz",
        digests={"model": "a" * 64, "evaluation": "b" * 64},
        evaluation=evaluation(),
        dataset={
            "split_by": "flight",
            "split": {"train": ["f-1", "f-2"], "val": ["f-3"], "test": ["f-7", "f-8"]},
            "photos": {"train": 80, "val": 20, "test": 30},
            "boxes": {"train": 1000, "val": 200, "test": 490},
            "leaks": {"test of train": {"leaking": 0, "score": 0.0, "photos": {"a": 80, "b": 30}}},
        },
        survey={"name": "harbour", "flights": {"f-1": 40, "f-2": 40, "f-3": 20, "f-7": 15, "f-8": 15}},
        baseline={
            "class_balance": [{"name": "car", "boxes": 800}, {"name": "bus", "boxes": 200}],
            "features": {"photos": {"gsd_cm": {"quantiles": {"1": 1.5, "99": 3.0}}}},
            "time_of_day": dict.fromkeys(words()["times_of_day"], 5),
        },
        model={
            "model": "yolo11n",
            "classes": ["car", "bus"],
            "epochs": 60,
            "seed": 0,
            "weights": "",
            "validation": {"map50": 0.8},
            "versions": {"ultralytics": "8.4.190"},
        },
        training={"arn": "arn:aws:sagemaker:job/x", "hyperparameters": {"recipe": "default"}, "data": "s3://b/d"},
        trained_photos=known,
        test_photos=known,
        gate=0.5,
    )
    return replace(whole, **changes)


def changed(document, path, value):
    """``document`` with the entry at the dotted path replaced, or removed for None."""
    new = copy.deepcopy(dict(document))
    *parents, last = path.split("/")
    place = new
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return new


class TestLimits:
    def test_a_model_with_nothing_against_it_still_has_heights_it_was_not_measured_at(self):
        assert [limit.id for limit in limits(facts())] == ["gsd"]

    @pytest.mark.parametrize(
        ("field", "path", "value", "rule", "said"),
        [
            pytest.param("evaluation", "slices/class/bus/boxes", 0, "no-test-boxes", "bus", id="class not tested"),
            pytest.param("evaluation", "slices/class/bus/boxes", 29, "few-test-boxes", r"bus \(29\)", id="few tested"),
            pytest.param("evaluation", "slices/size/small (< 32 px)/boxes", 0, "sizes", "small", id="size not tested"),
            pytest.param("evaluation", "slices/flight/f-7/low", 0.3, "wide-slice", "f-7", id="slice known roughly"),
            pytest.param("evaluation", "metrics/map50/low", 0.4, "wide-overall", "0.40 to 0.79", id="known roughly"),
            pytest.param("evaluation", "metrics/map50/low", None, "no-interval", "no interval", id="no interval"),
            pytest.param("evaluation", "photos", 19, "few-photos", "Only 19", id="few photographs"),
            pytest.param("evaluation", "per_flight/f-8", None, "one-flight", "one flight", id="one held-out flight"),
            pytest.param("evaluation", "slices", None, "old-evaluation", "earlier version", id="no slices"),
            pytest.param("evaluation", "metrics/map50", None, "not-evaluated", "nothing is known", id="no accuracy"),
            pytest.param("dataset", "split_by", "time-gap", "split", "time-gap", id="torn flights"),
            pytest.param("dataset", "split_by", None, "split-unknown", "not known", id="split not known"),
            pytest.param("dataset", "leaks", None, "leak-unknown", "not measured", id="leaks not measured"),
            pytest.param(
                "dataset",
                "leaks/test of train",
                {"leaking": 6, "score": 0.2, "photos": {"a": 80, "b": 30}},
                "leak",
                r"6 of 30 .*20%",
                id="leaks",
            ),
            pytest.param(
                "baseline",
                "class_balance",
                [{"name": "bus", "boxes": 3}],
                "few-trained-boxes",
                r"bus \(3\)",
                id="few to learn from",
            ),
            pytest.param("baseline", "time_of_day/night", 0, "time-of-day", "night", id="light not seen"),
            pytest.param("survey", "name", "synthetic", "synthetic", "drawn by a program", id="drawn photographs"),
        ],
    )
    def test_a_planted_fact_is_said(self, field, path, value, rule, said):
        given_facts = facts(**{field: changed(getattr(facts(), field), path, value)})
        texts = {limit.id: limit.text for limit in limits(given_facts)}
        assert rule in texts
        assert re.search(said, texts[rule])

    @pytest.mark.parametrize(
        ("changes", "rule"),
        [
            pytest.param({"sites": 1}, "one-site", id="one site"),
            pytest.param({"cameras": {"DJI A": 100}}, "one-camera", id="one camera"),
            pytest.param({"months": (6, 7)}, "one-season", id="one season"),
            pytest.param({"months": (12, 1, 2)}, "one-season", id="one season over the turn of the year"),
            pytest.param({"months": ()}, "undated", id="no dates"),
        ],
    )
    def test_photographs_that_are_all_alike_are_said(self, changes, rule):
        known = replace(facts().trained_photos, **changes)
        assert rule in {limit.id for limit in limits(facts(trained_photos=known))}

    @pytest.mark.parametrize(
        ("field", "path", "value"),
        [
            pytest.param("evaluation", "slices/class/bus/boxes", 30, id="30 objects tested"),
            pytest.param("evaluation", "photos", 20, id="20 photographs"),
            pytest.param("evaluation", "metrics/map50/low", 0.6, id="interval of 0.19"),
            pytest.param("evaluation", "slices/flight/f-7/low", 0.51, id="interval of a slice of 0.29"),
            pytest.param("dataset", "split_by", "ground", id="split by ground"),
            pytest.param("baseline", "class_balance", [{"name": "bus", "boxes": 50}], id="50 objects to learn from"),
        ],
    )
    def test_what_is_just_enough_is_no_limit(self, field, path, value):
        enough = facts(**{field: changed(getattr(facts(), field), path, value)})
        assert [limit.id for limit in limits(enough)] == ["gsd"]

    def test_held_out_photographs_from_other_heights_are_said(self):
        other = replace(facts().test_photos, gsd_cm=(1.5, 2.0, 6.0))
        assert "gsd-outside" in {limit.id for limit in limits(facts(test_photos=other))}

    def test_no_gate_is_said(self):
        assert "no-gate" in {limit.id for limit in limits(facts(gate=0.0))}

    def test_without_metadata_the_missing_is_the_limit(self):
        known = PhotoFacts(100, None, {}, None, (), None)
        found = facts(trained_photos=known, baseline={"class_balance": []})
        assert {limit.id for limit in limits(found)} == {"gsd-unknown", "undated"}

    def test_every_sentence_belongs_to_a_rule_that_was_tried_here(self):
        tried = {mark.values[3] for mark in TestLimits.test_a_planted_fact_is_said.pytestmark[0].args[1]}
        tried |= {
            mark.values[1] for mark in TestLimits.test_photographs_that_are_all_alike_are_said.pytestmark[0].args[1]
        }
        assert words()["limits"].keys() == tried | {"gsd", "gsd-outside", "no-gate", "gsd-unknown"}


class TestStatus:
    @pytest.mark.parametrize(
        ("approval", "valid", "complete", "status"),
        [
            pytest.param("PendingManualApproval", False, False, "Draft", id="pending, not complete"),
            pytest.param("PendingManualApproval", False, True, "PendingReview", id="pending, complete"),
            pytest.param("PendingManualApproval", True, True, "PendingReview", id="a record alone approves nothing"),
            pytest.param("Approved", True, True, "Approved", id="approved"),
            pytest.param("Approved", True, False, "Approved", id="approved though not all is stated"),
            pytest.param("Approved", False, True, "Draft", id="approval expired or never recorded"),
            pytest.param("Rejected", False, True, "Archived", id="rejected"),
            pytest.param("Rejected", True, True, "Archived", id="revoked"),
        ],
    )
    def test_status_follows_from_the_package(self, approval, valid, complete, status):
        assert card_status(approval, valid=valid, complete=complete) == status

    def test_nobody_can_state_a_status(self):
        with pytest.raises(InputError, match="status: Extra inputs"):
            read_stated("status: Approved", where="card.yaml")

    def test_a_card_of_an_expired_approval_says_why(self):
        stale = Approval("Approved", False, ("the artefact is not the one approved",), by="approver/ben")
        card = make_card(facts(approval=stale), STATED)
        assert card.status == "Draft"
        assert "the artefact is not the one approved" in " ".join(view_of(card).remarks)


class TestContent:
    def test_figures_of_the_card_are_those_of_the_evaluation(self):
        content = make_card(facts(), STATED).content
        groups = {group["name"]: group["metric_data"] for group in content["evaluation_details"][0]["metric_groups"]}
        values = {entry["name"]: entry for group in groups.values() for entry in group}
        assert values["map50"]["value"] == 0.731
        assert "interval 0.6600 to 0.7900" in values["map50"]["notes"]
        assert "30 photographs; 490 objects" in values["map50"]["notes"]
        assert values["bus"]["notes"].startswith(
            "AP at IoU 0.50; interval 0.5000 to 0.7000; 20 photographs; 90 objects"
        )
        assert {"car", "bus", "small (< 32 px)", "f-7"} <= values.keys()

    def test_every_number_on_the_card_is_in_a_document(self):
        """Planted figures that occur nowhere else must come from somewhere: here, from the documents given."""
        known = json.dumps([facts().evaluation, facts().dataset, facts().model], default=str)
        for group in make_card(facts(), STATED).content["evaluation_details"][0]["metric_groups"]:
            for entry in group["metric_data"]:
                assert str(entry["value"]) in known

    def test_what_nobody_stated_is_said_to_be_so(self):
        card = make_card(facts(), StatedFacts())
        assert card.status == "Draft"
        assert card.content["intended_uses"]["intended_uses"] == NOT_STATED
        assert card.content["intended_uses"]["risk_rating"] == "Unknown"
        assert len(card.missing) == 10

    def test_without_any_document_nothing_is_invented(self):
        bare = CardFacts(name="g/1", arn="arn:x", approval=PENDING, absent={"evaluation.json": "there is none"})
        card = make_card(bare, StatedFacts())
        assert card.content.keys() == {
            "model_overview", "model_package_details", "intended_uses", "business_details", "additional_information",
        }  # fmt: skip
        assert not re.search(r"\d\.\d", card.text.replace("3.0", ""))  # AGPL-3.0 is the only number
        assert {"accuracy not measured", "training data not known"} <= set(card.missing)
        assert "Not measured." in card_page(view_of(card))

    def test_the_packages_own_card_has_creator_and_artefact_only(self):
        overview = json.loads(make_card(facts(), STATED).package_text)["model_overview"]
        assert overview == {"model_creator": "data-scientist/anna", "model_artifact": [facts().artefact]}

    def test_licences_name_weights_only_as_far_as_they_are_known(self):
        kinds = {
            "": "random numbers",
            "yolo11n.pt": "trained on COCO); whether",
            "mine.pt": "not recorded",
            None: "Not known",
        }
        for name, said in kinds.items():
            model = {**facts().model, "weights": name}
            if name is None:
                del model["weights"]
            assert said in dict(make_card(facts(model=model), STATED).licences)["Base weights"]

    def test_thousands_of_classes_fit_or_are_refused_never_sent_too_long(self):
        document = evaluation()
        document["slices"]["class"] = {
            f"class {n:05}": measured(0.5, 0.4, 0.6, photos=3, boxes=40) for n in range(20_000)
        }
        assert len(make_card(facts(evaluation=document), STATED).text) < MAX_CONTENT_CHARS

    def test_content_that_is_too_long_is_refused(self):
        long = {"additional_information": {"custom_details": {f"k{n}": "x" * 1000 for n in range(110)}}}
        with pytest.raises(InputError, match="characters, 100,000 are allowed"):
            content_text(long)

    def test_the_summary_is_plain_and_has_its_interval(self):
        assert "0.73 (95% interval 0.66 to 0.79)" in summary(facts())
        assert "found 81% of the objects" in summary(facts())


class TestSchema:
    @pytest.mark.parametrize("package", [False, True], ids=["card", "package's card"])
    def test_cards_fit(self, package):
        content = make_card(facts(), STATED).content
        content = package_content(content) if package else content
        jsonschema.Draft7Validator(card_schema(package=package)).validate(json.loads(json.dumps(content)))

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            pytest.param("intended_uses/risk_rating", "Medium-high", id="enumeration"),
            pytest.param("intended_uses/purpose_of_model", "x" * 2049, id="too long"),
            pytest.param("model_overview/model_version", "4", id="type"),
            pytest.param("model_overview/model_artifact", ["s3://b"] * 16, id="too many"),
            pytest.param("additional_information/custom_details", {"1st": "x"}, id="name"),
            pytest.param("additional_information/custom_details", {"first": 1}, id="value of a name"),
            pytest.param("surprise", {}, id="unknown entry"),
            pytest.param("evaluation_details", [{"metric_groups": []}], id="name is missing"),
            pytest.param("evaluation_details", [{"name": "x" * 64}], id="name too long"),
            pytest.param(
                "training_details/training_job_details/training_metrics",
                [{"name": "a", "value": True}],
                id="truth is no number",
            ),
        ],
    )
    def test_what_aws_would_refuse_is_refused_as_the_reference_refuses_it(self, path, value):
        wrong = changed(make_card(facts(), STATED).content, path, value)
        assert problems(wrong, card_schema())
        assert list(jsonschema.Draft7Validator(card_schema()).iter_errors(wrong))
        with pytest.raises(InputError, match="does not fit AWS's schema"):
            content_text(wrong)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["model_overview", "model_id", "custom_details", "name"]), inner)
            ),
            max_leaves=8,
        )
    )
    def test_judges_as_jsonschema_does(self, value):
        expected = jsonschema.Draft7Validator(card_schema()).is_valid(value)
        assert (not problems(value, card_schema())) == expected

    def test_a_keyword_that_is_not_understood_is_no_silent_pass(self):
        with pytest.raises(ValueError, match="minLength"):
            problems("", {"minLength": 1})


class TestStatedFile:
    def test_the_file_to_fill_in_is_a_draft_with_everything_missing(self):
        assert len(read_stated(blank_facts(), where="card.yaml").missing()) == 10
        assert set(StatedFacts.model_fields) == set(re.findall(r"^(\w+):", blank_facts(), flags=re.MULTILINE))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            pytest.param("owner: [", "is not YAML", id="broken"),
            pytest.param("- owner", "names with values", id="a list"),
            pytest.param("ownr: me", "ownr", id="misspelt"),
            pytest.param("risk_rating: Enormous", "risk_rating", id="rating"),
            pytest.param(f"purpose: {'x' * 2049}", "purpose", id="too long"),
            pytest.param("factors:\n" + f"- {'x' * 500}\n" * 5, "factors have", id="too long together"),
        ],
    )
    def test_a_wrong_entry_is_named(self, text, said):
        with pytest.raises(InputError, match=said):
            read_stated(text, where="card.yaml")

    def test_a_line_may_stand_where_a_list_may(self):
        assert read_stated("factors: Snow\nowner:", where="x").factors == ("Snow",)


class _Shape(HTMLParser):
    """Headings, classes of the status, scripts and sources of a page."""

    def __init__(self):
        super().__init__()
        self.ids, self.tags, self.sources = [], [], []

    def handle_starttag(self, tag, attributes):
        given_attributes = dict(attributes)
        self.tags.append(tag)
        self.ids += [given_attributes["id"]] if tag == "section" else []
        self.sources += [given_attributes[name] for name in ("src", "href") if name in given_attributes]


HOSTILE = '<img src="file:///etc/passwd"/><script>alert(1)</script>{{ 7*7 }}&amp;'


def hostile_card():
    stated = STATED.model_copy(update={"purpose": HOSTILE, "intended_uses": (HOSTILE,), "owner": HOSTILE})
    document = evaluation()
    document["slices"]["class"] = {HOSTILE: measured(0.5, 0.4, 0.6, photos=3, boxes=40)}
    survey = {"name": HOSTILE, "flights": {HOSTILE: 3}}
    said = replace(APPROVED, reason=HOSTILE)
    return make_card(facts(evaluation=document, survey=survey, approval=said), stated)


def pdf_text(content: bytes) -> str:
    """Words of an uncompressed PDF in the order in which they are drawn."""
    found = re.findall(rb"\((?:[^()\\]|\\.)*\)\s*Tj", content)
    raw = b" ".join(re.sub(rb"\s*Tj$", b"", part)[1:-1] for part in found)
    return re.sub(rb"\\(.)", rb"\1", raw).decode("cp1252")


class TestPage:
    def test_says_everything_in_this_order_without_a_network(self):
        page = card_page(view_of(make_card(facts(approval=APPROVED), STATED)))
        shape = _Shape()
        shape.feed(page)
        assert shape.ids == ["uses", "accuracy", "limits", "training", "licences", "people", "identity"]
        assert not shape.sources
        assert not {"script", "img", "link", "iframe"} & set(shape.tags)
        assert '<span class="badge Approved">Approved</span>' in page
        for words_there in ("0.66 to 0.79", "Counting parked cars", "Identifying people", "event-77", "approver/ben",
                            "a" * 64, "AGPL-3.0", "f-7"):  # fmt: skip
            assert words_there in page

    def test_draws_each_interval_where_it_is(self):
        page = card_page(view_of(make_card(facts(), STATED)))
        assert '<line class="bar" x1="188.84" x2="224.46" y1="10" y2="10"/>' in page  # 8 + 274 * 0.66, 8 + 274 * 0.79
        assert page.count('class="bar"') == 3 + 2 + 2 + 2

    def test_hostile_text_is_shown_not_obeyed(self):
        page = card_page(view_of(hostile_card()))
        assert "<script>" not in page
        assert "<img" not in page
        assert "{{ 7*7 }}" in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


class TestPdf:
    def test_has_the_figures_pages_and_numbers_of_pages(self):
        content = card_pdf(view_of(make_card(facts(approval=APPROVED), STATED)), compress=False)
        text = pdf_text(content)
        for said in ("0.73", "0.66 to 0.79", "page 1 of", "Counting parked cars", "event-77", "Approved", "bus"):
            assert said in text
        pages = len(re.findall(rb"/Type /Page\b", content))
        assert f"page {pages} of {pages}" in text

    def test_the_same_card_gives_the_same_bytes(self):
        view = view_of(make_card(facts(), STATED))
        assert card_pdf(view) == card_pdf(view)

    def test_hostile_text_is_shown_not_obeyed(self):
        content = card_pdf(view_of(hostile_card()), compress=False)
        assert "<script>alert(1)</script>" in pdf_text(content).replace(" ", "")
        assert b"/Subtype /Image" not in content

    def test_letters_that_the_fonts_lack_are_counted(self):
        stated = STATED.model_copy(update={"owner": "港口"})
        text = pdf_text(card_pdf(view_of(make_card(facts(), stated)), compress=False))
        assert "2 letters are shown as ?" in text

    def test_compressed_by_default(self):
        view = view_of(make_card(facts(), STATED))
        assert len(card_pdf(view)) < len(card_pdf(view, compress=False))


def test_facts_of_photographs_come_from_their_metadata_only():
    known = photo_facts(
        [
            {
                "gsd_m": 0.02,
                "captured_at": "2026-06-02T10:00:00",
                "camera_make": "DJI",
                "camera_model": "FC",
                "site": "a",
            },
            {"gsd_m": 0.01, "captured_at": "2026-07-01T10:00:00+02:00", "site": "unknown"},
            {},
        ]
    )
    assert known == PhotoFacts(3, (1.0, 2.0, 2.0), {"DJI FC": 1}, ("2026-06-02", "2026-07-01"), (6, 7), 1)
