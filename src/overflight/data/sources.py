"""Which files of a user's folder are photographs, and which label file belongs to each.

Understands ``images/`` + ``labels/`` (with any sub-folders, such as one per flight or per split), ``<split>/images`` +
``<split>/labels``, and labels beside the photographs. It opens no file and follows no link out of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from overflight.data.findings import Finding
from overflight.errors import InputError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".mpo", ".png"})
OTHER_SUFFIXES = frozenset(
    ".tif .tiff .webp .bmp .gif .heic .heif .avif .jp2 .dng .raw .arw .cr2 .cr3 .nef .raf".split()  # noqa: SIM905 - readable
)
_IGNORED_TEXTS = frozenset(
    {"classes.txt", "readme.txt", "license.txt", "train.txt", "val.txt", "test.txt", "notes.txt"}
)
_IMAGES, _LABELS = "images", "labels"


@dataclass(frozen=True)
class SourcePhoto:
    """One photograph of a user's folder.

    Attributes:
        name: Path below the folder of the images, which it keeps in the survey.
        path: The file.
        key: Path relative to the root, for findings.
        labels: Its label file, None when there is none.
        labels_key: Where the label file is, or should be, relative to the root.
    """

    name: PurePosixPath
    path: Path
    key: str
    labels: Path | None
    labels_key: str


@dataclass(frozen=True)
class Source:
    """What was found in a user's folder.

    Attributes:
        root: The folder, links resolved.
        photos: Sorted by name.
        findings: Links out of the folder, formats that cannot be read, labels without a photograph ...
    """

    root: Path
    photos: tuple[SourcePhoto, ...]
    findings: tuple[Finding, ...]


def find_source(root: Path) -> Source:
    """List the photographs below ``root`` with their label files.

    Raises:
        InputError: no such folder, or no photograph in it.
    """
    if not root.is_dir():
        state = "is a file, not a folder" if root.exists() else "there is no such folder"
        raise InputError(state, where=str(root), cure="Give the folder that holds images/ and labels/")
    root = root.resolve()
    base = root / _IMAGES if (root / _IMAGES).is_dir() else root
    findings: list[Finding] = []
    photos: list[SourcePhoto] = []
    used: dict[Path, SourcePhoto] = {}
    named: dict[PurePosixPath, SourcePhoto] = {}
    for path in _files(base, root, findings):
        suffix, key = path.suffix.lower(), _key(path, root)
        if suffix in OTHER_SUFFIXES:
            what = f"{suffix[1:].upper()} photos cannot be read"
            findings.append(Finding("error", "format", key, what, "Convert it to JPEG or PNG", key))
        if suffix not in PHOTO_SUFFIXES:
            continue
        photo = _photo(path, base, root=root)
        if named.setdefault(photo.name, photo) is not photo:
            what = f"would have the same name in the survey as {named[photo.name].key} ({photo.name})"
            findings.append(Finding("error", "same-name", key, what, "Rename one of the two", key))
        if photo.labels is not None and photo.labels in used:
            what = f"shares its label file with {used[photo.labels].key}"
            findings.append(Finding("error", "shared-labels", key, what, "Rename one of the two", key))
        elif photo.labels is not None:
            used[photo.labels] = photo
            findings += _link_findings(photo.labels, root, photo=key)
        photos.append(photo)
    if not photos and not findings:
        what = "no photographs (JPEG, PNG) found" if any(base.iterdir()) else "the folder is empty"
        raise InputError(what, where=str(base), cure="Give the folder that holds images/ and labels/")
    findings += _orphans(base, root, used=used)
    return Source(root, tuple(sorted(photos, key=lambda photo: photo.name)), tuple(findings))


def _files(base: Path, root: Path, findings: list[Finding]) -> Iterator[Path]:
    """Files below ``base`` in a fixed order, hidden ones left out; links are checked, linked folders not entered."""
    findings += _link_findings(base, root)
    if _leaves(base, root):
        return
    for folder, folders, files in os.walk(base):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in folders:
            if Path(folder, name).is_symlink():
                key = _key(Path(folder, name), root)
                found = _link_findings(Path(folder, name), root)
                note = Finding("warning", "link", key, "a linked folder is not entered", "Give the real folder")
                findings += found or [note]
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() in PHOTO_SUFFIXES and _leaves(path, root):
                findings += _link_findings(path, root, photo=_key(path, root))
                continue
            yield path


def _photo(path: Path, base: Path, *, root: Path) -> SourcePhoto:
    relative = path.relative_to(root)
    text = relative.with_suffix(".txt")
    candidates = [root / text]
    if _IMAGES in relative.parts[:-1]:
        at = len(relative.parts) - 1 - relative.parts[::-1].index(_IMAGES)
        candidates.insert(0, root.joinpath(*text.parts[:at], _LABELS, *text.parts[at + 1 :]))
    elif (root / _LABELS).is_dir():
        candidates.insert(0, root / _LABELS / text)
    labels = next((candidate for candidate in candidates if candidate.is_file()), None)
    parts = path.relative_to(base).parts
    name = PurePosixPath(*(part for part in parts[:-1] if part != _IMAGES), parts[-1])
    return SourcePhoto(name, path, relative.as_posix(), labels, _key(labels or candidates[0], root))


def _orphans(base: Path, root: Path, *, used: dict[Path, SourcePhoto]) -> list[Finding]:
    folders = {path.parent for path in used} | {root / _LABELS, base}
    texts = {
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.rglob("*.txt")
        if path.name.lower() not in _IGNORED_TEXTS and not path.name.startswith(".")
    }
    what, cure = "no photo belongs to this label file", "Add the photo or remove the labels"
    keys = sorted(_key(path, root) for path in texts - used.keys())
    return [Finding("warning", "orphan-labels", key, what, cure) for key in keys]


def _link_findings(path: Path, root: Path, *, photo: str = "") -> list[Finding]:
    if not _leaves(path, root):
        return []
    what = "a link leads out of the folder" if path.exists() else "a link leads nowhere"
    return [
        Finding("error", "link", _key(path, root), what, "Copy the file to this place, or give the real folder", photo)
    ]


def _leaves(path: Path, root: Path) -> bool:
    resolved = path.resolve()
    return not resolved.is_relative_to(root) or not resolved.exists()


def _key(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
