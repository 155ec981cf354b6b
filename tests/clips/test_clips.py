"""The clip rule, frames shared by clips, setting frames aside, and choosing a threshold on them."""

import multiprocessing
import pickle

import cv2
import numpy as np
import pytest

from utils.clips.cache import SharedCache
from utils.clips.rule import clip_indices, run_starts
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset
from utils.datasets.dataset import measure_levels
from utils.datasets.frame_table import Frame
from utils.system.errors import UserError
from utils.training.loader import EpochSampler
from utils.training.selection import choose_threshold, hold_out


def write_sequence(folder, name, numbers, size=(24, 40), dtype=np.uint8):
    """Frames whose every pixel is their number (plus a gradient), and masks with one pixel at column = number."""
    frames = []
    for number in numbers:
        image, mask = folder / f"{name}_{number}.png", folder / f"{name}_{number}_mask.png"
        cv2.imwrite(str(image), np.full(size, number, dtype))
        values = np.zeros(size, np.uint8)
        values[3, number % size[1]] = 255
        cv2.imwrite(str(mask), values)
        frames.append(Frame(name, number, str(image), str(mask), None))
    return tuple(frames)


@pytest.mark.parametrize(
    ("numbers", "index", "expected"),
    [
        ([0, 1, 2, 3, 4, 5], 5, [1, 2, 3, 4, 5]),
        ([0, 1, 2, 3, 4, 5], 4, [0, 1, 2, 3, 4]),
        ([0, 1, 2, 3, 4, 5], 1, [0, 0, 0, 0, 1]),
        ([7, 8, 9], 0, [0, 0, 0, 0, 0]),
        ([1, 2, 3, 10, 11, 12], 4, [3, 3, 3, 3, 4]),
        ([1, 2, 3, 10, 11, 12], 2, [0, 0, 0, 1, 2]),
        ([1, 3, 5], 2, [2, 2, 2, 2, 2]),
    ],
)
def test_clip_rule(numbers, index, expected):
    assert clip_indices(numbers, index, 5) == expected


def test_clip_of_every_second_frame():
    assert clip_indices(range(12), 11, 5, step=2) == [3, 5, 7, 9, 11]
    assert clip_indices(range(12), 5, 5, step=2) == [0, 0, 1, 3, 5]
    assert clip_indices([1, 2, 3, 10, 11, 12, 13], 6, 3, step=2) == [3, 4, 6]


def test_run_starts_refuses_numbers_that_do_not_ascend():
    assert run_starts([3, 4, 6, 7, 9]) == [0, 0, 2, 2, 4]
    with pytest.raises(ValueError, match="ascend"):
        run_starts([3, 3])


def test_clips_hold_the_right_frames_and_never_cross_gaps_or_sequences(tmp_path):
    sequences = {"a": write_sequence(tmp_path, "a", [1, 2, 3, 10, 11]), "b": write_sequence(tmp_path, "b", [1, 2])}
    keys = [(name, i) for name, frames in sequences.items() for i in range(len(frames))]
    clips = ClipDataset(sequences, keys, ClipSettings(3, (1.0, 2.0)))
    shown = [(clips[i]["clip"][:, 0, 0] * 2 + 1).round().astype(int).tolist() for i in range(len(clips))]
    assert shown == [[1, 1, 1], [1, 1, 2], [1, 2, 3], [10, 10, 10], [10, 10, 11], [1, 1, 1], [1, 1, 2]]
    sample = clips[4]
    assert sample["clip"].shape == (3, 24, 40) and sample["clip"].dtype == np.float32
    assert sample["mask"].shape == (1, 24, 40) and sample["mask"].sum() == 1 and sample["mask"][0, 3, 11] == 1
    assert sample["key"].endswith("a_11.png")


def test_clips_whose_every_frame_is_a_sample_hold_all_masks_and_zeros_before_their_run(tmp_path):
    sequences = {"a": write_sequence(tmp_path, "a", [1, 2, 3, 10, 11])}
    settings = ClipSettings(3, (1.0, 2.0), every_frame=True)
    clips = ClipDataset(sequences, [("a", i) for i in range(5)], settings)
    shown = [clips[i]["clip"][:, 0, 0].tolist() for i in range(5)]
    assert shown == [[0, 0, 0], [0, 0, 0.5], [0, 0.5, 1], [0, 0, 4.5], [0, 4.5, 5]]
    columns = [[np.flatnonzero(mask[3]).tolist() for mask in clips[i]["mask"]] for i in range(5)]
    assert columns == [[[], [], [1]], [[], [1], [2]], [[1], [2], [3]], [[], [], [10]], [[], [10], [11]]]
    assert clips[0]["mask"].shape == (3, 24, 40) and clips[0]["mask"].dtype == np.float32


