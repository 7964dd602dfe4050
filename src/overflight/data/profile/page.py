"""A profile as one page that people read: figures, sentences, charts, maps and pictures, without a network.

It puts together what ``story``, the sections and ``pictures`` make; it does not measure or judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.catalogue import Catalogue
from overflight.data.facts import MAX_PHOTO_BYTES
from overflight.data.findings import Finding, errors_of, warnings_of
from overflight.data.metadata import pose_of
from overflight.data.profile.pictures import galleries
from overflight.data.profile.section_flights import balance, flown, ground
from overflight.data.profile.section_objects import positions, sizes, together
from overflight.data.profile.section_photos import copies, height, quality
from overflight.data.profile.story import head, stands_out
from overflight.data.profile.tables import Profile
from overflight.data.reading import Read
from overflight.files import write_text
from overflight.imaging.footprint import ground_footprint


def write_page(
    path: Path, profile: Profile, read: Read, *, findings: Sequence[Finding], catalogue: Catalogue, title: str = ""
) -> None:
    """Write the report of a survey.

    Args:
        path: HTML file to be written.
        profile: Of the survey.
        read: The same survey as read: labels, metadata and the photographs themselves.
        findings: Of the checks over it.
        catalogue: The rules that were applied.
        title: Name on the page; by default the profile's.
    """
    made = (
        balance(profile),
        flown(profile),
        ground(profile, footprints_of(profile, read)),
        sizes(profile),
        positions(profile),
        quality(profile, catalogue),
        height(profile),
        together(profile),
        copies(profile),
    )
    pictures = galleries(
        profile,
        labels=read.subject.labels.photos,
        read=lambda key: read.files.read(key, max_bytes=MAX_PHOTO_BYTES),
        findings=findings,
        catalogue=catalogue,
    )
    errors, warnings = len(errors_of(findings)), len(warnings_of(findings))
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        files("overflight.data.profile").joinpath("page.html").read_text(encoding="utf-8")
    )
    page = template.render(
        title=title or profile.name,
        facts=head(profile),
        remarks=stands_out(profile, errors=errors, warnings=warnings),
        sections=[section for section in made if section.cards],
        galleries=pictures,
        notes=profile.notes,
    )
    write_text(path, page)


def footprints_of(profile: Profile, read: Read) -> Mapping[int, NDArray[np.float64]]:
    """Ground that photographs show by their row: (4, 2) longitude and latitude (deg), where it is known."""
    found: dict[int, NDArray[np.float64]] = {}
    for row, key in enumerate(profile.photos["photo"].tolist()):
        facts = read.subject.photos.get(key)
        size = None if facts is None else facts.size_wh_px
        pose = None if facts is None else pose_of(facts.metadata)
        if size is not None and pose is not None:
            corners = ground_footprint(pose, width_px=size[0], height_px=size[1])
            if corners is not None:
                found[row] = corners
    return found
