"""`make gpu` with stages made up for the purpose: limits of time, failures, going on; and what it writes of them."""

import json
import subprocess
import sys
import time

import pytest
from scripts import ROOT

from benchmarks.gpu import __main__ as command
from benchmarks.gpu.rows import RowFile, read_rows
from benchmarks.gpu.stages import DONE, FAILED, TIMED_OUT, WAITING, Stage, read_outcome, run_stage, run_stages
from benchmarks.gpu.tables import add_times, gather, write_report
from benchmarks.gpu.training import Course, Extent, take_steps

ROW = "import sys; rows = sys.argv[-1]; file = open(rows, 'a'); file.write('{\"n\": 1}\\n'); file.flush(); "
ABOUT = {"device": {"name": "a card", "packages": {"torch": "2.0"}}, "code": "abc", "commit": "", "quick": False}


def stage(name, code="", limit=20.0, least=0.5):
    return Stage(name, ("-c", ROW + code), limit, least)


def run(stages, folder, seconds=60.0):
    """Names of the stages that ran, in order."""
    ran = []
    run_stages(stages, folder, seconds, lambda one, _: ran.append(one.name))
    return ran


def test_a_stage_that_ends_well_is_done(tmp_path):
    outcome = run_stage(stage("a"), tmp_path, 20)
    assert outcome.status == DONE and outcome.error == "" and read_rows(tmp_path / "a.jsonl") == [{"n": 1}]


@pytest.mark.parametrize(
    "code, error",
    [
        ("print('a'); sys.exit('no such thing\\n')", "status 1: no such thing"),
        ("1 / 0", "status 1: ZeroDivisionError: division by zero"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "status -11: it printed nothing"),
        ('file.write(\'{"n": 2, "error": "out of memory"}\\n\')', "1 rows failed, the first: out of memory"),
    ],
)
def test_a_failed_stage_says_why_and_keeps_its_rows(tmp_path, code, error):
    outcome = run_stage(stage("a", code), tmp_path, 20)
    assert (outcome.status, outcome.error) == (FAILED, error)
    assert read_rows(tmp_path / "a.jsonl")[0] == {"n": 1}


def test_a_stage_is_ended_with_all_that_it_started_when_its_time_is_over(tmp_path):
    mark = tmp_path / "mark"
    child = f"import time; time.sleep(4); open({str(mark)!r}, 'w')"
    code = f"import subprocess, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    began = time.monotonic()
    outcome = run_stage(stage("a", code), tmp_path, 3)
    assert outcome.status == TIMED_OUT and "ended after" in outcome.error
    assert read_rows(tmp_path / "a.jsonl") == [{"n": 1}], "what it had written is kept"
    time.sleep(max(0.0, began + 5 - time.monotonic()))
    assert not mark.exists(), "what it had started is ended too"


def test_the_others_go_on_and_a_second_call_does_what_is_not_done(tmp_path):
    stages = [stage("slow", "import time; time.sleep(60)", 1.0), stage("broken", "1 / 0"), stage("good")]
    later = stage("later", least=10**6)  # there is no time for it
    assert run([*stages, later], tmp_path) == ["slow", "broken", "good"]
    assert [read_outcome(tmp_path, name).status for name in ("slow", "broken", "good", "later")] == [
        *(TIMED_OUT, FAILED, DONE, WAITING)
    ]
    mended = [stage("slow"), stage("broken"), stage("good", "1 / 0"), stage("later")]
    assert run(mended, tmp_path) == ["later", "slow", "broken"], "what never ran comes first, what is done not again"
    assert all(read_outcome(tmp_path, one.name).status == DONE for one in mended)
    assert run(mended, tmp_path) == []


def test_all_stages_together_keep_to_their_time(tmp_path):
    stages = [stage("a", "import time; time.sleep(60)", 50.0), stage("b", least=1.0)]
    began = time.monotonic()
    assert run(stages, tmp_path, 2.0) == ["a"]
    assert time.monotonic() - began < 10
    assert read_outcome(tmp_path, "a").status == TIMED_OUT and read_outcome(tmp_path, "b").status == WAITING


def test_rows_are_written_at_once_and_measured_once_unless_they_failed(tmp_path):
    path, asked = tmp_path / "rows.jsonl", []

    def measure(name):
        asked.append(name)
        if name == "bad":
            raise MemoryError("too\n  large")
        return {"ms": 2.0}

    rows = RowFile(path)
    for name in ("good", "bad"):
        rows.measure({"name": name}, lambda name=name: measure(name))
    rows.leave_out({"name": "none"}, "needs a GPU")
    assert read_rows(path) == [
        {"name": "good", "ms": 2.0},
        {"name": "bad", "error": "MemoryError: too large"},
        {"name": "none", "left_out": "needs a GPU"},
    ]
    path.write_text(path.read_text() + '{"name": "cut o')  # killed while it wrote
    again = RowFile(path)
    for name in ("good", "bad", "none"):
        again.measure({"name": name}, lambda name=name: measure(name))
    assert asked == ["good", "bad", "bad"]
    assert [row["name"] for row in read_rows(path)] == ["good", "none", "bad"]


