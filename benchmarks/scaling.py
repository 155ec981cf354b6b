"""How cost grows: with the frame's area, with the frames in a clip, with the number of targets.

    python -m benchmarks.scaling --json scaling.json
    python -m benchmarks.scaling --of frames --networks tsmsa

Over whole clips the cost follows T; streaming, only the recurrence over the window does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.measure import Call, alternate, check_json, count_cost, make_parser, report
from benchmarks.metrics import draw_sparse_pair
from utils.metrics.segmentation import SegmentationMetrics
from utils.system.errors import user_errors
from utils.system.machine import keep_memory

FRAME_SIDES, CLIP_LENGTHS, TARGET_COUNTS = (256, 512, 1024, 2048), (3, 5, 10, 20, 40), (1, 10, 100, 1000)

Point = tuple[int, dict[str, Call]]  # an amount, and the calls of each way with it


def main(argv: list[str] | None = None) -> None:
    """Measure along each kind of growth that `--of` names, and print a row for each amount."""
    options = make_parser("scaling", __doc__.splitlines()[0])
    options.add_argument(
        "--of", nargs="+", choices=("area", "frames", "targets"), default=["area", "frames", "targets"]
    )
    options.add_argument("--networks", nargs="+", choices=("tsmsa", "sstnet"), default=["tsmsa", "sstnet"])
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
    sides, lengths, numbers, size = FRAME_SIDES, CLIP_LENGTHS, TARGET_COUNTS, 256
    if chosen.quick:
        sides, lengths, numbers, size, chosen.rounds = (32, 64), (3, 4), (1, 3), 32, 2
    keep_memory()
    if chosen.threads:
        import torch  # too slow for a command line that may be mistyped

        torch.set_num_threads(chosen.threads)
    rows: list[dict[str, Any]] = []
    for name in chosen.networks:
        if "area" in chosen.of:
            points = {f"{side}×{side}": (side**2, network_calls(name, side, 5)) for side in sides}
            rows += growth_rows(f"{name}, area, T 5", points, chosen.rounds)
        if "frames" in chosen.of:
            points = {f"T {length}": (length, network_calls(name, size, length)) for length in lengths}
            rows += growth_rows(f"{name}, frames, {size}×{size}", points, chosen.rounds)
    if "targets" in chosen.of:
        side = 128 if chosen.quick else 512
        points = {f"{number} targets": (number, metrics_calls(number, side)) for number in numbers}
        rows += growth_rows(f"metrics, targets, {side}×{side}", points, chosen.rounds)
    report(rows, chosen.json)


def growth_rows(work: str, points: dict[str, Point], rounds: int) -> list[dict[str, Any]]:
    """Rows of points by label, whose `growth` is their time over the first point's, beside that of the amount."""
    rows = []
    for label, (amount, calls) in points.items():
        ms = alternate(calls, rounds)
        first = points[next(iter(points))][0]
        for way, call in calls.items():
            gflops = peak = None
            if way != "update":
                cost = count_cost(call)
                gflops, peak = round(cost.gflops, 3), round(cost.peak_mib, 1)
            rows.append(
                {
                    "work": f"{work}, {way}",
                    "variant": label,
                    "ms": round(ms[way], 3),
                    "gflops": gflops,
                    "peak_mib": peak,
                    "amount": round(amount / first, 3),
                    "growth": None,
                }
            )
    for row in rows:
        base = next(other["ms"] for other in rows if other["work"] == row["work"])
        row["growth"] = round(row["ms"] / base, 3)
    return sorted(rows, key=lambda row: row["work"])


def network_calls(name: str, size: int, count: int) -> dict[str, Call]:
    """One clip of `count` frames, and one more frame of a stream."""
    # torch, which these import, is too slow for a command line that may be mistyped.
    from benchmarks.networks import clip_of, random_frames
    from nets import build_model
    from nets.inference.runtime import Runtime

    network = build_model(name, num_frames=count).network
    runtime = Runtime(network)
    frames = random_frames(network, count, 1, size)
    clip, key = clip_of(frames), frames[-1]
    return {"clip": lambda: runtime.windows(clip), "stream": lambda: runtime(key)}


def metrics_calls(targets: int, size: int) -> dict[str, Call]:
    """One frame's masks, with probabilities for the curve over the threshold."""
    rng = np.random.default_rng(0)
    prediction, mask = draw_sparse_pair(rng, size, targets)
    probability = np.where(prediction, rng.uniform(0.5, 1, mask.shape), rng.uniform(0, 0.01, mask.shape))
    metrics = SegmentationMetrics()
    return {"update": lambda: metrics.update(prediction, mask, probability)}


if __name__ == "__main__":
    main()
