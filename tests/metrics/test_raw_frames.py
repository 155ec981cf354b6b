"""Raw frames of datasets are shown to networks that have learnt from 8 bits as those of footage are."""

import dataclasses

import numpy as np
import pytest
from trees import target_mask, write

from utils.clips.settings import ClipSettings
from utils.datasets.dataset import open_dataset
from utils.metrics.evaluate import evaluate_detection, evaluate_sequences
from utils.predictor.classical import classical_predictor
from utils.predictor.predictor import Predictor
from utils.system.notices import warnings_given
from utils.video.sources import open_sources

SIZE, LENGTH = (40, 60), 6
LEARNT = ClipSettings(3, (100.0, 30.0), bits=8)


def scene(number):
    """Grey levels of 8 bits with a moving target, and where that is."""
    image = np.random.default_rng(number).normal(90, 3, SIZE)
    y, x = 8 + 3 * number, 10 + 4 * number
    image[y : y + 3, x : x + 3] += 110
    return image, target_mask(SIZE, (y, x))


def dataset(root, show, number=0):
    for index in range(LENGTH):
        image, mask = scene(index)
        name = f"test/s{number}/{index:03d}.png"
        write(root / "images" / name, show(image))
        write(root / "masks" / name, mask)
    return open_dataset(root, "test", need="masks")


def plain(image):
    return np.rint(image).astype(np.uint8)


def raw(image):
    return np.rint(7000 + 3 * image).astype(np.uint16)


def bright(settings=LEARNT, seen=None):
    """A network that takes for targets what is far above its training frames' mean."""

    def run(clips):
        if seen is not None:
            seen.extend(clips)
        return (clips[:, -1] > 1.5).astype(np.float32)

    return Predictor(run, settings, multiple=1)


def figures(predictor, data):
    found = evaluate_sequences(predictor, data, quiet=True).overall.compute()
    return found["pd"], found["false_per_frame"]


@pytest.mark.parametrize("workers", [0, 2])
def test_measuring_finds_in_raw_frames_what_it_finds_in_eight_bits(tmp_path, workers):
    sets = [dataset(tmp_path / name, show) for name, show in (("eight", plain), ("raw", raw))]
    for data in sets:
        found = evaluate_sequences(bright(), data, quiet=True, workers=workers).overall.compute()
        assert (found["pd"], found["false_per_frame"]) == (1.0, 0.0)
        boxes = evaluate_detection(bright(), data, quiet=True, workers=workers).overall.compute(0.5)
        assert boxes["centre_ap"] == 1.0
    (said,) = warnings_given()
    assert said.startswith(f"{tmp_path / 'raw'}: raw frames; the network, which has learnt from 8 bits")


def test_measuring_shows_raw_frames_exactly_as_footage_is_shown(tmp_path):
    data, (measured, shown) = dataset(tmp_path, raw), ([], [])
    evaluate_sequences(bright(seen=measured), data, quiet=True)
    (source,) = open_sources(tmp_path / "images/test/s0")
    list(bright(seen=shown).stream(source))
    assert np.array_equal(measured, shown)


def test_every_sequence_has_a_range_of_its_own(tmp_path):
    dataset(tmp_path / "x", raw)
    data = dataset(tmp_path / "x", lambda image: raw(image) + np.uint16(20000), 1)
    assert list(data.sequences) == ["s0", "s1"] and figures(bright(), data) == (1.0, 0.0)


def test_networks_that_have_learnt_from_raw_frames_and_methods_see_them_as_they_are(tmp_path):
    data, seen = dataset(tmp_path, raw), []
    settings = dataclasses.replace(LEARNT, normalisation=(0.0, 1.0), bits=16)
    evaluate_sequences(bright(settings, seen), data, quiet=True)
    assert np.array_equal(seen[-1][-1], raw(scene(LENGTH - 1)[0]))
    evaluate_sequences(classical_predictor("top-hat"), data, quiet=True)
    dark = dataclasses.replace(LEARNT, normalisation=(200.0, 50.0), bits=16)  # the mean alone would tell 8 bits
    seen.clear()
    evaluate_sequences(bright(dark, seen), data, quiet=True)
    assert np.max(seen) > 100 and not warnings_given()


def test_eight_bits_in_files_of_sixteen_give_the_same_figures(tmp_path):
    sets = [dataset(tmp_path / "a", plain), dataset(tmp_path / "b", lambda image: plain(image).astype(np.uint16))]
    seen = [[], []]
    for data, clips in zip(sets, seen, strict=True):
        evaluate_sequences(bright(seen=clips), data, quiet=True)
    assert np.array_equal(*seen) and not warnings_given()
