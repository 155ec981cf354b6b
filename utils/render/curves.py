"""Curves as pictures: training histories, Pd over Fa, precision over recall."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.system.files import whole_file
from utils.system.tables import on_one_line

RUNS_MARK = "training runs side by side, by python -m utils.log"  # is in their picture's file
NOT_LOSSES = frozenset({"epoch", "lr", "clips", "clips_per_s", "data_s", "elapsed_s", "skipped", "replaced"})
# validation figures between 0 and 1
SHARE_FIGURES = ("pd", "iou", "niou", "pixel_accuracy", "pd_in_budget", "ap50", "centre_ap", "centre_f1")
FIGURE_NAMES = {
    "pd": "Pd",
    "fa": "Fa",
    "iou": "IoU",
    "niou": "nIoU",
    "pixel_accuracy": "pixel accuracy",
    "ap50": "AP50",
    "centre_ap": "centre AP",
    "centre_f1": "F1 by centres",
    "pd_in_budget": "Pd within the Fa budget",
    "false_per_frame": "false components a frame",
}


def plot_history(history: Sequence[Mapping[str, Any]], path: str | os.PathLike) -> None:
    """Draw the curves of a training run.

    Args:
        history: a row for each epoch: `epoch`, `lr`, losses by name (all other numbers at the top level), and, where
            the epoch was validated, `val` with figures of `SegmentationMetrics` or `DetectionMetrics`.
        path: of the PNG.
    """
    figure, (losses, shares, false, rate) = _figure(2, 2)
    names = dict.fromkeys(
        key
        for row in history
        for key, value in row.items()
        if key not in NOT_LOSSES and isinstance(value, (int, float))
    )
    for name in names:
        _line(losses, history, [row.get(name) for row in history], name)
    validated = [row for row in history if row.get("val")]
    for name in SHARE_FIGURES:
        _line(shares, validated, [row["val"].get(name) for row in validated], FIGURE_NAMES[name])
    for name in ("fa", "false_per_frame"):
        _line(false, validated, [row["val"].get(name) for row in validated], FIGURE_NAMES[name])
    _line(rate, history, [row.get("lr") for row in history], "learning rate")
    for axes, title in (
        (losses, "training loss"),
        (shares, "validation"),
        (false, "validation, false alarms"),
        (rate, "learning rate"),
    ):
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    shares.set_ylim(-0.02, 1.02)
    for axes in (losses, rate):
        if any((np.asarray(line.get_ydata(), float) > 0).any() for line in axes.lines):
            axes.set_yscale("log")
    false.set_yscale("symlog", linthresh=1e-7)  # no false alarm at all is a good figure, and has its place
    false.set_ylim(bottom=0)
    _save(figure, path)


def plot_curves(
    curves: Mapping[str, Mapping[str, Any]], path: str | os.PathLike, threshold: float | None = None
) -> None:
    """Draw Pd over Fa and over false components a frame, and all figures over the threshold.

    Args:
        curves: `SegmentationMetrics.curve()` by name; one without targets is left out.
        path: of the PNG.
        threshold: the operating point, marked on every curve.
    """
    figure, (by_fa, by_frame, by_threshold) = _figure(1, 3)
    for index, (name, curve) in enumerate(curves.items()):
        pd = np.asarray(curve["pd"], float)
        if np.isnan(pd).all():
            continue
        colour = f"C{index}"
        at = None if threshold is None else int(np.abs(np.asarray(curve["threshold"]) - threshold).argmin())
        for axes, key in ((by_fa, "fa"), (by_frame, "false_per_frame")):
            x = np.asarray(curve[key], float)
            label = f"{name} (area {curve['pd_fa_auc']:.3f} up to Fa {curve['fa_limit']:.0e})" if key == "fa" else name
            axes.plot(x, pd, ".-", color=colour, markersize=3, label=label)
            if at is not None:
                axes.plot(x[at], pd[at], "o", color=colour, markerfacecolor="none", markersize=9)
        for key, style in (("pd", "-"), ("iou", "--")):
            logit = np.log(curve["threshold"]) - np.log1p(-np.asarray(curve["threshold"]))
            by_threshold.plot(logit, curve[key], style, color=colour, label=f"{FIGURE_NAMES[key]}, {name}")
    by_fa.set(
        title="Pd over Fa" + (f" (o: threshold {threshold:.3g})" if threshold is not None else ""),
        xlabel="false pixels / pixels (Fa)",
        ylabel="Pd",
    )
    by_frame.set(title="Pd over false components", xlabel="false components a frame", ylabel="Pd")
    by_threshold.set(title="Pd and IoU over the threshold", xlabel="threshold")
    shown = [0.05, 0.5, 0.9, 0.99, 0.999, 0.9999]
    by_threshold.set_xticks([math.log(p / (1 - p)) for p in shown], [str(p) for p in shown])
    for axes, least in ((by_fa, 1e-7), (by_frame, 1e-3)):
        axes.set_xscale("symlog", linthresh=least)  # a curve begins at no false alarm at all
        axes.set_xlim(left=0)
    for axes in (by_fa, by_frame, by_threshold):
        axes.set_ylim(-0.02, 1.02)
    _save(figure, path)


def plot_precision_recall(curves: Mapping[str, Mapping[str, Any]], path: str | os.PathLike, title: str = "") -> None:
    """Draw precision over recall.

    Args:
        curves: by name; `recall` and `precision` `(K,)`, NaN where there is no target, and where it is known `at`:
            (recall, precision) at the operating threshold, which is marked.
        path: of the PNG.
        title: above the picture.
    """
    figure, (axes,) = _figure(1, 1)
    for index, (name, curve) in enumerate(curves.items()):
        precision = np.asarray(curve["precision"], float)
        if np.isnan(precision).all():
            continue
        axes.plot(curve["recall"], precision, "-", color=f"C{index}", label=f"{name} (AP {precision.mean():.3f})")
        if curve.get("at") and np.isfinite(curve["at"]).all():
            axes.plot(*curve["at"], "o", color=f"C{index}", markerfacecolor="none", markersize=9)
    axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _save(figure, path)


def plot_runs(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    path: str | os.PathLike,
    xlabel: str = "epoch",
) -> None:
    """Draw the same figures of several runs.

    Args:
        curves: by title and by run, x and y.
        path: of the PNG.
        xlabel: of all.
    """
    columns = min(2, max(1, len(curves)))
    figure, axes = _figure(max(1, -(-len(curves) // columns)), columns)
    for one, (title, lines) in zip(axes, curves.items(), strict=False):
        for name, (x, y) in lines.items():
            if len(x):
                one.plot(x, y, ".-", markersize=4, linewidth=1.2, label=on_one_line(name))
        one.set(title=title, xlabel=xlabel)
    for spare in axes[len(curves) :]:
        spare.set_axis_off()
    _save(figure, path, {"Title": RUNS_MARK})


def _figure(rows: int, columns: int) -> tuple[Any, Any]:
    # here, as they take a second, which a mistyped option need not
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.3 * columns, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen, whatever pyplot is set to
    return figure, figure.subplots(rows, columns, squeeze=False).reshape(-1)


def _line(axes: Any, rows: Sequence[Mapping[str, Any]], values: Sequence[Any], label: str) -> None:
    points = [
        (row["epoch"], value)
        for row, value in zip(rows, values, strict=True)
        if value is not None and math.isfinite(value)
    ]
    if points:
        axes.plot(*zip(*points, strict=True), ".-", markersize=4, linewidth=1.2, label=label)


def _save(figure: Any, path: str | os.PathLike, about: Mapping[str, str] | None = None) -> None:
    for axes in figure.axes:
        axes.grid(True, alpha=0.3)
        if axes.lines and axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=110, metadata=about)
