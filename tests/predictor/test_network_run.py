"""Runs that are neither PyTorch's nor ONNX Runtime's: what they declare is what the predictor goes by."""

import dataclasses
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from scenes import panned

from utils.clips.settings import ClipSettings
from utils.predictor.network_run import FunctionRun, NetworkRun, StreamingRun
from utils.predictor.onnx_run import OnnxRun, StreamingOnnxRun
from utils.predictor.predictor import Predictor
from utils.predictor.torch_run import StreamingTorchRun, TorchRun
from utils.system.threads import IN_LINE, open_lanes

SETTINGS = ClipSettings(3, (100.0, 20.0))
WEIGHTS = (0.2, 0.3, 0.5)


def brightness(clips):
    """Depends on each frame of a clip and on their order."""
    return np.clip(sum(weight * clips[:, i] for i, weight in enumerate(WEIGHTS)), 0, 1)


class Streamed(StreamingRun):
    """`brightness` from what frames contributed."""

    def __init__(self):
        self.observed = 0

    def observe(self, frames):
        self.observed += len(frames)
        return list(frames)

    def decide(self, keys, windows):
        assert all(np.array_equal(key, window[-1]) for key, window in zip(keys, windows, strict=True))
        return brightness(np.stack([np.stack(window) for window in windows]))


def test_a_function_is_wrapped_once_and_a_run_stays_as_it_is():
    predictor = Predictor(brightness, SETTINGS)
    assert predictor.run == FunctionRun(brightness)
    assert dataclasses.replace(predictor, multiple=8).run is predictor.run
    assert predictor.with_settings(threshold=0.3).run is predictor.run
    streamed = Streamed()
    assert Predictor(streamed, SETTINGS).run is streamed


def test_a_run_of_its_own_streams_as_a_function_sees_whole_clips():
    frames, run = panned(7), Streamed()
    found = list(Predictor(run, SETTINGS).stream(frames, batch_size=2))
    expected = list(Predictor(brightness, SETTINGS).stream(frames, batch_size=2))
    assert run.observed == len(found) == len(frames)
    assert all(np.array_equal(one.probability, other.probability) for one, other in zip(found, expected, strict=True))
    assert max(np.ptp(one.probability) for one in found) > 0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_a_detector_gets_as_many_channels_as_its_run_declares(channels):
    seen = []

    class Shapes(NetworkRun):
        def __call__(self, clips):
            seen.append(clips.shape)
            return [np.zeros((0, 6), np.float32)] * len(clips)

    run = Shapes()
    if channels == 1:
        run.channels = 1
    list(Predictor(run, ClipSettings(3, (100.0, 20.0), "detection")).stream(panned(1, (32, 64))))
    assert seen == [(1, 3, 32, 64) if channels == 1 else (1, 3, 3, 32, 64)]


def test_a_stream_runs_in_the_lanes_that_its_run_declares():
    threads, opened = [], []

    class InLanes(NetworkRun):
        def __call__(self, clips):
            threads.append(threading.current_thread().name)
            return brightness(clips)

        @contextmanager
        def lanes(self):
            with open_lanes(2, lambda: opened.append(threading.current_thread().name)) as lanes:
                yield lanes

    list(Predictor(InLanes(), SETTINGS).stream(panned(4)))
    assert len(threads) == 4 and set(threads) <= set(opened)
    with NetworkRun().lanes() as lanes:
        assert lanes is IN_LINE


def test_every_runtime_says_by_its_class_whether_it_streams():
    kinds = {TorchRun: False, StreamingTorchRun: True, OnnxRun: False, StreamingOnnxRun: True, FunctionRun: False}
    assert {kind: issubclass(kind, StreamingRun) for kind in kinds} == kinds
    assert all(issubclass(kind, NetworkRun) for kind in kinds)
