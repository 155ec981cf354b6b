"""Clips side by side in threads: the same predictions, in order, without waiting for frames to come."""

import threading

import numpy as np
import pytest
import torch
from networks import model_of
from scenes import panned

from utils.clips.settings import ClipSettings
from utils.predictor.predictor import Predictor
from utils.predictor.torch_run import MAX_LANES, StreamingTorchRun, make_torch_run
from utils.system.threads import IN_LINE

CPU = torch.device("cpu")


@pytest.fixture
def threads():
    """Sets PyTorch's threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def predictor_of(run, register=False, task="segmentation"):
    return Predictor(run, ClipSettings(3, (100.0, 20.0), task, register=register), multiple=32)


@pytest.mark.parametrize("name, task", [("tsmsa", "segmentation"), ("sstnet", "detection"), ("acm", "segmentation")])
@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_predictions_are_those_of_one_thread(threads, name, task, register, batch_size):
    model = model_of(name)
    predictor = predictor_of(make_torch_run(model.network, model.postprocess, CPU), register, task)
    frames = [*panned(5, (64, 64)), *panned(2, (32, 64))]
    results = []
    for count in (1, 2):
        threads(count)
        results.append(list(predictor.stream(frames, batch_size)))
    for number, (one, other) in enumerate(zip(*results, strict=True)):
        assert one.number == other.number == number
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
        assert one.boxes is None or np.allclose(one.boxes, other.boxes, atol=1e-3)


class Watched(StreamingTorchRun):
    """Every decision waits for another one to be made at the same time."""

    def __init__(self, model):
        super().__init__(model.network, model.postprocess, CPU, "float32", False)
        self.meeting = threading.Barrier(2)

    def decide(self, keys, windows):
        self.meeting.wait(timeout=20)
        return super().decide(keys, windows)


@pytest.mark.parametrize("register", [False, True])
def test_clips_do_run_at_the_same_time(threads, register):
    threads(2)
    assert len(list(predictor_of(Watched(model_of("tsmsa")), register).stream(panned(6, (32, 32))))) == 6


@pytest.mark.parametrize("method", ["observe", "decide"])
def test_an_error_reaches_the_caller_and_nobody_waits_for_ever(threads, method):
    class Failing(StreamingTorchRun):
        calls = 0

    def fail(self, *arguments):
        Failing.calls += 1
        if Failing.calls == 3:
            raise RuntimeError("third time")
        return getattr(super(Failing, self), method)(*arguments)

    setattr(Failing, method, fail)
    model = model_of("tsmsa")
    threads(2)
    run = Failing(model.network, model.postprocess, CPU, "float32", False)
    found = []
    with pytest.raises(RuntimeError, match="third time"):
        for prediction in predictor_of(run).stream(panned(9, (32, 32))):
            found.append(prediction.number)
    assert found == list(range(len(found))) and len(found) <= 3


def test_threads_of_the_process_stay_as_they_are(threads):
    threads(5)
    model = model_of("tsmsa")
    run = make_torch_run(model.network, model.postprocess, CPU)
    inside = []
    with run.lanes() as lanes:
        assert lanes.count == MAX_LANES
        inside += [lanes.start(torch.get_num_threads)() for _ in range(8)]
    thread = threading.Thread(target=lambda: inside.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert inside == [1] * 8 + [5] and torch.get_num_threads() == 5
    threads(1)
    with run.lanes() as lanes:
        assert lanes is IN_LINE


def test_a_prediction_does_not_wait_for_later_frames(threads):
    """Of a live source it is there before the next frame comes."""
    threads(2)
    model = model_of("tsmsa")
    shown = threading.Semaphore(1)

    def frames():
        for frame in panned(5, (32, 32)):
            assert shown.acquire(timeout=20), "the frame before was not predicted"
            yield frame

    for _ in predictor_of(make_torch_run(model.network, model.postprocess, CPU)).stream(frames()):
        shown.release()


def test_a_stream_that_is_left_early_ends_its_threads(threads):
    threads(2)
    model = model_of("tsmsa")
    before = threading.active_count()
    stream = predictor_of(make_torch_run(model.network, model.postprocess, CPU)).stream(panned(9, (32, 32)))
    next(stream)
    stream.close()
    assert threading.active_count() == before
