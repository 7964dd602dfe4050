"""A source is a folder, a prefix in S3 or a stored survey; all end as a folder that is only read."""

import hashlib
from dataclasses import replace

import pytest

from factories import make_survey_source
from overflight.account.mirror import Remark
from overflight.account.objects import upload_folder
from overflight.errors import InputError, NotFoundError
from overflight.lifecycle import sources
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.sources import open_source
from overflight.lifecycle.survey_checks import CheckOptions, check_survey
from overflight.lifecycle.surveys import add_survey
from overflight.settings import Settings


@pytest.fixture
def context(tmp_path):
    return Context(Settings(home=tmp_path / ".overflight"))


@pytest.fixture
def source(tmp_path):
    return make_survey_source(tmp_path / "harbour", flights=2, photos=2, size_wh=(64, 48))


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_a_folder_is_used_where_it_lies(context, source):
    opened = open_source(context, str(source), progress=Silent())
    assert (opened.folder, opened.kind, opened.name) == (source, "raw", "harbour")


def test_a_prefix_in_s3_becomes_the_same_files_and_stays_as_it_is(context, source):
    s3, bucket = context.client("s3"), "drone-photos"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": context.settings.region})
    upload_folder(s3, source, bucket, "2026/harbour")
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    opened = open_source(context, f"s3://{bucket}/2026/harbour/", progress=Silent())
    assert contents(opened.folder) == contents(source)
    assert (opened.kind, opened.name, opened.findings) == ("raw", "harbour", ())
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before


def test_what_a_copy_from_s3_leaves_open_reaches_the_person(context, source, monkeypatch):
    s3, bucket = context.client("s3"), "drone-photos"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": context.settings.region})
    upload_folder(s3, source, bucket, "f")
    s3.put_object(Bucket=bucket, Key="f/Notes.md", Body=b"1")
    s3.put_object(Bucket=bucket, Key="f/notes.md", Body=b"2")
    whole = sources.mirror

    def without_checksums(*given, **options):
        found = whole(*given, **options)
        return replace(found, unverified=tuple(Remark(f"f/{number}.jpg", "no checksum") for number in range(5)))

    monkeypatch.setattr(sources, "mirror", without_checksums)
    checked = check_survey(context, f"s3://{bucket}/f", options=CheckOptions(), out=None, progress=Silent())
    (finding,) = [finding for finding in checked.report.findings if finding.code == "names-alike"]
    assert (finding.severity, finding.where) == ("warning", f"s3://{bucket}/f/notes.md")
    note = "5 of 11 files were compared with S3 by size and ETag only"
    assert any(note in sentence and "and 2 more" in sentence for sentence in checked.sentences())
    version = add_survey(context, f"s3://{bucket}/f", name="docks", progress=Silent())
    assert any("notes.md" in warning for warning in version.warnings)
    assert any(note in sentence for sentence in version.sentences)


def test_a_stored_survey_is_found_by_name_and_its_photos_are_left_where_they_are_when_not_needed(context, source):
    version = add_survey(context, source, name="docks", progress=Silent())
    opened = open_source(context, f"docks@{version.digest[:8]}", progress=Silent(), photos=False)
    found = contents(opened.folder)
    assert opened.kind == "stored"
    assert {"survey.json", "manifest.jsonl"} <= found.keys()
    assert not any(name.startswith("photos/") for name in found)
    whole = open_source(context, "docks", progress=Silent())
    assert sum(1 for name in contents(whole.folder) if name.startswith("photos/")) == 4


@pytest.mark.parametrize(
    ("name", "error", "what"),
    [
        pytest.param("no/such/folder", InputError, "no such folder", id="folder"),
        pytest.param("nowhere", NotFoundError, "no such folder and no such survey", id="name"),
        pytest.param("s3://no-such-bucket-here/x", NotFoundError, "bucket", id="bucket"),
    ],
)
def test_what_is_not_there_is_named(context, name, error, what):
    with pytest.raises(error, match=what):
        open_source(context, name, progress=Silent())


def test_a_file_is_no_source(context, source):
    with pytest.raises(InputError, match="is a file"):
        open_source(context, str(source / "data.yaml"), progress=Silent())
