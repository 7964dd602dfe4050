"""Metadata: attributes or elements, padded or signed; what is broken is unknown, not an error."""

import csv
import io
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from overflight.data.metadata import PhotoMetadata, cameras, metadata_of, pose_of, read_metadata
from overflight.data.xmp import xmp_properties
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
    expected = PhotoMetadata(altitude_agl_m=39.8, altitude_source="relative", gimbal_pitch_deg=-89.9, yaw_deg=45.0)
    assert of_xmp(packet) == expected


def test_absolute_altitude_is_not_height_above_ground():
    found = of_xmp(xmp("", 'drone-dji:AbsoluteAltitude="+812.3"'))
    assert (found.altitude_agl_m, found.altitude_source, found.absolute_altitude_m) == (None, None, 812.3)


def packet_of(namespace, body):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:p="{namespace}" {body}</rdf:RDF></x:xmpmeta>'
    ).encode()


PIX4D, PARROT = "http://pix4d.com/camera/1.0/", "http://www.parrot.com/drone-parrot/1.0/"
SKYDIO, YUNEEC = "https://www.skydio.com/drone-skydio/1.0/", "http://www.yuneec.com/drone-yuneec/1.0/"
SKYDIO_STRUCTURE = (
    "><p:AbsoluteAltitude>1034.44</p:AbsoluteAltitude><p:Latitude>41.5</p:Latitude><p:Longitude>-74.2</p:Longitude>"
    '<p:CameraOrientationFLU rdf:parseType="Resource"><p:Yaw>1</p:Yaw><p:Pitch>2</p:Pitch></p:CameraOrientationFLU>'
    '<p:CameraOrientationNED rdf:parseType="Resource"><p:Roll>0.19</p:Roll><p:Pitch>-7.47</p:Pitch>'
    "<p:Yaw>127.44</p:Yaw></p:CameraOrientationNED></rdf:Description>"
)
SKYDIO_ATTRIBUTES = (
    'p:AbsoluteAltitude="1034.44" p:Latitude="41.5" p:Longitude="-74.2">'
    '<p:CameraOrientationNED p:Roll="0.19" p:Pitch="-7.47" p:Yaw="127.44"/></rdf:Description>'
)
SKYDIO_EXPECTED = PhotoMetadata(
    latitude_deg=41.5,
    longitude_deg=-74.2,
    absolute_altitude_m=1034.44,
    gimbal_pitch_deg=-7.47,
    yaw_deg=127.44,
    gimbal_roll_deg=0.19,
)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(
            xmp(
                "",
                'drone-dji:RelativeAltitude="+60.1" drone-dji:GpsLatitude="47.64" drone-dji:GpsLongtitude="16.47" '
                'drone-dji:AbsoluteAltitude="+513.00" drone-dji:GimbalRollDegree="+180.0"',
            ),
            PhotoMetadata(
                altitude_agl_m=60.1,
                altitude_source="relative",
                latitude_deg=47.64,
                longitude_deg=16.47,
                absolute_altitude_m=513.0,
                gimbal_roll_deg=180.0,
            ),
            id="Autel with DJI's properties and spelling",
        ),
        pytest.param(
            packet_of(PIX4D, 'p:Yaw="200.5" p:Pitch="10.0" p:Roll="-1.5" p:AboveGroundAltitude="42.75"/>'),
            PhotoMetadata(
                altitude_agl_m=42.75,
                altitude_source="above-ground",
                yaw_deg=-159.5,
                gimbal_pitch_deg=-80.0,
            ),
            id="senseFly: pitch from straight down, roll of another kind",
        ),
        pytest.param(
            packet_of(PIX4D, "><p:AboveGroundAltitude>4275/100 m</p:AboveGroundAltitude></rdf:Description>"),
            PhotoMetadata(altitude_agl_m=42.75, altitude_source="above-ground"),
            id="a fraction",
        ),
        pytest.param(
            packet_of(PIX4D, 'p:Pitch="-90"/>'), PhotoMetadata(), id="a pitch that contradicts its convention"
        ),
        pytest.param(
            packet_of(
                PARROT,
                "><p:CameraPitchDegree>-89.5</p:CameraPitchDegree><p:CameraYawDegree>12.5</p:CameraYawDegree>"
                "<p:CameraRollDegree>0.5</p:CameraRollDegree><p:DroneYawDegree>99</p:DroneYawDegree>"
                "<p:SerialNumber>PI040443AA</p:SerialNumber></rdf:Description>",
            ),
            PhotoMetadata(gimbal_pitch_deg=-89.5, yaw_deg=12.5, gimbal_roll_deg=0.5, camera_serial="PI040443AA"),
            id="Parrot",
        ),
        pytest.param(packet_of(SKYDIO, SKYDIO_STRUCTURE), SKYDIO_EXPECTED, id="Skydio: structure of elements"),
        pytest.param(packet_of(SKYDIO, SKYDIO_ATTRIBUTES), SKYDIO_EXPECTED, id="Skydio: structure of attributes"),
        pytest.param(
            packet_of(
                YUNEEC,
                'p:GPSAltitude="201.02" p:AboveHomeAltitude="69.84" p:DroneYaw="93.94" p:GimbalYaw="92.68" '
                'p:GimbalPitch="-13.74" p:GimbalRoll="0.0"/>',
            ),
            PhotoMetadata(
                altitude_agl_m=69.84,
                altitude_source="relative",
                absolute_altitude_m=201.02,
                yaw_deg=92.68,
                gimbal_pitch_deg=-13.74,
                gimbal_roll_deg=0.0,
            ),
            id="Yuneec",
        ),
        pytest.param(
            xmp("", 'drone-dji:CameraSerialNumber="0" drone-dji:DroneSerialNumber="1581F432A"'),
            PhotoMetadata(camera_serial="1581F432A"),
            id="a serial number of zero is none",
        ),
        pytest.param(packet_of("http://example.com/drone/", 'p:RelativeAltitude="5"/>'), PhotoMetadata(), id="unknown"),
    ],
)
def test_packets_of_other_makers(packet, expected):
    assert of_xmp(packet) == expected


