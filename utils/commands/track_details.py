"""What is said about tracks that were measured (`--tracks`)."""

from __future__ import annotations

from typing import Any

from utils.commands.inputs import pick_rows
from utils.datasets.dataset import Dataset
from utils.metrics.tracks import TrackLog, measure_tracks
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


def assess_tracks(log: TrackLog | None, dataset: Dataset, draws: int) -> tuple[dict[str, Any], list[str]]:
    """What joins metrics.json as `tracks`, and the same as lines of text; nothing where there is no log.

    Args:
        log: that saw all frames.
        dataset: that was measured.
        draws: resamples of the sequences for intervals (0: none).
    """
    if log is None:
        return {}, []
    results = measure_tracks(log, dataset.subsets, draws)
    rows = {"overall": results.overall} | results.subsets | pick_rows(results.sequences)
    lines = [results.describe(), format_table(rows, COLUMNS)]
    if links := results.describe_links():
        lines.append(links)
    if found := results.intervals:
        columns = [column for column in COLUMNS if column[1] in found]
        ends = {name: {key: found[key][side] for _, key, _ in columns} for side, name in enumerate(("from", "to"))}
        lines.append(format_table({"overall": results.overall} | ends, columns, corner="95% intervals"))
    return {"tracks": results.as_dict()}, lines
