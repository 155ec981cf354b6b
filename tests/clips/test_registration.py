"""Registration: known shifts are found, what cannot be known is left alone, training and prediction align alike."""

import dataclasses
from itertools import permutations

import cv2
import numpy as np
import pytest
from scenes import scene, view

from benchmarks.registration import made_scenery, measure_footage
from utils.clips.registration import Scenery, align_clip, move, scene_shift, shifts_to_last
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset
from utils.datasets.frame_table import Frame
from utils.predictor.predictor import Predictor


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.2), (2.4, 1.6), (-7.5, 5.25), (12.0, -9.0)])
def test_known_shifts_are_found(shift):
    picture = scene()
    found = scene_shift(view(picture, (0, 0), noise=2), view(picture, shift, noise=2, seed=2))
    assert np.abs(found - shift).max() < 0.1


@pytest.mark.parametrize("gain, offset", [(1, 100), (1, -5000), (40, 9000), (0.01, 20), (300, 0)])
def test_shifts_do_not_depend_on_gain_and_level(gain, offset):
    frames = [view(scene(), shift, noise=2, seed=seed) for seed, shift in ((1, (0, 0)), (2, (2.4, 1.6)))]
    found = scene_shift(*(np.float32(gain) * frame + np.float32(offset) for frame in frames))
    np.testing.assert_allclose(found, scene_shift(*frames), atol=1e-3)
    assert np.abs(found - (2.4, 1.6)).max() < 0.1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (4, 4), (6, 8)])
def test_frames_of_a_few_pixels_have_no_shift(shape):
    rng = np.random.default_rng(0)
    assert not any(scene_shift(*rng.random((2, *shape)).astype(np.float32)).any() for _ in range(20))


def test_shifts_of_large_frames_are_in_their_own_pixels():
    picture = cv2.resize(scene(), (1000, 1000), interpolation=cv2.INTER_CUBIC)
    assert np.abs(scene_shift(view(picture, (0, 0), 800), view(picture, (6.5, -3), 800)) - (6.5, -3)).max() < 0.3


def test_a_moving_target_does_not_draw_the_scene_along():
    first, second = (view(scene(), shift, noise=1, seed=seed) for seed, shift in ((1, (0, 0)), (2, (0.5, 0.5))))
    first[60:64, 60:64] += 150
    second[60:64, 66:70] += 150
    assert np.abs(scene_shift(first, second) - 0.5).max() < 0.1


@pytest.mark.parametrize(
    "frames",
    [
        (np.full((64, 64), 7, np.float32), np.full((64, 64), 7, np.float32)),
        tuple(np.random.default_rng(seed).standard_normal((64, 64)).astype(np.float32) for seed in (0, 1)),
        (scene(0)[:128, :128], scene(5)[:128, :128]),
    ],
    ids=["flat", "noise", "other scene"],
)
def test_without_a_common_scene_there_is_no_shift(frames):
    assert (scene_shift(*frames) == 0).all()


def test_shifts_add_up_to_the_last_frame():
    steps = [np.array([1.0, 2.0]), np.array([0.5, -1.0])]
    assert [shift.tolist() for shift in shifts_to_last(steps)] == [[1.5, 1.0], [0.5, -1.0], [0.0, 0.0]]
    assert [shift.tolist() for shift in shifts_to_last([])] == [[0.0, 0.0]]
    still = [np.array([0.02, -0.03]), np.array([0.01, 0.02]), np.array([0.0, 0.05])]  # what noise alone gives
    assert not np.any(shifts_to_last(still)) and np.any(shifts_to_last([*still, np.array([0.12, 0.0])]))


def panned(count: int = 7) -> list[np.ndarray]:
    return [
        np.clip(np.rint(view(scene(), (1.3 * t, -0.8 * t), noise=1, seed=t)), 0, 255).astype(np.uint8)
        for t in range(count)
    ]


