"""A model card as PDF: A4, page numbers, the same content as the page.

Fonts are PDF's standard ones, which know Western European letters only: any other letter becomes a question mark and
the document says how many there were. Texts are escaped before reportlab sees them: its paragraphs read markup, and
markup may name files. The same card gives the same bytes. reportlab is imported when a PDF is written, not before.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from overflight.governance.model_card_facts import Measure
from overflight.governance.model_card_page import TICKS, count_text
from overflight.governance.model_card_view import Block, Figures, Lists, Pairs, Text, View

if TYPE_CHECKING:
    from reportlab.graphics.shapes import Drawing
    from reportlab.pdfgen.canvas import Canvas

_COLOURS = {"Draft": "#5c6776", "PendingReview": "#9a6200", "Approved": "#1f7a48", "Archived": "#b3261e"}
_INK, _SOFT, _LINE, _ACCENT, _BAR = "#1c2430", "#586372", "#d5dbe2", "#2f6fc4", "#b9d0ee"
_MM = 72 / 25.4
_WIDTH = 174 * _MM  # of the text on A4 with margins of 18 mm
_FRAME = 6.0  # reportlab's frames keep this distance from their edges
_PLOT_WIDTH, _PLOT_HEIGHT, _EDGE = 150.0, 12.0, 5.0
_CODEC = "cp1252"  # what WinAnsiEncoding, the encoding of the standard fonts, can say


def card_pdf(view: View, *, compress: bool = True) -> bytes:
    """The document.

    Args:
        view: What it says.
        compress: Whether the pages' content is compressed; without, it can be read with an editor.
    """
    from reportlab.platypus import SimpleDocTemplate

    writer = _Writer()
    story = writer.story(view)
    target = io.BytesIO()
    document = SimpleDocTemplate(
        target,
        pagesize=(210 * _MM, 297 * _MM),
        leftMargin=18 * _MM - _FRAME,
        rightMargin=18 * _MM - _FRAME,
        topMargin=16 * _MM,
        bottomMargin=18 * _MM,
        title=_shown(view.title),
        author="Overflight",
        subject=_shown(view.badge),
        pageCompression=int(compress),
        invariant=1,
    )
    document.build(story, canvasmaker=_numbered(f"{view.title} \u2013 {view.badge}"))
    return target.getvalue()


class _Writer:
    """Turns blocks into reportlab's flowables; counts the letters that the fonts do not have."""

    def __init__(self) -> None:
        from reportlab.lib.colors import HexColor
        from reportlab.lib.styles import ParagraphStyle

        def style(
            name: str, size: float, *, font: str = "Helvetica", colour: str = _INK, **more: Any
        ) -> ParagraphStyle:
            return ParagraphStyle(
                name, fontName=font, fontSize=size, leading=size * 1.38, textColor=HexColor(colour), **more
            )

        bold = "Helvetica-Bold"
        self._styles = {
            "title": style("title", 19, font=bold, spaceAfter=2),
            "summary": style("summary", 11, spaceBefore=6, spaceAfter=6),
            "h2": style("h2", 13.5, font=bold, spaceBefore=14, spaceAfter=5, keepWithNext=1),
            "h3": style("h3", 9.5, font=bold, spaceBefore=7, spaceAfter=2, keepWithNext=1),
            "plain": style("plain", 9.5, spaceAfter=4),
            "note": style("note", 8.2, colour=_SOFT, spaceAfter=3),
            "warning": style("warning", 9.5, font=bold, colour=_COLOURS["Archived"], spaceAfter=4),
            "item": style("item", 9.5, leftIndent=11, bulletIndent=2, spaceAfter=2),
            "name": style("name", 9, colour=_SOFT),
            "cell": style("cell", 9),
            "number": style("number", 9, alignment=2),
            "head": style("head", 8, font=bold, colour=_SOFT),
            "headnumber": style("headnumber", 8, font=bold, colour=_SOFT, alignment=2),
            "remark": style(
                "remark", 9.5, leftIndent=6, rightIndent=6, borderPadding=(4, 6, 4, 6), spaceBefore=7, spaceAfter=7
            ),
        }
        self._styles["remark"].backColor = HexColor("#fbf4e6")
        for status, colour in _COLOURS.items():
            self._styles[status] = style(status, 11, font=bold, colour=colour, spaceAfter=2)
        self._lost = 0

    def story(self, view: View) -> list[Any]:
        """Everything in order."""
        found: list[Any] = [
            self._text(view.title, "title"),
            self._text(view.badge, view.status),
            self._text(view.summary, "summary"),
        ]
        found += [self._text(remark, "remark") for remark in view.remarks]
        for section in view.sections:
            found.append(self._text(section.title, "h2"))
            for block in section.blocks:
                found += self._block(block)
        found.append(self._text(view.footer, "note"))
        if self._lost:
            found.append(
                self._text(f"{self._lost} letters are shown as ? here: see the card's HTML page for them.", "note")
            )
        return found

    def _text(self, text: str, style: str, **more: Any) -> Any:
        from reportlab.platypus import Paragraph

        shown = _shown(text)
        self._lost += sum(a != b for a, b in zip(shown, text, strict=True))
        return Paragraph(escape(shown).replace("\n", "<br/>"), self._styles[style], **more)

    def _block(self, block: Block) -> list[Any]:
        match block:
            case Text():
                return [self._text(block.text, block.tone)]
            case Lists():
                found = []
                for title, items in block.lists:
                    found += [self._text(title, "h3")] if title else []
                    found += [self._text(item, "item", bulletText="\u2022") for item in items]
                return found
            case Pairs():
                rows = [[self._text(name, "name"), self._text(value, "cell")] for name, value in block.rows]
                return [_table(rows, (0.24 * _WIDTH, 0.76 * _WIDTH), repeat=0)]
            case Figures():
                return self._figures(block)

    def _figures(self, block: Figures) -> list[Any]:
        words = f"{block.title}: {block.figure}" if block.figure else block.title
        head: list[Any] = [self._text("", "head")]
        head += [self._text(name, "headnumber") for name in ("Photographs", "Objects", "Value", "Interval")]
        rows = [[*head, _axis()]]
        for row in block.rows:
            cells = [count_text(row.photos), count_text(row.boxes), *_value_cells(row)]
            rows.append(
                [self._text(row.name, "cell"), *(self._text(cell, "number") for cell in cells), _plot(row, block.whole)]
            )
        fixed = (64.0, 42.0, 36.0, 70.0, _PLOT_WIDTH + 8)
        empty = [place for place, row in enumerate(block.rows, start=1) if row.value is None]
        joined = [("SPAN", (3, place), (4, place)) for place in empty]
        found = [self._text(words, "h3"), _table(rows, (_WIDTH - sum(fixed), *fixed), repeat=1, more=joined)]
        if block.left_out:
            found.append(self._text(f"{block.left_out} more are not shown.", "note"))
        return found


