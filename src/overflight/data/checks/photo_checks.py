"""Checks of photographs: files that cannot be used, odd shapes, bad light, blur, noise and haze, and copies.

They judge the facts that were read (``overflight.data.facts``); photographs that were not decoded are not judged by
their pixels. It does not know boxes. Limits and what to do are in the catalogue, and how the limits were found is in
the comments beside them there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

import numpy as np

from overflight.data.checks.subject import Hit, Limits, Subject
from overflight.data.duplicates import same_files
from overflight.data.facts import PhotoFacts, PixelFacts
from overflight.imaging.header import Header

_SUFFIXES = {
    "jpeg": frozenset({".jpg", ".jpeg", ".jpe", ".mpo"}),
    "png": frozenset({".png"}),
    "tiff": frozenset({".tif", ".tiff"}),
}
_TURNS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored and turned by 180 degrees",
    5: "mirrored and turned by 90 degrees",
    6: "turned by 90 degrees",
    7: "mirrored and turned by 90 degrees",
    8: "turned by 90 degrees",
}
_FLAT_CONTRAST = 5.0
_NAMED_AT_MOST = 4


def unreadable(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Files that cannot be opened or decoded, are of another format or too large."""
    del limits
    yield from _faults(subject, lambda fault: fault not in {"truncated", "zero-bytes"})


