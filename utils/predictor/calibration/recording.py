"""One threshold for a whole recording, from the scores of all its frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from utils.predictor.calibration.calibrator import Calibrator, Operating
from utils.predictor.calibration.candidates import candidates_of, logit_of, probability_of
from utils.predictor.frame_preparation import intake_for
from utils.predictor.predictor import Predictor
from utils.predictor.stages.scene import watch_scene
from utils.video.sources import SourceFrame


def find_threshold(predictor: Predictor, frames: Iterable[Any], rate: float, batch_size: int = 1) -> Operating:
    """Predict a recording once to find the threshold at which to predict it.

    Maps are not kept, but of each frame up to 32 candidates (x, y, score), of the last 10,000 frames: some 8 MB at
    most. All frames count alike, whichever scene they show.

    Args:
        predictor: at the threshold from which to go out.
        frames: of one sequence, as of `Predictor.stream`.
        rate: false components a frame that are asked for.
        batch_size: clips that go through the network together.

    Returns:
        The threshold, as a probability, and the false components a frame that are expected at it.

    Raises:
        ValueError: as of `Predictor.stream`.
    """
    predictor = dataclasses.replace(predictor, false_rate=None, confirmation=None)
    calibrator = Calibrator(rate, float(logit_of(predictor.settings.threshold)), half_life=np.inf)
    intake = intake_for(predictor.settings)
    numbered = (item[:2] if isinstance(item, tuple) else (position, item) for position, item in enumerate(frames))
    source = (SourceFrame(*item, "", None) for item in numbered)
    predict = partial(predictor.stream_with, batch_size=batch_size)
    for _, step, prediction in watch_scene(intake.frames(source), predict):
        if step.cut or step.gap:
            calibrator.end_tracks()
        calibrator.see(*candidates_of(prediction), step.shift)
    found = calibrator.threshold()
    return Operating(probability_of(found.threshold), found.expected)
