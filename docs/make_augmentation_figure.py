"""Draws what temporal sample augmentation does to a clip.

    python -m docs.make_augmentation_figure --data-root DATASET --out docs/augmentation.png

The upper half shows the frames of a clip before and after target augmentation, with close looks that stay in place,
so that the clones are seen to move as their original does; the lower half shows what batch augmentation makes of two
clips. The picture in `docs` was drawn with `--sequences sequence16 sequence11 --seed 1` from the output of
`python -m utils.synthetic --out DATASET --split train --low-share 0 --size 160 200 --train-sequences 16 --frames 12`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from utils.clips.clones import TargetAugmentation
from utils.clips.settings import ClipSettings
from utils.datasets.dataset import open_dataset
from utils.images.components import label_targets
from utils.system.command_line import number
from utils.system.errors import UserError, user_errors
from utils.system.files import whole_file
from utils.system.packages.late import cv2

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from utils.clips.training_clips import ClipDataset

NUM_FRAMES = 5
TARGET_COLOUR, CLONE_COLOUR = "#ffd000", "#21d7ff"
CLOSE_LOOK_SIDE = 21  # pixels
CROP_SIZE = (128, 160)  # height and width of the part of a frame that is shown, pixels


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.make_augmentation_figure", description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", required=True, metavar="FOLDER", help="dataset with masks")
    parser.add_argument("--out", default="docs/augmentation.png", metavar="FILE", help="picture (default: %(default)s)")
    parser.add_argument(
        "--sequences",
        nargs=2,
        metavar="NAME",
        help="training sequences to take the last clip of (default: the first two with targets well inside its frames)",
    )
    parser.add_argument(
        "--seed", type=number("seed"), default=0, metavar="N", help="of the augmentation (default: %(default)s)"
    )
    return parser.parse_args(argv)


def choose_clips(clips: ClipDataset, wanted: list[str] | None) -> list[int]:
    """Indices of the two clips to show, each the last of its sequence.

    Raises:
        UserError: there are none, or a wanted sequence is not there.
    """
    last = {name: index for index, (name, _) in enumerate(clips.keys)}
    for name in wanted or ():
        if name not in last:
            raise UserError(f"--sequences: found {name}, expected two of {', '.join(last)}")
    edge = CLOSE_LOOK_SIDE // 2
    chosen = []
    for index in (last[name] for name in wanted or last):
        masks = clips.read(index)[1]
        inside = masks[:, edge:-edge, edge:-edge].any(axis=(1, 2))
        if inside.all():
            chosen.append(index)
    if len(chosen) < 2:
        raise UserError(
            f"{len(chosen)} of the sequences {', '.join(wanted or last)} end in {NUM_FRAMES} frames with a "
            f"target {edge} pixels inside, expected 2; choose others with --sequences"
        )
    return chosen[:2]


def crop_clip(frames: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a clip, at most `CROP_SIZE`, in whose middle the largest target of the middle frame is."""
    box = sorted_boxes(masks[len(masks) // 2])[0]
    crop = [slice(None)]
    for axis, side in enumerate(CROP_SIZE):
        start = (box[axis] + box[axis + 2] - side) // 2
        start = min(max(start, 0), max(masks.shape[axis + 1] - side, 0))
        crop.append(slice(start, start + side))
    return frames[tuple(crop)].astype(np.float32), masks[tuple(crop)]


def draw_outline(axes: Axes, mask: np.ndarray, colour: str, gap: int = 0) -> None:
    """Draws a line along the border of the mask, `gap` pixels further out."""
    from matplotlib.collections import LineCollection

    around = np.pad(mask.astype(np.uint8), 1 + gap)
    around = cv2.dilate(around, np.ones((3, 3), np.uint8), iterations=gap).astype(bool)
    origin = 1.5 + gap
    lines = [
        ((x - origin, y - origin + 1), (x - origin + 1, y - origin + 1))
        for y, x in np.argwhere(around[1:] != around[:-1])
    ]
    lines += [
        ((x - origin + 1, y - origin), (x - origin + 1, y - origin + 1))
        for y, x in np.argwhere(around[:, 1:] != around[:, :-1])
    ]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.9))


def draw_image(axes: Axes, image: np.ndarray, limits: tuple[float, float], title: str = "", label: str = "") -> None:
    """Draws a frame (H, W), `limits` of its levels as black and white."""
    axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set(xticks=[], yticks=[], autoscale_on=False)
    axes.set_title(title, fontsize=8, pad=3)
    axes.set_ylabel(label, fontsize=8)


