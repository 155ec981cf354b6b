"""What is printed: closed pipes, full files and terminals without letters stop no work and lose nothing."""

import ast
import os
import subprocess
import sys

import pytest
from scripts import ROOT

PROGRAM = """
import sys
from utils.system.errors import UserError, user_errors

with user_errors():
    for number in range(int(sys.argv[2])):
        print("frame", number, "\\u2264 2 \\u2013 \\xe9 \\udcff")
    open(sys.argv[1], "w").close()
    if sys.argv[3:]:
        raise UserError("found \\xe9")
"""


def command(done, lines, *more):
    return [sys.executable, "-c", PROGRAM, str(done), str(lines), *more]


def run(arguments, **keywords):
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"} | keywords.pop("env", {})
    return subprocess.run(arguments, cwd=ROOT, env=environment, **keywords)


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_leaves_stops_no_work(tmp_path, lines):
    reading, writing = os.pipe()
    os.close(reading)
    done = run(command(tmp_path / "done", lines), stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"") and (tmp_path / "done").exists()


def test_errors_into_a_pipe_that_is_closed_keep_the_status(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = run(command(tmp_path / "done", 1, "fail"), stdout=writing, stderr=writing)
    os.close(writing)
    assert done.returncode == 2 and (tmp_path / "done").exists()


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both", "all"])
def test_closed_streams_stop_no_work(tmp_path, closed):
    redirections = {"stdout": ">&-", "stderr": "2>&-", "both": ">&- 2>&-", "all": "<&- >&- 2>&-"}[closed]
    done = run(["sh", "-c", f'exec "$@" {redirections}', "sh", *command(tmp_path / "done", 1, "fail")])
    assert done.returncode == 2 and (tmp_path / "done").read_bytes() == b""
    assert done.stderr == ("error: found é\n".encode() if closed == "stdout" else b"")
    assert done.stdout == ("frame 0 ≤ 2 – é ".encode() + b"\xff\n" if closed == "stderr" else b"")


def test_a_full_stdout_is_told_when_all_is_saved(tmp_path):
    with open("/dev/full", "wb") as full:
        for more, status in (((), 1), (("fail",), 2)):
            done = run(command(tmp_path / "done", 100_000, *more), stdout=full)
            assert done.returncode == status and (tmp_path / "done").exists()
            assert done.stderr.endswith(b"error: stdout: cannot be written (No space left on device)\n")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
    ids=lambda environment: "-".join(environment),
)
def test_a_terminal_without_a_letter_gets_a_similar_one_and_names_as_they_are(tmp_path, environment):
    done = run(command(tmp_path / "done", 1, "fail"), env=environment)
    assert (done.returncode, done.stdout) == (2, b"frame 0 <= 2 - \\xe9 \xff\n")
    assert done.stderr == b"error: found \\xe9\n"


def test_what_the_system_refuses_is_one_line_and_no_traceback(tmp_path):
    code = "import os\nfrom utils.system.errors import user_errors\nwith user_errors(): os.mkdir({})"
    done = run([sys.executable, "-c", code.format(repr(str(tmp_path)))])
    assert (done.returncode, done.stderr.decode()) == (2, f"error: {tmp_path}: File exists\n")


COMMANDS = [
    path
    for folder in (ROOT, ROOT / "utils", ROOT / "utils_coco", ROOT / "benchmarks")
    for path in sorted(folder.glob("*.py") if folder == ROOT else folder.rglob("*.py"))
    if any(
        isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        for node in ast.parse(path.read_text(encoding="utf-8")).body
    )
]


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_prints_by_the_same_way(path):
    text = path.read_text(encoding="utf-8")
    assert "\n    with user_errors():\n" in text or "\n    launch(" in text


def test_all_commands_are_looked_at():
    assert len(COMMANDS) > 20
