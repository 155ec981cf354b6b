"""Networks fed frame by frame: what a frame contributes is computed once and kept until the frame leaves the window.

Kept are TSMSA's part of the ConvLSTM's gates, SSTNet's features and their part of the neck's pairs. The ConvLSTM's
hidden states start from zero in every clip and are computed anew over each window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from nets.blocks import check_frames
from nets.streamable import StreamableNetwork


def can_stream(network: nn.Module) -> bool:
    """Whether the network has the two steps that `Stream` takes."""
    return isinstance(network, StreamableNetwork)


class Stream:
    """One frame in, the prediction for it out: equal to `network` over the clip of T frames that ends with it.

    A clip at a sequence's start repeats its first frame in front. `reset()` starts a new sequence, and so do frames of
    another shape; call it where the sequence changes and at a cut in the frame numbers.

    Args:
        network: in eval mode (batch norms in training would join frames), best from
            `nets.inference.folding.fold_network`.

    Raises:
        ValueError: a network in training mode.
    """

    def __init__(self, network: StreamableNetwork):
        if network.training:
            raise ValueError("got a network in training mode, expected eval mode: call network.eval() first")
        self.network = network
        self._shape: torch.Size | None = None
        self.past: list[tuple[Tensor, ...]] = []  # what the last T-1 frames contributed

    def reset(self) -> None:
        """Forget all frames."""
        self._shape, self.past = None, []

    def __call__(self, frame: Tensor) -> Tensor:
        """The next frame of each of B sequences that run side by side.

        Args:
            frame: (B, C, H, W) float32, normalised, H and W multiples of `network.multiple` (pad right and bottom and
                crop the output).

        Returns:
            The network's outputs (B, …).

        Raises:
            ValueError: any other shape.
        """
        return tree_map(lambda output: output.squeeze(0), self.chunk(frame.unsqueeze(0)))

    def chunk(self, frames: Tensor) -> Tensor:
        """The next N frames of each of B sequences as one batch, for throughput: (N, B, C, H, W) → (N, B, …)."""
        flat = frames.flatten(0, 1)
        check_frames(flat, self.network.in_channels, self.network.multiple)
        count, batch = frames.shape[:2]
        new = self.network.observe(flat)
        if frames.shape[1:] != self._shape or not self.past:
            self._shape = frames.shape[1:]
            self.past = [tuple(part[:batch] for part in new)] * (self.network.num_frames - 1)
        window = self._window(new, count, batch)
        outputs = self.network.decide(flat, window)
        return tree_map(lambda output: output.unflatten(0, (count, batch)), outputs)

    def _window(self, new: tuple[Tensor, ...], count: int, batch: int) -> list[tuple[Tensor, ...]]:
        """T tuples of tensors (N·B, …): for each age, oldest first, what frames of that age contributed."""
        if count == 1:
            window = [*self.past, new]
            self.past = window[1:]
            return window
        lines = [torch.cat(parts) for parts in zip(*self.past, new, strict=True)]
        ages = range(self.network.num_frames)
        window = [tuple(line[age * batch : (age + count) * batch] for line in lines) for age in ages]
        # Copies, as views would keep the whole lines alive.
        self.past = [tuple(line[(age + count) * batch :][:batch].clone() for line in lines) for age in ages[:-1]]
        return window