def test_sixteen_bit_frames_keep_their_units(tmp_path):
    frames = write_sequence(tmp_path, "a", [300, 301], dtype=np.uint16)
    assert measure_levels(frames)[0] == 300.5
    clips = ClipDataset({"a": frames}, [("a", 1)], ClipSettings(2, (300.5, 0.5)))
    assert clips[0]["clip"][:, 0, 0].tolist() == [-1.0, 1.0]


def test_every_frame_is_decoded_once_while_the_cache_holds_it(tmp_path, monkeypatch):
    from utils.clips import training_clips as module

    reads = []
    original = module.read_frame
    monkeypatch.setattr(module, "read_frame", lambda path: reads.append(path) or original(path))
    frames = write_sequence(tmp_path, "a", range(12))
    clips = ClipDataset({"a": frames}, [("a", i) for i in range(12)], ClipSettings(5, (0.0, 1.0)))
    for i in (5, 0, 11, 7, 3, 8, 1, 2, 4, 6, 9, 10):
        clips[i]
    assert sorted(reads) == sorted(frame.image for frame in frames)


def fail():
    raise AssertionError("made again")


def test_the_cache_is_bounded_and_keeps_what_came_first():
    cache = SharedCache(3, limit=350)
    made = []

    def fetch(key):
        return cache.get("abc".index(key), lambda: made.append(key) or np.full((10, 15), ord(key), np.uint8))

    for key in "ababcc":
        assert (fetch(key) == ord(key)).all()
    assert made == ["a", "b", "c", "c"]
    with pytest.raises(ValueError, match="read-only"):
        fetch("a")[0, 0] = 1
    copied = pickle.loads(pickle.dumps(cache))  # as for a process that is not forked: empty, of the same size
    cache = copied
    for key in "aab":
        fetch(key)
    assert made[4:] == ["a", "b"]
    empty = SharedCache(1, limit=0)
    assert empty.get(0, lambda: np.ones((2, 2))).all() and empty.get(0, lambda: np.zeros((1, 2))).shape == (1, 2)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here")
def test_forked_processes_share_the_cache():
    cache = SharedCache(2, limit=1000)
    first, second = np.arange(6, dtype=np.uint16).reshape(2, 3), np.array([[0.5, -2.25]])
    cache.get(0, lambda: first)

    def child():
        assert np.array_equal(cache.get(0, fail), first)
        cache.get(1, lambda: second)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    found = cache.get(1, fail)
    assert np.array_equal(found, second) and found.dtype == np.float64


def test_a_sample_depends_on_seed_epoch_and_index_alone(tmp_path):
    sequences = {"a": write_sequence(tmp_path, "a", range(6))}

    def noisy(frames, masks, boxes, rng):
        return frames + rng.normal(size=frames.shape).astype(np.float32), masks, boxes

    def make(seed):
        return ClipDataset(sequences, [("a", i) for i in range(6)], ClipSettings(5, (0.0, 1.0)), noisy, seed)

    one, two = make(1), make(1)
    two[3], two[5]
    assert np.array_equal(one[(2, 4)]["clip"], two[(2, 4)]["clip"])
    assert not np.array_equal(one[(2, 4)]["clip"], one[(3, 4)]["clip"])
    assert not np.array_equal(one[(2, 4)]["clip"], make(2)[(2, 4)]["clip"])


def test_frames_of_two_sizes_in_one_clip_are_named(tmp_path):
    frames = write_sequence(tmp_path, "a", [0]) + write_sequence(tmp_path, "a", [1], size=(24, 48))
    with pytest.raises(UserError, match="one size"):
        ClipDataset({"a": frames}, [("a", 1)], ClipSettings(2, (0.0, 1.0)))[0]


def test_flat_pictures_cannot_be_normalised(tmp_path):
    with pytest.raises(UserError, match="every pixel"):
        measure_levels(write_sequence(tmp_path, "a", [7]))
    with pytest.raises(UserError, match="no training frames"):
        measure_levels([])


