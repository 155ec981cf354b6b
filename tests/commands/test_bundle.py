"""Weights that are passed on: packed from a run, and those that come with the project."""

import json
import shutil

import pytest
import torch
from scripts import script

from utils.bundle import COPIED_FILES, SUMS_FILE, bundle, sha256
from utils.commands.inputs import BUNDLED_WEIGHTS
from utils.datasets.dataset import open_dataset
from utils.predictor.checkpoint import load_checkpoint
from utils.synthetic.__main__ import main as synthetic
from utils.system.errors import UserError
from utils.training.config import TrainConfig
from utils.training.trainer import train

FOLDERS = sorted(path.parent for path in BUNDLED_WEIGHTS.glob("*/best.pt"))
LIMIT = 20e6  # bytes, all of weights/


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, its folder."""
    root = tmp_path_factory.mktemp("run")
    synthetic(
        [
            "--out",
            str(root / "data"),
            "--train-sequences",
            "2",
            "--test-sequences",
            "0",
            "--frames",
            "6",
            "--size",
            "48x64",
            "--quiet",
        ]
    )
    config = TrainConfig(
        data_root=str(root / "data"),
        name="run",
        out=str(root),
        epochs=1,
        batch_size=2,
        input_size=32,
        workers=0,
        threads=1,
        quiet=True,
        device="cpu",
    )
    train(config, open_dataset(config.data_root, "train"))
    return root / "run"


def test_a_bundle_holds_the_weights_that_are_used_and_checks_itself(run, tmp_path):
    paths = bundle(str(run), str(tmp_path / "out"))
    lines = [line.split("  ") for line in (tmp_path / "out" / SUMS_FILE).read_text().splitlines()]
    assert [name for _, name in lines] == ["best.pt", *COPIED_FILES] == [path.name for path in paths]
    assert all(sha256(tmp_path / "out" / name) == value for value, name in lines)
    packed, whole = (load_checkpoint(folder / "best.pt") for folder in (tmp_path / "out", run))
    assert whole["ema"] and packed["network"].keys() == whole["ema"].keys() and not packed["ema"]
    assert all(torch.equal(packed["network"][name], whole["ema"][name]) for name in whole["ema"])
    assert packed["settings"] == whole["settings"] and packed["config"] == whole["config"]
    assert (tmp_path / "out/best.pt").stat().st_size <= (run / "best.pt").stat().st_size


def test_a_run_that_is_not_complete_is_named(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/log.jsonl").unlink()
    with pytest.raises(UserError, match="found no log.jsonl, expected the folder of a training run"):
        bundle(str(tmp_path / "run"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="--out: found .*, which holds what is read"):
        bundle(str(run), str(run))


def test_there_are_bundled_weights_within_the_limit():
    assert [folder.name for folder in FOLDERS] == ["sstnet", "tsmsa", "tsmsa_ir", "tsmsa_real", "tsmsa_synthetic"]
    assert sum(path.stat().st_size for path in BUNDLED_WEIGHTS.rglob("*") if path.is_file()) < LIMIT


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_bundled_weights_are_whole_and_described(folder):
    for line in (folder / SUMS_FILE).read_text().splitlines():
        value, name = line.split("  ")
        assert sha256(folder / name) == value, name
    card = (folder / "README.md").read_text()
    assert all(heading in card for heading in ("## Made by", "## What it saw", "## Measured", "## Where it fails"))
    assert load_checkpoint(folder / "best.pt")["config"] == json.loads((folder / "config.json").read_text())
    assert folder.name in (BUNDLED_WEIGHTS / "README.md").read_text()


def test_own_footage_needs_no_weights(tmp_path, monkeypatch, capsys):
    """Two sequences that no weights have seen, with targets of SNR 4 to 10."""
    synthetic(
        [
            "--out",
            str(tmp_path / "data"),
            "--split",
            "test",
            "--test-sequences",
            "2",
            "--seed",
            "77",
            "--snr",
            "4",
            "10",
            "--low-share",
            "0",
            "--empty-share",
            "0",
            "--quiet",
        ]
    )
    monkeypatch.chdir(tmp_path)
    script("vid_predict").main(["--source", "data/images", "--truth", "data", "--quiet"])
    assert "no --weights given: taking" in capsys.readouterr().out
    found = [json.loads(path.read_text())["frames"] for path in tmp_path.rglob("predictions.json")]
    assert len(found) == 2 and all("runs" in path.parts for path in tmp_path.rglob("*.mp4"))
    targets, hits = (sum(frame[key] for frames in found for frame in frames) for key in ("targets", "hits"))
    false = sum(len(frame["components"]) - frame["hits"] for frames in found for frame in frames)
    assert targets > 20 and hits >= 0.6 * targets and false <= 2 * sum(map(len, found))
