"""From frames to boxes: detectors, boxes of segmentation networks, published weights, and measuring both."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from devices import GPU, gpu
from golden.fill import fill_array
from networks import filled
from trees import picture, target_mask, write

from nets import build_model
from utils.clips.rule import clip_indices
from utils.clips.settings import ClipSettings
from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.metrics.evaluate import (
    compare_detections,
    evaluate_detection,
    evaluate_sequences,
    round_detections,
)
from utils.metrics.truth import true_boxes
from utils.predictor.prediction import (
    components_of,
    from_boxes,
    from_probability,
    keep_surest,
    match_components,
    paint_scores,
)
from utils.predictor.predictor import Predictor
from utils.predictor.weights import IMAGENET
from utils.system.errors import UserError

T = 3


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 6)


def bright(clips):
    """A stand-in for a detector: the box and the level of what is brighter than 0.5 in the last frame, as its score."""
    assert clips.dtype == np.float32 and clips.shape[1:3] == (3, T)
    assert np.array_equal(clips[:, 0], clips[:, 1]) and np.array_equal(clips[:, 0], clips[:, 2])
    results = []
    for plane in clips[:, 0, -1]:
        found = components_of(plane > 0.5, np.minimum(plane, 1))
        results.append(boxes(*[[*item.box, item.score, 0] for item in found]))
    return results


def detector(run=bright, multiple=32, square=False, **options):
    settings = ClipSettings(**{"num_frames": T, "normalisation": (0.0, 255.0), "task": "detection", **options})
    return Predictor(run, settings, multiple, square=square)


def spot(shape, *targets):
    frame = np.zeros(shape, np.uint8)
    for x, y, side, level in targets:
        frame[y : y + side, x : x + side] = level
    return frame


@pytest.mark.parametrize("options", [{}, {"input_size": 128, "fit": "resize"}, {"input_size": 128, "fit": "letterbox"}])
@pytest.mark.parametrize("shape", [(64, 64), (50, 90), (90, 33)])
def test_boxes_are_in_original_pixels(shape, options):
    mean = (0.0, 255.0) if options.get("fit") != "letterbox" else (128.0, 100.0)  # its border is no target
    frames = [spot(shape, (10 + i, 20, 6, 250), (0, 40, 4, 240)) for i in range(4)]
    found = list(detector(normalisation=mean, **options).stream(frames, batch_size=3))
    assert [prediction.number for prediction in found] == [0, 1, 2, 3]
    for i, prediction in enumerate(found):
        assert prediction.detections.dtype == np.float32 and prediction.probability.shape == shape
        assert (np.diff(prediction.detections[:, 4]) <= 0).all() and len(prediction.detections) == 2
        by_height = prediction.detections[np.argsort(prediction.detections[:, 1])]
        assert np.abs(by_height[0, :4] - (10 + i, 20, 16 + i, 26)).max() <= 1
        assert np.abs(by_height[1, :4] - (0, 40, 4, 44)).max() <= 1 and by_height[:, :4].min() >= 0
        assert len(components_of(prediction.mask)) == len(prediction.components) == 2


def test_channels_have_their_own_levels():
    seen = []
    predictor = detector(lambda clips: seen.append(clips) or [boxes()], normalisation=((10, 20, 30), (1, 2, 4)))
    frame = picture(size=(32, 32))
    (result,) = predictor.stream([frame])
    for channel, (mean, std) in enumerate(((10, 1), (20, 2), (30, 4))):
        assert np.allclose(seen[0][0, channel, -1], (frame.astype(float) - mean) / std)
    assert result.detections.shape == (0, 6) and result.components == () and not result.probability.any()


@pytest.mark.parametrize("normalisation", [(100, 20), IMAGENET])
def test_a_network_gets_one_channel_of_grey_frames(normalisation):
    model = build_model("sstnet", num_frames=T, depth=0.33, width=0.0625)
    filled(model.network)
    frames = [picture(index, (32, 64)) for index in range(4)]
    predictor = Predictor.from_network(
        model.network, model.postprocess, ClipSettings(T, normalisation, "detection", threshold=0.0)
    )
    assert predictor.run.channels == 1
    network = model.network.eval()

    def run(clips):
        with torch.no_grad():
            return [found.numpy() for found in model.postprocess(network(torch.from_numpy(clips)))]

    found, expected = (list(one.stream(frames)) for one in (predictor, dataclasses.replace(predictor, run=run)))
    for one, other in zip(found, expected, strict=True):
        assert len(one.boxes) == len(other.boxes) > 0
        np.testing.assert_allclose(one.boxes[:, 4], other.boxes[:, 4], atol=1e-5)


def test_16_bit_frames_get_a_border_of_the_mean():
    seen = []
    predictor = detector(
        lambda clips: seen.append(clips) or [boxes()], normalisation=(3600, 200), input_size=64, fit="letterbox"
    )
    list(predictor.stream([np.full((32, 64), 4000, np.uint16)]))
    assert seen[0].shape[-2:] == (32, 64) and (seen[0] == 2).all()
    list(dataclasses.replace(predictor, square=True).stream([np.full((32, 64), 4000, np.uint16)]))
    assert (seen[1][..., :16, :] == 0).all() and (seen[1][..., 16:48, :] == 2).all()


@pytest.mark.parametrize("square", [False, True])
def test_a_scene_is_aligned_in_letterboxed_frames_as_in_its_own(square):
    """Margins stay where they are while the scene moves by 2 pixels a frame: they must not hold it."""
    scene = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 4000, (140, 200)), (0, 0), 4)
    scene = np.clip(scene - scene.mean() + 60, 0, 255).astype(np.uint8)
    frames = np.stack([scene[20 - 2 * t : 100 - 2 * t, 10:186] for t in range(T)])
    seen = []
    options = {"fit": "letterbox", "input_size": 352, "register": True, "normalisation": (128.0, 64.0)}
    detector(lambda clips: seen.append(clips[0, 0]) or [boxes()], square=square, **options).predict(frames[None])
    middle = np.s_[..., (seen[0].shape[1] - 160) // 2 + 16 : (seen[0].shape[1] + 160) // 2 - 16, 16:-16]
    key, others = seen[0][-1][middle], seen[0][:-1][middle]
    assert np.abs(others - key).max() < 0.05 < np.abs(np.diff(key, axis=0)).max()


def test_boxes_beside_the_frame_are_dropped_and_others_cut():
    rows = boxes([-5, -5, 5, 5, 0.9, 0], [-9, 0, -1, 8, 0.8, 0], [40, 40, 70, 45, 0.7, 1])
    (found,) = detector(lambda clips: [rows]).stream([np.zeros((50, 60), np.uint8)])
    assert found.detections.tolist() == boxes([0, 0, 5, 5, 0.9, 0], [40, 40, 60, 45, 0.7, 1]).tolist()


def test_components_and_probability_come_from_the_boxes_for_pictures():
    rows = boxes([10, 10, 18, 18, 0.9, 0], [11, 10, 19, 18, 0.8, 0], [30, 30, 38, 38, 0.4, 0], [14, 14, 18, 18, 0.6, 0])
    found = from_boxes(7, rows, (50, 60), 0.5)
    assert [component.score for component in found.components] == pytest.approx([0.9, 0.6])
    assert found.components[0].centroid == (13.5, 13.5) and found.components[0].area == 64
    assert len(found.detections) == 4 and found.detections[:, 4].tolist() == sorted(rows[:, 4].tolist())[::-1]
    expected = np.zeros((50, 60), np.float32)
    expected[30:38, 30:38], expected[10:18, 10:18] = 0.4, 0.9
    assert np.array_equal(found.probability, expected) and np.array_equal(found.mask, expected > 0.5)
    # A true target at the same place is hit, whichever family its component is from.
    assert match_components(components_of(expected > 0.5), found.components)[0] == 0


@pytest.mark.parametrize(
    "box, pixels",
    [
        ((2, 3, 5, 4), [(3, 2), (3, 3), (3, 4)]),
        ((1.4, 1.4, 2.6, 2.4), [(1, 1), (1, 2)]),
        ((3.6, 3.6, 4.4, 4.4), [(4, 4)]),  # covers no pixel's centre: the pixel its own centre lies in
        ((9.7, 9.7, 10, 10), [(9, 9)]),
    ],
)
def test_painting(box, pixels):
    canvas = paint_scores(boxes([*box, 0.5, 0]), (10, 10))
    assert list(zip(*np.nonzero(canvas), strict=True)) == pixels and canvas.max() == 0.5


# Boxes of segmentation networks


def test_ranked_components():
    probability = np.full((40, 50), 0.001, np.float32)
    probability[5:8, 5:9] = 0.95
    probability[6, 6] = 0.99
    probability[5:8, 9:12] = 0.3  # clings to the first: not a detection of its own
    probability[20:23, 20:22] = 0.4  # weaker than the threshold, and alone
    probability[20, 20] = 0.45
    probability[30, 40] = 0.02
    found = from_probability(0, probability, 0.5)
    assert (
        found.detections.tolist()
        == boxes([5, 5, 9, 8, 0.99, 0], [20, 20, 22, 23, 0.45, 0], [40, 30, 41, 31, 0.02, 0]).tolist()
    )
    assert found.detections is found.detections  # made once


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.97, 1.0])
def test_the_cut_at_the_threshold_is_what_is_reported(threshold):
    rng = np.random.default_rng(1)
    probability = rng.random((60, 70)).astype(np.float32) ** 6
    found = from_probability(0, probability, threshold)
    above = found.detections[found.detections[:, 4] > np.float32(threshold)]
    reported = sorted(((item.score, *item.box) for item in found.components), reverse=True)
    assert len(above) == len(reported) and np.allclose(above[:, [4, 0, 1, 2, 3]], np.array(reported).reshape(-1, 5))
    assert len(found.detections) == max(100, len(above)) or threshold == 0  # where all pixels are one component


@pytest.mark.parametrize(("threshold", "kept"), [(0.9, 150), (0.3, 150), (0.2, 240), (0.1, 240), (0.05, 330)])
def test_a_crowded_frame_keeps_all_that_is_sure(threshold, kept):
    scores = np.repeat(np.float32([0.4, 0.25, 0.1]), [150, 90, 90])
    rows = np.zeros((330, 6))
    rows[:, 4] = np.random.default_rng(0).permutation(scores)
    found = from_boxes(0, rows, (8, 8), threshold).detections
    assert found.dtype == np.float32 and found[:, 4].tolist() == scores[:kept].tolist()
    assert keep_surest(rows * [1, 1, 1, 1, 0.5, 1], 0.3)[:, 4].tolist() == (scores[:100] / 2).tolist()
    assert len(keep_surest(rows.repeat(4, 0), 0.05)) == 1000


# Checkpoints


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch = pytest.importorskip("torch")
    from nets import build_model
    from utils.predictor.checkpoint import save_checkpoint

    torch.manual_seed(0)
    options = {"num_classes": 2, "num_frames": T, "width": 0.125, "depth": 0.33}
    model = build_model("sstnet", **options)
    with torch.no_grad():  # an untrained head finds nothing, and hardly tells cells apart
        for pred in (model.network.head.obj_pred, model.network.head.cls_pred):
            pred.weight.mul_(50)
            pred.bias.zero_()
    path = tmp_path_factory.mktemp("run") / "best.pt"
    settings = ClipSettings(
        T, ([100, 110, 120], 40.0), "detection", 0.01, fit="letterbox", input_size=64, num_classes=2, name="sstnet"
    )
    save_checkpoint(
        path,
        {
            "model": {"name": "sstnet", "options": options},
            "settings": settings.as_dict(),
            "config": {"fit": "letterbox", "input_size": 64},
            "network": model.network.state_dict(),
            "ema": None,
        },
    )
    return path, model


def test_a_detector_describes_itself(checkpoint):
    import torch

    path, model = checkpoint
    loaded = Predictor.from_checkpoint(path, "cpu")
    own = loaded.settings
    assert (own.task, own.fit, own.input_size, own.num_classes, loaded.note) == ("detection", "letterbox", 64, 2, "")
    frames = [picture(i, (64, 64)) for i in range(5)]
    found = list(loaded.stream(frames, batch_size=2))
    mean = np.array([100, 110, 120], np.float32)[:, None, None, None]
    for index in (0, 4):
        clip = np.stack([frames[i] for i in clip_indices(range(5), index, T)]).astype(np.float32)
        with torch.no_grad():
            raw = model.network.eval()(torch.from_numpy((np.repeat(clip[None], 3, 0) - mean) / 40)[None])
        expected = model.postprocess(raw)[0].numpy()
        expected[:, :4] = expected[:, :4].clip(0, 64)
        rows = found[index].detections
        assert 0 < len(rows) <= 100 and np.allclose(rows, expected[: len(rows)], atol=1e-3)
    assert Predictor.from_checkpoint(path, "cpu", threshold=0.5).settings.threshold == 0.5


@gpu
def test_cuda_gives_what_the_cpu_gives(checkpoint):
    frames = [picture(i, (64, 64)) for i in range(5)]
    for one, other in zip(
        *(list(Predictor.from_checkpoint(checkpoint[0], device).stream(frames, 3)) for device in ("cpu", GPU)),
        strict=True,
    ):
        assert np.allclose(one.detections[:5], other.detections[:5], atol=0.05)
        assert np.mean(one.mask == other.mask) > 0.98


def test_a_temporal_branch_is_not_carried(checkpoint, monkeypatch):
    import nets

    built = []
    monkeypatch.setitem(
        nets.NETWORKS,
        "sstnet",
        type(
            "Spy",
            (nets.SSTNet,),
            {
                "__init__": lambda self, num_classes=1, num_frames=5, width=0.5, depth=0.33, temporal=True: (
                    nets.SSTNet.__init__(self, num_classes, num_frames, width=width, depth=depth, temporal=temporal),
                    built.append(self),
                )[0]
            },
        ),
    )
    Predictor.from_checkpoint(checkpoint[0], "cpu")
    assert built[0].temporal is None and not any(name.startswith("temporal") for name in built[0].state_dict())


def published(golden, folder, prefix):
    """A file like the published SSTNet's, with known values."""
    torch = pytest.importorskip("torch")
    state = {
        prefix + name: torch.from_numpy(np.asarray(fill_array(name, tuple(shape))))
        for name, shape in golden("sstnet_params.json").items()
    }
    torch.save(state, folder / "release.pth")
    return folder / "release.pth"


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_weights_say_what_they_are(golden, tmp_path, prefix):
    path = published(golden, tmp_path, prefix)
    predictor = Predictor.from_checkpoint(path, "cpu")
    own = predictor.settings
    assert (own.task, own.fit, own.input_size, own.num_frames, own.num_classes) == ("detection", "letterbox", 512, 5, 1)
    assert own.normalisation[0] == pytest.approx((0.485 * 255, 0.456 * 255, 0.406 * 255))
    assert own.normalisation[1] == pytest.approx((0.229 * 255, 0.224 * 255, 0.225 * 255))
    assert "published SSTNet release" in predictor.note and "1 class(es)" in predictor.note
    small = predictor.with_settings(input_size=64)  # the same network, for a quick look
    (found,) = small.stream([picture(0, (64, 64))])
    assert found.detections.shape[1] == 6 and np.isfinite(found.detections).all()


