"""Photographs as label files name them: which file is meant, how large it is, and what is wrong with the name.

It collects the findings that readers of central label files have in common. It knows no format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.json_files import printable, shown

Sizes = Mapping[str, tuple[int, int]]
NO_SIZE = (0, 0)


@dataclass(frozen=True)
class NamedPhoto:
    """What a name of a label file leads to.

    Attributes:
        key: Key of the photograph, or the name itself where there is no such file.
        size_wh_px: Of the file, else as declared, else (0, 0).
        refusal: Code with which its entries are refused because no size is known, else "".
    """

    key: str
    size_wh_px: tuple[int, int]
    refusal: str = ""


@dataclass
class NamedPhotos:
    """Resolves the names of one reader's label files.

    Attributes:
        files: Files of the source.
        sizes: Upright width and height of readable photographs.
        findings: Names without a file, sizes that differ, photographs named twice.
        absent: Keys without a file.
        first_named: Label file and number of the first entry, by key.
    """

    files: SourceFiles
    sizes: Sizes
    findings: list[Finding] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    first_named: dict[str, str] = field(default_factory=dict)
    _keys_of_absent: dict[str, str] = field(default_factory=dict)

    def take(
        self,
        name: str,
        *,
        label_file: str,
        where: str,
        declared_wh: tuple[int, int] | None,
        file: PhotoFile | None = None,
    ) -> NamedPhoto:
        """The photograph called ``name`` by an entry at ``where`` of ``label_file``.

        Args:
            name: As written.
            label_file: Its key.
            where: Place of the entry.
            declared_wh: Size that the label file gives, None when it gives none.
            file: The photograph, where the caller knows better than the name.
        """
        file = file or self.files.resolve(name, beside=label_file)
        if file is None and (there := self.files.unusable.resolve(name, beside=label_file)) is not None:
            self._note_repeat(there.key, where, photo=there.key)
            return NamedPhoto(there.key, NO_SIZE, "unreadable-photo")  # counted once: its finding says why
        if file is None:
            return self._absent(name, label_file=label_file, where=where, declared_wh=declared_wh)
        self._note_repeat(file.key, where, photo=file.key)
        size = self.sizes.get(file.key)
        if size is None:
            return NamedPhoto(file.key, declared_wh or NO_SIZE, "" if declared_wh else "unreadable-photo")
        if declared_wh is not None and declared_wh != size:
            self.findings.append(_size_differs(file.key, where, declared_wh, size))
        return NamedPhoto(file.key, size)

    def missing_labels(self, mentioned: set[str]) -> list[Finding]:
        """One finding for every photograph that is not in ``mentioned``."""
        cure = "Label it (an entry without boxes says that it shows none) or take it out"
        return [
            Finding("error", "missing-labels", photo.key, "no label file mentions it", cure, photo.key)
            for photo in self.files.photos
            if photo.key not in mentioned
        ]

    @cached_property
    def _taken(self) -> set[str]:
        return {photo.key for photo in self.files.photos}

    @cached_property
    def _file_names(self) -> Counter[str]:
        return Counter(photo.key.rsplit("/", 1)[-1] for photo in self.files.photos)

    def _absent(self, name: str, *, label_file: str, where: str, declared_wh: tuple[int, int] | None) -> NamedPhoto:
        key = self._keys_of_absent.get(name)
        if key is None:
            key = self._keys_of_absent[name] = self._unique(printable(name) or "(no name)")
            self.absent.add(key)
            self.findings.append(replace(self._missing(name, label_file), names=key))
        self._note_repeat(key, where, photo="")
        return NamedPhoto(key, declared_wh or NO_SIZE, "" if declared_wh else "missing-photo")

    def _unique(self, name: str) -> str:
        key, count = name, 1
        while key in self.absent or key in self._taken:
            count += 1
            key = f"{name} ({count})"
        return key

    def _missing(self, name: str, label_file: str) -> Finding:
        alike = self.files.similar(name)
        if alike is not None:
            what = f"{shown(name)} has labels and there is no such photograph"
            cure = f"Probably {shown(alike.key)} is meant: give both the same name"
            return Finding("error", "name-differs", label_file, what, cure)
        file_name = name.replace("\\", "/").rsplit("/", 1)[-1]
        what = f"{shown(name)} has labels and there is no such photograph"
        if self._file_names[file_name] > 1:
            what = f"{shown(name)} has labels and fits several photographs"
        return Finding("error", "missing-photo", label_file, what, "Add the photograph or take its labels out")

    def _note_repeat(self, key: str, where: str, *, photo: str) -> None:
        first = self.first_named.setdefault(key, where)
        if first != where:
            what = f"{shown(key)} is also named at {first}; the boxes of both were put together"
            self.findings.append(Finding("error", "same-name", where, what, "Keep one of the two entries", photo))


def _size_differs(key: str, where: str, declared: tuple[int, int], size: tuple[int, int]) -> Finding:
    given, real = f"{declared[0]}x{declared[1]}", f"{size[0]}x{size[1]}"
    if declared == size[::-1]:
        what = f"width and height are swapped: labelled as {given} px, upright it has {real} px"
        cure = "The labels were drawn on the unrotated picture: export them for the upright one"
    else:
        what = f"labelled as {given} px, the photograph has {real} px"
        cure = "Label this photograph, or bring the one that was labelled"
    return Finding("error", "size-differs", where, what, cure, key)
