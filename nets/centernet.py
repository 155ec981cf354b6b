"""CenterNet's targets, loss and decoding at full resolution: objects as peaks of a map of centres.

X. Zhou et al., "Objects as Points", arXiv:1904.07850; N. Bodla et al., "Soft-NMS", ICCV 2017.

Outputs are raw maps: "hm" (B, classes, H, W), logits; "wh" (B, 2, H, W), width and height in pixels; "reg"
(B, 2, H, W), dx and dy of the centre from the corner of its pixel.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nets.process_sums import count_processes, sum_over_processes
from nets.yolox_head import IGNORED_CLASS

MAX_OBJECTS = 256  # of an image that are learnt from
MIN_OVERLAP = 0.7  # IoU that a box keeps whose corners move by the radius
SIZE_WEIGHT = 0.1
MAX_DETECTIONS = 100  # of an image
SUPPRESSION_SIGMA = 0.5
LEAST_SCORE = 0.001


class CentreTargets(NamedTuple):
    """What the maps of a batch should show, and the N objects in it.

    Attributes:
        heatmap: (B, classes, H, W) float32 in [0, 1], 1 at centres.
        counted: (B, 1, H, W) bool, where the heatmap is known: not in regions to ignore.
        image: index in the batch, (N,) int64.
        pixel: y·W + x of the centre's pixel, (N,) int64.
        size: width and height in pixels, (N, 2) float32.
        offset: of the centre from its pixel's corner, (N, 2) float32, in [0, 1).
    """

    heatmap: Tensor
    counted: Tensor
    image: Tensor
    pixel: Tensor
    size: Tensor
    offset: Tensor


def gaussian_radius(height: Tensor, width: Tensor) -> Tensor:
    """How far corners of boxes of so many pixels may move at an IoU of `MIN_OVERLAP`: float64 of the inputs' shape.

    As published, where two of the three solutions lack the division by their quadratic's leading coefficient.
    """
    total, area = (height + width).double(), (height * width).double()
    rest = 1 - MIN_OVERLAP
    both = (total + (total**2 - 4 * area * rest / (1 + MIN_OVERLAP)).sqrt()) / 2
    inside = (2 * total + (4 * total**2 - 16 * area * rest).sqrt()) / 2
    outside = -2 * MIN_OVERLAP * total
    outside = (outside + (outside**2 + 16 * MIN_OVERLAP * area * rest).sqrt()) / 2
    return torch.minimum(torch.minimum(both, inside), outside)


def make_targets(
    boxes: list[Tensor], num_classes: int, height: int, width: int, limit: int = MAX_OBJECTS
) -> CentreTargets:
    """What the maps of a batch should show, on the CPU.

    Args:
        boxes: of each image (N, 5) float x1, y1, x2, y2 in pixels, class; a class of `IGNORED_CLASS` makes a box a
            region to ignore, whose pixels are no background. Boxes without area are left out.
        num_classes: classes are in [0, num_classes).
        height: of the maps.
        width: of the maps.
        limit: only so many first boxes of an image.

    Raises:
        ValueError: boxes of another shape, or of an unknown class.
    """
    heatmap = torch.zeros(len(boxes), num_classes, height, width)
    counted = torch.ones(len(boxes), 1, height, width, dtype=torch.bool)
    found = []
    for image, all_boxes in enumerate(boxes):
        box, regions = _split_regions(all_boxes, num_classes)
        for x1, y1, x2, y2 in regions.tolist():  # pixels whose centres lie inside
            top, left, bottom, right = (max(0, round(side)) for side in (y1, x1, y2, x2))
            counted[image, 0, top:bottom, left:right] = False
        box, bounds = box[:limit], torch.tensor([width - 1.0, height - 1.0])
        size = (box[:, 2:4] - box[:, :2]).clamp(min=0).minimum(bounds)
        box, size = (x[(size > 0).all(1)] for x in (box, size))
        centre = ((box[:, :2] + box[:, 2:4]) / 2).clamp(min=0).minimum(bounds)
        corner = centre.floor()
        radius = gaussian_radius(size[:, 1].ceil(), size[:, 0].ceil()).long()
        _draw_peaks(heatmap[image], box[:, 4].long(), corner.long(), radius)
        pixel = (corner[:, 1] * width + corner[:, 0]).long()
        found.append((torch.full_like(pixel, image), pixel, size, centre - corner))
    return CentreTargets(heatmap, counted, *(torch.cat(parts) for parts in zip(*found, strict=True)))


def _split_regions(boxes: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Boxes (N, 5) → those of targets (G, 5), and regions to ignore (R, 4), both float32 on the CPU."""
    if boxes.dim() != 2 or boxes.shape[1] != 5:
        raise ValueError(f"got boxes of shape {tuple(boxes.shape)}, expected (N, 5): x1, y1, x2, y2, class")
    boxes = boxes.detach().float().cpu()
    ignored = boxes[:, 4] == IGNORED_CLASS
    classes = boxes[~ignored, 4]
    if classes.numel() and not (classes.min() >= 0 and classes.max() < num_classes):
        raise ValueError(
            f"got boxes of classes {int(classes.min())} to {int(classes.max())}, expected 0 to {num_classes - 1}: "
            "correct the labels"
        )
    return boxes[~ignored], boxes[ignored, :4]


