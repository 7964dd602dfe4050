"""JSON label files: what is damaged says where, what is odd says why, and numbers are numbers."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.files import find_files
from overflight.data.formats.json_files import (
    RefusedValueError,
    head_and_tail,
    number,
    numbers,
    parse_document,
    printable,
    read_document,
    read_lines,
    shown,
    size_of,
)
from overflight.errors import InputError

DAMAGED = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\n", "is empty"),
    "broken off in a list": (b'{"a": [1,\n2,\n3', "breaks off at line 3"),
    "broken off in a text": (b'{"a":\n"bc', "breaks off at line 2"),
    "two documents": (b'{"a": 1}\n{"a": 2}\n', "goes on after its end at line 2 (two documents in one file?)"),
    "trailing comma": (b'{"a": 1,\n}', "at line"),
    "single quotes": (b"{'a': 1}", "line 1, column 2"),
    "not UTF-8": (b'{"a":\n\n"\xff"}', "is not UTF-8 text (line 3)"),
    "UTF-16 with a mark": ('{"a": 1}'.encode("utf-16"), "is UTF-16 text, not UTF-8"),
    "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-be"), "is UTF-16 text, not UTF-8"),
    "UTF-32": ('{"a": 1}'.encode("utf-32"), "is UTF-32 text, not UTF-8"),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply for a label file"),
    "too deep and open": (b"[" * 100_000, "is nested too deeply for a label file"),
    "too many digits": (b'{"a": 1' + b"0" * 5000 + b"}", "holds a number that cannot be read"),
    "random bytes": (bytes(range(128, 256)), "is not UTF-8 text (line 1)"),
}


@pytest.mark.parametrize("quick", [False, True], ids=["strict", "quick"])
@pytest.mark.parametrize(("data", "what"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_says_what_and_where(data, what, quick):
    document = parse_document(data, where="a.json", photo="p.jpg", expected=(lambda _: {}) if quick else None)
    (finding,) = document.findings
    assert document.damaged
    assert document.value is None
    assert (finding.severity, finding.code, finding.where, finding.photo) == ("error", "damaged", "a.json", "p.jpg")
    assert what in finding.what
    assert len(finding.what) < 300


@pytest.mark.parametrize("quick", [False, True], ids=["strict", "quick"])
def test_a_byte_order_mark_and_windows_line_ends_are_harmless(quick):
    expected = (lambda _: {}) if quick else None
    document = parse_document(b'\xef\xbb\xbf{\r\n"a": 1\r\n}\r\n', where="a", expected=expected)
    assert document.value == {"a": 1}
    assert document.findings == ()


def test_keys_written_twice_in_one_object_are_reported():
    document = parse_document(b'[{"a": 1, "a": 2}, {"b": 1, "c": 2, "b": 3}, {"a": 1}]', where="f")
    (finding,) = document.findings
    assert finding.what.startswith("2 objects hold a key twice ('a', 'b')")
    assert document.value[0] == {"a": 2}


@pytest.mark.parametrize("text", ['{"bbox": 1, "bbox": 2}', '{"bbox": 1, "\\u0062box": 2}'], ids=["plain", "escaped"])
def test_the_quick_way_sees_repeated_keys_that_matter(text):
    document = parse_document(text.encode(), where="f", expected=lambda value: {"bbox": (1,)})
    assert [finding.code for finding in document.findings] == ["damaged"]


def test_a_value_that_looks_like_a_key_only_costs_time():
    document = parse_document(b'{"bbox": "bbox"}', where="f", expected=lambda value: {"bbox": (1,)})
    assert document.value == {"bbox": "bbox"}
    assert document.findings == ()


def test_nan_arrives_as_a_number_that_no_box_takes():
    for expected in (None, lambda _: {}):
        value = parse_document(b"[NaN, -Infinity, 1e999]", where="f", expected=expected).value
        assert not any(math.isfinite(item) for item in value)
        for item in value:
            with pytest.raises(RefusedValueError) as caught:
                number(item, "x")
            assert caught.value.code == "not-finite"


NO_NUMBERS = {
    "text": ("12.5", "not-a-number"),
    "true": (True, "not-a-number"),
    "null": (None, "not-a-number"),
    "list": ([1], "not-a-number"),
    "object": ({}, "not-a-number"),
    "too large for a float": (10**400, "not-finite"),
    "infinite": (float("inf"), "not-finite"),
    "nan": (float("nan"), "not-finite"),
}


@pytest.mark.parametrize(("value", "code"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused(value, code):
    with pytest.raises(RefusedValueError) as caught:
        number(value, "x")
    assert caught.value.code == code
    with pytest.raises(RefusedValueError) as caught:
        numbers([0, value], 2, "bbox")
    assert caught.value.code == code


def test_lists_of_numbers_have_the_right_length():
    assert numbers([1, 2.5], 2, "a") == [1.0, 2.5]
    for value, code in (([1], "columns"), ([1, 2, 3], "columns"), ("ab", "no-box"), (None, "no-box"), ({}, "no-box")):
        with pytest.raises(RefusedValueError) as caught:
            numbers(value, 2, "a")
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (640, 480, (640, 480)),
        (640.0, 480.0, (640, 480)),
        (0, 480, None),
        (-1, 480, None),
        (640.5, 480, None),
        ("640", 480, None),
        (True, 480, None),
        (None, None, None),
        (10**400, 1, None),
        (float("nan"), 1, None),
        (float("inf"), 1, None),
        ([], {}, None),
    ],
    ids=str,
)
def test_a_size_is_two_sides_of_a_photograph(width, height, size):
    assert size_of(width, height) == size


def test_values_in_messages_are_short_and_printable():
    deep = current = []
    for _ in range(5000):
        current.append([])
        current = current[0]
    values = ["a" * 10_000_000, "\x1b[31m\n\ud800", deep, {"k" * 1000: ["v" * 1000] * 1000}, 10**4000, None, True]
    for value in values:
        text = shown(value)
        assert len(text) <= 1300  # 200 signs, each escaped at worst
        assert text.isprintable()
        text.encode()
    assert shown("a b") == "'a b'"
    assert shown(True) == "true"
    assert printable("a\tb") == "a\\tb"


def test_lines_carry_their_numbers_and_a_damaged_one_stops_nothing(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": \n"x"')
    found = list(read_lines(find_files(tmp_path), "a.jsonl"))
    assert [(line, document.value) for line, document in found] == [(1, {"a": 1}), (3, None), (4, "x")]
    assert found[1][1].findings[0].where == "a.jsonl:3"
    assert found[1][1].damaged


def test_files_that_are_too_large_or_in_another_encoding(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"a": 1}')
    (tmp_path / "b.jsonl").write_bytes('{"a": 1}'.encode("utf-16"))
    files = find_files(tmp_path)
    document = read_document(files, "a.json", max_bytes=7)
    assert "has 8 bytes; at most 7 are read" in document.findings[0].what
    assert read_document(files, "a.json", max_bytes=8).value == {"a": 1}
    assert read_document(files, "gone.json").damaged
    with pytest.raises(InputError, match="UTF-16"):
        list(read_lines(files, "b.jsonl"))


def test_head_and_tail_of_a_large_file(tmp_path):
    (tmp_path / "a.json").write_bytes(b"head" + b" " * 1_000_000 + b"tail")
    (tmp_path / "b.json").write_bytes(b"x" * 70_000)
    files = find_files(tmp_path)
    content, whole = head_and_tail(files, "a.json")
    assert (content[:4], content[-4:], whole) == (b"head", b"tail", False)
    assert len(content) < 140_000
    assert head_and_tail(files, "b.json") == (b"x" * 70_000, True)
    assert head_and_tail(files, "gone.json") == (b"", True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100)
@given(JSON)
def test_both_ways_of_parsing_agree(value):
    data = json.dumps(value).encode()
    strict = parse_document(data, where="f")
    quick = parse_document(data, where="f", expected=lambda _: {})
    assert not strict.damaged
    assert repr(strict.value) == repr(quick.value)


@settings(max_examples=100)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()[:-1]))
def test_no_bytes_end_in_a_traceback(data):
    for expected in (None, lambda _: {}):
        document = parse_document(data, where="f", expected=expected)
        assert document.damaged == any(finding.code == "damaged" for finding in document.findings)
