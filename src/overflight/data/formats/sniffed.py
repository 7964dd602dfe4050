"""What the recognition of a format found, and what a writer wrote. It knows no format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sniffed:
    """A format that a folder's labels seem to have.

    Attributes:
        format: Name, as in ``overflight.data.formats.registry``.
        labels: Keys of the label files to read, sorted; for formats with one file per photograph all of them.
        evidence: What was seen, one sentence for people.
    """

    format: str
    labels: tuple[str, ...]
    evidence: str


@dataclass(frozen=True)
class Written:
    """What a writer wrote.

    Attributes:
        places: Where each photograph has to be placed, by photo key: a path relative to the folder, with ``/``.
        losses: What the format cannot hold, one sentence each (``12 oriented boxes became upright``).
    """

    places: dict[str, str]
    losses: tuple[str, ...]
