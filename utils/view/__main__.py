"""Look at predictions in a browser, and correct them: `python -m utils.view FOLDER` shows a folder of results.

With `--data-root` and `--predictions` it writes a page of a dataset: hits, misses and false alarms by colour.
"""

from __future__ import annotations

import webbrowser
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import Sequences
from utils.images.alike_names import find_spelt_alike
from utils.images.masks.meaning import IGNORE_HELP, parse_ignore_value
from utils.metrics.coco_results import naming_of, read_results
from utils.system.command_line import Parser, make_folder, number
from utils.system.errors import UserError, user_errors
from utils.video.sources import open_sources
from utils.view.dataset_pages import TruthChoice, pictures_of_frames, sequences_of
from utils.view.page import PAGE_FILE, page_of_results, require_own, write_page
from utils.view.results import choose_source, find_source, read_folder
from utils.view.saved_labels import LABELS_FILE
from utils.view.server import FolderServer

DEFAULT_THRESHOLD = 0.5
FOLDER_OPTIONS = ("source", "rebuild", "port", "no_browser")
DATA_OPTIONS = ("predictions", "split", "sequences", "threshold", "ignore_value", "out")


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="python -m utils.view", description=__doc__)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="results of vid_predict.py")
    parser.add_argument(
        "--source", metavar="PATH", help="the frames, where they are not any more where vid_predict.py found them"
    )
    parser.add_argument("--rebuild", action="store_true", help=f"make {PAGE_FILE} again, though it is there")
    parser.add_argument("--port", type=number("port"), metavar="N", help="default: a free one")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    data = parser.group("A dataset instead")
    data.add_argument("--data-root", metavar="FOLDER", help="dataset, its layout is found out")
    data.add_argument("--predictions", metavar="FILE", help="COCO results, such as detections.json of vid_map_coco.py")
    data.add_argument("--split", choices=("test", "train", "all"), help="default: test")
    data.add_argument("--sequences", nargs="+", metavar="NAME", help="only these sequences")
    data.add_argument(
        "--threshold",
        type=number("threshold"),
        metavar="X",
        help="score above which predictions are shown to begin with, and joined into tracks (default: "
        f"{DEFAULT_THRESHOLD})",
    )
    data.add_argument("--ignore-value", type=parse_ignore_value, metavar="N", help=IGNORE_HELP)
    data.add_argument("--out", metavar="FILE", help=f"the page (default: {PAGE_FILE})")
    options = parser.parse_args(argv)
    if (options.folder is None) == (options.data_root is None):
        raise UserError(
            f"found {'neither FOLDER nor' if options.folder is None else 'both FOLDER and'} --data-root, expected one: "
            "results of vid_predict.py, or a dataset"
        )
    given, wanted, foreign = ("FOLDER", "--data-root", DATA_OPTIONS)
    if options.data_root is not None:
        given, wanted, foreign = ("--data-root", "FOLDER", FOLDER_OPTIONS)
    for name in foreign:
        if getattr(options, name) is not None and getattr(options, name) is not False:
            raise UserError(
                f"--{name.replace('_', '-')}: found with {given}, expected with {wanted}; leave one of them out"
            )
    return options


def write_dataset_page(
    root: str, predictions: str | None, split: str, sequences: Sequence[str], out: Path, choice: TruthChoice
) -> str:
    """Write the page of a dataset; returns a line about it."""
    dataset = open_dataset(root, split, need="images")
    naming = naming_of(dataset)
    if sequences:
        names = find_spelt_alike(sequences, dataset.sequences, "--sequences")
        unknown = [name for name in names if name not in dataset.sequences]
        if unknown:
            raise UserError(
                f"--sequences: found {', '.join(unknown)}, expected some of {', '.join(list(dataset.sequences)[:12])}"
            )
        dataset = replace(dataset, sequences=Sequences.of(dataset.sequences).select(names))
    require_own(out, [root, *([predictions] if predictions else [])])
    found = read_results(predictions, naming) if predictions else {}
    classes = [str(item["name"]) for item in naming.categories]
    shown = sequences_of(dataset, found, classes, choice)
    pictures = [pictures_of_frames(list(frames)) for frames in dataset.sequences.values()]
    count = sum(len(item.numbers) for item in shown)
    about = (
        f"{count:,} frames of {len(shown)} sequences ({dataset.split}); a hit is less than 3 px from a target's centre"
    )
    make_folder(out.parent)
    write_page(out, shown, pictures, dataset.name, about)
    problems = sum(len(item.problems) for item in shown)
    return f"page of {count} frames in {out}, {problems} problems of the dataset in it; open it in a browser"


def make_page(folder: Path, source: str | None) -> Path:
    """Write the page of a folder of results."""
    sequence = read_folder(folder)
    found = choose_source(open_sources(source), sequence) if source else find_source(folder, sequence)
    return page_of_results(folder, found)


def main(argv: list[str] | None = None) -> None:
    """Show a folder until it is interrupted."""
    options = parse(argv)
    if options.data_root:
        asked = (options.predictions, options.split or "test", options.sequences or (), Path(options.out or PAGE_FILE))
        threshold = DEFAULT_THRESHOLD if options.threshold is None else options.threshold
        print(write_dataset_page(options.data_root, *asked, TruthChoice(threshold, options.ignore_value)))
        return
    folder = Path(options.folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected results of vid_predict.py; correct it")
    if options.rebuild or options.source or not (folder / PAGE_FILE).is_file():
        print(f"page in {make_page(folder, options.source)}")
    with FolderServer(folder, options.port or 0) as server:
        print(f"open {server.address} - labels are saved in {folder / LABELS_FILE}; Ctrl-C ends it", flush=True)
        if not options.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended")


if __name__ == "__main__":
    with user_errors():
        main()
