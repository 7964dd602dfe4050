"""Detections of several photos as files: JSON, COCO, YOLO text, GeoJSON.

Knows the formats, not where photos or metadata come from. COCO: the annotation document of cocodataset.org with a score
per annotation, category id = class id. YOLO: ``class cx cy w h score`` in 0..1 as Ultralytics writes it. GeoJSON: RFC
7946.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

from overflight.errors import UsageError
from overflight.files import write_json, write_text
from overflight.imaging.boxes import cxcywh_from_xyxy
from overflight.imaging.geo import CameraPose, box_rings, ground_sample_distance_m
from overflight.serving.detections import Detections
from overflight.serving.schema import to_document

PredictionFormat = Literal["json", "coco", "yolo", "geojson"]
Predictions = Sequence[tuple[str, Detections]]

MAX_OFF_NADIR_DEG = 15.0
ASSUMPTION = "camera looks straight down, flat ground, no lens distortion"


def write_predictions(
    predictions: Predictions,
    folder: Path,
    form: PredictionFormat,
    *,
    poses: Mapping[str, CameraPose | None] | None = None,
) -> list[Path]:
    """Write detections of several photos below ``folder``; each file appears complete or not at all.

    Args:
        predictions: Name of each photo (its path, as text) and what was found on it.
        folder: Made when missing.
        form: ``json`` -> predictions.json, ``coco`` -> predictions.coco.json, ``yolo`` -> labels/<photo>.txt and
            classes.txt, ``geojson`` -> predictions.geojson.
        poses: For GeoJSON: where the camera was, by name of the photo.

    Returns:
        The files written.

    Raises:
        UsageError: an unknown format.
    """
    if form == "yolo":
        return _write_yolo(predictions, folder)
    if form == "json":
        path, document = folder / "predictions.json", json_document(predictions)
    elif form == "coco":
        path, document = folder / "predictions.coco.json", coco_document(predictions)
    elif form == "geojson":
        path, document = folder / "predictions.geojson", geojson_document(predictions, poses or {})
    else:
        raise UsageError(f"unknown format {form!r}", where="--format", cure="Use json, coco, yolo or geojson")
    write_json(path, document)
    return [path]


def json_document(predictions: Predictions) -> dict[str, Any]:
    """The endpoint's answers with the photos' names."""
    photos = [{"file_name": name, **to_document(found)} for name, found in predictions]
    return {"schema": "overflight.predictions/1", "photos": photos}


def coco_document(predictions: Predictions) -> dict[str, Any]:
    """A COCO document; its annotations are also valid COCO results."""
    annotations: list[dict[str, Any]] = []
    for image_id, (name, found) in enumerate(predictions, start=1):
        for box, score, class_id in zip(found.boxes_xyxy_px, found.scores, found.class_ids, strict=True):
            x1, y1, x2, y2 = (round(float(value), 2) for value in box)
            width, height = round(x2 - x1, 2), round(y2 - y1, 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "file_name": name,
                    "category_id": int(class_id),
                    "bbox": [x1, y1, width, height],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                    "score": round(float(score), 6),
                }
            )
    images = [
        {"id": image_id, "file_name": name, "width": found.width_px, "height": found.height_px}
        for image_id, (name, found) in enumerate(predictions, start=1)
    ]
    categories = [{"id": class_id, "name": name} for class_id, name in enumerate(_classes(predictions))]
    return {"images": images, "categories": categories, "annotations": annotations}


def yolo_text(found: Detections) -> str:
    """One line per box: class id, then centre x, centre y, width and height in 0..1 of the photo, then the score."""
    size = [found.width_px, found.height_px, found.width_px, found.height_px]
    boxes = cxcywh_from_xyxy(found.boxes_xyxy_px) / size
    lines = [
        " ".join([str(int(class_id)), *(f"{value:.6f}" for value in (*box, score))])
        for box, score, class_id in zip(boxes, found.scores, found.class_ids, strict=True)
    ]
    return "".join(f"{line}\n" for line in lines)


def geojson_document(predictions: Predictions, poses: Mapping[str, CameraPose | None]) -> dict[str, Any]:
    """A FeatureCollection with the ground polygon of every box, in WGS84.

    The assumption is stated with every feature. Boxes of photos that cannot be placed (no GPS, altitude, yaw or focal
    length, or more than 15 degrees off the nadir) are kept with the geometry ``null`` and the reason.
    """
    features: list[dict[str, Any]] = []
    for name, found in predictions:
        pose = poses.get(name)
        reason = why_not_placed(pose)
        features += _unplaced(name, found, reason) if pose is None or reason else _placed(name, found, pose)
    return {"type": "FeatureCollection", "features": features}


def why_not_placed(pose: CameraPose | None) -> str:
    """Why boxes cannot be put on the ground, or ""."""
    if pose is None:
        return "the photo carries no GPS position"
    needed = {
        "height above ground": pose.altitude_agl_m,
        "yaw": pose.yaw_deg,
        "35 mm equivalent focal length": pose.focal_length_35mm_mm,
    }
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        return f"the photo does not carry: {', '.join(missing)}"
    if (pose.altitude_agl_m or 0) <= 0 or (pose.focal_length_35mm_mm or 0) <= 0:
        return "height above ground and focal length must be positive"
    if pose.off_nadir_deg is not None and pose.off_nadir_deg > MAX_OFF_NADIR_DEG:
        return f"the camera looked {pose.off_nadir_deg:.0f} degrees off straight down (at most {MAX_OFF_NADIR_DEG:.0f})"
    return ""


def unique_stems(names: Sequence[str]) -> list[str]:
    """A file name without suffix for each photo: its own, with as many folders in front as make it unique."""
    stems = [PurePath(name).with_suffix("").parts for name in names]
    taken: set[str] = set()
    chosen = []
    for parts in stems:
        own = [part for part in parts if part not in {"/", "..", "."}]
        depth = 1
        while depth < len(own) and sum(_tail(other, depth) == _tail(parts, depth) for other in stems) > 1:
            depth += 1
        stem, number = "_".join(own[-depth:]), 2
        while stem in taken:
            stem, number = f"{'_'.join(own[-depth:])}_{number}", number + 1
        taken.add(stem)
        chosen.append(stem)
    return chosen


def _tail(parts: tuple[str, ...], depth: int) -> tuple[str, ...]:
    return parts[-depth:]


def _classes(predictions: Predictions) -> tuple[str, ...]:
    return max((found.classes for _, found in predictions), key=len, default=())


def _write_yolo(predictions: Predictions, folder: Path) -> list[Path]:
    written = []
    for stem, (_, found) in zip(unique_stems([name for name, _ in predictions]), predictions, strict=True):
        written.append(folder / "labels" / f"{stem}.txt")
        write_text(written[-1], yolo_text(found))
    written.append(folder / "classes.txt")
    write_text(written[-1], "".join(f"{name}\n" for name in _classes(predictions)))
    return written


def _properties(name: str, found: Detections, index: int) -> dict[str, Any]:
    return {
        "photo": name,
        "class": found.label(index),
        "score": round(float(found.scores[index]), 6),
        "box_xyxy_px": [round(float(value), 2) for value in found.boxes_xyxy_px[index]],
    }


def _unplaced(name: str, found: Detections, reason: str) -> list[dict[str, Any]]:
    return [
        {"type": "Feature", "geometry": None, "properties": {**_properties(name, found, index), "not_placed": reason}}
        for index in range(len(found))
    ]


def _placed(name: str, found: Detections, pose: CameraPose) -> list[dict[str, Any]]:
    size = {"width_px": found.width_px, "height_px": found.height_px}
    gsd_m = ground_sample_distance_m(pose.altitude_agl_m or 0, pose.focal_length_35mm_mm or 1, **size)
    off_nadir = None if pose.off_nadir_deg is None else round(pose.off_nadir_deg, 1)
    shared = {"assumption": ASSUMPTION, "off_nadir_deg": off_nadir, "ground_sample_distance_m": round(gsd_m, 4)}
    rings = box_rings(pose, found.boxes_xyxy_px, **size).round(7).tolist()
    return [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {**_properties(name, found, index), **shared},
        }
        for index, ring in enumerate(rings)
    ]