@pytest.mark.parametrize("frame_step, levels", [(1, "dataset"), (2, "dataset"), (2, "local")])
def test_clips_stand_still_in_training_and_in_prediction_alike(tmp_path, frame_step, levels):
    """Also from a gap in the frame numbers on: what is repeated there needs no shift."""
    images, frames = panned(), []
    for number, image in enumerate(images):
        number += 3 * (number >= 2)
        mask = np.zeros(image.shape, np.uint8)
        mask[60:64, 60:64] = 255
        for kind, array in (("i", image), ("m", mask)):
            cv2.imwrite(str(tmp_path / f"{kind}{number}.png"), array)
        frames.append(Frame("a", number, str(tmp_path / f"i{number}.png"), str(tmp_path / f"m{number}.png"), None))
    keys = [("a", i) for i in range(len(frames))]
    settings = ClipSettings(5, (100.0, 20.0), register=True, frame_step=frame_step, levels=levels)
    clips = ClipDataset({"a": frames}, keys, settings)
    seen = []

    def run(batch):
        seen.extend(batch)
        return np.zeros((len(batch), *batch.shape[2:]), np.float32)

    predictor = Predictor(run, settings)
    list(predictor.stream([(frame.number, image) for frame, image in zip(frames, images, strict=True)]))
    for index in range(len(frames)):
        # within 0.4 grey levels: the same shifts, fitted to frames in other units
        np.testing.assert_allclose(seen[index], clips[index]["clip"], atol=0.02)
    if levels == "local":
        return  # what follows is in a dataset's units
    whole = seen[-1][:, 16:-16, 16:-16]
    assert np.abs(whole - whole[-1]).max() < 6 * 1.5 / 20  # noise of two frames, and rounding
    clips.settings = dataclasses.replace(settings, register=False)
    raw = clips[len(frames) - 1]["clip"][:, 16:-16, 16:-16]
    assert np.abs(raw[0] - raw[-1]).max() > 1
    clips.settings = settings
    _, masks = clips.read(len(frames) - 1)
    rows = [np.nonzero(mask)[0].min() for mask in masks]
    assert rows[-1] == 60 and rows[0] in (65, 66)  # four steps of 1.3


def test_predicting_clips_aligns_them_too():
    seen = []

    def run(batch):
        seen.append(batch)
        return np.zeros((len(batch), *batch.shape[2:]), np.float32)

    clip = np.stack(panned(5))
    Predictor(run, ClipSettings(5, (100.0, 20.0), register=True)).predict(clip[None])
    inner = seen[0][0, :, 16:-16, 16:-16]
    assert np.abs(inner[0] - inner[-1]).max() < 0.5 < np.abs(clip[0] / 20 - clip[-1] / 20)[16:-16, 16:-16].max()