def test_published_tsmsa_needs_the_frames_levels(golden, tmp_path):
    torch = pytest.importorskip("torch")
    state = {
        name: torch.from_numpy(np.asarray(fill_array(name, tuple(shape))))
        for name, shape in golden("tsmsa_params.json").items()
    }
    torch.save(state, tmp_path / "release.pth")
    with pytest.raises(UserError, match="published TSMSA, which does not hold its frames' mean"):
        Predictor.from_checkpoint(tmp_path / "release.pth", "cpu")
    predictor = Predictor.from_checkpoint(tmp_path / "release.pth", "cpu", normalisation=(105.99, 25.6))
    own = predictor.settings
    assert (own.task, own.num_frames, own.normalisation) == ("segmentation", 5, (105.99, 25.6))
    assert "published TSMSA release" in predictor.note and "1 slice(s)" in predictor.note
    assert next(predictor.stream([picture(0, (32, 32))])).probability.shape == (32, 32)


def test_weights_that_are_none(golden, checkpoint, tmp_path):
    import torch

    for content, text in (
        ({"a.weight": torch.zeros(2)}, "found 1 entries such as a.weight, expected a checkpoint"),
        ({}, "found no weights, expected"),
        ([1, 2], "found no weights, expected"),
        ({"backbone.backbone.dark2.0.conv.weight": torch.zeros(2)}, "found a YOLOX, whose backbone"),
        ({"network": {}}, "found no weights, expected"),
        ({"network": {}, "model": {}, "config": {}, "a": 1}, "not a checkpoint of this project"),
    ):
        torch.save(content, tmp_path / "odd.pth")
        with pytest.raises(UserError, match=text):
            Predictor.from_checkpoint(tmp_path / "odd.pth", "cpu")
    release = torch.load(published(golden, tmp_path, ""), weights_only=True)
    release.pop("head.stems.0.conv.weight")
    torch.save(release, tmp_path / "part.pth")
    with pytest.raises(UserError, match="part.pth: does not fit .* nothing for head.stem.0.weight"):
        Predictor.from_checkpoint(tmp_path / "part.pth", "cpu")
    (tmp_path / "cut.pt").write_bytes(checkpoint[0].read_bytes()[:3000])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        Predictor.from_checkpoint(tmp_path / "cut.pt", "cpu")


