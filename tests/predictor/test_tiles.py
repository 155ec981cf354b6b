"""Frames in tiles: where these lie, that their results are those of whole frames, and when frames are cut."""

import dataclasses
import tracemalloc
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from networks import EXACT, model_of
from scenes import scene, view

from nets import NETWORKS, build_model
from utils.clips.settings import ClipSettings
from utils.predictor.classical import classical_predictor
from utils.predictor.network_run import EveryFrameRun, FunctionRun, NetworkRun, StreamingRun
from utils.predictor.prediction import components_of
from utils.predictor.predictor import Predictor
from utils.predictor.tiles import runs, tiling
from utils.predictor.tiles.grid import SEAM_PX, Grid
from utils.predictor.tiles.tiling import BYTES_PER_PIXEL, WHOLE_BYTES, Tiler, Tiling
from utils.system.notices import warnings_given

T, MULTIPLE, REACH = 3, 4, 10
SETTINGS = ClipSettings(T, (100.0, 20.0))


def panned(count, shape):
    """What a camera that pans over a scene sees, (H, W) uint8 each."""
    picture = scene(side=60 + max(shape))
    return [
        np.clip(np.rint(view(picture, (1.3 * t, -0.8 * t), max(shape), 1, t)), 0, 255).astype(np.uint8)[
            : shape[0], : shape[1]
        ]
        for t in range(count)
    ]


# Where tiles lie


def test_a_grid_that_is_known():
    grid = Grid((1000, 512), 512, 64, 8)
    assert grid.tile_shape == (512, 512)
    assert [tile.y for tile in grid.tiles] == [(0, 512, 0, 376), (240, 752, 376, 620), (488, 1000, 620, 1000)]
    assert {tile.x for tile in grid.tiles} == {(0, 512, 0, 512)}
    assert [tile.y[:2] for tile in Grid((960, 8), 512, 64, 8).tiles] == [(0, 512), (448, 960)]  # no tile too many


@pytest.mark.parametrize("multiple", [1, 8, 32])
@pytest.mark.parametrize("length", [64, 96, 128, 160, 512, 544, 992, 1024, 2048])
@pytest.mark.parametrize(("side", "overlap"), [(64, 0), (64, 32), (100, 50), (128, 5), (512, 64)])
def test_tiles_cover_frames_once_and_overlap_enough(length, side, overlap, multiple):
    grid = Grid((length, 32), side, overlap, multiple)
    spans = [tile.y for tile in grid.tiles]
    assert spans[0].first == spans[0].start == 0 and spans[-1].last == spans[-1].stop == length
    assert len({span.stop - span.start for span in spans}) == 1
    assert all(span.start % multiple == (span.stop - span.start) % multiple == 0 for span in spans)
    for span, after in pairwise(spans):
        assert span.last == after.first and span.stop - after.start >= overlap
        assert min(span.stop - span.last, after.first - after.start) >= overlap // 2


def test_maps_of_tiles_are_the_map():
    grid, whole = Grid((96, 160), 64, 16, 8), np.random.default_rng(0).random((2, 96, 160))
    assert len(grid.tiles) == 6
    assert np.array_equal(grid.join_maps(tile.of(whole) for tile in grid.tiles), whole)


# Maps: a network that halves its maps twice, and sees `REACH` pixels


