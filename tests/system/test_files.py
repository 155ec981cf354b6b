"""Files that are there as a whole or not at all, and what is said where they cannot be written."""

import errno
import os

import pytest

from utils.system.errors import UserError
from utils.system.files import atomic_write, writing


@pytest.mark.parametrize("lasting", [True, False])
def test_a_file_is_replaced_as_a_whole_or_stays(tmp_path, monkeypatch, lasting):
    flushed = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    path = tmp_path / "below" / "a.txt"
    for text, broken in ((b"first", False), (b"second", True), (b"third", False)):
        try:
            with atomic_write(path, lasting=lasting) as file:
                file.write(text)
                if broken:
                    raise OSError(errno.ENOSPC, "full")
        except OSError:
            assert broken and path.read_bytes() == b"first"
        assert [item.name for item in path.parent.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"third" and bool(flushed) == lasting


def test_what_cannot_be_written_is_named_with_the_reason_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError) as error,
        writing("results", "give another --out"),
        atomic_write(tmp_path / "file" / "a.txt"),
    ):
        pass
    assert str(error.value) == "results: cannot be written (File exists); give another --out"
    with (
        pytest.raises(UserError, match=r"^a: cannot be written \(why\); check the space left and the permissions"),
        writing("a"),
    ):
        raise OSError("why")
