"""The order of a sequence's image files and the numbers of its frames, both told from the files' names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import median_low


def natural_key(text: str) -> str:
    """Sort key under which `frame2` comes before `frame10`, and `01` before `1`."""
    return re.sub(r"\d+", _sortable, str(text))


def _sortable(digits: re.Match) -> str:
    """Digits after their count, which sorts as the number does, and before all text; then by leading zeros."""
    number = str(int(digits[0]))
    return f"\0{chr(len(number))}{number}{chr(255 - min(len(digits[0]) - len(number), 255))}"


def frame_numbers(names: Sequence[str]) -> list[int] | None:
    """Frame numbers of one sequence's file names: the last number in each; None where one has none or two agree."""
    found = [re.findall(r"\d+", name) for name in names]
    numbers = [int(digits[-1]) for digits in found if digits]
    return numbers if len(set(numbers)) == len(names) else None


MIN_NAMES_FOR_STEP = 4  # names from which a usual step can be told
TIME_STAMP_JITTER = 0.25  # share of the usual step by which time stamps may be off and still have it


def name_pattern(name: str) -> str:
    """A name with its digits left out: what a recorder's names have in common."""
    return re.sub(r"\d+", "0", name)


def order_names(names: Sequence[str]) -> list[str]:
    """File names in the order of their frames.

    In natural order, which time stamps need as a whole; those that differ in more than digits by their last numbers,
    as in `utils.datasets.sequences`, where these differ.
    """
    names = sorted(names, key=natural_key)
    numbers = frame_numbers(names)
    if numbers is None or len(set(map(name_pattern, names))) == 1:
        return names
    return [name for _, name in sorted(zip(numbers, names, strict=True))]


def ascending_numbers(names: Sequence[str]) -> list[int] | None:
    """The last number in each of the names, which `order_names` has ordered, where these ascend, else None.

    Else positions count, since numbers that stay or fall are sizes, exposures or parts of a second.
    """
    numbers = frame_numbers(names)
    return numbers if numbers == sorted(numbers or ()) else None


def usual_step(numbers: Sequence[int]) -> int | None:
    """By how much numbers ascend from one frame to the next, up to some jitter.

    It is 1, or 40 for time stamps in milliseconds.

    Args:
        numbers: of a sequence's files, ascending.

    Returns:
        The median difference where most are about that, else None; None also for fewer than `MIN_NAMES_FOR_STEP`
        numbers.
    """
    steps = [after - before for before, after in pairwise(numbers)]
    if len(numbers) < MIN_NAMES_FOR_STEP:
        return None
    step = median_low(steps)
    near = sum(abs(one - step) <= TIME_STAMP_JITTER * step for one in steps)
    return step if 2 * near > len(steps) else None


def frames_between(before: int, after: int, step: int) -> int:
    """How many frames on a file is, 1 or more; more than 1 is a gap."""
    return max(1, round((after - before) / step))


def count_steps(numbers: Sequence[int]) -> list[int]:
    """Numbers as they are, or where their usual step is more than 1, frames counted from 0, gaps included."""
    step = usual_step(numbers) or 1
    if step == 1:
        return list(numbers)
    return list(accumulate((frames_between(*pair, step) for pair in pairwise(numbers)), initial=0))


def never_consecutive(numbers: Sequence[int]) -> bool:
    """Whether no two of a sequence's ascending numbers, of which there are two or more, are consecutive.

    Every clip is then one frame again and again.
    """
    return len(numbers) > 1 and all(after - before > 1 for before, after in pairwise(numbers))


def describe_steps(numbers: Sequence[int]) -> str:
    """What is to be said about the numbers of a sequence's files, empty where nothing is."""
    step = usual_step(numbers)
    if step is None:
        lonely = len(numbers) >= MIN_NAMES_FOR_STEP and never_consecutive(numbers)
        return (
            (
                "the numbers of the frames are irregular and never consecutive, so that every clip is one frame again "
                "and again and no motion is seen; number the frames one after the other"
            )
            if lonely
            else ""
        )
    if step == 1:
        return ""
    gaps = sum(after - before > 1 for before, after in pairwise(count_steps(numbers)))
    left = f"; gaps that are left: {gaps}" if gaps else ""
    return f"the numbers of the frames are {step} apart, which counts as from one frame to the next{left}"
