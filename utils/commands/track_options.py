"""Options of tracks, and what is made of them."""

from __future__ import annotations

from argparse import Namespace

from utils.metrics.tracks.rules import TrackRules
from utils.system.command_line import Parser, m_of_n, number
from utils.system.errors import UserError

OPTIONS = ("track_distance", "track_found", "fps")


def add_track_options(parser: Parser) -> None:
    """Options about tracks and how they are measured; those that `TrackRules` has are None where they are not given."""
    group, rules = parser.group("Tracks"), TrackRules()
    group.add_argument(
        "--tracks",
        action="store_true",
        help="follow what is found as vid_predict.py does, and compare with the true tracks: HOTA, IDF1, MOTA, true "
        "tracks found, false tracks a minute",
    )
    group.add_argument(
        "--track-distance",
        type=number("track_distance"),
        metavar="N",
        help=f"with --tracks: pixels that centres lie apart at most in a hit (default: {rules.distance:g})",
    )
    group.add_argument(
        "--track-found",
        type=m_of_n("track_span"),
        metavar="M/N",
        help="with --tracks: a true track is found where at least M of N consecutive of its frames are hit (default: "
        f"{rules.found_text})",
    )
    group.add_argument(
        "--fps",
        type=number("fps"),
        metavar="X",
        help=f"with --tracks: frames a second, for false tracks a minute (default: {rules.fps:g})",
    )


def track_rules_of(options: Namespace) -> TrackRules | None:
    """What `add_track_options` asked for; None without --tracks.

    Raises:
        UserError: an option about tracks is given without it.
    """
    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    if not options.tracks:
        for name in given:
            raise UserError(
                f"--{name.replace('_', '-')}: found without --tracks, which it goes with; give both or neither"
            )
        return None
    return TrackRules(**{name.removeprefix("track_"): value for name, value in given.items()})
