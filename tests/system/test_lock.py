"""One process at a time in a folder, until it ends."""

import errno
import multiprocessing
import os
import socket

import pytest

from utils.system import lock
from utils.system.errors import UserError
from utils.system.lock import LOCK_FILE, hold_folder


def test_a_held_folder_is_refused_by_every_name_it_has_and_free_afterwards(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "run")
    names = [tmp_path / "run", tmp_path / "link", tmp_path / "run/../run"]
    with hold_folder(tmp_path / "run"), hold_folder(tmp_path / "other"):
        for name in names:
            with pytest.raises(UserError) as error, hold_folder(name):
                pass
            assert str(error.value) == (
                f"found another training that writes to {name} (process {os.getpid()} on {socket.gethostname()}), "
                "expected one at a time; give another --name or wait"
            )
    for name in names:
        with hold_folder(name):
            pass


def test_an_error_frees_the_folder_too(tmp_path):
    with pytest.raises(ZeroDivisionError), hold_folder(tmp_path):
        raise ZeroDivisionError
    with hold_folder(tmp_path):
        pass


def test_the_lock_file_is_never_removed(tmp_path):
    """Else one process could lock the file that has just been removed, another the one that has just been made."""
    found = []
    for _ in range(2):
        with hold_folder(tmp_path), pytest.raises(UserError), hold_folder(tmp_path):
            pass
        found.append(os.stat(tmp_path / LOCK_FILE).st_ino)
    assert found[0] == found[1]


def test_a_shorter_message_replaces_a_longer_one(tmp_path):
    (tmp_path / LOCK_FILE).write_text("process 123456789012 on some-other-host.of.long.name\n")
    with hold_folder(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_what_strangers_wrote_into_the_lock_file_is_not_said(tmp_path):
    with hold_folder(tmp_path):
        (tmp_path / LOCK_FILE).write_bytes(b"process 1 on a\x1b[31m b\n" * 1000)
        with pytest.raises(UserError, match=r"\(of an unknown process\), expected one"), hold_folder(tmp_path):
            pass


def _say_and_wait(said, until):
    said.set()
    until.wait(60)


def test_a_forked_process_that_lives_on_does_not_hold_its_parents_folder(tmp_path):
    fork = multiprocessing.get_context("fork")
    said, until = fork.Event(), fork.Event()
    with hold_folder(tmp_path):
        child = fork.Process(target=_say_and_wait, args=(said, until))
        child.start()
        assert said.wait(60)
        with pytest.raises(UserError), hold_folder(tmp_path):  # nor has it given it away
            pass
    with hold_folder(tmp_path):
        assert child.is_alive()
    until.set()
    child.join()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, None])
def test_where_there_are_no_locks_a_line_says_so_and_work_goes_on(tmp_path, monkeypatch, capsys, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    if number is None:
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(lock.fcntl, "flock", fail)
    went_on = False
    with hold_folder(tmp_path):
        went_on = True
    said = capsys.readouterr().err
    reason = "this system has none" if number is None else os.strerror(number)
    assert went_on and said.startswith(f"warning: {tmp_path}: files there cannot be locked ({reason}); ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES])
def test_every_way_of_saying_that_it_is_locked_is_understood(tmp_path, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", fail)
    with pytest.raises(UserError, match="found another training"), hold_folder(tmp_path):
        pass


def test_a_link_in_place_of_the_lock_file_is_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK_FILE).symlink_to(tmp_path / "precious")
    said = f"{LOCK_FILE}: cannot be written .*; give another folder with --out"
    with pytest.raises(UserError, match=said), hold_folder(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"
