"""Which pictures of one folder are frames, and which are masks, previews or other versions of those.

Pictures belong together whose names differ by an ending, a word in front, or the file's format. Words such as `mask`
or `preview` tell which is what, else the pictures' content does: masks hold few values, and mostly one.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.images.frame_names import DIGITS, natural_key
from utils.images.image_files import read_values
from utils.system.errors import UserError
from utils.system.notices import warn

MASK_WORDS = (
    r"masks?|gts?|ground[-_ ]?truths?|truths?|labels?(?:ids?)?|segm?(?:ented|entations?)?s?|anno(?:t|tation)?s?|ann|"
    r"targets?|bin|binary|bw|pixels0|instances?(?:ids?)?|foreground|fg"
)
PREVIEW_WORDS = (
    r"previews?|thumb(?:nail)?s?|quicklooks?|overlays?|annotated|drawn|heatmaps?|jet|"
    r"(?:pseudo|false)?[-_ ]?colou?r(?:ed|s)?"
)
IMAGE_WORDS = r"images?|imgs?|im|frames?|ir|raw|orig|original|inputs?|data|src|source"
COPY = re.compile(r"[-_. ]*(?:\(\d+\)|(?:copy|kopie)(?:[-_ ]*\(?\d+\)?)?)", re.IGNORECASE)  # of a file, by a system
BOUNDARY = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[a-z])(?=[A-Z])|[-_. (\[]+")
MAX_LOOKED_AT = 4  # pictures of one sort that are opened to see what they are
MAX_PATTERNS = 16  # of names, from which on they are taken to be random
MAX_MASK_VALUES = 32  # which a mask without losses has at most
MIN_BACKGROUND = 0.5  # share of a mask's pixels that have its most frequent value
MIN_NEAR_ENDS = 0.98  # share of those that lie near the lowest or highest one, where compression has blurred them
NEAR_END = 0.125  # of the range of values
TIMES_MORE_VALUES = 4  # that a frame has, whatever it looks like by itself
MAX_DIFFERENCE = 8  # grey levels of 8 bits between two versions of one picture, in the mean
LOSSLESS_FIRST = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
LOSSY = (".jpg", ".jpeg")


def _word_at(words: str) -> re.Pattern:
    """Matches an ending or a beginning that is one of the words, with what stands between it and the rest."""
    return re.compile(rf"[-_. (\[]*(?:{words})[)\]]?|(?:{words})[-_. ]+", re.IGNORECASE)


IS_MASK, IS_PREVIEW, IS_IMAGE = map(_word_at, (MASK_WORDS, PREVIEW_WORDS, IMAGE_WORDS))


class Pair(NamedTuple):
    """Two pictures of one folder, by their file names, that belong together."""

    one: str
    other: str


@dataclass
class Pictures:
    """What the pictures of a folder are, by their file names.

    `masks` are those of frames, by the frames; `left_out` are other versions of frames, with the frames they show.
    """

    frames: list[str]
    masks: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def tell(self, folder: str | os.PathLike, masks_used: bool = False) -> None:
        """Warn of what is no frame, a line for each kind."""
        for found, text in (
            ({} if masks_used else {mask: frame for frame, mask in self.masks.items()}, "masks of others"),
            (self.left_out, "copies or previews of others"),
        ):
            if found:
                first = min(found, key=natural_key)
                warn(
                    f"{folder}: {len(found)} pictures are {text} there, and no frames; the first {first}, of "
                    f"{found[first]}"
                )


def sort_pictures(folder: str | os.PathLike, names: Collection[str]) -> Pictures:
    """Tell frames from masks and previews.

    At most a few pictures are opened, and none where names leave no doubt that all are frames.

    Args:
        folder: where they lie.
        names: of the image files.

    Returns:
        All of them, frames in natural order.

    Raises:
        UserError: two pictures belong together, and neither names nor content tell what they are; names both.
    """
    alike = len({DIGITS.sub("0", name) for name in names}) == 1
    found = Pictures(sorted(names, key=lambda name: (natural_key(name), name)))
    if alike:
        return found
    for pairs in _same_stem(found.frames):
        _sort_twins(Path(folder), pairs, found)
    gone = {*found.masks.values(), *found.left_out}
    for relation in (_by_word, _by_ending, _by_pattern):
        frames = [name for name in found.frames if name not in gone]
        for ending, pairs in relation(frames):
            pairs = [pair for pair in pairs if pair.one not in gone and pair.other not in gone]
            if pairs:
                _sort_pairs(Path(folder), ending, pairs, found)
                gone = {*found.masks.values(), *found.left_out}
    found.frames = [name for name in found.frames if name not in gone]
    return found


def find_frames(folder: str | os.PathLike, names: Collection[str]) -> list[str]:
    """The frames among pictures, see `sort_pictures`; what is none of them is warned of."""
    found = sort_pictures(folder, names)
    found.tell(folder)
    return found.frames


def are_masks(folder: Path, names: Sequence[str]) -> bool:
    """Whether a folder of pictures is called after masks, and some of these look like such."""
    some = names[:: max(1, len(names) // MAX_LOOKED_AT)]
    look = _look_at([folder / name for name in some]) if IS_MASK.fullmatch(folder.name) else None
    return look is not None and look.like_masks


def require_frames_alone(root: str | os.PathLike, paths: Iterable[str]) -> None:
    """Look at the names of images below a folder, and where they leave a doubt, at some of the images.

    Args:
        root: the folder.
        paths: of the images below it, with `/` between names.

    Raises:
        UserError: one is the mask, a copy or a preview of another in its folder; names both.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        below, _, name = path.rpartition("/")
        folders[below].append(name)
    for below, names in folders.items():
        folder = Path(root, below)
        found = sort_pictures(folder, names)
        for frame, mask in found.masks.items():
            raise UserError(
                f"{folder / mask}: found the mask of {frame} beside it, expected frames alone there; move masks to "
                f"masks/, or make a dataset: `python -m utils_coco.import_labels --images {folder} --labels {folder} "
                "--out NEW`"
            )
        for copy, frame in found.left_out.items():
            raise UserError(
                f"{folder / copy}: found beside {frame}, of which it is a copy or a preview; expected each frame once; "
                "remove what is no frame"
            )