def truncated(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Files that end too early, and pictures whose lower part a decoder made up for lack of data."""
    yield from _faults(subject, lambda fault: fault == "truncated")
    for key, pixels in _decoded(subject):
        # A picture that is flat altogether is not a photograph with a part missing.
        if pixels.missing_share > limits["max_missing_share"] and pixels.contrast > _FLAT_CONTRAST:
            what = f"the lowest {pixels.missing_share:.0%} are uniform grey, as where compressed data is missing"
            yield Hit(what, key, score=pixels.missing_share)


def zero_bytes(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Empty files."""
    del limits
    yield from _faults(subject, lambda fault: fault == "zero-bytes")


def wrong_extension(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Files whose suffix says another format than their content."""
    del limits
    for key, _, header in _readable(subject):
        suffix = PurePosixPath(key).suffix
        if suffix.lower() not in _SUFFIXES[header.format]:
            yield Hit(f"is called {suffix or 'nothing'} and is a {header.format.upper()} file", key)


def rotated(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs that are stored turned or mirrored and upright only by their EXIF orientation."""
    del limits
    for key, _, header in _readable(subject):
        if header.orientation in _TURNS:
            yield Hit(f"is stored {_TURNS[header.orientation]} (EXIF orientation {header.orientation})", key)


def odd_size(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs with a side shorter than ``min_side_px``."""
    for key, _, header in _readable(subject):
        shorter = min(header.width_px, header.height_px)
        if shorter < limits["min_side_px"]:
            what = f"has {header.width_px}x{header.height_px} px (sides below {limits['min_side_px']:g} px are small)"
            yield Hit(what, key, score=limits["min_side_px"] / shorter)


def odd_aspect(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs more than ``max_aspect`` times longer than wide."""
    for key, _, header in _readable(subject):
        sides = sorted((header.width_px, header.height_px))
        aspect = sides[1] / sides[0]
        if aspect > limits["max_aspect"]:
            what = f"{header.width_px}x{header.height_px} px is {aspect:.1f} : 1 (limit {limits['max_aspect']:g} : 1)"
            yield Hit(what, key, score=aspect)


def mixed_pixels(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs whose channels, bit depth or palette differ from most of the survey's."""
    del limits
    kinds = {key: _pixel_kind(header) for key, _, header in _readable(subject)}
    yield from _minority(kinds, "of the survey")


def resolution_outlier(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs whose size differs from most of their flight's; portrait and landscape are one size."""
    del limits
    sizes: dict[str, dict[str, str]] = defaultdict(dict)
    for key, _, header in _readable(subject):
        longer, shorter = sorted((header.width_px, header.height_px), reverse=True)
        sizes[_flight(subject, key)][key] = f"{longer}x{shorter} px"
    for flight, of_flight in sizes.items():
        yield from _minority(of_flight, f"of flight {flight}")


def dark(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Mean luma below ``max_mean_luma``."""
    limit = limits["max_mean_luma"]
    for key, pixels in _decoded(subject):
        if pixels.mean_luma < limit:
            what = f"is dark: mean brightness {pixels.mean_luma:.0f} of 255 (limit {limit:g})"
            yield Hit(what, key, score=1 - pixels.mean_luma / limit)


def bright(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Mean luma above ``min_mean_luma``."""
    limit = limits["min_mean_luma"]
    for key, pixels in _decoded(subject):
        if pixels.mean_luma > limit:
            what = f"is over-exposed: mean brightness {pixels.mean_luma:.0f} of 255 (limit {limit:g})"
            yield Hit(what, key, score=pixels.mean_luma / limit)


def low_contrast(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Standard deviation of luma below ``max_contrast``."""
    limit = limits["max_contrast"]
    for key, pixels in _decoded(subject):
        if pixels.contrast < limit:
            what = f"has little contrast: brightness varies by {pixels.contrast:.1f} grey levels (limit {limit:g})"
            yield Hit(what, key, score=1 - pixels.contrast / limit)


def blurry(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Focus below ``max_focus``; pictures with less contrast than ``min_contrast`` have nothing to be sharp."""
    limit = limits["max_focus"]
    for key, pixels in _decoded(subject):
        if pixels.focus < limit and pixels.contrast >= limits["min_contrast"]:
            what = f"is blurred: focus {pixels.focus:.2f} (limit {limit:g}; sharp photographs have 0.15 to 1.4)"
            yield Hit(what, key, score=1 - pixels.focus / limit)


def low_information(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Entropy of the luma histogram below ``max_entropy_bits``."""
    limit = limits["max_entropy_bits"]
    for key, pixels in _decoded(subject):
        if pixels.entropy_bits < limit:
            what = f"shows almost nothing: {pixels.entropy_bits:.1f} bits of information per pixel (limit {limit:g})"
            yield Hit(what, key, score=1 - pixels.entropy_bits / limit)


def noisy(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Noise above ``min_noise_sigma``."""
    limit = limits["min_noise_sigma"]
    for key, pixels in _decoded(subject):
        if pixels.noise_sigma > limit:
            what = f"is noisy: {pixels.noise_sigma:.0f} grey levels even in its quietest places (limit {limit:g})"
            yield Hit(what, key, score=pixels.noise_sigma / limit)


def clipped(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """More than ``max_share`` of the pixels at black or white."""
    for key, pixels in _decoded(subject):
        share = pixels.dark_share + pixels.bright_share
        if share > limits["max_share"]:
            what = f"{pixels.dark_share:.0%} of it are black and {pixels.bright_share:.0%} white"
            yield Hit(f"{what} (limit {limits['max_share']:.0%})", key, score=share)


def uneven_light(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Sixteenths of the picture whose brightness differs by more than ``min_illumination``."""
    limit = limits["min_illumination"]
    for key, pixels in _decoded(subject):
        if pixels.illumination > limit:
            what = f"its brightest and darkest sixteenth differ by {pixels.illumination:.0%} (limit {limit:.0%})"
            yield Hit(what, key, score=pixels.illumination)


def haze(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Dark channel above ``min_haze`` even in the darkest tenth."""
    limit = limits["min_haze"]
    for key, pixels in _decoded(subject):
        if pixels.haze > limit:
            what = f"is hazy: even its darkest places are lifted to {pixels.haze:.0%} of white (limit {limit:.0%})"
            yield Hit(what, key, score=pixels.haze)


def repeated(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """The second and further copies of a file within one flight (and one part, where a split is given)."""
    del limits
    part_of = {key: part for part, keys in subject.split.items() for key in keys}
    for keys in same_files(subject.photos):
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for key in keys:
            groups[_flight(subject, key), part_of.get(key, "")].append(key)
        for first, *copies in groups.values():
            for copy in copies:
                other = "" if _same_labels(subject, first, copy) else ", and the labels of the two differ"
                yield Hit(f"is the same file as {first}{other}", copy, score=float(bool(other)), beside=first)


def no_position(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """How many photographs do not say where and how high they were taken; one finding for all."""
    del limits
    found = [facts.metadata for _, facts, _ in _readable(subject)]
    places = sum(1 for metadata in found if metadata.latitude_deg is None)
    heights = sum(1 for metadata in found if metadata.altitude_agl_m is None)
    if places or heights:
        missing = f"{places} without a position, {heights} without a height above ground"
        yield Hit(f"of {len(found)} photographs: {missing}", score=max(places, heights) / len(found))


def _faults(subject: Subject, is_meant: Callable[[str], bool]) -> Iterator[Hit]:
    for key, facts in subject.photos.items():
        if facts.fault and is_meant(facts.fault):
            yield Hit(facts.fault_what, key)


def _readable(subject: Subject) -> Iterator[tuple[str, PhotoFacts, Header]]:
    for key, facts in subject.photos.items():
        if facts.header is not None:
            yield key, facts, facts.header


def _decoded(subject: Subject) -> Iterator[tuple[str, PixelFacts]]:
    for key, facts in subject.photos.items():
        if facts.pixels is not None:
            yield key, facts.pixels


def _flight(subject: Subject, key: str) -> str:
    found = subject.flights.get(key)
    return "" if found is None else found.flight


def _pixel_kind(header: Header) -> str:
    kind = "a palette" if header.is_palette else f"{header.channels} channel{'s' if header.channels > 1 else ''}"
    return f"{kind} of {header.bits} bits"


def _minority(kinds: dict[str, str], of_whom: str) -> Iterator[Hit]:
    """A hit per photograph that is not of the kind of more than half; one for all when there is no such kind."""
    counts = Counter(kinds.values()).most_common()
    if len(counts) < 2:
        return
    usual, number = counts[0]
    if 2 * number <= len(kinds):
        shown = ", ".join(f"{count} {kind}" for kind, count in counts[:_NAMED_AT_MOST])
        more = f" and {len(counts) - _NAMED_AT_MOST} more kinds" if len(counts) > _NAMED_AT_MOST else ""
        yield Hit(f"the {len(kinds)} photographs {of_whom} have no common kind: {shown}{more}", score=len(counts))
        return
    for key, kind in kinds.items():
        if kind != usual:
            yield Hit(f"has {kind}; {number} of the {len(kinds)} photographs {of_whom} have {usual}", key, score=1.0)


def _same_labels(subject: Subject, one: str, other: str) -> bool:
    first, second = subject.labels.photos.get(one), subject.labels.photos.get(other)
    if first is None or second is None:
        return first is second
    return np.array_equal(first.class_ids, second.class_ids) and np.array_equal(first.xyxy_px, second.xyxy_px)
