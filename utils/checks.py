"""Is this dataset sound? `python -m utils.checks --data-root X` prints one line for each problem."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.layouts import check_root
from utils.datasets.problems import CollectingReport
from utils.datasets.quick_check import DECODING_THREADS, FrameCheck, inspect, mask_paths, tell_colours
from utils.images.frame_names import natural_key
from utils.images.masks.meaning import (
    IGNORE_HELP,
    IgnoreChoice,
    look_over_masks,
    parse_ignore_value,
)
from utils.system.command_line import Parser
from utils.system.errors import UserError, user_errors
from utils.system.packages.late import tqdm


def check(
    root: str, split: str = "all", need: str = "labels", quiet: bool = False, ignore: IgnoreChoice = None
) -> tuple[list[str], list[str], str]:
    """Look at every file of a dataset.

    Args:
        root: the dataset's folder.
        split: "train", "test" or "all", see `utils.datasets.open_dataset`.
        need: the labels that every frame must have, see there.
        quiet: no progress bar.
        ignore: as of `utils.images.masks.meaning.look_over_masks`.

    Returns:
        Problems, hints (which are no problems), and a line of figures, empty where no frame could be listed.

    Raises:
        UserError: `root` is no dataset's folder.
    """
    check_root(root)
    report = CollectingReport()
    try:
        dataset = open_dataset(root, split, need, report)
    except UserError as error:
        report.add_broken(error)
        return report.lines, [], ""
    with contextlib.suppress(UserError):  # which the frame's own line tells
        tell_colours(dataset)
    meaning = look_over_masks(mask_paths(dataset), ignore)
    with ThreadPoolExecutor(DECODING_THREADS) as pool:
        bar = tqdm.tqdm(
            pool.map(partial(inspect, meaning=meaning), dataset.frames),
            total=len(dataset.frames),
            desc="checking",
            unit="frame",
            disable=quiet,
            dynamic_ncols=True,
        )
        checks = list(bar)
    problems = report.lines + [line for item in checks for line in item.problems]
    hints = [line for item in checks for line in item.hints]
    if meaning.problem:
        problems.append(f"{root}: {meaning.problem}")
    if meaning.note and not meaning.problem:
        (hints if meaning.labels else problems).append(f"{root}: {meaning.note}")
    problems += _find_splits_without_targets(dataset, checks)
    return problems, hints, _summary(dataset, checks)


def _find_splits_without_targets(dataset: Dataset, checks: Sequence[FrameCheck]) -> list[str]:
    """A line for the whole, or for the training split, where not one frame holds a target."""
    held = {frame.image for frame, found in zip(dataset.frames, checks, strict=True) if found.targets}
    if not held:
        return [f"{dataset.root}: none of the {len(checks)} frames holds a target; correct the labels"]
    if dataset.split != "all":
        return []
    try:
        training = open_dataset(dataset.root, "train", "images", CollectingReport()).frames
    except UserError:  # there is no such split
        return []
    if any(frame.image in held for frame in training):
        return []
    return [f"{dataset.root}: none of the {len(training)} training frames holds a target; correct the labels"]


def _summary(dataset: Dataset, checks: Sequence[FrameCheck]) -> str:
    sizes = Counter(f"{item.size[1]}x{item.size[0]}" for item in checks if item.size)
    ordered = sorted(sizes.items(), key=lambda pair: (-pair[1], natural_key(pair[0])))
    shown = [f"{size} ({count})" for size, count in ordered]
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    bits = " and ".join(str(number) for number in sorted({item.bits for item in checks if item.bits}))
    empty = sum(not item.targets for item in checks)
    return (
        f"{dataset.name} ({dataset.layout}{', recognised' if dataset.recognised else ''}), {dataset.split}: "
        f"{len(dataset.sequences)} sequences, {len(checks)} frames, {sum(item.targets for item in checks)} targets "
        f"({empty} frames without), sizes (w x h) {', '.join(shown[:5])}{more}, {bits} bit"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0 sound, 1 problems."""
    parser = Parser(prog="python -m utils.checks", description="Is this dataset sound?")
    parser.add_argument("--data-root", required=True, help="dataset folder")
    parser.add_argument("--split", choices=("train", "test", "all"), default="all", help="default: all")
    parser.add_argument(
        "--need",
        choices=("masks", "boxes", "labels", "images"),
        default="labels",
        help="labels that every frame must have (default: those that the dataset has)",
    )
    parser.add_argument("--ignore-value", type=parse_ignore_value, metavar="N", help=IGNORE_HELP)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(argv)
    problems, hints, summary = check(given.data_root, given.split, given.need, given.quiet, given.ignore_value)
    problems = list(dict.fromkeys(" ".join(line.split()) for line in problems))
    for line in [*problems, *(f"hint: {hint}" for hint in hints)]:
        print(line)
    verdict = "sound"
    if problems:
        verdict = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    print(f"{verdict}: {summary}" if summary else verdict)
    return 1 if problems else 0


if __name__ == "__main__":
    with user_errors():
        sys.exit(main())
