"""The endpoint's answer ``overflight.detections/1``: JSON to and from :class:`Detections`, checked at the edge.

Coordinates travel with 2 decimals of a pixel and scores with 6. It does not know HTTP.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overflight.errors import InputError
from overflight.serving.detections import Detections, Timings

SCHEMA = "overflight.detections/1"
Finite = Annotated[float, Field(allow_inf_nan=False)]


class DetectionRecord(BaseModel):
    """One box: x1, y1, x2, y2 in pixels of the upright photo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    class_id: int = Field(ge=0)
    class_name: str = Field(alias="class")
    score: float = Field(ge=0, le=1)
    box_xyxy_px: tuple[Finite, Finite, Finite, Finite]


class TimingsRecord(BaseModel):
    """Milliseconds spent reading the photo, in the network and merging tiles."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decode: float = Field(ge=0)
    infer: float = Field(ge=0)
    merge: float = Field(ge=0)


class DetectionsDocument(BaseModel):
    """The whole answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_name: Literal["overflight.detections/1"] = Field(alias="schema")
    model_digest: str
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    classes: tuple[str, ...]
    detections: list[DetectionRecord]
    tiles: int = Field(ge=1)
    ms: TimingsRecord


def to_document(found: Detections) -> dict[str, object]:
    """The answer as JSON values."""
    return {
        "schema": SCHEMA,
        "model_digest": found.model_digest,
        "width_px": found.width_px,
        "height_px": found.height_px,
        "classes": list(found.classes),
        "detections": [
            {
                "class_id": int(class_id),
                "class": found.classes[int(class_id)],
                "score": round(float(score), 6),
                "box_xyxy_px": [round(float(value), 2) for value in box],
            }
            for box, score, class_id in zip(found.boxes_xyxy_px, found.scores, found.class_ids, strict=True)
        ],
        "tiles": found.tiles,
        "ms": {
            "decode": round(found.timings.decode_ms, 2),
            "infer": round(found.timings.infer_ms, 2),
            "merge": round(found.timings.merge_ms, 2),
        },
    }


def from_json(text: bytes | str, *, where: str = "answer of the endpoint") -> Detections:
    """Read an answer from the bytes or text of its JSON.

    Raises:
        InputError: not the schema; the message names the field.
    """
    try:
        document = DetectionsDocument.model_validate_json(text)
        records = document.detections
        return Detections(
            boxes_xyxy_px=np.array([record.box_xyxy_px for record in records], dtype=np.float64).reshape(-1, 4),
            scores=np.array([record.score for record in records], dtype=np.float64),
            class_ids=np.array([record.class_id for record in records], dtype=np.int64),
            classes=document.classes,
            width_px=document.width_px,
            height_px=document.height_px,
            model_digest=document.model_digest,
            tiles=document.tiles,
            timings=Timings(decode_ms=document.ms.decode, infer_ms=document.ms.infer, merge_ms=document.ms.merge),
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise InputError(
            f"{place}: {first['msg']}", where=where, cure="The endpoint must run overflight-serve"
        ) from error
    except ValueError as error:
        raise InputError(str(error), where=where, cure="The endpoint must run overflight-serve") from error
