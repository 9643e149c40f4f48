"""Untrusted JSON: what is read, what is refused, and how much memory it may take."""

import gzip
import io
import json
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import SchemaError
from data.files import jsonl
from data.files.json_text import NotJson, read_json
from data.limits import MIB, InputLimits, set_limits

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**299), 10**299) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_what_python_writes_is_read(value: object, ascii_only: bool) -> None:
    clean = json.loads(json.dumps(value).encode().replace(b"\\ud", b"\\u1"))
    text = json.dumps(clean, ensure_ascii=ascii_only)
    assert read_json(text) == read_json(text.encode()) == json.loads(text)


@given(st.binary() | st.text() | st.text('[]{}",:0123456789.eE-+truefalsn\\ud8 \n'))
def test_any_text_is_a_value_or_refused_in_a_few_words(text: str | bytes) -> None:
    try:
        value = read_json(text)
    except NotJson as refused:
        assert 5 < len(str(refused)) < 80
    else:
        json.dumps(value).encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'["\ud83d\ude00 \ud800 \uDFFF \\ud800"]', ["😀 � � \\ud800"]),
        ("[1e999, -1e999]", [float("inf"), -float("inf")]),
        (f"[{'9' * 400}, -{'9' * 100_000}]", [float("inf"), -float("inf")]),
        (f'["{"9" * 400}", {"1" * 400}e-400]', ["9" * 400, 0.1111111111111111]),
        ("\ufeff1", 1),
    ],
)
def test_numbers_and_text_that_nobody_can_write_again_are_mended(text: str, value: object) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("depth", [300, 1_000_000])
def test_deep_nesting_is_refused(opening: str, depth: int) -> None:
    closing = "".join({"[": "]", "{": "}"}.get(sign, "") for sign in reversed(opening))
    with pytest.raises(NotJson, match="nested too deeply"):
        read_json(opening * depth + "1" + closing * depth)


@pytest.mark.parametrize("part", ["[]", "{}", '{"a":1}', '"a"', "1", '[{"a":[]}]', '{"":{"":{}}}'])
def test_what_is_read_takes_no_more_memory_than_it_may(part: str) -> None:
    """Eight megabytes of tiny values: read within the bound, or refused before anything is built."""
    text = ("[" + f"{part}," * (8 * MIB // (len(part) + 1)) + "1]").encode()
    before = psutil.Process().memory_info().rss
    try:
        value = read_json(text, 200 * MIB)
    except NotJson as refused:
        assert "too large" in str(refused)
    else:
        assert psutil.Process().memory_info().rss - before < 220 * MIB
        del value
    assert read_json(b'"' + b"a" * (8 * MIB) + b'"', 32 * MIB) == "a" * (8 * MIB)


def test_a_small_archive_of_one_endless_line_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        for _ in range(300):
            packed.write(b" " * MIB)
    before = psutil.Process().memory_info().rss
    with pytest.raises(SchemaError, match=r"a\.jsonl\.gz:1: got 'over 128 MiB in one line'"):
        list(jsonl.read(file))
    assert psutil.Process().memory_info().rss - before < 300 * MIB


def test_blank_lines_without_end_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        for _ in range(100):
            packed.write(b"\n" * MIB)
    with pytest.raises(SchemaError, match="over 10000 blank lines"):
        list(jsonl.read(file))
    assert list(jsonl.read_lines(io.BytesIO(b"\n" * 100 + b"{}\n"), "x")) == [(101, {})]


def test_bounds_are_those_of_the_process() -> None:
    text = json.dumps("x" * (3 * MIB))
    assert read_json(text)
    set_limits(InputLimits(file_mib=1))
    try:
        with pytest.raises(NotJson, match="over 1 MiB of memory"):
            read_json(text)
    finally:
        set_limits(InputLimits())
