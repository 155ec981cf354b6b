"""`--tile` and `--tile-overlap` of the commands that predict."""

import json

import numpy as np
import pytest
from exporting import write_weights
from moving import write_boxed
from PIL import Image
from scripts import script

from utils.predictor.predictor import Predictor
from utils.predictor.tiles.tiling import Tiling
from utils.system.errors import UserError
from utils.video.sources import open_sources

TILES = ["--tile", "64", "--tile-overlap", "8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Boxed sequences of frames of 96×140, larger than a tile."""
    return write_boxed(tmp_path_factory.mktemp("data") / "DAUB", frames=3, size=(96, 140))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return {name: write_weights(folder, name) for name in ("tsmsa", "sstnet")}


@pytest.mark.parametrize("name", ["tsmsa", "sstnet"])
def test_videos_are_predicted_in_tiles(weights, data, tmp_path, name):
    source, out = data / "images" / "train" / "data1", tmp_path / "out"
    maps = {}
    for side in (64, 0):
        predictor = Predictor.from_checkpoint(weights[name], "cpu", tiling=Tiling(side, 8))
        maps[side] = np.stack([one.probability for one in predictor.stream(open_sources(source)[0])])
    where = np.abs(maps[64] - maps[0]).argmax()
    threshold = float(maps[64].flat[where] + maps[0].flat[where]) / 2  # tells the one from the other
    options = ["--weights", str(weights[name]), "--threshold", str(threshold), "--source", str(source)]
    script("vid_predict").main([*options, "--out", str(out), "--no-tracks", "--quiet", *TILES])
    assert json.loads((out / "predictions.json").read_text())["tiles"] == {"side": 64, "overlap": 8}
    masks = np.stack([np.asarray(Image.open(path)) > 0 for path in sorted((out / "masks").iterdir())])
    assert np.array_equal(masks, maps[64] > threshold) and not np.array_equal(masks, maps[0] > threshold)


@pytest.mark.parametrize("command", ["test", "vid_map_coco"])
def test_datasets_are_measured_in_tiles(weights, data, tmp_path, command):
    figures = {}
    for tiles in ((), TILES):
        options = ["--weights", str(weights["sstnet"]), "--data-root", str(data), "--split", "train", "--draws", "0"]
        script(command).main([*options, "--out", str(tmp_path), "--quiet", *tiles])
        figures[len(tiles)] = json.loads((tmp_path / "metrics.json").read_text())
    assert [one["tiles"] for one in figures.values()] == [{"side": None, "overlap": None}, {"side": 64, "overlap": 8}]
    assert figures[0]["overall"] != figures[4]["overall"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["--weights", "best.pt", "--tile", "63"], "--tile, --tile-overlap: got tiles of 63 px, expected 0, or 64 to"),
        (["--weights", "best.pt", "--tile", "64", "--tile-overlap", "40"], "expected 0 to 32, half a tile"),
        (["--weights", "best.pt", "--tile-overlap", "300"], "expected 0 to 256, half a tile"),
        (["--method", "top-hat", "--tile", "64"], "--tile: found with --method, which takes its level from whole"),
    ],
)
@pytest.mark.parametrize("command", ["test", "vid_map_coco", "vid_predict"])
def test_tiles_that_cannot_be_had_are_refused(command, given, text):
    source = ["--source", "none"] if command == "vid_predict" else ["--data-root", "none"]
    with pytest.raises(UserError, match=text):
        script(command).main([*source, *given])
