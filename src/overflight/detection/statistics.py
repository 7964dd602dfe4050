"""Average precision of weighted photographs, and from it the bootstrap interval of any mean over classes.

A resample of photographs is nothing but a weight per photograph (how often it was drawn), so one function computes the
figure itself (all weights 1), the figure of one flight (weight 1 for its photographs) and all resamples at once. It
does not know boxes or files. Average precision: COCO's 101-point interpolation (pycocotools 2.0,
``COCOeval.accumulate``).
Interval: percentile bootstrap with two stages (Davison and Hinkley 1997, section 3.8): flights are drawn with
replacement, then photographs within each drawn flight, because photographs of one flight resemble one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.detection.matching import ClassMatches, Floats, Matches

_RECALLS = np.linspace(0.0, 1.0, 101)
_CHUNK = 64


@dataclass(frozen=True)
class Interval:
    """Bounds of a figure; ``resamples`` counts those in which it could be computed."""

    low: float
    high: float
    resamples: int


def average_precision(matches: ClassMatches, weights: Floats) -> Floats:
    """Average precision (R, T) of one class for each of R weightings; NaN where the weighting has no object.

    Args:
        matches: N detections, best score first, with hits at T thresholds.
        weights: (R, P) how often each photograph counts, >= 0.
    """
    objects = weights @ matches.objects
    counted = weights[:, matches.photo]
    rank = np.cumsum(counted, axis=1)
    result = np.zeros((len(weights), matches.hit.shape[1]))
    for column in range(matches.hit.shape[1]):
        hits = np.flatnonzero(matches.hit[:, column])
        if not len(hits):
            continue
        if matches.void is not None:
            rank = np.cumsum(counted * ~matches.void[:, column], axis=1)
        found = np.cumsum(counted[:, hits], axis=1)
        precision = found / (rank[:, hits] + np.spacing(1))
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = np.divide(found, objects[:, None], out=np.zeros_like(found), where=objects[:, None] > 0)
        reached = np.searchsorted(_RECALLS, recall.ravel(), side="right").reshape(recall.shape)
        points = np.diff(reached, axis=1, prepend=0)
        result[:, column] = (envelope * points).sum(axis=1) / len(_RECALLS)
    result[objects <= 0] = np.nan
    return result


def mean_average_precision(matches: Matches, weights: Floats, *, thresholds: slice = slice(None)) -> Floats:
    """Mean over classes with objects (R,) of the average precision over ``thresholds``; NaN without any object."""
    per_class = np.stack(
        [average_precision(_with_thresholds(one, thresholds), weights).mean(axis=1) for one in matches.classes]
    )
    counted = np.isfinite(per_class)
    total = np.where(counted, per_class, 0.0).sum(axis=0)
    number = counted.sum(axis=0)
    return np.asarray(np.divide(total, number, out=np.full(len(weights), np.nan), where=number > 0))


def precision_recall(matches: Matches, weights: Floats, *, score: float) -> tuple[Floats, Floats]:
    """Precision and recall (R,) over all classes at the first IoU threshold, of detections with at least ``score``.

    NaN where there is no detection (precision) or no object (recall).
    """
    hits, shown, objects = (np.zeros(len(weights)) for _ in range(3))
    for one in matches.classes:
        rows = (one.scores >= score) & _counts(one)
        counted = weights[:, one.photo[rows]]
        shown += counted.sum(axis=1)
        hits += counted @ one.hit[rows, 0]
        objects += weights @ one.objects
    precision = np.divide(hits, shown, out=np.full(len(weights), np.nan), where=shown > 0)
    recall = np.divide(hits, objects, out=np.full(len(weights), np.nan), where=objects > 0)
    return precision, recall


def best_score(matches: Matches, *, default: float) -> float:
    """The score with the highest F1 over all classes at the first IoU threshold; ``default`` where nothing is found."""
    scores = np.concatenate([one.scores[_counts(one)] for one in matches.classes])
    hits = np.concatenate([one.hit[_counts(one), 0] for one in matches.classes])
    objects = sum(int(one.objects.sum()) for one in matches.classes)
    if not objects or not hits.any():
        return default
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hits[order])
    f1 = 2 * found / (np.arange(1, len(order) + 1) + objects)
    return float(scores[order][int(f1.argmax())])


def resample_unit(matches: Matches) -> str:
    """What is drawn: ``flight, then photo``, ``photo`` (one flight only) or the empty string (one photograph)."""
    if len(set(matches.flights)) > 1:
        return "flight, then photo"
    return "photo (there is only one flight)" if len(matches.photo_ids) > 1 else ""


def interval(
    figure: Callable[[Floats], Floats], matches: Matches, *, resamples: int, confidence: float, seed: int
) -> Interval | None:
    """Percentile bootstrap interval of ``figure``, or None when it cannot be had (one photograph, never computable).

    Args:
        figure: From weights (R, P) to values (R,), NaN where not computable.
        matches: Gives photographs and flights.
        resamples: How many, >= 1.
        confidence: Share of the resamples between the bounds, 0..1.
        seed: Of the random numbers.
    """
    if not resample_unit(matches):
        return None
    values = np.concatenate([figure(weights) for weights in _resamples(matches, resamples, seed=seed)])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high), len(values))


def _resamples(matches: Matches, resamples: int, *, seed: int) -> Iterator[Floats]:
    """Weights (R, P) in chunks that bound the memory; the same for every figure with the same seed."""
    generator = np.random.default_rng(seed)
    flights = sorted(set(matches.flights))
    members = [np.flatnonzero(np.array([flight == name for flight in matches.flights])) for name in flights]
    for start in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - start)
        drawn = generator.multinomial(len(flights), np.full(len(flights), 1 / len(flights)), size=count)
        weights = np.zeros((count, len(matches.photo_ids)))
        for column, photos in enumerate(members):
            share = np.full(len(photos), 1 / len(photos))
            weights[:, photos] = generator.multinomial(drawn[:, column] * len(photos), share)
        yield weights


def _with_thresholds(one: ClassMatches, thresholds: slice) -> ClassMatches:
    hit: NDArray[np.bool_] = one.hit[:, thresholds]
    void = None if one.void is None else one.void[:, thresholds]
    return ClassMatches(one.name, one.scores, one.photo, hit, one.objects, void)


def _counts(one: ClassMatches) -> NDArray[np.bool_]:
    """(N,) the detection counts at the first IoU threshold: it does not lie in a crowd region."""
    return np.ones(len(one.scores), dtype=np.bool_) if one.void is None else ~one.void[:, 0]
