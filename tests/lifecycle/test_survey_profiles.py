"""Profile, report and pages of a survey, from a folder and from the store; the pages over real HTTP."""

import http.client
import json
import socket
import struct
import threading
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from factories import make_survey_source
from overflight.data.profile.parquet import read_profile
from overflight.errors import NotFoundError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.survey_augment import PreviewOptions, preview_augmentation
from overflight.lifecycle.survey_browser import BrowseServer
from overflight.lifecycle.survey_profile import ReadOptions, browse_survey, explore, profile_survey, report_survey
from overflight.lifecycle.surveys import add_survey
from overflight.settings import Settings

GIVEN = {"options": ReadOptions(), "out": None, "progress": Silent()}


@pytest.fixture
def context(tmp_path):
    return Context(Settings(home=tmp_path / "home"))


@pytest.fixture
def cars(tmp_path):
    return make_survey_source(tmp_path / "cars", flights=2, photos=2)


def test_a_profile_is_written_and_read_again(context, cars):
    found = profile_survey(context, str(cars), **GIVEN)
    assert found.out == context.settings.home_path / "profiles/cars"
    again = read_profile(found.out)
    assert again.summary == json.loads((found.out / "profile.json").read_text())
    assert again.photos["photo"].tolist() == found.profile.photos["photo"].tolist()
    assert [(row["name"], row["boxes"] > 0) for row in found.classes()] == [("car", True), ("boat", True)]
    assert [(row["flight"], row["photos"]) for row in found.flights()] == [("flight1", 2), ("flight2", 2)]
    assert found.as_dict()["schema"] == "overflight.profile/1"


def test_photographs_without_labels_have_a_profile_too(context, tmp_path):
    (tmp_path / "bare").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "bare/a.jpg"), picture)
    found = profile_survey(context, str(tmp_path / "bare"), **GIVEN)
    assert len(found.profile) == 1
    assert "1 photograph has no labels at all." in found.as_dict()["stands_out"]


def test_a_stored_survey_and_its_source_have_the_same_figures(context, cars):
    add_survey(context, str(cars), name="mine", progress=Silent())
    report, stored = explore("mine", context=context)
    _, raw = explore(cars, context=context)
    assert report.read.subject.name == "mine"
    for name in ("mean_luma", "focus", "boxes", "cover_share"):
        assert stored.photos[name].tolist() == pytest.approx(raw.photos[name].tolist(), rel=1e-5)
    assert report_survey(context, "mine", **GIVEN).out.read_text().count("<section") >= 6


def test_a_source_that_is_not_there_is_said(context):
    with pytest.raises(NotFoundError, match="no such folder and no such survey"):
        report_survey(context, "nowhere", **GIVEN)


@pytest.mark.parametrize("command", [profile_survey, report_survey, browse_survey])
def test_nothing_is_written_into_the_source(context, cars, command):
    """Thumbnails and contact sheets would be photographs of it the next time."""
    before = sorted(cars.rglob("*"))
    with pytest.raises(UsageError, match="lies inside the source, which is never changed"):
        command(context, str(cars), **GIVEN | {"out": cars / "out"})
    with pytest.raises(UsageError, match="lies inside the source"):
        preview_augmentation(context, str(cars), options=PreviewOptions(), out=cars, progress=Silent())
    assert sorted(cars.rglob("*")) == before


def test_a_file_is_no_folder_and_a_folder_no_file(context, cars, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file: is a file\. Give a folder"):
        profile_survey(context, str(cars), **GIVEN | {"out": tmp_path / "file"})
    with pytest.raises(UsageError, match=r"is a folder\. Give the name of the file to write"):
        report_survey(context, str(cars), **GIVEN | {"out": tmp_path})


@contextmanager
def served(found, **options):
    with BrowseServer(found.out, found.read, found.profile.photos["photo"].tolist(), **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def browsed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browsed")
    context = Context(Settings(home=folder / "home"))
    cars = make_survey_source(folder / "cars", flights=2, photos=2)
    (cars / "images/flight1/broken.jpg").write_bytes(b"\xff\xd8no")
    (cars / "labels/flight1/broken.txt").write_text("")
    return browse_survey(context, str(cars), **GIVEN)


def answer(server, path, *, host=None, method="GET"):
    connection = http.client.HTTPConnection(*server.server_address, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_pages_data_and_photographs_are_served(browsed):
    with served(browsed) as server:
        status, headers, page = answer(server, "/")
        assert status == 200
        assert b"photos.js" in page
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        status, headers, text = answer(server, "/photos.js")
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"  # else any page could run it as its own script
        data = json.loads(text.decode()[len("overflight.photos(") : -3])
        assert data["photo"] == browsed.profile.photos["photo"].tolist()
        assert data["findings"][str(data["photo"].index("images/flight1/broken.jpg"))][0][1] == "error"
        for path in ["/browse.js", "/boxes/0.js", *(f"/thumbs/{name}" for name in data["thumb"] if name)]:
            assert answer(server, path)[0] == 200, path
        row = data["photo"].index("images/flight2/flight2_0001.jpg")
        status, headers, picture = answer(server, f"/full/{row}.jpg")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)
        broken = data["photo"].index("images/flight1/broken.jpg")
        assert answer(server, f"/full/{broken}.jpg")[0] == 404


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        pytest.param("/", "evil.example", 403, id="another-host"),
        pytest.param("/full/0.jpg", "evil.example:80", 403, id="another-host-photo"),
        pytest.param("/", "localhost:1", 200, id="this-host"),
        pytest.param("/full/99.jpg", None, 404, id="no-such-row"),
        pytest.param("/full/-1.jpg", None, 404, id="negative"),
        pytest.param("/full/../../cars/data.yaml", None, 404, id="no-path"),
        pytest.param("/../cars/data.yaml", None, 404, id="out-of-the-folder"),
        pytest.param("/%2e%2e/%2e%2e/cars/data.yaml", None, 404, id="out-of-the-folder-quoted"),
        pytest.param("/thumbs/", None, 404, id="folders-are-not-listed"),
    ],
)
def test_nothing_else_is_served(browsed, path, host, status):
    with served(browsed) as server:
        assert answer(server, path, host=host)[0] == status
        assert answer(server, path, host=host, method="HEAD")[0] in {status, 404}


def test_a_browser_that_hangs_up_is_no_error(browsed, capsys):
    with served(browsed) as server:
        for _ in range(3):
            with socket.create_connection(server.server_address) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(b"GET /full/1.jpg HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert answer(server, "/")[0] == 200
    assert "Traceback" not in capsys.readouterr().err


def test_other_errors_of_the_server_are_shown(browsed, capsys):
    with served(browsed) as server:
        server.keys = None
        with pytest.raises(http.client.RemoteDisconnected):
            answer(server, "/full/1.jpg")
    assert "Traceback" in capsys.readouterr().err


def test_a_port_in_use_is_said(browsed):
    with served(browsed) as server, pytest.raises(UsageError, match="cannot be used"):
        BrowseServer(browsed.out, browsed.read, [], port=server.server_address[1])