def sorted_boxes(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes y0, x0, y1, x1 of the targets in a mask, the largest first."""
    return sorted(label_targets(mask)[1], key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))


def choose_close_looks(masks: np.ndarray, clones: np.ndarray) -> list[tuple[slice, slice]]:
    """Windows that stay in place, around the largest target and the three largest clones of the middle frame."""
    middle = len(masks) // 2
    boxes = sorted_boxes(masks[middle])[:1] + sorted_boxes(clones[middle])[:3]
    windows = []
    for y0, x0, y1, x1 in boxes:
        starts = [
            min(max((low + high - CLOSE_LOOK_SIDE) // 2, 0), side - CLOSE_LOOK_SIDE)
            for low, high, side in ((y0, y1, masks.shape[1]), (x0, x1, masks.shape[2]))
        ]
        windows.append(tuple(slice(start, start + CLOSE_LOOK_SIDE) for start in starts))
    return windows


def draw_targets(figure: Figure, grid, clip: tuple, augmented: tuple, limits: tuple[float, float]) -> None:
    """Three rows: frames before, frames after, close looks."""
    (frames, masks), (new_frames, new_masks) = clip, augmented
    clones = new_masks & ~masks
    windows = choose_close_looks(masks, clones)
    for t in range(NUM_FRAMES):
        title = "key frame" if t == NUM_FRAMES - 1 else f"key frame − {NUM_FRAMES - 1 - t}"
        axes = figure.add_subplot(grid[0, t])
        draw_image(axes, frames[t], limits, title, "" if t else "before")
        draw_outline(axes, masks[t], TARGET_COLOUR, gap=2)
        axes = figure.add_subplot(grid[1, t])
        draw_image(axes, new_frames[t], limits, "", "" if t else "target augmentation")
        draw_outline(axes, masks[t], TARGET_COLOUR, gap=2)
        draw_outline(axes, clones[t], CLONE_COLOUR, gap=2)
        inner = grid[2, t].subgridspec(2, 2, wspace=0.04, hspace=0.04)
        for cell, window in enumerate(windows):
            axes = figure.add_subplot(inner[cell // 2, cell % 2])
            near = new_frames[t][window]
            middle = new_frames[NUM_FRAMES // 2][window]
            draw_image(axes, near, (middle.min(), middle.max()))
            draw_outline(axes, masks[t][window], TARGET_COLOUR)
            draw_outline(axes, clones[t][window], CLONE_COLOUR)
            if t == 0 and cell == 0:
                axes.set_ylabel("close looks,\nfixed in place", fontsize=8, loc="top")


def draw_batch(figure: Figure, grid, clips: list[tuple], limits: list[tuple[float, float]]) -> None:
    """One row: the key frames of two clips and of the clips made of them, one for each axis; and the legend."""
    import torch  # which the module below imports too

    from utils.clips.augment import augment_batch

    frames = torch.from_numpy(
        np.stack([(frames - low) / (high - low) for (frames, _), (low, high) in zip(clips, limits, strict=True)])
    )
    masks = torch.from_numpy(np.stack([masks[-1:] for _, masks in clips]))
    stacked, beside = (augment_batch(frames, masks, axis=axis) for axis in (2, 3))
    panels = [
        ("clip 1, key frame", stacked, 0),
        ("clip 2, key frame", stacked, 1),
        ("1 and 2 above each other", stacked, 2),
        ("1 and 2 side by side", beside, 2),
    ]
    for column, (title, (image, mask), index) in enumerate(panels):
        axes = figure.add_subplot(grid[3, column])
        draw_image(axes, image[index, -1].numpy(), (0, 1), title, "" if column else "batch augmentation")
        draw_outline(axes, mask[index, 0].numpy(), TARGET_COLOUR, gap=2)
    axes = figure.add_subplot(grid[3, 4])
    axes.axis("off")
    for colour, text in ((TARGET_COLOUR, "label of a target"), (CLONE_COLOUR, "label of a clone")):
        axes.plot([], [], color=colour, label=text)
    axes.legend(loc="center", fontsize=8, frameon=False, labelcolor="black")


def save_figure(figure: Figure, out: Path) -> None:
    """Writes a PNG with a palette of 256 colours, which is a third as large as one in full colour."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with whole_file(out) as file:
        picture.quantize(256, dither=Image.Dither.NONE).save(file, format="png", optimize=True)


def main(argv: list[str] | None = None) -> None:
    """Draw the picture from two clips and print where it lies."""
    arguments = parse(argv)
    sequences = open_dataset(arguments.data_root, "train", need="masks").sequences

    # It imports torch, which waits until the dataset is found.
    from utils.clips.training_clips import ClipDataset

    keys = [(name, position) for name, frames in sequences.items() for position in range(len(frames))]
    dataset = ClipDataset(sequences, keys, ClipSettings(NUM_FRAMES, (0.0, 1.0)))
    clips = [crop_clip(*dataset.read(index)) for index in choose_clips(dataset, arguments.sequences)]
    if clips[0][0].shape != clips[1][0].shape:
        raise UserError(
            f"clips of {clips[0][0].shape[1:]} and {clips[1][0].shape[1:]} pixels, expected one size; "
            "choose others with --sequences"
        )
    augmented = TargetAugmentation()(*clips[0], np.random.default_rng(arguments.seed))
    limits = [tuple(np.percentile(frames, (0.2, 99.95))) for frames, _ in clips]

    from matplotlib.figure import Figure

    height, width = clips[0][0].shape[1:]
    column, gap = 2.1, 0.14
    rows = [column * height / width] * 2 + [column, column * height / width]
    figure = Figure(figsize=(11, sum(rows) * (1 + 0.75 * gap) / 0.95), dpi=110)
    grid = figure.add_gridspec(
        4, NUM_FRAMES, height_ratios=rows, left=0.03, right=0.995, top=0.97, bottom=0.01, wspace=0.03, hspace=gap
    )
    draw_targets(figure, grid, clips[0], augmented, limits[0])
    draw_batch(figure, grid, clips, limits)
    out = Path(arguments.out)
    save_figure(figure, out)
    print(out)


if __name__ == "__main__":
    with user_errors():
        main()
