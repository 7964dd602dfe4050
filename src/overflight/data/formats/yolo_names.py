"""Names of the classes that accompany YOLO labels: ``data.yaml``, ``classes.txt``, ``obj.names``.

YAML is read as plain text values (``no`` is a name, not a truth value), without aliases and with limits on size and
depth, so that no file can take the machine's memory. It knows no labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from overflight.data.files import SourceFiles, find_files
from overflight.data.findings import Finding
from overflight.errors import InputError

CLASS_FILES = ("classes.txt", "obj.names")
MAX_YAML_BYTES = 1_000_000
MAX_TEXT_BYTES = 10_000_000
MAX_DEPTH = 20

_CURE = "Correct the file, or use classes.txt instead"
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml where PyYAML was built with it


def read_class_names(root: Path) -> tuple[str, ...]:
    """Names of the classes of the survey in ``root``, by index; see :func:`find_class_names`.

    Raises:
        InputError: no file with names that can be used.
    """
    return find_class_names(find_files(root))[0]


def find_class_names(files: SourceFiles) -> tuple[tuple[str, ...], str, tuple[Finding, ...]]:
    """Names of the classes of a source, the file they are from, and findings about files that say otherwise.

    ``data.yaml`` comes first, then other YAML files with ``names``, ``classes.txt``, ``obj.names`` and ``*.names``;
    files in the folder itself and in folders of labels and images before those further below.

    Raises:
        InputError: no file with names that can be used.
    """
    keys = _named_files(files)
    near = [key for key in keys if _is_near(key)]
    found: list[tuple[tuple[str, ...], str]] = []
    findings: list[Finding] = []
    doubtful: list[Finding] = []  # YAML files that may be about anything
    for group in (near, [key for key in keys if key not in set(near)]):
        for key in group:
            try:
                names = names_in(files.path(key), where=key)
            except InputError as error:
                found_wrong = Finding("error", "class-names", error.where or key, error.what, error.cure)
                (findings if _is_meant(key) else doubtful).append(found_wrong)
                continue
            if names is not None:
                found.append((names, key))
        if found:
            break
    if not found and (findings or doubtful):
        first = [*findings, *doubtful][0]
        raise InputError(first.what, where=first.where, cure=first.cure)
    if not found:
        raise _no_names(str(files.root))
    names, source = found[0]
    for other, key in found[1:]:
        if other != names:
            what = f"names other classes than {source} ({_difference(names, other)})"
            findings.append(Finding("error", "class-names", key, what, "Make them equal or remove the wrong one"))
    return names, source, tuple(findings)


def is_class_file(key: str) -> bool:
    """Whether a file of this name holds names of classes instead of labels."""
    name = key.rpartition("/")[2].lower()
    return name in CLASS_FILES or name.endswith(".names")


def names_in(path: Path, *, where: str) -> tuple[str, ...] | None:
    """Names of the classes in one file; None for a YAML file without ``names``.

    Raises:
        InputError: unreadable, not one name per index, empty or repeated names.
    """
    if path.suffix.lower() in {".yaml", ".yml"}:
        document = read_yaml(path, where=where)
        if not isinstance(document, dict) or "names" not in document:
            return None
        names = _checked(_by_index(document["names"], where), where)
        said = document.get("nc", "")
        if isinstance(said, str) and said.strip() and _index(said.strip()) != len(names):
            what = f"says nc: {said[:20]!r} and names {len(names)} classes"
            raise InputError(what, where=where, cure="Correct the one that is wrong")
        return names
    try:
        lines = _bytes(path, where=where, limit=MAX_TEXT_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=where, cure="Write one class name per line") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return _checked([line.strip() for line in lines], where)


def read_yaml(path: Path, *, where: str) -> Any:
    """A YAML file as dicts, lists and texts.

    Raises:
        InputError: it cannot be opened, is too large, not YAML, too deep, has aliases or the same key twice.
    """
    data = _bytes(path, where=where, limit=MAX_YAML_BYTES)
    try:
        # events, not nodes: libyaml's composer calls itself without a limit and dies of deep nesting
        events = yaml.parse(data.decode("utf-8-sig"), Loader=_LOADER)
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                return _value(event, events, where=where)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = where if line is None else f"{where}:{line + 1}"
        raise InputError("is not valid YAML", where=place, cure=_CURE) from error
    return None


def _value(event: yaml.Event, events: Iterator[yaml.Event], *, where: str, depth: int = 0) -> Any:
    """The value that starts with ``event``; without aliases, so that nothing can multiply."""
    place = _at(event, where)
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if isinstance(event, yaml.AliasEvent):
        raise InputError("refers to another place with an alias (*)", where=place, cure="Write the value out")
    if depth > MAX_DEPTH:
        raise InputError("is nested too deeply", where=place, cure=_CURE)
    if isinstance(event, yaml.SequenceStartEvent):
        found: list[Any] = []
        while not isinstance(one := next(events), yaml.SequenceEndEvent):
            found.append(_value(one, events, where=where, depth=depth + 1))
        return found
    pairs: dict[str, Any] = {}
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        at = _at(key, where)
        if not isinstance(key, yaml.ScalarEvent):
            raise InputError("has a key that is no text", where=at, cure=_CURE)
        if key.value in pairs:
            raise InputError(f"has the key {key.value[:40]!r} twice", where=at, cure="Remove one of the two")
        pairs[key.value] = _value(next(events), events, where=where, depth=depth + 1)
    return pairs


def _at(event: yaml.Event, where: str) -> str:
    return where if event.start_mark is None else f"{where}:{event.start_mark.line + 1}"


def _named_files(files: SourceFiles) -> list[str]:
    keys = [key for key in files.others if is_class_file(key) or key.lower().endswith((".yaml", ".yml"))]
    return sorted(keys, key=_precedence)


def _precedence(key: str) -> tuple[int, int, str]:
    path = PurePosixPath(key)
    name = path.name.lower()
    if path.suffix.lower() in {".yaml", ".yml"}:
        rank = 0 if path.stem == "data" else 1
    else:
        rank = 2 + CLASS_FILES.index(name) if name in CLASS_FILES else 9
    return rank, len(path.parts), key


def _is_near(key: str) -> bool:
    folders = PurePosixPath(key).parts[:-1]
    if key.lower().endswith((".yaml", ".yml")):
        return not folders
    return not folders or "labels" in folders or "images" in folders


def _is_meant(key: str) -> bool:
    """Whether a file is about classes by its name; any other YAML file may be about anything."""
    return is_class_file(key) or PurePosixPath(key).stem in {"data", "dataset"}


def _by_index(names: Any, where: str) -> list[str]:
    if isinstance(names, dict):
        numbers = {_index(key): value for key, value in names.items()}
        if set(numbers) != set(range(len(names))):
            what = f"the keys of `names` are not 0 to {len(names) - 1}"
            raise InputError(what, where=where, cure="Number the classes from 0")
        names = [numbers[index] for index in range(len(names))]
    if not isinstance(names, list):
        raise InputError("`names` is neither a list nor a mapping", where=where, cure="Write `names: [car, boat]`")
    if not all(isinstance(name, str) for name in names):
        raise InputError("a name in `names` is no text", where=where, cure="Write `names: [car, boat]`")
    return [name.strip() for name in names]


def _index(key: str) -> int:
    return int(key) if key.isascii() and key.isdigit() and len(key) < 9 else -1


def _checked(names: list[str], where: str) -> tuple[str, ...]:
    if not names or not all(names):
        raise InputError("a class has no name", where=where, cure="Give every class a name")
    used: set[str] = set()
    for name in names:
        if name in used:
            raise InputError(f"the class name {name[:80]!r} is used twice", where=where, cure="Use different names")
        used.add(name)
    return tuple(names)


def _difference(names: tuple[str, ...], other: tuple[str, ...]) -> str:
    if len(names) != len(other):
        return f"{len(other)} instead of {len(names)}"
    index = next(index for index, pair in enumerate(zip(names, other, strict=True)) if pair[0] != pair[1])
    return f"class {index} is {other[index][:40]!r} instead of {names[index][:40]!r}"


def _bytes(path: Path, *, where: str, limit: int) -> bytes:
    try:
        with path.open("rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise InputError(f"cannot be opened ({error.strerror})", where=where, cure="Make it readable") from error
    if len(data) > limit:
        raise InputError(f"has more than {limit:,} bytes", where=where, cure="Keep only what it needs to say")
    return data


def _no_names(where: str) -> InputError:
    cure = "Put a file classes.txt with one class name per line beside images/ and labels/"
    return InputError("no names of classes found (data.yaml or classes.txt)", where=where, cure=cure)
