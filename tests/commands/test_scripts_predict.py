"""`test.py` and `vid_predict.py`: what they write, and how they end on mistakes."""

import json

import numpy as np
import pytest
from PIL import Image
from scripts import run_without_torch, script

from utils.clips.settings import ClipSettings
from utils.metrics.segmentation import SegmentationMetrics
from utils.render.sequence import check_look
from utils.system.errors import UserError
from utils.video.sources import open_sources

KEYS = {"iou", "niou", "pixel_accuracy", "pd", "fa", "false_per_frame", "targets", "matched", "frames"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch = pytest.importorskip("torch")
    from nets import build_model
    from utils.predictor.checkpoint import save_checkpoint

    torch.manual_seed(0)
    model = build_model("tsmsa")
    with torch.no_grad():  # an untrained head hardly tells pixels apart
        list(model.network.parameters())[-2].mul_(30)
    path = tmp_path_factory.mktemp("run") / "best.pt"
    save_checkpoint(
        path,
        {
            "model": {"name": "tsmsa", "options": {}},
            "config": {"fit": "crop", "input_size": 64},
            "settings": ClipSettings(5, (60.0, 40.0), name="tsmsa").as_dict(),
            "network": model.network.state_dict(),
            "ema": None,
        },
    )
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two NUDT-MIRSDT test sequences, one in each SNR subset, 7 frames of 45×60."""
    root = tmp_path_factory.mktemp("data") / "NUDT-MIRSDT"
    rng, lines = np.random.default_rng(1), []
    for name in ("sequence47", "sequence85"):
        for number in range(7):
            image, mask = rng.integers(20, 90, (45, 60)).astype(np.uint8), np.zeros((45, 60), np.uint8)
            x = 5 + 6 * number
            image[20:23, x : x + 3], mask[20:23, x : x + 3] = 250, 255
            for kind, picture in (("images", image), ("masks", mask)):
                (root / kind / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(root / kind / name / f"{number}.png")
            lines.append(f"images/{name}/{number}.png")
    (root / "test_NUDTMIRSDT.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def threshold(weights, data):
    """A threshold at which the untrained network predicts a part of the pixels."""
    from utils.predictor.predictor import Predictor

    source = open_sources(data / "images" / "sequence47")[0]
    predictions = Predictor.from_checkpoint(weights, "cpu").stream(frame.image for frame in source)
    return float(np.quantile(np.stack([prediction.probability for prediction in predictions]), 0.97))


def test_testing_a_network(weights, data, threshold, tmp_path, capsys):
    script("test").main(
        [
            "--weights",
            str(weights),
            "--data-root",
            str(data),
            "--out",
            str(tmp_path),
            "--save-masks",
            "--threshold",
            str(threshold),
            "--device",
            "cpu",
            "--quiet",
            "--batch-size",
            "3",
        ]
    )
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert set(content["overall"]) >= KEYS and content["overall"]["frames"] == 14
    expected = {name: SegmentationMetrics() for name in ("overall", "sequence47", "sequence85")}
    for name in ("sequence47", "sequence85"):
        for number in range(7):
            predicted, mask = (
                np.asarray(Image.open(root / name / f"{number}.png")) > 0
                for root in (tmp_path / "masks", data / "masks")
            )
            assert predicted.shape == (45, 60)
            expected["overall"].update(predicted, mask)
            expected[name].update(predicted, mask)
    for key, value in expected["overall"].compute().items():
        assert content["overall"][key] == pytest.approx(value), key
    assert content["overall"]["false_components"] > 0
    for part, name in (("snr_le_3", "sequence47"), ("snr_gt_3", "sequence85")):
        assert content[part] == content["sequences"][name]
        assert content[part]["fa"] == pytest.approx(expected[name].compute()["fa"])
    assert content["threshold"] == threshold and content["rule"] == "centroid" and content["split"] == "test"
    assert len(content["curve"]["pd"]) == len(content["curve"]["threshold"]) > 50
    assert (tmp_path / "pd_fa.png").exists()
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("overall", "snr_le_3", "sequence85", "frames a second", "metrics.json"))


def test_testing_parts(weights, data, tmp_path, capsys):
    run = script("test").main
    run(
        [
            "--weights",
            str(weights),
            "--data-root",
            str(data),
            "--out",
            str(tmp_path),
            "--no-curve",
            "--quiet",
            "--sequences",
            "sequence85",
            "--limit",
            "2",
            "--device",
            "cpu",
            "--rule",
            "shooting",
            "--threshold",
            "1",
        ]
    )
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["overall"]["frames"] == 2 and list(content["sequences"]) == ["sequence85"]
    assert content["rule"] == "shooting" and "curve" not in content and not (tmp_path / "pd_fa.png").exists()
    assert content["overall"]["pd"] == 0 and content["overall"]["iou"] == 0
    assert content["snr_le_3"]["pd"] is None  # no such frame was measured: undefined, not 0
    with pytest.raises(UserError, match="found sequence1, expected some of the 2 of this split, sequence47"):
        run(["--weights", str(weights), "--data-root", str(data), "--sequences", "sequence1"])


def test_results_lie_beside_the_weights_by_default(weights, data, capsys):
    script("test").main(
        [
            "--weights",
            str(weights),
            "--data-root",
            str(data),
            "--device",
            "cpu",
            "--quiet",
            "--limit",
            "1",
            "--no-curve",
        ]
    )
    assert (weights.parent / "test" / "metrics.json").exists()


def test_rendering_a_sequence(weights, data, threshold, tmp_path, capsys):
    script("vid_predict").main(
        [
            "--weights",
            str(weights),
            "--source",
            str(data / "images" / "sequence47"),
            "--quiet",
            "--out",
            str(tmp_path),
            "--truth",
            str(data),
            "--gif",
            "--heatmap",
            "--device",
            "cpu",
            "--threshold",
            str(threshold),
            "--max-frames",
            "5",
            "--fps",
            "10",
            "--scale",
            "4",
        ]
    )
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["size"] == [60, 45] and content["fps"] == 10 and content["threshold"] == threshold
    assert [record["number"] for record in content["frames"]] == list(range(5))
    assert sum(len(record["components"]) for record in content["frames"]) > 0
    for record in content["frames"]:
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{record['name']}.png"))
        assert mask.shape == (45, 60) and set(np.unique(mask)) <= {0, 255}
        assert sum(component["area"] for component in record["components"]) == (mask > 0).sum()
        assert record["targets"] == 1
        for component in record["components"]:
            assert set(component) == {"score", "box", "centroid", "area"} and component["score"] > threshold - 1e-6
            x1, y1, x2, y2 = map(int, component["box"])
            assert mask[y1:y2, x1:x2].any()
    (video,) = open_sources(tmp_path / "sequence47.mp4")
    assert video.fps == pytest.approx(10) and len(list(video)) == 5
    assert next(iter(video)).image.shape[1] >= 2 * 4 * 60  # prediction and truth side by side
    with Image.open(tmp_path / "sequence47.gif") as gif:
        assert gif.n_frames == 5
    printed = capsys.readouterr().out
    assert "of 5 targets found" in printed and "predictions.json" in printed


def test_rendering_a_video_and_a_dataset(weights, data, tmp_path, capsys):
    from utils.video.writers import VideoWriter

    with VideoWriter(tmp_path / "film.mp4", 30) as writer:
        for index in range(3):
            writer.write(np.full((50, 70, 3), 60 + index, np.uint8))
    run = script("vid_predict").main
    run(["--weights", str(weights), "--source", str(tmp_path / "film.mp4"), "--device", "cpu", "--quiet"])
    out = weights.parent / "predict" / "film"
    content = json.loads((out / "predictions.json").read_text())
    assert content["fps"] == 30 and len(content["frames"]) == 3 and content["frames"][0]["name"] == "000000"
    run(
        [
            "--weights",
            str(weights),
            "--source",
            str(data),
            "--out",
            str(tmp_path / "all"),
            "--max-frames",
            "1",
            "--quiet",
            "--device",
            "cpu",
        ]
    )
    assert sorted(path.parent.name for path in tmp_path.glob("all/*/predictions.json")) == ["sequence47", "sequence85"]


def test_frames_in_other_units_are_remarked(weights, tmp_path, capsys):
    Image.fromarray(np.full((32, 32), 20000, np.uint16)).save(tmp_path / "1.png")
    command = [
        "--weights",
        str(weights),
        "--source",
        str(tmp_path / "1.png"),
        "--device",
        "cpu",
        "--quiet",
        "--out",
        str(tmp_path / "out"),
    ]
    script("vid_predict").main(command)
    assert "raw frames; the network, which has learnt from 8 bits" in capsys.readouterr().err
    check_look("x", np.full((32, 32), 250, np.uint8), (60.0, 10.0))
    assert "x: the frames' mean is 250 (uint8), that of the training frames 60" in capsys.readouterr().err


def test_what_was_rendered_is_kept_when_a_frame_is_broken(weights, tmp_path, capsys):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        Image.fromarray(np.full((32, 32), 60, np.uint8)).save(frames / f"{number}.png")
    (frames / "3.png").write_bytes((frames / "0.png").read_bytes()[:60])
    with pytest.raises(UserError, match="3.png"):
        script("vid_predict").main(
            [
                "--weights",
                str(weights),
                "--source",
                str(frames),
                "--device",
                "cpu",
                "--quiet",
                "--out",
                str(tmp_path / "out"),
            ]
        )
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())["frames"]) == 3
    assert len(list(open_sources(tmp_path / "out" / "frames.mp4")[0])) == 3


@pytest.mark.parametrize(
    "name, arguments, text",
    [
        ("test", ["--wieghts", "x"], "--help` lists every option"),
        ("test", ["--weights", "{weights}"], "--data-root"),
        ("test", ["--weights", "{none}", "--data-root", "{data}"], "no such file, expected a checkpoint"),
        ("test", ["--weights", "{weights}", "--data-root", "{none}"], "no such folder"),
        ("test", ["--weights", "{weights}", "--data-root", "{data}", "--threshold", "2"], "found '2', expected float"),
        ("test", ["--weights", "{weights}", "--data-root", "{data}", "--rule", "nearest"], "centroid"),
        ("test", ["--weights", "{weights}", "--data-root", "{data}", "--split", "val"], "invalid choice: 'val'"),
        ("test", ["--weights", "{weights}", "--data-root", "{data}", "--limit", "-1"], "expected int at least 0"),
        ("test", ["--weights", "{weights}", "--data-root", "{data}", "--out", "{file}/x"], "cannot be written"),
        ("vid_predict", ["--weights", "{none}", "--source", "{data}"], "no such file, expected a checkpoint"),
        ("vid_predict", ["--weights", "{weights}", "--source", "{none}"], "no such file or folder"),
        ("vid_predict", ["--weights", "{weights}", "--source", "{file}"], "not a readable video"),
        ("vid_predict", ["--weights", "{weights}", "--source", "{data}", "--truth", "{none}"], "check --truth"),
        ("vid_predict", ["--weights", "{weights}", "--source", "{data}", "--out", "{file}/x"], "cannot be written"),
        (
            "vid_predict",
            ["--weights", "{weights}", "--source", "{data}", "--fps", "0"],
            "found '0', expected float at least 0.1",
        ),
    ],
)
def test_mistakes_end_with_one_line_before_torch_is_imported(name, arguments, text, data, tmp_path):
    (tmp_path / "file").write_text("neither a picture nor a video")
    (tmp_path / "weights.pt").write_bytes(b"not looked into yet")
    places = {"weights": tmp_path / "weights.pt", "data": data, "none": tmp_path / "none", "file": tmp_path / "file"}
    done = run_without_torch(name, *[argument.format(**places) for argument in arguments])
    assert done.returncode == 2, done.stderr
    assert done.stdout == "" and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert text in done.stderr


@pytest.mark.parametrize("name", ["test", "vid_predict"])
def test_help_needs_no_torch(name):
    done = run_without_torch(name, "--help")
    assert done.returncode == 0 and "--weights FILE" in done.stdout and done.stderr == ""
