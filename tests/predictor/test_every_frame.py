"""Windows of networks that mark every frame of a clip: what overlaps, how late predictions are, where a run begins."""

import cv2
import numpy as np
import pytest
import torch
from known_answers import fill
from networks import filled
from scenes import panned

import vid_predict
from nets import build_model
from nets.losses import build_criterion
from utils.clips.settings import ClipSettings
from utils.commands.inputs import open_predictor
from utils.commands.options import Hardware
from utils.commands.predictor_options import PredictorChoice
from utils.predictor.checkpoint import save_checkpoint
from utils.predictor.every_frame import FrameWindows, describe_windows, require_delay, window_step
from utils.predictor.predictor import Predictor
from utils.predictor.weights import load_weights, read_weights
from utils.system.errors import UserError

GREY = (100.0, 20.0)


def made(name="deeppro", num_frames=10, **settings):
    model = build_model(name, num_frames=num_frames)
    filled(model.network).eval()
    settings = ClipSettings(num_frames, GREY, name=name, every_frame=True, **settings)
    return model.network, Predictor.from_network(model.network, model.postprocess, settings, device="cpu")


@torch.no_grad()
def maps_of(network, frames, first=0):
    """Probabilities of every frame of a clip, zeros in front of it where it is short."""
    clip = torch.zeros(1, network.num_frames, *frames[0].shape)
    clip[0, network.num_frames - len(frames) :] = (torch.from_numpy(np.stack(frames)).float() - GREY[0]) / GREY[1]
    return network.frames(clip).sigmoid()[0, network.num_frames - len(frames) :].numpy()


def expected_of(network, frames):
    """The published way over a whole run, written out."""
    length, step = network.num_frames, window_step(network.num_frames)
    starts = list(range(0, max(1, len(frames) - length + 1), step))
    if len(frames) > length and starts[-1] + length < len(frames):
        starts.append(len(frames) - length)
    result = np.zeros((len(frames), *frames[0].shape), np.float32)
    for start in starts:
        part = result[start : start + length]
        np.maximum(part, maps_of(network, frames[start : start + length]), out=part)
    return result


def test_windows_are_36_of_40_frames_apart():
    assert [window_step(length) for length in (40, 20, 10, 5, 2)] == [36, 18, 9, 5, 2]


@pytest.mark.parametrize("count", [1, 4, 10, 11, 19, 24, 28, 30])
def test_overlapping_windows_give_the_maximum_and_the_last_ends_with_the_run(count):
    network, predictor = made()
    frames = panned(count, (20, 24))
    found = list(predictor.stream(frames))
    expected = expected_of(network, frames)
    assert [prediction.number for prediction in found] == list(range(count))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(np.stack([one.probability for one in found]), expected, atol=1e-5)


