"""The split that a published data set brings: which photographs it calls train, val and test.

Understands ``data.yaml`` (folders, lists of folders, text files), darknet's ``obj.data``, ``ImageSets/Main``, text
files named ``train.txt`` or ``train1.txt``, and folders named after the parts. An entry that names no photograph, or a
photograph in two parts, is a finding; nothing is left out silently. It does not judge whether a split is a good one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path, PurePosixPath

from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.json_files import printable
from overflight.data.formats.yolo_names import read_yaml
from overflight.errors import InputError

CODE = "split-list"
PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
MAX_LIST_BYTES = 200_000_000
NAMES_SHOWN = 3

_NUMBERED = re.compile(r"(.*?)[-_ ]?(\d*)")
_WORDS = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class GivenSplit:
    """A split as published.

    Attributes:
        parts: Photo keys by part, sorted; a photograph in two parts is in both. Empty when there is no split.
        findings: What is wrong with it.
        evidence: Where it is from, one sentence; empty when there is no split.
    """

    parts: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...] = ()
    evidence: str = ""


@dataclass
class _Part:
    """One part while it is collected.

    Attributes:
        name: ``train``, or ``train2`` where there are several lists of a part.
        source: File or folder that names it.
        keys: Photographs.
        missing: Entries that name none.
    """

    name: str
    source: str
    keys: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)

    def take(self, other: _Part) -> None:
        """Add what another list names."""
        self.keys |= other.keys
        self.missing |= other.missing


def find_split(files: SourceFiles, *, lists: Sequence[Path] = ()) -> GivenSplit:
    """The split of a source.

    Args:
        files: The source.
        lists: Text files that name photographs, one file for each part, named after it; they come before everything
            that the source says itself.

    Raises:
        InputError: a given list does not exist or cannot be opened.
    """
    findings: list[Finding] = []
    names = _Names(files)
    if lists:
        parts = _of_lists([(_shown_path(files, path), _given(path), "") for path in lists], names, findings)
        return _split(parts, findings, "lists given: " + ", ".join(part.source for part in parts))
    for source in (_of_yaml, _of_obj_data, _of_image_sets, _of_texts, _of_folders):
        parts = source(files, names, findings)
        if parts:
            return _split(parts, findings, ", ".join(dict.fromkeys(part.source for part in parts)))
    return GivenSplit({}, tuple(findings))


def part_of(name: str) -> str | None:
    """``train`` for ``training``, ``train2017`` or ``VisDrone2019-DET-train``; None for other names."""
    found = [PARTS[word.lower()] for word in _WORDS.findall(name) if word.lower() in PARTS]
    return found[-1] if found else None


class _Names:
    """Photographs by what lists call them: paths, file names, names without suffix, folders."""

    def __init__(self, files: SourceFiles) -> None:
        self.files = files
        self._stems: dict[str, list[PhotoFile]] = defaultdict(list)
        self._folders: dict[str, list[str]] = {}
        self.texts = {key for key in files.others if key.lower().endswith(".txt")}
        for photo in files.photos:
            self._stems[PurePosixPath(photo.key).stem].append(photo)

    def photo(self, entry: str, *, beside: str) -> str | None:
        found = self.files.resolve(entry, beside=beside)
        if found is None:
            alike = self._stems.get(PurePosixPath(entry.replace("\\", "/")).name, [])
            found = alike[0] if len(alike) == 1 else None
        return None if found is None else found.key

    def folder(self, key: str) -> list[str]:
        """Photographs in a folder and below; ``""`` is the root."""
        if key not in self._folders:
            start = f"{key}/" if key else ""
            self._folders[key] = [photo.key for photo in self.files.photos if photo.key.startswith(start)]
        return self._folders[key]

    def has_folder(self, entry: str) -> bool:
        return bool(self.folder(entry))


def _split(parts: Sequence[_Part], findings: list[Finding], evidence: str) -> GivenSplit:
    merged: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        merged[part.name] |= part.keys
    findings = [*findings, *_overlaps(parts)]
    found = {name: tuple(sorted(keys)) for name, keys in merged.items() if keys}
    return GivenSplit(found, tuple(findings), evidence if found else "")


def _overlaps(parts: Sequence[_Part]) -> list[Finding]:
    """Photographs in two parts of the same split; numbered lists (train1, test1) are splits of their own."""
    found = []
    for one, other in combinations(parts, 2):
        if one.name == other.name or _number(one.name) != _number(other.name):
            continue
        for key in sorted(one.keys & other.keys):
            what = f"{one.source} and {other.source} both name this photo ({one.name} and {other.name})"
            found.append(Finding("error", CODE, key, what, "Remove it from one of the two", key))
        for entry in sorted(one.missing & other.missing):
            what = f"{other.source} names it too, and there is no such photo"
            where = f"{one.source}: {printable(entry, at_most=80)}"
            found.append(Finding("error", CODE, where, what, "Remove it from one of the two"))
    return found


# --- text files


def _of_lists(given: Iterable[tuple[str, bytes, str]], names: _Names, findings: list[Finding]) -> list[_Part]:
    """Parts of (file, content, name of the part or nothing)."""
    read = [(source, data, part or _stem_part(source)) for source, data, part in given]
    plain = [_NUMBERED.fullmatch(part)[1] for _, _, part in read]  # type: ignore[index] # the pattern fits every text
    if len(set(plain)) == len(read):  # train1 and test1 alone are just train and test
        read = [(source, data, name) for (source, data, _), name in zip(read, plain, strict=True)]
    return [_of_list(source, data, part, names, findings) for source, data, part in read]


def _of_list(source: str, data: bytes, part: str, names: _Names, findings: list[Finding]) -> _Part:
    found = _Part(part, source)
    try:
        entries = [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        what = "is not UTF-8 text"
        findings.append(Finding("error", CODE, source, what, "Write one photo per line"))
        return found
    missing: list[str] = []
    repeated: list[str] = []
    for entry in entries:
        key = names.photo(entry, beside=source)
        if key is None:
            missing.append(entry)
        elif key in found.keys:
            repeated.append(entry)
        else:
            found.keys.add(key)
    found.missing.update(missing)
    if missing or not entries:
        findings.append(_missing(source, entries, missing, names))
    if repeated:
        what = f"names {_count(len(repeated), 'photo')} twice ({_some(repeated)})"
        findings.append(Finding("warning", CODE, source, what, "Remove the repetition"))
    return found


def _missing(source: str, entries: Sequence[str], missing: Sequence[str], names: _Names) -> Finding:
    if not entries:
        return Finding("warning", CODE, source, "is empty", "Write one photo per line")
    what = f"{len(missing)} of {_count(len(entries), 'entry', 'entries')} name no photo ({_some(missing)})"
    gone = sorted({str(PurePosixPath(entry.replace("\\", "/")).parent) for entry in missing} - {"."})
    gone = [folder for folder in gone if not names.has_folder(folder.strip("/"))]
    if gone:
        what += f"; the folder {printable(gone[0], at_most=80)}/ does not exist"
    cure = "Correct the paths in the list" if len(missing) == len(entries) else "Add the photos or remove the entries"
    return Finding("error" if len(missing) == len(entries) else "warning", CODE, source, what, cure)


def _given(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        cure = "Give a text file with one photo per line, such as train.txt"
        raise InputError(f"cannot be opened ({error.strerror})", where=str(path), cure=cure) from error
    if len(data) > MAX_LIST_BYTES:
        raise InputError(f"has more than {MAX_LIST_BYTES:,} bytes", where=str(path), cure="Give a list of photos")
    return data


def _of_key(files: SourceFiles, key: str, findings: list[Finding]) -> bytes | None:
    try:
        return files.read(key, max_bytes=MAX_LIST_BYTES)
    except InputError as error:
        findings.append(Finding("error", CODE, key, error.what, error.cure))
        return None


# --- what a source may say itself


def _of_yaml(files: SourceFiles, names: _Names, findings: list[Finding]) -> list[_Part]:
    yamls = [key for key in files.others if "/" not in key and key.lower().endswith((".yaml", ".yml"))]
    for key in sorted(yamls, key=lambda name: (PurePosixPath(name).stem != "data", name)):
        try:
            document = read_yaml(files.path(key), where=key)
        except InputError:
            continue  # the reader of class names says so
        if isinstance(document, dict) and "train" in document:
            given = {part: _texts(document.get(part)) for part in ("train", "val", "test")}
            given["val"] = given["val"] or _texts(document.get("valid"))
            root = document.get("path")
            return _of_places(key, given, root if isinstance(root, str) else "", names, findings)
    return []


def _of_places(
    key: str, given: Mapping[str, list[str]], root: str, names: _Names, findings: list[Finding]
) -> list[_Part]:
    """Parts of a file that gives folders or lists for each part."""
    parts = []
    for name, entries in given.items():
        part = _Part(name, f"{key} ({name}: {_some(entries)})")
        for entry in entries:
            place = _place(entry, root, names)
            if place is None:
                what = f"{name}: {printable(entry, at_most=80)} names no folder with photos and no list"
                findings.append(Finding("warning", CODE, key, what, "Correct the path or add what it names"))
            elif place in names.texts:
                data = _of_key(names.files, place, findings)
                if data is not None:
                    part.take(_of_list(place, data, name, names, findings))
            else:
                part.keys |= set(names.folder(place))
        if part.keys:
            parts.append(part)
    kept: list[_Part] = []
    for part in parts:
        same = next((other for other in kept if other.keys == part.keys), None)
        if same is None:
            kept.append(part)
        else:
            what = f"{part.name} is the same as {same.name} ({len(part.keys)} photos): that is no split"
            findings.append(Finding("warning", CODE, key, what, "Give each part photos of its own"))
    if len(kept) < 2:
        return []
    findings += _rest(kept, names.files, key)
    return kept


def _place(entry: str, root: str, names: _Names) -> str | None:
    """Key of the folder or list meant: below the root's path, or as much of the end of the path as exists."""
    plain = [one for one in entry.replace("\\", "/").split("/") if one not in {"", ".", ".."}]
    before = [one for one in root.replace("\\", "/").split("/") if one not in {"", ".", ".."}]
    if not plain:
        return ""
    for parts in (before + plain, *(plain[start:] for start in range(len(plain)))):
        key = "/".join(parts)
        if key in names.texts or names.has_folder(key):
            return key
    return None


