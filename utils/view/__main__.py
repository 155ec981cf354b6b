"""Look at predictions in a browser, and correct them: `python -m utils.view FOLDER` shows a folder of results.

With `--data-root` and `--predictions` it writes a page of a dataset: hits, misses and false alarms by colour.
"""

from __future__ import annotations

import webbrowser
from argparse import Namespace
from pathlib import Path

from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.video.sources import open_sources
from utils.view.page import PAGE_FILE, page_of_results
from utils.view.results import choose_source, find_source, read_results
from utils.view.server import LABELS_FILE, FolderServer


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="python -m utils.view", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="results of vid_predict.py")
    parser.add_argument(
        "--source", metavar="PATH", help="the frames, where they are not any more where vid_predict.py found them"
    )
    parser.add_argument("--rebuild", action="store_true", help=f"make {PAGE_FILE} again, though it is there")
    parser.add_argument("--port", type=number("port"), default=0, metavar="N", help="default: a free one")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    return parser.parse_args(argv)


def make_page(folder: Path, source: str | None) -> Path:
    """Write the page of a folder of results."""
    sequence = read_results(folder)
    found = choose_source(open_sources(source), sequence) if source else find_source(folder, sequence)
    return page_of_results(folder, found)


def main(argv: list[str] | None = None) -> None:
    """Show a folder until it is interrupted."""
    options = parse(argv)
    folder = Path(options.folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, expected results of vid_predict.py; correct it")
    if options.rebuild or options.source or not (folder / PAGE_FILE).is_file():
        print(f"page in {make_page(folder, options.source)}")
    with FolderServer(folder, options.port) as server:
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
