"""Whether photographs that seem to be one flight are several: another camera, a long pause, a far place.

Works on what the files say about time, place and camera, and on the order of their names; never on pixels. Clocks are
compared with each other only, so a camera whose clock was never set is no harm.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal

from overflight.data.metadata import PhotoMetadata

PAUSE_S = 15 * 60.0
JUMP_M = 2000.0

Kind = Literal["camera", "pause", "jump"]

_EARTH_RADIUS_M = 6_371_009.0
# Two cameras on one drone release together: nearly all pictures of one have a partner of the other.
_TOGETHER_S, _TOGETHER_M, _TOGETHER_SHARE = 1.5, 50.0, 0.8


@dataclass(frozen=True)
class PhotoClue:
    """What tells photographs of different flights apart; None where it is not known.

    Attributes:
        name: Path relative to the folder of the images.
        captured_at: Time of the camera, with or without UTC offset.
        latitude_deg: WGS 84.
        longitude_deg: WGS 84.
        camera_serial: Serial number of the camera or the drone.
        camera_model: Model of the camera.
    """

    name: PurePosixPath
    captured_at: datetime | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    camera_serial: str | None = None
    camera_model: str | None = None


@dataclass(frozen=True)
class Piece:
    """Photographs of one flight.

    Attributes:
        members: Indices of the photographs, in the order of time.
        reasons: Why they stand apart from the other pieces, one for each member, for people.
        kinds: The same by kind.
        split_at: The photographs before and after the gap in front of this piece, if it starts with one.
    """

    members: tuple[int, ...]
    reasons: tuple[str, ...]
    kinds: frozenset[Kind]
    split_at: tuple[int, int] | None = None


@dataclass
class _Open:
    """A piece in the making."""

    members: list[int]
    last_s: float
    last_place: tuple[float, float] | None
    reason: str = ""
    kind: Kind | None = None
    split_at: tuple[int, int] | None = None
    beside: dict[int, int] = field(default_factory=dict)


def clue_of(name: PurePosixPath, metadata: PhotoMetadata) -> PhotoClue:
    """What a photograph's metadata say about its flight."""
    return PhotoClue(
        name=name,
        captured_at=metadata.captured_at,
        latitude_deg=metadata.latitude_deg,
        longitude_deg=metadata.longitude_deg,
        camera_serial=metadata.camera_serial,
        camera_model=metadata.camera_model,
    )


def pieces_of(clues: Sequence[PhotoClue], *, pause_s: float = PAUSE_S, jump_m: float = JUMP_M) -> list[Piece]:
    """Flights among photographs that names or folders take for one, in the order of time; one piece when there is one.

    First by camera (serial numbers, or models where there are none), except cameras that release together: they hang
    from one drone. Then each photograph joins the latest piece that is at most ``pause_s`` and ``jump_m`` away, so
    that one wrong position does not tear a flight. Photographs without a time go with their neighbour by name.
    """
    times = seconds_of(clues)
    order = sorted(range(len(clues)), key=lambda at: natural_key(clues[at].name))
    cameras, by_serial = _cameras(clues, times, order)
    found: list[tuple[_Open, str]] = []
    for members in cameras:
        made = _chained(clues, times, members, pause_s=pause_s, jump_m=jump_m)
        if len(made) > 1:
            made[0].reason, made[0].kind = made[1].reason, made[1].kind
        camera = ("camera serial" if by_serial else "camera model") if len(cameras) > 1 else ""
        found += [(piece, camera) for piece in made]
    rank = {at: place for place, at in enumerate(order)}
    found.sort(key=lambda pair: (min(times.get(at, math.inf) for at in pair[0].members), rank[pair[0].members[0]]))
    return [_piece(clues, piece, camera, alone=len(found) == 1) for piece, camera in found]


def seconds_of(clues: Sequence[PhotoClue]) -> dict[int, float]:
    """Seconds by index, of photographs with a time: UTC where all have an offset, else the clocks as they read."""
    known = {at: clue.captured_at for at, clue in enumerate(clues) if clue.captured_at is not None}
    in_utc = all(moment.tzinfo is not None for moment in known.values())
    return {at: (moment if in_utc else moment.replace(tzinfo=UTC)).timestamp() for at, moment in known.items()}


def natural_key(name: PurePosixPath) -> list[tuple[int, str]]:
    """Sorts ``DJI_2`` before ``DJI_10``."""
    parts = re.split(r"([0-9]{1,18})", name.as_posix())  # every second one is a number
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)]


