"""Ask a registered model about the labels of a survey: where do the two disagree most?

The model runs on this machine, on whole photographs, as the endpoint would run it. It does not know how disagreements
are ranked: ``overflight.data.mislabels`` does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overflight.account.objects import S3Uri
from overflight.data.checks.subject import Subject
from overflight.data.mislabels import Disagreement, Predicted, rank_disagreements
from overflight.errors import InputError
from overflight.imaging.codecs import decode
from overflight.jobs.model_archive import ARCHIVE, unpacked_model
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import describe_package, find_package
from overflight.lifecycle.progress import Progress
from overflight.serving.predictor import Predictor

LEAST_SCORE = 0.05


def find_disagreements(
    context: Context, package: str, subject: Subject, *, progress: Progress
) -> tuple[str, list[Disagreement]]:
    """Name of the package and disagreements, the most suspicious first; photographs that cannot be read are left out.

    Args:
        context: Where the package is registered.
        package: As ``models show`` takes it: ``latest``, ``group``, ``group/version`` or an ARN.
        subject: Photographs and labels.
        progress: Told the photographs done.

    Raises:
        NotFoundError: there is no such package.
        InputError: the model does not know a class of the survey that has boxes.
    """
    facts = describe_package(context, find_package(context, package))
    place = S3Uri.parse(facts["model_data"])
    with tempfile.TemporaryDirectory(prefix="overflight-model-") as scratch:
        archive = Path(scratch) / "archive" / ARCHIVE
        archive.parent.mkdir()
        context.client("s3").download_file(place.bucket, place.key, str(archive))
        with unpacked_model(archive.parent, Path(scratch) / "work") as folder:
            predictor = Predictor(folder)
            renumbered = _class_map(predictor.classes, subject, where=str(facts["package"]))
            predictions = _predict(predictor, subject, renumbered, progress=progress)
    ranked = rank_disagreements(subject.labels.photos, predictions, classes=subject.labels.classes)
    return str(facts["package"]), ranked


def _class_map(of_model: Sequence[str], subject: Subject, *, where: str) -> NDArray[np.int64]:
    """Class of the survey for each class of the model (C,), -1 for those that the survey does not have."""
    names = list(subject.labels.classes)
    used = {names[index] for index in np.unique(subject.table.class_ids).tolist()}
    unknown = sorted(used - set(of_model))
    if unknown:
        what = f"the model does not know {', '.join(unknown)} (it knows {', '.join(of_model)})"
        raise InputError(what, where=where, cure="Choose a model that was trained on the classes of this survey")
    return np.array([names.index(name) if name in names else -1 for name in of_model], dtype=np.int64)


def _predict(
    predictor: Predictor, subject: Subject, renumbered: NDArray[np.int64], *, progress: Progress
) -> dict[str, Predicted]:
    readable = [key for key, facts in subject.photos.items() if not facts.fault and key in subject.labels.photos]
    predictions = {}
    for done, key in enumerate(readable, start=1):
        rgb = decode((subject.root / key).read_bytes(), where=key)
        found = predictor.predict(rgb, score_threshold=LEAST_SCORE)
        class_ids = renumbered[found.class_ids]
        known = class_ids >= 0
        scores = np.asarray(found.scores[known], dtype=np.float64)
        predictions[key] = Predicted(class_ids[known], np.asarray(found.boxes_xyxy_px[known], dtype=np.float64), scores)
        progress.update("photos compared with the model", done, len(readable))
    return predictions
