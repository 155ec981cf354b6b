"""Optimisers, learning-rate schedules and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from utils.training.config import TrainConfig

FINAL_RATE_SHARE = 0.01  # a cosine schedule ends at this share of the peak rate


def build_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD with Nesterov momentum; weight decay on convolution and matrix weights only."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(groups, lr=config.lr, betas=(0.9, config.beta2))


def build_schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate for every step, by the recipe's schedule.

    Linear warm-up from a tenth, then cosine, steps by `milestone_factor`, or constant; "yolox" is a cosine between a
    quadratic warm-up and a constant end, both counted in epochs (YOLOX and SSTNet).

    Args:
        optimizer: with the peak rate.
        config: the recipe.
        steps_per_epoch: optimiser steps in an epoch.
    """
    total = max(1, config.epochs * steps_per_epoch)
    warm, power, end = round(config.warmup * total), 1, total
    if config.schedule == "yolox":
        epochs = config.epochs
        warm, power = round(min(max(0.05 * epochs, 1), 3) * steps_per_epoch), 2
        end = total - round(min(max(0.05 * epochs, 1), 15) * steps_per_epoch)

    def factor(step: int) -> float:
        if step < warm:
            return 0.1 + 0.9 * step**power / warm**power
        if config.schedule in ("cosine", "yolox"):
            share = min(1.0, (step - warm) / max(1, end - warm))
            return FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * share))
        if config.schedule == "multistep":
            return config.milestone_factor ** sum(step >= epoch * steps_per_epoch for epoch in config.milestones)
        return 1.0

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def build_ema(network: nn.Module, decay: float, ramp: int = 0) -> AveragedModel | None:
    """Exponentially averaged weights and buffers.

    Args:
        network: whose weights are averaged.
        decay: in [0, 1); at update n the decay is min(decay, (1 + n)/(10 + n)).
        ramp: with it, decay·(1 - exp(-(n + 1)/ramp)) instead, as published for YOLOX.

    Returns:
        None for a decay of 0.
    """
    if not decay:
        return None

    def average(averaged: list[torch.Tensor], current: list[torch.Tensor], updates: torch.Tensor | int) -> None:
        n = int(updates)
        decay_now = decay * (1 - math.exp(-(n + 1) / ramp)) if ramp else min(decay, (1 + n) / (10 + n))
        weight = 1 - decay_now
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, weight)
        else:
            for mean, value in zip(averaged, current, strict=True):
                mean.copy_(value)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
