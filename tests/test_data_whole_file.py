"""Files are replaced completely or not at all, and a full disk is reported with the file's name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import room_for

from data.files.whole_file import write_whole


def test_the_old_file_stays_where_there_is_no_room_for_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_whole(path, "old")
    with room_for(1000), pytest.raises(OSError, match=r"result\.json"):
        write_whole(path, "x" * 2000)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_new_file_can_be_read_by_whom_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_links_stay_links_and_devices_devices(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", str(tmp_path / "pipe")],
        stdout=subprocess.PIPE,
    ) as reader:
        write_whole(tmp_path / "pipe", "through")
        assert reader.communicate()[0] == b"through\n"
    assert (tmp_path / "pipe").is_fifo()
