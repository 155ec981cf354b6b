"""Fitting a verifier: a small perceptron over candidates, its calibration, and what it gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice

import numpy as np

from utils.commands.candidate_tables import CandidateTable
from utils.predictor.verifier.model import MAX_FEATURE, VerifierModel

ECE_BINS = 15
BUDGETS = (0.01, 0.1, 0.3, 1.0)  # false candidates a frame


@dataclass(frozen=True)
class FitSettings:
    """How the perceptron is fitted.

    Args:
        hidden: units of its hidden layers. Without any it is a logistic regression, which did best on cameras that it
            had not seen (docs/verifier.md).
        steps: of the optimiser.
        batch_size: candidates of a step.
        lr: learning rate of AdamW, which falls to 0 by a cosine.
        weight_decay: of AdamW.
        seed: of the weights and of the order of the candidates.
    """

    hidden: tuple[int, ...] = ()
    steps: int = 1500
    batch_size: int = 512
    lr: float = 3e-3
    weight_decay: float = 0.1
    seed: int = 0


def fit(
    table: CandidateTable, weight: np.ndarray, settings: FitSettings, network_threshold: float, box_side: float
) -> VerifierModel:
    """A verifier that is not calibrated yet, with threshold 0.5.

    Args:
        table: candidates to learn from, of both kinds.
        weight: (N,) how much each counts.
        settings: see there.
        network_threshold: as of `VerifierModel`.
        box_side: likewise.
    """
    import torch  # takes seconds

    generator = torch.Generator().manual_seed(settings.seed)
    mean, scale = table.features.mean(0), np.maximum(table.features.std(0), 1e-3)
    inputs = torch.from_numpy(np.clip((table.features - mean) / scale, -MAX_FEATURE, MAX_FEATURE).astype(np.float32))
    labels = torch.from_numpy(table.labels)
    weights = torch.from_numpy((weight / weight.mean()).astype(np.float32))
    sizes = (inputs.shape[1], *settings.hidden, 1)
    layers = [torch.nn.Linear(*pair) for pair in zip(sizes, sizes[1:], strict=False)]
    for layer in layers:
        torch.nn.init.kaiming_normal_(layer.weight, generator=generator)
        torch.nn.init.zeros_(layer.bias)
    torch.nn.init.zeros_(layers[-1].weight)  # so that random weights are no part of it
    parts = [part for layer in layers for part in (torch.nn.ReLU(), layer)][1:]
    network = torch.nn.Sequential(*parts)
    optimizer = torch.optim.AdamW(network.parameters(), settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    rounds = (torch.randperm(len(inputs), generator=generator).split(settings.batch_size) for _ in count())
    for batch in islice(chain.from_iterable(rounds), settings.steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            network(inputs[batch])[:, 0], labels[batch], weights[batch]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    fitted = tuple((layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in layers)
    return VerifierModel(mean.astype(np.float32), scale.astype(np.float32), fitted, 0.5, network_threshold, box_side)


def platt(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The factor, above 0, and the offset that make logits (N,) those of calibrated probabilities.

    By maximum likelihood with targets pulled in from 0 and 1, by Newton's method with a line search (J. Platt,
    "Probabilistic outputs for support vector machines", 1999; H.-T. Lin et al., "A note on Platt's probabilistic
    outputs", Machine Learning 2007). Labels (N,) are 0 or 1.
    """
    positive, negative = float((labels > 0).sum()), float((labels <= 0).sum())
    wanted = np.where(labels > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    inputs = np.stack([logits.astype(np.float64), np.ones(len(logits))], 1)

    def loss(parameters: np.ndarray) -> float:
        values = inputs @ parameters
        return float(np.sum(np.logaddexp(0, values) - wanted * values))

    parameters = np.array([1.0, 0.0])
    for _ in range(100):
        guess = 1 / (1 + np.exp(-np.clip(inputs @ parameters, -60, 60)))
        gradient = inputs.T @ (guess - wanted)
        hessian = (inputs * (guess * (1 - guess))[:, None]).T @ inputs + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-6 and loss(parameters - size * step) > loss(parameters):
            size /= 2
        parameters = parameters - size * step
        if np.abs(size * step).max() < 1e-8:
            break
    return max(float(parameters[0]), 1e-3), float(parameters[1])


def calibrate(model: VerifierModel, factor: float, offset: float) -> VerifierModel:
    """The model with its logits times `factor` plus `offset`, within its last layer."""
    *layers, (weights, biases) = model.layers
    last = (weights * factor).astype(np.float32), (biases * factor + offset).astype(np.float32)
    return replace(model, layers=(*layers, last))


def calibration_error(probability: np.ndarray, labels: np.ndarray) -> float:
    """The expected calibration error over `ECE_BINS` bins of equal width (M. P. Naeini et al., AAAI 2015).

    Of (N,) probabilities in [0, 1] and labels 0 or 1; NaN of none.
    """
    if not len(probability):
        return float("nan")
    index = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1)
    difference = np.bincount(index, probability - labels, ECE_BINS)
    return float(np.abs(difference).sum() / len(probability))


@dataclass(frozen=True)
class OperatingPoint:
    """The least `threshold` above which at most so many candidates a frame are `false`, and what share it finds."""

    threshold: float
    pd: float
    false: float


def finds_target(table: CandidateTable, scores: np.ndarray) -> np.ndarray:
    """Which candidates (N,) bool find a target: of each target the one with the highest score, of equals the first."""
    order = np.lexsort((-scores, table.target, table.frame))
    frame, target = table.frame[order], table.target[order]
    first = np.concatenate([[True], (np.diff(frame) != 0) | (np.diff(target) != 0)])[: len(order)]
    result = np.zeros(len(scores), bool)
    result[order] = first & (target >= 0)
    return result


def operating_points(
    table: CandidateTable, scores: np.ndarray, budgets: Sequence[float] = BUDGETS
) -> dict[float, OperatingPoint]:
    """For each budget of false candidates a frame, the operating point that finds most targets within it.

    A candidate is false where it is none of its frame's targets, and so are all of a target's but its highest.

    Args:
        table: the candidates.
        scores: (N,) theirs.
        budgets: false candidates a frame.
    """
    frames = max(len(table.targets), 1)
    finding = finds_target(table, scores)
    found, false = scores[finding], np.sort(scores[~finding])[::-1]
    result = {}
    for budget in budgets:
        allowed = int(budget * frames + 1e-9)
        threshold = float(false[allowed]) if allowed < len(false) else -np.inf
        hits, total = int((found > threshold).sum()), int(table.targets.sum())
        pd = hits / total if total else float("nan")
        result[budget] = OperatingPoint(threshold, pd, float((false > threshold).sum()) / frames)
    return result


def operating_point_at(table: CandidateTable, scores: np.ndarray, threshold: float) -> OperatingPoint:
    """What a threshold gives; arguments as of `operating_points`."""
    over, finding, total = scores > threshold, finds_target(table, scores), int(table.targets.sum())
    found = int((over & finding).sum())
    false = float((over & ~finding).sum()) / max(len(table.targets), 1)
    return OperatingPoint(threshold, found / total if total else float("nan"), false)