@pytest.mark.parametrize(
    "shift",
    [(0.3125, 0.25), (-1.75, 2.375), (0.0, 1.5), (-3.25, 0.0), (40.5, -30.25), (0.03125, -0.03125), (250.25, 3.5)],
)
def test_moved_pixels_are_those_of_a_bicubic_warp(shift):
    picture = scene()
    matrix = np.array([[1, 0, shift[1]], [0, 1, shift[0]]])
    expected = cv2.warpAffine(
        picture, matrix, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    assert np.abs(move(picture, np.array(shift)) - expected).max() < 1e-3 * np.ptp(picture)
    assert np.ptp(move(np.full((9, 7), 5, np.float32), np.array(shift))) < 1e-5


def test_whole_shifts_copy_pixels():
    picture = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert np.array_equal(move(picture, np.array([1.0, -2.0])), picture[[0, 0, 1, 2]][:, [2, 3, 4, 4, 4]])
    assert np.array_equal(move(picture, np.array([9.0, 0.0])), picture[[0] * 4])
    planes = move(np.stack([picture, picture + 1]), np.array([0.0, 1.0]))
    assert np.array_equal(planes[1], picture[:, [0, 0, 1, 2, 3]] + 1)


@pytest.mark.parametrize("shift", [(3.0, -2.0), (-1.25, 2.5), (0.0, 0.4)])
def test_what_has_just_come_into_view_is_nothing_new(shift):
    """Seen by a panning camera, a standing scene is the same in all frames of a clip, to the border."""
    scene = panned(1)[0].astype(np.float32)[:160, :160]
    shifts = [np.array(shift) * age for age in (3, 2, 1, 0)]
    frames = [move(scene, -total)[20:120, 20:120] for total in shifts]
    still = np.stack(align_clip(frames, shifts)) - frames[-1]
    edges = np.stack([move(*pair) for pair in zip(frames, shifts, strict=True)]) - frames[-1]
    assert np.abs(still[:, 10:-10, 10:-10]).max() == np.abs(edges[:, 10:-10, 10:-10]).max()
    assert np.abs(still).max() < 0.8 * np.abs(edges).max()


def test_a_bright_target_over_a_faint_scene_does_not_draw_it_along():
    rng = np.random.default_rng(2)
    scene = cv2.GaussianBlur(rng.normal(0, 1, (140, 140)), (0, 0), 3) * 25 + 100
    y, x = np.mgrid[:128, :128]
    frames = [
        move(scene.astype(np.float32), np.array([0.5, -0.4]) * t)[6:134, 6:134]
        + 120 * np.exp(-((y - 60 - t) ** 2 + (x - 50 - 2 * t) ** 2) / 18)
        + rng.normal(0, 1, y.shape)
        for t in range(2)
    ]
    assert np.abs(scene_shift(*(frame.astype(np.float32) for frame in frames)) - [0.5, -0.4]).max() < 0.15


@pytest.mark.parametrize(
    "name, median, worst",
    [
        ("clouds", 0.015, 0.03),
        ("made building", 0.02, 0.05),
        ("fine ground", 0.02, 0.05),
        ("bright targets", 0.015, 0.04),
        ("parallax", 0.1, 0.4),
        ("few clouds", 0.15, 0.3),
        ("much noise", 0.12, 0.4),
        ("still, fixed pattern", 0.02, 0.03),
        ("still, bright targets", 0.03, 0.06),
        ("repeated frames", 0, 0),
        ("noise alone", 0, 0),
    ],
)
def test_shifts_of_all_lengths_are_found_in_footage_of_all_kinds(name, median, worst):
    """Bounds are some 1.5 times what three pictures of each kind had at most."""
    found = measure_footage(name, 1)
    assert found["median"] <= median and found["worst"] <= worst and not found["refused"]


@pytest.mark.parametrize("shift", [(4.0, 17.0), (-17.0, 4.0), (33.0, -40.0)])
def test_wide_shifts_of_fine_texture_are_found(shift):
    """The scene holds nothing coarse, along which a fit that starts from no shift could find its way."""
    texture = np.random.default_rng(3).standard_normal((600, 840)).astype(np.float32)
    picture = 100 + 20 * cv2.GaussianBlur(texture, (0, 0), 1.5) / 0.19
    frames = [move(picture, np.array(part))[60:540, 60:780] for part in ((0.0, 0.0), shift)]
    assert np.abs(scene_shift(*frames) - shift).max() < 0.05


def test_another_scene_has_no_shift_however_it_is_compared():
    scenes = [made_scenery("ground")(np.random.default_rng(seed), (256, 256)).astype(np.float32) for seed in range(6)]
    assert not any(scene_shift(*pair).any() for pair in permutations(scenes, 2))


def test_a_stream_s_scenery_gives_the_shift_of_the_frames():
    frames = [view(scene(), shift, noise=2, seed=seed) for seed, shift in ((1, (0, 0)), (2, (2.4, 1.6)))]
    kept = [Scenery.of(frame) for frame in frames]
    assert np.array_equal(scene_shift(*kept), scene_shift(*frames))
    assert np.array_equal(scene_shift(kept[0], frames[1]), scene_shift(*frames))