def test_deep_and_large_packets_are_given_up():
    deep = "<drone-dji:a>" * 5000 + "</drone-dji:a>" * 5000
    assert xmp_properties(xmp(deep)) == {}
    assert xmp_properties(xmp("<drone-dji:RelativeAltitude>1</drone-dji:RelativeAltitude>" + " " * (1 << 20))) == {}


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
        pytest.param({**NORTH_EAST, 9: "V"}, (None, None), id="void"),
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
    ("gps", "expected"),
    [({6: 120.5}, 120.5), ({5: b"\x00", 6: 120.5}, 120.5), ({5: b"\x01", 6: 30.0}, -30.0), ({}, None)],
    ids=["no reference", "above the sea", "below the sea", "absent"],
)
def test_gps_altitude_is_absolute(gps, expected):
    found = photo(gps={**NORTH_EAST, **gps})
    assert (found.absolute_altitude_m, found.altitude_agl_m) == (expected, None)


def test_camera_names_lose_their_padding():
    found = photo({0x010F: "DJI" + "\0" * 20, 0x0110: " FC220 \0\0"}, details={0xA431: "b5a5c2\0"})
    assert (found.camera_make, found.camera_model, found.camera_serial) == ("DJI", "FC220", "b5a5c2")


@pytest.mark.parametrize("serial", ["", "0", "000000", "\0\0"])
def test_a_serial_number_that_stands_for_none(serial):
    assert photo(details={0xA431: serial}).camera_serial is None


DJI_FC220 = {0x010F: "DJI", 0x0110: "FC220"}
CANON_PLANE = {0xA20E: 16393.4426, 0xA20F: 16393.4426, 0xA210: 2, 0xA002: 4000, 0xA003: 3000}


@pytest.mark.parametrize(
    ("main", "details", "focal_mm", "source"),
    [
        pytest.param(DJI_FC220, {0xA405: 26, 0x920A: 4.73}, 26.0, "exif-35mm", id="35 mm equivalent"),
        pytest.param({}, {0x920A: 4.3, **CANON_PLANE}, 24.02, "exif-focal-plane", id="pixels per inch"),
        pytest.param(
            {},
            {0x920A: 4.3, **CANON_PLANE, 0xA210: 3, 0xA20E: 6454.1, 0xA20F: 6454.1},
            24.02,
            "exif-focal-plane",
            id="per cm",
        ),
        pytest.param(DJI_FC220, {0x920A: 4.73, 0xA405: 0}, 26.53, "camera-table", id="table of cameras"),
        pytest.param(
            {0x010F: "Canon", 0x0110: "Canon PowerShot SX260 HS"},
            {0x920A: 4.5},
            25.29,
            "camera-table",
            id="make in the model",
        ),
        pytest.param({0x010F: "DJI", 0x0110: "FC8482"}, {0x920A: 6.72}, None, None, id="a camera without a source"),
        pytest.param({}, {0x920A: 4.3, **CANON_PLANE, 0xA20E: 0.0}, None, None, id="no pixels per inch"),
        pytest.param({}, {0x920A: 4.3, **CANON_PLANE, 0xA20E: 5.0, 0xA20F: 5.0}, None, None, id="a sensor of metres"),
        pytest.param(DJI_FC220, {}, None, None, id="no focal length"),
    ],
)
def test_focal_length_as_of_a_35_mm_camera(main, details, focal_mm, source):
    found = photo(main, details=details)
    assert found.focal_source == source
    assert found.focal_length_35mm_mm == (None if focal_mm is None else pytest.approx(focal_mm, abs=0.02))