def mask_names(stem: str) -> Iterator[str]:
    """What the image may be called whose mask is called `stem`: the name itself, then without a word for masks."""
    yield stem
    for rest, word in _cuts(stem):
        if IS_MASK.fullmatch(word):
            yield rest


def frame_names(stem: str) -> Iterator[str]:
    """What the frame may be called of which `stem` is another version or the mask: itself, then without such a word."""
    yield stem
    for rest, word in _cuts(stem):
        if any(kind.fullmatch(word) for kind in (IS_MASK, IS_PREVIEW, COPY)):
            yield rest


def _cuts(stem: str) -> Iterator[tuple[str, str]]:
    """Ways to take a word off a name: the rest, and the word with what stood between."""
    for found in BOUNDARY.finditer(stem):
        if found.start() > 0 and found.end() < len(stem):
            yield stem[: found.start()], stem[found.start() :]
            yield stem[found.end() :], stem[: found.end()]


def _same_stem(names: Sequence[str]) -> list[list[Pair]]:
    """Pictures that differ in the format only, apart for every two formats."""
    first: dict[str, str] = {}
    pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for name in names:
        stem, ending = os.path.splitext(name)
        one = first.setdefault(stem, name)
        if one != name:
            pairs[os.path.splitext(one)[1].lower(), ending.lower()].append(Pair(one, name))
    return list(pairs.values())


def _by_word(names: Sequence[str]) -> Iterator[tuple[str, list[Pair]]]:
    """Names that are alike once a word for masks is taken off one, and one for images off the other."""
    images: dict[str, str] = {}
    for name in names:
        stem = os.path.splitext(name)[0]
        for rest in (stem, *(rest for rest, word in _cuts(stem) if IS_IMAGE.fullmatch(word))):
            images.setdefault(rest, name)
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for name in names:
        for rest, word in _cuts(os.path.splitext(name)[0]):
            if IS_MASK.fullmatch(word) and images.get(rest, name) != name:
                pairs[word].append(Pair(images[rest], name))
    yield from pairs.items()


def _by_ending(names: Sequence[str]) -> Iterator[tuple[str, list[Pair]]]:
    """Names one of which is the other with something behind or in front of it that holds letters."""
    stems = {os.path.splitext(name)[0]: name for name in names}
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for stem, name in stems.items():
        for rest, word in _cuts(stem):
            if rest in stems and (any(map(str.isalpha, word)) or COPY.fullmatch(word)):
                pairs[word].append(Pair(stems[rest], name))
    yield from pairs.items()


def _by_pattern(names: Sequence[str]) -> Iterator[tuple[str, list[Pair]]]:
    """Names with the same digits in another text, where all of one text have a partner of the other."""
    by_text: dict[tuple[str, str], dict[tuple[str, ...], str]] = defaultdict(dict)
    for name in names:
        stem, ending = os.path.splitext(name)
        by_text[DIGITS.sub("0", stem), ending.lower()][tuple(DIGITS.findall(stem))] = name
    if len(by_text) > MAX_PATTERNS:
        return
    texts = sorted(by_text, key=lambda text: (-len(by_text[text]), text))
    for place, text in enumerate(texts):
        for other in texts[place + 1 :]:
            if "0" in text[0] and by_text[other].keys() <= by_text[text].keys():
                yield "", [Pair(by_text[text][digits], name) for digits, name in by_text[other].items()]


