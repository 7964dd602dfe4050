"""What surveys, data sets, evaluations and models say of themselves, as facts of lineage.

Reads documents that Overflight's jobs and ``survey add`` have written; knows their members, not how they are drawn.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from overflight.data.dataset import DATASET_FILE, TILES_FILE, TRUTH_FILE
from overflight.data.manifest import MANIFEST_FILE, PHOTOS_FOLDER
from overflight.data.split import PARTS
from overflight.errors import NotFoundError, UsageError
from overflight.governance.documents import read_document
from overflight.lifecycle.lineage_records import Records

LEFT_OUT, NOT_RECORDED = "left out", "not recorded"
_SHOWN = 8


@dataclass(frozen=True)
class PhotoUse:
    """What became of one photograph in one data set.

    Attributes:
        dataset: Address of the data set.
        part: ``train``, ``val``, ``test``, ``left out``, or "" when the data set does not say.
        tiles: Number of tiles cut from it.
    """

    dataset: str
    part: str
    tiles: int


@dataclass(frozen=True)
class Photo:
    """One photograph of a survey: its line of the manifest."""

    survey_uri: str
    record: Mapping[str, Any]

    @property
    def uri(self) -> str:
        """Its address."""
        return f"{self.survey_uri}/{self.record['path']}"


@dataclass
class Survey:
    """A survey version as lineage needs it; ``known`` is false when its ``survey.json`` is not there."""

    uri: str
    known: bool = False
    digest: str = ""
    flights: dict[str, int] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    name: str = ""
    created: datetime | None = None


def read_survey(records: Records, uri: str) -> Survey:
    """A survey version by its address, without reading its manifest."""
    name, _, digest = uri.partition("/surveys/")[2].partition("/")
    document = records.document(f"{uri}/survey.json")
    if document is None:
        return Survey(uri, name=f"{name}@{digest[:12]}" if name else uri)
    classes = document.get("boxes_per_class", {})
    told = str(document.get("digest", ""))
    return Survey(
        uri,
        known=True,
        digest=told,
        flights=dict(document.get("flights", {})),
        properties={
            "manifest sha256": told or NOT_RECORDED,
            "photographs": str(document.get("photos", NOT_RECORDED)),
            "boxes": str(document.get("boxes", NOT_RECORDED)),
            "flights": str(len(document.get("flights", {}))),
            "classes": ", ".join(f"{name} ({count})" for name, count in classes.items()),
            "read from": str(document.get("source_format", "")),
        },
        name=f"{document.get('name', name)}@{(told or digest)[:12]}",
        created=_moment(document.get("created_at")),
    )


def dataset_facts(document: Mapping[str, Any]) -> dict[str, str]:
    """Facts of ``dataset.json``."""
    photos, tiles = document.get("photos", {}), document.get("tiles", {})
    leak = document.get("leaks", {}).get("test of train", {})
    return {
        "digest": str(document.get("digest", "")),
        "survey sha256": str(document.get("survey_digest", "")),
        "photographs": ", ".join(f"{part} {photos[part]}" for part in PARTS if part in photos),
        "tiles": ", ".join(f"{part} {count}" for part, count in tiles.items()),
        "split by": str(document.get("split_by", "")),
        "split seed": str(document.get("seed", "")),
        "test shared with training": f"{leak['score']:.1%}" if "score" in leak else "",
        "copies of tiles": str(document.get("augmented", {}).get("tiles") or ""),
    }


def parts_of_flights(document: Mapping[str, Any]) -> dict[str, str]:
    """Part of each flight: ``train``, or ``train + test`` for a flight that was cut at a gap in time."""
    found: dict[str, list[str]] = {}
    for part in PARTS:
        for unit in document.get("split", {}).get(part, ()):
            flight = _flight_of(unit) if document.get("split_by") == "time-gap" else unit
            found.setdefault(flight, []).append(part)
    return {flight: " + ".join(dict.fromkeys(parts)) for flight, parts in found.items()}


def evaluation_facts(document: Mapping[str, Any]) -> dict[str, str]:
    """Facts of ``evaluation.json``."""
    facts = {}
    for name, figure in list(document.get("metrics", {}).items())[:_SHOWN]:
        if isinstance(figure, Mapping) and isinstance(figure.get("value"), (int, float)):
            bounds = f" [{figure['low']:.3f}, {figure['high']:.3f}]" if {"low", "high"} <= figure.keys() else ""
            facts[name] = f"{figure['value']:.3f}{bounds}"
    digests = {"model.json sha256": document.get("model_digest"), "dataset digest": document.get("dataset_digest")}
    return facts | {name: str(value) for name, value in digests.items() if value}


def model_facts(description: Mapping[str, Any]) -> dict[str, str]:
    """Facts of ``model.json``."""
    names = {"model": "network", "imgsz_px": "input (px)", "epochs": "epochs", "seed": "seed", "precision": "precision"}
    facts = {label: str(description.get(name, "")) for name, label in names.items()}
    facts["classes"] = ", ".join(map(str, description.get("classes", ())))
    if "weights" in description:
        facts["base weights"] = description["weights"] or "none"
    facts["dataset digest"] = str(description.get("dataset_digest", ""))
    facts["libraries"] = ", ".join(f"{name} {version}" for name, version in description.get("versions", {}).items())
    return facts


def find_photo(records: Records, survey_uris: list[str], name: str) -> list[Photo]:
    """The photograph called ``name`` in each of the surveys: its path, the end of its path, or its file name.

    Raises:
        NotFoundError: none has it.
        UsageError: several photographs of one survey are called so.
    """
    found = []
    for uri in survey_uris:
        matching = [record for record in photo_records(records, uri, hint=name) if _is_called(record["path"], name)]
        exact = [record for record in matching if record["path"] in {name, f"{PHOTOS_FOLDER}/{name}"}] or matching
        if len(exact) > 1:
            paths = ", ".join(str(record["path"]) for record in exact[:3])
            what = f"{len(exact)} photographs are called so: {paths}{' ...' if len(exact) > 3 else ''}"
            raise UsageError(what, where=name, cure="Give more of the path: --photo FLIGHT/NAME")
        found += [Photo(uri, record) for record in exact]
    if not found:
        raise NotFoundError("no photograph is called so here", where=name, cure="List them: --photos FILE")
    return found


def photo_records(records: Records, survey_uri: str, *, hint: str = "") -> Iterator[dict[str, Any]]:
    """Lines of a survey's manifest, only those that contain ``hint``: a million lines are not all parsed.

    Lines that name no photograph are passed over; so are those without digest, flight or number of boxes, of which
    nothing could be told.
    """
    needle = json.dumps(hint, ensure_ascii=False)[1:-1].encode(errors="replace")
    for line in records.lines(f"{survey_uri}/{MANIFEST_FILE}"):
        if needle in line:
            record = read_document(MANIFEST_FILE, line).content
            if {"path", "sha256", "flight", "boxes"} <= record.keys():
                yield record


def use_of_photo(records: Records, dataset_uri: str, path: str) -> PhotoUse:
    """What a data set made of the photograph ``path`` (as in the manifest)."""
    parts = Counter[str]()
    needle = json.dumps(path, ensure_ascii=False).encode(errors="replace")
    for line in records.lines(f"{dataset_uri}/{TILES_FILE}"):
        if needle in line and (tile := read_document(TILES_FILE, line).content).get("photo") == path:
            parts[_part(tile)] += 1
    if parts:
        part, tiles = parts.most_common(1)[0]
        return PhotoUse(dataset_uri, part, tiles)
    truth = records.document(f"{dataset_uri}/{TRUTH_FILE}") or {}
    if any(image["file_name"] == path.removeprefix(f"{PHOTOS_FOLDER}/") for image in truth.get("images", ())):
        return PhotoUse(dataset_uri, "test", 0)
    document = records.document(f"{dataset_uri}/{DATASET_FILE}")
    if document is None:
        return PhotoUse(dataset_uri, "", 0)
    return PhotoUse(dataset_uri, LEFT_OUT, 0)  # of a part, but no tile of it was kept, or left out at a cut


def parts_of_photos(records: Records, dataset_uri: str) -> dict[str, str]:
    """Part of every photograph that a data set used, by path."""
    truth = records.document(f"{dataset_uri}/{TRUTH_FILE}") or {}
    found = {f"{PHOTOS_FOLDER}/{image['file_name']}": "test" for image in truth.get("images", ())}
    for line in records.lines(f"{dataset_uri}/{TILES_FILE}"):
        if tile := read_document(TILES_FILE, line).content:
            found[tile["photo"]] = _part(tile)
    return found


def _part(tile: Mapping[str, Any]) -> str:
    """Part of a tile; "" for one that there is not."""
    return str(tile["part"]) if tile["part"] in PARTS else ""


def _is_called(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name}")


def _flight_of(unit: str) -> str:
    """Name of the flight of a piece ``name#2``."""
    flight, found, number = unit.rpartition("#")
    return flight if found and number.isdigit() else unit


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