@pytest.mark.parametrize(
    ("details", "size", "focal_mm"),
    [
        pytest.param({0xA002: 4000, 0xA003: 3000}, (4000, 3000), 26.0, id="the whole sensor"),
        pytest.param({0xA002: 4000, 0xA003: 2250}, (4000, 2250), 28.33, id="16:9 of it"),
        pytest.param({0xA002: 4000, 0xA003: 2250}, (1920, 1080), 28.33, id="16:9, made smaller afterwards"),
        pytest.param({}, (4000, 2250), 28.33, id="size of the file"),
        pytest.param({}, (2250, 4000), 28.33, id="size of the file, upright"),
        pytest.param({0xA002: 1058, 0xA003: 997}, (1058, 997), 26.0, id="a cut of unknown origin"),
    ],
)
def test_a_picture_cut_out_of_the_sensor_has_a_longer_focal_length(details, size, focal_mm):
    exif = Image.Exif()
    exif.update(DJI_FC220)
    exif.get_ifd(0x8769).update({0xA405: 26, 0x920A: 4.73, **details})
    found = metadata_of(Header("jpeg", *size, 1, exif.tobytes(), b""))
    assert (found.focal_length_35mm_mm, found.focal_source) == (pytest.approx(focal_mm, abs=0.01), "exif-35mm")


def test_the_table_of_cameras_agrees_with_exif_where_both_speak():
    """FC220: 4.73 mm are 26 mm in its EXIF; FC300S: 3.61 and 20; FC6310: 8.8 and 24 (whole numbers, up to 4 % off)."""
    for name, focal_mm, focal_35mm_mm in [("dji fc220", 4.73, 26), ("dji fc300s", 3.61, 20), ("dji fc6310", 8.8, 24)]:
        assert focal_mm / cameras()[name].diagonal_mm * 43.267 == pytest.approx(focal_35mm_mm, rel=0.04)


@pytest.mark.parametrize(("value", "zoom"), [(0.0, 1.0), (1.0, 1.0), (2.5, 2.5), (0.2, None), (None, None)], ids=str)
def test_digital_zoom(value, zoom):
    assert photo(details={} if value is None else {0xA404: value}).digital_zoom == zoom


def test_a_pose_needs_a_position():
    assert pose_of(PhotoMetadata(altitude_agl_m=10)) is None
    pose = pose_of(PhotoMetadata(latitude_deg=1.0, longitude_deg=2.0, altitude_agl_m=3.0, gimbal_roll_deg=4.0))
    assert (pose.latitude_deg, pose.longitude_deg, pose.altitude_agl_m, pose.gimbal_roll_deg) == (1.0, 2.0, 3.0, 4.0)


def test_metadata_of_a_tiff_are_read_from_its_own_directories():
    packet = packet_of(PIX4D, 'p:Yaw="20.5" p:AboveGroundAltitude="42.75"/>')
    tags = {0x010F: "senseFly", 0x0110: "Duet T", 700: packet}
    tags |= {0x8769: {0x9003: "2018:03:26 12:05:33", 0x920A: 4.3}, 0x8825: NORTH_EAST}
    for big in (False, True):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "TIFF", tiffinfo=tags, big_tiff=big)
        found = metadata_of(read_header(buffer.getvalue()))
        assert (found.camera_make, found.camera_model) == ("senseFly", "Duet T")
        assert found.captured_at == datetime(2018, 3, 26, 12, 5, 33)
        assert (found.latitude_deg, found.longitude_deg) == (pytest.approx(53.91), pytest.approx(27.55))
        assert (found.altitude_agl_m, found.yaw_deg, found.focal_length_mm) == (42.75, 20.5, 4.3)


def real(name):
    if not (SHARED / name).exists():
        pytest.skip("the real photographs are not here")
    return SHARED / name