def test_the_sampler_draws_each_clip_once_an_epoch_in_an_order_of_its_own():
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    assert sorted(index for _, index in first) == list(range(10)) and {epoch for epoch, _ in first} == {0}
    assert list(sampler) == first
    sampler.epoch = 1
    assert [index for _, index in sampler] != [index for _, index in first]
    assert len(list(EpochSampler(10, 3, draw=4))) == 4


def test_clips_drawn_twice_in_an_epoch_are_augmented_differently():
    sampler = EpochSampler(4, seed=3, draw=10)
    sampler.epoch = 5
    items = list(sampler)
    assert len(items) == 10 == len(set(items))
    sampler.epoch = 6
    assert not set(items) & set(sampler)


def sequences_of(**lengths):
    return {name: tuple(Frame(name, i, f"{name}/{i}.png", None, None) for i in range(n)) for name, n in lengths.items()}


def test_hold_out_from_a_frame_number_on():
    training, validation = hold_out(sequences_of(a=10, b=20), ("a:7", "b"), 0.0)
    assert [frame.number for frame in training["a"]] == list(range(7)) and list(training) == ["a"]
    assert [frame.number for frame in validation["a"]] == [7, 8, 9] and len(validation["b"]) == 20
    assert list(hold_out(sequences_of(a=10, b=20), ("a:0",), 0.0)[0]) == ["b"]
    for name in ("c", "a:", "a:x", "c:1", "a:10"):
        with pytest.raises(UserError, match=f"found {name}, expected"):
            hold_out(sequences_of(a=10, b=20), (name,), 0.0)


def test_hold_out_by_name_by_tail_and_by_sequence():
    training, validation = hold_out(sequences_of(a=10, b=20), ("b",), 0.5)
    assert list(training) == ["a"] and len(validation["b"]) == 20
    training, validation = hold_out(sequences_of(a=10, b=20), (), 0.2)
    assert [len(v) for v in training.values()] == [8, 16] and [f.number for f in validation["a"]] == [8, 9]
    training, validation = hold_out(sequences_of(**{f"s{i}": 1 for i in range(10)}), (), 0.2)
    assert list(validation) == ["s4", "s9"] and len(training) == 8 and not set(training) & set(validation)
    assert hold_out(sequences_of(a=3), (), 0.0)[1] == {}


def test_hold_out_names_what_is_wrong():
    with pytest.raises(UserError, match="found c, expected NAME or NAME:N, with NAME one of a, b"):
        hold_out(sequences_of(a=10, b=20), ("c",), 0.0)
    with pytest.raises(UserError, match="no training frame"):
        hold_out(sequences_of(a=10), ("a",), 0.0)


def test_threshold_is_the_best_pd_within_the_budget_then_the_best_iou():
    curve = {
        "threshold": [0.1, 0.3, 0.5, 0.7, 0.9],
        "pd": [1.0, 0.9, 0.9, 0.8, 0.1],
        "fa": [1e-3, 4e-5, 3e-5, 1e-6, 0],
        "false_per_frame": [5, 1, 0.5, 0, 0],
        "iou": [0.1, 0.5, 0.4, 0.3, 0.1],
        "pd_fa_auc": 0.8,
    }
    assert choose_threshold(curve, 5e-5, 9)["threshold"] == 0.3
    assert choose_threshold(curve, 5e-5, 0.6)["threshold"] == 0.5
    assert choose_threshold(curve, 1e-6, 9)["threshold"] == 0.7
    assert choose_threshold(curve, 5e-5, 9, fixed=0.52) == pytest.approx(
        {
            "threshold": 0.52,
            "pd": 0.9,
            "fa": 3e-5,
            "false_per_frame": 0.5,
            "iou": 0.4,
            "pd_in_budget": 0.9,
            "pd_fa_auc": 0.8,
        }
    )
    hopeless = {**curve, "fa": [1e-2, 9e-3, 8e-3, 7e-3, 6e-3]}
    assert choose_threshold(hopeless, 5e-5, 9) == pytest.approx(
        {"threshold": 0.9, "pd": 0.1, "fa": 6e-3, "false_per_frame": 0, "iou": 0.1, "pd_in_budget": 0, "pd_fa_auc": 0.8}
    )
    empty = {**curve, "pd": [float("nan")] * 5, "iou": [float("nan")] * 5}
    assert choose_threshold(empty, 1e-6, 9)["threshold"] in (0.7, 0.9)
