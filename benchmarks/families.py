"""Detectors beside segmentation networks on the same frames, a row for each weights file.

    python -m benchmarks.families --data-root datasets/DAUB --least-box 8 \
        --weights runs/DAUB_sstnet/best.pt runs/DAUB_tsmsa/best.pt

Of a segmentation network the boxes of its components count, grown to `--least-box`. `ap50` is COCO's, `centre_ap` the
average precision by the centres' distance (a hit within 3 px); `pd` and `false` a frame are by that rule too, at the
file's own threshold: areas play no part, so that a box of 8×8 pixels costs no more than a component of four. `ms` is
the time of a frame from grey levels to boxes, registration included, reading and counting left out: the median of
`--rounds` runs over the first `--timed` frames of the dataset's first sequence, the files taking turns.
"""

from __future__ import annotations

from typing import Any

from benchmarks.measure import alternate, check_json, parser, report
from utils.cli import number
from utils.errors import user_errors
from utils.measuring import add_options, only_sequences, open_labelled
from utils.predictor import check_weights

FIGURES = {"ap50": "ap50", "centre_ap": "centre_ap", "pd": "pd", "false": "centre_false_per_frame"}


def main(argv: list[str] | None = None) -> None:
    options = parser("families", __doc__.splitlines()[0])
    options.add_argument("--weights", nargs="+", required=True, metavar="FILE",
                         help="checkpoints, or published weights")
    options.add_argument("--least-box", type=number(float, 0), default=0.0, metavar="N",
                         help="grow the boxes found to sides of N pixels, as vid_map_coco.py does")
    options.add_argument("--timed", type=number(int, 1), default=20, metavar="N", help="frames that are timed")
    add_options(options)
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        for path in chosen.weights:
            check_weights(path)
        if chosen.quick:
            chosen.rounds, chosen.limit, chosen.timed = 2, 2, 2
        report(compare(chosen), chosen.json)


def compare(chosen: Any) -> list[dict[str, Any]]:
    """A row of figures for each of `chosen.weights`."""
    import torch

    from utils.evaluate import evaluate_detection
    from utils.frames import read_frame
    from utils.predictor import Predictor
    from utils.weights import read_weights

    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    dataset = only_sequences(open_labelled(chosen, "boxes"), chosen.sequences)
    first = next(iter(dataset.sequences.values()))[: chosen.timed]
    frames = [(frame.number, read_frame(frame.image)) for frame in first]
    predictors = {path: Predictor.from_checkpoint(path, chosen.device, None, dataset.normalisation)
                  for path in chosen.weights}
    times = alternate({path: lambda predictor=predictor: list(predictor.stream(frames))
                       for path, predictor in predictors.items()}, chosen.rounds)
    rows = []
    for path, predictor in predictors.items():
        result = evaluate_detection(predictor, dataset, least_side=chosen.least_box, batch_size=chosen.batch_size,
                                    workers=chosen.workers, limit=chosen.limit, quiet=chosen.quiet,
                                    title=predictor.name)
        figures = result.overall.compute(predictor.threshold, areas=False)
        network = read_weights(path, dataset.normalisation).model.network
        rows.append({"network": predictor.name, "weights": path, "frames": figures["frames"]}
                    | {name: round(figures[key], 4) for name, key in FIGURES.items()}
                    | {"parameters": sum(value.numel() for value in network.parameters()),
                       "ms": round(times[path] / len(frames), 2)})
    return rows


if __name__ == "__main__":
    main()
