"""The files of a user's folder: which are photographs, and which photograph a label file means by a name.

Walks once, opens nothing, follows no link out of the folder and reads no name as a path: a name in a label file is
compared with the photographs found, so ``../../etc/passwd`` is only a photograph that is not there. It knows no label
format.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from posixpath import normpath, splitext
from unicodedata import normalize

from overflight.data.findings import Finding
from overflight.errors import InputError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".tif", ".tiff"})
OTHER_SUFFIXES = frozenset(
    ".webp .bmp .gif .heic .heif .avif .jp2 .dng .raw .arw .cr2 .cr3 .nef .raf".split()  # noqa: SIM905 - readable
)
IMAGE_FOLDERS = frozenset({"images", "JPEGImages"})
MAX_LABEL_BYTES = 2_000_000_000
MAX_FOLDERS = 50
ALIKE_CURE = "Rename one of the two: on Windows and on most disks of macOS one takes the place of the other"


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """One photograph of a source.

    Attributes:
        key: Path relative to the root, with ``/``; what findings say.
        name: Path that it keeps in a survey: the key without folders called ``images`` or ``JPEGImages``.
    """

    key: str
    name: str


@dataclass(frozen=True)
class SourceFiles:
    """What was found below a folder.

    Attributes:
        root: The folder, links resolved.
        photos: Sorted by key.
        others: Keys of all other visible files, sorted: where labels may be.
        findings: Links out of the folder, formats that cannot be read, two photographs with one name or nearly so.
    """

    root: Path
    photos: tuple[PhotoFile, ...]
    others: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    def path(self, key: str) -> Path:
        """The file of a photograph or label file found."""
        return self.root / key

    def read(self, key: str, *, max_bytes: int = MAX_LABEL_BYTES) -> bytes:
        """Content of a file found.

        Raises:
            InputError: it cannot be opened or is larger than ``max_bytes``.
        """
        try:
            with open(f"{self.root}/{key}", "rb") as handle:  # noqa: PTH123 - a quarter of a small file's time is Path
                size = os.fstat(handle.fileno()).st_size
                if size > max_bytes:
                    what = f"has {size:,} bytes; at most {max_bytes:,} are read"
                    raise InputError(what, where=key, cure="Divide it into several files")
                return handle.read()
        except OSError as error:
            raise InputError(f"cannot be opened ({error.strerror})", where=key, cure="Make it readable") from error

    def resolve(self, name: str, *, beside: str = "") -> PhotoFile | None:
        """The photograph that a label file calls ``name``; None when there is none or the name fits several.

        Tried in this order: a path from the root, from the label file's own folder, from the folder of the images, the
        same without its first folders (``/home/me/flight1/a.jpg`` of another machine), then the file name with as many
        of its folders as are given if only one photograph ends so, then the bare file name if only one has it. Back
        slashes count as slashes, and the two ways in which Unicode writes an accent (macOS takes it apart) are one;
        nothing else is guessed.

        Args:
            name: As written in the label file.
            beside: Key of the label file.
        """
        plain = _plain(name)
        if plain is None:
            return None
        found = self._by_key.get(plain)
        if found is None and beside:
            found = self._by_key.get(normpath(f"{beside.rpartition('/')[0]}/{plain}").lstrip("/"))
        found = found or self._by_name.get(plain)
        parts = plain.split("/")
        for start in range(max(1, len(parts) - MAX_FOLDERS), len(parts) - 1):
            if found is not None:
                break
            shorter = "/".join(parts[start:])
            found = self._by_key.get(shorter) or self._by_name.get(shorter)
        if found is not None:
            return found
        alike = self._by_file_name.get(composed(parts[-1]), ())
        if len(alike) > 1:
            ending = f"/{composed(plain)}"
            alike = [photo for photo in alike if f"/{composed(photo.key)}".endswith(ending)]
        return alike[0] if len(alike) == 1 else None

    def similar(self, name: str) -> PhotoFile | None:
        """The one photograph whose file name differs from ``name`` only by case, spaces or suffix: for hints."""
        wanted = _loose(PurePosixPath(_plain(name) or "").name)
        alike = self._by_loose_name.get(wanted, ())
        return alike[0] if wanted and len(alike) == 1 else None

    @cached_property
    def unusable(self) -> SourceFiles:
        """Photographs that are there and cannot be taken (another format, a link out of the folder, a pipe)."""
        taken = {photo.key for photo in self.photos}
        keys = sorted({finding.photo for finding in self.findings if finding.photo} - taken)
        return SourceFiles(self.root, tuple(PhotoFile(key, _name_in_survey(key)) for key in keys), ())

    @cached_property
    def _by_key(self) -> dict[str, PhotoFile]:
        return {photo.key: photo for photo in self.photos}

    @cached_property
    def _by_name(self) -> dict[str, PhotoFile]:
        return {photo.name: photo for photo in self.photos}

    @cached_property
    def _by_file_name(self) -> dict[str, list[PhotoFile]]:
        return _grouped(self.photos, loose=False)

    @cached_property
    def _by_loose_name(self) -> dict[str, list[PhotoFile]]:
        return _grouped(self.photos, loose=True)


def find_files(root: Path) -> SourceFiles:
    """List the files below ``root``.

    Raises:
        InputError: no such folder, or it is empty.
    """
    if not root.is_dir():
        state = "is a file, not a folder" if root.exists() else "there is no such folder"
        raise InputError(state, where=str(root), cure="Give the folder that holds the photographs and their labels")
    root = root.resolve()
    findings: list[Finding] = []
    photos: list[PhotoFile] = []
    others: list[str] = []
    named: dict[str, str] = {}
    alike: dict[str, str] = {}
    for key in _walk(root, findings):
        suffix = splitext(key)[1].lower()
        if suffix in OTHER_SUFFIXES:
            what = f"{suffix[1:].upper()} photos cannot be read"
            findings.append(Finding("error", "format", key, what, "Convert it to JPEG, PNG or TIFF", key))
        elif suffix in PHOTO_SUFFIXES:
            name = _name_in_survey(key)
            if named.setdefault(name, key) != key:
                what = f"would have the same name in the survey as {named[name]} ({name})"
                findings.append(Finding("error", "same-name", key, what, "Rename one of the two", key))
            folded = composed(name).casefold()
            if (first := alike.setdefault(folded, name)) != name:
                what = f"has the name of {first}, but for upper and lower case or the form of accents"
                findings.append(Finding("warning", "names-alike", key, what, ALIKE_CURE, key))
            photos.append(PhotoFile(key, key if name == key else name))
        else:
            others.append(key)
    if not photos and not others and not findings:
        cure = "Give the folder that holds the photographs and their labels"
        raise InputError("the folder is empty", where=str(root), cure=cure)
    return SourceFiles(root, tuple(sorted(photos, key=lambda photo: photo.key)), tuple(sorted(others)), tuple(findings))


def _walk(root: Path, findings: list[Finding]) -> Iterator[str]:
    """Keys of visible files; links out of the folder become findings, linked folders stay closed."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            what = f"the folder cannot be listed ({error.strerror})"
            findings.append(Finding("error", "unreadable", _key(folder, root), what, "Make it readable or remove it"))
            continue
        prefix = "" if folder == root else f"{_key(folder, root)}/"
        inside: list[Path] = []
        for entry in found:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                yield from _link(Path(entry.path), root, findings)
            elif entry.is_dir():
                if not entry.name.startswith("__MACOSX"):
                    inside.append(Path(entry.path))
            elif entry.is_file():
                yield prefix + entry.name
            else:  # a pipe would wait for ever
                key = prefix + entry.name
                photo = key if PurePosixPath(key).suffix.lower() in PHOTO_SUFFIXES else ""
                findings.append(
                    Finding("error", "unreadable", key, "is no file (a pipe, socket or device)", "Remove it", photo)
                )
        waiting += reversed(inside)