def _of_obj_data(files: SourceFiles, names: _Names, findings: list[Finding]) -> list[_Part]:
    """darknet: ``train = data/train.txt`` and ``valid = data/test.txt`` in a file ``*.data``."""
    for key in (key for key in files.others if "/" not in key and key.lower().endswith(".data")):
        data = _of_key(files, key, findings) or b""
        pairs = [line.partition("=") for line in data.decode("utf-8-sig", errors="replace").splitlines()]
        values = {name.strip(): value.strip() for name, found, value in pairs if found}
        given = {PARTS[name]: [value] for name, value in values.items() if name in PARTS and value}
        if given:
            return _of_places(key, given, "", names, findings)
    return []


def _of_image_sets(files: SourceFiles, names: _Names, findings: list[Finding]) -> list[_Part]:
    """Pascal VOC; lists of a single class (``car_train.txt``) and ``trainval.txt`` are left aside."""
    keys = [key for key in files.others if key.rpartition("/")[0].endswith("ImageSets/Main")]
    return _of_named([key for key in keys if PurePosixPath(key).stem in PARTS], files, names, findings)


def _of_texts(files: SourceFiles, names: _Names, findings: list[Finding]) -> list[_Part]:
    keys = [key for key in files.others if "/" not in key and key.lower().endswith(".txt")]
    return _of_named([key for key in keys if PurePosixPath(key).stem in PARTS], files, names, findings)