ABSENT = {field.name: None for field in fields(PhotoMetadata)}
MINSK = {
    "camera_make": "DJI",
    "camera_model": "FC220",
    "focal_length_35mm_mm": 28.33,
    "focal_length_mm": 4.73,
    "focal_source": "exif-35mm",
    "altitude_source": "relative",
    "gimbal_roll_deg": 0.0,
}
BRIGHTON = MINSK | {"camera_model": "FC300S", "focal_length_35mm_mm": 21.79, "focal_length_mm": 3.61}
CANON = {"camera_make": "Canon", "focal_source": "exif-focal-plane", "digital_zoom": 1.0}
SENECA = CANON | {"camera_model": "Canon PowerShot ELPH 300 HS", "focal_length_35mm_mm": 24.02, "focal_length_mm": 4.3}
CALITERRA = CANON | {"camera_model": "Canon PowerShot SX260 HS", "focal_length_35mm_mm": 25.13, "focal_length_mm": 4.5}
AGUNG = {
    "camera_make": "DJI",
    "camera_model": "FC8482",
    "focal_length_35mm_mm": 24.0,
    "focal_length_mm": 6.72,
    "focal_source": "exif-35mm",
    "digital_zoom": 1.0,
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "metadata/brighton_dji_fc300s/DJI_0018.JPG",
            BRIGHTON
            | {
                "captured_at": datetime(2016, 6, 23, 16, 31, 59),
                "latitude_deg": 46.84260708,
                "longitude_deg": -91.99455989,
                "altitude_agl_m": 39.8,
                "absolute_altitude_m": 198.31,
                "gimbal_pitch_deg": -89.9,
                "yaw_deg": 45.0,
            },
            id="Brighton: nadir",
        ),
        pytest.param(
            "metadata/brighton_dji_fc300s/DJI_0027.JPG",
            BRIGHTON
            | {
                "captured_at": datetime(2016, 6, 23, 16, 33, 4),
                "latitude_deg": 46.84260539,
                "longitude_deg": -91.99408278,
                "altitude_agl_m": 40.0,
                "absolute_altitude_m": 198.51,
                "gimbal_pitch_deg": -89.9,
                "yaw_deg": -131.3,
            },
            id="Brighton: written again by another program",
        ),
        pytest.param(
            "aerial-cars/images/DJI_0010.JPG",
            MINSK
            | {
                "captured_at": datetime(2018, 3, 26, 17, 41, 41),
                "latitude_deg": 53.91901278,
                "longitude_deg": 27.5765125,
                "altitude_agl_m": 98.9,
                "absolute_altitude_m": 336.66,
                "gimbal_pitch_deg": -89.9,
                "yaw_deg": 37.1,
            },
            id="Minsk: nadir",
        ),
        pytest.param(
            "aerial-cars/images/DJI_0019.JPG",
            MINSK
            | {
                "captured_at": datetime(2018, 3, 26, 17, 52, 17),
                "latitude_deg": 53.91963025,
                "longitude_deg": 27.57543253,
                "altitude_agl_m": 119.8,
                "absolute_altitude_m": 362.97,
                "gimbal_pitch_deg": -40.9,
                "yaw_deg": 126.2,
            },
            id="Minsk: oblique",
        ),
        pytest.param("aerial-cars/images/DJI_0005-0018.jpg", {}, id="a video frame says nothing"),
        pytest.param(
            "stills-4k/labelled_4k/images/DJI_0030.JPG",
            MINSK
            | {
                "captured_at": datetime(2018, 3, 26, 18, 6, 9),
                "latitude_deg": 53.91963014,
                "longitude_deg": 27.57543436,
                "altitude_agl_m": 119.3,
                "absolute_altitude_m": 362.47,
                "gimbal_pitch_deg": -19.0,
                "yaw_deg": 117.6,
            },
            id="Minsk: near the horizon",
        ),
        pytest.param(
            "stills-4k/caliterra_cc0/IMG_9423.jpg",
            CALITERRA
            | {
                "captured_at": datetime(2014, 10, 19, 13, 23, 17),
                "latitude_deg": 30.17114667,
                "longitude_deg": -98.090135,
                "absolute_altitude_m": 425.0,
            },
            id="Caliterra: GPS altitude is no height",
        ),
        pytest.param(
            "metadata/seneca_canon_fixedwing/IMG_0446.jpg",
            SENECA
            | {
                "captured_at": datetime(2013, 6, 4, 13, 37, 29),
                "latitude_deg": 41.0346708,
                "longitude_deg": -83.3057253,
                "absolute_altitude_m": 281.692,
            },
            id="Seneca: fixed wing",
        ),
        pytest.param(
            "metadata/agung_dji_fc8482/DJI_20251001132715_0396_D_POOR_SHARPNESS.JPG",
            AGUNG
            | {
                "captured_at": datetime(2025, 10, 1, 13, 27, 15),
                "latitude_deg": -8.30396,
                "longitude_deg": 115.48416,
                "camera_serial": "6TVFMA90M2X7XG",
            },
            id="Agung: the drone's block is missing",
        ),
        pytest.param(
            "metadata/agung_dji_fc8482/DJI_20251001213509_0003_D_LENS_CAP.JPG",
            AGUNG
            | {
                "captured_at": datetime(2025, 10, 1, 21, 35, 9),
                "latitude_deg": -8.30395,
                "longitude_deg": 115.48415,
                "absolute_altitude_m": 1189.641,
                "gimbal_pitch_deg": -80.0,
                "yaw_deg": -90.8,
                "camera_serial": "6TVFM7X0M2X4S0",
            },
            id="Agung: elements, no relative altitude",
        ),
        pytest.param(
            "metadata/thermal_rjpeg/FLIR_AX8.jpg",
            {
                "captured_at": datetime(2000, 1, 1, 6, 54, 26),
                "camera_make": "FLIR Systems AB",
                "camera_model": "FLIR AX8",
                "focal_length_mm": 1.0,
            },
            id="FLIR: clock never set",
        ),
        pytest.param(
            "metadata/thermal_rjpeg/M30T_DJI_0001_R.JPG",
            {
                "captured_at": datetime(2022, 3, 24, 16, 42, 2),
                "camera_make": "DJI",
                "camera_model": "M30T",
                "focal_length_35mm_mm": 40.0,
                "focal_length_mm": 9.1,
                "focal_source": "exif-35mm",
                "digital_zoom": 1.0,
            },
            id="radiometric: serial number 0, no XMP",
        ),
        pytest.param(
            "formats/deepforest/AWPE Pigeon Lake 2020 DJI_0005.JPG",
            {
                "captured_at": datetime(2020, 6, 4, 22, 10, 30),
                "latitude_deg": 45.03799167,
                "longitude_deg": -94.34875833,
                "altitude_agl_m": 61.1,
                "altitude_source": "relative",
                "absolute_altitude_m": 422.55,
                "gimbal_pitch_deg": -88.0,
                "gimbal_roll_deg": 0.0,
                "yaw_deg": 111.3,
                "camera_make": "DJI",
                "camera_model": "FC6310",
                "camera_serial": "b5a5c24511516f477180ff3c13f8b145",
                "focal_length_35mm_mm": 24.0,
                "focal_length_mm": 8.8,
                "focal_source": "exif-35mm",
                "digital_zoom": 1.0,
            },
            id="a crop that kept its metadata",
        ),
    ],
)
def test_real_photographs(name, expected):
    assert vars(read_metadata(real(name))) == {**ABSENT, **expected}