# Measuring


@pytest.fixture
def dataset(tmp_path):
    """Two sequences; in b a target is too dim to be found, and something bright is none. One frame has no target."""
    sequences = {}
    for name, level in (("a", 250), ("b", 20)):
        frames = []
        for number in (0, 1, 5):
            targets = [(5 + number, 10, 4, 250), (30, 12, 4, level)] if number != 1 else []
            others = [(40, 30, 4, 200)] if name == "b" else []
            image = write(tmp_path / f"images/{name}/{number}.png", spot((48, 64), *targets, *others))
            rows = tuple((float(x), float(y), float(x + s), float(y + s), 0) for x, y, s, _ in targets)
            frames.append(Frame(name, number, str(image), None, rows))
        sequences[name] = tuple(frames)
    return Dataset("toy", "image tree", str(tmp_path), "test", sequences, False, None, {"snr_le_3": frozenset("b")})


@pytest.mark.parametrize("workers, batch_size", [(0, 1), (2, 4)])
def test_evaluation(dataset, workers, batch_size):
    seen = []
    result = evaluate_detection(
        detector(),
        dataset,
        workers=workers,
        batch_size=batch_size,
        quiet=True,
        on_frame=lambda frame, prediction: seen.append((frame.sequence, prediction.number)),
    )
    assert seen == [(name, number) for name in "ab" for number in (0, 1, 5)]
    overall = result.overall.compute(0.5)
    assert (overall["frames"], overall["frames_with_target"], overall["targets"]) == (6, 4, 8)
    assert (overall["recall"], overall["pd"], overall["false_per_frame"]) == (0.75, 0.75, 0.5)
    assert overall["precision"] == overall["centre_precision"] == 6 / 9
    assert overall["ap50"] == overall["centre_ap"] == pytest.approx(76 / 101)  # the false ones come last
    assert result.sequences["a"].compute()["ap"] == 1 and list(result.sequences) == ["a", "b"]
    assert result.subsets["snr_le_3"].compute()["recall"] == 0.5
    again = compare_detections(dataset, {frame.image: rows for frame, rows in result.detections})
    assert again.overall.compute(0.5) == pytest.approx(overall, nan_ok=True)
    short = evaluate_detection(detector(), dataset, limit=1, quiet=True)
    assert len(short.detections) == 2


