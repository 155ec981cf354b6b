"""Stages, each a process with a time limit of its own, within the time that all of them have."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.gpu.rows import MAX_ERROR, read_rows
from utils.system.files import write_json

ROOT = Path(__file__).parents[2]
DONE, FAILED, TIMED_OUT, WAITING = "done", "failed", "timed out", "waiting"
SECONDS_TO_END = 3  # after which a process that was told to end is killed


@dataclass(frozen=True)
class Stage:
    """What one process measures.

    Args:
        name: of its files.
        words: arguments of Python; `--rows FILE` is added.
        limit: seconds that it may take.
        least: it is not begun where fewer seconds are left.
    """

    name: str
    words: tuple[str, ...]
    limit: float
    least: float = 10.0


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: `status`, after how many seconds, and with what error."""

    status: str = WAITING
    seconds: float = 0.0
    error: str = ""


def read_outcome(folder: Path, name: str) -> Outcome:
    """How a stage ended that an earlier call ran; `WAITING` where none did."""
    path = folder / f"{name}.json"
    return Outcome(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else Outcome()


def run_stages(
    stages: Sequence[Stage],
    folder: Path,
    seconds: float,
    tell: Callable[[Stage, Outcome], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run the stages that are not done yet: first those that never ran, then those that failed or ran out of time.

    Args:
        stages: in the order of their worth.
        folder: where each leaves rows, log and outcome, as soon as it ends.
        seconds: for all of them together.
        tell: called after each.
        clock: seconds.
    """
    deadline = clock() + seconds
    earlier = {stage.name: read_outcome(folder, stage.name).status for stage in stages}
    for status in (WAITING, TIMED_OUT, FAILED):
        for stage in stages:
            left = deadline - clock()
            if earlier[stage.name] != status or left < stage.least:
                continue
            outcome = run_stage(stage, folder, min(stage.limit, left))
            write_json(folder / f"{stage.name}.json", asdict(outcome))
            tell(stage, outcome)


def run_stage(stage: Stage, folder: Path, limit: float) -> Outcome:
    """Run one, and end it and all that it started after `limit` seconds."""
    rows, log = folder / f"{stage.name}.jsonl", folder / f"{stage.name}.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *stage.words, "--rows", str(rows.resolve())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(process)
    seconds = round(time.monotonic() - began, 1)
    failed = [row for row in read_rows(rows) if "error" in row]
    if code is None:
        return Outcome(TIMED_OUT, seconds, f"ended after {limit:.0f} s")
    if code:
        return Outcome(FAILED, seconds, f"status {code}: {last_line(log)}")
    if failed:
        return Outcome(FAILED, seconds, f"{len(failed)} rows failed, the first: {failed[0]['error']}"[:MAX_ERROR])
    return Outcome(DONE, seconds)


def end_group(process: subprocess.Popen) -> None:
    """End a process that leads a group, and the group; what does not listen is killed."""
    for word in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, word)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:MAX_ERROR] if lines else "it printed nothing"
