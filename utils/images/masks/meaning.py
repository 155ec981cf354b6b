"""What the values of a dataset's masks mean: decided once for the whole dataset, over all of its masks."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from utils.images.masks.facts import FULL_SCALES, MaskFacts, look_at_mask
from utils.images.masks.values import MaskRule
from utils.system.errors import UserError

NOTHING_IGNORED = "none"  # instead of an ignored value: every value has its meaning
IgnoreChoice = int | Literal["none"] | None  # a value, NOTHING_IGNORED, or None where nobody said
READING_THREADS = 8  # decoding waits for the disk and runs outside the interpreter's lock
MAX_SMALL_SHARE = 0.25  # of the full scale, up to which values are label numbers beside it
MAX_NOISE_SHARE = 1 / 16  # of the full scale, up to which they may be noise as well
MIN_BLURRED_VALUE = 64  # a largest value below which no target is taken for blurred
MIN_SHOULDER_SHARE = 0.5  # of the pixels below the largest value: blurred edges touch higher values, labels do not
MIN_RIM_SHARE = 0.25  # of the largest value's pixels, from which on it surrounds other values
MOSTLY = 0.5  # share of a mask's pixels beyond which it is taken for inverted
MAX_NAMED_VALUES = 6
IGNORE_HELP = (
    "value of mask pixels that are neither targets nor false alarms, such as 255 in Pascal VOC; none: there is no such "
    "value (default: none, and masks that look as if they had one are refused)"
)


def parse_ignore_value(text: str) -> IgnoreChoice:
    """`type=` of the option --ignore-value: a whole number, or none."""
    if text.strip().lower() == NOTHING_IGNORED:
        return NOTHING_IGNORED
    try:
        value = int(text)
    except ValueError:  # also of thousands of digits
        value = None
    if value is None or not -(2**31) <= value < 2**31:
        raise ArgumentTypeError(f"found '{text[:60]}', expected a value of the masks such as 255, or none")
    return value


def choose_ignored(text: str) -> IgnoreChoice:
    """`parse_ignore_value` of a setting, which is empty where nobody said.

    Raises:
        UserError: it is neither a whole number nor none.
    """
    try:
        return parse_ignore_value(text) if text else None
    except ArgumentTypeError as error:
        raise UserError(f"--ignore-value: {error}") from None


@dataclass(frozen=True)
class MaskMeaning:
    """How a dataset's masks are read, and what there is to say about them.

    Args:
        rule: which values are targets.
        masks, holding: how many masks were looked at, and how many of them hold a target.
        note: which values there are and how they count, where that is not plain.
        labels: the note is about labels that are targets all, which is sound.
        warnings: a line each.
        problem: why the masks cannot be used, "" where they can.
        faint, mostly: masks whose values are all too low to be targets, and masks that are mostly target.
    """

    rule: MaskRule = MaskRule()
    masks: int = 0
    holding: int = 0
    note: str = ""
    labels: bool = False
    warnings: tuple[str, ...] = ()
    problem: str = ""
    faint: tuple[str, ...] = ()
    mostly: tuple[str, ...] = ()

    def say(self) -> list[str]:
        """All that there is to say, a line each, the problem first."""
        empty = [f"none of {self.masks} holds a target"] if self.masks and not self.holding else []
        return [*([self.problem] if self.problem else []), *empty, *self.warnings]


class _Census:
    """The values of many masks: pixels, shoulders and files of each, and where the largest value lies."""

    def __init__(self, facts: Sequence[MaskFacts], alpha: bool) -> None:
        self.planes = [item.plane(alpha) for item in facts]
        held = [item for item, plane in zip(facts, self.planes, strict=True) if plane.largest]
        self.indexed = bool(held) and not alpha and all(item.indexed for item in held)
        self.lossy = any(item.lossy for item in held)
        self.fractions = any(plane.fractions for plane in self.planes)
        self.pixels: Counter[float] = Counter()
        self.shoulders: Counter[float] = Counter()
        for plane in self.planes:
            for value, pixels, shoulders in zip(plane.values, plane.pixels, plane.shoulders, strict=True):
                self.pixels[float(value)] += int(pixels)
                self.shoulders[float(value)] += int(shoulders)
        self.values = sorted(self.pixels)
        self.top = self.values[-1] if self.values else 0.0
        self.outlined = sum(plane.outlined for plane in self.planes if plane.largest == self.top)

    @property
    def small_beside_full(self) -> bool:
        """Whether there are the full scale and values far below it, and none between."""
        return len(self.values) > 1 and self.top in FULL_SCALES and self.values[-2] <= MAX_SMALL_SHARE * self.top

    @property
    def noisy(self) -> bool:
        """Whether there are the full scale and values so far below it that they may be noise, and none between."""
        return self.small_beside_full and self.values[-2] <= MAX_NOISE_SHARE * self.top

    @property
    def blurred(self) -> bool:
        """Whether values between 0 and the largest one are edges of targets, not labels."""
        if self.fractions:
            return True
        between = sum(self.pixels.values()) - self.pixels[self.top]
        if self.indexed or not between or self.top < MIN_BLURRED_VALUE:
            return False
        shoulders = sum(self.shoulders.values())
        return self.lossy or shoulders >= MIN_SHOULDER_SHARE * between

    def doubt(self, paths: Sequence[str]) -> str:
        """Why the largest value may be none of a target's, beside small values; "" where nothing says so."""
        with_top = {path for path, plane in zip(paths, self.planes, strict=True) if plane.largest == self.top}
        small = {path for path, plane in zip(paths, self.planes, strict=True) if 0 < plane.largest < self.top}
        mixed = [plane for plane in self.planes if plane.largest == self.top and len(plane.values) > 1]
        if self.outlined or sum(plane.rim_pixels for plane in mixed) >= MIN_RIM_SHARE * max(
            sum(plane.top_pixels for plane in mixed), 1
        ):
            return f"{self.top:g} forms a border"
        if self.indexed:
            return "they are indices of a palette"
        if not self.noisy:
            return ""
        between = sum(self.pixels.values()) - self.pixels[self.top]
        if len(mixed) > len(with_top) / 2 and sum(self.shoulders.values()) < MIN_SHOULDER_SHARE * between:
            return f"most masks hold small values apart from {self.top:g}"
        folders = [{os.path.dirname(path) for path in group} for group in (small, with_top)]
        if apart := sorted(folders[0] - folders[1]):
            return f"{apart[0]} has small values alone"
        return f"more masks hold small values alone than {self.top:g}" if len(small) > len(with_top) else ""

    def name_values(self) -> str:
        """The values for people, `0, 1, 2 and 255`."""
        names = [f"{value:g}" for value in (0.0, *self.values)]
        if len(names) > MAX_NAMED_VALUES:
            names = [*names[: MAX_NAMED_VALUES - 2], "…", names[-1]]
        return f"{', '.join(names[:-1])} and {names[-1]}"


