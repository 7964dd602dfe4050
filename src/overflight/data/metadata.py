"""When, where, how and with what a photograph was taken: EXIF and the XMP of drones.

Height above ground is the height above the take-off point (DJI's ``RelativeAltitude``, the best that most photos carry)
or above the ground where the drone measured it; ``altitude_source`` says which. GPS and absolute altitudes are heights
above the sea or an ellipsoid and are never taken for it. Whatever is missing or broken is None: metadata is a help, not
a condition. Sources: Exif 2.3 section 4.6; makers' XMP: ``overflight.data.xmp``; CIPA DCG-001 (35 mm equivalent).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from PIL import Image

from overflight.data.xmp import AltitudeSource, read_xmp, serial_of
from overflight.imaging.geo import FILM_DIAGONAL_MM, CameraPose
from overflight.imaging.header import Header, read_header

FocalSource = Literal["exif-35mm", "exif-focal-plane", "camera-table"]

_GPS_IFD, _EXIF_IFD = 0x8825, 0x8769
_MAKE, _MODEL, _DATE_TIME, _CAMERA_SERIAL = 0x010F, 0x0110, 0x0132, 0xC62F
_DATE_TIME_ORIGINAL, _OFFSET_ORIGINAL, _BODY_SERIAL = 0x9003, 0x9011, 0xA431
_FOCAL_LENGTH, _FOCAL_LENGTH_35MM, _DIGITAL_ZOOM = 0x920A, 0xA405, 0xA404
_WIDTH, _HEIGHT = 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4
_ALTITUDE_REF, _ALTITUDE, _GPS_STATUS = 5, 6, 9
_MM_PER_UNIT = {1: 25.4, 2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True)
class PhotoMetadata:
    """Facts of one photograph; None where the file does not say.

    Attributes:
        captured_at: Local time of the camera; with UTC offset only where the file gives one.
        latitude_deg: WGS 84, -90..90.
        longitude_deg: WGS 84, -180..180.
        altitude_agl_m: Height above the take-off point or the ground.
        gimbal_pitch_deg: -90 looks straight down.
        yaw_deg: Compass direction of the camera, -180..180.
        focal_length_35mm_mm: Focal length as of a 35 mm camera over the picture's diagonal, which gives the field of
            view; EXIF's figure is corrected where a known camera cut the picture out of its sensor.
        altitude_source: ``relative`` (to the take-off point) or ``above-ground``.
        absolute_altitude_m: Height above the sea or an ellipsoid; never the height above the ground.
        gimbal_roll_deg: Positive turns the camera clockwise as seen from behind.
        camera_make: Maker of the camera.
        camera_model: Model of the camera.
        camera_serial: Serial number of the camera, else of the drone.
        focal_length_mm: Real focal length.
        focal_source: Where ``focal_length_35mm_mm`` comes from: EXIF's own figure, the sensor's size by EXIF's
            pixels per inch of the focal plane, or by a table of cameras.
        digital_zoom: 1 without; it is not applied to the focal length.
    """

    captured_at: datetime | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_agl_m: float | None = None
    gimbal_pitch_deg: float | None = None
    yaw_deg: float | None = None
    focal_length_35mm_mm: float | None = None
    altitude_source: AltitudeSource | None = None
    absolute_altitude_m: float | None = None
    gimbal_roll_deg: float | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    camera_serial: str | None = None
    focal_length_mm: float | None = None
    focal_source: FocalSource | None = None
    digital_zoom: float | None = None


@dataclass(frozen=True)
class Camera:
    """The sensor of a camera.

    Attributes:
        width_mm: Width of what a picture of ``frame_wh_px`` uses.
        frame_wh_px: Columns and rows of the largest still picture.
    """

    width_mm: float
    frame_wh_px: tuple[int, int]

    @property
    def diagonal_mm(self) -> float:
        """Diagonal of what a picture of ``frame_wh_px`` uses."""
        width_px, height_px = self.frame_wh_px
        return self.width_mm * math.hypot(1.0, height_px / width_px)


def read_metadata(path: Path) -> PhotoMetadata:
    """Metadata of a photograph's file.

    Raises:
        ImageFault: it is no photograph that can be read.
    """
    return metadata_of(read_header(path.read_bytes(), where=str(path)))


def metadata_of(header: Header) -> PhotoMetadata:
    """Metadata of a photograph from its raw EXIF and XMP blocks; never raises on broken ones."""
    main, details, gps = _exif_blocks(header.exif)
    xmp = read_xmp(header.xmp)
    position = _gps_position(gps) or _position(xmp.latitude_deg, xmp.longitude_deg) or (None, None)
    focal, focal_source = _focal_35mm(main, details, (header.width_px, header.height_px))
    serials = (details.get(_BODY_SERIAL), main.get(_CAMERA_SERIAL))
    absolute = xmp.absolute_altitude_m
    return PhotoMetadata(
        captured_at=_time(details.get(_DATE_TIME_ORIGINAL) or main.get(_DATE_TIME), details.get(_OFFSET_ORIGINAL)),
        latitude_deg=position[0],
        longitude_deg=position[1],
        altitude_agl_m=xmp.altitude_agl_m,
        gimbal_pitch_deg=xmp.pitch_deg,
        yaw_deg=xmp.yaw_deg,
        focal_length_35mm_mm=focal,
        altitude_source=xmp.altitude_source,
        absolute_altitude_m=_gps_altitude(gps) if absolute is None else absolute,
        gimbal_roll_deg=xmp.roll_deg,
        camera_make=_text(main.get(_MAKE)) or None,
        camera_model=_text(main.get(_MODEL)) or None,
        camera_serial=next((found for raw in serials if (found := serial_of(_text(raw)))), xmp.serial),
        focal_length_mm=_positive(details.get(_FOCAL_LENGTH)),
        focal_source=focal_source,
        digital_zoom=_zoom(details.get(_DIGITAL_ZOOM)),
    )


def pose_of(metadata: PhotoMetadata) -> CameraPose | None:
    """Where the camera was and looked; None without a position."""
    if metadata.latitude_deg is None or metadata.longitude_deg is None:
        return None
    return CameraPose(
        latitude_deg=metadata.latitude_deg,
        longitude_deg=metadata.longitude_deg,
        altitude_agl_m=metadata.altitude_agl_m,
        yaw_deg=metadata.yaw_deg,
        gimbal_pitch_deg=metadata.gimbal_pitch_deg,
        focal_length_35mm_mm=metadata.focal_length_35mm_mm,
        gimbal_roll_deg=metadata.gimbal_roll_deg,
    )


def _exif_blocks(exif: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Tags of the main, the details' and the GPS directory; empty where the block is missing or broken."""
    if not exif:
        return {}, {}, {}
    tags = Image.Exif()
    try:
        tags.load(exif)
        return dict(tags), dict(tags.get_ifd(_EXIF_IFD)), dict(tags.get_ifd(_GPS_IFD))
    except Exception:  # noqa: BLE001 - Pillow raises many kinds on a broken block; without metadata the photo is still good
        return {}, {}, {}


