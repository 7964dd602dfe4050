"""YOLO text labels: one line ``class cx cy w h`` per box, centre and size as fractions 0..1 of the upright photograph.

The reader is strict: every line it cannot take as it stands becomes a finding with file, line and cure; nothing is
guessed. A byte order mark, CRLF and blank lines are harmless and only counted. It also reads class names from the
files that accompany such labels. It knows nothing of photographs beyond their names. Format:
docs.ultralytics.com/datasets/detect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from overflight.data.findings import Finding, Severity
from overflight.errors import InputError
from overflight.imaging.boxes import Boxes, cxcywh_from_xyxy, xyxy_from_cxcywh

TOLERANCE = 1e-6
OVERHANG_TOLERATED = 0.005
DECIMALS = 8
CLASS_FILES = ("classes.txt", "obj.names")

_COLUMN_HINTS = {
    4: "The class is missing: write `class cx cy w h`",
    6: "A sixth column looks like a score: give labels, not predictions",
    9: "Nine columns look like oriented boxes: convert them to `class cx cy w h`",
}


@dataclass(frozen=True)
class LabelFile:
    """Content of one label file.

    Attributes:
        rows: (N, 5) float64: class, cx, cy, w, h (fractions 0..1); faulty lines and duplicates are not in it.
        findings: What is wrong, by line.
        blank_lines: Number of empty lines.
        has_bom: Starts with a byte order mark.
        has_crlf: Uses Windows line ends.
    """

    rows: NDArray[np.float64]
    findings: tuple[Finding, ...]
    blank_lines: int = 0
    has_bom: bool = False
    has_crlf: bool = False


def read_labels(data: bytes, *, classes: int, where: str, photo: str = "") -> LabelFile:
    """Read one label file strictly; an empty one means: nothing to see in the photograph.

    Args:
        data: The file's bytes.
        classes: Number of classes; indices 0..classes-1 are known.
        where: Name for findings.
        photo: Photo the findings belong to.
    """
    bom = data.startswith(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        cure = "Save it as plain text: one line `class cx cy w h` per box"
        return LabelFile(
            np.zeros((0, 5)), (Finding("error", "not-text", where, "is not UTF-8 text", cure, photo),), has_bom=bom
        )
    rows: dict[tuple[float, ...], int] = {}
    findings: list[Finding] = []
    blank = 0
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            blank += 1
            continue
        row, problem = _read_line(line, classes=classes)
        if problem is None and row in rows:
            problem = _Problem("warning", "duplicate", f"repeats line {rows[row]}", "It is used once; remove it")
        elif row is not None:
            rows[row] = number
        if problem is not None:
            findings.append(
                Finding(problem.severity, problem.code, f"{where}:{number}", problem.what, problem.cure, photo)
            )
    array = np.array(list(rows), dtype=np.float64).reshape(-1, 5)
    return LabelFile(array, tuple(findings), blank, bom, "\r\n" in text)


@dataclass(frozen=True)
class _Problem:
    severity: Severity
    code: str
    what: str
    cure: str


def _read_line(line: str, *, classes: int) -> tuple[tuple[float, ...] | None, _Problem | None]:
    fields = line.split()
    if len(fields) != 5:
        hint = _COLUMN_HINTS.get(len(fields), "Write `class cx cy w h`")
        if len(fields) > 6 and len(fields) % 2 == 1 and len(fields) != 9:
            hint = "That looks like a polygon: convert it to its box `class cx cy w h`"
        return None, _Problem("error", "columns", f"{len(fields)} columns where 5 are needed", hint)
    bad = next((field for field in fields if not _is_number(field)), None)
    if bad is not None:
        return None, _Problem("error", "not-a-number", f"{bad[:40]!r} is not a number", "Write a decimal number")
    values = [float(field) for field in fields]
    if not all(math.isfinite(value) for value in values):
        return None, _Problem("error", "not-finite", "holds NaN or infinity", "Draw this box again or remove the line")
    problem = _check_class(fields[0], classes=classes) or _check_box(values[1:])
    if problem is not None and problem.severity == "error":
        return None, problem
    return tuple(values), problem


def _check_class(field: str, *, classes: int) -> _Problem | None:
    if not field.isascii() or not field.isdigit():
        return _Problem("error", "class-not-integer", f"class {field[:40]!r} is not a whole number", "Write its index")
    if float(field) >= classes:
        return _Problem(
            "error",
            "unknown-class",
            f"class {field[:40].lstrip('0')} is not known (there are {classes}: 0 to {classes - 1})",
            "Add its name to the list of classes or correct the line",
        )
    return None


def _check_box(cxcywh: Sequence[float]) -> _Problem | None:
    cx, cy, width, height = cxcywh
    if max(cxcywh) > 1 + TOLERANCE or min(cx, cy) < -TOLERANCE:
        hint = "These look like pixels: divide by the photo's width and height" if max(cxcywh) > 2 else "Draw it again"
        return _Problem("error", "out-of-range", f"a value is outside 0..1 ({_shown(cxcywh)})", hint)
    if width <= 0 or height <= 0:
        return _Problem(
            "error", "no-size", f"the box has no size ({width:g} x {height:g})", "Remove it or draw it again"
        )
    overhang = max(width / 2 - cx, height / 2 - cy, cx + width / 2 - 1, cy + height / 2 - 1)
    if overhang > OVERHANG_TOLERATED:
        what = f"the box leaves the photo by {overhang:.1%} of its side ({_shown(cxcywh)})"
        return _Problem(
            "error", "outside", what, "Draw it inside the photo; check that width and height are not swapped"
        )
    if overhang > TOLERANCE:
        what = f"the box leaves the photo by {overhang:.2%} of its side"
        return _Problem("warning", "overhang", what, "It is cut at the border")
    return None


def _shown(cxcywh: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in cxcywh)


def _is_number(field: str) -> bool:
    if "_" in field:  # Python's own spelling of 1_000 is not anybody's label
        return False
    try:
        float(field)
    except ValueError:
        return False
    return True


def format_labels(class_ids: NDArray[np.integer], cxcywh: Boxes) -> str:
    """Label text of N boxes: class ids (N,) and fractions ``cx cy w h`` (N, 4), 8 decimals (0.001 px in 100,000)."""
    pairs = zip(class_ids.tolist(), cxcywh.tolist(), strict=True)
    return "".join(f"{index} " + " ".join(f"{value:.{DECIMALS}f}" for value in box) + "\n" for index, box in pairs)


def xyxy_px_from_rows(rows: NDArray[np.float64], *, width_px: int, height_px: int) -> Boxes:
    """Corners (N, 4) in pixels from label rows (N, 5), cut at the photograph's border."""
    scale = np.array([width_px, height_px, width_px, height_px], dtype=np.float64)
    return np.clip(xyxy_from_cxcywh(rows[:, 1:5]), 0, 1) * scale


