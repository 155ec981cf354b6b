"""Warnings: said once, on one line, and kept."""

from utils.system.addresses import hide_secrets
from utils.system.notices import forget_warnings, warn, warnings_given


def test_a_warning_is_one_line_on_stderr_said_once_and_kept(capsys):
    warn("three masks\n are  of another size")
    warn("three masks are of another size")
    warn("rtsp://user:secret@camera/1 is dark")
    shown = capsys.readouterr()
    assert not shown.out and "secret" not in shown.err
    assert shown.err.splitlines()[0] == "warning: three masks are of another size"
    assert len(shown.err.splitlines()) == 2
    assert [line.split()[0] for line in warnings_given()] == ["three", hide_secrets("rtsp://user:secret@camera/1")]
    forget_warnings()
    assert warnings_given() == []


def test_of_several_processes_the_first_one_speaks_and_all_keep(capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    warn("masks are dark")
    assert capsys.readouterr().err == "" and warnings_given() == ["masks are dark"]
