"""Bad pixels stand still on the sensor; targets, the scene and its bright points do not."""

import cv2
import numpy as np
import pytest

from utils.clips.bad_pixels import (
    MAX_TELLING_FRAMES,
    MIN_TELLING_FRAMES,
    DefectFinder,
    find_defects,
    mend,
    pick_telling_frames,
)
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset
from utils.datasets.frame_table import Frame
from utils.predictor.predictor import Predictor

STEP = np.array([-1.0, -2.0])  # of the scene in `sequence`


def sequence(count=20, dtype=np.uint8, hot=((30, 40), (10, 90)), target=(50.0, 20.0), speed=(0.3, -0.4)):
    """A panned noisy scene with hot pixels, a dead one at (70, 70), and a target that the camera nearly follows."""
    rng = np.random.default_rng(3)
    scene = cv2.GaussianBlur(rng.normal(0, 1, (170, 250)), (0, 0), 4) * 150 + 110
    y, x = np.mgrid[:100, :120]
    frames, places = [], []
    for t in range(count):
        frame = scene[t : t + 100, 2 * t : 2 * t + 120] + rng.normal(0, 1.5, (100, 120))
        for row, column in hot:
            frame[row, column] += 40
            frame[row, column + 1] += 20
        frame[70, 70] -= 40
        places.append((target[0] + speed[0] * t, target[1] + speed[1] * t))
        frame = frame + 45 * np.exp(-((y - places[-1][0]) ** 2 + (x - places[-1][1]) ** 2) / (2 * 0.9**2))
        frames.append((np.clip(np.rint(frame), 0, 255) * (1 if dtype == np.uint8 else 64)).astype(dtype))
    return frames, places


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hot_and_dead_pixels_go_and_targets_stay(dtype):
    frames, places = sequence(dtype=dtype)
    clean, _ = sequence(dtype=dtype, hot=())
    unit = 1 if dtype == np.uint8 else 64
    finder = DefectFinder()
    result = [mend(frame, finder.see(frame, STEP)) for frame in frames]
    assert all(np.array_equal(*pair) for pair in zip(result[: MIN_TELLING_FRAMES - 1], frames, strict=False))
    for t in range(MIN_TELLING_FRAMES - 1, len(frames)):
        assert result[t].dtype == dtype
        for row, column in ((30, 40), (10, 90)):
            assert abs(int(result[t][row, column]) - int(clean[t][row, column])) < 15 * unit
        assert int(result[t][70, 70]) > int(frames[t][70, 70]) + 25 * unit
        row, column = np.rint(places[t]).astype(int)
        assert np.array_equal(
            result[t][row - 1 : row + 2, column - 1 : column + 2], frames[t][row - 1 : row + 2, column - 1 : column + 2]
        )
        changed = (result[t] != frames[t]).sum()
        assert 0 < changed <= 27


def test_a_target_that_passes_over_a_hot_pixel_is_not_taken_away():
    frames, _ = sequence(hot=((30, 40),), target=(30.0, 40.0 - 9.5), speed=(0.0, 0.5))
    finder = DefectFinder()
    result = [mend(frame, finder.see(frame, STEP)) for frame in frames]
    assert int(result[-1][30, 40]) > int(sequence(hot=())[0][-1][30, 40]) + 25


def test_training_and_prediction_mend_alike_and_start_anew_after_a_gap(tmp_path):
    images, frames = sequence(24)[0], []
    numbers = [*range(14), *range(20, 30)]
    for number, image in zip(numbers, images, strict=True):
        path = str(tmp_path / f"{number}.png")
        cv2.imwrite(path, image)
        cv2.imwrite(str(tmp_path / f"m{number}.png"), np.zeros_like(image))
        frames.append(Frame("a", number, path, str(tmp_path / f"m{number}.png"), None))
    clips = ClipDataset(
        {"a": frames}, [("a", i) for i in range(len(frames))], ClipSettings(2, (0.0, 1.0), bad_pixels=True)
    )
    seen = []

    def run(batch):
        seen.extend(batch)
        return np.zeros((len(batch), *batch.shape[2:]), np.float32)

    predictor = Predictor(run, ClipSettings(2, (0.0, 1.0), bad_pixels=True), multiple=1)
    list(predictor.stream(zip(numbers, images, strict=True)))
    for index, clip in enumerate(seen):
        assert np.array_equal(clip, clips[index]["clip"])
    changed = [not np.array_equal(clip[-1], image) for clip, image in zip(seen, images, strict=True)]
    assert changed == [MIN_TELLING_FRAMES - 1 <= i < 14 or i >= 14 + MIN_TELLING_FRAMES - 1 for i in range(24)]


def test_frames_count_as_the_scene_moves_on():
    rng = np.random.default_rng(1)
    steps = rng.normal(0.4, 0.5, (60, 2))
    frames = sequence(61)[0]
    finder = DefectFinder()
    for index, frame in enumerate(frames):
        streamed = finder.see(frame, steps[index - 1] if index else np.zeros(2))
        chosen = pick_telling_frames(steps[:index])
        assert len(chosen) <= MAX_TELLING_FRAMES and chosen == sorted(chosen)
        assert np.array_equal(streamed, find_defects([frames[i] for i in chosen]))
    assert len(streamed)


def test_a_scene_that_stands_still_has_no_defects():
    finder, frames = DefectFinder(), sequence(20)[0]
    assert not any(len(finder.see(frame, np.array([0.02, 0.0]))) for frame in frames)


def test_shifts_and_defects_stay_known_when_pictures_fill_the_cache(tmp_path, monkeypatch):
    images, frames = sequence(20)[0], []
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
        cv2.imwrite(str(tmp_path / f"m{number}.png"), np.zeros_like(image))
        frames.append(Frame("a", number, str(tmp_path / f"{number}.png"), str(tmp_path / f"m{number}.png"), None))
    fits = []
    monkeypatch.setattr("utils.clips.training_clips.scene_shift", lambda *pair: fits.append(pair) or STEP)
    clips = ClipDataset(
        {"a": frames}, [("a", 19)], ClipSettings(2, (0.0, 1.0), register=True, bad_pixels=True), cache_bytes=1
    )
    first = clips.read(0)[0]
    assert len(fits) == 19
    assert np.array_equal(clips.read(0)[0], first) and len(fits) == 19
