"""A profile as files: ``photos.parquet``, ``boxes.parquet``, ``neighbours.parquet`` and ``profile.json``.

Any tool that reads Parquet can read the tables; nothing in them needs Python. Needs pyarrow (extra ``explore``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from overflight.data.profile.summary import SCHEMA
from overflight.data.profile.tables import BOX_COLUMNS, PAIR_COLUMNS, PHOTO_COLUMNS, Column, Columns, Profile
from overflight.errors import InputError, ResourceError
from overflight.files import atomic_write, write_json

SUMMARY_FILE = "profile.json"
TABLES: Mapping[str, tuple[str, Mapping[str, tuple[str, str]]]] = {
    "photos": ("photos.parquet", PHOTO_COLUMNS),
    "boxes": ("boxes.parquet", BOX_COLUMNS),
    "neighbours": ("neighbours.parquet", PAIR_COLUMNS),
}

_CURE = "Measure the survey again: `overflight survey profile`"


def write_profile(profile: Profile, folder: Path) -> tuple[Path, ...]:
    """Write tables and summary into ``folder``, each at once or not at all; returns the files.

    Raises:
        ResourceError: pyarrow is not installed, or the disk is full.
    """
    pa, parquet = _pyarrow()
    written = []
    for name, (file, columns) in TABLES.items():
        found: Columns = getattr(profile, name)
        about = {column: what for column, (_, what) in columns.items()}
        table = pa.table({column: pa.array(found[column]) if found[column].dtype != object else
                          pa.array(found[column].tolist(), type=pa.string()) for column in columns})  # fmt: skip
        table = table.replace_schema_metadata({"overflight.schema": SCHEMA, "overflight.columns": json.dumps(about)})
        with atomic_write(folder / file) as handle:
            parquet.write_table(table, handle, compression="zstd")
        written.append(folder / file)
    write_json(folder / SUMMARY_FILE, profile.summary)
    return (*written, folder / SUMMARY_FILE)


def read_profile(folder: Path) -> Profile:
    """The profile written into ``folder``.

    Raises:
        InputError: a file is missing, damaged, or of another version.
        ResourceError: pyarrow is not installed.
    """
    pa, parquet = _pyarrow()
    summary = read_summary(folder)
    tables: dict[str, dict[str, Column]] = {}
    for name, (file, columns) in TABLES.items():
        path = folder / file
        try:
            table = parquet.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError("is missing or damaged", where=str(path), cure=_CURE) from error
        absent = [column for column in columns if column not in table.column_names]
        if absent:
            raise InputError(f"has no column {absent[0]!r}", where=str(path), cure=_CURE)
        tables[name] = {
            column: np.array(table[column].to_pylist(), dtype=object)
            if kind == "object"
            else np.asarray(table[column].to_numpy(), dtype=kind)
            for column, (kind, _) in columns.items()
        }
    names, notes = tuple(summary["classes"]), tuple(summary["notes"])
    return Profile(summary["name"], names, summary=summary, notes=notes, **tables)


def read_summary(folder: Path) -> dict[str, Any]:
    """``profile.json`` alone, which needs no pyarrow.

    Raises:
        InputError: the file is missing, damaged, or of another version.
    """
    path = folder / SUMMARY_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("there is no profile here", where=str(path), cure=_CURE) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("is damaged", where=str(path), cure=_CURE) from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA or not {"name", "classes", "notes"} <= document.keys():
        raise InputError(f"is not a profile of the schema {SCHEMA}", where=str(path), cure=_CURE)
    return dict(document)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ResourceError("pyarrow is not installed", cure="Run `pip install overflight[explore]`") from error
    return pa, parquet