def test_boxes_of_a_segmentation_network_are_measured_alike(dataset):
    def run(clips):
        return np.clip(clips[:, -1], 0, 1)

    segmenter = Predictor(run, ClipSettings(T, (0.0, 255.0)))
    ours, theirs = (evaluate_detection(which, dataset, quiet=True) for which in (segmenter, detector()))
    # They differ in what is weaker than the threshold only: the dim targets of b, found last by the components.
    assert ours.overall.compute(0.5)["f1"] == theirs.overall.compute(0.5)["f1"]
    assert ours.overall.compute(0.5)["recall"] == 0.75 and ours.overall.compute(0.01)["recall"] == 1


def test_masks_do_for_boxes_and_boxes_for_masks(dataset, tmp_path):
    masked = {}
    for name, frames in dataset.sequences.items():
        masked[name] = []
        for frame in frames:
            mask = np.zeros((48, 64), np.uint8)
            for x1, y1, x2, y2, _ in frame.boxes:
                mask[int(y1) : int(y2), int(x1) : int(x2)] = 255
            path = write(tmp_path / f"masks/{name}/{frame.number}.png", mask)
            masked[name].append(dataclasses.replace(frame, boxes=None, mask=str(path)))
            assert np.array_equal(true_boxes(masked[name][-1]), np.array(frame.boxes).reshape(-1, 5))
    masks = dataclasses.replace(dataset, sequences=masked)
    results = [evaluate_detection(detector(), data, quiet=True).overall.compute() for data in (dataset, masks)]
    assert results[0] == pytest.approx(results[1], nan_ok=True)
    counts = [evaluate_sequences(detector(), data, quiet=True).overall for data in (dataset, masks)]
    assert counts[0].compute() == counts[1].compute() and counts[0].compute()["pd"] == 0.75
    assert counts[0].compute()["false_components"] == 3 and counts[0].curve()["pd"].max() == 0.75
    segmenter = Predictor(lambda clips: clips[:, -1], ClipSettings(T, (0.0, 255.0)))
    with pytest.raises(UserError, match="has no mask"):
        evaluate_sequences(segmenter, dataset, quiet=True)
    with pytest.raises(UserError, match="neither boxes nor mask"):
        true_boxes(Frame("a", 0, "x.png", None, None))
    small = write(tmp_path / "small.png", target_mask((24, 32)))
    image = write(tmp_path / "large.png", picture(0, (48, 64)))
    assert true_boxes(Frame("a", 0, str(image), str(small), None)).tolist() == [[24, 20, 30, 26, 0]]


