"""Send photographs to an endpoint; write detections and overlay pictures.

Does not know what the model does; photographs above the endpoint's body limit are cut and joined on this side.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from overflight.data.files import PHOTO_SUFFIXES
from overflight.data.metadata import pose_of, read_metadata
from overflight.errors import InputError, JobError, NotFoundError
from overflight.files import write_bytes
from overflight.imaging.codecs import decode, encode_jpeg
from overflight.imaging.draw import class_colours, draw_detections
from overflight.lifecycle.context import Context
from overflight.lifecycle.endpoints import endpoint_name, wake
from overflight.lifecycle.progress import Progress
from overflight.serving.client import join_parts, split_for_limit
from overflight.serving.detections import Detections
from overflight.serving.formats import PredictionFormat, unique_stems, write_predictions
from overflight.serving.schema import from_json

_SUFFIXES = PHOTO_SUFFIXES - {".tif", ".tiff"}  # endpoints take JPEG and PNG
_CONTENT_TYPES = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png"}


@dataclass(frozen=True)
class Prediction:
    """What the endpoint found in one photograph.

    Attributes:
        photo: File that was sent.
        detections: Boxes in pixels of the (upright) photograph.
        overlay: Picture with the boxes drawn, None when none was asked for.
    """

    photo: Path
    detections: Detections
    overlay: Path | None

    @property
    def counts(self) -> dict[str, int]:
        """Objects found by class, the most frequent first."""
        names = Counter(self.detections.classes[int(index)] for index in self.detections.class_ids)
        return dict(names.most_common())


def find_photos(paths: Iterable[Path]) -> list[Path]:
    """Photographs among ``paths``; folders are searched with their sub-folders.

    Raises:
        NotFoundError: a path does not exist.
        InputError: there is no photograph at all.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise NotFoundError("there is no such file or folder", where=str(path), cure="Check the path")
        if path.is_dir():
            found += sorted(item for item in path.rglob("*") if _is_photo(item.relative_to(path)))
        else:
            found.append(path)
    if not found:
        raise InputError(
            f"no photographs ({', '.join(sorted(_SUFFIXES))}) were found",
            where=", ".join(map(str, paths)),
            cure="Give photographs, or a folder that holds some",
        )
    return list(dict.fromkeys(found))


def _is_photo(path: Path) -> bool:
    """By name only; hidden files (macOS keeps ``._photo.jpg`` beside each photo) are none."""
    return path.suffix.lower() in _SUFFIXES and not any(part.startswith(".") for part in path.parts)


def predict(
    context: Context,
    endpoint: str,
    photos: list[Path],
    *,
    out: Path,
    form: PredictionFormat,
    progress: Progress,
    overlays: bool = True,
    workers: int = 2,
) -> list[Prediction]:
    """Detect objects in ``photos`` with ``endpoint``; writes ``predictions.*`` and overlays below ``out``.

    Photographs are sent by ``workers`` threads; results are in the order of ``photos`` whatever the timing. A
    photograph that cannot be read does not keep the others from being answered and written.

    Raises:
        InputError: photographs cannot be read; what was found in the others is written.
        JobError: the endpoint refused or failed.
    """
    endpoint = endpoint_name(context.settings, endpoint)
    wake(context, endpoint)
    send = _sender(context, endpoint)
    names = dict(zip(photos, unique_stems([photo.as_posix() for photo in photos]), strict=True))

    def one(photo: Path) -> Prediction | InputError:
        try:
            detections = _detect(photo, send, max_bytes=context.settings.max_payload_bytes)
        except InputError as error:
            return error
        picture = None
        if overlays:
            picture = out / "overlays" / f"{names[photo]}.jpg"
            write_bytes(picture, encode_jpeg(_overlay(photo, detections), quality=90))
        return Prediction(photo, detections, picture)

    answers: list[Prediction | InputError] = []
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for answer in pool.map(one, photos):
            answers.append(answer)
            progress.update("photos", len(answers), len(photos))
    done = [answer for answer in answers if isinstance(answer, Prediction)]
    unread = [answer for answer in answers if isinstance(answer, InputError)]
    if unread and not done:
        raise unread[0]
    poses = {item.photo: pose_of(read_metadata(item.photo)) for item in done} if form == "geojson" else {}
    write_predictions(
        [(item.photo.as_posix(), item.detections) for item in done],
        out,
        form,
        poses={photo.as_posix(): pose for photo, pose in poses.items()},
    )
    if unread:
        raise InputError(
            f"{len(unread)} of {len(photos)} photographs cannot be read: {unread[0]}",
            cure=f"Correct or remove them; the answers for the other {len(done)} are in {out}",
        )
    return done


def _sender(context: Context, endpoint: str) -> Callable[[bytes, str], Detections]:
    runtime = context.client("sagemaker-runtime")

    def send(body: bytes, where: str) -> Detections:
        kind = _CONTENT_TYPES.get(body[:2])
        if kind is None:
            raise InputError("is neither a JPEG nor a PNG file", where=where, cure="Convert it to JPEG and try again")
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType=kind, Accept="application/json"
            )
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code == "ModelError" and error.response.get("OriginalStatusCode") == 400:
                raise _refused(str(error.response.get("OriginalMessage", message)), where=where) from error
            if code in {"ValidationError", "ValidationException"} and "not found" in message:
                raise NotFoundError(
                    "there is no such endpoint", where=endpoint, cure="See: overflight endpoints list"
                ) from error
            raise JobError(
                message, where=f"endpoint {endpoint}, {where}", cure=f"See: overflight endpoints show {endpoint}"
            ) from error
        return from_json(answer["Body"].read(), where=f"answer of endpoint {endpoint} for {where}")

    return send


def _refused(said: str, *, where: str) -> InputError:
    """The server's answer 400 (``{"error": {"what", "cure"}}``, else its text as it is) about the photo ``where``."""
    try:
        error = dict(json.loads(said)["error"])
    except (ValueError, KeyError, TypeError):
        error = {"what": said}
    return InputError(str(error.get("what", said)), where=where, cure=str(error.get("cure", "")))


def _detect(photo: Path, send: Callable[[bytes, str], Detections], *, max_bytes: int) -> Detections:
    body = photo.read_bytes()
    if len(body) <= max_bytes:
        return send(body, str(photo))
    parts = split_for_limit(body, max_bytes=max_bytes, overlap_px=256, where=str(photo))
    return join_parts(parts, [send(part.content, str(photo)) for part in parts])


def _overlay(photo: Path, detections: Detections) -> Any:
    rgb = decode(photo.read_bytes(), where=str(photo))
    labels = [detections.classes[index] for index in detections.class_ids]
    colours = class_colours(detections.classes)
    return draw_detections(rgb, detections.boxes_xyxy_px, labels, detections.scores, colours)
