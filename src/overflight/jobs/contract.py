"""SageMaker's container contract: the only module that knows the folders under ``/opt/ml``.

The root can be moved with ``OVERFLIGHT_ML_ROOT`` so that several jobs share a machine without containers. It does not
know what any job does. Source of the layout: SageMaker developer guide, chapters on own training and processing
containers.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.errors import InputError, OverflightError
from overflight.files import sha256_file, write_json, write_text
from overflight.jobs.code import code_identity

MANIFEST = "manifest.json"
_FAILURE_LIMIT_CHARS = 1024
_MESSAGE_LIMIT_BYTES = 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobFolders:
    """Folders of one job below ``root`` (``/opt/ml`` in a container)."""

    root: Path

    @property
    def model(self) -> Path:
        """Training: what is packed as ``model.tar.gz``. Serving: the unpacked model."""
        return self.root / "model"

    @property
    def output_data(self) -> Path:
        """Training: further artefacts, packed as ``output.tar.gz``."""
        return self.root / "output" / "data"

    def input(self, name: str) -> Path:
        """Processing input ``name``.

        Raises:
            InputError: the folder is missing or empty.
        """
        return _required(self.root / "processing" / "input" / name)

    def output(self, name: str) -> Path:
        """Processing output ``name``, created when missing."""
        folder = self.root / "processing" / "output" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def channel(self, name: str) -> Path:
        """Training channel ``name``.

        Raises:
            InputError: the folder is missing or empty.
        """
        return _required(self.root / "input" / "data" / name)

    def source_uri(self, name: str) -> str:
        """S3 address of the processing input ``name``; its folder for channels and jobs without a service."""
        path = self.root / "config" / "processingjobconfig.json"
        if path.exists():
            for given in json.loads(path.read_text()).get("ProcessingInputs", []):
                if given.get("InputName") == name and "S3Input" in given:
                    return str(given["S3Input"]["S3Uri"])
        channel = self.root / "input" / "data" / name
        return str(channel if channel.exists() else self.root / "processing" / "input" / name)

    def hyperparameters(self) -> dict[str, str]:
        """Hyperparameters of a training job; SageMaker hands all of them over as strings."""
        path = self.root / "input" / "config" / "hyperparameters.json"
        if not path.exists():
            return {}
        try:
            values = json.loads(path.read_text())
        except ValueError as error:
            raise InputError("not valid JSON", where=str(path), cure="Start the job through its pipeline") from error
        return {str(key): str(value) for key, value in values.items()}


def folders_from(environ: Mapping[str, str]) -> JobFolders:
    """Folders of the job this process runs as (``OVERFLIGHT_ML_ROOT``, default ``/opt/ml``)."""
    return JobFolders(Path(environ.get("OVERFLIGHT_ML_ROOT", "/opt/ml")).absolute())


def seal(folder: Path) -> dict[str, Any]:
    """Write ``manifest.json``: the code that wrote, size and SHA-256 of every file; its existence means "complete"."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() != MANIFEST:
            name = path.relative_to(folder).as_posix()
            files[name] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    manifest = {"schema": "overflight.manifest/1", "code": code_identity(), "files": files}
    write_json(folder / MANIFEST, manifest)
    return manifest


def check_seal(folder: Path) -> None:
    """Compare a sealed folder with its manifest.

    Raises:
        InputError: no manifest (the writer did not finish), or a file is missing, changed or unlisted.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise InputError(
            "has no manifest.json: its writer did not finish", where=str(folder), cure="Run the step again"
        )
    expected = json.loads(path.read_text())["files"]
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    for name in sorted(present ^ expected.keys()):
        state = "is missing" if name in expected else "is not in the manifest"
        raise InputError(state, where=f"{folder}/{name}", cure="Run the step that wrote this folder again")
    for name, facts in expected.items():
        if sha256_file(folder / name) != facts["sha256"]:
            raise InputError("does not match its digest", where=f"{folder}/{name}", cure="Run the step again")


def run_job(job: Callable[[JobFolders, Mapping[str, str]], str], environ: Mapping[str, str] | None = None) -> int:
    """Run ``job`` and report as SageMaker expects: exit code, ``output/failure``, ``output/message``.

    An expected error (the OverflightError family) is written as one sentence; anything else with its traceback in the
    log. Processing outputs are sealed when the job succeeds.
    """
    environ = os.environ if environ is None else environ
    folders = folders_from(environ)
    try:
        message = job(folders, environ)
        outputs = folders.root / "processing" / "output"
        for folder in sorted(outputs.iterdir()) if outputs.exists() else ():
            seal(folder)
    except OverflightError as error:
        log.error("%s", error)
        _write_failure(folders, str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the boundary of the process: whatever happened must reach output/failure
        log.critical("%s", traceback.format_exc())
        _write_failure(folders, f"{type(error).__name__}: {error}")
        return 1
    _write_message(folders, message)
    return 0


def _required(folder: Path) -> Path:
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError("the input folder is missing or empty", where=str(folder), cure="Check the step's inputs")
    return folder


def _write_failure(folders: JobFolders, text: str) -> None:
    write_text(folders.root / "output" / "failure", text[:_FAILURE_LIMIT_CHARS])


def _write_message(folders: JobFolders, text: str) -> None:
    cut = text.encode()[:_MESSAGE_LIMIT_BYTES].decode(errors="ignore")
    write_text(folders.root / "output" / "message", cut)
