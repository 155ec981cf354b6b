"""A GPU's tests, frames a second and a training in mixed precision, within nine minutes: `make gpu`.

Every stage is a process with a time limit; what one has measured is written at once, and what failed is a row with its
error. A second call goes on where the first stopped, as long as code, device and packages are the same.

    python -m benchmarks.gpu --out gpu
    python -m benchmarks.gpu --device cpu --quick    # a rehearsal without a GPU
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.stages import ROOT, Outcome, Stage, run_stages
from benchmarks.gpu.tables import JSON_FILE, PAGE_FILE, gather, write_report
from utils.system.command_line import Parser, make_folder, number
from utils.system.errors import UserError, user_errors
from utils.system.machine import git_revision

SECONDS = 520  # of the 540 that it may take
MAX_DESCRIBE_SECONDS = 90  # the first import of PyTorch from a disk that is cold
NETWORKS = ("tsmsa", "sstnet", "micml", "dsfnet", "resunet_dtum", "deeppro", "deeppro_plus")
FOLDERS = ("nets", "utils", "benchmarks", "tests")


def main(argv: list[str] | None = None) -> None:
    """Run what is not done yet, and write both files after every stage."""
    options = Parser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cuda", help="cpu, cuda or cuda:N (default: %(default)s)")
    options.add_argument("--out", type=Path, default=Path("gpu"), metavar="FOLDER", help="default: %(default)s")
    options.add_argument("--quick", action="store_true", help="tiny sizes: does everything run?")
    options.add_argument(
        "--seconds", type=number("benchmark.seconds"), default=SECONDS, help="for all stages (default: %(default)s)"
    )
    with user_errors():
        chosen = options.parse_args(argv)
        began = time.monotonic()
        device = ask_device(chosen.device)
        if device["name"] is None:
            print(f"nothing is measured: {device['reason']}; `make gpu DEVICE=cpu QUICK=1` tries all of it on the CPU")
            return
        about = {"device": device, "code": code_version(), "commit": git_revision(), "quick": chosen.quick}
        folder = chosen.out / "stages" / digest(about)
        make_folder(folder)
        stages = make_stages(chosen.device, chosen.quick)

        def tell(stage: Stage, outcome: Outcome) -> None:
            print(f"{stage.name}: {outcome.status}, {outcome.seconds:.0f} s {outcome.error}".rstrip(), flush=True)
            write_report(gather(about, stages, folder), chosen.out)

        print(f"{device['name']}: {len(stages)} stages, {chosen.seconds:.0f} s at most", flush=True)
        run_stages(stages, folder, chosen.seconds - (time.monotonic() - began), tell)
        write_report(gather(about, stages, folder), chosen.out)
        print(f"written: {chosen.out / JSON_FILE}, {chosen.out / PAGE_FILE}")


def make_stages(device: str, quick: bool) -> list[Stage]:
    """All stages, those that say most first; what compiles takes longest and comes last.

    Limits are what is enough on a slow card, and twice that in a rehearsal; that of all together holds in any case.
    """
    shared = ("--device", device, *(["--quick"] if quick else []))

    def stage(name: str, module: str, limit: float, *words: str) -> Stage:
        return Stage(name, ("-m", f"benchmarks.gpu.{module}", *shared, *words), 2 * limit if quick else limit)

    return [
        stage("tests", "cuda_tests", 110),
        *(stage(f"rates-{name}", "rates", 40, "--network", name) for name in NETWORKS),
        stage("training", "training", 60),
        *(stage(f"compiled-{name}", "rates", 90, "--network", name, "--compiled") for name in NETWORKS[:2]),
        stage("tests-compiled", "cuda_tests", 150, "--compiled"),
        *(stage(f"compiled-{name}", "rates", 90, "--network", name, "--compiled") for name in NETWORKS[2:]),
    ]


def ask_device(name: str) -> dict[str, Any]:
    """What the device is, as of `benchmarks.gpu.device`; asked in a process of its own, which holds none of it."""
    call = [sys.executable, "-m", "benchmarks.gpu.device", "--device", name]
    try:
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=MAX_DESCRIBE_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"--device: {name} said nothing for {MAX_DESCRIBE_SECONDS} s; run it again") from None
    if done.returncode:
        raise UserError(
            f"--device: {name} cannot be looked at: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def code_version() -> str:
    """A digest of all code, whether or not it is under version control."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")] + list(ROOT.glob("*.py"))
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()[:12]


def digest(about: dict[str, Any]) -> str:
    """A name for results of this code on this device with these packages."""
    known = {key: about[key] for key in ("device", "code", "quick")}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
