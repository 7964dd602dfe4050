"""Models of endpoints: unpacked from their archive, or linked; what cannot be unpacked says why."""

from __future__ import annotations

import os
import random
import sys
import tarfile
from pathlib import Path

import pytest

from overflight.account.local.endpoint_servers import StartRefused, start_server, unpack_model

KEY = "models/toy/model.tar.gz"


@pytest.fixture
def bucket(account, tmp_path) -> str:
    with tarfile.open(tmp_path / "good.tar.gz", "w:gz") as tar:
        tar.add(__file__, arcname="model.json")
    account.objects.put_file(account.bucket, KEY, tmp_path / "good.tar.gz")
    return str(account.bucket)


def evil_archive(path: Path, member: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member)
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(info("../outside"), id="traversal"),
        pytest.param(info("link", tarfile.SYMTYPE, "/etc/passwd"), id="link to an absolute path"),
        pytest.param(info("link", tarfile.SYMTYPE, "../../outside"), id="link out of the folder"),
        pytest.param(info("device", tarfile.CHRTYPE), id="device"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(account, tmp_path, member):
    account.objects.put_file(account.bucket, "evil.tar.gz", evil_archive(tmp_path / "evil.tar.gz", member))
    container = {"ModelDataUrl": f"s3://{account.bucket}/evil.tar.gz"}
    with pytest.raises(StartRefused, match="cannot be unpacked"):
        unpack_model(container, account.objects, tmp_path / "target" / "model")
    assert not (tmp_path / "outside").exists()


def damaged_archive(path: Path) -> bytes:
    """An archive that begins well and whose compressed data are nonsense in the middle."""
    (path.parent / "weights").write_bytes(random.Random(7).randbytes(400_000))
    with tarfile.open(path, "w:gz") as tar:
        tar.add(path.parent / "weights", arcname="weights")
        tar.add(path.parent / "weights", arcname="more")
    content = bytearray(path.read_bytes())
    content[200_000:300_000] = b"\xff" * 100_000
    return bytes(content)


@pytest.mark.parametrize(
    ("container", "says"),
    [
        ({}, "no model data"),
        ({"ModelDataUrl": "s3://{bucket}/none"}, "Could not find"),
        ({"ModelDataUrl": "s3://elsewhere/none"}, "Could not find"),
        ({"ModelDataUrl": "file:///etc"}, "not an S3 URI"),
        ({"ModelDataUrl": "s3://{bucket}/text"}, "cannot be unpacked"),
        ({"ModelDataUrl": "s3://{bucket}/damaged.tar.gz"}, "cannot be unpacked"),
        ({"ModelDataUrl": "s3://{bucket}/" + KEY, "ModelDataETag": "0" * 32}, "was replaced"),
    ],
    ids=[
        "nothing",
        "no object",
        "no bucket",
        "no S3",
        "no archive",
        "damaged archive",
        "another object than registered",
    ],
)
def test_a_model_that_cannot_be_unpacked_says_why(account, bucket, tmp_path, container, says):
    account.objects.put_bytes(bucket, "text", b"no archive")
    account.objects.put_bytes(bucket, "damaged.tar.gz", damaged_archive(tmp_path / "damaged.tar.gz"))
    given = {key: value.format(bucket=bucket) for key, value in container.items()}
    with pytest.raises(StartRefused, match=says):
        unpack_model(given, account.objects, tmp_path / "model")


def test_an_uncompressed_model_is_linked(account, bucket, tmp_path):
    account.objects.put_bytes(bucket, "plain/model.json", b"{}")
    source = {"S3Uri": f"s3://{bucket}/plain/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    unpack_model({"ModelDataSource": {"S3DataSource": source}}, account.objects, tmp_path / "model")
    assert (tmp_path / "model" / "model.json").read_bytes() == b"{}"


def test_a_server_gets_its_own_settings_and_no_other_variable_of_a_package(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "overflight-serve"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/env\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    given = {"PYTHONPATH": "/opt/ml/model", "LD_PRELOAD": "/x.so", "OVERFLIGHT_SERVE_WORKERS": "2"}
    mark = start_server(tmp_path, port=7, environment=given, log=tmp_path / "log")
    os.waitpid(mark.pid, 0)
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert (seen["OVERFLIGHT_SERVE_WORKERS"], seen["SAGEMAKER_BIND_TO_PORT"]) == ("2", "7")
    assert not {"PYTHONPATH", "LD_PRELOAD"} & seen.keys()
