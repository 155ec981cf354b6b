"""What the converters share: images that a list names, checks of boxes, and files that are not replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.datasets.json_formats import is_ignored
from utils.datasets.layouts import Files, check_root, list_files
from utils.datasets.split_names import word_of_file
from utils.system.command_line import Parser
from utils.system.errors import UserError
from utils.system.files import encode_text, whole_file
from utils_coco.borders import add_cut_option


def summary(images: int, boxed: Sequence[Any]) -> str:
    """`7 images, 9 boxes (2 images without)`; `boxed` holds an image's id or name once for each of its boxes."""
    return f"{images} images, {len(boxed)} boxes ({images - len(set(boxed))} images without)"


def coco_summary(content: dict[str, Any]) -> str:
    """The `summary` of a COCO dictionary, with the number of regions to ignore where there are any."""
    targets = [item["image_id"] for item in content["annotations"] if not is_ignored(item)]
    ignored = len(content["annotations"]) - len(targets)
    return summary(len(content["images"]), targets) + (f", {ignored} regions to ignore" if ignored else "")


def list_parser(command: str, description: str, kind: str, about: str, other: str, default_root: str) -> Parser:
    """The options that the converters between lists share: the list itself, `--out`, `--image-root`, `--overwrite`.

    Args:
        command: name of the module.
        description: its docstring, of which the part before the colon is shown.
        kind: suffix of the list that is read.
        about: what that list holds.
        other: suffix of the list that is written.
        default_root: what is done without `--image-root`.
    """
    parser = Parser(prog=f"python -m utils_coco.{command}", description=description.split(":")[0] + ".")
    parser.add_argument("source", metavar=f"FILE.{kind}", help=about)
    parser.add_argument("--out", help=f"the {other} file (default: beside the {kind})")
    parser.add_argument(
        "--image-root",
        metavar="DIR",
        help="dataset folder (it holds images/): name the images by their paths below it, whatever "
        f"root or slashes the {kind} has (default: {default_root})",
    )
    add_cut_option(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    return parser


def dataset_around(source: str) -> str:
    """The dataset's folder in which a list lies, directly or in a folder such as `annotations/`.

    Raises:
        UserError: it lies in none.
    """
    folder = Path(source).resolve().parent
    for root in (folder, folder.parent):
        try:
            return check_root(root)
        except UserError:
            continue  # not this one
    raise UserError(
        f"{source}: lies in no dataset's folder, expected its images there, to read their sizes; give the "
        "folder that holds images/ with --image-root"
    )


def find_images(names: Sequence[str], files: Files, source: str) -> list[str]:
    """Paths of the listed images below the dataset's folder, whatever root or slashes `source` names them with.

    Raises:
        UserError: one is missing, or two names are the same image.
    """
    keys = [files.find(name, word_of_file(source)) for name in names]
    files.tell_alike()
    missing = [name for name, key in zip(names, keys, strict=True) if key is None]
    if missing:
        raise UserError(
            f"{source}: {missing[0][:200]}: no such image in {files.root} (the first of {len(missing)}); "
            "copy it there, correct the list, or give another --image-root"
        )
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise UserError(
            f"{source}: found {files.images[twice[0]]} twice (the first of {len(twice)} such images), "
            "expected every image once; join their boxes"
        )
    return [files.images[key] for key in keys]


def files_of(root: str) -> Files:
    """The files of a dataset's folder.

    Raises:
        UserError: there is no dataset.
    """
    return list_files(check_root(root))


def target_file(source: str, out: str | None, suffix: str, overwrite: bool) -> Path:
    """Where a converted list goes: `out`, or beside `source` with another suffix.

    Raises:
        UserError: it is `source` itself, by whatever name, or exists already and is no such list or is not to be
            replaced.
    """
    path = Path(out) if out else Path(source).with_suffix(suffix)
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise UserError(f"{path}: is the list to convert, expected another file to write; give --out")
    if path.is_file() and path.suffix.lower() != suffix:
        raise UserError(f"{path}: found a file already, expected a {suffix[1:]} to replace; give another --out")
    refuse_existing(path, overwrite)
    return path


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Make sure that nothing is at `path` that is not to be replaced.

    Raises:
        UserError: there is a folder, or without `overwrite` a file.
    """
    if path.is_dir():
        raise UserError(f"{path}: found a folder already, expected none; give another --out")
    if path.exists() and not overwrite:
        raise UserError(
            f"{path}: found a file already, expected none; give --overwrite to replace it, or another --out"
        )


def write_list(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: that is impossible.
    """
    with whole_file(path, "give another --out") as file:
        file.write(encode_text(text))
