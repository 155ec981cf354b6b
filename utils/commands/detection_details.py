"""What `vid_map_coco.py` says about an evaluation: of all parts, of every class, matched one to one, with intervals."""

from __future__ import annotations

from typing import Any

from utils.commands.inputs import pick_rows, warn_without_targets
from utils.datasets.dataset import Dataset
from utils.metrics import bootstrap
from utils.metrics.average_precision import published_ap50
from utils.metrics.coco_results import Naming
from utils.metrics.detection import MIN_IOU, DetectionMetrics
from utils.metrics.evaluate import DetectionEvaluation
from utils.metrics.hungarian import HUNGARIAN_RULES, PUBLISHED_SCORE, match_figures, summarise_videos
from utils.predictor.prediction import MAX_DETECTIONS
from utils.system.tables import format_table, format_value

COLUMNS = (
    ("frames", "frames", "d"),
    ("targets", "targets", "d"),
    ("AP50", "ap50", ".4f"),
    ("AP", "ap", ".4f"),
    ("centre AP", "centre_ap", ".4f"),
    ("precision", "precision", ".4f"),
    ("recall", "recall", ".4f"),
    ("F1", "f1", ".4f"),
    ("F1 any overlap", "any_overlap_f1", ".4f"),
    ("F1 5 px", "centre_5px_f1", ".4f"),
    ("false/frame", "false_per_frame", ".3f"),
    ("Pd", "pd", ".4f"),
    ("false/frame (centre)", "centre_false_per_frame", ".3f"),
)
RATES = (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))  # of boxes matched one to one
MATCH_COLUMNS = tuple(
    (head + text, start + key, ".4f") for head, start in (("", ""), ("mean ", "mean_")) for text, key in RATES
)
SIZES = (("below 8x8", "tiny"), ("8x8 to 16x16", "8_16"), ("16x16 to 32x32", "16_32"))


def figures_of(metrics: DetectionMetrics, threshold: float, areas: bool = False) -> dict[str, float | int]:
    """All figures of a part at a threshold of the score; `areas` as of `DetectionMetrics.compute`."""
    return metrics.compute(threshold, areas) | published_ap50(metrics.found, metrics.true, metrics.ignored)


def assess(
    result: DetectionEvaluation, dataset: Dataset, model: str, threshold: float, timed: bool
) -> tuple[dict[str, Any], list[str]]:
    """The figures, and the same as lines of text.

    Args:
        result: of the dataset.
        dataset: that was measured.
        model: what found the boxes, for people.
        threshold: score above which a box counts for precision, recall and F1.
        timed: whether predicting was part of it, so that its speed says something.

    Returns:
        The figures of the whole, of every subset and, as `sequences`, of every sequence, as metrics.json has them;
        and the lines.
    """
    parts = {"overall": result.overall} | result.subsets
    figures = {name: figures_of(metrics, threshold, areas=True) for name, metrics in parts.items()}
    sequences = {name: figures_of(metrics, threshold) for name, metrics in result.sequences.items()}
    overall = warn_without_targets(dataset, figures["overall"])
    lines = [
        f"{dataset.name} ({dataset.layout}), split {dataset.split}; {model}, precision, recall and F1 of scores "
        f"above {threshold:.4g}, at IoU {MIN_IOU:g} where no other rule is named",
        format_table(figures | pick_rows(sequences), COLUMNS),
        "AP50 by size of target: "
        + ", ".join(f"{name} {format_value(overall[f'ap50_{key}'], '.4f')}" for name, key in SIZES),
        "as the papers print them: "
        + ", ".join(
            f"{name} {format_value(overall[f'published_{name.lower()}'], '.4f')}"
            for name in ("precision", "recall", "F1")
        ),
    ]
    if overall["ignored_regions"]:
        lines.append(
            f"{overall['ignored_regions']} regions to ignore (crowd, ignore, difficult): no targets, and what is "
            "found in them is not false"
        )
    if timed:
        rate = len(result.detections) / result.seconds
        lines.append(f"{overall['frames']} frames in {result.seconds:.1f} s, {rate:.1f} a second")
    return {**figures, "sequences": sequences}, lines