class Look(NamedTuple):
    """How pictures of one sort look: as masks do, how many values they have, and the largest type of these."""

    like_masks: bool
    values: int
    bytes: int


def _look_at(paths: Sequence[Path]) -> Look | None:
    """How the first of some pictures look, None where one cannot be read."""
    looks = []
    for path in paths:
        try:
            values = read_values(path)
        except UserError:
            return None
        levels, counts = np.unique(values, return_counts=True)
        low, high = float(levels[0]), float(levels[-1])
        margin = NEAR_END * (high - low)
        near = counts[(levels <= low + margin) | (levels >= high - margin)].sum() / values.size
        few = len(levels) <= MAX_MASK_VALUES or near >= MIN_NEAR_ENDS
        looks.append(Look(bool(few and counts.max() / values.size >= MIN_BACKGROUND), len(levels), values.itemsize))
    return Look(all(look.like_masks for look in looks), *(max(look[i] for look in looks) for i in (1, 2)))


def _looks_of(folder: Path, pairs: Sequence[Pair]) -> tuple[Look | None, Look | None]:
    """How the first and the second ones of pairs look, by some of them, evenly spread."""
    some = pairs[:: max(1, -(-len(pairs) // MAX_LOOKED_AT))]
    return _look_at([folder / pair.one for pair in some]), _look_at([folder / pair.other for pair in some])


def _is_mask_of(mask: Look, image: Look) -> bool:
    """Whether one looks like the mask of the other, by content alone."""
    many = image.values > MAX_MASK_VALUES and image.values >= TIMES_MORE_VALUES * mask.values
    return mask.like_masks and (many or not image.like_masks)


def _sort_pairs(folder: Path, ending: str, pairs: Sequence[Pair], found: Pictures) -> None:
    """Decide about pictures whose names differ by `ending`, empty where by other text."""
    if IS_PREVIEW.fullmatch(ending):
        found.left_out |= {pair.other: pair.one for pair in pairs}
        return
    one, other = _looks_of(folder, pairs)
    if COPY.fullmatch(ending):
        if one and other and _are_alike(folder, pairs[0]):
            found.left_out |= {pair.other: pair.one for pair in pairs}
        return
    named = bool(IS_MASK.fullmatch(ending))
    if one and other and not named:
        if _is_mask_of(other, one):
            found.masks |= {pair.one: pair.other for pair in pairs}
        elif _is_mask_of(one, other):
            found.masks |= {pair.other: pair.one for pair in pairs}
    elif named and other and not other.like_masks:
        raise _doubt(folder, pairs[0], "of which the second is called a mask and looks like a picture")
    elif named:
        _take_masks(folder, pairs, found)


def _take_masks(folder: Path, pairs: Sequence[Pair], found: Pictures) -> None:
    for pair in pairs:
        if found.masks.setdefault(pair.one, pair.other) != pair.other:
            raise UserError(
                f"{folder / pair.other}: found beside {found.masks[pair.one]}, both masks of {pair.one}; expected one; "
                "remove the other"
            )


def _sort_twins(folder: Path, pairs: Sequence[Pair], found: Pictures) -> None:
    """Decide about pictures that differ in the format only."""
    one, other = _looks_of(folder, pairs)
    if one and other:
        if _is_mask_of(other, one):
            return _take_masks(folder, pairs, found)
        if _is_mask_of(one, other):
            return _take_masks(folder, [Pair(pair.other, pair.one) for pair in pairs], found)
        if one.bytes != other.bytes:  # raw frames, and what they look like
            first_is_raw = one.bytes > other.bytes
            found.left_out |= {pair[first_is_raw]: pair[not first_is_raw] for pair in pairs}
            return None
        if _are_alike(folder, pairs[0]):
            for pair in pairs:
                kept, copy = sorted(pair, key=lambda name: _rank(os.path.splitext(name)[1].lower()))
                found.left_out[copy] = kept
            return None
    raise _doubt(folder, pairs[0], "two images of one name")


def _rank(ending: str) -> int:
    """Formats that lose nothing come first."""
    return LOSSLESS_FIRST.index(ending) if ending in LOSSLESS_FIRST else len(LOSSLESS_FIRST)


def _are_alike(folder: Path, pair: Pair) -> bool:
    """Whether two pictures show the same, up to what compression changes."""
    one, other = (read_values(folder / name) for name in pair)
    if one.shape != other.shape:
        return False
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).mean()) <= MAX_DIFFERENCE


def _doubt(folder: Path, pair: Pair, what: str) -> UserError:
    return UserError(
        f"{folder / pair.other}: found beside {pair.one}, {what}, expected frames, or frames and their masks; move or "
        "rename one of them"
    )
