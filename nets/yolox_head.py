"""YOLOX's decoupled head on one level, its decoding, SimOTA assignment and loss.

Z. Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430, and "OTA: Optimal Transport Assignment for
Object Detection", CVPR 2021.

Raw output: (B, 5 + classes, h, w) float, channels [x, y, w, h, objectness, classes …], one cell for every `STRIDE`
pixels of the network's input, whose pixels are the unit of all boxes here.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.csp_darknet import yolox_conv
from nets.process_sums import count_processes, sum_over_processes

STRIDE = 8
CENTRE_RADIUS = 2.5  # strides around a target's centre within which cells are candidates
IGNORED_CLASS = -1  # in place of a target's class: a region in which nobody says what is a target
BLOCK_OF_BOXES = 64  # that are compared with all others at once
NUM_LARGEST_IOUS = 10  # IoUs whose sum says how many cells a target takes


class YOLOXHead(nn.Module):
    """(B, in_channels, h, w) float → raw output (B, 5 + num_classes, h, w) float.

    Objectness and classes start at a probability of 0.01, as targets are rare.
    """

    def __init__(self, in_channels: int, hidden: int, num_classes: int):
        super().__init__()
        self.stem = yolox_conv(in_channels, hidden, 1)
        self.cls_convs = nn.Sequential(yolox_conv(hidden, hidden, 3), yolox_conv(hidden, hidden, 3))
        self.reg_convs = nn.Sequential(yolox_conv(hidden, hidden, 3), yolox_conv(hidden, hidden, 3))
        self.cls_pred = nn.Conv2d(hidden, num_classes, 1)
        self.reg_pred = nn.Conv2d(hidden, 4, 1)
        self.obj_pred = nn.Conv2d(hidden, 1, 1)
        for pred in (self.cls_pred, self.obj_pred):
            nn.init.constant_(pred.bias, -math.log(99))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        regression = self.reg_convs(x)
        classes = self.cls_pred(self.cls_convs(x))
        return torch.cat((self.reg_pred(regression), self.obj_pred(regression), classes), 1)


def cell_centres(height: int, width: int, like: Tensor) -> Tensor:
    """Centres (x, y) of the cells in raster order: (h·w, 2) float, pixels."""
    rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return (torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * STRIDE


def decode_boxes(raw: Tensor) -> Tensor:
    """Raw output (B, 5 + classes, h, w) float → boxes (B, h·w, 4) float32, x1, y1, x2, y2 in pixels.

    Their centre is (xy + cell)·8, their size exp(wh)·8.
    """
    corner = cell_centres(*raw.shape[-2:], like=raw.float()) - STRIDE / 2
    xy, wh = raw[:, :4].float().flatten(2).transpose(1, 2).split(2, -1)
    # A size beyond this is no box, but its area would overflow and turn the gradients into NaN.
    half = wh.clamp(max=20).exp() * (STRIDE / 2)
    centre = xy * STRIDE + corner
    return torch.cat((centre - half, centre + half), -1)


def decode_detections(raw: Tensor, score: float = 0.001, nms: float = 0.65) -> list[Tensor]:
    """Boxes with their scores, after non-maximum suppression.

    Args:
        raw: output (B, 5 + classes, h, w) float.
        score: the least one kept.
        nms: IoU above which, within a class, the lower one of two boxes goes.

    Returns:
        For each image (N, 6) float32: x1, y1, x2, y2 in pixels of the network's input (not clipped to it), score =
        σ(objectness)·σ(class) of the best class, class; highest score first.
    """
    boxes = decode_boxes(raw)
    probability = raw[:, 4:].float().flatten(2).sigmoid()
    best, classes = probability[:, 1:].max(1)
    scores = probability[:, 0] * best
    results = []
    for box, value, index in zip(boxes, scores, classes, strict=True):
        keep = value >= score
        box, value, index = box[keep], value[keep], index[keep]
        keep = suppress(box, value, index, nms)
        results.append(torch.cat((box, value[:, None], index[:, None].float()), 1)[keep])
    return results


def suppress(boxes: Tensor, scores: Tensor, classes: Tensor, limit: float) -> Tensor:
    """Non-maximum suppression within each class: as torchvision's, whose import takes as long as PyTorch's own.

    `utils.images.boxes.suppress` does the same to rows in numpy, for those who need no PyTorch.

    Args:
        boxes: (N, 4) float x1, y1, x2, y2.
        scores: (N,) float.
        classes: (N,).
        limit: IoU above which the lower one of two boxes of a class goes.

    Returns:
        (K,) int64, indices of the boxes that stay, the highest score first.
    """
    if boxes.device.type != "cpu":
        from torchvision.ops import batched_nms  # seconds, see above; its kernel is what a GPU needs

        return batched_nms(boxes, scores, classes, limit)
    order = scores.argsort(descending=True, stable=True).numpy()
    sides, kinds = np.ascontiguousarray(boxes.detach().numpy()[order].T), classes.numpy()[order]
    # in double precision, as torchvision compares: an IoU of 0.3 in single precision is above 0.3
    limits = np.array([limit], np.float64)
    stays = np.ones(len(order), bool)
    for kind in np.unique(kinds):
        waiting = np.flatnonzero(kinds == kind)
        while len(waiting):  # box by box, thousands of them would take seconds
            block, others = waiting[:BLOCK_OF_BOXES], waiting[BLOCK_OF_BOXES:]
            clash = _fast_iou(sides[:, block, None], sides[:, waiting]) > limits
            for index in np.flatnonzero(np.tril(clash[:, : len(block)], -1).any(1)):
                stays[block[index]] = not clash[index, :index][stays[block[:index]]].any()
            goes = clash[stays[block], BLOCK_OF_BOXES:].any(0)
            stays[others[goes]] = False
            waiting = others[~goes]
    return torch.from_numpy(order[stays])


def _fast_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`_iou` of boxes whose sides come first, (4, …), with its bits: PyTorch takes twice as long."""
    left, top, right, bottom = a
    x1, y1, x2, y2 = b
    with np.errstate(over="ignore", invalid="ignore"):  # boxes of a network that diverges have no finite sides
        overlap = np.maximum(np.minimum(right, x2) - np.maximum(left, x1), 0)
        overlap *= np.maximum(np.minimum(bottom, y2) - np.maximum(top, y1), 0)
        union = (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1)
        union -= overlap
        union += 1e-16
        overlap /= union
    return overlap


