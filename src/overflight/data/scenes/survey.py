"""Writes a synthetic survey to a folder: photographs, labels, and the facts they were made from.

The bytes depend on the settings only, not on the number of workers. Everything is written to temporary names and
renamed; ``scenes.json`` comes last, so a folder without it is unfinished.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from overflight.data.scenes.layout import build_layout
from overflight.data.scenes.metadata import coordinates_deg, with_metadata
from overflight.data.scenes.noise import Array
from overflight.data.scenes.plan import FlightPlan, SitePlan, plan_survey
from overflight.data.scenes.render import FlightScene, Photograph
from overflight.data.scenes.settings import CLASSES, SceneSettings, SynthSummary
from overflight.data.scenes.terrain import draw_terrain
from overflight.errors import JobError, UsageError
from overflight.files import atomic_write, require_disk, write_json, write_text

SCHEMA = "overflight.scenes/1"
JPEG_QUALITY = 93
_BYTES_PER_PIXEL = 0.9

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Task:
    """Some photographs of one site: ``(flight position in the site, photo number)`` pairs."""

    settings: SceneSettings
    site: SitePlan
    photos: tuple[tuple[int, int], ...]
    target: Path


@dataclass(frozen=True)
class _Done:
    flight: str
    number: int
    boxes: tuple[int, ...]
    size_bytes: int


def synthesise(
    settings: SceneSettings, target: Path, *, progress: Progress | None = None, workers: int | None = None
) -> SynthSummary:
    """Make a synthetic survey in ``target``.

    Args:
        settings: What to make.
        target: A folder that does not exist or is empty.
        progress: Called with (photographs done, photographs in all) as they are written.
        workers: Processes to use; None takes one per core, 1 works in this process.

    Raises:
        UsageError: ``target`` is a file or holds something.
        ResourceError: the disk has too little room.
    """
    started = time.perf_counter()
    _require_empty(target)
    total = settings.flights * settings.photos
    require_disk(target, int(total * settings.size_px[0] * settings.size_px[1] * _BYTES_PER_PIXEL))
    sites = plan_survey(settings)
    count = max(1, workers if workers is not None else (multiprocessing.cpu_count()))
    tasks = _tasks(settings, sites, target, count)
    done: list[_Done] = []
    for item in _run(tasks, count):
        done.append(item)
        if progress is not None:
            progress(len(done), total)
    done.sort(key=lambda item: (item.flight, item.number))
    _write_facts(settings, sites, done, target)
    boxes = np.sum([item.boxes for item in done], axis=0)
    return SynthSummary(
        target=target,
        classes=CLASSES,
        photos={flight.name: len(flight.poses) for site in sites for flight in site.flights},
        boxes_per_class=dict(zip(CLASSES, (int(value) for value in boxes), strict=True)),
        size_bytes=sum(item.size_bytes for item in done),
        seconds=time.perf_counter() - started,
    )


def _require_empty(target: Path) -> None:
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(
            "the folder for the survey is not empty" if target.is_dir() else "there is a file of this name",
            where=str(target),
            cure="Name a new folder, or empty this one first",
        )


def _tasks(settings: SceneSettings, sites: tuple[SitePlan, ...], target: Path, workers: int) -> list[_Task]:
    """One task per site; sites are split only where there are fewer of them than workers."""
    parts = -(-workers // len(sites)) if workers > len(sites) else 1
    tasks = []
    for site in sites:
        photos = [(place, number) for place, flight in enumerate(site.flights) for number in range(len(flight.poses))]
        size = -(-len(photos) // parts)
        starts = range(0, len(photos), size)
        tasks += [_Task(settings, site, tuple(photos[start : start + size]), target) for start in starts]
    return tasks


def _run(tasks: list[_Task], workers: int) -> Iterator[_Done]:
    """Results of all tasks as they come."""
    if workers == 1 or len(tasks) == 1:
        for task in tasks:
            yield from _photographs(task)
        return
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_set_up_worker, initargs=(results,)
    ) as pool:
        futures: list[Future[None]] = [pool.submit(_work, task) for task in tasks]
        remaining = sum(len(task.photos) for task in tasks)
        try:
            while remaining:
                with contextlib.suppress(queue.Empty):
                    yield results.get(timeout=0.2)
                    remaining -= 1
                    continue
                for future in futures:
                    if future.done():
                        future.result()
        except BrokenProcessPool as error:
            # The pool asks its other workers to end and waits for them; one that hangs would make it wait for ever.
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
            raise JobError(
                "a worker process that draws photos was killed",
                where="synthetic survey",
                cure="It probably ran out of memory: free some, remove the unfinished folder and run again",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_worker_results: Any = None


def _set_up_worker(results: Any) -> None:
    global _worker_results  # noqa: PLW0603 - the only way to hand a queue to a pool's workers
    _worker_results = results
    cv2.setNumThreads(1)


def _work(task: _Task) -> None:
    for done in _photographs(task):
        _worker_results.put(done)


def _photographs(task: _Task) -> Iterator[_Done]:
    """Draw the site, then photograph it."""
    settings, site = task.settings, task.site
    layout = build_layout(seed=site.seed, side_m=site.side_m, new_site=settings.new_site)
    terrain = draw_terrain(layout, seed=site.seed, gsd_m=site.gsd_m)

    @functools.lru_cache(maxsize=1)
    def scene(place: int) -> FlightScene:
        return FlightScene(layout, terrain, site.flights[place], settings=settings, seed=site.seed)

    for place, number in task.photos:
        photograph = scene(place).photograph(number)
        yield _write_photograph(photograph, site=site, flight=site.flights[place], number=number, target=task.target)


def photo_name(flight: FlightPlan, number: int) -> str:
    """Name of a photograph within ``images/`` or ``labels/``, without its ending."""
    return f"{flight.name}/{flight.name}_{number + 1:04d}"


def _write_photograph(
    photograph: Photograph, *, site: SitePlan, flight: FlightPlan, number: int, target: Path
) -> _Done:
    height, width = photograph.rgb.shape[:2]
    bgr = cv2.cvtColor(photograph.rgb, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    content = with_metadata(encoded, site=site, pose=flight.poses[number], size_px=(width, height))
    name = photo_name(flight, number)
    with atomic_write(target / "labels" / f"{name}.txt", fsync=False) as handle:
        handle.write(label_text(photograph.class_ids, photograph.xyxy_px, width_px=width, height_px=height).encode())
    with atomic_write(target / "images" / f"{name}.jpg", fsync=False) as handle:
        handle.write(content)
    counts = np.bincount(photograph.class_ids, minlength=len(CLASSES))
    return _Done(flight.name, number, tuple(int(value) for value in counts), len(content))


def label_text(class_ids: Array, xyxy_px: Array, *, width_px: int, height_px: int) -> str:
    """YOLO lines: class, centre x, centre y, width, height in shares of the picture."""
    lines = []
    for class_id, (left, top, right, bottom) in zip(class_ids, xyxy_px, strict=True):
        centre_x, centre_y = (left + right) / 2 / width_px, (top + bottom) / 2 / height_px
        wide, tall = (right - left) / width_px, (bottom - top) / height_px
        lines.append(f"{class_id} {centre_x:.6f} {centre_y:.6f} {wide:.6f} {tall:.6f}\n")
    return "".join(lines)


def _write_facts(settings: SceneSettings, sites: tuple[SitePlan, ...], done: list[_Done], target: Path) -> None:
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))
    write_text(target / "data.yaml", f"path: .\ntrain: images\nval: images\nnames:\n{names}")
    flights = [(site, flight) for site in sites for flight in site.flights]
    rows = [
        f"images/{photo_name(flight, number)}.jpg,{flight.name}\n"
        for _, flight in flights
        for number in range(len(flight.poses))
    ]
    write_text(target / "flights.csv", "image,flight\n" + "".join(rows))
    facts = {
        "schema": SCHEMA,
        "settings": settings.model_dump(mode="json"),
        "classes": list(CLASSES),
        "flights": [_flight_facts(site, flight, done) for site, flight in flights],
    }
    write_json(target / "scenes.json", facts)


def _flight_facts(site: SitePlan, flight: FlightPlan, done: list[_Done]) -> dict[str, Any]:
    own = [item for item in done if item.flight == flight.name]
    boxes = np.sum([item.boxes for item in own], axis=0)
    latitude, longitude = coordinates_deg(site, flight.poses[0])
    return {
        "flight": flight.name,
        "site": site.index,
        "photos": len(flight.poses),
        "boxes": dict(zip(CLASSES, (int(value) for value in boxes), strict=True)),
        "ground_sample_distance_m": round(flight.gsd_m, 5),
        "altitude_m": flight.poses[0].altitude_m,
        "started_at": flight.poses[0].captured_at.isoformat(),
        "latitude_deg": round(latitude, 6),
        "longitude_deg": round(longitude, 6),
        "weather": asdict(flight.weather),
    }