def _of_named(keys: Sequence[str], files: SourceFiles, names: _Names, findings: list[Finding]) -> list[_Part]:
    if len({PARTS[PurePosixPath(key).stem] for key in keys}) < 2:
        return []
    read = [(key, _of_key(files, key, findings), "") for key in keys]
    parts = _of_lists([(key, data, part) for key, data, part in read if data is not None], names, findings)
    parts = [part for part in parts if part.keys]
    findings += _rest(parts, files, ", ".join(keys))
    return parts


def _of_folders(files: SourceFiles, names: _Names, findings: list[Finding]) -> list[_Part]:  # noqa: ARG001 - one form
    """``train/images``, ``images/train``, ``train2017``: photographs by the folder that is named after a part."""
    found: dict[str, _Part] = {}
    for photo in files.photos:
        folders = photo.key.split("/")[:-1]
        for depth, folder in enumerate(folders):
            part = part_of(folder)
            if part is not None:
                place = "/".join(folders[: depth + 1])
                found.setdefault(part, _Part(part, f"{place}/")).keys.add(photo.key)
                break
    if "train" not in found or len(found) < 2:
        return []
    parts = [found[name] for name in dict.fromkeys(PARTS.values()) if name in found]
    findings += _rest(parts, files, "folders")
    return parts


def _rest(parts: Sequence[_Part], files: SourceFiles, source: str) -> list[Finding]:
    """Photographs in no part."""
    if not parts:
        return []
    named = set[str]().union(*(part.keys for part in parts))
    rest = [photo.key for photo in files.photos if photo.key not in named]
    if not rest:
        return []
    what = f"{_count(len(rest), 'photo')} of {len(files.photos)} in no part of the split ({_some(rest)})"
    return [Finding("warning", CODE, source, what, "Add them to a part, or leave them out on purpose")]


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and one.strip() and one != "null"]


def _stem_part(source: str) -> str:
    stem = PurePosixPath(source).stem
    match = _NUMBERED.fullmatch(stem)
    known = PARTS.get(match[1].lower()) if match else None
    return stem if known is None or match is None else f"{known}{match[2]}"


def _number(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    return match[2] if match else ""


def _shown_path(files: SourceFiles, path: Path) -> str:
    resolved = path.resolve()
    return resolved.relative_to(files.root).as_posix() if resolved.is_relative_to(files.root) else str(path)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(printable(name, at_most=80) for name in names[:NAMES_SHOWN]) + more


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
