"""When, where and how a photograph was taken: EXIF and DJI's XMP.

Height above ground is DJI's ``RelativeAltitude`` (height above the take-off point, the best a photo carries); GPS and
``AbsoluteAltitude`` are heights above the sea or an ellipsoid and are never taken for it. Whatever is missing or
broken is None: metadata is a help, not a condition. Sources: Exif 2.3 section 4.6; DJI's namespace
http://www.dji.com/drone-dji/1.0/.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from PIL import Image

from overflight.imaging.header import Header, read_header

_GPS_IFD, _EXIF_IFD = 0x8825, 0x8769
_DATE_TIME, _DATE_TIME_ORIGINAL, _OFFSET_ORIGINAL = 0x0132, 0x9003, 0x9011
_FOCAL_LENGTH_35MM = 0xA405
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4
_DJI_NAMESPACE = "dji.com/drone-dji"


@dataclass(frozen=True)
class PhotoMetadata:
    """Facts of one photograph; None where the file does not say.

    Attributes:
        captured_at: Local time of the camera; with UTC offset only where the file gives one.
        latitude_deg: WGS 84, -90..90.
        longitude_deg: WGS 84, -180..180.
        altitude_agl_m: Height above the take-off point.
        gimbal_pitch_deg: -90 looks straight down.
        yaw_deg: Compass direction of the camera, -180..180.
        focal_length_35mm_mm: Focal length as of a 35 mm camera, which gives the field of view.
    """

    captured_at: datetime | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_agl_m: float | None = None
    gimbal_pitch_deg: float | None = None
    yaw_deg: float | None = None
    focal_length_35mm_mm: float | None = None


def read_metadata(path: Path) -> PhotoMetadata:
    """Metadata of a photograph's file.

    Raises:
        InputError: it is no JPEG or PNG, or damaged.
    """
    return metadata_of(read_header(path.read_bytes(), where=str(path)))


def metadata_of(header: Header) -> PhotoMetadata:
    """Metadata of a photograph from its raw EXIF and XMP blocks; never raises on broken ones."""
    main, details, gps = _exif_blocks(header.exif)
    dji = _dji_values(header.xmp)
    position = _position(
        _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE_REF)), _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE_REF))
    ) or _position(_number(dji, "GpsLatitude"), _number(dji, "GpsLongitude", "GpsLongtitude"))
    stamp = details.get(_DATE_TIME_ORIGINAL) or main.get(_DATE_TIME)
    focal = details.get(_FOCAL_LENGTH_35MM)
    pitch, yaw = _number(dji, "GimbalPitchDegree"), _number(dji, "GimbalYawDegree", "FlightYawDegree")
    return PhotoMetadata(
        captured_at=_time(stamp, details.get(_OFFSET_ORIGINAL)),
        latitude_deg=None if position is None else position[0],
        longitude_deg=None if position is None else position[1],
        altitude_agl_m=_number(dji, "RelativeAltitude"),
        gimbal_pitch_deg=pitch if pitch is not None and -180 <= pitch <= 180 else None,
        yaw_deg=yaw if yaw is not None and -360 <= yaw <= 360 else None,
        focal_length_35mm_mm=float(focal) if isinstance(focal, int) and focal > 0 else None,
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


def _dji_values(xmp: bytes) -> dict[str, str]:
    """DJI's properties by local name, written as attributes or as elements."""
    start, end = xmp.find(b"<x:xmpmeta"), xmp.rfind(b"</x:xmpmeta>")
    packet = xmp[start : end + len(b"</x:xmpmeta>")] if 0 <= start < end else xmp.strip(b"\x00 \r\n\t")
    if not packet:
        return {}
    try:
        tree = fromstring(packet.decode("utf-8", errors="replace").replace("\x00", ""))
    except (ParseError, DefusedXmlException, ValueError):
        return {}
    values: dict[str, str] = {}
    for element in tree.iter():
        pairs = [*element.attrib.items(), (element.tag, element.text or "")]
        for name, value in pairs:
            if isinstance(name, str) and _DJI_NAMESPACE in name:
                values.setdefault(name.rpartition("}")[2], value)
    return values


def _number(values: dict[str, str], *names: str) -> float | None:
    for name in names:
        try:
            number = float(_text(values.get(name, "")))
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return value.strip("\x00 \t\r\n") if isinstance(value, str) else ""
