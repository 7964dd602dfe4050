"""What the tests of the account share: an empty local account, a clock to move, the check against botocore's shapes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.response import StreamingBody

from overflight.account.local.account import LocalAccount
from overflight.account.local.login import local_session
from overflight.account.session import local_account
from overflight.settings import Settings, load_settings


class FixedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith(("OVERFLIGHT_", "AWS_"))]:
        monkeypatch.delenv(name)
    return load_settings(home=tmp_path / "home", user="ada")


@pytest.fixture
def account(settings: Settings, clock: FixedClock) -> Iterator[LocalAccount]:
    opened = local_account(settings, clock=clock)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def loader() -> Loader:
    """botocore's service models, read once for all tests."""
    return Loader()


@pytest.fixture
def session(account: LocalAccount, loader: Loader) -> boto3.Session:
    return local_session(account, role="administrator", user="ada", loader=loader)


@pytest.fixture
def assert_fits_output_shape() -> Callable[[Any, str, dict[str, Any]], None]:
    """``check(client, "CreatePipeline", response)``: the response has botocore's output shape, all the way down."""

    def check(client: Any, operation: str, response: dict[str, Any]) -> None:
        shape = client.meta.service_model.operation_model(operation).output_shape
        assert response["ResponseMetadata"]["RequestId"]
        assert 200 <= response["ResponseMetadata"]["HTTPStatusCode"] < 300
        body = {name: value for name, value in response.items() if name != "ResponseMetadata"}
        if shape is None:
            assert body == {}
            return
        assert misfits(shape, body) == []

    return check


def misfits(shape: Shape, value: Any, where: str = "") -> list[str]:
    """Where ``value`` is not what botocore's parser would make of an answer with this shape."""
    where = where or shape.name
    if isinstance(shape, StructureShape):
        return _structure_misfits(shape, value, where)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            return [f"{where}: {type(value).__name__} is not a list"]
        return [found for i, item in enumerate(value) for found in misfits(shape.member, item, f"{where}[{i}]")]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            return [f"{where}: is not a map with text keys"]
        return [found for key, item in value.items() for found in misfits(shape.value, item, f"{where}[{key!r}]")]
    return _scalar_misfits(shape, value, where)


def _structure_misfits(shape: StructureShape, value: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {type(value).__name__} is not a structure"]
    found = [f"{where}.{name}: unknown member" for name in value if name not in shape.members]
    found += [f"{where}.{name}: missing" for name in shape.required_members if name not in value]
    for name, item in value.items():
        if name in shape.members:
            found += misfits(shape.members[name], item, f"{where}.{name}")
    return found


def _scalar_misfits(shape: Shape, value: Any, where: str) -> list[str]:
    allowed: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "character": (str,),
        "integer": (int,),
        "long": (int,),
        "float": (float, int),
        "double": (float, int),
        "boolean": (bool,),
        "timestamp": (datetime,),
        "blob": (bytes, StreamingBody),
    }
    if not isinstance(value, allowed[shape.type_name]) or (isinstance(value, bool) and shape.type_name != "boolean"):
        return [f"{where}: {type(value).__name__} is not a {shape.type_name}"]
    if isinstance(value, datetime) and value.tzinfo is None:
        return [f"{where}: a time without a time zone"]
    choices = getattr(shape, "enum", None)
    if choices and value not in choices:
        return [f"{where}: {value!r} is not one of {choices}"]
    return []
