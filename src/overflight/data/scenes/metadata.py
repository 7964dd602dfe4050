"""Camera metadata of a photograph as a DJI drone writes it: EXIF with GPS, and XMP with altitudes and angles.

Produces the bytes of JPEG application segments and puts them into a JPEG; decodes nothing.
"""

from __future__ import annotations

import math
import struct
from datetime import datetime

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

from overflight.data.scenes.plan import Pose, SitePlan

MAKE, MODEL = "DJI", "FC220"
_FOCAL_LENGTH_MM = IFDRational(473, 100)
_METRES_PER_DEGREE = 111_320.0
_GPS_BASE = 2


def coordinates_deg(site: SitePlan, pose: Pose) -> tuple[float, float]:
    """Latitude and longitude below the camera, from the site's north-west corner (flat earth nearby)."""
    latitude = site.latitude_deg - pose.y_m / _METRES_PER_DEGREE
    longitude = site.longitude_deg + pose.x_m / (_METRES_PER_DEGREE * math.cos(math.radians(site.latitude_deg)))
    return latitude, longitude


def with_metadata(jpeg: bytes, *, site: SitePlan, pose: Pose, size_px: tuple[int, int]) -> bytes:
    """``jpeg`` (as an encoder writes it) with EXIF and XMP segments right behind its start marker."""
    exif = _segment(_exif(site, pose, size_px))
    xmp = _segment(b"http://ns.adobe.com/xap/1.0/\x00" + _xmp(site, pose).encode())
    body = 2
    if jpeg[2:4] == b"\xff\xe0":  # JFIF's own segment; EXIF wants to be first, as cameras write it
        body = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:2] + exif + xmp + jpeg[body:]


def _segment(payload: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload


def _exif(site: SitePlan, pose: Pose, size_px: tuple[int, int]) -> bytes:
    latitude, longitude = coordinates_deg(site, pose)
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model] = MAKE, MODEL
    exif[Base.Software] = "overflight synthetic survey"
    exif[Base.Orientation] = 1
    taken = _exif_time(pose.captured_at)
    exif[Base.DateTime] = taken
    details = exif.get_ifd(IFD.Exif)
    details[Base.DateTimeOriginal] = details[Base.DateTimeDigitized] = taken
    details[Base.FocalLength] = _FOCAL_LENGTH_MM
    details[Base.FocalLengthIn35mmFilm] = 26
    details[Base.ExifImageWidth], details[Base.ExifImageHeight] = size_px
    gps = exif.get_ifd(IFD.GPSInfo)
    gps[0] = b"\x02\x03\x00\x00"
    gps[1], gps[_GPS_BASE] = ("N" if latitude >= 0 else "S"), _sexagesimal(latitude)
    gps[3], gps[4] = ("E" if longitude >= 0 else "W"), _sexagesimal(longitude)
    gps[5], gps[6] = b"\x00", IFDRational(round((site.elevation_m + pose.altitude_m) * 1000), 1000)
    return exif.tobytes()


def _exif_time(moment: datetime) -> str:
    return moment.strftime("%Y:%m:%d %H:%M:%S")


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    total = round(abs(degrees) * 3600 * 10_000)
    minutes, seconds = divmod(total, 60 * 10_000)
    whole, minutes = divmod(minutes, 60)
    return IFDRational(whole, 1), IFDRational(minutes, 1), IFDRational(seconds, 10_000)


def _xmp(site: SitePlan, pose: Pose) -> str:
    yaw = (pose.yaw_deg + 180.0) % 360.0 - 180.0
    fields = {
        "AbsoluteAltitude": f"{site.elevation_m + pose.altitude_m:+.2f}",
        "RelativeAltitude": f"{pose.altitude_m:+.2f}",
        "GimbalRollDegree": "+0.00",
        "GimbalYawDegree": f"{yaw:+.2f}",
        "GimbalPitchDegree": f"{pose.pitch_deg:+.2f}",
        "FlightRollDegree": "+0.00",
        "FlightYawDegree": f"{yaw:+.2f}",
        "FlightPitchDegree": "+0.00",
    }
    attributes = "\n".join(f'   drone-dji:{name}="{value}"' for name, value in fields.items())
    day = pose.captured_at.strftime("%Y-%m-%d")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="DJI Meta Data"\n    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"\n'
        '    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n    xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"\n'
        f'   xmp:CreateDate="{day}"\n   tiff:Make="{MAKE}"\n   tiff:Model="{MODEL}"\n{attributes}>\n'
        '  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
    )