def test_classes(dataset):
    frames = tuple(
        dataclasses.replace(frame, boxes=tuple((*box[:4], 2) for box in frame.boxes))
        for frame in dataset.sequences["a"]
    )
    data = dataclasses.replace(dataset, sequences={"a": frames})
    with pytest.raises(UserError, match="found a target of class 2, expected classes 0 to 0"):
        evaluate_detection(detector(), data, quiet=True)
    assert evaluate_detection(detector(num_classes=3), data, quiet=True).overall.compute()["ap50"] == 0
    for agnostic in (
        evaluate_detection(detector(), data, classes=False, quiet=True),
        compare_detections(data, {f.image: boxes([*f.boxes[0][:4], 0.9, 1]) for f in frames if f.boxes}, classes=False),
    ):
        assert agnostic.overall.compute()["precision"] == 1


def test_rounding_keeps_every_score():
    scores = np.random.default_rng(0).random(1000).astype(np.float32)
    rows = np.concatenate([np.full((1000, 4), 1 / 3), scores[:, None], np.zeros((1000, 1))], 1).astype(np.float32)
    kept = round_detections(rows)
    assert (kept[:, 4].astype(np.float32) == scores).all() and (kept[:, 0] == 0.333).all()
    assert round_detections(boxes()).shape == (0, 6)


