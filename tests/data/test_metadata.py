"""Metadata: attributes or elements, padded or signed; what is broken is unknown, not an error."""

import io
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from overflight.data.metadata import PhotoMetadata, metadata_of, read_metadata
from overflight.imaging.header import Header, read_header

SHARED = Path(__file__).parents[2].parent / "shared/data"
DJI = "http://www.dji.com/drone-dji/1.0/"


def xmp(body, attributes=""):
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:drone-dji="{DJI}" {attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def of_xmp(packet):
    return metadata_of(Header("jpeg", 10, 10, 1, b"", packet))


def photo(exif_tags=(), gps=(), details=()):
    exif = Image.Exif()
    exif.update(dict(exif_tags))
    exif.get_ifd(0x8825).update(dict(gps))
    exif.get_ifd(0x8769).update(dict(details))
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif)
    return metadata_of(read_header(buffer.getvalue()))


NORTH_EAST = {1: "N", 2: (53.0, 54.0, 36.0), 3: "E", 4: (27.0, 33.0, 0.0)}


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(
            xmp(
                "",
                'drone-dji:RelativeAltitude="+39.80" drone-dji:GimbalPitchDegree="-89.90" '
                'drone-dji:GimbalYawDegree="+45.00"',
            ),
            id="attributes",
        ),
        pytest.param(
            xmp(
                "<drone-dji:RelativeAltitude>39.80</drone-dji:RelativeAltitude>"
                "<drone-dji:GimbalPitchDegree>-89.90\n</drone-dji:GimbalPitchDegree>"
                "<drone-dji:GimbalYawDegree>45</drone-dji:GimbalYawDegree>"
            ),
            id="elements",
        ),
        pytest.param(
            b"<?xpacket begin='' id='W5M0'?>"
            + xmp(
                "",
                'drone-dji:RelativeAltitude="39.8" drone-dji:GimbalPitchDegree="-89.9" drone-dji:GimbalYawDegree="45"',
            )
            + b"<?xpacket end='w'?>\x00\x00\x00",
            id="packet with NUL padding",
        ),
    ],
)
def test_dji_values_are_read(packet):
    assert of_xmp(packet) == PhotoMetadata(altitude_agl_m=39.8, gimbal_pitch_deg=-89.9, yaw_deg=45.0)


def test_absolute_altitude_is_not_height_above_ground():
    assert of_xmp(xmp("", 'drone-dji:AbsoluteAltitude="+812.3"')).altitude_agl_m is None


def test_flight_yaw_stands_in_for_a_missing_gimbal_yaw():
    assert of_xmp(xmp("", 'drone-dji:FlightYawDegree="-12.5"')).yaw_deg == -12.5


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"<x:xmpmeta><unclosed", id="broken XML"),
        pytest.param(xmp("", 'drone-dji:RelativeAltitude="high"'), id="not a number"),
        pytest.param(xmp("", 'drone-dji:RelativeAltitude="nan" drone-dji:GimbalPitchDegree="900"'), id="impossible"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', id="entities"),
        pytest.param(b"\xff\xfe\x00 not xml", id="binary"),
    ],
)
def test_a_broken_packet_is_unknown_not_an_error(packet):
    assert of_xmp(packet) == PhotoMetadata()


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_no_bytes_make_it_fail(exif, packet):
    metadata_of(Header("jpeg", 10, 10, 1, b"Exif\x00\x00" + exif, packet))


@pytest.mark.parametrize(
    ("gps", "position"),
    [
        pytest.param(NORTH_EAST, (53.91, 27.55), id="north east"),
        pytest.param({**NORTH_EAST, 1: "S", 3: "W"}, (-53.91, -27.55), id="south west"),
        pytest.param({**NORTH_EAST, 1: "N\x00"}, (53.91, 27.55), id="NUL behind the reference"),
        pytest.param({2: NORTH_EAST[2], 4: NORTH_EAST[4]}, (None, None), id="no reference"),
        pytest.param({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, (None, None), id="no fix"),
        pytest.param({**NORTH_EAST, 2: (93.0, 0.0, 0.0)}, (None, None), id="beyond the pole"),
        pytest.param({1: "N", 2: NORTH_EAST[2]}, (None, None), id="only half"),
    ],
)
def test_position(gps, position):
    found = photo(gps=gps)
    assert (found.latitude_deg, found.longitude_deg) == (pytest.approx(position[0]), pytest.approx(position[1]))


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        pytest.param({0x9003: "2018:03:26 12:05:33"}, datetime(2018, 3, 26, 12, 5, 33), id="camera time"),
        pytest.param(
            {0x9003: "2018:03:26 12:05:33", 0x9011: "+03:00"},
            datetime(2018, 3, 26, 12, 5, 33, tzinfo=timezone(timedelta(hours=3))),
            id="with offset",
        ),
        pytest.param(
            {0x9003: "2018:03:26 12:05:33", 0x9011: "+00:00"}, datetime(2018, 3, 26, 12, 5, 33, tzinfo=UTC), id="UTC"
        ),
        pytest.param(
            {0x9003: "2018:03:26 12:05:33", 0x9011: "+99:00"}, datetime(2018, 3, 26, 12, 5, 33), id="impossible offset"
        ),
        pytest.param({0x9003: "0000:00:00 00:00:00"}, None, id="clock not set"),
        pytest.param({}, None, id="absent"),
    ],
)
def test_capture_time(details, expected):
    assert photo(details=details).captured_at == expected


@pytest.mark.parametrize(
    ("name", "altitude_m", "pitch_deg", "has_position"),
    [
        ("metadata/brighton_dji_fc300s/DJI_0018.JPG", 39.8, -89.9, True),
        ("aerial-cars/images/DJI_0010.JPG", 98.9, -90.0, True),
        ("metadata/seneca_canon_fixedwing/IMG_0446.jpg", None, None, True),
        ("metadata/thermal_rjpeg/FLIR_AX8.jpg", None, None, False),
    ],
)
def test_real_photographs(name, altitude_m, pitch_deg, has_position):
    if not (SHARED / name).exists():
        pytest.skip("the real photographs are not here")
    found = read_metadata(SHARED / name)
    assert found.altitude_agl_m == altitude_m
    assert found.gimbal_pitch_deg == (None if pitch_deg is None else pytest.approx(pitch_deg, abs=0.2))
    assert (found.latitude_deg is not None) is has_position
    assert found.captured_at is not None
