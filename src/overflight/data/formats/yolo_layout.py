"""Which label file belongs to which photograph, and which text files are labels at all.

Understands ``images/`` + ``labels/`` with any sub-folders, ``<split>/images`` + ``<split>/labels``, ``JPEGImages/`` +
``labels/``, and labels beside the photographs. It looks at names, and at the first lines of text files that no
photograph claims.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from overflight.data.files import IMAGE_FOLDERS, OTHER_SUFFIXES, PHOTO_SUFFIXES, SourceFiles, composed
from overflight.data.formats.yolo_names import is_class_file
from overflight.data.formats.yolo_text import is_number, is_polygon
from overflight.errors import InputError

LABELS = "labels"
PEEK_BYTES = 65_536
PEEKED_AT_MOST = 200

_NOT_LABELS = frozenset(
    "classes.txt readme.txt license.txt licence.txt notes.txt train.txt val.txt valid.txt test.txt trainval.txt".split()  # noqa: SIM905 - readable
)


@dataclass(frozen=True)
class Pairs:
    """Photographs and label files.

    Attributes:
        labels: Key of the label file by photo key.
        missing: Where the label file of each photograph without one is expected, by photo key.
        shared: Photographs whose label file belongs to another one already: that one, by photo key.
        second: Photograph of each label file that stands beside the one in ``labels``, by key of the file.
        unusable: Photograph that is there and cannot be taken (another format, a link, a pipe), by key of the file.
        unpaired: Text files that no photograph claims, sorted.
    """

    labels: dict[str, str]
    missing: dict[str, str]
    shared: dict[str, str]
    second: dict[str, str]
    unusable: dict[str, str]
    unpaired: tuple[str, ...]


def pair(files: SourceFiles, labels: Sequence[str]) -> Pairs:
    """Find the label file of each photograph among ``labels`` (keys).

    The two ways in which Unicode writes an accent are one name, and the way of the photograph goes first.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for key in sorted(labels, key=lambda key: (not key.endswith(".txt"), key)):  # a.txt goes before a.TXT
        if key.lower().endswith(".txt"):
            by_stem[composed(key[:-4])].append(key)
    has_root = any(key.startswith(f"{LABELS}/") for key in by_stem)
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    shared: dict[str, str] = {}
    owner: dict[str, str] = {}
    candidates: dict[str, list[str]] = {}
    for photo in files.photos:
        stems = places(photo.key, has_root=has_root)
        mine = [key for stem in stems for key in by_stem.get(composed(stem), ())]
        if len(mine) > 1:
            mine = [key for exact in (True, False) for key in mine if (key[:-4] in stems) == exact]
        if not mine:
            missing[photo.key] = f"{stems[0]}.txt"
        elif owner.setdefault(mine[0], photo.key) != photo.key:
            shared[photo.key] = owner[mine[0]]
        else:
            found[photo.key] = mine[0]
            candidates[photo.key] = mine[1:]
    second: dict[str, str] = {}
    for photo_key, others in candidates.items():  # when each has its own: what is left is of nobody else
        second |= {key: photo_key for key in others if key not in owner and key not in second}
    unusable: dict[str, str] = {}
    for photo in files.unusable.photos:
        stems = places(photo.key, has_root=has_root)
        mine = [key for stem in stems for key in by_stem.get(composed(stem), ())]
        unusable |= {key: photo.key for key in mine if key not in owner and key not in second and key not in unusable}
    unpaired = sorted(key for key in labels if not (key in owner or key in second or key in unusable))
    return Pairs(found, missing, shared, second, unusable, tuple(unpaired))


def places(photo_key: str, *, has_root: bool = True) -> list[str]:
    """Where the labels of a photograph may be, without ``.txt``, the usual place first."""
    stem = photo_key[: photo_key.rindex(".")]
    parts = stem.split("/")
    at = next((index for index in range(len(parts) - 2, -1, -1) if parts[index] in IMAGE_FOLDERS), None)
    if at is not None:
        return ["/".join([*parts[:at], LABELS, *parts[at + 1 :]]), stem]
    return [f"{LABELS}/{stem}", stem] if has_root else [stem]


def label_files(files: SourceFiles) -> tuple[str, ...]:
    """Keys of the text files that are YOLO labels by place or content, sorted.

    Those of photographs count whatever they hold. Others count in a folder of labels unless their name or content says
    that they are something else, and elsewhere if they start like labels (looked into: at most 200).
    """
    texts = [key for key in files.others if key.lower().endswith(".txt") and not is_class_file(key)]
    pairs = pair(files, texts)
    found = [*pairs.labels.values(), *pairs.unusable]
    folders = {_folder(key) for key in found}
    peeked = 0
    for key in sorted([*pairs.second, *pairs.unpaired]):
        if PurePosixPath(key).name.lower() in _NOT_LABELS:
            continue
        look = ""
        if peeked < PEEKED_AT_MOST:
            peeked += 1
            look = what_is(peek(files, key))
        at_home = LABELS in PurePosixPath(key).parts[:-1] or _folder(key) in folders
        if look in {"detect", "obb", "segment"}:
            found.append(key)
            folders.add(_folder(key))
        elif (at_home and look != "list") or (key in pairs.second and look == "empty"):
            found.append(key)
    return tuple(sorted(found))


def samples(files: SourceFiles, keys: Iterable[str], *, at_most: int = 5) -> Iterator[tuple[str, str]]:
    """The first label files that hold something: key and what their lines are."""
    left, tries = at_most, 1000
    for key in keys:
        if not left or not tries:
            return
        tries -= 1
        data = peek(files, key)
        if data.strip():
            left -= 1
            yield key, what_is(data)


def what_is(data: bytes) -> str:
    """``detect``, ``obb``, ``segment``, ``list`` (of photographs), ``empty`` or ``other``, by the first lines."""
    lines = [line for line in data.decode("utf-8-sig", errors="replace").splitlines()[:100] if line.strip()]
    if not lines:
        return "empty"
    votes = Counter(_what_is(line) for line in lines)
    kind, count = votes.most_common(1)[0]
    return kind if count * 2 >= len(lines) else "other"


def peek(files: SourceFiles, key: str) -> bytes:
    """The whole lines at the beginning of a file; nothing when it cannot be opened."""
    try:
        with files.path(key).open("rb") as handle:
            data = handle.read(PEEK_BYTES)
    except OSError:
        return b""
    return data if len(data) < PEEK_BYTES else data[: data.rfind(b"\n") + 1]


def read_labels_file(files: SourceFiles, key: str, *, max_bytes: int) -> tuple[bytes, InputError | None]:
    """Bytes of a label file, or why there are none."""
    try:
        return files.read(key, max_bytes=max_bytes), None
    except InputError as error:
        return b"", error


def _what_is(line: str) -> str:
    fields = line.split()
    if fields[0].isascii() and fields[0].isdigit() and all(is_number(one) for one in fields):
        columns = len(fields)
        if columns == 5:
            return "detect"
        inside = sum(-1 <= float(one) <= 2 for one in fields[1:]) * 2 >= columns - 1  # pixels are mostly larger
        if columns == 9:
            return "obb" if inside else "other"
        if is_polygon(columns):
            return "segment" if inside else "other"
        return "other"
    suffix = PurePosixPath(line.strip()).suffix.lower()
    return "list" if suffix in PHOTO_SUFFIXES or suffix in OTHER_SUFFIXES else "other"


def _folder(key: str) -> str:
    return key.rpartition("/")[0]
