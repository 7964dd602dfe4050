"""The contact sheet: tiles as they are on the left, their copies to the right, boxes drawn, what was done below each.

It draws what ``preview`` found and decides nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from overflight.data.augment.preview import Preview, Shown
from overflight.imaging.boxes import Boxes
from overflight.imaging.codecs import Rgb
from overflight.imaging.draw import Colour, class_colours, draw_detections

CELL_PX = 460

_GAP_PX, _MARGIN_PX, _TYPE_PX, _TITLE_PX = 12, 24, 15, 22
_PAPER, _INK, _GREY = (250, 250, 248), (24, 26, 30), (105, 108, 114)
_LINES = 4


def draw_sheet(found: Preview, *, title: str, subtitle: str) -> Rgb:
    """RGB uint8 picture of a preview; every cell has the same width."""
    columns = 1 + max((len(row.copies) for row in found.rows), default=0)
    heights = [max(_cell_height(cell) for cell in (row.original, *row.copies)) for row in found.rows]
    texts = [_text_px(max(len(_lines(cell)) for cell in (row.original, *row.copies))) for row in found.rows]
    head_px = _MARGIN_PX + round(_TITLE_PX * 1.5) + round(_TYPE_PX * 1.6)
    width = 2 * _MARGIN_PX + columns * CELL_PX + (columns - 1) * _GAP_PX
    legend_px = round(_TYPE_PX * 1.8)
    height = head_px + legend_px + sum(heights) + sum(texts) + len(heights) * _GAP_PX + _MARGIN_PX
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN_PX, _MARGIN_PX), title, fill=_INK, font=_font(_TITLE_PX))
    pen.text((_MARGIN_PX, _MARGIN_PX + round(_TITLE_PX * 1.5)), subtitle, fill=_GREY, font=_font(_TYPE_PX))
    colours = class_colours(found.classes)
    _legend(pen, found, colours, top=head_px)
    top = head_px + legend_px
    for row, row_px, text_px in zip(found.rows, heights, texts, strict=True):
        for column, cell in enumerate((row.original, *row.copies)):
            left = _MARGIN_PX + column * (CELL_PX + _GAP_PX)
            picture = Image.fromarray(_drawn(cell, colours))
            place = (left + (CELL_PX - picture.width) // 2, top)
            sheet.paste(picture, place)
            if column == 0:
                pen.rectangle(
                    (place[0] - 3, top - 3, place[0] + picture.width + 2, top + picture.height + 2), None, _INK, 2
                )
            _caption(pen, cell, (left, top + row_px + _GAP_PX // 2))
        top += row_px + text_px + _GAP_PX
    return np.asarray(sheet, dtype=np.uint8)


def _cell_height(cell: Shown) -> int:
    height, width = cell.rgb.shape[:2]
    return max(1, int(height * min(CELL_PX / width, CELL_PX / height) + 0.5))


def _drawn(cell: Shown, colours: dict[str, Colour]) -> Rgb:
    """The picture in the size of a cell with its boxes as thin lines; boxes stay legible on small objects."""
    height, width = cell.rgb.shape[:2]
    scale = min(CELL_PX / width, CELL_PX / height)
    size = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(cell.rgb, size, interpolation=method), dtype=np.uint8)
    boxes: Boxes = cell.boxes_px * np.array([size[0] / width, size[1] / height] * 2)
    return draw_detections(small, boxes, cell.labels, colours=colours, legend=False) if len(boxes) else small


def _legend(pen: ImageDraw.ImageDraw, found: Preview, colours: dict[str, Colour], *, top: int) -> None:
    shown = {label for row in found.rows for cell in (row.original, *row.copies) for label in cell.labels}
    left = _MARGIN_PX
    for name in (name for name in found.classes if name in shown):
        pen.rectangle((left, top + 2, left + _TYPE_PX, top + 2 + _TYPE_PX), colours[name], _INK)
        pen.text((left + _TYPE_PX + 6, top), name, fill=_INK, font=_font(_TYPE_PX))
        left += _TYPE_PX + 6 + round(_font(_TYPE_PX).getlength(name)) + 20


def _caption(pen: ImageDraw.ImageDraw, cell: Shown, place: tuple[int, int]) -> None:
    lines = _lines(cell)
    for number, line in enumerate(lines, start=1):
        at = (place[0], place[1] + round((number - 1) * _TYPE_PX * 1.3))
        pen.text(at, line, fill=_GREY if number == len(lines) else _INK, font=_font(_TYPE_PX))


def _lines(cell: Shown) -> list[str]:
    """What was done, in a few lines, and the number of boxes."""
    count = len(cell.labels)
    return [*_wrapped(cell.caption)[: _LINES - 1], f"{count} {'box' if count == 1 else 'boxes'}"]


def _text_px(lines: int) -> int:
    return round(lines * _TYPE_PX * 1.3) + _GAP_PX


def _wrapped(text: str) -> list[str]:
    lines, line = list[str](), ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and _font(_TYPE_PX).getlength(longer) > CELL_PX:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size_px)