def pairwise_iou(targets: Tensor, boxes: Tensor) -> Tensor:
    """targets (B, G, 4), boxes (B, A, 4), x1, y1, x2, y2 float → IoU (B, G, A) float in [0, 1]."""
    return _iou(targets[:, :, None], boxes[:, None])


def _iou(a: Tensor, b: Tensor) -> Tensor:
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return overlap / (areas - overlap + 1e-16)


def pad_targets(boxes: list[Tensor], num_classes: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Targets of all images in one tensor.

    Args:
        boxes: of each image, (N, 5) float x1, y1, x2, y2, class.
        num_classes: classes are in [0, num_classes).
        like: gives the dtype and the device.

    Returns:
        (B, G, 5) padded to the fullest image, and which rows are targets, (B, G) bool.

    Raises:
        ValueError: another shape, or an unknown class.
    """
    _require_boxes(boxes)
    counts = torch.tensor([len(box) for box in boxes])
    padded = nn.utils.rnn.pad_sequence([box.to(like) for box in boxes], batch_first=True)
    classes = padded[..., 4]
    if classes.numel() and not (classes.min() >= 0 and classes.max() < num_classes):
        raise ValueError(
            f"got boxes of classes {int(classes.min())} to {int(classes.max())}, expected 0 to {num_classes - 1}: "
            f"build the network with num_classes={int(classes.max()) + 1} or correct the labels"
        )
    return padded, (torch.arange(padded.shape[1]) < counts[:, None]).to(like.device)


def _require_boxes(boxes: list[Tensor]) -> None:
    for box in boxes:
        if box.dim() != 2 or box.shape[1] != 5:
            raise ValueError(f"got boxes of shape {tuple(box.shape)}, expected (N, 5): x1, y1, x2, y2, class")


@torch.no_grad()
def assign(raw: Tensor, boxes: Tensor, targets: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """SimOTA: which cell learns which target, for all images and targets at once.

    Candidates of an image are the cells inside a target or near its centre, of any of its targets. Each target takes
    the k cheapest of them, k = max(1, ⌊sum of its 10 largest IoUs⌋); a contested cell goes to the cheapest target. A
    target without candidates, as its centre lies off the image, takes none.

    Args:
        raw: output (B, 5 + classes, h, w) float.
        boxes: decoded (B, A, 4) float.
        targets: (B, G, 5) float x1, y1, x2, y2, class.
        valid: which rows are targets, (B, G) bool.

    Returns:
        Whether a cell is assigned, (B, A) bool, and the target's index, (B, A) int64, 0 where it is not.
    """
    centres = cell_centres(*raw.shape[-2:], like=boxes)
    middle = (targets[..., :2] + targets[..., 2:4]) / 2
    inside = ((centres > targets[:, :, None, :2]) & (centres < targets[:, :, None, 2:4])).all(-1)
    near = ((centres - middle[:, :, None]).abs() < CENTRE_RADIUS * STRIDE).all(-1)
    inside, near = inside & valid[..., None], near & valid[..., None]
    candidate = (inside | near).any(1, keepdim=True) & valid[..., None]

    iou = pairwise_iou(targets[..., :4], boxes).where(candidate, 0.0)
    cost = _class_cost(raw, targets[..., 4].long()) - 3 * (iou + 1e-8).log() + 1e5 * ~(inside & near)
    cost = cost.where(candidate, math.inf)
    limit = min(NUM_LARGEST_IOUS, iou.shape[-1])
    count = iou.topk(limit).values.sum(-1).int().clamp(min=1)
    cheapest = cost.topk(limit, largest=False)
    take = (torch.arange(limit, device=raw.device) < count[..., None]) & cheapest.values.isfinite()
    matches = torch.zeros_like(candidate).scatter_(2, cheapest.indices, take)

    contested = matches.sum(1) > 1
    winner = torch.where(contested, cost.argmin(1), matches.int().argmax(1))
    return matches.any(1), winner


def _class_cost(raw: Tensor, classes: Tensor) -> Tensor:
    """BCE(√(σ(class)·σ(objectness)), one-hot) summed over classes: classes (B, G) int64 → (B, G, A) float32."""
    logits = raw[:, 4:].float().flatten(2)
    probability = (logits[:, :1].sigmoid() * logits[:, 1:].sigmoid()).sqrt()
    hit, miss = (-p.log().clamp(min=-100) for p in (probability, 1 - probability))
    index = classes[..., None].expand(-1, -1, probability.shape[-1])
    return miss.sum(1, keepdim=True) + (hit - miss).gather(1, index)


def yolox_loss(raw: Tensor, boxes: list[Tensor]) -> dict[str, Tensor]:
    """YOLOX's loss.

    Args:
        raw: output (B, 5 + classes, h, w) float.
        boxes: for each image (N, 5) float x1, y1, x2, y2, class in pixels of the network's input, N ≥ 0; a class of
            `IGNORED_CLASS` makes a box a region to ignore.

    Returns:
        {"iou": 5·Σ(1 - IoU²), "objectness": Σ BCE, "class": Σ BCE}, each over the assigned cells of the batch (at least
        1); objectness is summed over all cells, with target 1 on the assigned ones, but for those that are not
        assigned and have their centre in a region to ignore; the class target is one-hot × IoU of the assigned box. Of
        several processes that train together the mean of their losses is the loss.

    Raises:
        ValueError: boxes of another shape or number, or of an unknown class.
    """
    if len(boxes) != len(raw):
        raise ValueError(f"got boxes of {len(boxes)} images, expected one tensor for each of {len(raw)} images")
    _require_boxes(boxes)
    raw = raw.float()
    decoded = decode_boxes(raw)
    regions = [box[box[:, 4] == IGNORED_CLASS] for box in boxes]
    targets, valid = pad_targets([box[box[:, 4] != IGNORED_CLASS] for box in boxes], raw.shape[1] - 5, decoded)
    cells = raw[:, 4:].flatten(2).transpose(1, 2)
    if not targets.shape[1]:
        assigned, winner = cells.new_zeros(cells.shape[:2], dtype=torch.bool), None
        matched, predicted = targets.new_zeros(0, 5), decoded[assigned]
    else:
        assigned, winner = assign(raw.detach(), decoded.detach(), targets, valid)
        matched = targets.gather(1, winner[..., None].expand(-1, -1, 5))[assigned]
        predicted = decoded[assigned]
    iou = _iou(matched[:, :4], predicted)
    classes = cells[..., 1:][assigned]
    one_hot = F.one_hot(matched[:, 4].long(), cells.shape[-1] - 1) * iou.detach()[:, None]
    objectness = cells[..., 0]
    if any(map(len, regions)):
        counted = assigned | ~_inside_regions(raw, regions)
        objectness, assigned = objectness[counted], assigned[counted]
    total = sum_over_processes(raw.new_tensor(len(matched))).clamp(min=1) / count_processes()
    return {
        "iou": 5 * (1 - iou.square()).sum() / total,
        "objectness": _bce_sum(objectness, assigned.float()) / total,
        "class": _bce_sum(classes, one_hot) / total,
    }


def _inside_regions(raw: Tensor, regions: list[Tensor]) -> Tensor:
    """Which cells of `raw` (B, …, h, w) have their centre in one of their image's regions (R, 5): (B, h·w) bool."""
    centres = cell_centres(*raw.shape[-2:], like=raw)[:, None]
    return torch.stack(
        [((centres > own[:, :2].to(raw)) & (centres < own[:, 2:4].to(raw))).all(-1).any(-1) for own in regions]
    )


def _bce_sum(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
