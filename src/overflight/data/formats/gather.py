"""Labels by photograph while label files are walked, for readers that go entry by entry.

Keeps the books: every entry ends as a box or as refused, every photograph with labels or with a finding. It knows no
format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.entries import Refusal, decoded, lines_of, raw
from overflight.data.formats.json_files import shown
from overflight.data.formats.labels import LabelSet, PhotoLabels, PhotoLabelsBuilder, RefusedBox, Unit
from overflight.data.formats.named_photos import NamedPhoto, NamedPhotos
from overflight.data.formats.pairing import Pairs
from overflight.errors import InputError

Size = tuple[int, int]
MAX_TEXT_BYTES = 64_000_000


@dataclass
class Pile:
    """What one photograph has so far.

    Attributes:
        named: The photograph, its size, and the code that refuses its boxes when no size is known.
        there: The photograph was found.
        labels: Its boxes; class ids count names in the order in which :meth:`Gathering.class_of` met them.
    """

    named: NamedPhoto
    there: bool
    labels: PhotoLabelsBuilder

    @property
    def photo(self) -> str:
        """For findings: the key of a photograph that is there, else nothing."""
        return self.named.key if self.there else ""


@dataclass
class Gathering:
    """Collects piles, refused entries and findings of one source.

    Attributes:
        files: The source.
        sizes: Upright sizes of the photographs that could be read.
        unit: What numbers of boxes count.
    """

    files: SourceFiles
    sizes: Mapping[str, Size]
    unit: Unit = "line"
    refused: list[RefusedBox] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    class_ids: dict[str, int] = field(default_factory=dict)
    _piles: dict[str, Pile] = field(default_factory=dict)
    _damaged: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._named = NamedPhotos(self.files, self.sizes, findings=self.findings)

    def pile(
        self, name: str, *, file: str, where: str = "", photo: PhotoFile | None = None, declared: Size | None = None
    ) -> Pile:
        """The pile of the photograph called ``name``; call it once for each entry that stands for a photograph.

        Args:
            name: As the labels write it.
            file: Key of the label file.
            where: Place in it, for an entry that is named twice; the file alone when empty.
            photo: The photograph, where the caller knows better than the name.
            declared: Size that the labels give.
        """
        named = self._named.take(name, label_file=file, where=where or file, declared_wh=declared, file=photo)
        known = self._piles.get(named.key)
        if known is None:
            there = named.key not in self._named.absent
            known = Pile(named, there, PhotoLabelsBuilder(named.size_wh_px, file, self.unit))
            self._piles[named.key] = known
        elif known.named.refusal and not named.refusal:
            known.named = named
            known.labels.size_wh_px = named.size_wh_px
        return known

    def class_of(self, name: str) -> int:
        """Number of the class ``name`` in order of appearance; :meth:`finish` puts the final one in its place."""
        return self.class_ids.setdefault(name, len(self.class_ids))

    def refuse(self, refusal: Refusal, *, where: str, entry: str, photo: str = "", boxes: int = 1) -> None:
        """Note entries that are no boxes; ``photo`` is the key of their photograph, if that is there."""
        finding = Finding("error", refusal.code, where, refusal.what, refusal.cure, photo)
        self.refused.append(RefusedBox(finding, boxes, raw(entry)))

    def damaged(self, refusal: Refusal, *, where: str, photo: str = "") -> None:
        """Note a label file of which nothing is used; ``photo`` is the one it belongs to, if that is known."""
        self.findings.append(Finding("error", refusal.code, where, refusal.what, refusal.cure, photo))
        self._damaged.add(photo)

    def finish(self, format_name: str, classes: Sequence[str], losses: Iterable[str] = ()) -> LabelSet:
        """The label set; ``classes`` must hold every name given to :meth:`class_of`."""
        place = {name: index for index, name in enumerate(classes)}
        final = np.array([place[name] for name in self.class_ids], dtype=np.int64)
        photos: dict[str, PhotoLabels] = {}
        for key, pile in self._piles.items():
            if pile.named.refusal:
                self._without_size(pile)
                continue
            built = pile.labels.build()
            photos[key] = replace(built, class_ids=final[built.class_ids]) if len(built) else built
        self.findings += self._named.missing_labels(set(self._piles) | self._damaged)
        absent = frozenset(key for key in self._named.absent if key in photos)
        return LabelSet(
            format_name, tuple(classes), photos, absent, tuple(self.refused), tuple(self.findings), tuple(losses)
        )

    def _without_size(self, pile: Pile) -> None:
        count = len(pile.labels.class_ids)
        what = "the photograph cannot be used, so its labels cannot either"
        cure = "Replace the photograph by one that can be opened"
        if not pile.there:
            what = "labels a photograph that is not there, and nothing says how large it is"
            cure = "Add the photograph or take its labels out"
        finding = Finding("error", pile.named.refusal, pile.labels.file, what, cure, pile.photo)
        if count:
            self.refused.append(RefusedBox(finding, count))
        elif pile.there:
            self.findings.append(finding)


def texts_of_photos(
    files: SourceFiles, labels: Sequence[str], pairs: Pairs, gathered: Gathering
) -> Iterator[tuple[str, Pile, list[str]]]:
    """Key, pile and lines of each label file, for formats with one text file per photograph.

    Damaged files become findings. The lines of a file that fits several photographs go to none of them.
    """
    for key in labels:
        photos = pairs.of(key)
        photo = photos[0] if len(photos) == 1 else None
        text = _text(files, key)
        if isinstance(text, Refusal):
            gathered.damaged(text, where=key, photo=photo.key if photo else "")
            continue
        if len(photos) > 1:
            what = f"fits {len(photos)} photographs: {', '.join(shown(one.key) for one in photos[:3])}"
            cure = "Put the labels into the sub-folder of the photograph, or name them like a.jpg.txt"
            for one in photos:
                gathered.damaged(Refusal("shared-labels", what, cure), where=key, photo=one.key)
        yield key, gathered.pile(pairs.path_of(key), file=key, photo=photo), lines_of(text)


def _text(files: SourceFiles, key: str) -> str | Refusal:
    try:
        return decoded(files.read(key, max_bytes=MAX_TEXT_BYTES))
    except InputError as error:
        return Refusal("damaged", error.what, error.cure)


def all_classes(gathered: Gathering, declared: Sequence[str] | None) -> tuple[str, ...]:
    """The declared classes, or without such a list the sorted names found."""
    return tuple(declared) if declared is not None else tuple(sorted(gathered.class_ids))


def nothing_readable(files: SourceFiles, labels: Sequence[str], gathered: Gathering, cure: str) -> InputError:
    """The error of a reader that could use none of its label files, with the first reason."""
    if not gathered.findings:
        return InputError("no label files", where=str(files.root), cure=cure)
    first = gathered.findings[0]
    what = f"none of {len(labels)} label files can be read; {first.where} {first.what}"
    return InputError(what, where=str(files.root), cure=first.cure)
