"""What the synthetic generator adds on demand: structures in the scene, cameras that stand still, and looks."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft, ndimage

from utils.images.snr import local_snr
from utils.synthetic.infrared.camera_looks import BLOCK_SIDE, Look, code_as_video
from utils.synthetic.infrared.config import InfraredConfig
from utils.synthetic.infrared.scenery.structures import add_structures
from utils.synthetic.infrared.sequence import make_sequence

SMALL = InfraredConfig(frames=8, size=(72, 88), empty_share=0.0, distractors=False)


def same(one, other) -> bool:
    return np.array_equal(one.frames, other.frames) and np.array_equal(one.masks, other.masks)


def test_nothing_changes_where_nothing_is_asked_for():
    plain = make_sequence(SMALL, "train", 1)
    for name in ("structures", "still_share", "look_share"):
        assert same(plain, make_sequence(replace(SMALL, **{name: 0.0}), "train", 1))
    changed = make_sequence(replace(SMALL, look_share=1.0), "train", 1)
    assert np.array_equal(plain.masks, changed.masks) and not np.array_equal(plain.frames, changed.frames)


def test_structures_are_thin_and_of_scene_levels():
    scene = np.full((200, 240), 100.0)
    add_structures(np.random.default_rng(3), scene, 6.0, (160, 200))
    drawn = np.abs(scene - 100) > 10
    assert 0.005 < drawn.mean() < 0.4 and scene.min() >= 8 and scene.max() <= 205
    assert not ndimage.binary_erosion(drawn, iterations=6).any()  # nothing is thicker than a dozen pixels
    untouched = np.full((50, 50), 100.0)
    add_structures(np.random.default_rng(3), untouched, 0.0, (40, 40))
    assert (untouched == 100).all()


def test_structures_stand_in_the_scene():
    """With a camera that stands still, what a structure changes is the same in every frame."""
    config = replace(SMALL, still_share=1.0, noise=1e-3)
    plain, built = (make_sequence(replace(config, structures=count), "train", 0) for count in (0.0, 4.0))
    assert np.ptp(np.array(built.facts["camera"]), axis=0).max() == 0
    free = ~(plain.masks | built.masks).any(axis=0)
    free = ndimage.binary_erosion(free, iterations=6)
    change = built.frames.astype(int) - plain.frames
    assert np.abs(change[0][free]).max() > 20
    assert np.abs(change - change[0])[:, free].max() <= 2


def test_some_cameras_stand_still():
    made = [make_sequence(replace(SMALL, still_share=0.5), "train", index) for index in range(12)]
    moves = [np.ptp(np.array(one.facts["camera"]), axis=0).max() for one in made]
    assert 2 <= sum(move == 0 for move in moves) <= 10


def test_a_look_does_what_it_says():
    clip = np.random.default_rng(0).normal(100, 5, (3, 32, 40))
    clip[:, 16, 20] += 80
    assert np.array_equal(Look().apply(clip), clip)
    sharp = Look(halo=1.0, reach=2.0).apply(clip)
    assert sharp[0, 16, 20] > clip[0, 16, 20] and sharp[0, 14:19, 18:23].min() < clip[0, 14:19, 18:23].min()
    stretched = Look(percentiles=(1.0, 99.0), span=(10.0, 240.0)).apply(clip)
    assert np.percentile(stretched[1], (1, 99)) == pytest.approx((10, 240))
    assert Look(softness=0.8).apply(clip).std() < clip.std()


def test_lossy_video_is_cosine_coding_of_differences():
    """Against SciPy's transform; a fine quantum changes nothing, a coarse one leaves the frames' likeness."""
    clip = np.clip(np.random.default_rng(1).normal(120, 20, (14, 19, 30)), 0, 255)
    assert code_as_video(clip, 1e-6) == pytest.approx(clip, abs=1e-4)
    coarse = code_as_video(clip, 6.0)
    assert coarse.shape == clip.shape and 1 < np.abs(coarse - clip).mean() < 20
    steps = 6.0 * (1 + np.add.outer(np.arange(BLOCK_SIDE), np.arange(BLOCK_SIDE)) / 2)
    first = fft.dctn(clip[0, :8, :8] - 128, norm="ortho")
    assert coarse[0, :8, :8] == pytest.approx(fft.idctn(np.rint(first / steps) * steps, norm="ortho") + 128)
    second = fft.dctn(clip[1, :8, :8] - coarse[0, :8, :8], norm="ortho")
    expected = coarse[0, :8, :8] + fft.idctn(np.rint(second / steps) * steps, norm="ortho")
    assert coarse[1, :8, :8] == pytest.approx(expected)


def test_recorded_snr_is_of_the_changed_frames():
    made = make_sequence(replace(SMALL, look_share=1.0, structures=2.0, still_share=0.5), "train", 2)
    assert made.frames.dtype == np.uint8 and made.targets
    assert same(made, make_sequence(replace(SMALL, look_share=1.0, structures=2.0, still_share=0.5), "train", 2))
    for target in made.targets:
        frame = target.frame
        found = abs(local_snr(made.frames[frame], target.mask, made.masks[frame]))
        assert found == pytest.approx(target.snr, abs=1e-3)
