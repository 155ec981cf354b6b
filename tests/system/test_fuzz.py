"""A short run of `python -m tests.fuzz`; FUZZ_COUNT asks for a longer one, FUZZ_SEED for other inputs."""

import os
import random
import subprocess
import sys

from fuzz_targets import TARGETS
from fuzzing import PASSES, Outcome, summarise
from mutations import mutate
from scripts import ROOT


def test_changed_inputs_are_read_or_refused_in_one_line():
    count = os.environ.get("FUZZ_COUNT", str(2 * len(TARGETS)))
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--count", count, "--seed", os.environ.get("FUZZ_SEED", "0")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{count} inputs: " in done.stdout and "refused" in done.stdout


def test_an_input_is_the_same_each_time():
    data = bytes(range(256)) * 4
    for kind in ("", "text", "json"):
        first, again = (mutate(data, random.Random("0/7"), kind, data) for _ in range(2))
        assert first == again != data


def test_failures_are_counted_by_what_they_are():
    outcomes = [Outcome(i, "png", "traceback", "KeyError at a.py:3: 'x'", 0.1) for i in range(3)]
    lines = summarise([*outcomes, Outcome(9, "mat", "refused", "no", 0.2)])
    assert lines[0] == "4 inputs: traceback 3, refused 1" and "3 times png, traceback, KeyError at a.py:3" in lines[2]
    assert "hang" not in PASSES
