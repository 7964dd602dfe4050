"""Where the photographs of a survey come from: a folder, an ``s3://`` prefix, or a survey that is stored already.

What lies in S3 is brought to this machine first, into a folder that is kept and completed by the next call; the source
is only read. It does not know formats or checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from overflight.account.mirror import Remark, Standing, cache_folder, mirror
from overflight.account.objects import S3Uri
from overflight.data.files import ALIKE_CURE, PHOTO_SUFFIXES
from overflight.data.findings import Finding
from overflight.data.manifest import MANIFEST_FILE, PHOTOS_FOLDER, SURVEY_FILE
from overflight.errors import InputError, NotFoundError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.survey_versions import show_survey

_NOTED = 3


@dataclass(frozen=True)
class OpenSource:
    """A source that can be read.

    Attributes:
        title: As a person called it.
        name: Short name for files and reports.
        folder: Where it lies on this machine.
        kind: ``stored``: a survey as Overflight stores it; ``raw``: photographs and labels of a user.
        findings: Objects of an ``s3://`` prefix that could not become files, and names that some disks take for one.
        notes: A sentence about objects whose content S3 gives no checksum for.
    """

    title: str
    name: str
    folder: Path
    kind: Literal["raw", "stored"]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


def open_source(context: Context, source: str, *, progress: Progress, photos: bool = True) -> OpenSource:
    """Bring ``source`` to this machine: a folder, ``s3://bucket/prefix``, or NAME or NAME@DIGEST of a stored survey.

    Args:
        context: Whose account.
        source: See above; a folder goes before a survey of the same name.
        progress: Told the files fetched.
        photos: Off: of a stored survey only manifest and labels are fetched.

    Raises:
        InputError: it is a file, or holds what cannot become files.
        NotFoundError: there is neither such a folder nor such a survey.
        AccountError: the bucket cannot be read.
    """
    if source.startswith("s3://"):
        uri = S3Uri.parse(source)
        name = uri.key.rstrip("/").rpartition("/")[2] or uri.bucket
        return _fetched(context, uri, title=source, name=name, progress=progress)
    path = Path(source).expanduser()
    if path.is_dir():
        return OpenSource(source, path.resolve().name or "survey", path, _kind(path))
    if path.exists() or "/" in source:
        state = "is a file, not a folder" if path.exists() else "there is no such folder"
        raise InputError(state, where=source, cure="Give a folder of photographs, an s3:// prefix or a survey's name")
    try:
        version = show_survey(context, source)
    except NotFoundError as error:
        raise NotFoundError("there is no such folder and no such survey", where=source, cure=error.cure) from error
    wanted = None if photos else (lambda name: not name.startswith(f"{PHOTOS_FOLDER}/"))
    return _fetched(
        context, S3Uri.parse(version.uri), title=source, name=version.name, progress=progress, wanted=wanted
    )


def require_out(opened: OpenSource, out: Path | None, *, folder: bool = True) -> None:
    """Do nothing unless ``out`` lies in the folder of the source (what is written there would change it) or cannot be.

    Args:
        opened: The source.
        out: What a person named; None: nothing.
        folder: Whether ``out`` is to be a folder, or else a file.

    Raises:
        UsageError: it lies there, or is a file where a folder is needed, or a folder where a file is.
    """
    if out is None:
        return
    place = out.expanduser().resolve()
    if place.is_relative_to(opened.folder.resolve()):
        raise UsageError("lies inside the source, which is never changed", where=f"--out {out}", cure="Choose another")
    if place.exists() and place.is_dir() != folder:
        what, cure = ("a file", "Give a folder") if folder else ("a folder", "Give the name of the file to write")
        raise UsageError(f"is {what}", where=f"--out {out}", cure=cure)


def _fetched(
    context: Context,
    uri: S3Uri,
    *,
    title: str,
    name: str,
    progress: Progress,
    wanted: Callable[[str], bool] | None = None,
) -> OpenSource:
    def tell(standing: Standing) -> None:
        verb = "files listed" if standing.listing else "files fetched"
        progress.update(verb, standing.files_done, standing.files_listed)

    folder = cache_folder(context.settings.home_path, uri)
    found = mirror(context.client("s3"), uri, folder, progress=tell, wanted=wanted)
    cure = "Copy the object to another key"
    kind = _kind(folder)
    findings = [Finding("error", "name", f"s3://{uri.bucket}/{item.key}", item.why, cure) for item in found.skipped]
    findings += [
        Finding("warning", "names-alike", f"s3://{uri.bucket}/{item.key}", item.why, ALIKE_CURE)
        for item in found.alike
        # of the photographs of a user the search for files says it
        if kind == "stored" or PurePosixPath(item.key).suffix.lower() not in PHOTO_SUFFIXES
    ]
    return OpenSource(title, name, folder, kind, tuple(findings), _unproved(found.unverified, files=found.files))


def _unproved(unverified: Sequence[Remark], *, files: int) -> tuple[str, ...]:
    if not unverified:
        return ()
    shown = "; ".join(f"{item.key}: {item.why}" for item in unverified[:_NOTED])
    more = f"; and {len(unverified) - _NOTED:,} more" if len(unverified) > _NOTED else ""
    return (f"{len(unverified):,} of {files:,} files were compared with S3 by size and ETag only ({shown}{more})",)


def _kind(folder: Path) -> Literal["raw", "stored"]:
    return "stored" if (folder / MANIFEST_FILE).is_file() and (folder / SURVEY_FILE).is_file() else "raw"
