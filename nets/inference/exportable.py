"""Networks as they leave this project: from normalised frames to probabilities or boxes, in one graph of plain tensors.

Windowed: clips in, results out. Streaming: one frame of each sequence and the state in, results and the next state
out; the state is what the last T-1 frames contributed (`nets.inference.streaming`), oldest first, one tensor (T-1, B,
C, h, w) for each part of it.

Results: of a segmentation network probabilities (B, H, W), of one that marks every frame (B, T, H, W). Of a detector,
for each of its A cells or peaks, `boxes` (B, A, 4) x1, y1, x2, y2 in pixels of the input and `scores` (B, A, classes);
non-maximum suppression is left to the caller, and of peaks, which have one class each, it is the soft one
(`nets.centernet.soft_suppression`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nets.convlstm import observe_clip
from nets.inference.folding import fold_network
from nets.inference.peaks import PeakDetector
from nets.inference.streaming import can_stream
from nets.multi_frame.every_frame import EveryFrameNetwork
from nets.yolox_head import decode_boxes


def decode_output(network: nn.Module, raw: Tensor, detects: bool) -> tuple[Tensor, ...]:
    """A network's raw output → (probabilities,) or (boxes, scores)."""
    if isinstance(network, PeakDetector):
        classes = torch.arange(network.network.num_classes, device=raw.device)
        return raw[..., :4], torch.where(raw[..., 5:] == classes, raw[..., 4:5], 0)
    if not detects:
        return (raw.squeeze(1).sigmoid(),)
    probability = raw[:, 4:].flatten(2).transpose(1, 2).sigmoid()
    return decode_boxes(raw), probability[..., :1] * probability[..., 1:]


class ClipExport(nn.Module):
    """clips (B, T, H, W), for detectors (B, 3, T, H, W) → results."""

    def __init__(self, network: nn.Module, detects: bool):
        super().__init__()
        self.network, self.detects = fold_for_export(network), detects

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.network, EveryFrameNetwork):
            return (self.network.frames(clips).sigmoid(),)
        if not can_stream(self.network):
            return decode_output(self.network, self.network(clips), self.detects)
        frames = (clips.unsqueeze(1) if clips.dim() == 4 else clips).movedim(2, 0)
        window = observe_clip(self.network.observe, frames)
        return decode_output(self.network, self.network.decide(frames[-1], window), self.detects)


class StreamExport(nn.Module):
    """frames (B, C, H, W) and the state → results and the next state.

    A sequence begins with the state that repeats what its first frame contributed: run that frame with a state of
    zeros, and repeat the last entry of the state which comes out.
    """

    def __init__(self, network: nn.Module, detects: bool):
        super().__init__()
        self.network, self.detects = fold_for_export(network), detects

    def forward(self, frames: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        new = self.network.observe(frames)
        # Joined before anything else is done with them, so that an export knows from the start that their B are one.
        lines = [torch.cat((part, own.unsqueeze(0))) for part, own in zip(state, new, strict=True)]
        window = [*zip(*(line.unbind(0) for line in lines), strict=True)]
        results = decode_output(self.network, self.network.decide(frames, window), self.detects)
        return *results, *(line[1:] for line in lines)

    def empty_state(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Zeros in the shapes of the state that belongs to `frames`."""
        with torch.no_grad():
            parts = self.network.observe(frames)
        return tuple(torch.zeros((self.network.num_frames - 1, *part.shape)) for part in parts)


def fold_for_export(network: nn.Module) -> nn.Module:
    """A folded copy in float32 on the CPU, contiguous: runtimes choose layouts of their own."""
    return fold_network(network).float().cpu().to(memory_format=torch.contiguous_format)
