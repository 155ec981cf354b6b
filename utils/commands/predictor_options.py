"""Options about what predicts: which network or method, how it sees frames, and above which threshold."""

from __future__ import annotations

import argparse
import dataclasses
from argparse import Namespace
from dataclasses import dataclass

from utils.clips.settings import LEVELS
from utils.predictor.classical import CLASSICAL_METHODS, DEFAULT_THRESHOLD
from utils.predictor.tiles.tiling import AUTOMATIC, SIDE, WHOLE_BYTES, Tiling
from utils.predictor.tracking.tracker import Confirmation
from utils.system.command_line import BOUNDS, Parser, m_of_n, number, shown
from utils.system.errors import UserError


@dataclass(frozen=True)
class PredictorChoice:
    """What predicts: a trained network or a classical method, and above which threshold.

    Args:
        weights: file of a trained network.
        method: name of a classical method, where there are no weights.
        threshold: of probability or score in [0, 1]; None: the weights' own, or that of all methods.
        max_delay: as of `ClipSettings`, for networks that mark every frame of a clip.
        normalisation: mean and standard deviation of the grey levels that weights were trained on, for files that do
            not hold them; None: the dataset's, where there is one.
        tiling: whether a network sees large frames in tiles.
        verify: with the verifier that weights hold, where they hold one.
        square: as of `Predictor`.
        levels: as of `ClipSettings`; None: as the weights were trained.
        false_rate: false components a frame that each sequence finds its thresholds for; None: a fixed threshold.
        confirmation: what alone is reported; None: all that is found.
    """

    weights: str | None = None
    method: str | None = None
    threshold: float | None = None
    max_delay: int | None = None
    normalisation: tuple[float, float] | None = None
    tiling: Tiling = AUTOMATIC
    verify: bool = True
    square: bool = False
    levels: str | None = None
    false_rate: float | None = None
    confirmation: Confirmation | None = None


USUAL_CONFIRMATION = Confirmation(3, 5)


def parse_confirmation(text: str) -> Confirmation:
    """`type=` of an option: M/N, such as 3/5."""
    return Confirmation(*m_of_n("confirm")(text))


def parse_normalisation(text: str) -> tuple[float, float]:
    """`type=` of an option: mean and standard deviation of grey levels."""
    try:
        mean, std = map(float, text.split(","))
    except ValueError:
        mean, std = 0.0, 0.0
    if not BOUNDS["channel_mean"].hold(mean) or not BOUNDS["channel_std"].hold(std):
        raise argparse.ArgumentTypeError(f"found {shown(text)}, expected MEAN,STD in grey levels, such as 95.5,34.2")
    return mean, std


def add_predictor_options(parser: Parser, default: str = "") -> None:
    """Options about what predicts; `default` says what is taken without --weights and --method."""
    group = parser.group("Network")
    group.add_argument(
        "--weights",
        metavar="FILE",
        help="checkpoint, such as runs/NAME/best.pt, or a published state "
        "dict" + (f" (default: {default})" if default else ""),
    )
    group.add_argument(
        "--method",
        metavar="NAME",
        help=f"instead of --weights, a classical method that needs no training: {', '.join(CLASSICAL_METHODS)}",
    )
    add_threshold_options(parser)
    add_confirmation_options(parser)
    group.add_argument(
        "--max-delay",
        type=number("max_delay"),
        metavar="N",
        help="networks that mark every frame of a clip, such as deeppro: predictions come up to N frames late, 0 for "
        "none (default: as late as overlapping windows, whose maximum counts, take)",
    )
    group.add_argument(
        "--tile",
        type=number("tile"),
        metavar="N",
        help="networks see frames in tiles of NxN pixels, one after the other, which takes no more memory than a frame "
        "of that size; those trained on frames fitted into a square see each tile fitted into it, sstnet pixels at "
        f"their own scale with 512 (0: whole frames; default: {SIDE} or less where a network would take more than "
        f"{WHOLE_BYTES >> 30} GiB for a whole frame, which is said)",
    )
    group.add_argument(
        "--tile-overlap",
        type=number("tile_overlap"),
        metavar="N",
        help="pixels by which tiles overlap, up to half their side: half as many are seen around all that is found "
        "(default: a quarter of their side)",
    )
    group.add_argument(
        "--levels",
        choices=LEVELS,
        help="networks that mark pixels: frames normalised by the grey levels that the weights were trained on, or by "
        "the level and noise around each pixel, for cameras of other contrasts, with a --threshold of its own "
        "(default: as in training)",
    )
    add_verifier_option(parser)
    group.add_argument(
        "--compat-square",
        action="store_true",
        help="networks trained on frames fitted into a square, such as sstnet, see frames that are not square with the "
        "whole square filled up in grey, as published code shows them; boxes and scores differ, and it takes longer",
    )
    add_normalisation_option(parser)


