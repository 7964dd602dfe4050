"""The folders of one job: inputs and configuration before it starts, outputs after it has ended.

Knows the container contract of SageMaker's processing and training jobs from the service's side (``overflight.jobs``
knows it from the program's side) and the object store. Knows nothing of processes or of the state of jobs.
Source: SageMaker developer guide, "build your own processing container" and "... training container".
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from overflight.account.local.objects import ObjectStore, add_version, find_bucket
from overflight.errors import InputError, NotFoundError, ResourceError
from overflight.files import explained_disk, require_disk

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

ML_ROOT = PurePosixPath("/opt/ml")
_CHECKPOINTS = "/opt/ml/checkpoints"
_MESSAGE_BYTES = 1024
_BATCH = 500  # objects in one transaction: other writers wait no longer than some 100 ms
_GZIP_LEVEL = 1  # weights hardly compress; time matters more


class JobRefused(Exception):  # noqa: N818  # it becomes a FailureReason, not an error of the program
    """The job cannot be run or finished; the text is its FailureReason."""


@dataclass(frozen=True)
class JobInput:
    """One input: an S3 prefix or object that appears in a folder below the job's root."""

    name: str
    uri: str
    folder: Path


@dataclass(frozen=True)
class JobFiles:
    """Where one job lives and what goes in and out.

    Attributes:
        kind: ``processing-job`` or ``training-job``.
        name: The job's name.
        folder: The job's folder (``log.txt`` is in it).
        request: The request that created the job.
    """

    kind: str
    name: str
    folder: Path
    request: Mapping[str, Any]

    @property
    def root(self) -> Path:
        """What the job sees as ``/opt/ml``."""
        return self.folder / "opt" / "ml"

    @property
    def log(self) -> Path:
        """Standard output and error of the job."""
        return self.folder / "log.txt"

    def local(self, path: str) -> Path:
        """``/opt/ml/...`` below this job's root.

        Raises:
            JobRefused: the path is not below ``/opt/ml``.
        """
        pure = PurePosixPath(path)
        if ".." in pure.parts or not pure.is_relative_to(ML_ROOT):
            raise JobRefused(f"ClientError: LocalPath '{path}' is not below {ML_ROOT}")
        return self.root / pure.relative_to(ML_ROOT)

    def inputs(self) -> list[JobInput]:
        """Inputs of the request, with the folder each goes to."""
        if self.kind == "processing-job":
            given = self.request.get("ProcessingInputs") or ()
            return [
                JobInput(one["InputName"], one["S3Input"]["S3Uri"], self.local(one["S3Input"]["LocalPath"]))
                for one in given
                if one.get("S3Input")
            ]
        return [
            JobInput(
                one["ChannelName"],
                one["DataSource"]["S3DataSource"]["S3Uri"],
                self.root / "input" / "data" / one["ChannelName"],
            )
            for one in self.request.get("InputDataConfig") or ()
        ]

    def outputs(self) -> list[tuple[str, Path]]:
        """``(S3 URI, local folder)`` of each output of a processing job."""
        listed = (self.request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
        return [(one["S3Output"]["S3Uri"], self.local(one["S3Output"]["LocalPath"])) for one in listed]

    def checkpoints(self) -> tuple[str, Path] | None:
        """``(S3 URI, local folder)`` of a training job's checkpoints, when it has a CheckpointConfig."""
        given = self.request.get("CheckpointConfig")
        return (given["S3Uri"], self.local(given.get("LocalPath") or _CHECKPOINTS)) if given else None


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of an ``s3://`` URI.

    Raises:
        JobRefused: it is not one.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise JobRefused(f"ClientError: '{uri}' is not an S3 URI")
    return bucket, key


@contextlib.contextmanager
def refused_when_full(folder: Path) -> Iterator[None]:
    """Turn a full disk into the job's failure reason."""
    try:
        with explained_disk(folder):
            yield
    except ResourceError as error:
        raise JobRefused(f"ClientError: disk full: {error}") from error


def prepare(files: JobFiles, objects: ObjectStore, *, min_free_bytes: int = 0) -> None:
    """Make the folders, write the configuration, link the inputs and restore the checkpoints.

    Raises:
        JobRefused: an input does not exist or the disk is full.
    """
    _put_aside(files)
    with refused_when_full(files.folder.parent.parent):
        require_disk(files.folder, min_free_bytes)
        (files.root / "output").mkdir(parents=True)
        if files.kind == "processing-job":
            _write_processing_config(files)
        else:
            _write_training_config(files)
        for one in files.inputs():
            _link_input(one, objects)
        kept = files.checkpoints()
        if kept:
            restore_checkpoints(kept, objects)


def _put_aside(files: JobFiles) -> None:
    """Keep what an earlier, interrupted attempt of the job has written for people: its log and ``output``.

    The log goes on in the same file; the rest moves to ``earlier/<n>``. Inputs, checkpoints (stored already) and half
    results go.
    """
    if not files.root.exists():
        return
    for name in ("input", "processing", "model", "checkpoints", "config"):
        shutil.rmtree(files.root / name, ignore_errors=True)
    earlier = files.folder / "earlier"
    earlier.mkdir(exist_ok=True)
    files.root.parent.rename(earlier / str(len(list(earlier.iterdir())) + 1))


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Plainly: the folder is new, nobody reads it yet, and after a crash it is made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _write_processing_config(files: JobFiles) -> None:
    for _, folder in files.outputs():
        folder.mkdir(parents=True, exist_ok=True)
    _write_json(files.root / "config" / "processingjobconfig.json", {**files.request, "ProcessingJobName": files.name})
    _write_json(files.root / "config" / "resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]})


def _write_training_config(files: JobFiles) -> None:
    for folder in ("model", "output/data", "checkpoints"):
        (files.root / folder).mkdir(parents=True, exist_ok=True)
    config = files.root / "input" / "config"
    parameters = {key: str(value) for key, value in (files.request.get("HyperParameters") or {}).items()}
    instance = (files.request.get("ResourceConfig") or {}).get("InstanceType", "local")
    channels = {
        one["ChannelName"]: {
            "TrainingInputMode": one.get("InputMode", "File"),
            "S3DistributionType": one["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": one.get("RecordWrapperType", "None"),
        }
        for one in files.request.get("InputDataConfig") or ()
    }
    resources = {
        "current_host": "algo-1",
        "current_instance_type": instance,
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": instance, "hosts": ["algo-1"]}
        ],
        "network_interface_name": "lo",
    }
    _write_json(config / "hyperparameters.json", parameters)
    _write_json(config / "resourceconfig.json", resources)
    _write_json(config / "inputdataconfig.json", channels)


def _link_input(one: JobInput, objects: ObjectStore) -> None:
    bucket, key = split_uri(one.uri)
    try:
        objects.link_prefix(bucket, key, one.folder)
    except (NotFoundError, InputError) as error:
        raise JobRefused(
            f"ClientError: Data download failed: no S3 objects found under '{one.uri}' given for input '{one.name}'"
            if isinstance(error, NotFoundError)
            else f"ClientError: Data download failed for input '{one.name}': {error}"
        ) from error


def restore_checkpoints(kept: tuple[str, Path], objects: ObjectStore) -> None:
    """Copy (never link: a job writes into them) what is stored under the checkpoint URI.

    Raises:
        JobRefused: there is no such bucket, or a key would leave the folder.
    """
    uri, folder = kept
    bucket, prefix = split_uri(uri)
    prefix = prefix.rstrip("/") + "/"
    try:
        found = objects.list(bucket, prefix)
    except NotFoundError as error:
        raise JobRefused(f"ClientError: there is no bucket '{bucket}' for the checkpoints") from error
    for info in found:
        target = folder / info.key.removeprefix(prefix)
        if not target.resolve().is_relative_to(folder.resolve()):
            raise JobRefused(f"ClientError: checkpoint key '{info.key}' leaves its folder")
        if not info.key.endswith("/"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(objects.get_path(bucket, info.key), target)


def store_checkpoints(files: JobFiles, account: LocalAccount) -> None:
    """Copy the job's checkpoints to their URI, if it has one and wrote any."""
    kept = files.checkpoints()
    if kept and kept[1].is_dir():
        upload_folder(kept[1], kept[0], account)


def link(source: Path, target: Path) -> None:
    """Hard link, or a symbolic link where the file system has none across folders; replaces ``target``."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        target.symlink_to(source)


def upload_folder(folder: Path, uri: str, account: LocalAccount) -> int:
    """Make every file below ``folder`` an object under ``uri``; returns how many.

    The contents move into the store and are linked back, so nothing is copied. ``manifest.json`` (the seal of a folder)
    becomes visible last.
    """
    bucket, prefix = split_uri(uri)
    prefix = prefix.rstrip("/")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    paths.sort(key=lambda path: path.name == "manifest.json" and path.parent == folder)
    for start in range(0, len(paths), _BATCH):
        put_files({_key(prefix, path, folder): path for path in paths[start : start + _BATCH]}, bucket, account)
    return len(paths)


def _key(prefix: str, path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    return f"{prefix}/{name}" if prefix else name


def put_files(paths: Mapping[str, Path], bucket: str, account: LocalAccount) -> None:
    """Make files objects by key, all of them in one transaction.

    Raises:
        JobRefused: there is no such bucket.
    """
    blobs = account.objects.blobs
    taken = {}
    for key, path in paths.items():
        taken[key] = blobs.take(path, move=True)
        link(blobs.path(taken[key].sha256), path)
    with account.store.write() as tx:
        found = find_bucket(tx, bucket)
        if found is None:
            raise JobRefused(f"ClientError: there is no bucket '{bucket}' for the output")
        for key, blob in taken.items():
            add_version(tx, found, key, time=account.clock(), blob=blob)


def collect(files: JobFiles, account: LocalAccount, *, succeeded: bool) -> None:
    """Store the outputs: of a processing job when it succeeded, of a training job also when it was stopped.

    Raises:
        JobRefused: the disk is full.
    """
    with refused_when_full(files.folder):
        if files.kind == "processing-job":
            for uri, folder in files.outputs() if succeeded else ():
                upload_folder(folder, uri, account)
            return
        store_checkpoints(files, account)
        target = output_uri(files.request, files.name)
        compressed = (files.request.get("OutputDataConfig") or {}).get("CompressionType", "GZIP") != "NONE"
        for folder, name in ((files.root / "model", "model"), (files.root / "output" / "data", "output")):
            if not any(path.is_file() for path in folder.rglob("*")):
                continue
            if compressed:
                bucket, key = split_uri(f"{target}/{name}.tar.gz")
                archive = files.folder / f"{name}.tar.gz"
                pack(folder, archive)
                put_files({key: archive}, bucket, account)
            else:
                upload_folder(folder, f"{target}/{name}", account)


def output_uri(request: Mapping[str, Any], name: str) -> str:
    """Where SageMaker puts a training job's archives: ``<S3OutputPath>/<job>/output``."""
    return f"{str(request['OutputDataConfig']['S3OutputPath']).rstrip('/')}/{name}/output"


def pack(folder: Path, archive: Path) -> None:
    """A ``.tar.gz`` of everything below ``folder`` whose bytes depend on names and contents only."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0, compresslevel=_GZIP_LEVEL) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())  # owner 0, time 0
            if path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                with path.open("rb") as handle:
                    info.size, info.mode = os.fstat(handle.fileno()).st_size, 0o644
                    tar.addfile(info, handle)


def read_message(files: JobFiles, name: str) -> str:
    """First 1 KB of ``/opt/ml/output/<name>`` (``failure`` or ``message``), or ""."""
    path = files.root / "output" / name
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        return handle.read(_MESSAGE_BYTES).decode(errors="ignore").strip()