def decide(paths: Sequence[str], facts: Sequence[MaskFacts], ignore: IgnoreChoice = None) -> MaskMeaning:
    """Decide what the values of a dataset's masks mean.

    - Colours tell; where all masks with an alpha channel have one colour and alpha varies, alpha does.
    - Few labels (indices of a palette, numbers, ids): every value above 0 is target. Values between 0 and the
      largest one are labels where less than half of their pixels touch a higher value, or the largest is below 64.
    - Else they are the edges of blurred targets, and what exceeds half of the dataset's largest value is target.
    - The full scale (255, 65535) beside values of at most a quarter of it, and none between: where it forms a border
      it may be what Pascal VOC ignores, which is a problem; values of at most a sixteenth are noise, which is said,
      or where they are in too many places a problem (see `_Census.doubt`); others are labels.

    Args:
        paths: of all masks.
        facts: of each, with the ignored value left out where one is given.
        ignore: the choice of the user.
    """
    value = ignore if isinstance(ignore, int) else None
    alpha = _alpha_tells(facts)
    census = _Census(facts, alpha)
    rule, note, problem, labels = MaskRule(0.0, alpha, value), "", "", False
    warnings: list[str] = []
    if value is not None and not any(plane.ignored for plane in census.planes):
        warnings.append(f"--ignore-value {value}: none of {len(paths)} masks holds this value")
    if alpha:
        warnings.append("masks have one colour all over: their alpha channel marks the targets")
    doubt = census.doubt(paths) if census.small_beside_full else ""
    if doubt or census.noisy:
        problem = doubt if ignore is None else ""
        problem = problem and (
            f"masks hold the values {census.name_values()}, and {problem}: whether {census.top:g} is a target cannot "
            f"be told; give --ignore-value {census.top:g} where its pixels are neither targets nor background, "
            f"--ignore-value none where it marks the targets and smaller values are noise, or write all masks alike"
        )
        rule = replace(rule, above=census.top / 2)
        note = (
            f"masks hold the values {census.name_values()}: {census.top:g} counts as target, values far below it do "
            f"not; if those are labels, give --ignore-value {census.top:g}"
        )
    elif census.blurred:
        rule = replace(rule, above=census.top / 2)
        if 2 < len(census.values) + 1 <= MAX_NAMED_VALUES:
            note = (
                f"masks hold the values {census.name_values()}: those above {rule.above:g} count as target; "
                "--ignore-value N leaves the value N out"
            )
    elif len(census.values) > 1:
        labels = True
        note = f"masks hold the values {census.name_values()}: every value above 0 counts as target"
        if census.top in FULL_SCALES:
            note += f"; --ignore-value {census.top:g} leaves {census.top:g} out"
    elif census.outlined and ignore is None:
        note = (
            f"{census.top:g} forms a border along the edge of {census.outlined} masks, and counts as target; "
            f"--ignore-value {census.top:g} leaves it out"
        )
    warnings += [note] if note else []
    found = MaskMeaning(rule, note=note, labels=labels, warnings=tuple(warnings), problem=problem)
    return _judge_files(paths, census, found)