def _draw_peaks(heatmap: Tensor, classes: Tensor, centres: Tensor, radii: Tensor) -> None:
    """Raise the map (classes, H, W) to Gaussians with σ = (2r + 1)/6 around (N, 2) pixels x, y, within ±r."""
    height, width = heatmap.shape[1:]
    for radius in radii.unique().tolist():  # boxes of one radius at once
        steps = torch.arange(-radius, radius + 1)
        dy, dx = torch.meshgrid(steps, steps, indexing="ij")
        values = torch.exp(-(dx**2 + dy**2).double() / (2 * ((2 * radius + 1) / 6) ** 2)).float()
        own = radii == radius
        x, y = (centres[own, axis, None, None] + step for axis, step in enumerate((dx, dy)))
        place = (classes[own, None, None] * height + y) * width + x
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        heatmap.view(-1).scatter_reduce_(0, place[inside], values.expand_as(place)[inside], "amax")


def centre_loss(outputs: dict[str, Tensor], targets: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    """CenterNet's loss.

    Args:
        outputs: raw maps.
        targets: "boxes", for each image as of `make_targets`.

    Returns:
        {"heatmap": penalty-reduced focal loss / number of peaks, "size": 0.1·mean |error| of width and height,
        "offset": mean |error| of dx and dy}. Of several processes that train together the mean of their losses is the
        loss.

    Raises:
        ValueError: boxes of another shape or number, or of an unknown class.
    """
    boxes, logits = targets["boxes"], outputs["hm"].float()
    if len(boxes) != len(logits):
        raise ValueError(f"got boxes of {len(boxes)} images, expected one tensor for each of {len(logits)} images")
    wanted = CentreTargets(*(x.to(logits.device) for x in make_targets(boxes, *logits.shape[1:])))
    share = 2 * logits.new_tensor(len(wanted.pixel))
    share = (sum_over_processes(share) + 1e-4) / count_processes()
    errors = {}
    for name, values in (("wh", wanted.size), ("reg", wanted.offset)):
        predicted = outputs[name].float().flatten(2)[wanted.image, :, wanted.pixel]
        errors[name] = (predicted - values).abs().sum() / share
    return {"heatmap": _focal_loss(logits, wanted), "size": SIZE_WEIGHT * errors["wh"], "offset": errors["reg"]}


def _focal_loss(logits: Tensor, wanted: CentreTargets) -> Tensor:
    """Σ over pixels / number of peaks in the batch, undivided where there is none."""
    p = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = wanted.heatmap == 1
    background = (1 - wanted.heatmap) ** 4 * p**2 * (1 - p).log() * (wanted.counted | peak)
    total = torch.where(peak, (1 - p) ** 2 * p.log(), background).sum()
    peaks = sum_over_processes(peak.sum().float())
    return -total / torch.where(peaks > 0, peaks / count_processes(), 1.0)


class Peaks(NamedTuple):
    """The highest peaks of B heatmaps, N of each, the highest first.

    Attributes:
        score: (B, N) float32 in [0, 1]; 0 where there are fewer.
        classes: (B, N) int64.
        rows: of the pixels, (B, N) int64.
        columns: likewise.
    """

    score: Tensor
    classes: Tensor
    rows: Tensor
    columns: Tensor


def highest_peaks(logits: Tensor, limit: int) -> Peaks:
    """Pixels that no neighbour exceeds: (B, classes, H, W) → at most `limit` of an image, of all classes together."""
    score = logits.float().sigmoid()
    score = score * (score == F.max_pool2d(score, 3, 1, 1))
    height, width = score.shape[-2:]
    best, place = score.flatten(1).topk(min(limit, score.shape[1] * height * width))
    row = place // width  # of all classes' maps, one below the other
    classes = row // height
    return Peaks(best, classes, row - classes * height, place - row * width)  # an export knows no %


def boxes_at(peaks: Peaks, size: Tensor, offset: Tensor) -> Tensor:
    """The boxes of peaks.

    Args:
        peaks: of B images, N each.
        size: "wh" there, (B, N, 2).
        offset: "reg" there, (B, N, 2).

    Returns:
        (B, N, 6) float32: x1, y1, x2, y2 in pixels, score, class; zeros where the score is 0.
    """
    centre = torch.stack((peaks.columns, peaks.rows), -1) + offset.float()
    half, score = size.float() / 2, peaks.score[..., None]
    rows = torch.cat((centre - half, centre + half, score, peaks.classes[..., None].float()), -1)
    return torch.where(score > 0, rows, 0)


def find_peaks(outputs: dict[str, Tensor], limit: int = MAX_DETECTIONS) -> Tensor:
    """The highest peaks: pixels that no neighbour exceeds.

    Args:
        outputs: raw maps.
        limit: how many of an image, of all classes together.

    Returns:
        (B, limit, 6) float32: x1, y1, x2, y2 in pixels, score, class; highest score first. Where there are fewer
        peaks, the rest is zeros; no image has more rows than its heatmap values.
    """
    peaks = highest_peaks(outputs["hm"], limit)
    pixel = peaks.rows * outputs["hm"].shape[-1] + peaks.columns
    size, offset = (
        outputs[name].flatten(2).gather(2, pixel[:, None].expand(-1, 2, -1)).transpose(1, 2) for name in ("wh", "reg")
    )
    return boxes_at(peaks, size, offset)


def soft_suppression(detections: Tensor) -> Tensor:
    """Gaussian soft-NMS: what overlaps a better detection of its class loses score, s·exp(-IoU²/σ).

    Args:
        detections: (N, 6) float x1, y1, x2, y2, score, class; sides lie in the box, which is x2 - x1 + 1 wide.

    Returns:
        (M, 6) with the new scores, best first. What falls under `LEAST_SCORE` by an overlap is left out.
    """
    detections = detections.cpu()
    low, high, classes = detections[:, :2], detections[:, 2:4], detections[:, 5]
    sides = (torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low) + 1).clamp(min=0)
    overlap, area = sides.prod(-1), (high - low + 1).prod(-1)
    meets = (overlap > 0) & (classes[:, None] == classes)
    decay = torch.exp(-((overlap / (area[:, None] + area - overlap)) ** 2) / SUPPRESSION_SIGMA)
    scores, waiting = detections[:, 4].clone(), torch.ones(len(detections), dtype=torch.bool)
    order = []
    while waiting.any():
        best = int(scores.where(waiting, -math.inf).argmax())
        order.append(best)
        waiting[best] = False
        touched = waiting & meets[best]
        scores = torch.where(touched, scores * decay[best], scores)
        waiting &= ~(touched & (scores < LEAST_SCORE))
    return torch.cat((detections[order, :4], scores[order, None], classes[order, None]), 1)


def decode_centres(
    outputs: dict[str, Tensor] | Tensor, score: float = LEAST_SCORE, limit: int | None = None
) -> list[Tensor]:
    """Boxes with their scores, after soft non-maximum suppression.

    Args:
        outputs: raw maps, or the peaks that the inference form gives (as of `find_peaks`).
        score: the least one kept.
        limit: peaks of an image that are looked at; by default 100 of maps, as published, and all of given peaks.

    Returns:
        For each image (N, 6) float32 on the CPU: x1, y1, x2, y2 in pixels of the network's input (not clipped to it),
        score, class; highest score first.
    """
    peaks = outputs[:, :limit] if isinstance(outputs, Tensor) else find_peaks(outputs, limit or MAX_DETECTIONS)
    # Peaks below the least score lower none above it: suppression goes from the best down.
    results = [soft_suppression(image[(image[:, 4] >= score) & (image[:, 4] > 0)]) for image in peaks.cpu()]
    return [found[found[:, 4] >= score] for found in results]
