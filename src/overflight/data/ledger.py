"""What came in and what became of it: every photograph and every box of a source is counted on both sides.

The two sides are counted from different things (what was found and read, what was written and listed), so a ledger
that balances says that nothing was lost between them. It does not know files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from overflight.errors import OverflightError


@dataclass(frozen=True)
class Ledger:
    """Photographs and boxes in and out.

    Attributes:
        photos_in: Photographs found or named by labels.
        photos_absent: Those of ``photos_in`` that labels name and no file is there for.
        photos_stored: In the survey.
        photos_quarantined: Left out and listed in the quarantine.
        boxes_in: Entries of the label files, whatever they say.
        boxes_stored: In the survey's label files.
        boxes_ignored: Regions to be ignored, in the survey's manifest.
        boxes_quarantined: Left out and listed: boxes of photographs left out, and entries that are no boxes.
        boxes_removed: Removed by a cure and listed in the quarantine.
    """

    photos_in: int
    photos_stored: int
    photos_quarantined: int
    boxes_in: int
    boxes_stored: int
    boxes_quarantined: int
    boxes_removed: int = 0
    boxes_ignored: int = 0
    photos_absent: int = 0

    @property
    def photos_out(self) -> int:
        """Photographs accounted for."""
        return self.photos_stored + self.photos_quarantined

    @property
    def boxes_out(self) -> int:
        """Boxes accounted for."""
        return self.boxes_stored + self.boxes_ignored + self.boxes_quarantined + self.boxes_removed

    def check(self) -> None:
        """Refuse to go on when something is unaccounted for.

        Raises:
            OverflightError: in and out differ.
        """
        if self.photos_in != self.photos_out or self.boxes_in != self.boxes_out:
            raise OverflightError(
                f"{self.photos_in} photographs and {self.boxes_in} boxes came in, {self.photos_out} and "
                f"{self.boxes_out} are accounted for",
                where="ledger",
                cure="Nothing was written; this is a fault of Overflight: report it with a list of the files",
            )

    def as_dict(self) -> dict[str, int]:
        """For ``survey.json`` and ``--json``."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """Two sentences for people."""
        absent = f" ({self.photos_absent} of them only named by labels)" if self.photos_absent else ""
        parts = [f"{self.boxes_stored:,} stored"]
        for count, word in (
            (self.boxes_ignored, "kept as regions to be ignored"),
            (self.boxes_quarantined, "quarantined"),
            (self.boxes_removed, "removed by cures"),
        ):
            if count:
                parts.append(f"{count:,} {word}")
        return [
            f"{self.photos_in:,} photographs{absent} = {self.photos_stored:,} stored "
            f"+ {self.photos_quarantined:,} quarantined",
            f"{self.boxes_in:,} boxes = {' + '.join(parts)}",
        ]


def ledger_of(counts: Mapping[str, int]) -> Ledger:
    """The ledger that :meth:`Ledger.as_dict` gave; unknown names are left out."""
    known = {field.name for field in fields(Ledger)}
    return Ledger(**{name: value for name, value in counts.items() if name in known})
