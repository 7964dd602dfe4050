"""Sections of a report about labelled objects: their sizes, where they are, which classes come together."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from overflight.data.profile import charts
from overflight.data.profile.cards import MAX_ROWS, Card, Section, median_text
from overflight.data.profile.charts import Limit, number
from overflight.data.profile.summary import co_occurrence, heat_map
from overflight.data.profile.tables import Profile

_FINE_CELLS, _COARSE_CELLS, _MANY_BOXES = 32, 16, 5000


def sizes(profile: Profile) -> Section:
    """Sides and shapes of boxes, in pixels and on the ground."""
    boxes = profile.boxes
    if not len(boxes["class_id"]):
        return Section("sizes", "Sizes of objects", "", ())
    rows = []
    for index, name in enumerate(profile.classes[:MAX_ROWS]):
        chosen = boxes["class_id"] == index
        if chosen.any():
            sides, cm = boxes["box_side_px"][chosen], boxes["box_side_cm"][chosen]
            quantiles = [number(float(value)) for value in np.percentile(sides, [5, 50, 95])]
            rows.append((name, *quantiles, median_text(cm), median_text(boxes["aspect"][chosen])))
    small = [Limit(32, "32", "mark"), Limit(96, "96", "mark")]
    return Section(
        "sizes",
        "Sizes of objects",
        "Detectors lose most below 32 px (COCO calls that small). In centimetres a class should form one peak: a "
        "second one is another thing, or a wrong height.",
        (
            Card(
                "In pixels",
                charts.histogram(boxes["box_side_px"], unit="px, square root of the area", thing="boxes", limits=small),
            ),
            Card("On the ground", charts.histogram(boxes["box_side_cm"], unit="cm", thing="boxes")),
            Card("Width / height", charts.histogram(boxes["aspect"], unit="width / height", thing="boxes")),
            Card(
                "By class",
                charts.table(("class", "5 %", "median px", "95 %", "median cm", "width / height"), rows),
                width="all",
            ),
        ),
    )


def positions(profile: Profile) -> Section:
    """Where in the photograph boxes are, how many, how close."""
    if not len(profile.boxes["class_id"]):
        return Section("positions", "Where objects are", "", ())
    cells = _FINE_CELLS if len(profile.boxes["class_id"]) >= _MANY_BOXES else _COARSE_CELLS
    counts = heat_map(profile.boxes, cells=cells).astype(np.float64)
    titles = [[f"{value:,.0f} boxes" for value in row] for row in counts.tolist()]
    known = profile.photos["width_px"] > 0
    wide, high = profile.photos["width_px"][known], profile.photos["height_px"][known]
    aspect = float(np.clip(np.median(wide / high), 0.6, 2.5)) if known.any() else 4 / 3
    return Section(
        "positions",
        "Where objects are, and how close",
        "An even map is what aerial surveys should give; a street in the middle of every frame teaches the detector "
        "where to look. Crowded objects are lost in non-maximum suppression.",
        (
            Card("Centres of boxes in the photo", charts.heat(counts, titles=titles, aspect=aspect)),
            Card(
                "Objects per photo",
                charts.histogram(
                    profile.photos["boxes"][profile.photos["labelled"].astype(bool)], unit="boxes", whole=True
                ),
            ),
            Card(
                "Distance to the nearest object",
                charts.histogram(profile.boxes["neighbour_sides"], unit="own sides, centre to centre", thing="boxes"),
                f"{profile.boxes['overlaps'].mean():.0%} overlap another box; "
                f"{profile.boxes['at_border'].mean():.1%} touch the border and are probably cut.",
            ),
        ),
    )


def together(profile: Profile) -> Section:
    """Which classes are in the same photographs."""
    matrix = co_occurrence(profile.boxes, classes=len(profile.classes))
    used = [index for index in np.argsort(-np.diag(matrix), kind="stable").tolist() if matrix[index, index]]
    shown = used[:12]
    if len(shown) < 2:
        return Section("together", "Classes together", "", ())
    cells = Markup("").join(
        Markup("<tr><th>{}</th>{}</tr>").format(
            profile.classes[row],
            Markup("").join(
                Markup('<td style="--v:{:.0f}%" title="{} of {} photos with {} also hold {}">{:.0%}</td>').format(
                    100 * matrix[row, column] / matrix[row, row],
                    matrix[row, column],
                    matrix[row, row],
                    profile.classes[row],
                    profile.classes[column],
                    matrix[row, column] / matrix[row, row],
                )
                for column in shown
            ),
        )
        for row in shown
    )
    names = Markup("").join(Markup("<th>{}</th>").format(profile.classes[index]) for index in shown)
    chart = Markup('<div class="scroll"><table class="matrix"><tr><th></th>{}</tr>{}</table></div>').format(
        names, cells
    )
    return Section(
        "together",
        "Classes together",
        "Of the photographs with the class of the row, how many also hold the class of the column? Classes that never "
        "come alone cannot be told apart by their surroundings.",
        (Card("Share of photographs", chart, width="all"),),
    )
