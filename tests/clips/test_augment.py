"""Augmentation: cloned targets, pairs of clips, and the transforms around them."""

import time

import cv2
import numpy as np
import pytest
import torch
from targets import SHAPES, clip, line, new_boxes

from docs.make_augmentation_figure import main as draw_figure
from utils.clips.appearance import IntensityJitter
from utils.clips.augment import augment_batch
from utils.clips.clones import TargetAugmentation, displacement_range
from utils.clips.transforms import GeometricAugmentation, random_crop, resize_clip
from utils.images.components import label_targets
from utils.system.errors import UserError
from utils.training.config import TrainConfig
from utils.training.loader import build_transform


def augment(frames, masks, seed=0, **options):
    return TargetAugmentation(**options)(frames, masks, np.random.default_rng(seed))


def spot(centre, sigma=1.2, size=(96, 96)):
    """A Gaussian point spread of height 100 around a place between pixels."""
    y, x = np.mgrid[: size[0], : size[1]]
    return (100 * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * sigma**2))).astype(np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_a_clone_moves_as_its_original_does(seed):
    positions = line((40, 44), (2, -1))
    frames, masks = clip([(SHAPES["disc"], positions)])
    image, after = augment(frames, masks, seed, copies=1)
    offsets = np.array([new_boxes(a, b)[0, :2] for a, b in zip(masks, after, strict=True)]) - positions
    assert (offsets == offsets[0]).all() and np.abs(offsets[0]).max() > 0
    gains = [np.roll(now - old, (-y, -x), (0, 1)) for now, old, (y, x) in zip(image, frames, positions, strict=True)]
    assert all(np.allclose(gain, gains[0], atol=1e-4) for gain in gains)


@pytest.mark.parametrize("seed", range(10))
def test_a_clone_follows_motion_finer_than_pixels(seed):
    centres = np.array(line((40.2, 44.7), (0.37, -0.61)))
    spots = np.stack([spot(centre) for centre in centres])
    image, _ = augment(50 + spots, spots >= 50, seed, copies=1)
    gain = image - (50 + spots)
    y, x = np.mgrid[:96, :96]
    weight = gain / gain.sum(axis=(1, 2), keepdims=True)
    found = np.stack([(weight * y).sum(axis=(1, 2)), (weight * x).sum(axis=(1, 2))], axis=1)
    offsets = found - centres
    assert np.abs(offsets - offsets.mean(axis=0)).max() < 0.2
    heights = gain.max(axis=(1, 2)) / spots.max(axis=(1, 2))
    assert np.ptp(heights) < 1e-4 and 0.7 <= heights[0] <= 1.1


@pytest.mark.parametrize("seed", range(10))
def test_every_target_gets_every_clone_and_none_touch(seed):
    tracks = [(SHAPES["disc"], line((60, 60), (1, 1))), (SHAPES["cross"], line((180, 150), (-2, 1)))]
    frames, masks = clip(tracks, size=(256, 256))
    _, after = augment(frames, masks, seed)
    assert (masks & ~after).sum() == 0
    for before, now in zip(masks, after, strict=True):
        assert len(label_targets(now)[1]) == 8
        assert len(new_boxes(before, now)) == 6


@pytest.mark.parametrize("shape", SHAPES)
def test_scaling_never_erases_a_target(shape):
    for seed in range(200):
        y, x = np.random.default_rng(seed).integers(20, 70, 2)
        frames, masks = clip([(SHAPES[shape], [(y, x)])])
        _, after = augment(frames, masks, seed, copies=1, scale=(0.6, 0.6))
        assert (after & ~masks).sum() >= min(2, SHAPES[shape].sum()), seed
        assert len(label_targets(after[0])[1]) == 2, seed


@pytest.mark.parametrize("shape", SHAPES)
def test_the_published_way_never_erases_a_target_either(shape):
    """Nearest neighbour alone samples two pixels on a rising diagonal where there is nothing."""
    height, width = SHAPES[shape].shape
    for seed in range(100):
        frames, masks = clip([(SHAPES[shape], [(48, 48)])])
        _, after = augment(frames, masks, seed, mode="replace", copies=1, scale=(0.6, 0.6))
        rng = np.random.default_rng(seed)
        rng.uniform()
        y, x = 48 + rng.integers([-12, -12], [13, 13])
        if abs(y - 48) < height and abs(x - 48) < width:
            continue  # pasted over its original
        assert after[0, y : y + height, x : x + width].any(), seed


def test_a_clone_of_a_2x2_target_is_seen_in_the_image_too():
    for seed in range(200):
        frames, masks = clip([(SHAPES["2x2"], line((40, 40), (1, 1)))])
        image, after = augment(frames, masks, seed, copies=1, contrast=(1, 1))
        for t in range(5):
            assert image[t][after[t] & ~masks[t]].max() > 50 + 0.5 * 100, seed


@pytest.mark.parametrize("corner", [(1, 1), (1, 90), (90, 1), (90, 90)])
def test_clones_at_the_border_stay_whole_and_inside(corner):
    middle = clip([(SHAPES["disc"], [(46, 46)] * 5)])
    area = (augment(*middle, copies=1, scale=(0.8, 0.8))[1] & ~middle[1])[0].sum()
    frames, masks = clip([(SHAPES["disc"], [corner] * 5)])
    placed = 0
    for seed in range(60):
        _, after = augment(frames, masks, seed, copies=1, scale=(0.8, 0.8))
        gained = (after & ~masks).reshape(5, -1).sum(axis=1)
        assert (gained == gained[0]).all() and gained[0] in (0, area)
        placed += gained[0] > 0
    assert placed > 50


def test_the_published_clamp_uses_the_size_of_the_clone():
    """A 5x5 target in the far corner can only be pushed there again; at scale 0.6 its 3x3 clone reaches the border."""
    frames, masks = clip([(np.ones((5, 5), bool), [(59, 59)])], size=(64, 64))
    frames[0, 59:, 59:] = np.arange(25).reshape(5, 5)
    clone = cv2.resize(frames[0, 59:, 59:], (3, 3), interpolation=cv2.INTER_LINEAR)
    pushed = 0
    for seed in range(200):
        image, _ = augment(frames, masks, seed, mode="replace", copies=1, scale=(0.6, 0.6))
        rng = np.random.default_rng(seed)
        rng.uniform()
        shift = rng.integers([-8, -8], [9, 9])
        if (shift >= 2).all():
            assert (image[0, 61:, 61:] == clone).all()
            pushed += 1
    assert pushed > 20


def test_displacements_fill_their_range_and_respect_it():
    frames, masks = clip([(SHAPES["1x1"], [(48, 48)])])
    offsets = []
    for seed in range(400):
        _, after = augment(frames, masks, seed, copies=1)
        offsets.extend(new_boxes(masks[0], after[0])[:, :2] - 48)
    offsets = np.array(offsets)
    assert np.abs(offsets).max() == displacement_range(96) == 12
    assert (offsets.min(axis=0) == -12).all() and (offsets.max(axis=0) == 12).all()
    assert len(offsets) == 400


def test_displacement_range_is_the_published_one_where_that_is_useful():
    assert [displacement_range(size) for size in (640, 512, 256, 255, 128, 64)] == [128, 96, 32, 31, 16, 8]


def test_replace_is_the_published_definition():
    """A hand-made 4x5 target, whose clone at scale 0.75 and displacement (dy, dx) is cut, resized and pasted."""
    frames, masks = clip([], size=(64, 64), noise=5)
    shape = np.array([[0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0]], bool)
    for t, (y, x) in enumerate(line((30, 28), (1, 2))):
        masks[t, y : y + 4, x : x + 5] = shape
    image, after = augment(frames, masks, seed=3, mode="replace", copies=1, scale=(0.75, 0.75))
    rng = np.random.default_rng(3)
    rng.uniform(0.75, 0.75)
    shift = rng.integers(-np.array([8, 8]), np.array([9, 9]))
    expected, expected_mask = frames.copy(), masks.copy()
    for t, (y, x) in enumerate(line((30, 28), (1, 2))):
        small = cv2.resize(frames[t, y : y + 4, x : x + 5], (4, 3), interpolation=cv2.INTER_LINEAR)
        chosen = cv2.resize(shape.astype(np.uint8), (4, 3), interpolation=cv2.INTER_NEAREST) > 0
        for i, j in np.argwhere(chosen):
            expected[t, y + shift[0] + i, x + shift[1] + j] = small[i, j]
            expected_mask[t, y + shift[0] + i, x + shift[1] + j] = True
    assert (after == expected_mask).all()
    assert (image == expected).all()
    assert (image[~after] == frames[~after]).all()


def test_add_carries_the_contrast_to_another_background():
    frames, masks = clip([(SHAPES["disc"], [(40, 40)] * 5)])
    ramp = np.linspace(0, 40, 96, dtype=np.float32)
    image, after = augment(frames + ramp, masks, 5, copies=1, contrast=(0.5, 0.5), scale=(0.9, 0.9))
    gain = image - (frames + ramp)
    assert gain[after & ~masks].max() == pytest.approx(50, abs=3)
    near = cv2.dilate((after & ~masks)[0].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.abs(gain[0][~near]).max() < 1


def test_add_brings_the_skirts_of_the_point_spread_along():
    spread = spot((48, 48), 1.5)
    frames = 50 + spread[None]
    image, after = augment(frames, spread[None] >= 50, 1, copies=1, contrast=(1, 1), scale=(0.9, 0.9))
    new = (after & ~(spread[None] >= 50))[0].astype(np.uint8)
    edge = (cv2.dilate(new, np.ones((3, 3), np.uint8)) > 0) & (new == 0)
    gain = (image - frames)[0]
    assert gain[new > 0].max() > 80
    assert 5 < gain[edge].mean() < 50


def test_neighbours_are_no_background():
    """A faint target within a large bright ring is cloned as if it were alone; so is the ring."""
    ring = np.ones((15, 15), bool)
    ring[5:10, 5:10] = False
    big, faint = [(ring, [(243, 244)])], [(np.ones((3, 3), bool), [(249, 250)])]
    bright, bright_masks = clip(big, size=(512, 512))
    dim, dim_masks = clip(faint, size=(512, 512), peak=10)
    options = {"seed": 4, "copies": 1, "scale": (0.9, 0.9)}
    together, _ = augment(bright + dim - 50, bright_masks | dim_masks, **options)
    gains = [
        augment(frames, masks, **options)[0] - frames for frames, masks in ((bright, bright_masks), (dim, dim_masks))
    ]
    gain = together - (bright + dim - 50)
    assert gain.sum() > 0 and np.allclose(gain, gains[0] + gains[1], atol=1e-3)


def test_dark_targets_stay_dark():
    frames, masks = clip([(SHAPES["disc"], [(40, 40)] * 5)], peak=-30, noise=1)
    image, after = augment(frames, masks, 2)
    assert image[after].mean() < 35 and after.sum() > masks.sum()


@pytest.mark.parametrize(("level", "top"), [(200.0, 255.0), (60000.0, 65535.0)])
def test_added_targets_saturate(level, top):
    frames, masks = clip([(SHAPES["disc"], [(40, 40)] * 5)], level=level, peak=0.2 * level)
    frames[:, :30] = frames[:, 55:] = 0.98 * top
    frames[:, :, :30] = frames[:, :, 55:] = 0.98 * top
    images = [augment(np.minimum(frames, top), masks, seed, contrast=(1, 1))[0] for seed in range(20)]
    assert max(image.max() for image in images) == top


@pytest.mark.parametrize("place", [(0, 40), (91, 40), (40, 0), (40, 91)])
def test_targets_at_the_border_have_no_clones(place):
    frames, masks = clip([(SHAPES["disc"], [(40, 40), place, (40, 40)])])
    _, after = augment(frames, masks)
    assert [len(label_targets(mask)[1]) for mask in after] == [4, 1, 4]


def test_absent_targets_have_no_clones():
    frames, masks = clip([(SHAPES["disc"], [None, (30, 30), (31, 31), None, (33, 33)])])
    image, after = augment(frames, masks)
    for t in (0, 3):
        assert (image[t] == frames[t]).all() and not after[t].any()
    assert all(len(label_targets(after[t])[1]) == 4 for t in (1, 2, 4))


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_empty_clips_stay_as_they_are(mode):
    frames, masks = clip([], noise=3)
    image, after = augment(frames, masks, mode=mode)
    assert (image == frames).all() and not after.any()
    assert image is not frames and not np.shares_memory(image, frames)


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_inputs_stay_and_the_seed_decides(mode):
    frames, masks = clip([(SHAPES["disc"], line((40, 40), (1, 1)))], noise=3)
    copies = frames.copy(), masks.copy()
    one, two, other = (augment(frames, masks, seed, mode=mode) for seed in (7, 7, 8))
    assert (frames == copies[0]).all() and (masks == copies[1]).all()
    assert (one[0] == two[0]).all() and (one[1] == two[1]).all()
    assert (one[1] != other[1]).any()
    assert one[0].dtype == np.float32 and one[1].dtype == bool and one[0].shape == frames.shape


def test_targets_as_large_as_the_image_and_crowded_images_are_survived():
    for mode in ("add", "replace"):
        frames = np.full((2, 16, 16), 9, np.float32)
        augment(frames, np.ones((2, 16, 16), bool), mode=mode)
        masks = np.zeros((2, 16, 16), bool)
        masks[:, ::4, ::4] = True
        _, after = augment(frames, masks, mode=mode)
        if mode == "add":
            assert (after == masks).all()


def test_wrong_options_and_shapes_are_refused():
    with pytest.raises(ValueError, match="unknown mode 'paste'.*add or replace"):
        TargetAugmentation(mode="paste")
    with pytest.raises(ValueError, match="expected 0 < low <= high <= 1"):
        TargetAugmentation(scale=(0.9, 1.6))
    with pytest.raises(ValueError, match="expected both"):
        augment(np.zeros((5, 8, 8), np.float32), np.zeros((1, 8, 8), bool))


def test_target_augmentation_takes_milliseconds():
    frames, masks = clip([(SHAPES["disc"], line((120, 120), (1, 1)))], size=(256, 256), noise=3)
    times = []
    for seed in range(10):
        start = time.process_time()
        augment(frames, masks, seed)
        times.append(time.process_time() - start)
    assert min(times) < 0.03  # about 3 ms


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("size", [(8, 12), (7, 9), (1, 5)])
def test_batch_augmentation_pairs_neighbours(axis, size):
    frames = torch.randn(3, 5, *size)
    masks = torch.rand(3, 1, *size) < 0.3
    image, mask = augment_batch(frames, masks, axis=axis)
    assert image.shape == (6, 5, *size) and mask.shape == (6, 1, *size) and mask.dtype == torch.bool
    assert (image[:3] == frames).all() and (mask[:3] == masks).all()
    for i in range(3):
        for new, old in ((image, frames), (augment_batch(frames, masks, axis=axis, published=True)[1], masks)):
            pair = torch.cat((old[i], old[(i + 1) % 3]), dim=axis - 1).float()
            expected = torch.nn.functional.interpolate(pair[None], size=size, mode="nearest")[0]
            assert (new[3 + i] == expected).all()


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("side", [16, 17])
def test_batch_augmentation_keeps_every_target(axis, side):
    for position in range(side):
        masks = torch.zeros(2, 1, side, side)
        masks[0, 0, position, position] = 1
        _, mask = augment_batch(torch.zeros(2, 5, side, side), masks, axis=axis)
        assert mask[2].sum() == 1 and mask[3].sum() == 1 and mask.dtype == masks.dtype
    assert augment_batch(torch.zeros(2, 5, side, side), masks, axis=axis, published=True)[1].sum() <= 3


def test_batch_augmentation_of_one_clip_pairs_it_with_itself():
    frames = torch.arange(4.0).reshape(1, 1, 2, 2)
    image, _ = augment_batch(frames, frames > 2, axis=2)
    assert image[1, 0].tolist() == [[0, 1], [0, 1]]


def test_batch_augmentation_draws_its_axis_from_the_generator():
    frames, masks = torch.randn(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    by_axis = {axis: augment_batch(frames, masks, axis=axis)[0] for axis in (2, 3)}
    generator = torch.Generator().manual_seed(0)
    drawn = [augment_batch(frames, masks, generator=generator)[0] for _ in range(20)]
    assert {axis for axis in by_axis for image in drawn if (image == by_axis[axis]).all()} == {2, 3}
    again = augment_batch(frames, masks, generator=torch.Generator().manual_seed(0))[0]
    assert (again == drawn[0]).all()


def test_batch_augmentation_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="expected 2"):
        augment_batch(torch.zeros(2, 5, 4, 4), torch.zeros(2, 1, 4, 4), axis=1)
    with pytest.raises(ValueError, match=r"expected \(B, T, H, W\)"):
        augment_batch(torch.zeros(2, 5, 4, 4), torch.zeros(2, 1, 4, 5))


def test_flips_and_turns_are_the_same_for_all_frames():
    first = np.arange(16, dtype=np.float32).reshape(4, 4)
    frames = np.stack([first, first + 100])
    seen = set()
    for seed in range(100):
        image, mask = GeometricAugmentation()(frames, frames % 100 > 12, np.random.default_rng(seed))
        assert (image[1] == image[0] + 100).all() and (mask == (image % 100 > 12)).all()
        assert image.flags.c_contiguous and mask.flags.c_contiguous
        seen.add(image[0].tobytes())
    assert len(seen) == 8
    kept, _ = GeometricAugmentation(False, False, False)(frames, frames > 0, np.random.default_rng(0))
    assert (kept == frames).all()
    wide, _ = GeometricAugmentation()(frames[:, :3], frames[:, :3] > 0, np.random.default_rng(0))
    assert wide.shape == (2, 3, 4)


def test_intensity_jitter_draws_one_gain_and_one_offset():
    frames, masks = clip([], noise=10)
    for seed in range(20):
        image, _ = IntensityJitter(0.2, std=10)(frames, masks, np.random.default_rng(seed))
        gain = image.std() / frames.std()
        assert 0.8 < gain < 1.2 and abs(image.mean() - frames.mean()) < 2.01
        assert np.allclose(image, (frames - frames.mean()) * gain + image.mean(), atol=1e-3)
        assert image.dtype == np.float32
    with pytest.raises(ValueError, match="amount"):
        IntensityJitter(1.5, std=10)


@pytest.mark.parametrize("size", [(48, 48), (40, 100), (200, 30), (96, 96), (150, 150), 61])
def test_resizing_keeps_every_target(size):
    tracks = [(SHAPES[name], [(5 + 15 * i, 7 + 14 * i)] * 2) for i, name in enumerate(SHAPES)]
    frames, masks = clip(tracks)
    image, mask = resize_clip(frames, masks, size)
    expected = (size, size) if isinstance(size, int) else size
    assert image.shape == mask.shape == (2, *expected) and image.dtype == np.float32 and mask.dtype == bool
    assert len(label_targets(mask[0])[1]) == len(SHAPES)
    share = np.prod(expected) / 96**2
    assert 0.5 * share < mask[0].sum() / masks[0].sum() < 2 * share + 0.2
    assert image.mean() == pytest.approx(frames.mean(), rel=0.02)


def test_a_2x2_target_survives_strong_shrinking_wherever_it_is():
    for y in range(20):
        frames, masks = clip([(SHAPES["2x2"], [(y, y + 3)])])
        assert resize_clip(frames, masks, 13)[1].sum() == 1


def test_crops_hold_a_target_as_often_as_asked():
    frames, masks = clip([(SHAPES["disc"], [(3, 120)] * 5), (SHAPES["2x2"], [(126, 1)] * 5)], size=(128, 128))
    rng = np.random.default_rng(0)
    areas = [random_crop(frames, masks, 32, rng, 1.0)[1][-1].sum() for _ in range(200)]
    assert set(areas) == {SHAPES["disc"].sum(), 4}  # either target, and always whole
    empty = [random_crop(frames, masks, 32, rng, 0.5)[1].any() for _ in range(400)]
    assert 0.4 < np.mean(empty) < 0.65
    image, mask = random_crop(frames, masks, 32, rng, 1.0)
    assert image.shape == mask.shape == (5, 32, 32) and image[mask].min() == 150 and image[~mask].max() == 50


def test_crops_reach_every_place():
    frames = np.arange(36, dtype=np.float32).reshape(1, 6, 6)
    rng = np.random.default_rng(0)
    firsts = {random_crop(frames, frames < 0, 4, rng)[0][0, 0, 0] for _ in range(200)}
    assert firsts == {6 * y + x for y in range(3) for x in range(3)}


def test_crops_of_small_clips_are_mirrored_at_the_far_side():
    frames, masks = clip([(SHAPES["2x2"], [(10, 18)])], size=(12, 20), noise=5)
    image, mask = random_crop(frames, masks, 32, np.random.default_rng(0), 1.0)
    assert (image[:, :12, :20] == frames).all() and (image[:, 12:24, :20] == frames[:, ::-1]).all()
    assert mask.sum() == 16 * 1 and image.shape == (1, 32, 32)


def test_a_target_larger_than_the_crop_is_cut_through_its_middle():
    frames = np.zeros((1, 64, 64), np.float32)
    masks = np.zeros((1, 64, 64), bool)
    masks[0, 10:50, 30:33] = True
    for seed in range(20):
        _, mask = random_crop(frames, masks, 16, np.random.default_rng(seed), 1.0)
        assert mask.sum() == 16 * 3


@pytest.mark.parametrize("fit", ["crop", "resize"])
def test_a_recipe_makes_its_transform(fit):
    frames, masks = clip([(SHAPES["disc"], line((40, 40), (1, 1)))], noise=3)
    config = TrainConfig(input_size=64, fit=fit, published_augmentation=True, clones=2)
    transform = build_transform(config, std=20.0)
    image, mask = transform(frames, masks, np.random.default_rng(0))
    assert image.shape == mask.shape == (5, 64, 64) and image.dtype == np.float32 and mask.dtype == bool
    assert mask[-1].sum() > SHAPES["disc"].sum() * (0.4 if fit == "resize" else 1)
    assert [type(step).__name__ for step in transform.steps] == [
        "TargetAugmentation",
        "GeometricAugmentation",
        "IntensityJitter",
    ]
    assert transform.steps[0] == TargetAugmentation(copies=2, mode="replace")
    bare = TrainConfig(input_size=96, fit=fit, target_augmentation=False, flips=False, intensity=0)
    image, mask = build_transform(bare, std=20.0)(frames, masks, np.random.default_rng(0))
    assert (image == frames).all() and (mask == masks).all()


def write_dataset(root, sequences):
    lines = []
    for number in range(1, sequences + 1):
        frames, masks = clip([(SHAPES["disc"], line((40, 30 + 9 * number), (1, 1)))], noise=3)
        for kind, images in (("images", frames), ("masks", masks * 255)):
            (root / kind / f"sequence{number}").mkdir(parents=True)
            for index, image in enumerate(images):
                cv2.imwrite(str(root / kind / f"sequence{number}" / f"{index}.png"), image.astype(np.uint8))
        lines += [f"images/sequence{number}/{index}.png" for index in range(5)]
    (root / "train_NUDTMIRSDT.txt").write_text("\n".join(lines) + "\n")


def test_the_figure_is_drawn_from_a_dataset_alone(tmp_path):
    write_dataset(tmp_path / "data", sequences=2)
    draw_figure(["--data-root", str(tmp_path / "data"), "--out", str(tmp_path / "new" / "figure.png")])
    picture = cv2.imread(str(tmp_path / "new" / "figure.png"))
    assert picture.shape[0] > 500 and picture.shape[1] > 1000
    blue, green, red = picture.reshape(-1, 3).astype(int).T
    assert ((red > 200) & (green > 150) & (blue < 80)).sum() > 200  # outlines of the targets
    assert ((red < 100) & (green > 180) & (blue > 200)).sum() > 200  # and of their clones


def test_the_figure_says_what_it_lacks(tmp_path):
    write_dataset(tmp_path, sequences=1)
    with pytest.raises(UserError, match="1 of the sequences sequence1.*expected 2"):
        draw_figure(["--data-root", str(tmp_path)])
    with pytest.raises(UserError, match="found sequence9, expected two of sequence1"):
        draw_figure(["--data-root", str(tmp_path), "--sequences", "sequence1", "sequence9"])