def _value_cells(row: Measure) -> tuple[str, str]:
    if row.value is None:
        return "not measured", ""
    return f"{row.value:.2f}", "none" if row.low is None or row.high is None else f"{row.low:.2f} to {row.high:.2f}"


def _table(
    rows: Sequence[Sequence[Any]], widths: Sequence[float], *, repeat: int, more: Sequence[tuple[Any, ...]] = ()
) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Table

    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor(_LINE)),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("LEFTPADDING", (1, 0), (-1, -1), 4),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        *more,
    ]
    return Table(rows, colWidths=list(widths), style=style, repeatRows=repeat, hAlign="LEFT", spaceAfter=5)


def _x(value: float) -> float:
    return _EDGE + (_PLOT_WIDTH - 2 * _EDGE) * min(max(value, 0.0), 1.0)


def _axis() -> Drawing:
    from reportlab.graphics.shapes import Drawing, String
    from reportlab.lib.colors import HexColor

    drawing = Drawing(_PLOT_WIDTH, _PLOT_HEIGHT)
    for tick in TICKS:
        drawing.add(String(_x(tick), 2, f"{tick:g}", fontSize=7, fillColor=HexColor(_SOFT), textAnchor="middle"))
    return drawing


def _plot(row: Measure, whole: float | None) -> Drawing:
    from reportlab.graphics.shapes import Circle, Drawing, Line
    from reportlab.lib.colors import HexColor

    drawing, middle = Drawing(_PLOT_WIDTH, _PLOT_HEIGHT), _PLOT_HEIGHT / 2
    for tick in TICKS:
        drawing.add(Line(_x(tick), 0, _x(tick), _PLOT_HEIGHT, strokeColor=HexColor(_LINE), strokeWidth=0.4))
    if whole is not None:
        line = Line(_x(whole), 0, _x(whole), _PLOT_HEIGHT, strokeColor=HexColor(_SOFT), strokeWidth=0.6)
        line.strokeDashArray = [1.5, 1.5]
        drawing.add(line)
    if row.low is not None and row.high is not None:
        drawing.add(
            Line(_x(row.low), middle, _x(row.high), middle, strokeColor=HexColor(_BAR), strokeWidth=4, strokeLineCap=1)
        )
    if row.value is not None:
        drawing.add(Circle(_x(row.value), middle, 2.6, fillColor=HexColor(_ACCENT), strokeColor=None))
    return drawing


def _shown(text: str) -> str:
    """``text`` with a question mark for every letter that the standard fonts do not have."""
    return text.encode(_CODEC, "replace").decode(_CODEC)


def _numbered(words: str) -> type[Canvas]:
    """A canvas that writes ``words`` and ``page 1 of 3`` below every page; how many there are is known at the end."""
    from reportlab.pdfgen.canvas import Canvas

    class Numbered(Canvas):  # type: ignore[misc]  # reportlab ships no types
        """Keeps its pages until all are there."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._kept: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            """Keep the page."""
            self._kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            """Write all pages with their numbers."""
            for number, page in enumerate(self._kept, start=1):
                self.__dict__.update(page)
                self.setFont("Helvetica", 8)
                self.setFillColorRGB(0.35, 0.39, 0.45)
                self.drawString(18 * _MM, 10 * _MM, _shown(words)[:100])
                self.drawRightString(192 * _MM, 10 * _MM, f"page {number} of {len(self._kept)}")
                super().showPage()
            super().save()

    return Numbered
