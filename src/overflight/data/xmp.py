"""What drones' XMP packets say about a photograph: height, attitude, position, serial number.

Knows DJI (whose properties Autel writes too), Parrot, Skydio, Yuneec and the ``Camera`` properties of Pix4D that
senseFly, Parrot, Sentera and older Autel drones use. Properties may be attributes or elements, alone or within a
structure. Whatever is missing, broken or impossible is None. It reads no EXIF.

Conventions differ: DJI, Parrot (``drone-parrot``), Skydio and Yuneec count the pitch from the horizon (-90 looks
straight down), Pix4D's ``Camera:Pitch`` counts from straight down (0). Heights above the sea or an ellipsoid are kept
apart and never taken for the height above the ground.

Sources: DJI, Mavic 3M Image Processing Guide v1.0 (2023) and Zenmuse P1 manual, "XMP Data List"; ExifTool, tables
"DJI XMP" and ``pix4d.config`` (Pix4D's specification of 2020); Parrot, "Embedded Photo Metadata" (GroundSDK tools);
Skydio, "Camera and metadata overview"; packets of Yuneec C23 and E90 published in exif parsers' tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

AltitudeSource = Literal["relative", "above-ground"]

_NAMESPACES = {
    "dji.com/drone-dji/": "dji",
    "pix4d.com/camera/": "camera",
    "parrot.com/drone-parrot/": "parrot",
    "skydio.com/drone-skydio/": "skydio",
    "yuneec.com/drone-yuneec/": "yuneec",
    "cipa.jp/exif/": "exif",
    "ns.adobe.com/exif/1.0/aux/": "aux",
    "ns.microsoft.com/photo/": "microsoft",
}
_FRAME_NAMESPACES = ("www.w3.org/1999/02/22-rdf-syntax-ns", "adobe:ns:meta")
_MAX_BYTES, _MAX_DEPTH = 1 << 20, 32
_MAX_ALTITUDE_M = 20_000

# By preference: the camera's own angles before the airframe's.
_HEIGHTS: tuple[tuple[str, AltitudeSource], ...] = (
    ("dji:RelativeAltitude", "relative"),
    ("camera:AboveGroundAltitude", "above-ground"),
    ("yuneec:AboveHomeAltitude", "relative"),
    ("skydio:RelativeAltitude", "relative"),
)
_ABSOLUTE = ("dji:AbsoluteAltitude", "skydio:AbsoluteAltitude", "yuneec:GPSAltitude")
_PITCH = (
    "dji:GimbalPitchDegree",
    "parrot:CameraPitchDegree",
    "skydio:CameraOrientationNED/Pitch",
    "yuneec:GimbalPitch",
)
_YAW = (
    "dji:GimbalYawDegree",
    "dji:FlightYawDegree",
    "parrot:CameraYawDegree",
    "skydio:CameraOrientationNED/Yaw",
    "yuneec:GimbalYaw",
    "camera:Yaw",
    "parrot:DroneYawDegree",
    "yuneec:DroneYaw",
)
_ROLL = (
    "dji:GimbalRollDegree",
    "parrot:CameraRollDegree",
    "skydio:CameraOrientationNED/Roll",
    "yuneec:GimbalRoll",
)  # Pix4D's Camera:Roll is a tilt to the side of a camera that looks down, another angle than these
_LATITUDE = ("dji:GpsLatitude", "dji:Latitude", "skydio:Latitude")
_LONGITUDE = ("dji:GpsLongitude", "dji:GpsLongtitude", "dji:Longitude", "skydio:Longitude")  # DJI's own spelling
_SERIALS = (
    "exif:BodySerialNumber",
    "dji:CameraSerialNumber",
    "aux:SerialNumber",
    "microsoft:CameraSerialNumber",
    "dji:DroneSerialNumber",
    "parrot:SerialNumber",
    "skydio:VehicleSerialNumber",
)


@dataclass(frozen=True)
class XmpFacts:
    """Facts of one packet; None where it does not say.

    Attributes:
        latitude_deg: WGS 84.
        longitude_deg: WGS 84.
        altitude_agl_m: Height above the take-off point or the ground.
        altitude_source: Which of the two.
        absolute_altitude_m: Height above the sea or an ellipsoid; each maker means another one.
        pitch_deg: -90 looks straight down.
        yaw_deg: Direction of the photograph's upper edge, -180..180.
        roll_deg: Turn about the line of sight, clockwise as seen from behind.
        serial: Serial number of the camera, else of the drone.
    """

    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_agl_m: float | None = None
    altitude_source: AltitudeSource | None = None
    absolute_altitude_m: float | None = None
    pitch_deg: float | None = None
    yaw_deg: float | None = None
    roll_deg: float | None = None
    serial: str | None = None


def read_xmp(packet: bytes) -> XmpFacts:
    """Facts of a raw XMP packet; never raises on a broken one."""
    values = xmp_properties(packet)
    height, source = next(
        ((number, kind) for name, kind in _HEIGHTS if (number := _height(values, name)) is not None), (None, None)
    )
    return XmpFacts(
        latitude_deg=_number(values, *_LATITUDE),
        longitude_deg=_number(values, *_LONGITUDE),
        altitude_agl_m=height,
        altitude_source=source,
        absolute_altitude_m=_height(values, *_ABSOLUTE),
        pitch_deg=_pitch(values),
        yaw_deg=_angle(_number(values, *_YAW)),
        roll_deg=_angle(_number(values, *_ROLL)),
        serial=next((text for name in _SERIALS if (text := serial_of(values.get(name, "")))), None),
    )


def xmp_properties(packet: bytes) -> dict[str, str]:
    """Drones' properties such as ``dji:RelativeAltitude``, ``skydio:CameraOrientationNED/Yaw``; the first one wins."""
    start, end = packet.find(b"<x:xmpmeta"), packet.rfind(b"</x:xmpmeta>")
    packet = packet[start : end + len(b"</x:xmpmeta>")] if 0 <= start < end else packet.strip(b"\x00 \r\n\t")
    if not packet or len(packet) > _MAX_BYTES:
        return {}
    try:
        tree = fromstring(packet.decode("utf-8", errors="replace").replace("\x00", ""))
    except (ParseError, DefusedXmlException, ValueError):
        return {}
    values: dict[str, str] = {}
    waiting: list[tuple[Element, str, int]] = [(tree, "", 0)]
    while waiting:
        element, path, depth = waiting.pop()
        inner = path
        if not _is_frame(element.tag):
            _keep(values, path, element.tag, element.text or "")
            inner = f"{path}{_split(element.tag)[1]}/"
        for name, value in element.attrib.items():
            _keep(values, inner, name, value)
        if depth < _MAX_DEPTH:
            waiting += [(child, inner, depth + 1) for child in reversed(element)]
    return values