def test_boxes_that_touch_are_counted_apart(tmp_path):
    """Found ones and true ones alike; their mask is one component."""
    true = ((10.0, 20.0, 18.0, 28.0, 0), (18.0, 20.0, 26.0, 28.0, 0), (40.0, 4.0, 48.0, 12.0, 0))
    image = write(tmp_path / "0.png", np.zeros((48, 64), np.uint8))
    frame = Frame("a", 0, str(image), None, true)
    found = boxes(
        [18, 20, 26, 28, 0.9, 0],
        [10, 20, 18, 28, 0.8, 0],
        [52, 30, 60, 38, 0.7, 0],
        [40, 4, 48, 12, 0.3, 0],
        [52, 38, 60, 46, 0.2, 0],
    )
    dataset = Dataset("toy", "image tree", str(tmp_path), "test", {"a": (frame,)}, False, None, {})
    result = evaluate_sequences(detector(lambda clips: [found] * len(clips)), dataset, quiet=True).overall
    figures = result.compute()
    assert figures["targets"] == 3 and figures["matched"] == 2 and figures["iou"] == pytest.approx(2 / 4)
    assert figures["false_components"] == 1 and figures["false_pixels"] == 64
    curve = result.curve()
    for threshold, matched, false in ((0.85, 1, 0), (0.75, 2, 0), (0.4, 2, 1), (0.25, 3, 1), (0.1, 3, 2)):
        at = np.abs(curve["threshold"] - threshold).argmin()
        assert (curve["pd"][at] * 3, curve["false_per_frame"][at]) == (pytest.approx(matched), false)
