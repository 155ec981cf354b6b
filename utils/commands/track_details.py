"""What is said about tracks that were measured (`--tracks`)."""

from __future__ import annotations

from typing import Any

from utils.commands.inputs import pick_rows
from utils.datasets.dataset import Dataset
from utils.metrics.target_facts import MAX_TARGET_SPEED
from utils.metrics.tracks.counts import COUNTED, add_counts, track_figures
from utils.metrics.tracks.log import TrackLog, track_intervals
from utils.system.notices import warn
from utils.system.tables import format_table

COLUMNS = (
    ("true tracks", "true_tracks", "d"),
    ("HOTA", "hota", ".4f"),
    ("IDF1", "idf1", ".4f"),
    ("MOTA", "mota", ".4f"),
    ("switches", "identity_switches", "d"),
    ("track Pd", "track_pd", ".4f"),
    ("first hit after", "frames_to_first_hit", ".1f"),
    ("tracks", "tracks", "d"),
    ("false", "false_tracks", "d"),
    ("false/minute", "false_tracks_per_minute", ".2f"),
)


def track_content(log: TrackLog, dataset: Dataset, draws: int) -> dict[str, Any]:
    """What joins metrics.json as `tracks`.

    Args:
        log: that saw all frames.
        dataset: that was measured.
        draws: resamples of the sequences for intervals (0: none).

    Returns:
        The rules; figures and counts of `overall`, of every subset and, as `sequences`, of every sequence; `intervals`;
        and in how many sequences how many targets are `linked`, as labels name no track.

    Raises:
        UserError: a label's id stands twice in a frame.
    """
    counts, rules = log.counts(), log.rules

    def figures(parts: Any) -> dict[str, Any]:
        total = add_counts(parts)
        return {name: total[name] for name in COUNTED} | track_figures(total, rules)

    truth = log.true_tracks().values()
    return {
        "distance": rules.distance,
        "found": rules.found_text,
        "fps": rules.fps,
        "overall": figures(counts.values()),
        **{name: figures(counts[own] for own in counts if own in members) for name, members in dataset.subsets.items()},
        "sequences": {name: figures([own]) for name, own in counts.items()},
        "intervals": track_intervals(list(counts.values()), rules, draws) if draws else {},
        "linked": {
            "sequences": sum(one.linked > 0 for one in truth),
            "targets": sum(one.linked for one in truth),
            "ambiguous": sum(one.ambiguous for one in truth),
        },
    }


def describe_tracks(content: dict[str, Any], dataset: Dataset) -> list[str]:
    """What `track_content` gave, in lines; warns where targets could have been linked otherwise."""
    linked = content["linked"]
    if linked["ambiguous"]:
        warn(
            f"{dataset.root}: labels name no track of {linked['targets']} targets, which are linked by their distance; "
            f"{linked['ambiguous']} links could have gone to another target within {MAX_TARGET_SPEED:g} pixels a frame "
            "as well: identity switches, IDF1 and HOTA depend on the choice; labels with track ids settle it"
        )
    rows = {name: content[name] for name in ("overall", *dataset.subsets)}
    lines = [
        f"tracks: centres at most {content['distance']:g} px apart, found where {content['found']} frames are hit, "
        f"{content['fps']:g} frames a second",
        format_table(rows | pick_rows(content["sequences"]), COLUMNS),
    ]
    if linked["targets"] and not linked["ambiguous"]:
        lines.append(
            f"labels name no track of {linked['targets']} targets ({linked['sequences']} sequences): each is linked to "
            f"the nearest of the next frame, at most {MAX_TARGET_SPEED:g} pixels a frame away"
        )
    if content["intervals"]:
        found = content["intervals"]
        columns = [column for column in COLUMNS if column[1] in found]
        ends = {name: {key: found[key][side] for _, key, _ in columns} for side, name in enumerate(("from", "to"))}
        lines.append(format_table({"overall": content["overall"]} | ends, columns, corner="95 % intervals"))
    return lines


def assess_tracks(log: TrackLog, dataset: Dataset, draws: int) -> tuple[dict[str, Any], list[str]]:
    """What joins metrics.json, and the same as lines of text; see `track_content`."""
    content = track_content(log, dataset, draws)
    return {"tracks": content}, describe_tracks(content, dataset)
