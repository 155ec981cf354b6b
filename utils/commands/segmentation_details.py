"""Everything that `test.py` says about an evaluation beyond the first table.

That is both rules, intervals, bands, faulty countings, contact sheets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

from utils.datasets.dataset import Dataset
from utils.metrics import bootstrap
from utils.metrics.breakdown import BANDS, Band, TargetLog
from utils.metrics.evaluate import Evaluation
from utils.metrics.figures import EMPTY_FRAMES, ratio
from utils.metrics.published_countings import COUNTINGS, shifts
from utils.metrics.rules import MASK_RULES
from utils.metrics.segmentation import SegmentationMetrics
from utils.render.contact_sheet import SHEETS
from utils.system.tables import align_cells, format_table, format_value

COLUMNS_WITH_INTERVALS = (
    ("Pd", "pd", ".4f"),
    ("Fa", "fa", ".2e"),
    ("F1", "f1", ".4f"),
    ("IoU", "iou", ".4f"),
    ("nIoU", "niou", ".4f"),
    ("AUC", "pixel_auc", ".5f"),
    ("Pd, Fa <= 1e-6", "pd_at_fa_1e-06", ".4f"),
    ("Pd, Fa <= 1e-5", "pd_at_fa_1e-05", ".4f"),
    ("Pd, Fa <= 1e-4", "pd_at_fa_1e-04", ".4f"),
)


@dataclass(frozen=True)
class DetailSettings:
    """What the details are to be.

    Args:
        rule: the one that the first table has, see `utils.metrics.segmentation`.
        empty: what frames without targets add to nIoU, a key of `utils.metrics.figures.EMPTY_FRAMES`.
        draws: resamples of the sequences for intervals (0: none).
        curve: with the figures of Pd over Fa.
    """

    rule: str
    empty: str
    draws: int
    curve: bool


def countings_of(names: Sequence[str]) -> tuple[str, ...]:
    """The faulty countings that are asked for by their names, or by "all"."""
    return tuple(COUNTINGS) if "all" in names else tuple(names)


def compute_figures(metrics: SegmentationMetrics, empty: str, curve: bool) -> dict[str, Any]:
    """Figures of one set, with the single numbers of its `curve` where that is wanted."""
    result = metrics.compute(empty)
    if curve:
        whole = metrics.curve()
        result |= {name: whole[name] for name in ("pd_fa_auc", "pixel_auc")}
        result |= {f"pd_at_fa_{limit:.0e}": pd for limit, pd in whole["pd_at_fa"].items()}
    return result


def assess(
    settings: DetailSettings, dataset: Dataset, result: Evaluation, log: TargetLog | None, out: Path
) -> tuple[dict[str, Any], str]:
    """What joins metrics.json, and the same as text.

    Args:
        settings: what is asked for.
        dataset: that was measured.
        result: of `evaluate_sequences` with both rules.
        log: that observed it, or None.
        out: folder of the sheets of `utils.render.contact_sheet.write_sheets`.
    """
    summed = {rule: sum(parts.values(), SegmentationMetrics(rule)) for rule, parts in result.by_rule.items()}
    rules = {rule: compute_figures(metrics, settings.empty, settings.curve) for rule, metrics in summed.items()}
    content: dict[str, Any] = {"rules": rules, "empty_frames": EMPTY_FRAMES[settings.empty]}
    columns = [column for column in COLUMNS_WITH_INTERVALS if settings.curve or column[1] in rules[settings.rule]]
    lines = ["", f"by both rules (nIoU: {EMPTY_FRAMES[settings.empty]})", format_table(rules, columns)]
    if settings.draws:
        resampling = bootstrap.Resampling(len(result.by_rule[settings.rule]), settings.draws)
        intervals = _compute_intervals(settings, dataset, result)
        lines += _describe_intervals(resampling, intervals["overall"], rules[settings.rule])
        content |= {"intervals": intervals, "bootstrap": resampling.as_dict()}
    if log is not None:
        bands = log.bands(settings.draws or bootstrap.DRAWS)
        lines += _describe_bands(bands)
        content["bands"] = {key: [band.as_dict() for band in rows] for key, rows in bands.items()}
        content["contact_sheets"] = [str(out / name) for name in SHEETS]
        lines.append(f"worst false alarms and misses in {' and '.join(content['contact_sheets'])}")
    if result.by_counting:
        content["compat"] = {name: metrics.compute() for name, metrics in result.by_counting.items()}
        lines += ["", compat_table({rule: metrics.compute() for rule, metrics in summed.items()}, content["compat"])]
    return content, "\n".join(lines)


def _compute_intervals(
    settings: DetailSettings, dataset: Dataset, result: Evaluation
) -> dict[str, bootstrap.Intervals]:
    """The intervals of the whole, of the dataset's subsets, and of the whole by the other rule."""
    parts = result.by_rule[settings.rule]
    sets = {"overall": list(parts.values())}
    sets |= {
        name: [part for sequence, part in parts.items() if sequence in members]
        for name, members in dataset.subsets.items()
    }
    sets |= {
        f"overall_{rule}": list(result.by_rule[rule].values())
        for rule in MASK_RULES
        if rule != settings.rule and rule in result.by_rule
    }
    return {
        name: bootstrap.intervals(
            bootstrap.segmentation_draws(members, settings.draws, curve=settings.curve, empty=settings.empty)
        )
        for name, members in sets.items()
        if members
    }


def _describe_intervals(
    resampling: bootstrap.Resampling, ends: bootstrap.Intervals, figures: dict[str, Any]
) -> list[str]:
    columns = [column for column in COLUMNS_WITH_INTERVALS if column[1] in figures]
    rows = {"figure": figures} | {
        name: {key: ends[key][side] for _, key, _ in columns} for side, name in enumerate(("from", "to"))
    }
    return ["", resampling.describe(), format_table(rows, columns)]


def _describe_bands(bands: dict[str, list[Band]]) -> list[str]:
    lines: list[str] = []
    columns = (("targets", "targets", "d"), ("Pd", "pd", ".4f"), ("from", "from", ".4f"), ("to", "to", ".4f"))
    for key, rows in bands.items():
        figures = {
            band.name: {"targets": band.targets, "pd": band.pd, "from": band.interval[0], "to": band.interval[1]}
            for band in rows
        }
        lines += ["", f"Pd by {BANDS[key][0]}", format_table(figures, columns)]
    return lines


def compat_table(right: dict[str, dict[str, Any]], counted: dict[str, dict[str, Any]]) -> str:
    """How far the figures move by each faulty counting, as text."""
    lines = [["counting", "figure", "right", "counted", "moves by"]]
    for name, key, correct, faulty in shifts(right, counted):
        lines.append(
            [
                name,
                key,
                format_value(correct, ".4g"),
                format_value(faulty, ".4g"),
                format_value(ratio(faulty, correct) - 1, "+.1%"),
            ]
        )
    return "as published code counts\n" + indent(align_cells(lines, 2, (16, 18, 12, 12, 10), gap=""), "  ")