def fractions_from_xyxy_px(xyxy_px: Boxes, *, width_px: int, height_px: int) -> Boxes:
    """Fractions ``cx cy w h`` (N, 4) from corners (N, 4) in pixels."""
    return cxcywh_from_xyxy(xyxy_px / np.array([width_px, height_px, width_px, height_px], dtype=np.float64))


def read_class_names(root: Path) -> tuple[str, ...]:
    """Names of the classes of the survey in ``root``, by index.

    Looks for ``data.yaml`` (or the only other YAML file that has ``names``), then ``classes.txt`` or ``obj.names``
    (also in ``labels/``), then a single ``*.names``.

    Raises:
        InputError: no such file, unreadable, not one name per index, empty or repeated names.
    """
    yaml_files = sorted([*root.glob("*.yaml"), *root.glob("*.yml")], key=lambda path: (path.stem != "data", path.name))
    for path in yaml_files:
        document = _read_yaml(path)
        if isinstance(document, dict) and "names" in document:
            return _checked(_names_by_index(document["names"], path), path)
    folders = (root, root / "labels")
    texts = [folder / name for folder in folders for name in CLASS_FILES] + sorted(root.glob("*.names"))
    for path in texts:
        if path.is_file():
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError as error:
                raise InputError("is not UTF-8 text", where=str(path), cure="Write one class name per line") from error
            while lines and not lines[-1].strip():
                lines.pop()
            return _checked([line.strip() for line in lines], path)
    raise InputError(
        "no names of classes found (data.yaml or classes.txt)",
        where=str(root),
        cure="Put a file classes.txt with one class name per line beside images/ and labels/",
    )


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = str(path) if line is None else f"{path}:{line + 1}"
        raise InputError(
            "is not valid YAML", where=where, cure="Correct the file, or use classes.txt instead"
        ) from error


def _names_by_index(names: Any, path: Path) -> list[str]:
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise InputError(
                f"the keys of `names` are not 0 to {len(names) - 1}", where=str(path), cure="Number the classes from 0"
            )
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list):
        raise InputError("`names` is neither a list nor a mapping", where=str(path), cure="Write `names: [car, boat]`")
    return [str(name).strip() for name in names]


def _checked(names: list[str], path: Path) -> tuple[str, ...]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or not all(names):
        raise InputError("a class has no name", where=str(path), cure="Give every class a name")
    if repeated:
        raise InputError(f"the class name {repeated[0]!r} is used twice", where=str(path), cure="Use different names")
    return tuple(names)
