"""What stands in the names of image files: natural order, words, groups of digits, times; and steps of numbers."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

DIGITS = re.compile(r"\d+")
WORD = re.compile(r"[^\W_]+")  # letters and digits
MAX_DIGITS = 300  # of a number; Python turns a few thousand into an integer at most
LONGEST_KEY = 0x10FFFF  # the largest number that a character stands for
DATE = r"(?P<year>(?:19|20)\d\d)(?P<mark>[-_.]?)(?P<month>[01]\d)(?P=mark)(?P<day>[0-3]\d)"
CLOCK = r"(?P<hour>[0-2]\d)(?P<colon>{})(?P<minute>[0-5]\d)(?P=colon)(?P<second>[0-5]\d)"
STAMPS = (
    # a day and the time of day
    re.compile(rf"(?<!\d){DATE}[-_.Tt ]*{CLOCK.format('[-_.:]?')}(?:[-_.,]?(?P<fraction>\d{{1,9}}))?(?!\d)"),
    # seconds since 1970 with a fraction
    re.compile(r"(?<!\d)(?P<epoch>1\d{9})[-_.](?P<fraction>\d{1,9})(?!\d)"),
    # a time of day with a fraction of the second
    re.compile(rf"(?<!\d){CLOCK.format('[-_.:]')}[-_.,](?P<fraction>\d{{3,9}})(?!\d)"),
    re.compile(rf"(?<!\d){CLOCK.format('')}[-_.,](?P<fraction>\d{{3,9}})(?!\d)"),
    # seconds with a fraction; a day
    re.compile(r"(?<![\d.])(?P<epoch>\d{1,9})\.(?P<fraction>\d{1,9})(?![\d.])"),
    re.compile(rf"(?<!\d){DATE}(?P<fraction>)(?!\d)"),
)
EPOCH, BARE_CLOCK = 1, 3  # of these; plain numbers may look like a bare clock
STAMP_DIGITS = 9  # of a fraction of a second that are kept
MIN_NAMES_FOR_STEP = 4  # names from which a usual step can be told
TIME_STAMP_JITTER = 0.25  # share of the usual step by which time stamps may be off and still have it


def natural_key(text: str) -> str:
    """Sort key under which `frame2` comes before `frame10`, and `01` before `1`."""
    return DIGITS.sub(_sortable, str(text))


def _sortable(digits: re.Match) -> str:
    """Digits after their count, which sorts as the number does, and before all text; then by leading zeros."""
    number = significant(digits[0])
    zeros = min(len(digits[0]) - len(number), 255)
    return f"\0{chr(min(len(number), LONGEST_KEY))}{number}{chr(255 - zeros)}"


def significant(digits: str) -> str:
    """Digits of any script as those of ASCII, without zeros in front."""
    if not digits.isascii():
        digits = "".join(str(unicodedata.decimal(digit)) for digit in digits)
    return digits.lstrip("0") or "0"


def to_number(digits: str) -> int | None:
    """The number that digits are, however many there are; None for more than `MAX_DIGITS`."""
    if len(digits) <= MAX_DIGITS:
        return int(digits)
    number = significant(digits)
    return int(number) if len(number) <= MAX_DIGITS else None


class Fields(NamedTuple):
    """A name taken apart: words of letters and digits, what stands before each, and whether that ended with a sign.

    A minus is a sign at the beginning of a name and behind a blank, `_`, `=` or `(`; it is then not among the
    separators.
    """

    words: tuple[str, ...]
    separators: tuple[str, ...]
    signs: tuple[bool, ...]


def fields_of(name: str) -> Fields:
    """Take a name apart."""
    words, separators, signs, end = [], [], [], 0
    for word in WORD.finditer(name):
        before = name[end : word.start()]
        sign = (
            before.endswith("-") and word[0][0].isdecimal() and (before[-2:-1] or ("" if end else "_")) in tuple("_ =(")
        )
        words.append(word[0])
        separators.append(before[:-1] if sign else before)
        signs.append(sign)
        end = word.end()
    return Fields(tuple(words), tuple(separators), tuple(signs))


@dataclass(frozen=True)
class DigitGroup:
    """Where in names the number stands.

    Args:
        field: position of the word, negative from the end.
        group: position of the digits among those of the word, negative from the end.
        signed: whether a minus before them counts.
    """

    field: int
    group: int
    signed: bool = False

    def read(self, name: str) -> int | None:
        """The number in a name, None where there is none."""
        words, _, signs = fields_of(name)
        try:
            number = to_number(DIGITS.findall(words[self.field])[self.group])
        except IndexError:
            return None
        return -number if number is not None and self.signed and signs[self.field] else number


def last_group(name: str) -> DigitGroup | None:
    """Where the last digits of a name stand, None without any."""
    words = fields_of(name).words
    for place in reversed(range(len(words))):
        if found := DIGITS.findall(words[place]):
            return DigitGroup(place, len(found) - 1)
    return None


@dataclass(frozen=True)
class TimeStamp:
    """The time that a pattern of `STAMPS` finds in names, in units of `10**-digits` seconds.

    `padded` fractions are decimals; others are so many units.
    """

    pattern: int
    digits: int
    padded: bool = True

    def read(self, name: str) -> int | None:
        """The time in a name, None where there is none."""
        found = STAMPS[self.pattern].search(name)
        if not found:
            return None
        parts = found.groupdict(default="0")
        try:
            if "epoch" in parts:
                seconds = int(parts["epoch"])
            else:
                day = [int(parts.get(key, first)) for key, first in (("year", "2000"), ("month", "1"), ("day", "1"))]
                clock = [int(parts.get(key, 0)) for key in ("hour", "minute", "second")]
                seconds = round((datetime(*day, *clock) - datetime(1970, 1, 1)).total_seconds())
        except ValueError:  # no such day or hour
            return None
        fraction = parts["fraction"].ljust(STAMP_DIGITS if self.padded else 0, "0")
        return seconds * 10**self.digits + int(fraction[: self.digits] or 0)


def find_stamp(names: list[str]) -> TimeStamp | None:
    """The pattern of time stamps that all names hold, in units of the finest of them, at least milliseconds."""
    for pattern, expression in enumerate(STAMPS):
        if expression.search(names[0]) and None not in map(TimeStamp(pattern, 3).read, names):
            lengths = {len(expression.search(name)["fraction"] or "") for name in names}
            padded = pattern != EPOCH or len(lengths) == 1
            return TimeStamp(pattern, max(3, *lengths) if padded else -(-max(3, *lengths) // 3) * 3, padded)
    return None


@dataclass
class Column:
    """What stands at one place of all names: `numbers`, or without any words.

    Args:
        texts: as they stand there.
        numbers: what they mean.
        reader: of these numbers.
        place: orders the columns from left to right.
        weak: the digits are at the end of words that differ in letters, and may be part of a hash.
    """

    texts: list[str]
    numbers: list[int] = field(default_factory=list)
    reader: DigitGroup | TimeStamp | None = None
    place: int = 0
    weak: bool = False

    @property
    def kinds(self) -> int:
        """How many different values there are."""
        return len(set(self.numbers or self.texts))


def read_quickly(names: list[str]) -> tuple[DigitGroup, list[int]] | None:
    """Where names differ in one group of digits only, the place of this group and its numbers; times are others."""
    start = len(os.path.commonprefix([min(names), max(names)]))
    backward = [name[::-1] for name in names]
    end = len(os.path.commonprefix([min(backward), max(backward)]))
    first = names[0]
    while start and first[start - 1].isdecimal():
        start -= 1
    while end and first[-end].isdecimal():
        end -= 1
    inner = [name[start : len(name) - end] for name in names]
    if not all(map(str.isdecimal, inner)) or find_stamp(names[:1]):
        return None
    numbers = [to_number(digits) for digits in inner]
    if None in numbers:
        return None
    words = WORD.findall(first[:start])
    begun = words.pop() if words and first[start - 1] not in "_" and first[start - 1].isalnum() else ""
    return DigitGroup(len(words), len(DIGITS.findall(begun))), numbers


def columns_of(names: list[str]) -> Iterator[Column]:
    """What stands at the places that all names have, counted from the left, and where they differ, from the right."""
    fields = [fields_of(name) for name in names]
    if stamp := find_stamp(names):
        yield Column([""] * len(names), list(map(stamp.read, names)), stamp, 10**6)
    shapes = {separators for _, separators, _ in fields}
    shortest = min(map(len, shapes))
    if len(shapes) == 1:
        places: list[int] = list(range(shortest))
    else:
        left = next((i for i in range(shortest) if len({shape[i] for shape in shapes}) > 1), shortest)
        right = next((i for i in range(1, shortest + 1) if len({shape[-i] for shape in shapes}) > 1), shortest + 1)
        places = [*range(left), *(-i for i in range(1, max(2, right)) if shortest)]
    for place in places:
        signs = [item.signs[place] for item in fields]
        words = [item.words[place] for item in fields]
        order = place if place >= 0 else 10**3 + place
        yield from _split_words(words, signs, place, order)


def _split_words(words: list[str], signs: list[bool], place: int, order: int) -> Iterator[Column]:
    """The columns of one field: groups of digits where letters are the same in all words, else words."""
    signed = len(set(signs)) > 1
    patterns = {DIGITS.sub("0", word) for word in words}
    if len(patterns) == 1:
        for group in range(next(iter(patterns)).count("0")):
            yield from _numbers(words, signs, DigitGroup(place, group, signed), order * 10 + group)
        return
    heads = [word.rstrip("0123456789") for word in words]
    if all(len(head) < len(word) for head, word in zip(heads, words, strict=True)):
        yield from _numbers(words, signs, DigitGroup(place, -1, signed), order * 10 + 1, weak=True)
        yield Column(heads, place=order * 10)
    else:
        if all(word[0].isdecimal() for word in words):
            yield from _numbers(words, signs, DigitGroup(place, 0, signed), order * 10 + 1, weak=True)
        yield Column(words, place=order * 10)


def _numbers(
    words: list[str], signs: list[bool], reader: DigitGroup, place: int, weak: bool = False
) -> Iterator[Column]:
    digits = [DIGITS.findall(word)[reader.group] for word in words]
    numbers = [to_number(text) for text in digits]
    if None in numbers:
        yield Column(words, place=place)
        return
    if reader.signed:
        numbers = [-number if sign else number for number, sign in zip(numbers, signs, strict=True)]
    if len(set(numbers)) > 1:
        yield Column(words, numbers, reader, place, weak)


def usual_step(numbers: Sequence[int]) -> int | None:
    """By how much numbers ascend from one frame to the next, up to some jitter.

    It is 1, or 40 for time stamps in milliseconds.

    Args:
        numbers: of a sequence's files, ascending.

    Returns:
        The median difference where most are about that, else None; None also for fewer than `MIN_NAMES_FOR_STEP`
        numbers.
    """
    if len(numbers) < MIN_NAMES_FOR_STEP:
        return None
    step, near = median_step(np.diff(np.array(numbers)))
    return step if 2 * near > len(numbers) - 1 else None


def median_step(steps: np.ndarray) -> tuple[int, int]:
    """The lower median of some differences, and how many are about that."""
    step = int(np.sort(steps)[(len(steps) - 1) // 2])
    return step, int((abs(steps - step) <= TIME_STAMP_JITTER * step).sum())


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
