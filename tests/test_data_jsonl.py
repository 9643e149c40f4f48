"""Lines are complete or absent, even if the writer is killed."""

import gzip
import json
import os
import subprocess
import sys
import time

import pytest

from data.errors import SchemaError
from data.files import jsonl


def test_what_is_appended_is_read(tmp_path):
    path = tmp_path / "new" / "folder" / "records.jsonl"
    records = [{"text": "line\nbreak, ünïcode, \ud800"}, {"nested": {"a": [1, None, 2.5]}}, {}]
    for record in records:
        jsonl.append(path, record)
    records[0] = {"text": "line\nbreak, ünïcode, �"}  # half a letter could never be written again
    assert list(jsonl.read(path)) == list(enumerate(records, start=1))


def test_gzip_reads_the_same_and_blank_lines_do_not_count(tmp_path):
    path = tmp_path / "records.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n\n{"b":2}\n'))
    assert list(jsonl.read(path)) == [(1, {"a": 1}), (3, {"b": 2})]


def test_a_torn_last_line_is_left_out_with_a_note_and_cut_off_by_the_next_append(tmp_path, caplog):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":' + b'"' + b"x" * 100_000)
    assert [record for _, record in jsonl.read(path)] == [{"a": 1}]
    assert "records.jsonl:2: left out a torn last line" in caplog.text
    jsonl.append(path, {"c": 3})
    assert path.read_bytes() == b'{"a":1}\n{"c":3}\n'


def test_a_whole_last_line_without_an_end_is_kept(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"a":1}')
    assert [record for _, record in jsonl.read(path)] == [{"a": 1}]
    jsonl.append(path, {"b": 2})
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'


@pytest.mark.parametrize("bad", [b"not json", b"[1, 2]", b"\xff\xfe", b'{"a":'])
def test_a_bad_line_elsewhere_is_refused_with_file_and_line(tmp_path, bad):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"a":1}\n' + bad + b'\n{"b":2}\n')
    with pytest.raises(SchemaError, match=r"records\.jsonl:2: .* write one JSON object a line"):
        list(jsonl.read(path))


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="no such file or folder"):
        jsonl.files(tmp_path / "absent")
    with pytest.raises(SchemaError, match="a folder without"):
        jsonl.files(tmp_path)
    with pytest.raises(SchemaError, match="readable file"):
        list(jsonl.read(tmp_path / "absent.jsonl"))
    (tmp_path / "plain.jsonl.gz").write_bytes(b'{"a":1}\n')
    with pytest.raises(SchemaError, match=r"plain\.jsonl\.gz"):
        list(jsonl.read(tmp_path / "plain.jsonl.gz"))
    (tmp_path / "cut.jsonl.gz").write_bytes(
        gzip.compress(json.dumps({"a": os.urandom(500).hex()}).encode())[:200]
    )
    with pytest.raises(SchemaError, match="whole gzip file"):
        list(jsonl.read(tmp_path / "cut.jsonl.gz"))


def test_a_folder_means_its_files_in_order(tmp_path):
    for name in ("b.jsonl", "a.jsonl.gz", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in jsonl.files(tmp_path)] == ["a.jsonl.gz", "b.jsonl"]


WRITE_FOR_EVER = """
import sys, pathlib
from data.files import jsonl
while True:
    jsonl.append(pathlib.Path(sys.argv[1]), {"filler": "x" * 50_000})
"""


def test_killed_writers_leave_whole_lines(tmp_path):
    path = tmp_path / "records.jsonl"
    path.touch()
    for _ in range(5):
        before = path.stat().st_size
        writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)])
        while path.stat().st_size <= before:
            assert writer.poll() is None
            time.sleep(0.001)
        writer.kill()
        writer.wait()
    jsonl.append(path, {"filler": "x" * 50_000})
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert all(json.loads(line) == {"filler": "x" * 50_000} for line in lines)