def _alpha_tells(facts: Sequence[MaskFacts]) -> bool:
    """Whether colours are the same all over where there is an alpha channel, which is not."""
    clear = [item for item in facts if item.alpha is not None]
    colours, alphas = (
        {end for item in clear for end in (plane(item).low, plane(item).high)}
        for plane in (lambda item: item.colour, lambda item: item.alpha)
    )
    return len(colours) == 1 and len(alphas) > 1


def _judge_files(paths: Sequence[str], census: _Census, found: MaskMeaning) -> MaskMeaning:
    """Which masks are faint, which mostly target, and how many hold a target, by the rule that was `found`."""
    above = found.rule.above
    faint, mostly, holding = [], [], 0
    for path, plane in zip(paths, census.planes, strict=True):
        if plane.largest > above:
            holding += 1
            if (plane.share if above == 0 else plane.upper_share) > MOSTLY:
                mostly.append(path)
        elif plane.largest:
            faint.append(path)
    warnings, problem = list(found.warnings), found.problem
    if faint:
        worst = max(plane.largest for plane in census.planes if plane.largest <= above)
        warnings.append(
            f"{len(faint)} masks hold faint values alone, at most {worst:g} where others have {census.top:g}, the "
            f"first {faint[0]}; they count as masks without a target"
        )
    if mostly:
        line = (
            f"{len(mostly)} of {len(paths)} masks are target in more than half of their pixels, the first {mostly[0]}; "
            "expected targets bright on black: invert these masks"
        )
        if len(mostly) > holding / 2:
            problem = problem or line
        else:
            warnings.append(line)
    return replace(
        found,
        masks=len(paths),
        holding=holding,
        warnings=tuple(warnings),
        problem=problem,
        faint=tuple(faint),
        mostly=tuple(mostly),
    )


def look_over_masks(paths: Sequence[str], ignore: IgnoreChoice = None) -> MaskMeaning:
    """Decode all masks once and `decide`; those that cannot be read are left out: reading them says why.

    Args:
        paths: of the masks.
        ignore: value that is neither target nor background, `NOTHING_IGNORED`, or None where nobody said.
    """

    def look(path: str) -> MaskFacts | None:
        try:
            return look_at_mask(path, ignore if isinstance(ignore, int) else None)
        except UserError:  # whoever reads this mask for its frame tells
            return None

    with ThreadPoolExecutor(READING_THREADS) as pool:
        pairs = [pair for pair in zip(paths, pool.map(look, paths), strict=True) if pair[1] is not None]
    return decide([path for path, _ in pairs], [facts for _, facts in pairs], ignore)
