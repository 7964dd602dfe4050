"""A stored survey opens without parsing its records; whatever was changed or damaged is noticed."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.manifest import Origin, digest_of, load_manifest, make_survey, manifest_line
from overflight.data.records import PhotoRecord
from overflight.errors import InputError
from overflight.files import canonical_json, sha256_bytes, write_json

CLASSES = ("car", "boat")


def record(number, *, name="a", **facts):
    digest = sha256_bytes(f"{name}{number}".encode())
    return PhotoRecord(
        path=f"photos/{name}_{number:05d}.jpg",
        sha256=digest,
        bytes=10 + number,
        width_px=100,
        height_px=80,
        flight=f"f{number % 3}",
        flight_evidence="name",
        labels=f"labels/{name}_{number:05d}.txt",
        labels_sha256=digest,
        boxes=2,
        **facts,
    )


NOWHERE = Origin()


def store(folder, photos, *, origin=NOWHERE):
    survey = make_survey(
        "s", classes=CLASSES, photos=photos, boxes_per_class={"car": 2 * len(photos), "boat": 0}, origin=origin
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.jsonl").write_text("".join(f"{manifest_line(p)}\n" for p in survey.photos), encoding="utf-8")
    write_json(folder / "survey.json", survey.as_dict())
    return survey


def test_records_are_a_sequence_that_can_be_used_several_times(tmp_path):
    made = store(tmp_path, [record(n) for n in range(2500)])  # more than one block
    survey = load_manifest(tmp_path)
    assert survey == made
    assert survey.as_dict() == made.as_dict()
    assert (len(survey.photos), survey.boxes, survey.flights) == (2500, 5000, {"f0": 834, "f1": 833, "f2": 833})
    assert list(survey.photos) == list(survey.photos) == list(made.photos)
    assert (survey.photos[0], survey.photos[-1]) == (made.photos[0], made.photos[-1])
    assert survey.photos[1020:1030] == made.photos[1020:1030]
    assert survey.photos[::-700] == made.photos[::-700]
    assert survey.photos[5:2] == ()
    assert made.photos[7] in survey.photos
    with pytest.raises(IndexError):
        survey.photos[2500]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(survey.photos.__getitem__, range(2500))) == list(made.photos)


def test_nothing_is_parsed_before_it_is_asked_for(tmp_path, monkeypatch):
    store(tmp_path, [record(n) for n in range(3)])
    monkeypatch.setattr(PhotoRecord, "model_validate_json", None)
    survey = load_manifest(tmp_path)
    assert (len(survey.photos), survey.boxes) == (3, 6)


def test_a_line_without_a_value_holds_only_what_is_known():
    known = set(json.loads(manifest_line(record(1))))
    assert "latitude_deg" not in known
    assert {"latitude_deg", "ignored_px"} < set(
        json.loads(manifest_line(record(1, latitude_deg=0.0, ignored_px=((0, 0, 5, 5),))))
    )


def test_a_manifest_of_an_earlier_version_opens_with_its_digest(tmp_path):
    """There every field was written, also the unknown ones."""
    old = [{**record(n).model_dump(), "latitude_deg": None, "yaw_deg": None} for n in range(3)]
    new = ("camera_make", "camera_model", "camera_serial", "focal_length_35mm_mm", "gsd_m", "footprint_lonlat")
    new += ("format", "orientation", "ignored_px", "label_source")
    lines = [canonical_json({name: value for name, value in line.items() if name not in new}) for line in old]
    digest = sha256_bytes("".join(f"{line}\n" for line in [*lines, canonical_json(list(CLASSES))]).encode())
    head = store(tmp_path, [record(n) for n in range(3)]).as_dict() | {"digest": digest}
    write_json(tmp_path / "survey.json", head)
    (tmp_path / "manifest.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert load_manifest(tmp_path).digest == digest
    assert list(load_manifest(tmp_path).photos) == [record(n) for n in range(3)]


facts = st.fixed_dictionaries(
    {},
    optional={
        "captured_at": st.just("2026-05-01T10:00:00+02:00"),
        "latitude_deg": st.floats(-90, 90),
        "longitude_deg": st.floats(-180, 180),
        "camera_make": st.text(max_size=5),
        "gsd_m": st.floats(1e-4, 10),
        "footprint_lonlat": st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=4, max_size=4),
        "orientation": st.integers(1, 8),
        "ignored_px": st.lists(st.tuples(*[st.floats(0, 100)] * 4), max_size=2),
        "label_source": st.text(max_size=8),
    },
)


@given(
    st.lists(facts, min_size=1, max_size=4),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6),
)
def test_records_come_back_as_they_were_written(tmp_path_factory, given_facts, name):
    """Names may hold any character, also those that some readers take for line ends (U+2028, U+0085)."""
    folder = tmp_path_factory.mktemp("survey")
    made = store(folder, [record(n, name=name, **found) for n, found in enumerate(given_facts)])
    assert list(load_manifest(folder).photos) == list(made.photos)
    assert load_manifest(folder).digest == digest_of(made.photos, CLASSES)


def test_where_it_came_from_is_told_and_not_part_of_the_digest(tmp_path):
    origin = Origin("coco", "2026-05-01T10:00:00+00:00", {"photos_in": 3, "photos_stored": 3}, ("1 polygon",), ())
    made = store(tmp_path, [record(n) for n in range(3)], origin=origin)
    assert load_manifest(tmp_path).origin == origin
    assert made.digest == make_survey("s", classes=CLASSES, photos=made.photos, boxes_per_class={}).digest


def rewrite(name, change):
    def apply(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(change(data))

    return apply


CHANGES = [
    pytest.param(lambda f: (f / "survey.json").unlink(), "survey.json: no survey here", id="no survey.json"),
    pytest.param(lambda f: (f / "manifest.jsonl").unlink(), "manifest.jsonl: no survey here", id="no manifest"),
    pytest.param(rewrite("survey.json", lambda _: b"{"), "not valid JSON", id="broken JSON"),
    pytest.param(rewrite("survey.json", lambda _: b"\xff\xfe"), "not valid JSON", id="binary survey.json"),
    pytest.param(rewrite("survey.json", lambda _: b"[" * 100_000), "survey.json", id="deep JSON"),
    pytest.param(rewrite("survey.json", lambda d: d.replace(b'"photos": 3', b'"photos": 4')), "does not match", id="n"),
    pytest.param(rewrite("survey.json", lambda d: d.replace(b'"f0": 1', b'"f0": 2')), "does not match", id="flights"),
    pytest.param(rewrite("survey.json", lambda d: d.replace(b"boat", b"ship")), "does not match", id="class renamed"),
    pytest.param(rewrite("manifest.jsonl", lambda d: d.replace(b"100", b"101", 1)), "does not match", id="value"),
    pytest.param(rewrite("manifest.jsonl", lambda d: d.split(b"\n", 1)[1]), "does not match", id="line removed"),
    pytest.param(rewrite("manifest.jsonl", lambda d: d + b"\n"), "does not match", id="line added"),
    pytest.param(rewrite("manifest.jsonl", lambda d: d[:-1]), "does not match", id="line end removed"),
    pytest.param(rewrite("manifest.jsonl", lambda _: b"\xff\xfe"), "does not match", id="binary manifest"),
]


@pytest.mark.parametrize(("change", "what"), CHANGES)
def test_a_changed_survey_is_refused_when_it_is_opened(tmp_path, change, what):
    store(tmp_path, [record(n) for n in range(3)])
    change(tmp_path)
    with pytest.raises(InputError, match=what):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        pytest.param(b"{}", "path: Field required", id="without fields"),
        pytest.param(b'{"path"', "is not valid JSON", id="cut off"),
        pytest.param(b"\xff", "is not valid JSON", id="binary"),
        pytest.param(b"", "is not valid JSON", id="empty"),
        pytest.param(
            manifest_line(record(1)).replace('"photos/', '"../').encode(), "leaves the survey's folder", id="path"
        ),
        pytest.param(manifest_line(record(1)).replace('"bytes":11', '"bytes":0').encode(), "bytes: Input", id="number"),
    ],
)
def test_a_damaged_line_is_named_when_it_is_asked_for(tmp_path, line, what):
    """The digest fits: it was damaged before it was signed."""
    survey = store(tmp_path, [record(n) for n in range(3)])
    lines = (tmp_path / "manifest.jsonl").read_bytes().split(b"\n")
    lines[1] = line
    (tmp_path / "manifest.jsonl").write_bytes(b"\n".join(lines))
    digest = sha256_bytes(b"\n".join(lines) + canonical_json(list(CLASSES)).encode() + b"\n")
    write_json(tmp_path / "survey.json", survey.as_dict() | {"digest": digest})
    photos = load_manifest(tmp_path).photos
    assert photos[0] == record(0)
    assert photos[2] == record(2)
    with pytest.raises(InputError, match=rf"manifest\.jsonl:2: .*{what}"):
        photos[1]
    with pytest.raises(InputError, match=r"manifest\.jsonl:2"):
        list(photos)


def test_a_manifest_that_changes_while_it_is_used_is_noticed(tmp_path):
    store(tmp_path, [record(n) for n in range(3)])
    photos = load_manifest(tmp_path).photos
    rewrite("manifest.jsonl", lambda d: d + b"\n")(tmp_path)
    with pytest.raises(InputError, match="changed while it was used"):
        photos[0]
    (tmp_path / "manifest.jsonl").unlink()
    with pytest.raises(InputError, match="cannot be opened any more"):
        photos[0]
