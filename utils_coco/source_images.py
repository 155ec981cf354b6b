"""The images that labels are brought together with, and finding them by what labels call them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from utils.datasets.split_names import split_of_folder
from utils.images.alike_names import AlikeNames, find_spelt_alike
from utils.images.folders import FRAME_FOLDERS, LeftOut, walk_folder
from utils.images.frame_names import natural_key, to_number
from utils.images.frame_order import order_frames
from utils.images.image_files import IMAGE_SUFFIXES, images_among
from utils.images.picture_roles import are_masks, sort_pictures
from utils.system.errors import UserError
from utils.system.notices import warn
from utils_coco.point_files import hold_points

LABEL_SUFFIXES = frozenset({".txt", ".xml", ".json", ".csv"})  # of files that may lie beside images, and are no frames


@dataclass(frozen=True)
class SourceImage:
    """One of the images.

    `key` is its path below the folder without the extension, `number` that of the frame by the file's name, `mask` the
    file of a mask that lies beside it.
    """

    key: str
    sequence: str
    split: str
    path: Path
    number: int
    mask: Path | None = None

    @property
    def name(self) -> str:
        """Where it goes below the dataset's `images/`."""
        return f"{self.split}/{self.sequence}/{self.path.name}"


def list_images(
    folder: Path, test: Sequence[str] = (), fraction: float = 0.0, labels: Path | None = None
) -> list[SourceImage]:
    """All images below `folder`, whose subfolders are sequences, each with its split; links are followed.

    A folder of images whose names are of several videos is several sequences.

    Those for testing are named `test`, else those in folders test, val or the like where there is train too, else
    the last `fraction` of the sequences in natural order, or of a single sequence's frames. What lies in `labels`, a
    folder below it, is left out, and so are masks and previews beside the images. Other files are counted in a warning.

    Raises:
        UserError: no such folder, no images, or no such sequence.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected the one of --images; correct it")
    groups, masks = _images_by_folder(folder, labels)
    if not groups:
        raise UserError(
            f"{folder}: found no images, expected {', '.join(sorted(IMAGE_SUFFIXES))}; give another --images"
        )
    groups = _sequences_of(folder, groups)
    names = sorted(groups, key=natural_key)
    test = find_spelt_alike(test, groups, "--test")
    unknown = [name for name in test if name not in groups]
    if unknown:
        raise UserError(f"--test: found {', '.join(unknown)}, expected some of {', '.join(names[:12])}")
    aside = _test_sequences(names, test, fraction)
    images = []
    for name in names:
        numbered = groups[name]
        cut = len(numbered)
        if len(names) == 1 and not aside:
            cut -= round(fraction * len(numbered))
        for index, (path, number) in enumerate(numbered):
            split = "test" if name in aside or index >= cut else "train"
            key = path.relative_to(folder).with_suffix("").as_posix()
            images.append(SourceImage(key, name, split, path, number, masks.get(path)))
    return images


def _images_by_folder(folder: Path, labels: Path | None) -> tuple[dict[str, list[Path]], dict[Path, Path]]:
    """Images by the folder below `folder`, but for what lies in `labels`; and the masks of those that lie beside them.

    Masks and previews are told from images by `utils.images.picture_roles`.
    """
    tree, left_out = walk_folder(folder, IMAGE_SUFFIXES), LeftOut(LABEL_SUFFIXES)
    tree.tell()
    groups: dict[str, list[Path]] = {}
    masks: dict[Path, Path] = {}
    for below, names in tree.names.items():
        place = folder / below
        if labels and folder in labels.parents and (labels == place or labels in place.parents):
            continue
        images = images_among(names)
        left_out.add_all(f"{below}/{name}".lstrip("/") for name in names if name not in set(images))
        if images and hold_points(place / images[0]):
            continue
        if images and below and are_masks(place, images):
            warn(f"{place}: {len(images)} pictures in a folder called after masks are left out, as they look like such")
        elif images:
            pictures = sort_pictures(place, images)
            pictures.tell(place, masks_used=True)
            groups[below or folder.resolve().name] = [place / name for name in pictures.frames]
            masks |= {place / frame: place / mask for frame, mask in pictures.masks.items()}
    left_out.tell(folder)
    return groups, masks


def _sequences_of(folder: Path, groups: dict[str, list[Path]]) -> dict[str, list[tuple[Path, int]]]:
    """Images by sequence, in order and with the numbers in their names, of images by folder.

    A folder is a sequence, or holds several that the names tell apart.
    """
    found = {}
    for name, paths in _name_videos(folder, groups).items():
        order = order_frames([path.stem for path in paths])
        if order.said:
            warn(f"{folder}: {order.said} (in {name})")
        for sequence in order.sequences:
            own = [(paths[index], number) for index, number in zip(sequence.indices, sequence.own_numbers, strict=True)]
            inner = f"{name}/{sequence.label}" if sequence.label else name
            while inner in found or (sequence.label and inner in groups):  # a folder of that name
                inner += "_"
            found[inner] = own
    return found


def _name_videos(folder: Path, groups: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """The groups, those in a folder such as `img` called like the one around it, but where others lie beside it."""
    inner = Counter(path.rpartition("/")[0] for path in groups)
    found: dict[str, list[Path]] = {}
    for name, paths in groups.items():
        above, _, last = name.rpartition("/")
        place = paths[0].parent.resolve().parent
        if last in FRAME_FOLDERS and place.name and above not in groups and inner[above] == 1:
            name = above or place.name
        found[name] = paths
    return found


def split_by_folders(sequences: Sequence[str]) -> dict[str, str]:
    """The split of each sequence that lies in a folder called after one, {} where these are not both there."""
    found = {}
    for name in sequences:
        if split := next(filter(None, map(split_of_folder, name.split("/"))), ""):
            found[name] = split
    return found if len(set(found.values())) == 2 else {}


def _test_sequences(names: Sequence[str], test: Sequence[str], fraction: float) -> set[str]:
    """Which of the sequences `names` are for testing as a whole, see `list_images`."""
    if test:
        return set(test)
    if splits := split_by_folders(names):
        return {name for name, split in splits.items() if split == "test"}
    if not fraction or len(names) == 1:
        return set()
    return set(names[len(names) - max(1, round(fraction * len(names))) :])


def split_by_labels(images: Sequence[SourceImage], splits: Mapping[str, Collection[str]]) -> list[SourceImage]:
    """The images in the splits that their label files are called after, where folders do not tell them.

    Args:
        images: as `list_images` gives them.
        splits: by an image's key, "train" and "test", or "" for labels that do not tell.

    Raises:
        UserError: labels of both splits are about one image.
    """
    told = set().union(*splits.values()) - {""}
    if len(told) < 2 or split_by_folders({image.sequence for image in images}):
        return list(images)
    for image in images:
        if len(own := set(splits.get(image.key, ())) - {""}) > 1:
            raise UserError(
                f"{image.path}: found labels for training and for testing of this image, expected one split; take it "
                f"out of one of the label files ({', '.join(sorted(own))}), or give the sequences for testing by --test"
            )
    return [replace(image, split=max(splits.get(image.key, ()), default="") or image.split) for image in images]


class Lookup:
    """Images by what labels call them."""

    def __init__(self, images: Sequence[SourceImage]) -> None:
        self.images = images
        self.by_key = {image.key: image for image in images}
        sequences = {image.sequence for image in images}
        self.by_number = {(image.sequence, image.number): image for image in images}
        self.only = next(iter(sequences)) if len(sequences) == 1 else ""
        last = Counter(sequence.rpartition("/")[2] for sequence in sequences)
        self.last_folders = set(last)
        for image in images:  # of a sequence that is named by its last folder alone
            short = image.sequence.rpartition("/")[2]
            if last[short] == 1:
                self.by_number.setdefault((short, image.number), image)
        self.alike, self.alike_videos = AlikeNames(lambda: self.by_end), AlikeNames(lambda: sequences)

    def find_video(self, name: str, alone: bool) -> list[SourceImage]:
        """A video's images in their order, [] where there is no such video.

        Args:
            name: of the video, the path of its folder or an end of that; or a longer path than that is known.
            alone: no other video is looked up, so that the only sequence is meant whatever its name.
        """
        sequences = dict.fromkeys(image.sequence for image in self.images)
        possible = [end for end in _ends(name) if end in sequences]
        ending = [own for own in sequences if own.endswith(f"/{name}")]
        spelt = [] if possible or ending else list(filter(None, map(self.alike_videos.find, _ends(name))))
        found = possible[:1] or (ending if len(ending) == 1 else spelt[:1])
        found = found or ([self.only] if alone and self.only else [])
        return [image for image in self.images if image.sequence in found]

    @cached_property
    def by_end(self) -> dict[str, list[SourceImage]]:
        """Images by every end of their keys, of which the last is their name."""
        found: dict[str, list[SourceImage]] = defaultdict(list)
        for image in self.images:
            for end in _ends(image.key):
                found[end].append(image)
        return found

    def find(self, key: str, split: str = "") -> SourceImage | None:
        """By the longest end of `key` that is an image's path, by FOLDER/NUMBER, or by the one path that ends so.

        The folder may be that of a longer path, and need not be named where all images lie in one. Where there is none,
        letter case and the Unicode form do not count, see `AlikeNames`.

        Args:
            key: path without extension, as the labels have it.
            split: "train" or "test" where the labels are called so: images in folders of that split come first.

        Raises:
            UserError: `key` is the end of several images' paths.
        """
        ends = list(_ends(key))
        found = next((self.by_key[end] for end in ends if end in self.by_key), None)
        name = ends[-1]
        if found is None and name.isdecimal():
            places = [(end.rpartition("/")[0], to_number(name)) for end in (*ends[:-1], f"{self.only}/{name}")]
            found = next((self.by_number[place] for place in places if place in self.by_number), None)
        return found or self._find_end(ends, ends, split) or self._find_end(ends, map(self.alike.find, ends), split)

    def _find_end(self, ends: Sequence[str], spelt: Iterable[str | None], split: str) -> SourceImage | None:
        """The one image whose path ends like the first possible of `ends`, which are `spelt` so among the images."""
        for end, there in zip(ends, spelt, strict=True):
            found = self.by_end.get(there or "", ())
            own = [image for image in found if split and split in map(split_of_folder, image.key.split("/")[:-1])]
            found = own or found
            if len(found) == 1 and (end == ends[0] or not self._lies_elsewhere(ends[0], found[0])):
                return found[0]
            if len(found) > 1 and end == ends[0] and "/" in end:
                raise UserError(
                    f"{end}: found labels that may be those of {found[0].path} and of {found[1].path}, expected one "
                    "image; give the folder of one with --images, or name both in the labels"
                )
        return None

    def _lies_elsewhere(self, key: str, image: SourceImage) -> bool:
        """Whether labels name the folder of another sequence than the image's."""
        folder = key.rpartition("/")[0].rpartition("/")[2]
        return folder in self.last_folders and folder != image.sequence.rpartition("/")[2]


def _ends(key: str) -> Iterator[str]:
    """`a/b/c`, `b/c`, `c`."""
    yield key
    while "/" in key:
        key = key.partition("/")[2]
        yield key