def add_threshold_options(parser: Parser) -> None:
    """--threshold, and instead of it --false-rate."""
    group = parser.group("Network")
    group.add_argument(
        "--threshold",
        type=number("threshold"),
        metavar="X",
        help="probability or score above which a pixel or a box is predicted (default: the "
        f"checkpoint's; {DEFAULT_THRESHOLD} for a method: its frame's mean response and k standard "
        "deviations, with the method's own k)",
    )
    group.add_argument(
        "--false-rate",
        type=number("false_rate"),
        metavar="X",
        help="find the threshold from the scores of the sequence itself, without labels, so that up to X false "
        "components a frame are to be expected; it goes on with the scene, and no frame waits for a later one",
    )


def add_confirmation_options(parser: Parser) -> None:
    """--confirm and --confirm-back."""
    group = parser.group("Network")
    group.add_argument(
        "--confirm",
        type=parse_confirmation,
        nargs="?",
        const=USUAL_CONFIRMATION,
        metavar="M/N",
        help="report only what was found in at least M of N consecutive frames, where in the scene one target may be, "
        f"{USUAL_CONFIRMATION.hits}/{USUAL_CONFIRMATION.frames} if nothing is said: single flashes, what jumps about, "
        "and what stays on one pixel of the sensor while the scene moves on are left out; a target is reported from "
        "its M-th frame on",
    )
    group.add_argument(
        "--confirm-back",
        action="store_true",
        help="with --confirm: report a target's frames before that as well, so that all results come N-1 frames late",
    )


def add_verifier_option(parser: Parser) -> None:
    """--no-verifier, for weights that hold one."""
    parser.group("Network").add_argument(
        "--no-verifier",
        action="store_true",
        help="the network alone, at its own threshold, also where its weights hold a verifier (python -m utils.verify)",
    )


def add_normalisation_option(parser: Parser) -> None:
    """--normalisation, for weights files that hold none."""
    parser.group("Network").add_argument(
        "--normalisation",
        type=parse_normalisation,
        metavar="MEAN,STD",
        help="of the grey levels that the weights were trained on, for a state dict, which does not hold them "
        "(default: the dataset's, where there is one)",
    )


def choice_of(options: Namespace) -> PredictorChoice:
    """What `add_predictor_options` asked for.

    Raises:
        UserError: tiles that cannot be had, tiles or a square for a method, or both, or a threshold that is fixed and
            to be found; or confirmation looks back that is not asked for.
    """
    if options.confirm_back and not options.confirm:
        raise UserError("--confirm-back: found without --confirm M/N, which it belongs to; give both, or leave it out")
    if options.false_rate is not None and options.threshold is not None:
        raise UserError("--false-rate: found --threshold as well, expected one of the two; leave one out")
    if options.compat_square and (options.method or options.tile):
        other = "--method, which sees frames as they are" if options.method else "--tile, which says what is seen"
        raise UserError(f"--compat-square: found with {other}; leave one out")
    if options.method and options.tile:
        raise UserError("--tile: found with --method, which takes its level from whole frames; leave it out")
    try:
        tiling = Tiling(options.tile, options.tile_overlap)
    except ValueError as error:
        raise UserError(f"--tile, --tile-overlap: {error}") from None
    return PredictorChoice(
        options.weights,
        options.method,
        options.threshold,
        options.max_delay,
        options.normalisation,
        tiling,
        not options.no_verifier,
        options.compat_square,
        options.levels,
        options.false_rate,
        options.confirm and dataclasses.replace(options.confirm, back=options.confirm_back),
    )
