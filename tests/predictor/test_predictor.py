"""From frames to predictions, from sources to frames, and from pictures to videos."""

import cv2
import numpy as np
import pytest
from devices import GPU, gpu
from PIL import Image

from utils.clips.rule import clip_indices
from utils.clips.settings import ClipSettings
from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.grey_levels import Stretch
from utils.metrics.evaluate import evaluate_sequences
from utils.metrics.segmentation import SegmentationMetrics
from utils.predictor.prediction import Component, Prediction, TrackPoint, components_of
from utils.predictor.predictor import Predictor
from utils.render.curves import plot_curves, plot_history
from utils.render.overlay import FALSE_COLOUR, FOUND_COLOUR, MISSED_COLOUR, TRACK_COLOUR, TRUTH_COLOUR, Trails, draw
from utils.render.source_truth import open_truth
from utils.system.errors import UserError
from utils.system.threads import make_ahead, read_ahead
from utils.video.sources import open_sources
from utils.video.writers import GifWriter, VideoWriter, fit_into

T = 4


def weigh(clips):
    """A stand-in for a network: depends on every frame, on their order and on every pixel by itself."""
    assert clips.dtype == np.float32 and clips.shape[1] == T and clips.shape[2] % 32 == clips.shape[3] % 32 == 0
    weights = np.array([0.1, 0.2, 0.3, 0.4], np.float32).reshape(1, T, 1, 1)
    return 1 / (1 + np.exp(-(clips * weights).sum(1)))


def predictor(run=weigh, multiple=32, **options):
    return Predictor(run, ClipSettings(**{"num_frames": T, "normalisation": (100.0, 40.0), **options}), multiple)


def frames_of(shape, count, dtype=np.uint8, seed=0):
    high = 256 if dtype == np.uint8 else 4096
    return list(np.random.default_rng(seed).integers(0, high, (count, *shape)).astype(dtype))