def distance_m(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Metres between two places (latitude, longitude in degrees) along a sphere (haversine)."""
    phi_a, phi_b = math.radians(first[0]), math.radians(second[0])
    turn = math.radians(second[1] - first[1])
    half = math.sin((phi_b - phi_a) / 2) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(turn / 2) ** 2
    return 2 * _EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, half)))


def duration_text(seconds: float) -> str:
    """``43 min``, ``3.2 h``, ``2 days``."""
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def distance_text(metres: float) -> str:
    """``5.2 km``, ``8000 km``."""
    return f"{metres / 1000:.{1 if metres < 100_000 else 0}f} km"


def _cameras(clues: Sequence[PhotoClue], times: dict[int, float], order: Sequence[int]) -> tuple[list[list[int]], bool]:
    """Indices by camera, in the order of names; and whether serial numbers told them apart."""
    by_serial = any(clue.camera_serial for clue in clues)
    labels = {at: (clues[at].camera_serial if by_serial else clues[at].camera_model) or "" for at in order}
    known = [at for at in order if labels[at]]
    if not known:
        return [list(order)], by_serial
    latest = labels[known[0]]
    groups: dict[str, list[int]] = defaultdict(list)
    for at in order:
        latest = labels[at] or latest
        groups[latest].append(at)
    merged: list[list[int]] = []
    for members in groups.values():
        partner = next((other for other in merged if _release_together(clues, times, other, members)), None)
        if partner is None:
            merged.append(members)
        else:
            partner += members
    return merged, by_serial


def _release_together(
    clues: Sequence[PhotoClue], times: dict[int, float], first: Sequence[int], second: Sequence[int]
) -> bool:
    many, few = sorted(([at for at in side if at in times] for side in (first, second)), key=len, reverse=True)
    if not few:
        return False
    many.sort(key=times.__getitem__)
    moments = [times[at] for at in many]
    paired = 0
    for at in few:
        near = bisect_left(moments, times[at] - _TOGETHER_S)
        while near < len(many) and moments[near] <= times[at] + _TOGETHER_S:
            if not _is_far(_place(clues[at]), _place(clues[many[near]]), _TOGETHER_M):
                paired += 1
                break
            near += 1
    return paired >= _TOGETHER_SHARE * len(few)


def _chained(
    clues: Sequence[PhotoClue], times: dict[int, float], members: Sequence[int], *, pause_s: float, jump_m: float
) -> list[_Open]:
    timed = sorted((at for at in members if at in times), key=times.__getitem__)
    pieces: list[_Open] = []
    live: list[_Open] = []
    previous: int | None = None
    for at in timed or members:
        now_s, place = times.get(at, 0.0), _place(clues[at])
        live = [piece for piece in live if now_s - piece.last_s <= pause_s]
        home = next((piece for piece in reversed(live) if not _is_far(piece.last_place, place, jump_m)), None)
        if home is None:
            home = _Open([], now_s, None)
            if previous is not None:
                home.split_at = (previous, at)
                if live:
                    away_m = min(distance_m(piece.last_place, place) for piece in live if piece.last_place and place)
                    home.kind, home.reason = "jump", f"{distance_text(away_m)} apart"
                else:
                    gap_s = now_s - max(piece.last_s for piece in pieces)
                    home.kind, home.reason = "pause", f"pause of {duration_text(gap_s)}"
            pieces.append(home)
        else:
            live.remove(home)
        home.members.append(at)
        home.last_s, home.last_place = now_s, place or home.last_place
        live.append(home)
        previous = at
    if timed:
        _add_untimed(pieces, members, times)
    return pieces


def _add_untimed(pieces: Iterable[_Open], members: Sequence[int], times: dict[int, float]) -> None:
    """Photographs without a time go into the piece of the one before them by name, else behind them."""
    home = {at: piece for piece in pieces for at in piece.members}
    neighbour = next(at for at in members if at in times)
    for at in members:
        if at in times:
            neighbour = at
        else:
            home[neighbour].members.append(at)
            home[neighbour].beside[at] = neighbour


def _piece(clues: Sequence[PhotoClue], piece: _Open, camera: str, *, alone: bool) -> Piece:
    common = ", ".join(part for part in (camera, piece.reason) if part)
    kinds: set[Kind] = {piece.kind} if piece.kind is not None else set()
    if camera:
        kinds.add("camera")
    reasons = []
    for at in piece.members:
        beside = piece.beside.get(at)
        reasons.append("" if alone else common if beside is None else f"next to {clues[beside].name.name}")
    return Piece(tuple(piece.members), tuple(reasons), frozenset(kinds), piece.split_at)


def _place(clue: PhotoClue) -> tuple[float, float] | None:
    if clue.latitude_deg is None or clue.longitude_deg is None:
        return None
    return clue.latitude_deg, clue.longitude_deg


def _is_far(first: tuple[float, float] | None, second: tuple[float, float] | None, limit_m: float) -> bool:
    return first is not None and second is not None and distance_m(first, second) > limit_m
