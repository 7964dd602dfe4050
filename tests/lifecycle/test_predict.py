"""Predictions: what counts as a photograph, what is said when an endpoint refuses one, which photos a demo sends."""

import json

import cv2
import numpy as np
import pytest
from botocore.exceptions import ClientError

from factories import make_survey_source
from overflight.data.survey import read_survey
from overflight.errors import InputError
from overflight.imaging.codecs import encode_jpeg
from overflight.lifecycle import predict as use_case
from overflight.lifecycle.demo import held_out_photos
from overflight.lifecycle.predict import find_photos, predict
from overflight.lifecycle.progress import Silent
from overflight.serving.detections import Detections
from overflight.serving.schema import to_document

PHOTO = encode_jpeg(np.full((48, 64, 3), 90, dtype=np.uint8))


class Answer:
    """Body of a streaming answer."""

    def __init__(self, document):
        self.document = document

    def read(self):
        return json.dumps(self.document).encode()


class FakeContext:
    """An account whose endpoint finds one car on every photo, or refuses with ``error``."""

    class settings:  # noqa: N801 - stands for an attribute
        max_payload_bytes = 6_000_000
        environment = "dev"

    def __init__(self, error=None):
        self.error = error

    def client(self, service):
        assert service == "sagemaker-runtime"
        return self

    def invoke_endpoint(self, **_request):
        if self.error is not None:
            raise self.error
        found = Detections(
            np.array([[10.0, 10.0, 30.0, 30.0]]), np.array([0.9]), np.array([0]), ("car",), width_px=64, height_px=48
        )
        return {"Body": Answer(to_document(found))}


@pytest.fixture
def send(tmp_path, monkeypatch):
    """Predict ``names`` below ``tmp_path``; the endpoint is awake."""
    monkeypatch.setattr(use_case, "wake", lambda context, endpoint: None)

    def call(*names, form="json", error=None, also=()):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(PHOTO)
        photos = [tmp_path / name for name in (*names, *also)]
        return predict(FakeContext(error), "cars", photos, out=tmp_path / "out", form=form, progress=Silent())

    return call


def test_folders_are_searched_for_every_kind_of_photo_that_surveys_take(tmp_path):
    for name in ("a.jpg", "b.JPEG", "c.png", "d.mpo", "sub/e.jpe", "._a.jpg", ".thumbs/f.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PHOTO)
    found = find_photos([tmp_path, tmp_path / "a.jpg"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a.jpg",
        "b.JPEG",
        "c.png",
        "d.mpo",
        "sub/e.jpe",
    ]


def test_every_photo_gets_an_overlay_of_its_own(send):
    found = send("a/x/1.jpg", "b/x/1.jpg", "c/2.jpg", "c/2.jpeg")
    overlays = [item.overlay for item in found]
    assert len(set(overlays)) == 4
    assert all(cv2.imread(str(path)).shape == (48, 64, 3) for path in overlays)


def test_a_refused_photo_is_named_with_reason_and_cure(send):
    said = json.dumps({"error": {"what": "unreadable image: the file is cut off", "cure": "Copy it again"}})
    error = ClientError({"Error": {"Code": "ModelError", "Message": "long"}, "OriginalStatusCode": 400}, "Invoke")
    error.response["OriginalMessage"] = said
    with pytest.raises(InputError) as caught:
        send("bad.jpg", error=error)
    assert (caught.value.what, caught.value.cure) == ("unreadable image: the file is cut off", "Copy it again")
    assert caught.value.where.endswith("bad.jpg")


def test_a_refusal_that_is_not_ours_is_passed_on_as_it_is(send):
    error = ClientError({"Error": {"Code": "ModelError", "Message": "long"}, "OriginalStatusCode": 400}, "Invoke")
    error.response["OriginalMessage"] = "no"
    with pytest.raises(InputError, match="no"):
        send("bad.jpg", error=error)


def test_geojson_says_what_a_photo_with_gps_lacks(send, tmp_path, monkeypatch):
    facts = use_case.read_metadata
    monkeypatch.setattr(
        use_case, "read_metadata", lambda path: facts(path).__class__(latitude_deg=53.9, longitude_deg=27.5)
    )
    send("a.jpg", form="geojson")
    (feature,) = json.loads((tmp_path / "out/predictions.geojson").read_text())["features"]
    assert "height above ground" in feature["properties"]["not_placed"]


@pytest.mark.parametrize("layout", ["images/{}", "{}/images"])
def test_the_demo_finds_held_out_photos_in_every_layout(tmp_path, layout):
    made = make_survey_source(tmp_path / "made", flights=2, photos=3)
    for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
        for flight in ("flight1", "flight2"):
            target = tmp_path / "source" / layout.format(flight).replace("images", kind)
            target.mkdir(parents=True)
            for path in (made / kind / flight).glob(f"*{suffix}"):
                path.rename(target / path.name)
    (made / "data.yaml").rename(tmp_path / "source/data.yaml")
    survey = read_survey(tmp_path / "source", name="s").survey()
    names = [photo.path.removeprefix("photos/") for photo in survey.photos if photo.flight == "flight2"]
    found = held_out_photos(tmp_path / "source", names, at_most=2)
    assert len(found) == 2
    assert all(path.is_file() and path.stem.startswith("flight2") for path in found)


def test_one_unreadable_photo_does_not_cost_the_answers_for_the_others(send, tmp_path):
    (tmp_path / "notes.jpg").write_text("not a picture")
    with pytest.raises(InputError, match=r"1 of 3 photographs cannot be read: .*notes.jpg"):
        send("a.jpg", "b.jpg", also=["notes.jpg"])
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(written["photos"] if isinstance(written, dict) else written) == 2
