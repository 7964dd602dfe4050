"""The pinhole camera: from ground to picture and back, for a camera that looks straight down.

Pixel positions are pixel centres (the first pixel's centre is 0, 0). Lens distortion and tilt are not modelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from overflight.data.scenes.noise import Array
from overflight.data.scenes.plan import Pose
from overflight.data.scenes.settings import FRAME_WIDTH_PER_ALTITUDE


@dataclass(frozen=True)
class Camera:
    """One photograph's geometry.

    Attributes:
        pose: Where the camera is.
        width_px: Width of the picture.
        height_px: Height of the picture.
    """

    pose: Pose
    width_px: int
    height_px: int

    @property
    def gsd_m(self) -> float:
        """Metres on the ground per pixel."""
        return FRAME_WIDTH_PER_ALTITUDE * self.pose.altitude_m / self.width_px

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point, which is the spot below the camera."""
        return (self.width_px - 1) / 2, (self.height_px - 1) / 2

    def turn_rad(self) -> float:
        """Angle to add to a direction in site axes (from east towards south) to get it in picture axes."""
        return -math.radians(self.pose.yaw_deg)

    def to_pixel(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Picture position of a point on the ground."""
        turn = self.turn_rad()
        cos, sin = math.cos(turn), math.sin(turn)
        east, south = (x_m - self.pose.x_m) / self.gsd_m, (y_m - self.pose.y_m) / self.gsd_m
        return self.centre_px[0] + east * cos - south * sin, self.centre_px[1] + east * sin + south * cos

    def magnification(self, height_m: float) -> float:
        """How much farther from the centre (and larger) a point at ``height_m`` appears than one on the ground."""
        return self.pose.altitude_m / max(self.pose.altitude_m - height_m, 0.2 * self.pose.altitude_m)

    def raster_matrix(self, pixel_m: float, *, reduce: int = 1) -> Array:
        """Affine matrix (2 x 3) from picture to a site raster of ``pixel_m``, for ``cv2.WARP_INVERSE_MAP``.

        With ``reduce`` the picture has that many times fewer pixels each way.
        """
        turn = -self.turn_rad()
        scale = self.gsd_m * reduce / pixel_m
        cos, sin = scale * math.cos(turn), scale * math.sin(turn)
        centre_x, centre_y = (self.width_px // reduce - 1) / 2, (self.height_px // reduce - 1) / 2
        x = self.pose.x_m / pixel_m - 0.5 - cos * centre_x + sin * centre_y
        y = self.pose.y_m / pixel_m - 0.5 - sin * centre_x - cos * centre_y
        return np.array([[cos, -sin, x], [sin, cos, y]], np.float64)
