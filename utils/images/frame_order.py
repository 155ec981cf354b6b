"""The order of image files and the numbers of their frames, told from all of their names; videos are told apart.

Which digits of the names number the frames is decided by looking at all of them: those that ascend by a usual step. A
time of day counts as one number, and words of letters and digits that are different in every name, as hashes are, count
as none. Where such numbers repeat, or a word before them changes once from one part of the names to the next, the
names are of several videos, and each is a sequence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from utils.images.frame_names import (
    BARE_CLOCK,
    DIGITS,
    MIN_NAMES_FOR_STEP,
    Column,
    DigitGroup,
    TimeStamp,
    columns_of,
    count_steps,
    describe_steps,
    last_group,
    median_step,
    natural_key,
    read_quickly,
    usual_step,
)

LARGEST_NUMBER = 2**62  # of a frame; larger ones, such as nanoseconds with a date, count from the first on
MIN_REGULAR = 0.75  # share of usual steps from which digits number the frames whatever other digits do


@dataclass(frozen=True)
class FrameSequence:
    """Frames of one video.

    Args:
        label: what of the names tells it from others among them, empty where all names are of one video.
        indices: places of its names among those given, in the order of the frames.
        own_numbers: ascending, those in the names where these order the frames, times from the first on, else positions
            from 0.
        numbers: of the frames, ascending by 1 from one to the next, and by more over a gap.
        said: what a user should know about the numbers, empty where there is nothing.
    """

    label: str
    indices: tuple[int, ...]
    own_numbers: tuple[int, ...]
    numbers: tuple[int, ...]
    said: str = ""


@dataclass(frozen=True)
class FrameOrder:
    """All frames of a folder.

    Args:
        sequences: in natural order of their labels; one, except where names are of several videos.
        said: what a user should know about how the names were understood, empty where they leave no doubt.
        reader: of the number in a name, None where positions count, or there are several sequences.
    """

    sequences: tuple[FrameSequence, ...]
    said: str = ""
    reader: DigitGroup | TimeStamp | None = None


@dataclass
class Reading:
    """One way to understand the names: the numbers of `column` order the frames, apart for each text of `labels`.

    Args:
        groups: numbers and places of the names, ascending, by label.
        regular: steps that are about the usual one.
        step: the usual one.
        consistent: digits before the column that repeat ascend with it.
    """

    column: Column
    labels: tuple[Column, ...]
    groups: dict[tuple[str, ...], list[tuple[int, int]]]
    regular: int
    step: int
    consistent: bool

    def order(self) -> list[int]:
        """Places of the names in order, group by group."""
        return [index for pairs in self.groups.values() for _, index in pairs]


def order_frames(names: Sequence[str]) -> FrameOrder:
    """Find the order of files by their names.

    Args:
        names: of images in one folder, without their endings, in any order.

    Returns:
        The same for every order of the names.
    """
    names = list(names)
    if not names:
        return FrameOrder(())
    if len(names) == 1:
        group = last_group(names[0])
        number = group.read(names[0]) if group else None
        return FrameOrder((_sequence("", [(number or 0, 0)]),), reader=group)
    quick = read_quickly(names)
    if quick and len(set(quick[1])) == len(names):
        return FrameOrder((_sequence("", sorted(zip(quick[1], range(len(names)), strict=True))),), reader=quick[0])
    columns = sorted(columns_of(names), key=lambda column: column.place)
    reading, said = _choose(columns, names)
    if reading is None:
        order = sorted(range(len(names)), key=lambda index: natural_key(names[index]))
        return FrameOrder((_sequence("", list(enumerate(order))),), said)
    stamp = reading.column.reader if isinstance(reading.column.reader, TimeStamp) else None
    found = [
        _sequence("_".join(label), pairs, stamp)
        for label, pairs in sorted(reading.groups.items(), key=lambda item: natural_key("_".join(item[0])))
    ]
    return FrameOrder(tuple(found), said, reading.column.reader if len(found) == 1 else None)


def _sequence(label: str, pairs: list[tuple[int, int]], stamp: TimeStamp | None = None) -> FrameSequence:
    """A sequence of (number, place) in ascending order; irregular times do not count."""
    own = [number for number, _ in pairs]
    said = describe_steps(own)
    if stamp and usual_step(own) is None:
        own, said = list(range(len(pairs))), "the time stamps of the frames are irregular, and frames count one by one"
    if stamp or max(map(abs, own)) >= LARGEST_NUMBER:
        own = [number - own[0] for number in own]
    if own[-1] >= LARGEST_NUMBER:
        own, said = list(range(len(pairs))), "the numbers of the frames are too large, and frames count one by one"
    numbers = count_steps(own)
    if stamp:
        unit = {3: "ms", 6: "µs", 9: "ns"}.get(stamp.digits, f"10^-{stamp.digits} s")
        said = said.replace("numbers of", "time stamps of").replace(" apart", f" {unit} apart")
    return FrameSequence(label, tuple(index for _, index in pairs), tuple(own), tuple(numbers), said)


def _choose(columns: list[Column], names: list[str]) -> tuple[Reading | None, str]:
    """How the names are to be understood, None for their natural order; and what is to be said about it."""
    numbered = [column for column in columns if column.numbers]
    singles = [reading for column in numbered if (reading := _read(column, (), columns))]
    sound = [item for item in singles if _is_regular(item, MIN_REGULAR, len(names))]
    sound += [item for item in singles if item.consistent and not item.column.weak and item not in sound]
    singles = sound or singles
    best = max(singles, key=_rank, default=None)
    several = _tell_videos_apart(columns, numbered, names)
    if best:
        if words := _block_of_words(best, columns):
            return _say_videos(_read(best.column, (words,), columns), names)
        beyond = several is None or best.regular > several.regular
        clock = isinstance(best.column.reader, TimeStamp) and best.column.reader.pattern == BARE_CLOCK and several
        if several and several.regular >= best.regular and _are_apart(several, columns):
            return _say_videos(several, names)
        if (best.consistent and not clock) or (beyond and (best.consistent or _is_regular(best, 0.5, len(names)))):
            return best, _say_doubt(best, singles, names)
    if several:
        return _say_videos(several, names)
    return None, _say_no_order(columns, numbered, names)


def _read(column: Column, labels: tuple[Column, ...], columns: list[Column]) -> Reading | None:
    """The reading, None where two names of one label have the same number."""
    groups: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for index, number in enumerate(column.numbers):
        groups.setdefault(tuple(label.texts[index] for label in labels), []).append((number, index))
    for pairs in groups.values():
        pairs.sort()
    steps = [after - before for pairs in groups.values() for (before, _), (after, _) in pairwise(pairs)]
    if 0 in steps:
        return None
    step, regular = median_step(np.array(steps)) if steps else (0, 0)
    order = [index for pairs in groups.values() for _, index in pairs]
    before = [item for item in columns if item.numbers and item.place < column.place and item.kinds < len(order)]
    consistent = isinstance(column.reader, TimeStamp) or all(
        item.numbers[a] <= item.numbers[b] for item in before for a, b in pairwise(order)
    )
    return Reading(column, labels, groups, regular, step, consistent)


def _rank(reading: Reading) -> tuple:
    """The larger, the better a reading of one sequence is."""
    counts, timed = reading.step == 1, isinstance(reading.column.reader, TimeStamp)
    return reading.regular, reading.consistent, counts, counts != timed, reading.column.place


def _is_regular(reading: Reading, share: float, count: int) -> bool:
    """Whether that share of the steps is about the usual one."""
    return count >= MIN_NAMES_FOR_STEP and reading.regular >= share * (count - len(reading.groups))


def _are_apart(several: Reading, columns: list[Column]) -> bool:
    """Whether what stands before the numbers, and no times, tells videos apart between which numbers leave a gap."""
    timed = any(isinstance(column.reader, TimeStamp) for column in columns)
    return not timed and all(label.place < several.column.place for label in several.labels)


def _block_of_words(reading: Reading, columns: list[Column]) -> Column | None:
    """Words before the number that change only where one video ends and the next begins."""
    order = reading.order()
    for column in columns:
        if column.numbers or column.place > reading.column.place or 2 * column.kinds > len(order):
            continue
        blocks = [len(list(block)) for _, block in groupby(order, key=lambda index: column.texts[index])]
        if 1 < len(blocks) == column.kinds and min(blocks) > 1:
            return column
    return None


def _tell_videos_apart(columns: list[Column], numbered: list[Column], names: list[str]) -> Reading | None:
    """The best reading of several sequences: of most usual steps, then of fewest videos, told apart by words."""
    labels = [column for column in columns if 1 < 2 * column.kinds <= len(names) and any(column.texts)]
    found = []
    for column in numbered:
        others = [label for label in labels if label is not column]
        before = [label for label in others if label.place < column.place]
        choices = (
            [(label,) for label in others] + [tuple(before[:n]) for n in range(2, len(before) + 1)] + [tuple(others)]
        )
        found += [reading for choice in choices if choice and (reading := _read(column, choice, columns))]
    found = [
        reading
        for reading in found
        if 2 * len(reading.groups) <= len(names) and 2 * reading.regular >= len(names) - len(reading.groups)
    ]
    return max(
        found,
        key=lambda item: (
            item.regular,
            -len(item.groups),
            -sum(bool(label.numbers) for label in item.labels),
            item.step == 1,
            all(label.place < item.column.place for label in item.labels),
            item.column.place,
        ),
        default=None,
    )


def _say_videos(reading: Reading, names: list[str]) -> tuple[Reading, str]:
    labels = sorted(map("_".join, reading.groups), key=natural_key)
    shown = ", ".join(labels[:3]) + (", …" if len(labels) > 3 else "")
    return reading, (
        f"the names are of {len(labels)} sequences, told apart by {shown}, each with numbers of its own; put each into "
        "a folder of its own if that is wrong"
    )


def _say_doubt(best: Reading, singles: list[Reading], names: list[str]) -> str:
    """That another group of digits would give another order, empty where it would not, or is irregular."""
    others = [
        item
        for item in singles
        if item is not best
        and not item.column.weak
        and item.consistent
        and item.order() != best.order()
        and (item.regular >= best.regular or _is_regular(item, 0.5, len(names)))
    ]
    if not others:
        return ""
    first = best.order()[0]
    number, other = best.column.numbers[first], others[0].column.numbers[first]
    return (
        f"more than one group of digits in the names could number the frames; the one that is {number} in "
        f"{names[first][:80]} does, not {other}; name the frames by one number if that is wrong"
    )


def _say_no_order(columns: list[Column], numbered: list[Column], names: list[str]) -> str:
    """Why the natural order of the names counts, empty where they hold nothing that looks like numbers."""
    first = min(names, key=natural_key)[:80]
    if numbered:
        column = max(numbered, key=lambda item: item.kinds)
        twice = min((number for number, count in Counter(column.numbers).items() if count > 1), default=None)
        why = "such as" if twice is None else f"{twice} stands in several names such as"
        return (
            f"no group of digits numbers the frames ({why} {first}), and the natural "
            "order of the names counts; number the frames one after the other"
        )
    if any(not column.numbers and column.kinds == len(names) and _is_random(column.texts) for column in columns):
        return (
            f"the names tell no order ({first}, …), and their natural order counts; number the frames one after the "
            "other"
        )
    digits = [tuple(DIGITS.findall(name)) for name in names]
    if 2 * sum(map(bool, digits)) > len(names) and len(set(digits)) > 1:
        last = max(names, key=natural_key)[:80]
        return (
            f"the names have no group of digits in common ({first}, {last}, …), and their natural order counts; number "
            "the frames one after the other"
        )
    return ""


def _is_random(texts: list[str]) -> bool:
    """Whether words mix letters and digits as hashes do."""
    mixed = [any(map(str.isdecimal, text)) and any(map(str.isalpha, text)) for text in texts]
    return sum(mixed) > len(texts) / 2
