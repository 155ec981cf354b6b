"""Changed inputs for every reader: `python -m tests.fuzz --count 20000` says which are neither read nor refused.

Each is read in a process that has ten seconds and 2 GiB; a pass is that it is read, or refused in one line.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from fuzz_targets import BY_NAME  # noqa: E402 - the path of the helpers must be known
from fuzzing import PASSES, fuzz, save_input, summarise  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="inputs (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: %(default)s)")
    parser.add_argument("--step", type=int, default=1, help="every so many numbers, for several runs side by side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="+", choices=BY_NAME, help="only these (numbers then mean other inputs)")
    parser.add_argument("--keep", metavar="FOLDER", help="for the inputs that are neither read nor refused")
    given = parser.parse_args()
    outcomes = []
    numbers = range(given.first, given.first + given.count * given.step, given.step)
    for outcome in fuzz(numbers, given.seed, given.targets):
        outcomes.append(outcome)
        if outcome.kind not in PASSES:
            path = save_input(outcome, given.seed, given.keep, given.targets) if given.keep else ""
            print(f"{outcome.target}, input {outcome.index}: {outcome.kind} {outcome.text} {path}", flush=True)
    print("\n".join(summarise(outcomes)))
    sys.exit(any(outcome.kind not in PASSES for outcome in outcomes))


if __name__ == "__main__":
    main()