@pytest.mark.parametrize("shape", [(1, 1), (33, 47), (64, 32), (5, 70)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_streamed_equals_windows(shape, dtype, batch_size):
    frames = frames_of(shape, 9, dtype)
    mean, std = (100.0, 40.0) if dtype == np.uint8 else (2048.0, 800.0)  # of a network that has learnt from such frames
    trained = predictor(normalisation=(mean, std))
    numbers = [0, 1, 2, 3, 4, 7, 8, 20, 21]
    found = list(trained.stream(zip(numbers, frames, strict=True), batch_size))
    assert [prediction.number for prediction in found] == numbers
    for index, prediction in enumerate(found):
        clip = np.stack([frames[i] for i in clip_indices(numbers, index, T)])
        expected = trained.predict(clip[None])[0]
        assert prediction.probability.shape == shape and prediction.probability.dtype == np.float32
        assert np.allclose(prediction.probability, expected.probability, atol=1e-6)
        assert np.array_equal(prediction.mask, prediction.probability > 0.5)
        direct = (((clip.astype(np.float64) - mean) / std) * np.array([0.1, 0.2, 0.3, 0.4])[:, None, None]).sum(0)
        assert np.allclose(prediction.probability, 1 / (1 + np.exp(-direct)), atol=1e-4)


def test_frames_without_numbers_are_consecutive():
    frames = frames_of((40, 40), 6)
    plain, numbered = (list(predictor().stream(items)) for items in (frames, list(enumerate(frames))))
    assert all(np.array_equal(a.probability, b.probability) for a, b in zip(plain, numbered, strict=True))


def test_a_gap_and_a_new_stream_start_anew():
    frames = frames_of((32, 32), 4)
    after_gap = list(predictor().stream(zip([0, 1, 2, 9], frames, strict=True)))[-1]
    alone = list(predictor().stream([frames[3]]))[0]
    unbroken = list(predictor().stream(frames))[-1]
    assert np.array_equal(after_gap.probability, alone.probability)
    assert not np.allclose(unbroken.probability, alone.probability)


def test_another_frame_size_starts_anew():
    frames = [*frames_of((32, 40), 3), *frames_of((20, 64), 2)]
    for options in ({}, {"fit": "resize", "input_size": 64}):
        found = list(predictor(**options).stream(frames, batch_size=4))
        assert [prediction.mask.shape for prediction in found] == [frame.shape for frame in frames]
        alone = list(predictor(**options).stream(frames[3:]))
        assert np.allclose(found[4].probability, alone[1].probability, atol=1e-6)


def test_numbers_that_do_not_ascend_are_refused():
    with pytest.raises(ValueError, match="ascend"):
        list(predictor().stream(zip([3, 3], frames_of((32, 32), 2), strict=True)))
    with pytest.raises(ValueError, match=r"expected grey \(H, W\)"):
        list(predictor().stream([np.zeros((4, 4, 3), np.uint8)]))


def test_padding_repeats_the_edge_on_the_right_and_at_the_bottom():
    seen = []
    frame = frames_of((33, 40), 1)[0]
    list(predictor(lambda clips: seen.append(clips) or weigh(clips)).stream([frame]))
    assert seen[0].shape == (1, T, 64, 64)
    ready = (frame.astype(np.float32) - 100) / 40
    assert np.allclose(seen[0][0, -1], np.pad(ready, ((0, 31), (0, 24)), mode="edge"))


def test_resized_input_gives_original_pixels():
    frame = np.full((48, 100), 20, np.uint8)
    frame[10:20, 60:80] = 250
    seen = []
    resizing = predictor(lambda clips: seen.append(clips.shape) or weigh(clips), fit="resize", input_size=64)
    found = next(resizing.stream([frame]))
    assert seen == [(1, T, 64, 64)]
    assert found.mask.shape == frame.shape and np.mean(found.mask == (frame > 100)) > 0.98
    assert found.probability.min() >= 0 and found.probability.max() <= 1


def test_components():
    probability = np.zeros((10, 12), np.float32)
    probability[1, 2:4] = 0.9, 0.7
    probability[2, 4] = 0.6  # joined by its corner
    probability[9, 11] = 0.8
    found = components_of(probability > 0.5, probability)
    assert [component.box for component in found] == [(2, 1, 5, 3), (11, 9, 12, 10)]
    assert [component.area for component in found] == [3, 1]
    assert [component.score for component in found] == pytest.approx([0.9, 0.8])
    assert found[0].centroid == pytest.approx((3, 4 / 3)) and found[1].centroid == (11, 9)
    assert components_of(np.zeros((3, 3), bool)) == ()
    assert components_of(probability > 0.5)[0].score == 1


# Checkpoints


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch = pytest.importorskip("torch")
    from nets import build_model
    from utils.predictor.checkpoint import save_checkpoint

    torch.manual_seed(3)
    networks = [build_model("tsmsa").network for _ in range(2)]
    path = tmp_path_factory.mktemp("run") / "best.pt"
    content = {
        "model": {"name": "tsmsa", "options": {"num_frames": 5}},
        "settings": ClipSettings(5, (110.0, 30.0), threshold=0.04, input_size=256, name="tsmsa").as_dict(),
        "config": {"fit": "crop", "input_size": 256},
        "network": networks[0].state_dict(),
        "ema": networks[1].state_dict(),
    }
    save_checkpoint(path, content)
    return path, content, networks


def test_a_checkpoint_describes_itself(checkpoint):
    import torch

    path, content, networks = checkpoint
    frames = frames_of((45, 70), 6)
    loaded = Predictor.from_checkpoint(path, "cpu")
    assert loaded.settings == ClipSettings(5, (110.0, 30.0), threshold=0.04, input_size=256, name="tsmsa")
    found = list(loaded.stream(frames, batch_size=4))
    clip = (np.stack([frames[i] for i in clip_indices(range(6), 3, 5)]).astype(np.float32) - 110) / 30
    clip = torch.from_numpy(np.pad(clip, ((0, 0), (0, 3), (0, 2)), mode="edge"))[None]
    for network, same in ((networks[1], True), (networks[0], False)):  # the averaged weights are the ones to use
        with torch.no_grad():
            expected = network.eval()(clip)[0, 0, :45, :70].sigmoid().numpy()
        assert np.allclose(found[3].probability, expected, atol=1e-5) == same
    assert Predictor.from_checkpoint(path, "cpu", threshold=0.7).settings.threshold == 0.7


def test_a_network_in_training_is_used_in_evaluation_mode(checkpoint):
    from nets import build_model

    model = build_model("tsmsa")
    settings = ClipSettings(5, (100, 40), fit="resize", input_size=64)
    live = Predictor.from_network(model.network.train(), model.postprocess, settings, device="cpu")
    frames = frames_of((32, 32), 2)
    first, second = (list(live.stream(frames))[-1] for _ in range(2))
    assert live.settings.input_size == 64 and np.array_equal(first.probability, second.probability)


def test_checkpoints_that_cannot_be_used(checkpoint, tmp_path):
    import torch

    path, content, _ = checkpoint
    with pytest.raises(UserError, match="no such file, expected a checkpoint"):
        Predictor.from_checkpoint(tmp_path / "none.pt")
    (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        Predictor.from_checkpoint(tmp_path / "cut.pt")
    for change, text in (
        ({"model": {"name": "other", "options": {}}}, "expected one of: .*tsmsa"),
        ({"ema": {"a": torch.zeros(1)}}, "Missing key"),
        ({"model": {"name": "tsmsa", "options": {"slices": 3}}}, "slices"),
    ):
        torch.save({"version": 3, **content, **change}, tmp_path / "odd.pt")
        with pytest.raises(UserError, match=text):
            Predictor.from_checkpoint(tmp_path / "odd.pt")
    with pytest.raises(UserError, match="--device: found 'gpu'"):
        Predictor.from_checkpoint(path, "gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--device: found 'cuda'"):
            Predictor.from_checkpoint(path, "cuda")


@pytest.mark.parametrize("version", [1, 2])
def test_checkpoints_of_earlier_versions_are_read_alike(checkpoint, tmp_path, version):
    import torch

    path, content, _ = checkpoint
    config = {"fit": "resize", "input_size": 64, "register": True, "frame_step": 2, "bad_pixels": True}
    before = {name: content[name] for name in ("model", "network", "ema")} | {
        "version": version,
        "normalisation": [110.0, 30.0],
        "num_frames": 5,
        "threshold": 0.04,
        "config": config,
    }
    torch.save(before, tmp_path / "before.pt")
    loaded = Predictor.from_checkpoint(tmp_path / "before.pt", "cpu")
    assert loaded.settings == ClipSettings(5, (110.0, 30.0), threshold=0.04, name="tsmsa", **config)
    torch.save({"version": 3, **content, "settings": loaded.settings.as_dict()}, tmp_path / "now.pt")
    frames = frames_of((45, 70), 6)
    found, expected = (
        np.stack([one.probability for one in which.stream(frames)])
        for which in (loaded, Predictor.from_checkpoint(tmp_path / "now.pt", "cpu"))
    )
    assert np.array_equal(found, expected)


def test_settings_of_a_later_version_are_named(checkpoint, tmp_path):
    import torch

    _, content, _ = checkpoint
    torch.save({"version": 3, **content, "settings": content["settings"] | {"zoom": 2}}, tmp_path / "later.pt")
    with pytest.raises(UserError, match="later.pt: found settings zoom, which this version does not know; update it"):
        Predictor.from_checkpoint(tmp_path / "later.pt", "cpu")


def test_an_earlier_checkpoint_that_is_garbage_is_named(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(
        {"version": 2, "model": 5, "normalisation": 1, "num_frames": 5, "threshold": 0.5, "config": {}, "network": {}},
        tmp_path / "odd.pt",
    )
    with pytest.raises(UserError, match="odd.pt: does not fit this version"):
        Predictor.from_checkpoint(tmp_path / "odd.pt", "cpu")


@gpu
def test_cuda_gives_what_the_cpu_gives(checkpoint):
    frames = frames_of((45, 70), 6)
    results = [
        np.stack([p.probability for p in Predictor.from_checkpoint(checkpoint[0], device).stream(frames, 3)])
        for device in ("cpu", GPU)
    ]
    assert np.allclose(*results, atol=2e-3)


# Measuring


@pytest.fixture
def dataset(tmp_path):
    """Two sequences of bright targets on dark ground; in the second one a target is too dim to be found."""
    sequences = {}
    for name, levels in (("a", (250, 250)), ("b", (250, 120))):
        frames = []
        for number in (0, 1, 5):
            image = np.random.default_rng(number).integers(0, 60, (40, 50)).astype(np.uint8)
            mask = np.zeros((40, 50), np.uint8)
            for level, x in zip(levels, (5, 30), strict=True):
                image[10:13, x : x + 3], mask[10:13, x : x + 3] = level, 255
            image[30, 40] = 255  # looks like a target and is none
            paths = [tmp_path / kind / name / f"{number}.png" for kind in ("images", "masks")]
            for path, picture in zip(paths, (image, mask), strict=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
            frames.append(Frame(name, number, str(paths[0]), str(paths[1]), None))
        sequences[name] = tuple(frames)
    return Dataset(
        "toy",
        "image tree",
        str(tmp_path),
        "test",
        sequences,
        False,
        None,
        {"snr_le_3": frozenset("b"), "snr_gt_3": frozenset("a")},
    )


def key_frame(clips):
    return 1 / (1 + np.exp(-clips[:, -1]))


@pytest.mark.parametrize("workers, batch_size", [(0, 1), (2, 4)])
def test_evaluation(dataset, workers, batch_size):
    seen = []
    result = evaluate_sequences(
        predictor(key_frame, normalisation=(180, 10)),
        dataset,
        workers=workers,
        batch_size=batch_size,
        quiet=True,
        on_frame=lambda frame, prediction: seen.append((frame.sequence, prediction.number)),
    )
    assert seen == [(name, number) for name in "ab" for number in (0, 1, 5)]
    overall = result.overall.compute()
    assert (overall["targets"], overall["matched"], overall["false_components"], overall["frames"]) == (12, 9, 6, 6)
    assert overall["pixel_accuracy"] == 0.75 and overall["fa"] == 1 / 2000
    assert result.subsets["snr_le_3"].compute()["pd"] == 0.5 and result.subsets["snr_gt_3"].compute()["pd"] == 1
    assert result.sequences["a"]["niou"] == pytest.approx(18 / 19) and result.frames == 6
    assert result.overall.curve()["pd"].max() == 0.75
    short = evaluate_sequences(predictor(key_frame, normalisation=(180, 10)), dataset, curve=False, limit=1, quiet=True)
    assert short.overall.compute()["frames"] == 2
    with pytest.raises(ValueError):
        short.overall.curve()


def test_every_file_is_read_once(dataset, monkeypatch):
    import utils.metrics.evaluate as module

    read = []
    monkeypatch.setattr(module, "read_frame", lambda path, real=module.read_frame: read.append(path) or real(path))
    evaluate_sequences(predictor(key_frame), dataset, quiet=True)
    assert sorted(read) == sorted(frame.image for frame in dataset.frames)


def test_reading_ahead_keeps_the_order_and_passes_errors_on():
    assert list(read_ahead(lambda value: value * value, range(20), 3)) == [value * value for value in range(20)]

    def fail(value):
        if value == 3:
            raise UserError("third")
        return value

    with pytest.raises(UserError, match="third"):
        list(read_ahead(fail, range(9), 2))
    assert list(make_ahead(iter(range(20)), 3)) == list(range(20)) and list(make_ahead([])) == []
    with pytest.raises(UserError, match="third"):
        list(make_ahead(map(fail, range(9))))


# Sources and writers


def write_frames(folder, names, shape=(20, 30), dtype=np.uint8):
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(np.full(shape, index + 1, dtype)).save(folder / name)


def test_a_folder_of_images_is_in_natural_order_with_its_numbers(tmp_path):
    write_frames(tmp_path / "seq", ["f2.png", "f10.png", "f1.png", "f12.png"])
    (tmp_path / "seq" / "notes.txt").write_text("not an image")
    (source,) = open_sources(tmp_path / "seq")
    frames = list(source)
    assert (source.name, source.length, source.fps) == ("seq", 4, None)
    assert [(frame.number, frame.name, int(frame.image[0, 0])) for frame in frames] == [
        (1, "f1", 3),
        (2, "f2", 1),
        (10, "f10", 2),
        (12, "f12", 4),
    ]


def test_frames_are_ordered_by_number_as_in_datasets(tmp_path):
    write_frames(tmp_path, ["b_1.png", "a_2.png"])
    assert [frame.name for frame in open_sources(tmp_path)[0]] == ["b_1", "a_2"]


def test_names_without_numbers_count_by_position(tmp_path):
    write_frames(tmp_path, ["b.png", "a.png"])
    assert [(frame.number, frame.name) for frame in open_sources(tmp_path)[0]] == [(0, "a"), (1, "b")]


def test_datasets_give_a_source_for_each_sequence(tmp_path):
    for name in ("images/train/s10", "images/train/s9", "masks/train/s9", "images/test/s1"):
        write_frames(tmp_path / name, ["0.png"])
    assert [source.name for source in open_sources(tmp_path)] == ["test/s1", "train/s9", "train/s10"]
    write_frames(tmp_path / "official/Sequence2/images", ["1.png"])
    write_frames(tmp_path / "official/Sequence2/masks", ["1.png"])
    assert [source.name for source in open_sources(tmp_path / "official")] == ["Sequence2"]
    assert [source.name for source in open_sources(tmp_path / "official/Sequence2")] == ["Sequence2"]


def test_single_images_in_16_bits(tmp_path):
    write_frames(tmp_path, ["frame_7.png"], dtype=np.uint16)
    (frame,) = open_sources(tmp_path / "frame_7.png")[0]
    assert (frame.number, frame.name, frame.image.dtype) == (7, "frame_7", np.uint16)


def test_sources_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "text.png").write_text("no image")
    for name, text in (
        ("none", "no such file or folder"),
        ("empty", "without images or videos"),
        ("text.mp4", "not a readable video"),
        ("text.png", "not a readable image"),
    ):
        with pytest.raises(UserError, match=text):
            open_sources(tmp_path / name)


@pytest.mark.parametrize("shape", [(64, 48), (33, 41)])
def test_video_round_trip(tmp_path, shape):
    pictures = []
    for index in range(12):
        picture = np.full((*shape, 3), 40, np.uint8)
        picture[8:24, 2 + 2 * index : 18 + 2 * index] = 220
        pictures.append(picture)
    with VideoWriter(tmp_path / "new" / "video.mp4", 12.5) as writer:
        for picture in pictures:
            writer.write(picture)
    (source,) = open_sources(tmp_path / "new")
    frames = list(source)
    assert source.fps == pytest.approx(12.5) and source.length == len(frames) == 12
    assert [frame.number for frame in frames] == list(range(12)) and frames[3].name == "000003"
    assert frames[0].image.shape == tuple(side + side % 2 for side in shape)
    for picture, frame in zip(pictures, frames, strict=True):
        difference = np.abs(frame.image[: shape[0], : shape[1]].astype(float) - picture[:, :, 0])
        assert np.median(difference) < 6
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["video.mp4"]


def test_a_video_keeps_what_was_written_before_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "v.mp4", 25) as writer:
        for _ in range(5):
            writer.write(np.zeros((32, 32, 3), np.uint8))
        raise KeyboardInterrupt
    assert len(list(open_sources(tmp_path / "v.mp4")[0])) == 5


def test_gif_round_trip(tmp_path):
    with GifWriter(tmp_path / "a.gif", fps=25, longer_side=40) as writer:
        for index in range(9):
            picture = np.full((60, 80, 3), index * 20, np.uint8)
            picture[:30, :40] = FOUND_COLOUR
            writer.write(picture)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"], gif.info["duration"]) == (5, (40, 30), 0, 80)
        for index in range(gif.n_frames):
            gif.seek(index)
            shown = np.asarray(gif.convert("RGB"), int)
            assert np.abs(shown[20, 30] - index * 40).max() <= 2
            assert np.abs(shown[5, 5] - FOUND_COLOUR[::-1]).max() < 40


def test_pictures_of_other_sizes_are_fitted():
    assert fit_into(np.ones((10, 20, 3), np.uint8), (10, 20)).shape == (10, 20, 3)
    large = fit_into(np.full((40, 20, 3), 9, np.uint8), (10, 20))
    assert large.shape == (10, 20, 3) and (large[:, :5] == 9).all() and (large[:, 5:] == 0).all()
    assert (fit_into(np.full((9, 19, 3), 7, np.uint8), (10, 20)) == 7).all()


# Truth and pictures


def test_truth_from_a_dataset_and_from_masks(dataset, tmp_path):
    (tmp_path / "test.txt").write_text("\n".join(f"images/{f.sequence}/{f.number}.png" for f in dataset.frames))
    source = open_sources(tmp_path / "images" / "a")[0]
    for folder in (tmp_path, tmp_path / "masks", tmp_path / "masks" / "a"):
        truth = open_truth(folder)
        truth.require([source])
        targets = truth.of(source, list(source)[1])
        assert [(target.box, target.centroid, target.area) for target in targets] == [
            ((5, 10, 8, 13), (6, 11), 9),
            ((30, 10, 33, 13), (31, 11), 9),
        ]
    write_frames(tmp_path / "copies" / "test" / "b", ["5.png"], (40, 50))
    (copy,) = open_sources(tmp_path / "copies")
    assert copy.name == "test/b"  # known by the last part of its name
    for folder in (tmp_path, tmp_path / "masks"):
        assert len(open_truth(folder).of(copy, next(iter(copy)))) == 2
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        for _ in range(4):
            writer.write(np.zeros((40, 50, 3), np.uint8))
    (video,) = open_sources(tmp_path / "a.mp4")
    open_truth(tmp_path).require([video])
    known = [open_truth(tmp_path).of(video, frame) for frame in video]
    assert [found is not None and len(found) for found in known] == [2, 2, False, False]
    write_frames(tmp_path / "elsewhere", ["77.png"])
    with pytest.raises(UserError, match="holds no truth for the 1 frames"):
        open_truth(tmp_path).require(open_sources(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="neither masks nor boxes"):
        (tmp_path / "nothing").mkdir()
        open_truth(tmp_path / "nothing")
    with pytest.raises(UserError, match="no such folder"):
        open_truth(tmp_path / "missing")


def found_in(probability, number=3):
    mask = probability > 0.5
    return Prediction(number, probability, mask, components_of(mask, probability))


def has(picture, colour):
    return bool((np.abs(picture.astype(int) - colour).max(-1) < 25).any())


def test_drawing_leaves_the_targets_pixels_alone():
    frame = np.random.default_rng(0).integers(60, 90, (64, 80)).astype(np.uint8)
    probability = np.zeros(frame.shape, np.float32)
    probability[20:22, 40:43] = 0.9
    drawn = draw(frame, found_in(probability), levels=(0, 255))
    empty = draw(frame, found_in(probability * 0), levels=(0, 255))
    scale = 8
    assert drawn.dtype == np.uint8 and drawn.shape == (64 * scale + 50, 80 * scale, 3)
    target = np.s_[26 + 20 * scale : 26 + 22 * scale, 40 * scale : 43 * scale]
    assert np.array_equal(drawn[target], empty[target])
    assert has(drawn[26:-24], FOUND_COLOUR) and not has(empty[26:-24], FOUND_COLOUR)


def test_drawing_tells_hits_false_alarms_and_misses():
    frame = np.full((64, 64), 1000, np.uint16)
    probability = np.zeros(frame.shape, np.float32)
    probability[10:12, 10:12], probability[50, 50] = 0.9, 0.7
    truth = [Component(1.0, (10, 10, 12, 12), (10.5, 10.5), 4), Component(1.0, (30, 5, 33, 8), (31, 6), 9)]
    picture = draw(frame, found_in(probability), truth=truth, side_by_side=True, heat=True)
    body = picture[26:-24]
    left, right = body[:, :640], body[:, 646:]
    assert left.shape == right.shape == (640, 640, 3)
    # around the second target only
    assert has(left[:130, 250:380], MISSED_COLOUR) and not has(left[:, :250], MISSED_COLOUR)
    outlines = (FOUND_COLOUR, FALSE_COLOUR, MISSED_COLOUR)
    assert all(has(left, colour) for colour in outlines) and not has(left, TRUTH_COLOUR)
    assert has(right, TRUTH_COLOUR) and not any(has(right, colour) for colour in outlines)


def test_tracks_are_drawn_with_their_numbers_and_ways():
    frame, probability = np.full((40, 60), 50, np.uint8), np.zeros((40, 60), np.float32)
    probability[20:23, 30:33] = 0.9
    trails = Trails()
    for number in range(3):  # box centres at (11.5 + 10 n, 21.5)
        trails.update(number, [TrackPoint(7, number, 10.0 + 10 * number, 20.0, 3.0, 3.0, 0.9, 10.0, detection=0)])
    assert trails.owners == {0: 7} and trails.ways()[0].tolist() == [[11.5, 21.5], [21.5, 21.5], [31.5, 21.5]]
    plain, drawn = (draw(frame, found_in(probability), levels=(0, 255), trails=one) for one in (None, trails))
    change = (plain != drawn).any(axis=2)[26:-24]  # without header and legend
    scale = drawn.shape[1] // 60
    y, x = (int(21.5 * scale), slice(12 * scale, 21 * scale))
    assert not change[18 * scale : 25 * scale, 28 * scale : 33 * scale].any()  # the target stays as it is
    assert np.abs(drawn[26 + y, x].astype(int) - TRACK_COLOUR).max() < 60 and not change[: y - 10 * scale].any()
    trails.update(90, [])
    assert not trails.ways() and not trails.points  # what is long gone is forgotten


def test_what_was_not_looked_at_is_darker():
    frame, nothing = np.full((40, 60), 100, np.uint8), found_in(np.zeros((40, 60), np.float32))
    plain, drawn = (draw(frame, nothing, levels=(0, 255), roi=roi)[26:-24] for roi in (None, (6, 8, 30, 20)))
    scale = drawn.shape[1] // 60
    seen = np.s_[8 * scale : 28 * scale, 6 * scale : 36 * scale]
    assert (drawn[seen] == plain[seen]).all()
    drawn[seen] = 50
    assert (drawn == 50).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (900, 3), (500, 1300)])
def test_drawing_any_size(shape):
    probability = np.full(shape, 0.9, np.float32)
    picture = draw(np.zeros(shape, np.uint8), found_in(probability), heat=True, title="a rather long name " * 8)
    assert picture.ndim == 3 and picture.shape[1] >= 420 and picture.shape[0] >= shape[0] + 50


def test_contrast_follows_slowly():
    rng = np.random.default_rng(0)
    stretch = Stretch()
    first = stretch.update(rng.normal(20000, 100, (100, 100)).astype(np.uint16))
    assert 19500 < first[0] < 20000 < first[1] < 20700
    second = stretch.update(rng.normal(24000, 100, (100, 100)).astype(np.uint16))
    assert 100 < second[0] - first[0] < 400


def test_curves_are_drawn(tmp_path):
    history = [
        {
            "epoch": epoch,
            "loss": 3 / epoch,
            "bce": 2 / epoch,
            "soft_iou": 1 / epoch,
            "lr": 1e-3,
            "clips": 4,
            "val": {"pd": 0.5, "iou": None, "fa": 0.0, "threshold": 0.4},
        }
        for epoch in (1, 2, 3)
    ]
    plot_history(history, tmp_path / "new" / "curves.png")
    plot_history(history[:1], tmp_path / "one.png")
    plot_history([{"epoch": 1, "loss": 2.0, "lr": 0.1}], tmp_path / "bare.png")
    metrics, empty = SegmentationMetrics(), SegmentationMetrics()
    probability = np.random.default_rng(0).random((30, 30)).astype(np.float32)
    metrics.update(probability > 0.5, probability > 0.97, probability)
    empty.update(probability > 0.5, probability > 2, probability)
    plot_curves({"overall": metrics.curve(), "empty": empty.curve()}, tmp_path / "pd_fa.png", 0.5)
    for name in ("new/curves.png", "one.png", "bare.png", "pd_fa.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 300


@pytest.mark.parametrize("task", ["segmentation", "detection"])
@pytest.mark.parametrize("gain, offset", [(0.25, 0.0), (0.5, 60.0), (4.0, -300.0)])
def test_normalised_by_what_is_around_a_network_sees_no_contrast(task, gain, offset):
    """What reaches it, of clips that are registered, is the same; with a dataset's levels it is not."""
    rng = np.random.default_rng(0)
    scenery = cv2.GaussianBlur(rng.normal(100, 40, (80, 120)).astype(np.float32), (0, 0), 3) * 3 - 200
    clip = np.stack([scenery[:64, 4 * t : 96 + 4 * t] + rng.normal(0, 2, (64, 96)) for t in range(3)])
    clip = clip.astype(np.float32)

    def seen(clips, **options):
        kept = []

        def run(batch):
            kept.append(batch)
            return [np.zeros((0, 6), np.float32)] if task == "detection" else np.zeros((1, 64, 96), np.float32)

        settings = ClipSettings(3, (100.0, 20.0), task, register=True, **options)
        Predictor(run, settings).predict(clips)
        return kept[0]

    expected = seen(clip[None], levels="local")
    assert expected.shape == ((1, 3, 3, 64, 96) if task == "detection" else (1, 3, 64, 96))
    assert expected.std() > 0.1
    np.testing.assert_allclose(seen(gain * clip[None] + offset, levels="local"), expected, atol=5e-3)
    assert np.abs(seen(gain * clip[None] + offset) - seen(clip[None])).max() > 0.5