def _link(path: Path, root: Path, findings: list[Finding]) -> Iterator[str]:
    """Key of a linked file inside the folder; everything else is a finding."""
    outside = _link_findings(path, root)
    if outside:
        findings += outside
    elif path.is_dir():
        key = _key(path, root)
        findings.append(Finding("warning", "link", key, "a linked folder is not entered", "Give the real one"))
    elif path.is_file():
        yield _key(path, root)


def _link_findings(path: Path, root: Path) -> list[Finding]:
    try:
        resolved = path.resolve()
        exists = resolved.exists()
    except (OSError, RuntimeError):  # a link to itself
        resolved, exists = path, False
    if exists and resolved.is_relative_to(root):
        return []
    key = _key(path, root)
    photo = key if path.suffix.lower() in PHOTO_SUFFIXES else ""
    what = "a link leads out of the folder" if exists else "a link leads nowhere"
    return [Finding("error", "link", key, what, "Copy the file to this place, or give the real folder", photo)]


def _key(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _name_in_survey(key: str) -> str:
    if "mages/" not in key:
        return key
    *folders, file = key.split("/")
    return "/".join([*(folder for folder in folders if folder not in IMAGE_FOLDERS), file])


def _plain(name: str) -> str | None:
    """``name`` with slashes and without ``./``; None for what can name no file below a folder."""
    text = name.replace("\\", "/")
    if "\0" in text or not text.strip("/ ."):
        return None
    parts = [part for part in text.split("/") if part not in {"", "."}]
    return "/".join(parts)


def _loose(file_name: str) -> str:
    return "".join(composed(PurePosixPath(file_name).stem).casefold().split())


def composed(name: str) -> str:
    """``name`` with each accent and its letter as one character (Unicode NFC): macOS writes them apart."""
    return name if name.isascii() else normalize("NFC", name)


def _grouped(photos: tuple[PhotoFile, ...], *, loose: bool) -> dict[str, list[PhotoFile]]:
    groups: dict[str, list[PhotoFile]] = defaultdict(list)
    for photo in photos:
        file_name = PurePosixPath(photo.key).name
        groups[_loose(file_name) if loose else composed(file_name)].append(photo)
    return groups
