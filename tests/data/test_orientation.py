"""A camera held upright: sizes, tiles and truth are those of the picture as people see it (EXIF orientation)."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from overflight.data.dataset import DatasetRequest, build_dataset
from overflight.data.survey import read_survey, write_survey
from overflight.data.tile import TileRules
from overflight.imaging.codecs import decode

BOX_PX = (96, 160, 160, 224)  # x0 y0 x1 y1 in the upright picture of 320 x 480


def write_source(folder, orientation):
    """Three flights of one photo each: a red square on grey, stored turned so that EXIF turns it back."""
    upright = np.full((480, 320, 3), 90, dtype=np.uint8)
    x0, y0, x1, y1 = BOX_PX
    upright[y0:y1, x0:x1] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for operation in (None, *Image.Transpose):
        stored = Image.fromarray(upright) if operation is None else Image.fromarray(upright).transpose(operation)
        stored.getexif()[0x0112] = orientation
        if np.array_equal(np.asarray(ImageOps.exif_transpose(stored)), upright):
            break
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number, flight in enumerate("abc"):
        stored.putpixel((0, 0), (number, 0, 0))  # photographs of different flights are different files
        stored.save(folder / f"images/{flight}-1.png", exif=exif)
        centre = (x0 + x1) / 640, (y0 + y1) / 960
        (folder / f"labels/{flight}-1.txt").write_text(f"0 {centre[0]} {centre[1]} {64 / 320} {64 / 480}\n")
    (folder / "classes.txt").write_text("square\n")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_survey_tiles_and_truth_agree_on_the_upright_picture(tmp_path, orientation):
    write_source(tmp_path / "source", orientation)
    draft = read_survey(tmp_path / "source", name="s")
    assert {(photo.width_px, photo.height_px) for photo in draft.survey().photos} == {(320, 480)}
    write_survey(draft, tmp_path / "survey")
    request = DatasetRequest(rules=TileRules(tile_px=256, overlap_px=96), workers=1)
    build_dataset(tmp_path / "survey", tmp_path / "dataset", request=request)

    truth = json.loads((tmp_path / "dataset/test/truth.json").read_text())
    (image,), (annotation,) = truth["images"], truth["annotations"]
    held_out = decode((tmp_path / "dataset/test/photos" / image["file_name"]).read_bytes())
    assert held_out.shape == (image["height"], image["width"], 3) == (480, 320, 3)
    assert annotation["bbox"] == [96, 160, 64, 64]
    assert_red(held_out, *BOX_PX)

    labels = [path for path in (tmp_path / "dataset/labels/train").glob("*.txt") if path.read_text()]
    assert labels
    for path in labels:
        tile = decode((tmp_path / "dataset/images/train" / f"{path.stem}.jpg").read_bytes())
        _, cx, cy, width, height = (float(field) for field in path.read_text().split())
        size = tile.shape[1], tile.shape[0]
        first = [round((c - s / 2) * side) for c, s, side in zip((cx, cy), (width, height), size, strict=True)]
        last = [round((c + s / 2) * side) for c, s, side in zip((cx, cy), (width, height), size, strict=True)]
        assert_red(tile, *first, *last)


def assert_red(picture, x0, y0, x1, y1):
    """Red inside the box (2 px of JPEG's blur apart), grey outside."""
    red = (picture[..., 0].astype(int) - picture[..., 1]) > 80
    assert red[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].all()
    red[max(y0 - 3, 0) : y1 + 3, max(x0 - 3, 0) : x1 + 3] = False
    assert not red.any()