@pytest.mark.parametrize("max_delay", [0, 3, 9])
def test_with_a_delay_a_frame_is_predicted_from_the_window_that_ends_so_many_frames_later(max_delay):
    network, predictor = made(max_delay=max_delay)
    frames = panned(17, (20, 24))
    found = np.stack([one.probability for one in predictor.stream(frames)])
    for index, probability in enumerate(found):
        end = min(len(frames), (index // (max_delay + 1) + 1) * (max_delay + 1))
        window = frames[max(0, end - 10) : end]
        np.testing.assert_allclose(probability, maps_of(network, window)[index - end], atol=1e-5)


@pytest.mark.parametrize(("max_delay", "late"), [(0, 0), (3, 3), (None, 10)])
def test_predictions_come_as_late_as_is_said(max_delay, late):
    _, predictor = made(max_delay=max_delay)
    seen, ages = [], []

    def frames():
        for number, frame in enumerate(panned(30, (20, 24))):
            seen.append(number)
            yield number, frame

    ages = [seen[-1] - prediction.number for prediction in predictor.stream(frames())]
    assert max(ages) == late
    assert ("without delay" if late == 0 else f"{late} frames later") in describe_windows(predictor.settings)


def test_no_window_crosses_a_gap_or_another_size():
    network, predictor = made()
    frames = [*panned(12, (20, 24)), *panned(13, (24, 20))]
    numbers = [*range(5), *range(9, 16), *range(16, 29)]
    found = list(predictor.stream(zip(numbers, frames, strict=True)))
    assert [one.number for one in found] == numbers
    for first, end in ((0, 5), (5, 12), (12, 25)):
        expected = expected_of(network, frames[first:end])
        np.testing.assert_allclose(np.stack([one.probability for one in found[first:end]]), expected, atol=1e-5)
    with pytest.raises(ValueError, match="must ascend"):
        list(predictor.stream([(1, frames[0]), (1, frames[1])]))


def test_whole_clips_are_predicted_at_their_last_frame():
    network, predictor = made()
    frames = panned(10, (20, 24))
    (prediction,) = predictor.predict(np.stack(frames)[None])
    np.testing.assert_allclose(prediction.probability, maps_of(network, frames)[-1], atol=1e-5)


def test_bad_pixels_are_taken_out_of_a_window_as_known_at_its_end():
    frames = np.stack(panned(24, (60, 64)))
    frames[:, 30, 40] = 255
    repaired, not_repaired = (made(bad_pixels=wanted)[1] for wanted in (True, False))
    clean = [one.probability for one in repaired.stream(list(frames))]
    spoilt = [one.probability for one in not_repaired.stream(list(frames))]
    assert np.abs(clean[20][20:40, 30:50] - spoilt[20][20:40, 30:50]).max() > 1e-3


def test_windows_look_at_each_frame_as_seldom_as_they_can():
    counts = []

    def look(seen, newest):
        counts.append((len(seen), newest))
        return np.zeros((newest, 1, 1))

    settings = ClipSettings(40, GREY, every_frame=True)
    windows = FrameWindows(settings, look)
    done = [one for number in range(100) for one in windows.add(number, None)]
    assert len(done) == 60 and counts == [(40, 40), (40, 40)]
    done += windows.end()
    assert [one.seen for one in done] == list(range(100)) and counts == [(40, 40)] * 3


def test_a_delay_that_cannot_be_is_named():
    settings = ClipSettings(40, GREY, name="deeppro", every_frame=True)
    require_delay(settings, 39)
    with pytest.raises(UserError, match="--max-delay: found 40, expected at most 39 with clips of 40 frames"):
        require_delay(settings, 40)
    with pytest.raises(UserError, match="--max-delay: found with tsmsa"):
        require_delay(ClipSettings(5, GREY, name="tsmsa"), 0)
    with pytest.raises(UserError, match="--max-delay: found with --method"):
        open_predictor(PredictorChoice(method="tophat", max_delay=0), Hardware())


@pytest.mark.parametrize("name", ["resunet_dtum", "deeppro", "deeppro_plus"])
def test_published_weights_are_recognised_and_predicted_with_and_trained_from(name, golden, tmp_path):
    shapes = golden(f"{name}_params.json")
    state = fill({key: [8 for _ in shape] if "QK_heads" in key else shape for key, shape in shapes.items()})
    path = tmp_path / "best_model.pth"
    torch.save({"epoch": 3, "model_state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    frames = 5 if name == "resunet_dtum" else 8
    weights = read_weights(path, GREY)
    assert weights.settings == ClipSettings(frames, GREY, name=name, every_frame=name != "resunet_dtum")
    assert f"{frames} frame(s)" in weights.note and "published" in weights.note
    network = build_model(name, **({} if frames == 5 else {"num_frames": frames})).network
    assert "recognised published" in load_weights(network, str(path), name)
    for key, value in network.state_dict().items():
        assert torch.equal(value, weights.model.network.state_dict()[key])
    with pytest.raises(UserError, match="give them with --normalisation MEAN,STD"):
        read_weights(path)
    with pytest.raises(UserError, match=f"expected weights of tsmsa; give --model {name}"):
        load_weights(build_model("tsmsa").network, str(path), "tsmsa")


def test_vid_predict_says_how_late_it_is_and_what_it_cannot_do(tmp_path, capsys):
    network, _ = made(num_frames=4)
    settings = ClipSettings(4, GREY, name="deeppro", every_frame=True)
    model = {"name": "deeppro", "options": {"num_frames": 4}}
    content = {"model": model, "settings": settings.as_dict(), "network": network.state_dict()}
    content |= {"ema": None, "config": {}}
    save_checkpoint(tmp_path / "best.pt", content)
    source = tmp_path / "frames"
    source.mkdir()
    for number, frame in enumerate(panned(6, (20, 24))):
        cv2.imwrite(str(source / f"{number}.png"), frame)
    arguments = ["--weights", str(tmp_path / "best.pt"), "--source", str(source), "--device", "cpu", "--quiet"]
    for given, said in (
        ([], "4 frames later"),
        (["--max-delay", "1"], "up to 1 frame later"),
        (
            ["--watch", "0.1"],
            "the source is live: deeppro: the newest map of windows of 4 frames; predictions come without",
        ),
    ):
        vid_predict.main([*arguments, "--out", str(tmp_path / f"out{len(given)}{said[:3]}"), *given])
        out = capsys.readouterr().out
        assert said in out and "6 frames" in out
    with pytest.raises(UserError, match="--motion-compensation: found with deeppro"):
        vid_predict.main([*arguments, "--motion-compensation", "on", "--out", str(tmp_path / "other")])
    with pytest.raises(UserError, match="--max-delay: found 4, expected at most 3"):
        vid_predict.main([*arguments, "--max-delay", "4", "--out", str(tmp_path / "other")])


def test_settings_carry_every_frame_and_the_length_of_clips():
    settings = ClipSettings(40, GREY, every_frame=True)
    assert ClipSettings.from_dict(settings.as_dict(), "file") == settings
    assert settings.as_dict()["num_frames"] == 40 and settings.max_delay is None


def test_clip_iou_counts_a_clip_without_targets_as_1_without_gradient():
    logits = torch.zeros(2, 3, 4, 4, requires_grad=True)
    mask = torch.zeros(2, 3, 4, 4)
    mask[0, 1, 1, 1] = 1
    (loss,) = build_criterion("clip_iou")(logits, {"mask": mask}).values()
    assert loss.item() == pytest.approx(1 - (0.5 / (24 + 1 - 0.5)) / 2)
    loss.backward()
    assert logits.grad[0].any() and not logits.grad[1].any()