def look(clips):
    """Clips (B, T, H, W) → (B, H, W): blocks of 4×4 by their largest, and what the pixels around give."""
    results = []
    for clip in clips:
        plane = np.tensordot((0.2, 0.3, 0.5), clip.astype(np.float64), 1)
        blocks = plane.reshape(plane.shape[0] // 4, 4, plane.shape[1] // 4, 4).max((1, 3)).repeat(4, 0).repeat(4, 1)
        near = cv2.blur(blocks, (15, 15), borderType=cv2.BORDER_CONSTANT)  # 7 pixels of blocks of up to 3 more
        results.append(1 / (1 + np.exp(near - plane)))
    return np.stack(results).astype(np.float32)


class Looking(NetworkRun):
    """`look`, and the largest input so far."""

    largest = 0

    def __call__(self, clips):
        self.largest = max(self.largest, clips.size)
        return look(clips)


class Streamed(Looking, StreamingRun):
    """The same from frames one by one, which counts them."""

    observed = 0

    def observe(self, frames):
        self.observed += len(frames)
        self.largest = max(self.largest, frames.size)
        return list(frames)

    def decide(self, keys, windows):
        return look(np.stack([np.stack(window) for window in windows]))

    def size_of(self, contribution):
        return contribution.nbytes


class EveryFrame(Looking, EveryFrameRun):
    """The same for every frame, which sees the first one before it too."""

    def frames(self, clips, newest):
        self.largest = max(self.largest, clips.size)
        padded = np.concatenate([np.repeat(clips[:, :1], T - 1, 1), clips], 1)
        maps = [look(padded[:, index : index + T]) for index in range(clips.shape[1])]
        return np.stack(maps, 1)[:, -newest:]


def maps_of(predictor, frames, batch_size=1):
    return np.stack([one.probability for one in predictor.stream(frames, batch_size)])


@pytest.mark.parametrize("make", [Looking, Streamed, EveryFrame])
@pytest.mark.parametrize("register", [False, True])
def test_tiles_give_what_the_whole_frame_gives_where_the_network_sees_no_further_than_half_the_overlap(make, register):
    if make is EveryFrame and register:
        pytest.skip("these networks have no aligned clips")
    settings = dataclasses.replace(SETTINGS, register=register, every_frame=make is EveryFrame)
    whole, frames = Predictor(make(), settings, MULTIPLE), panned(5, (130, 170))
    expected = maps_of(whole, frames)
    assert expected.std() > 0.05
    for overlap, alike in ((2 * REACH, True), (0, False)):
        tiled = Predictor(make(), settings, MULTIPLE, tiling=Tiling(64, overlap))
        found = maps_of(tiled, frames)
        assert np.allclose(found, expected, atol=1e-6) == alike
        assert tiled.run.largest <= T * 64 * 64 < 132 * 172 <= whole.run.largest


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_what_frames_contribute_is_kept_or_computed_once_for_the_clips_that_are_decided_on_together(
    monkeypatch, batch_size
):
    frames = panned(5, (60, 170))
    runs_of = {}
    for kept_bytes in (1 << 29, 0):
        monkeypatch.setattr(runs, "KEPT_BYTES", kept_bytes)
        predictor = Predictor(Streamed(), SETTINGS, MULTIPLE, tiling=Tiling(64, 16))
        runs_of[kept_bytes] = maps_of(predictor, frames, batch_size), predictor.run.observed
    (kept, few), (anew, many) = runs_of.values()
    assert np.array_equal(kept, anew)
    tiles = 4  # of 64 columns each, 48 apart at most
    starts = range(0, len(frames), batch_size)
    seen = [len(range(max(0, start - T + 1), min(start + batch_size, len(frames)))) for start in starts]
    assert (few, many) == (1 + tiles * len(frames), 1 + tiles * sum(seen))


def test_what_is_kept_is_bounded_for_all_tiles_and_frames_of_a_clip(monkeypatch):
    grid, frame = Grid((60, 172), 64, 16, MULTIPLE), 60 * 64 * 4
    for bound, keeps in ((4 * T * frame, True), (4 * T * frame - 1, False)):
        monkeypatch.setattr(runs, "KEPT_BYTES", bound)
        assert runs.run_on_tiles(Streamed(), grid, SETTINGS).keeps is keeps

    class Silent(Streamed):
        size_of = StreamingRun.size_of

    monkeypatch.setattr(runs, "KEPT_BYTES", 1 << 60)
    assert not runs.run_on_tiles(Silent(), grid, SETTINGS).keeps


def reach_of(network, side):
    """How far, in pixels, the network sees: what changes around pixels that are no numbers, wherever its maps halve."""
    clip, first = torch.zeros(1, network.num_frames, side, side), side // 2
    last = first + network.multiple - 1
    clip[..., first : last + 1, first : last + 1] = torch.nan
    with torch.no_grad():
        changed = network.eval()(clip)[0, 0].isnan().any(1).nonzero()
    assert changed.min() > 0 and changed.max() < side - 1
    return int(max(first - changed.min(), changed.max() - last))


@pytest.mark.parametrize(("name", "options", "side"), [("tsmsa", {}, 256), ("deeppro_plus", {"num_frames": 3}, 48)])
def test_networks_whose_reach_is_bounded_see_in_tiles_what_they_see_in_whole_frames(name, options, side):
    model = model_of(name, **options)
    reach = reach_of(model.network, side)
    settings = ClipSettings(model.network.num_frames, (100.0, 20.0), name=name, every_frame=name != "tsmsa")
    whole = Predictor.from_network(model.network, model.postprocess, settings, device="cpu")
    frames = panned(3, (64, 4 * reach + 90))
    tiled = dataclasses.replace(whole, tiling=Tiling(max(64, 4 * reach), 2 * reach))
    expected, found = (maps_of(one, frames, 2) for one in (whole, tiled))
    assert np.abs(found - expected).max() <= EXACT * np.ptp(expected)
    assert np.ptp(expected) > 0.01


def test_the_reach_of_tsmsa_is_as_the_page_says():
    assert reach_of(build_model("tsmsa").network, 256) <= 112


# Boxes


def found_by(clips):
    """The boxes of what is bright in the last frames."""
    planes = clips.reshape(len(clips), -1, *clips.shape[-2:])[:, -1]
    return [
        np.array([[*one.box, one.score, 0] for one in components_of(plane > 0.5, plane)], np.float32).reshape(-1, 6)
        for plane in planes
    ]


def frame_with(targets, shape=(160, 208)):
    frame = np.zeros(shape, np.uint8)
    for x, y, side, level in targets:
        frame[y : y + side, x : x + side] = level
    return frame


def detector(run, side=64, overlap=32, **settings):
    settings = ClipSettings(**{"num_frames": 1, "normalisation": (0.0, 255.0), "task": "detection"} | settings)
    return Predictor(run, settings, 16, tiling=Tiling(side, overlap))


def boxes_of(predictor, frame):
    (prediction,) = predictor.stream([frame])
    return prediction.detections


@pytest.mark.parametrize("overlap", [0, 32])
def test_boxes_of_tiles_are_those_of_the_whole_frame(overlap):
    cells = np.random.default_rng(1).permutation(200)[:40]
    targets = [(10 * (cell % 20) + 3, 15 * (cell // 20) + 2, 5, 140 + index) for index, cell in enumerate(cells)]
    whole, found = (boxes_of(detector(found_by, side, overlap), frame_with(targets)) for side in (0, 64))
    assert len(whole) == 40
    assert np.array_equal(found, whole) == (overlap > 0)  # without any, targets on seams are cut


def test_a_target_is_found_once_wherever_a_seam_goes_through_it():
    predictor = detector(found_by)
    (_, tile, *_) = Grid((160, 208), 64, 32, 16).tiles
    seam = tile.x.first
    for x in range(seam - 8, seam + 8):
        for y in range(40, 56, 3):  # the corner of four tiles lies there
            assert boxes_of(predictor, frame_with([(x, y, 4, 250)])).tolist() == [
                [x, y, x + 4, y + 4, np.float32(250 / 255), 0]
            ]


@pytest.mark.parametrize("apart", [-3, 3])
def test_a_target_is_found_once_where_tiles_disagree_about_its_place(apart):
    def shifted(clips):
        """As `found_by`, shifted by how far from its left edge a tile shows something: other tiles, other shifts."""
        results = found_by(clips)
        for boxes in results:
            boxes[:, :4:2] += np.where(boxes[:, :1] < clips.shape[-1] / 2, apart / 2, -apart / 2)
            boxes[:, 4] -= np.where(boxes[:, 0] < clips.shape[-1] / 2, 0.1, 0)
        return results

    predictor = detector(shifted)
    seam = Grid((160, 208), 64, 32, 16).tiles[1].x.first
    for x in range(seam - 12, seam + 8):
        (found,) = boxes_of(predictor, frame_with([(x, 20, 8, 250)]))
        assert abs(found[0] - x) == abs(apart) / 2


def test_neighbours_on_a_seam_stay_two():
    grid = Grid((64, 208), 128, 64, 16)
    for x in range(90, 110):
        rows = np.array([[x, 20, x + 8, 28, 0.9, 0], [x + 3, 20, x + 11, 28, 0.8, 0], [x, 20, x + 8, 28, 0.7, 1]])
        found = grid.join_boxes(rows - [tile.x.start, 0, tile.x.start, 0, 0, 0] for tile in grid.tiles)
        assert np.array_equal(found, rows)


def test_thousands_of_boxes_in_every_tile_take_little_memory():
    grid, rng = Grid((512, 512), 128, 32, 16), np.random.default_rng(0)
    corners = rng.uniform(0, 506, (6000, 2))
    boxes = np.column_stack([corners, corners + 6, rng.random(6000), np.zeros(6000)])
    parts = []
    for tile in grid.tiles:
        moved = boxes - [tile.x.start, tile.y.start, tile.x.start, tile.y.start, 0, 0]
        parts.append(moved[((moved[:, :4] >= 0) & (moved[:, :4] <= 128)).all(1)])
    tracemalloc.start()
    found = grid.join_boxes(parts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.allclose(found, boxes[np.argsort(-boxes[:, 4])]) and peak < 100 << 20


def test_what_one_tile_sees_in_the_part_of_another_does_not_count():
    grid = Grid((64, 208), 128, 48, 16)
    first, second = (tile.x for tile in grid.tiles)
    box = np.array([[first.last + 2, 20, first.last + 8, 26, 0.9, 0]])
    none = np.zeros((0, 6))
    assert first.last + 5 - first.last < SEAM_PX
    assert len(grid.join_boxes([box, none])) == 0
    assert len(grid.join_boxes([none, box - [second.start, 0, second.start, 0, 0, 0]])) == 1


def test_boxes_beyond_the_edge_of_the_frame_count():
    grid = Grid((64, 208), 128, 48, 16)
    box = np.array([[-6.0, -9, 2, -3, 0.9, 0]])
    assert np.array_equal(grid.join_boxes([box, box[:0]]), box)


@pytest.mark.parametrize("fit", ["letterbox", "resize"])
@pytest.mark.parametrize(("side", "input_size"), [(64, 64), (64, 128), (128, 64)])
def test_a_tile_is_fitted_into_the_input_as_a_frame_is(fit, side, input_size):
    seen, targets = set(), [(30, 40, 8, 250), (100, 61, 8, 240), (190, 130, 8, 230)]

    def run(clips):
        seen.add(clips.shape[-2:])
        return found_by(clips)

    mean = (128.0, 120.0) if fit == "letterbox" else (0.0, 255.0)  # its margin is no target
    predictor = detector(run, side, 32, fit=fit, input_size=input_size, normalisation=mean)
    found = boxes_of(predictor, frame_with(targets))
    assert seen == {(input_size, input_size)}
    assert np.abs(found[:, :4] - [[x, y, x + width, y + width] for x, y, width, _ in targets]).max() <= 1


# When frames are cut


@pytest.mark.parametrize("fit", ["crop", "resize", "letterbox"])
def test_frames_no_larger_than_a_tile_stay_as_they_were(fit):
    settings = dataclasses.replace(SETTINGS, fit=fit, input_size=96)
    frames = panned(4, (100, 128))
    expected, found = (
        maps_of(Predictor(Looking(), settings, MULTIPLE, tiling=made), frames) for made in (Tiling(0), Tiling(128))
    )
    assert np.array_equal(found, expected)
    run = Looking()
    assert Tiler(run, settings, MULTIPLE, Tiling(128)).run_for((100, 128), (100, 128)) is run


def test_frames_are_cut_by_themselves_where_the_network_would_take_too_much_memory(monkeypatch):
    monkeypatch.setitem(BYTES_PER_PIXEL, "large", WHOLE_BYTES >> 20)
    monkeypatch.setitem(BYTES_PER_PIXEL, "huge", WHOLE_BYTES >> 17)
    sides = {
        name: [
            Tiling().side_for(shape, ClipSettings(1, (0.0, 1.0), name=name)) for shape in ((1024, 1024), (1025, 1024))
        ]
        for name in ("large", "huge", "a function of one's own")
    }
    assert sides == {"large": [0, 512], "huge": [320, 320], "a function of one's own": [0, 0]}
    fitted = ClipSettings(1, (0.0, 1.0), name="huge", fit="letterbox", input_size=512)
    assert Tiling().side_for((4096, 4096), fitted) == 0
    assert Tiling(600).side_for((4096, 4096), fitted) == 600


def test_that_frames_are_cut_by_themselves_is_said_once(monkeypatch):
    frames, settings = panned(4, (60, 170)), dataclasses.replace(SETTINGS, name="tsmsa")

    def largest_input(made):
        predictor = Predictor(Looking(), settings, MULTIPLE, tiling=made)
        list(predictor.stream(frames))
        return predictor.run.largest // T

    assert largest_input(Tiling()) == 60 * 172 and not warnings_given()
    monkeypatch.setattr(tiling, "WHOLE_BYTES", BYTES_PER_PIXEL["tsmsa"] * 5000)
    assert largest_input(Tiling()) == 60 * 64
    (text,) = warnings_given()
    assert text.startswith("frames of 170x60 (w x h) in 4 tiles of 64x64, as tsmsa would")
    assert largest_input(Tiling(0)) == 60 * 172 and largest_input(Tiling(128)) == 60 * 128
    assert len(warnings_given()) == 1


def test_tiles_overlap_by_a_quarter_where_nothing_else_is_asked_for():
    assert [Tiling(side).overlap_for(side) for side in (64, 240, 512)] == [16, 60, 128]
    assert Tiling(256, 100).overlap_for(256) == 100 and Tiling(None, 256).overlap_for(320) == 160
    frames = panned(3, (60, 170))
    usual, asked = (
        maps_of(Predictor(Looking(), SETTINGS, MULTIPLE, tiling=Tiling(64, px)), frames) for px in (None, 16)
    )
    assert np.array_equal(usual, asked)


def test_every_network_says_what_it_takes():
    assert BYTES_PER_PIXEL.keys() == NETWORKS.keys()


def test_classical_methods_see_whole_frames():
    predictor = classical_predictor("top-hat")
    assert predictor.tiling == Tiling(0) and isinstance(predictor.run, FunctionRun)


@pytest.mark.parametrize(
    ("side", "overlap", "text"),
    [
        (63, 0, "got tiles of 63 px, expected 0, or 64 to 8192"),
        (-1, 0, "expected 0, or 64"),
        (9000, 0, "got tiles of 9000"),
        (64, 33, "got an overlap of 33 px, expected 0 to 32, half a tile"),
        (None, 257, "expected 0 to 256"),
        (64, -1, "got an overlap of -1"),
    ],
)
def test_sides_and_overlaps_beyond_their_bounds_are_refused(side, overlap, text):
    with pytest.raises(ValueError, match=text):
        Tiling(side, overlap)
