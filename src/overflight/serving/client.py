"""Photos above an endpoint's body limit: cut into overlapping JPEG parts, and the answers joined again.

Pure: nothing is sent from here. It does not know endpoints, only a limit in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overflight.errors import InputError, JobError
from overflight.imaging.codecs import Rgb, decode, encode_jpeg
from overflight.imaging.header import read_header
from overflight.imaging.merge import merge_tiles
from overflight.imaging.tiles import GRID_PX, Tile, plan_tiles
from overflight.serving.detections import Detections, Timings

JPEG_QUALITY = 95
MIN_SIDE_PX = 640


@dataclass(frozen=True)
class Part:
    """One part of a photo, to be sent on its own.

    Attributes:
        content: Bytes of an image file: the photo itself when it is the only part, else a JPEG of quality 95.
        x0: Column of the part's left edge in the upright photo.
        y0: Row of its upper edge.
        width_px: Columns of the part.
        height_px: Rows of the part.
        photo_width_px: Columns of the whole photo.
        photo_height_px: Rows of the whole photo.
    """

    content: bytes
    x0: int
    y0: int
    width_px: int
    height_px: int
    photo_width_px: int
    photo_height_px: int

    @property
    def tile(self) -> Tile:
        """The part's place in the photo."""
        return Tile(self.x0, self.y0, self.x0 + self.width_px, self.y0 + self.height_px)


def split_for_limit(
    photo: bytes, *, max_bytes: int, overlap_px: int, min_side_px: int = MIN_SIDE_PX, where: str = ""
) -> list[Part]:
    """Parts of ``photo`` that are each no larger than ``max_bytes``; as few as possible.

    Args:
        photo: Bytes of a JPEG or PNG file.
        max_bytes: Largest body.
        overlap_px: Neighbouring parts share at least this much; take at least the size of the largest object.
        min_side_px: Parts are not made smaller than this: the endpoint would enlarge what is smaller than its own
            tiles, and objects would be seen at another scale than in training.
        where: Name of the photo for messages.

    Raises:
        InputError: the photo cannot be read, or cannot be cut small enough.
    """
    header = read_header(photo, where=where)
    width_px, height_px = header.width_px, header.height_px
    if len(photo) <= max_bytes:
        return [Part(photo, 0, 0, width_px, height_px, width_px, height_px)]
    rgb = decode(photo, where=where)
    longest_px = max(width_px, height_px)
    for pieces in range(1, longest_px // min_side_px + 2):
        side_px = -(-longest_px // pieces) + (overlap_px if pieces > 1 else 0)
        if pieces > 1 and not max(min_side_px, overlap_px + GRID_PX) <= side_px < longest_px:
            continue
        parts = _encode(rgb, side_px, overlap_px=overlap_px, max_bytes=max_bytes)
        if parts is not None:
            return parts
    raise InputError(
        f"cannot be cut into parts of at most {max_bytes} bytes with {overlap_px} px overlap",
        where=where,
        cure="Raise OVERFLIGHT_MAX_PAYLOAD_BYTES if the endpoint takes larger bodies",
    )


def join_parts(parts: Sequence[Part], answers: Sequence[Detections], *, iou: float = 0.5) -> Detections:
    """What was found on the parts as what was found on the photo; objects on seams are reported once.

    Args:
        parts: As :func:`split_for_limit` made them.
        answers: The answer to each part, in the same order.
        iou: Overlap above which two whole boxes of a class are the same object.

    Raises:
        JobError: the parts were answered by different models (the endpoint was updated meanwhile).
        ValueError: there is not exactly one answer for each part.
    """
    if len({(answer.model_digest, answer.classes) for answer in answers}) > 1:
        raise JobError("parts of the photo were answered by different models", cure="Send the photo again")
    if len(parts) == 1:
        return answers[0]
    tiles = [part.tile for part in parts]
    index = [np.full(len(answer), number, dtype=np.int64) for number, answer in enumerate(answers)]
    merged = merge_tiles(
        np.concatenate([tile.to_photo(answer.boxes_xyxy_px) for tile, answer in zip(tiles, answers, strict=True)]),
        np.concatenate([answer.scores for answer in answers]),
        np.concatenate([answer.class_ids for answer in answers]),
        np.concatenate(index),
        tiles,
        iou=iou,
    )
    return Detections(
        boxes_xyxy_px=merged.boxes_xyxy_px,
        scores=merged.scores,
        class_ids=merged.class_ids,
        classes=answers[0].classes,
        width_px=parts[0].photo_width_px,
        height_px=parts[0].photo_height_px,
        model_digest=answers[0].model_digest,
        tiles=sum(answer.tiles for answer in answers),
        timings=Timings(
            decode_ms=sum(answer.timings.decode_ms for answer in answers),
            infer_ms=sum(answer.timings.infer_ms for answer in answers),
            merge_ms=sum(answer.timings.merge_ms for answer in answers),
        ),
    )


def _encode(rgb: Rgb, side_px: int, *, overlap_px: int, max_bytes: int) -> list[Part] | None:
    """Parts with sides of about ``side_px``, or None as soon as one is too large."""
    height_px, width_px = rgb.shape[:2]
    tiles = [Tile(0, 0, width_px, height_px)]
    if side_px < max(width_px, height_px):
        tiles = plan_tiles(width_px, height_px, tile_px=side_px, overlap_px=overlap_px, whole_up_to=1.0)
    parts = []
    for tile in tiles:
        content = encode_jpeg(rgb[tile.y0 : tile.y1, tile.x0 : tile.x1], JPEG_QUALITY)
        if len(content) > max_bytes:
            return None
        parts.append(Part(content, tile.x0, tile.y0, tile.width_px, tile.height_px, width_px, height_px))
    return parts