def assess_details(
    result: DetectionEvaluation, dataset: Dataset, naming: Naming, figures: dict[str, Any], draws: int
) -> tuple[dict[str, Any], list[str]]:
    """What joins the figures of `assess` in metrics.json, and the same as lines of text.

    Args:
        result: of the dataset.
        dataset: that was measured.
        naming: of its classes.
        figures: of the whole, as of `assess`.
        draws: resamples of the sequences for intervals (0: none).

    Returns:
        `classes`, the figures of every class by its name where there are several; `hungarian`, those of boxes matched
        one to one, `published` and `at_threshold`; with `draws` `intervals` and `bootstrap`.
    """
    parts = [
        _assess_classes(result, naming, figures["threshold"]),
        _assess_matches(result, dataset, naming, figures),
    ]
    if draws:
        parts.append(_assess_intervals(result, figures, draws))
    content: dict[str, Any] = {}
    for more, _ in parts:
        content |= more
    return content, [line for _, lines in parts for line in lines]


def _assess_classes(result: DetectionEvaluation, naming: Naming, threshold: float) -> tuple[dict[str, Any], list[str]]:
    """The figures of every class by its name, where there are several, and their table."""
    classes = result.overall.classes()
    if len(classes) < 2:
        return {"classes": {}}, []
    figures = {naming.name(number): figures_of(result.overall.of_class(number), threshold) for number in classes}
    return {"classes": figures}, [format_table(figures, COLUMNS, corner="class")]


def _match_parts(result: DetectionEvaluation, dataset: Dataset, naming: Naming, score: float) -> dict[str, Any]:
    """The figures of boxes matched one to one whose scores exceed `score`: of the same parts, and of every class."""
    videos = {name: part.count_matches(score) for name, part in result.sequences.items()}
    groups = {"overall": tuple(videos)} | dataset.subsets
    classes = result.overall.classes()
    return {
        "score": score,
        **{name: summarise_videos([videos[own] for own in videos if own in group]) for name, group in groups.items()},
        "sequences": {name: match_figures(counts) for name, counts in videos.items()},
        "classes": {
            naming.name(number): summarise_videos(
                [part.of_class(number).count_matches(score) for part in result.sequences.values()]
            )
            for number in classes
            if len(classes) > 1
        },
    }


def _assess_matches(
    result: DetectionEvaluation, dataset: Dataset, naming: Naming, figures: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """`_match_parts` at the score that satellite video is published with and at the threshold; the former as lines.

    The lines also have what of `figures`, those of the whole, satellite video is published with.
    """
    published, own = (_match_parts(result, dataset, naming, score) for score in (PUBLISHED_SCORE, figures["threshold"]))
    overall, starts = published["overall"], ("", "mean_")
    rows = {
        text: {start + key: overall[f"{start}{rule}_{key}"] for start in starts for _, key in RATES}
        for rule, text in HUNGARIAN_RULES.items()
    }
    capped, whole = (format_value(figures[f"ap50_rounded{cap}"], ".4f") for cap in ("", "_uncapped"))
    lines = [
        f"as of satellite video: scores above {PUBLISHED_SCORE:g}, boxes matched one to one, pooled and as mean over "
        f"sequences ({len(result.sequences)})",
        format_table(rows, MATCH_COLUMNS),
        f"AP50 with two decimals: {capped} of the surest {MAX_DETECTIONS} of a frame, {whole} of all",
    ]
    if any(overall[f"published_{key}"] != overall[key] for key in overall if key.startswith("mean_")):
        means = ", ".join(format_value(overall[f"published_mean_{rule}_f1"], ".4f") for rule in HUNGARIAN_RULES)
        lines.append(f"published code counts a sequence as 0 where a figure is undefined: mean F1 {means}")
    return {"hungarian": {"published": published, "at_threshold": own}}, lines


def _assess_intervals(
    result: DetectionEvaluation, figures: dict[str, Any], draws: int
) -> tuple[dict[str, Any], list[str]]:
    """The 95 % intervals over sequences, as they join metrics.json and as lines of text."""
    sequences = list(result.sequences.values())
    found = bootstrap.intervals(bootstrap.detection_draws(sequences, figures["threshold"], draws))
    published = bootstrap.intervals(bootstrap.match_draws(sequences, PUBLISHED_SCORE, draws))
    resampling = bootstrap.Resampling(len(result.sequences), draws)
    columns = [column for column in COLUMNS if column[1] in found]
    ends = {name: {key: found[key][side] for _, key, _ in columns} for side, name in enumerate(("from", "to"))}
    lines = [resampling.describe(), format_table({"figure": figures} | ends, columns)]
    intervals = {"overall": found, "hungarian": {"published": published}}
    return {"intervals": intervals, "bootstrap": resampling.as_dict()}, lines
