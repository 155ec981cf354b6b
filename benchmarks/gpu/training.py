"""A short training in mixed precision beside one in float32: the same clips in the same order, step by step in turns.

So all take as many steps as there is time for. `iou` and `pd` are of made clips that none of them has learnt from.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.rows import RowFile, describe, stage_parser
from utils.metrics.segmentation import SegmentationMetrics
from utils.system.command_line import number
from utils.system.errors import user_errors
from utils.system.machine import keep_memory, pick_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from utils.training.learner import Learner

# torch and what imports it stay inside functions: too slow for a command line that may be mistyped.
PRECISIONS = ("off", "bf16", "fp16")
FRAMES = 5
RATE = 2e-3
LAST_SHARE = 0.1  # of the steps, whose mean loss counts


@dataclass(frozen=True)
class Extent:
    """How much there is: training clips and others of `side`², clips in a batch, seconds for all precisions."""

    side: int
    train: int
    test: int
    batch: int
    seconds: float


@dataclass
class Course:
    """A network that learns in one precision, and how that went; `error` where it ended."""

    learner: Learner
    losses: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    error: str = ""


def main(argv: list[str] | None = None) -> None:
    """Train in all precisions, and write a row for each."""
    options = stage_parser("training", __doc__.splitlines()[0])
    options.add_argument("--seconds", type=number("benchmark.seconds"), help="for the steps (default: 30; --quick: 2)")
    with user_errors():
        chosen = options.parse_args(argv)
        import torch

        keep_memory()
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        device, rows = pick_device(chosen.device), RowFile(chosen.rows)
        small, full = Extent(32, 16, 8, 4, chosen.seconds or 2), Extent(128, 512, 64, 16, chosen.seconds or 30)
        extent = small if chosen.quick else full
        generator = torch.Generator().manual_seed(0)
        train, test = (make_clips(count, extent.side, generator) for count in (extent.train, extent.test))
        courses = {}
        for amp in PRECISIONS:
            if amp == "fp16" and device.type == "cpu":
                rows.leave_out({"precision": amp}, "fp16 is for GPUs")
            else:
                courses[amp] = Course(make_learner(amp, device))
        take_steps(courses, train, extent, generator)
        for amp, course in courses.items():
            rows.measure({"precision": amp}, lambda course=course: summarise(course, test))


def make_clips(count: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Clips of a smooth scene with noise, over which a target of 3×3 pixels moves.

    Returns:
        Clips (N, T, H, W) float32 of mean 0 and deviation about 1, and masks of the last frames (N, 1, H, W).
    """
    import torch

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    coarse = torch.randn(count, 1, side // 8, side // 8, generator=generator)
    scene = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    clips = scene + 0.3 * torch.randn(count, FRAMES, side, side, generator=generator)
    masks = torch.zeros(count, 1, side, side)
    starts, steps = [[draw(8, side - 8) for _ in "yx"], [draw(-1.5, 1.5) for _ in "yx"]]
    for index, brightness in enumerate(draw(1.5, 4).tolist()):
        way = [(at[index].item(), step[index].item()) for at, step in zip(starts, steps, strict=True)]
        for frame in range(FRAMES):
            y, x = (round(at + (frame - FRAMES + 1) * step) for at, step in way)
            clips[index, frame, y - 1 : y + 2, x - 1 : x + 2] += brightness
        masks[index, 0, y - 1 : y + 2, x - 1 : x + 2] = 1
    return clips, masks


def make_learner(amp: str, device: torch.device) -> Learner:
    """TSMSA with the weights that all begin with."""
    import torch

    from nets import build_model
    from utils.training.learner import Learner

    torch.manual_seed(0)
    network, criterion, _ = build_model("tsmsa")
    network.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    learner = Learner(network, criterion, optimizer, schedule, device, amp=amp, channels_last=True)
    learner.train()
    return learner


def take_steps(
    courses: dict[str, Course],
    clips: tuple[Tensor, Tensor],
    extent: Extent,
    generator: torch.Generator,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Let all take a step in turns, on the same batch, until the time is over; one that fails goes no further."""
    import torch

    deadline = clock() + extent.seconds
    while clock() < deadline or any(len(course.losses) < 3 and not course.error for course in courses.values()):
        chosen = torch.randint(len(clips[0]), (extent.batch,), generator=generator)
        batch = {"clip": clips[0][chosen], "mask": clips[1][chosen], "key": ["made"] * extent.batch}
        for course in courses.values():
            if course.error:
                continue
            began = clock()
            try:
                course.losses.append(course.learner.step([batch])["loss"])  # reads the loss, so it waits for the device
            except Exception as error:  # whatever it is: the others go on
                course.error = describe(error)
            course.ms.append(1e3 * (clock() - began))
        if all(course.error for course in courses.values()):
            return


def summarise(course: Course, clips: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """Losses, time and accuracy, the network in the precision that it was trained in."""
    if course.error:
        raise RuntimeError(course.error)
    import torch

    from utils.training.learner import AMP_DTYPES

    learner, metrics = course.learner, SegmentationMetrics()
    network = learner.network.eval()
    for clip, mask in zip(clips[0].split(8), clips[1].split(8), strict=True):
        with (
            torch.inference_mode(),
            torch.autocast(learner.device.type, AMP_DTYPES[learner.amp], enabled=learner.amp != "off"),
        ):
            logits = network(clip.to(learner.device))
        metrics.update(logits[:, 0].float().cpu() > 0, mask[:, 0] > 0)
    found, last = metrics.compute(), max(1, round(LAST_SHARE * len(course.losses)))
    return {
        "steps": len(course.losses),
        "ms": round(statistics.median(course.ms[1:]), 2),
        "first_loss": round(course.losses[0], 5),
        "last_loss": round(statistics.fmean(course.losses[-last:]), 5),
        "iou": round(found["iou"], 4),
        "pd": round(found["pd"], 4),
        "false_per_frame": round(found["false_per_frame"], 4),
    }


if __name__ == "__main__":
    main()