def test_the_report_names_all_stages_and_what_went_wrong(tmp_path):
    folder = tmp_path / "stages"
    folder.mkdir()
    stages = [stage("tests"), stage("rates-tsmsa"), stage("broken", "1 / 0"), stage("later", least=10**6)]
    run(stages, folder)
    rows = RowFile(folder / "tests.jsonl")
    rows.add({"test": "tests/a.py::b", "seconds": 1.0})
    rows.add({"test": "tests/a.py::c", "error": "it | differs"})
    rates = RowFile(folder / "rates-tsmsa.jsonl")
    rates.add({"work": "tsmsa 512×512", "precision": "float32", "way": "literal", "variant": "a clip", "fps": 10.0})
    rates.add({"work": "tsmsa 512×512", "precision": "float32", "way": "as it is", "variant": "stream", "fps": 25.0})
    write_report(gather(ABOUT, stages, folder), tmp_path)
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert [one["status"] for one in content["stages"].values()] == [DONE, DONE, FAILED, WAITING]
    assert content["stages"]["rates-tsmsa"]["rows"][-1]["times"] == 2.5
    page = (tmp_path / "gpu.md").read_text()
    shown = ("# a card", "PyTorch 2.0", "ZeroDivisionError", "it goes on here", "1 failed, 2 passed", r"it \| differs")
    assert [part for part in shown if part not in page] == []
    assert "tests/a.py::b" not in page and "| 25 | 2.5 |" in page


def test_rates_stand_beside_the_literal_network_with_as_much_at_once():
    literal = [{"way": "literal", "variant": name, "fps": fps} for name, fps in (("a clip", 10.0), ("8 clips", 40.0))]
    ours = [{"way": "recorded", "variant": name, "fps": 80.0} for name in ("stream", "8 streams")]
    assert [row["times"] for row in add_times([*literal, *ours])] == [1.0, 1.0, 8.0, 2.0]
    assert add_times(ours) == ours, "without it there is nothing to compare with"


def test_without_a_gpu_it_says_so_and_all_is_well(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "ask_device", lambda name: {"name": None, "reason": f"there is no {name}"})
    command.main(["--out", str(tmp_path / "gpu")])
    said = capsys.readouterr().out
    assert "nothing is measured: there is no cuda" in said and "DEVICE=cpu QUICK=1" in said
    assert not (tmp_path / "gpu").exists()


def test_results_of_other_code_another_device_or_other_packages_are_not_gone_on_with():
    others = [
        ABOUT | {"code": "abd"},
        ABOUT | {"quick": True},
        ABOUT | {"device": {"name": "another card", "packages": {"torch": "2.0"}}},
        ABOUT | {"device": {"name": "a card", "packages": {"torch": "2.1"}}},
    ]
    assert len({command.digest(about) for about in (ABOUT, *others)}) == 5
    assert command.digest(ABOUT | {"commit": "a commit that changed a page"}) == command.digest(ABOUT)


def test_every_stage_is_a_command_that_knows_its_options():
    stages = command.make_stages("cpu", True)
    assert len({one.name for one in stages}) == len(stages)
    assert {"tests", "training", "rates-tsmsa", "rates-resunet_dtum", "compiled-deeppro_plus"} <= {
        one.name for one in stages
    }
    code = (
        "import sys, importlib\n"
        "from utils.system.command_line import Parser\n"
        "class Parsed(Exception): pass\n"
        "read = Parser.parse_args\n"
        "def parse(self, argv): read(self, argv); raise Parsed\n"
        "Parser.parse_args = parse\n"
        f"for words in {[one.words[1:] for one in stages]!r}:\n"
        "    try: importlib.import_module(words[0]).main([*words[1:], '--rows', 'x'])\n"
        "    except Parsed: print(words[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == [one.words[1] for one in stages], done.stderr


def test_networks_learn_in_turns_until_the_time_is_over_and_one_that_fails_stops_alone():
    import torch

    now = [0.0]

    class Stub:
        def __init__(self, fails_at=None):
            self.seen, self.fails_at = [], fails_at

        def step(self, batches):
            now[0] += 1.0
            self.seen.append(batches[0]["clip"].flatten().tolist())
            if len(self.seen) == self.fails_at:
                raise RuntimeError("not finite")
            return {"loss": 1.0 / len(self.seen)}

    courses = {"off": Course(Stub()), "bf16": Course(Stub()), "fp16": Course(Stub(fails_at=2))}
    clips = torch.arange(6.0).reshape(6, 1, 1, 1), torch.zeros(6, 1, 1, 1)
    take_steps(courses, clips, Extent(1, 6, 0, 4, 20.5), torch.Generator().manual_seed(0), clock=lambda: now[0])
    off, bf16, fp16 = courses.values()
    assert off.learner.seen == bf16.learner.seen and len(off.losses) == len(bf16.losses) == 10
    assert fp16.error == "RuntimeError: not finite" and fp16.losses == [1.0] and len(fp16.learner.seen) == 2
    assert all(course.ms[0] == 1000 for course in courses.values())
