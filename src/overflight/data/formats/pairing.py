"""Which photograph a label file without a name in it belongs to, for formats with one file per photograph.

Folders for labels stand beside folders for photographs: ``labelTxt/north/a.txt`` belongs to ``images/north/a.jpg``. It
opens no file.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from overflight.data.files import PhotoFile, SourceFiles, composed
from overflight.data.formats.entries import counted, lines_of

HEAD_BYTES = 65_536
CANDIDATES = 5
_LOOKED_AT = 1000
_LINES_LOOKED_AT = 20
_NO_LABELS = frozenset({"classes", "train", "val", "valid", "test", "trainval", "default", "readme", "license"})


@dataclass(frozen=True)
class Pairs:
    """Pairs label files with photographs.

    Attributes:
        files: The source.
        is_label_folder: Whether a folder of this name holds labels, so that it does not count in the path.
    """

    files: SourceFiles
    is_label_folder: Callable[[str], bool]

    def path_of(self, key: str) -> str:
        """Path of a label file without its suffix and without folders for labels or images."""
        *folders, file = key.split("/")
        kept = [name for name in folders if not self.is_label_folder(name) and name not in {"images", "JPEGImages"}]
        return "/".join([*kept, file.rpartition(".")[0] or file])

    def of(self, key: str) -> tuple[PhotoFile, ...]:
        """The photographs that the label file ``key`` can belong to; more than one when it cannot be told.

        Tried in this order: the whole name (``a.jpg.txt``), the name without suffix in the same folder, then in any.
        The two ways in which Unicode writes an accent are one name, unless photographs differ by just that.
        """
        path = self.path_of(key)
        file = PurePosixPath(path).name
        for index, wanted in (
            (self._by_name, path),
            (self._by_stem, path),
            (self._by_file_name, file),
            (self._by_file_stem, file),
        ):
            found = index.get(composed(wanted))
            if found:
                return tuple(found if len(found) == 1 else _written_like(found, wanted))
        return ()

    @cached_property
    def _by_name(self) -> dict[str, list[PhotoFile]]:
        return _grouped(self.files.photos, lambda photo: photo.name)

    @cached_property
    def _by_stem(self) -> dict[str, list[PhotoFile]]:
        return _grouped(self.files.photos, lambda photo: without_suffix(photo.name))

    @cached_property
    def _by_file_name(self) -> dict[str, list[PhotoFile]]:
        return _grouped(self.files.photos, lambda photo: PurePosixPath(photo.name).name)

    @cached_property
    def _by_file_stem(self) -> dict[str, list[PhotoFile]]:
        return _grouped(self.files.photos, lambda photo: without_suffix(PurePosixPath(photo.name).name))


def label_paths(paths: Mapping[str, str]) -> dict[str, str]:
    """Path of the label file, without suffix, of each photograph, by key; ``paths`` are the photographs' own.

    Without the photograph's suffix where that is clear; with it where two photographs differ only by it.
    """
    stems: dict[str, int] = defaultdict(int)
    for path in paths.values():
        stems[without_suffix(path)] += 1
    whole = set(paths.values())
    return {
        key: stem if stems[stem := without_suffix(path)] == 1 and stem not in whole else path
        for key, path in paths.items()
    }


def text_candidates(files: SourceFiles, is_label_folder: Callable[[str], bool], *, suffix: str = ".txt") -> list[str]:
    """Keys of text files that may hold the labels of one photograph, by their names.

    ``train.txt`` and the like are lists, but not in a folder for labels: there they belong to ``train.jpg``.
    """
    return [
        key
        for key in files.others
        if key.lower().endswith(suffix)
        and (PurePosixPath(key).stem.lower() not in _NO_LABELS or in_label_folder(key, is_label_folder))
    ]


def in_label_folder(key: str, is_label_folder: Callable[[str], bool]) -> bool:
    """Whether one of the folders above ``key`` is for labels."""
    return any(is_label_folder(name) for name in key.split("/")[:-1])


def same_places(keys: Iterable[str], fitting: Iterable[str], is_label_folder: Callable[[str], bool]) -> tuple[str, ...]:
    """Those of ``keys`` that are where the ``fitting`` ones are: in folders for labels, else in the same folders."""
    found = list(fitting)
    if any(in_label_folder(key, is_label_folder) for key in found):
        return tuple(sorted(key for key in keys if in_label_folder(key, is_label_folder)))
    folders = {PurePosixPath(key).parent for key in found}
    return tuple(sorted(key for key in keys if PurePosixPath(key).parent in folders))


def heads_of_some(files: SourceFiles, keys: Iterable[str]) -> dict[str, bytes]:
    """First 64 KiB of at most 5 files that are not empty, spread over ``keys``."""
    some = list(keys)
    # from all over the list (always the same ones): the first names are of one flight, and its labels may be empty
    random.Random(len(some)).shuffle(some)
    heads: dict[str, bytes] = {}
    for key in some[:_LOOKED_AT]:
        try:
            with files.path(key).open("rb") as handle:
                head = handle.read(HEAD_BYTES)
        except OSError:
            continue
        if head.strip():
            heads[key] = head
        if len(heads) == CANDIDATES:
            break
    return heads


def sniffed_texts(
    files: SourceFiles, is_label_folder: Callable[[str], bool], fits: Callable[[list[str]], bool]
) -> tuple[str, ...]:
    """Keys of the label files of a format with one text file per photograph; none when it is another format.

    Empty files belong to the format whose folder they are in: photographs without objects.

    Args:
        files: The source.
        is_label_folder: Whether a folder of this name holds labels of the format.
        fits: Whether the first lines (not blank) of a file are of the format.
    """
    keys = text_candidates(files, is_label_folder)
    heads = heads_of_some(files, keys)
    fitting = [key for key, head in heads.items() if fits(_lines(head))]
    if not heads:
        fitting = [key for key in keys if in_label_folder(key, is_label_folder)]
    if not fitting or 2 * len(fitting) < len(heads):
        return ()
    return same_places(keys, fitting, is_label_folder)


def _lines(head: bytes) -> list[str]:
    lines = lines_of(head.decode("utf-8-sig", errors="replace"))
    if len(head) == HEAD_BYTES:
        del lines[-1]  # cut in the middle
    return [line for line in lines if line.strip()][:_LINES_LOOKED_AT]


def evidence(found: Iterable[str], what: str) -> str:
    """``12 files with ..., first: labelTxt/a.txt``; ``what`` is what is in each."""
    keys = list(found)
    return f"{counted(len(keys), 'file', 'files')} with {what}, first: {keys[0]}"


def without_suffix(path: str) -> str:
    """``f/a`` of ``f/a.jpg``."""
    return str(PurePosixPath(path).with_suffix(""))


def _grouped(photos: tuple[PhotoFile, ...], by: Callable[[PhotoFile], str]) -> dict[str, list[PhotoFile]]:
    groups: dict[str, list[PhotoFile]] = defaultdict(list)
    for photo in photos:
        groups[composed(by(photo))].append(photo)
    return groups


def _written_like(photos: list[PhotoFile], wanted: str) -> list[PhotoFile]:
    """Those whose names hold ``wanted`` accent by accent as written; all of them when there is none."""
    return [photo for photo in photos if wanted in photo.name] or photos