def _time(stamp: Any, offset: Any) -> datetime | None:
    try:
        moment = datetime.strptime(_text(stamp), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    match = re.fullmatch(r"([+-])([01]\d|2[0-3]):([0-5]\d)", _text(offset))
    if match is None:
        return moment
    shift = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return moment.replace(tzinfo=timezone(-shift if match[1] == "-" else shift))


def _degrees(parts: Any, reference: Any) -> float | None:
    sign = {"N": 1, "E": 1, "S": -1, "W": -1}.get(_text(reference).upper())
    if sign is None:
        return None
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return sign * (degrees + minutes / 60 + seconds / 3600)


def _position(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """Both or neither; (0, 0) is what cameras write without a fix."""
    if latitude is None or longitude is None or not (math.isfinite(latitude) and math.isfinite(longitude)):
        return None
    if abs(latitude) > 90 or abs(longitude) > 180 or latitude == longitude == 0:
        return None
    return round(latitude, 8), round(longitude, 8)


def _gps_position(gps: Mapping[int, Any]) -> tuple[float, float] | None:
    if _text(gps.get(_GPS_STATUS)).upper() == "V":  # void: the receiver had no fix
        return None
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF))
    return _position(latitude, _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF)))


def _gps_altitude(gps: Mapping[int, Any]) -> float | None:
    metres = _finite(gps.get(_ALTITUDE))
    below = gps.get(_ALTITUDE_REF) in (1, b"\x01")
    return None if metres is None else round(-metres if below else metres, 3)


