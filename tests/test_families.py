"""Both families in one table: figures are those of vid_map_coco.py, parameters those of the network that is used."""
import dataclasses
import json

from test_detection_training import recipe, write_boxed

from benchmarks import families
from utils.datasets import open_dataset
from utils.trainer import train
from vid_map_coco import main as measure


def test_a_row_for_each_file_with_the_figures_of_its_own_measurement(tmp_path, capsys):
    data = write_boxed(tmp_path / "data", frames=6)
    config = dataclasses.replace(recipe(data, tmp_path / "runs", val_fraction=0.0), name="boxes")
    train(config, open_dataset(data, "train", "boxes"))
    weights = str(tmp_path / "runs/boxes/best.pt")
    shared = ["--data-root", str(data), "--split", "train", "--quiet"]
    families.main(["--weights", weights, weights.replace("best", "last"), *shared, "--timed", "2", "--rounds", "1",
                   "--json", str(tmp_path / "rows.json")])
    assert "centre_ap" in capsys.readouterr().out
    rows = json.loads((tmp_path / "rows.json").read_text())
    measure(["--weights", weights, *shared, "--out", str(tmp_path / "map")])
    expected = json.loads((tmp_path / "map/metrics.json").read_text())["overall"]
    assert len(rows) == 2 and rows[0]["network"] == "sstnet" and rows[0]["frames"] == 12 and rows[0]["ms"] > 0
    for row in rows:
        assert row["pd"] == round(expected["pd"], 4) and row["ap50"] == round(expected["ap50"], 4)
        assert row["false"] == round(expected["centre_false_per_frame"], 4)
    state = [value.numel() for name, value in _network(weights).items() if not name.startswith("temporal.")
             and not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert rows[0]["parameters"] == sum(state)


def _network(path):
    from utils.checkpoint import load_checkpoint

    return load_checkpoint(path)["network"]