def test_the_brighton_flight_is_one_of_straight_down_views():
    photos = [read_metadata(real("metadata/brighton_dji_fc300s") / f"DJI_00{n}.JPG") for n in (18, 19, 20, 21)]
    assert [found.gimbal_pitch_deg for found in photos] == pytest.approx([-89.9] * 4, abs=0.1)
    assert [found.altitude_agl_m for found in photos] == pytest.approx([40.0] * 4, abs=0.25)
    times = [found.captured_at for found in photos]
    assert [(b - a).total_seconds() for a, b in pairwise(times)] == [7, 7, 7]


def test_agung_agrees_with_the_table_made_by_exiftool():
    folder = real("metadata/agung_dji_fc8482")
    rows = {row["FileName"]: row for row in csv.DictReader((folder / "image_metadata.csv").read_text().splitlines())}
    photos = sorted(folder.glob("DJI_*.JPG"))
    assert len(photos) == 3
    for path in photos:
        row, found = rows[path.name], read_metadata(path)
        for column, value in (("GPSLatitude", found.latitude_deg), ("GPSLongitude", found.longitude_deg)):
            degrees, minutes, seconds, side = re.match(r"(\d+) deg (\d+)' ([\d.]+)\" ([NESW])", row[column]).groups()
            sign = -1 if side in "SW" else 1
            assert value == pytest.approx(sign * (int(degrees) + int(minutes) / 60 + float(seconds) / 3600), abs=3e-6)
        for column, value in (
            ("AbsoluteAltitude", found.absolute_altitude_m),
            ("GimbalPitchDegree", found.gimbal_pitch_deg),
            ("FlightYawDegree", found.yaw_deg),
        ):
            assert value == (float(row[column]) if row[column] else None)
        assert found.captured_at == datetime.strptime(row["DateTimeOriginal"], "%Y:%m:%d %H:%M:%S")
        assert found.altitude_agl_m is None
