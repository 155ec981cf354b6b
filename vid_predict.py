"""Find moving targets in images, videos, a camera or a growing folder: annotated video, masks, boxes and tracks.

Writes an mp4, masks as PNG (a detector's are its boxes, filled), predictions.json, coco.json, detections.csv,
tracks.csv, and view.html, a page on which all of it is looked at and corrected.
"""

from __future__ import annotations

import signal
from argparse import Namespace
from pathlib import Path

from utils.commands.inputs import check_predictor, open_predictor, results_folder, take_bundled
from utils.commands.options import (
    add_hardware_options,
    add_ignore_option,
    add_preparation_options,
    hardware_of,
)
from utils.commands.predictor_options import add_predictor_options, choice_of
from utils.predictor.every_frame import describe_windows
from utils.predictor.predictor import Predictor
from utils.render.sequence import DEFAULT_FPS, RenderSettings, render
from utils.render.source_truth import Truth, open_truth
from utils.system.command_line import Parser, make_folder, number
from utils.system.errors import UserError, user_errors
from utils.system.notices import warn
from utils.system.outputs import OutputFolder, plain_folder
from utils.video.growing_folder import GrowingFolder
from utils.video.live import LiveSource, is_live
from utils.video.sources import FrameSource, open_sources
from utils.view.page import PAGE_FILE, page_of_results, require_own


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="vid_predict.py", description=__doc__)
    data, network = map(parser.group, ("Data", "Network"))
    data.add_argument(
        "--source",
        required=True,
        metavar="PATH",
        help="folder of images, image, TIFF or .npy of many frames, "
        "video, camera index or URL; of a folder with subfolders of images, or of a dataset, every "
        "sequence",
    )
    data.add_argument(
        "--watch",
        type=number("watch"),
        metavar="S",
        help="--source is a folder that grows: go on until no image came for S seconds",
    )
    add_preparation_options(parser)
    data.add_argument(
        "--max-frames",
        type=number("max_frames"),
        default=0,
        metavar="N",
        help="only the first N frames of each sequence (0: all)",
    )
    data.add_argument(
        "--truth",
        metavar="FOLDER",
        help="dataset or folder of masks: tell hits from false alarms, and show the truth beside the prediction",
    )
    add_ignore_option(parser)
    add_predictor_options(parser, "the verified TSMSA in weights/tsmsa_real")
    network.add_argument(
        "--motion-compensation",
        choices=("on", "off"),
        help="align the frames of a clip to the last "
        "one, for panning and shaking cameras (default: as the network was trained)",
    )
    _add_output_options(parser)
    add_hardware_options(parser, reading_ahead=False)
    return parser.parse_args(argv)


def _add_output_options(parser: Parser) -> None:
    output = parser.group("Output")
    output.add_argument(
        "--out",
        metavar="FOLDER",
        help="for the results (default: predict/NAME beside the weights, or in runs/NAME_METHOD)",
    )
    output.add_argument(
        "--preview",
        action="store_true",
        help="keep preview.jpg in the output folder up to date with the latest picture",
    )
    output.add_argument("--no-tracks", action="store_true", help="leave out tracks.csv")
    output.add_argument("--no-view", action="store_true", help="leave out view.html")
    output.add_argument("--heatmap", action="store_true", help="lay the probability over the frames")
    output.add_argument("--gif", action="store_true", help="write a GIF as well")
    output.add_argument(
        "--fps",
        type=number("fps"),
        metavar="X",
        help=f"frames a second of the result (default: the source's, else {DEFAULT_FPS:g})",
    )
    output.add_argument(
        "--scale",
        type=number("scale"),
        metavar="X",
        help="enlargement of the pictures (default: so that the longer side has 640 pixels or more)",
    )


def find_sources(path: str, watch: float | None) -> list[FrameSource]:
    """What is to be read; with `watch`, a folder that grows until no image came for so many seconds.

    Raises:
        UserError: there is nothing to read.
    """
    if path.isdecimal() and not is_live(path):
        warn(f"{path}: taken for the file or folder of that name, not for camera {path}; rename it to mean the camera")
    if watch:
        return [GrowingFolder(path, watch)]
    return [LiveSource(path)] if is_live(path) else open_sources(path)


def run(
    source: FrameSource, predictor: Predictor, truth: Truth | None, settings: RenderSettings, folder: Path, view: bool
) -> None:
    """Predict one sequence, with `view` write its page too (not of what is live: its frames are gone), and say so."""
    if view:
        require_own(folder / PAGE_FILE)
    print(render(source, predictor, truth, settings, folder))
    if view:
        OutputFolder(folder, "vid_predict.py", [PAGE_FILE]).claim(PAGE_FILE)
        print(f"  {page_of_results(folder, source)}")


def main(argv: list[str] | None = None) -> None:
    """Predict every sequence of the source."""
    options = parse(argv)
    choice = take_bundled(choice_of(options))
    check_predictor(choice)
    live = bool(options.watch) or is_live(options.source)
    sources = find_sources(options.source, options.watch)
    if options.ignore_value is not None and not options.truth:
        raise UserError("--ignore-value: is about the masks of --truth, which is not given; give both, or leave it out")
    truth = open_truth(options.truth, options.ignore_value) if options.truth else None
    if truth:
        truth.require(sources)
    name = sources[0].name if len(sources) == 1 else Path(options.source).name
    out = results_folder(choice, options.out, name, f"predict/{name}", [options.source, options.truth])
    make_folder(out)
    predictor = open_predictor(choice, hardware_of(options))
    if predictor.settings.every_frame and live and choice.max_delay is None:
        predictor = predictor.with_settings(max_delay=0)
        print(f"the source is live: {describe_windows(predictor.settings)}")
    if options.motion_compensation:
        if predictor.settings.every_frame:
            raise UserError(
                f"--motion-compensation: found with {predictor.settings.name}, which marks every frame of a clip where "
                "it is; leave it out"
            )
        predictor = predictor.with_settings(register=options.motion_compensation == "on")
    settings = RenderSettings(
        options.stride,
        options.roi,
        options.window,
        options.invert,
        options.max_frames,
        options.batch_size,
        choice.weights,
        options.fps,
        options.scale,
        options.heatmap,
        not options.no_tracks,
        options.gif,
        options.preview,
        options.quiet,
    )
    failed = []
    for source in sources:
        try:
            folder = out if len(sources) == 1 else plain_folder(out, source.name)
            run(source, predictor, truth, settings, folder, view=not (live or options.no_view))
        except UserError as error:
            if len(sources) == 1:
                raise
            warn(str(error))
            failed.append(source.name)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(sources)} sequences could not be done, or not to their end: "
            f"{', '.join(failed)}; the warnings above say why"
        )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` and service managers end it as Ctrl-C does
    with user_errors():
        main()