def _focal_35mm(
    main: Mapping[int, Any], details: Mapping[int, Any], size_wh_px: tuple[int, int]
) -> tuple[float | None, FocalSource | None]:
    """Focal length as of a 35 mm camera over the picture's diagonal (CIPA DCG-001), and where it comes from."""
    make, model = _text(main.get(_MAKE)), _text(main.get(_MODEL))
    camera = cameras().get((model if model.startswith(make) else f"{make} {model}").lower())
    given, focal_mm = _positive(details.get(_FOCAL_LENGTH_35MM)), _positive(details.get(_FOCAL_LENGTH))
    crop = 1.0 if camera is None else _crop_factor(camera, details, size_wh_px)
    if given is not None:
        return round(given * crop, 2), "exif-35mm"
    diagonal_mm = _plane_diagonal_mm(details)
    if focal_mm is not None and diagonal_mm is not None:
        return round(focal_mm / diagonal_mm * FILM_DIAGONAL_MM, 2), "exif-focal-plane"
    if focal_mm is not None and camera is not None:
        return round(focal_mm / camera.diagonal_mm * FILM_DIAGONAL_MM * crop, 2), "camera-table"
    return None, None


def _crop_factor(camera: Camera, details: Mapping[int, Any], size_wh_px: tuple[int, int]) -> float:
    """Diagonal of the whole sensor in pixels / diagonal of the picture, where the camera cut off its top and bottom.

    DJI's 16:9 pictures of a 4:3 sensor keep the figure of the whole sensor in EXIF: with 4.73 mm and 6.17 mm for 4000
    pixels an FC220 has 26.5 mm over 4000x3000, which EXIF rounds to 26, and 28.9 mm over the 4000x2250 of the picture.
    """
    width, height = _positive(details.get(_WIDTH)), _positive(details.get(_HEIGHT))
    if width is None or height is None:
        width, height = max(size_wh_px), min(size_wh_px)
    frame_width, frame_height = camera.frame_wh_px
    if abs(width - frame_width) > 0.02 * frame_width or height > 0.98 * frame_height:
        return 1.0
    return math.hypot(frame_width, frame_height) / math.hypot(width, height)


def _plane_diagonal_mm(details: Mapping[int, Any]) -> float | None:
    """Diagonal of the part of the sensor that the camera's picture used; 2 to 100 mm, else the figures are wrong."""
    unit_mm = _MM_PER_UNIT.get(details.get(_PLANE_UNIT, 2))
    across, down = _positive(details.get(_PLANE_X)), _positive(details.get(_PLANE_Y))
    width, height = _positive(details.get(_WIDTH)), _positive(details.get(_HEIGHT))
    if unit_mm is None or across is None or down is None or width is None or height is None:
        return None
    diagonal_mm = math.hypot(width / across, height / down) * unit_mm
    return diagonal_mm if 2 <= diagonal_mm <= 100 else None


@functools.cache
def cameras() -> Mapping[str, Camera]:
    """Cameras by ``make model`` in lower case, from ``cameras.yaml``."""
    document = yaml.safe_load(files("overflight.data").joinpath("cameras.yaml").read_text(encoding="utf-8"))
    return {
        str(name).lower(): Camera(float(camera["width_mm"]), tuple(camera["frame_wh_px"]))
        for name, camera in document["cameras"].items()
    }


def _zoom(value: Any) -> float | None:
    """0 means that there was none (Exif 2.3, tag 0xA404)."""
    zoom = _finite(value)
    return None if zoom is None or 0 < zoom < 1 or zoom < 0 else max(1.0, zoom)


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _finite(value)
    return number if number is not None and number > 0 else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return value.strip("\x00 \t\r\n") if isinstance(value, str) else ""
