"""Compare runs and classical methods on a dataset: one HTML page and a Markdown table."""

from __future__ import annotations

import platform
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from utils.commands.inputs import (
    find_predictor,
    open_labelled,
    open_predictor,
    select_sequences,
    warn_without_targets,
)
from utils.commands.options import add_data_options, add_hardware_options, hardware_of
from utils.commands.predictor_options import add_verifier_option
from utils.commands.track_options import add_track_options, track_rules_of
from utils.datasets.frame_table import Frame
from utils.datasets.quick_check import warn_without_motion
from utils.metrics import bootstrap
from utils.metrics.target_facts import TargetFacts
from utils.render.page_parts import TRUE_TARGET, encode_components
from utils.report.frames import ShownFrame, pick_frames, read_pictures
from utils.report.measure import measure, names_of
from utils.report.page import page
from utils.report.results import Measurement, MethodResult
from utils.report.tables import compare_countings, markdown
from utils.system.command_line import Parser, make_folder, number
from utils.system.errors import UserError, user_errors
from utils.system.files import encode_text, whole_file
from utils.system.machine import pick_device
from utils.system.notices import warnings_given
from utils.system.outputs import require_new_or_own

MARK = "python -m utils.report"  # is in both files
DEFAULT_FRAMES = 300


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="python -m utils.report", description=__doc__)
    parser.add_argument(
        "methods",
        nargs="+",
        metavar="METHOD",
        help="a run's folder (its best.pt), a checkpoint, or a classical method such as top-hat",
    )
    add_data_options(parser)
    add_verifier_option(parser)
    figures, output = parser.group("Figures"), parser.group("Output")
    figures.add_argument(
        "--least-box",
        type=number("least_box"),
        default=0.0,
        metavar="N",
        help="grow the boxes found to sides of N pixels for AP50, as datasets such as DAUB draw no box below 8x8",
    )
    figures.add_argument(
        "--draws",
        type=number("report.draws"),
        default=bootstrap.DRAWS,
        metavar="N",
        help="resamples of the sequences for intervals (default: %(default)s)",
    )
    add_track_options(parser)
    output.add_argument(
        "--out",
        default="report.html",
        metavar="FILE",
        help="the page; the table goes beside it as .md (default: %(default)s)",
    )
    output.add_argument(
        "--frames",
        type=number("report.frames"),
        default=DEFAULT_FRAMES,
        metavar="N",
        help="frames that can be looked at in the page, a stretch of every sequence (default: %(default)s)",
    )
    add_hardware_options(parser)
    return parser.parse_args(argv)


def describe_machine(device: str | None, threads: int = 0) -> str:
    """The processor that predicts, for people; `threads` as of `utils.system.threads.limit_threads`."""
    import torch  # here, as it takes seconds, which a mistyped option need not

    chosen_device = pick_device(device)
    if chosen_device.type == "cuda":
        return torch.cuda.get_device_name(chosen_device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    threads = threads or torch.get_num_threads()
    return f"{name}, 1 thread" if threads == 1 else f"{name}, {threads} threads"


def collect_frames(
    frames: Sequence[Frame], methods: Sequence[MethodResult], facts: TargetFacts, single: bool
) -> dict[str, list[ShownFrame]]:
    """The frames that the page shows, by sequence.

    Args:
        frames: of the dataset.
        methods: that were measured, with what they found in these frames.
        facts: of the dataset, which know the true targets.
        single: whether every sequence is a single image; then all are in one.
    """
    pictures = read_pictures(frames)
    result: dict[str, list[ShownFrame]] = {}
    for frame in frames:
        picture, (targets, _) = pictures[frame.image], facts.frames[frame.image]
        result.setdefault("all images" if single else frame.sequence, []).append(
            ShownFrame(
                frame.sequence if single else frame.number,
                picture,
                encode_components(targets, picture.width, TRUE_TARGET),
                [method.found[frame.image] for method in methods],
            )
        )
    return result


def main(argv: list[str] | None = None) -> None:
    """Measure every method, write the page and the table, and print the table."""
    options = parse(argv)
    names, verify, rules = names_of(options.methods), not options.no_verifier, track_rules_of(options)
    choices = [find_predictor(source, verify) for source in options.methods]
    labelled = open_labelled(options.data_root, options.split, "masks")
    dataset = select_sequences(labelled, options.sequences, options.ignore_value)
    out = Path(options.out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out: found '{options.out}', expected a file NAME.html")
    read = [dataset.root, *(choice.weights for choice in choices if choice.weights)]
    for path in (out, out.with_suffix(".md")):
        require_new_or_own(path, MARK.encode(), read)
    make_folder(out.parent)
    facts, picked = TargetFacts(dataset), pick_frames(dataset, options.frames, options.limit)
    shown = frozenset(frame.image for frame in picked)
    reading = {"batch_size": options.batch_size, "workers": options.workers, "quiet": options.quiet}
    methods = []
    for name, choice in zip(names, choices, strict=True):
        predictor = open_predictor(choice, hardware_of(options), dataset, quiet=True)
        warn_without_motion(dataset, predictor.settings.num_frames, name)
        methods.append(
            measure(
                name,
                predictor,
                dataset,
                facts,
                shown,
                least_side=options.least_box,
                rules=rules,
                draws=options.draws,
                **reading,
                limit=options.limit,
            )
        )
    figures = warn_without_targets(dataset, methods[0].figures)
    about = Measurement(
        dataset.name,
        dataset.split,
        figures["frames"],
        figures["targets"],
        len(shown),
        describe_machine(options.device, options.threads),
        bootstrap.Resampling(len(methods[0].sequences), options.draws),
        shlex.join([*MARK.split(), *(sys.argv[1:] if argv is None else argv)]),
        tuple(warnings_given()),
    )
    table = "\n\n".join([markdown(methods, about), compare_countings(methods), f"Made by `{MARK}`."])
    single = all(len(frames) == 1 for frames in dataset.sequences.values())
    text = encode_text(page(methods, about, collect_frames(picked, methods, facts, single)))
    for path, content in (
        (out, text),
        (out.with_suffix(".md"), encode_text(f"{table}\n")),
    ):
        with whole_file(path) as file:
            file.write(content)
    print(
        f"{table}\n\npage of {len(text) / 1e6:.1f} MB with {len(shown)} frames in {out}, "
        f"table in {out.with_suffix('.md')}"
    )


if __name__ == "__main__":
    with user_errors():
        main()
