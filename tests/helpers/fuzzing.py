"""Changed inputs read in processes of their own, with an end to their time and memory, and what became of each."""

import contextlib
import ctypes
import multiprocessing
import os
import random
import resource
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import fuzz_targets
from scripts import ROOT

SECONDS = 10  # that reading one input may take
MEMORY = 2 << 30  # bytes that it may take beside what the process has
PASSES = ("read", "refused")


class Outcome(NamedTuple):
    """What became of input `index`: one of `PASSES`, or `traceback`, `crash`, `hang`; with the message or place."""

    index: int
    target: str
    kind: str
    text: str
    seconds: float


def make_input(seed, index, targets, files):
    """Target and bytes of an input: the same for the same seed and index, whatever else runs."""
    rng = random.Random(f"{seed}/{index}")
    target = targets[index % len(targets)]
    data = files[target.name].read_bytes()
    other = files[rng.choice(targets).name].read_bytes()
    return target, fuzz_targets.change(target, data, rng, other)


def _address_space():
    """Bytes that this process has mapped."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _where(error):
    """The last place in this project, and in all, that an exception came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(str(ROOT)) and "/tests/" not in frame.filename]
    places = dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (own[-1:] + frames[-1:]))
    return f"{type(error).__name__} at {' in '.join(places)}: {' '.join(str(error).split())[:160]}"


def _read(seed, index, targets, files):
    target, data = make_input(seed, index, targets, files)
    path = files[target.name]
    sound = path.read_bytes()
    path.write_bytes(data)
    begun = time.perf_counter()
    try:
        fuzz_targets.read(target, _folder_of(path, target))
        kind, text = "read", ""
    except Exception as error:
        if type(error).__name__ == "UserError":
            kind, text = "refused", " ".join(str(error).split())  # as it is shown
            if len(text) > 4000:
                kind, text = "traceback", f"a message of {len(text)} letters: {text[:200]}"
        else:
            kind, text = "traceback", _where(error)
    finally:
        path.write_bytes(sound)
    return Outcome(index, target.name, kind, text, time.perf_counter() - begun)


def _folder_of(path, target):
    """The folder of a target, which is named after it."""
    name = target.name.replace(" ", "_").replace("'", "")
    return next(parent for parent in path.parents if parent.name == name)


def _work(pipe, seed, names, root):
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(1, 9)  # end with the parent
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    targets = [fuzz_targets.BY_NAME[name] for name in names]
    with tempfile.TemporaryDirectory(dir=root) as folder:
        files = fuzz_targets.prepare(Path(folder))
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY,) * 2)
        pipe.send("ready")
        while (index := pipe.recv()) is not None:
            pipe.send(_read(seed, index, targets, files))


class _Worker:
    def __init__(self, seed, names, root):
        context = multiprocessing.get_context("fork")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_work, args=(end, seed, names, root), daemon=True)
        self.process.start()
        end.close()
        assert self.pipe.recv() == "ready"

    def read(self, index, target):
        """The outcome of an input; None of it is left in this worker where it ended the process."""
        begun = time.perf_counter()
        self.pipe.send(index)
        if not self.pipe.poll(SECONDS):
            self.process.kill()
            self.process.join()
            return Outcome(index, target, "hang", f"more than {SECONDS} s", time.perf_counter() - begun)
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            text = f"exit code {self.process.exitcode}"
            return Outcome(index, target, "crash", text, time.perf_counter() - begun)

    def close(self):
        if self.process.is_alive():
            with contextlib.suppress(BrokenPipeError):
                self.pipe.send(None)
            self.process.join()


def fuzz(indices, seed, names=None):
    """Read the inputs with these indices, one after the other; yields an `Outcome` for each.

    Args:
        indices: whole numbers; each is one input for good.
        seed: of all.
        names: of the targets, all by default.
    """
    names = names or [target.name for target in fuzz_targets.TARGETS]
    with tempfile.TemporaryDirectory() as root:
        worker = None
        for index in indices:
            worker = worker or _Worker(seed, names, root)
            outcome = worker.read(index, names[index % len(names)])
            if outcome.kind in ("hang", "crash"):
                worker = None
            yield outcome
        if worker:
            worker.close()


def save_input(outcome, seed, folder, names=None):
    """Write the input of an outcome below `folder`; gives its path."""
    targets = [fuzz_targets.BY_NAME[name] for name in names or fuzz_targets.BY_NAME]
    with tempfile.TemporaryDirectory() as root:
        files = fuzz_targets.prepare(Path(root))
        target, data = make_input(seed, outcome.index, targets, files)
        path = Path(folder, f"{outcome.kind}-{outcome.index}-{files[target.name].name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path


def summarise(outcomes):
    """Lines about outcomes: how many of each kind, and every other failure with its first index."""
    counts = Counter(outcome.kind for outcome in outcomes)
    lines = [f"{sum(counts.values())} inputs: " + ", ".join(f"{kind} {count}" for kind, count in counts.most_common())]
    seen = Counter()
    for outcome in outcomes:
        if outcome.kind not in PASSES:
            key = outcome.target, outcome.kind, outcome.text.partition(": ")[0]
            seen[key] += 1
            if seen[key] == 1:
                lines.append(f"  {outcome.target}, input {outcome.index}: {outcome.kind} {outcome.text}")
    lines += [f"  {count} times {', '.join(key)}" for key, count in seen.most_common() if count > 1]
    slowest = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:3]
    lines.append("slowest: " + ", ".join(f"{one.target} {one.seconds:.1f} s ({one.index})" for one in slowest))
    return lines
