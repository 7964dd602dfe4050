"""VisDrone: one text file per photograph, ``left,top,width,height,score,category,truncation,occlusion`` a line.

Pixels, half-open. Categories are 0 ignored regions, 1 to 10 the classes, 11 others (VisDrone2018-DET toolkit). As in
that toolkit, category 0 and a score of 0 mean a region that counts neither as object nor as background; the class of an
ignored region means nothing, here it is class 0. With a ``classes.txt`` category k is its line k, so that sets with
other classes can be written. It knows no photograph beyond its name and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from overflight.data.files import SourceFiles
from overflight.data.formats.entries import Refusal, classes_file, finite_numbers, sentences
from overflight.data.formats.gather import Gathering, Pile, nothing_readable, texts_of_photos
from overflight.data.formats.json_files import collector_paused
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.pairing import Pairs, evidence, label_paths, sniffed_texts
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, number, oriented, write_classes, write_small, written_names

NAME = "visdrone"
CLASSES = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
OTHERS = "others"
COLUMNS = ("left", "top", "width", "height", "score", "category", "truncation", "occlusion")


@dataclass
class _Counts:
    score_0: int = 0
    truncated: int = 0
    occluded: int = 0
    files: int = 0


def sniff(files: SourceFiles) -> Sniffed | None:
    """Text files whose lines hold eight numbers between commas."""
    keys = sniffed_texts(files, is_label_folder, _fits)
    if not keys:
        return None
    return Sniffed(NAME, keys, evidence(keys, "eight numbers between commas a line"))


def is_label_folder(name: str) -> bool:
    """Whether a folder of this name holds annotations."""
    return name.lower() == "annotations"


def _fits(lines: list[str]) -> bool:
    good = sum(1 for line in lines if not isinstance(_numbers(line), Refusal))
    return good > 0 and 2 * good >= len(lines)


@collector_paused()
def read(files: SourceFiles, sizes: Mapping[str, tuple[int, int]], *, labels: tuple[str, ...]) -> LabelSet:
    """Labels of VisDrone files.

    Args:
        files: The source.
        sizes: Upright width and height in pixels of the photographs that can be read, by key.
        labels: Keys of the text files.

    Raises:
        InputError: no label file, or none of them can be read.
    """
    declared = _declared(files)
    classes = (*CLASSES, OTHERS) if declared is None else declared
    gathered = Gathering(files, sizes)
    for name in classes:
        gathered.class_of(name)
    counts = _Counts()
    others = False
    for key, pile, lines in texts_of_photos(files, labels, Pairs(files, is_label_folder), gathered):
        counts.files += 1
        for number_, line in enumerate(lines, start=1):
            if line.strip():
                found = _box(line, classes)
                if isinstance(found, Refusal):
                    gathered.refuse(found, where=f"{key}:{number_}", entry=line, photo=pile.photo)
                else:
                    _add(found, number_, pile, counts)
                    others |= found[5] == len(CLASSES) + 1
    if not counts.files:
        raise nothing_readable(files, labels, gathered, "Put the text files into a folder annotations")
    if declared is None and not others:
        classes = CLASSES
        del gathered.class_ids[OTHERS]
    losses = sentences(
        (
            counts.score_0,
            "box with score 0 is an ignored region, as in VisDrone's toolkit",
            "boxes with score 0 are ignored regions, as in VisDrone's toolkit",
        ),
        (counts.truncated, "object is marked truncated", "objects are marked truncated"),
        (counts.occluded, "object is marked occluded", "objects are marked occluded"),
    )
    return gathered.finish(NAME, classes, losses)


def _declared(files: SourceFiles) -> tuple[str, ...] | None:
    """Names of ``classes.txt``; None where they are VisDrone's own. A first line for category 0 is left out."""
    names = classes_file(files)
    if names is not None and len(names) > 1 and names[0].lower().startswith("ignored"):
        names = names[1:]
    return None if names == CLASSES else names


def _box(line: str, classes: tuple[str, ...]) -> list[float] | Refusal:
    values = _numbers(line)
    if isinstance(values, Refusal):
        return values
    category = values[5]
    if category != int(category):
        return Refusal("unknown-class", f"category {category:g} is not a whole number", "Write its number")
    if not 0 <= category <= len(classes):
        what = f"category {category:g} is not known; 0 is ignored, {len(classes)} is the last ({classes[-1][:60]})"
        return Refusal("unknown-class", what, "Correct the line, or give the classes in classes.txt")
    return values


def _numbers(line: str) -> list[float] | Refusal:
    fields = line.strip().split(",")
    if len(fields) == len(COLUMNS) + 1 and not fields[-1].strip():
        fields.pop()
    if len(fields) != len(COLUMNS):
        hint = f"Write `{','.join(COLUMNS)}`"
        if len(fields) == 10:
            hint = "Ten columns are VisDrone's videos: export single images. " + hint
        return Refusal("columns", f"{len(fields)} columns where 8 are needed", hint)
    return finite_numbers(fields, COLUMNS)


def _add(values: list[float], number_: int, pile: Pile, counts: _Counts) -> None:
    left, top, width, height, score, category, truncation, occlusion = values
    counts.score_0 += score == 0 and category != 0
    counts.truncated += truncation != 0
    counts.occluded += occlusion != 0
    pile.labels.add(
        max(0, int(category) - 1),
        (left, top, left + width, top + height),
        number=number_,
        ignored=category == 0 or score == 0,
    )


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``annotations/*.txt``, and ``classes.txt`` unless the classes are VisDrone's; photographs go to ``images``.

    Raises:
        InputError: a name in ``names`` that is no path below a folder.
    """
    losses = Losses()
    paths = written_names(labels, names, losses)
    stems = label_paths(paths)
    classless = 0
    for key in paths:
        found = labels.photos[key]
        losses.oriented += int(oriented(found).sum())
        classless += 0 if found.ignored is None else int((found.ignored & (found.class_ids != 0)).sum())
        write_small(folder / f"annotations/{stems[key]}.txt", _text(found))
    if labels.classes != CLASSES:
        write_classes(labels, folder)
    losses.more += sentences((classless, "ignored region lost its class", "ignored regions lost their class"))
    return Written({key: f"images/{path}" for key, path in paths.items()}, losses.sentences())


def _text(labels: PhotoLabels) -> str:
    ignored = [False] * len(labels) if labels.ignored is None else labels.ignored.tolist()
    rows = zip(labels.class_ids.tolist(), labels.xyxy_px.tolist(), ignored, strict=True)
    lines = []
    for class_id, (x1, y1, x2, y2), left_out in rows:
        box = ",".join(number(value) for value in (x1, y1, x2 - x1, y2 - y1))
        lines.append(f"{box},0,0,0,0\n" if left_out else f"{box},1,{class_id + 1},0,0\n")
    return "".join(lines)