def serial_of(text: str) -> str | None:
    """A serial number without padding; None for one that stands for none (empty, ``0``)."""
    plain = text.strip("\x00 \t\r\n")
    return plain if plain.strip("0") else None


def _is_frame(tag: str) -> bool:
    return any(namespace in tag for namespace in _FRAME_NAMESPACES)


def _split(tag: str) -> tuple[str, str]:
    """Namespace and local name of ElementTree's ``{namespace}name``."""
    namespace, _, name = tag.rpartition("}")
    return namespace.lstrip("{"), name


def _keep(values: dict[str, str], path: str, tag: str, value: str) -> None:
    namespace, name = _split(tag)
    maker = next((short for part, short in _NAMESPACES.items() if part in namespace), None)
    if maker is not None and value.strip():
        values.setdefault(f"{maker}:{path}{name}", value)


def _number(values: Mapping[str, str], *names: str) -> float | None:
    """The first of ``names`` that is a finite number: ``+39.80``, ``39.8 m`` or a fraction such as ``3980/100``."""
    for name in names:
        words = values.get(name, "").split()
        if not words:
            continue
        above, bar, below = words[0].partition("/")
        try:
            number = float(above) / float(below) if bar else float(above)
        except (ValueError, ZeroDivisionError):
            continue
        if math.isfinite(number):
            return number
    return None


def _height(values: Mapping[str, str], *names: str) -> float | None:
    number = _number(values, *names)
    return number if number is not None and abs(number) <= _MAX_ALTITUDE_M else None


def _angle(degrees: float | None) -> float | None:
    if degrees is None or abs(degrees) > 360:
        return None
    return degrees if abs(degrees) <= 180 else (degrees + 180) % 360 - 180


def _pitch(values: Mapping[str, str]) -> float | None:
    pitch = _number(values, *_PITCH)
    if pitch is None:
        from_nadir = _number(values, "camera:Pitch")
        # Far below 0 some writer means the horizon after all: unknown is better than looking backwards.
        pitch = from_nadir - 90 if from_nadir is not None and from_nadir >= -45 else None
    return pitch if pitch is not None and -180 <= pitch <= 180 else None
