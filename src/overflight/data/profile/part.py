"""The profile of some photographs of a survey, from the profile of all: nothing is measured again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from overflight.data.profile.measure import notes_on
from overflight.data.profile.summary import summary_of
from overflight.data.profile.tables import Profile


def part_of(profile: Profile, photos: Collection[str]) -> Profile:
    """``profile`` of the photographs with these keys, in the same order; pairs with others go."""
    wanted = frozenset(photos)
    kept = np.array([key in wanted for key in profile.photos["photo"].tolist()], dtype=np.bool_)
    place = np.cumsum(kept) - 1
    of_photo = profile.boxes["photo_index"]
    boxes = {name: column[kept[of_photo]] for name, column in profile.boxes.items()}
    boxes["photo_index"] = place[boxes["photo_index"]].astype(of_photo.dtype)
    pairs = kept[profile.neighbours["a"]] & kept[profile.neighbours["b"]]
    neighbours = {name: column[pairs] for name, column in profile.neighbours.items()}
    for end in ("a", "b"):
        neighbours[end] = place[neighbours[end]].astype(profile.neighbours[end].dtype)
    columns = {name: column[kept] for name, column in profile.photos.items()}
    found = replace(profile, photos=columns, boxes=boxes, neighbours=neighbours, notes=notes_on(columns, boxes))
    return replace(found, summary=summary_of(found))
