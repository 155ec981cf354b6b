"""The table of finished runs."""

import json

import pytest
from trees import write_pairs

from benchmarks.methods_table import count_clips_seen, main
from nets import build_model
from utils.clips.settings import ClipSettings
from utils.predictor.checkpoint import save_checkpoint
from utils.system.errors import UserError


def figures(path, data, weights=None, model="top-hat", threshold=0.5, targets=4, **overall):
    path.parent.mkdir(parents=True, exist_ok=True)
    overall = {
        "pd": 0.75 if targets else None,
        "fa": 2e-5,
        "false_per_frame": 0.25,
        "iou": 0.5,
        "frames": 8,
        "targets": targets,
    } | overall
    path.write_text(
        json.dumps(
            {
                "overall": overall,
                "weights": weights,
                "model": model,
                "threshold": threshold,
                "data_root": str(data),
                "split": "all",
            }
        )
    )
    return str(path)


@pytest.fixture
def run(tmp_path):
    """A run's folder: two of its three epochs made the weights."""
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    network = build_model("acm").network
    save_checkpoint(
        folder / "best.pt",
        {
            "model": {"name": "acm", "options": {}},
            "settings": ClipSettings(1, (100.0, 30.0), name="acm").as_dict(),
            "config": {},
            "network": network.state_dict(),
            "ema": None,
            "epoch": 2,
        },
    )
    rows = [json.dumps({"epoch": epoch, "clips": 1000}) + "\n" for epoch in (1, 2, 3)]
    (folder / "log.jsonl").write_text("".join(rows))
    return folder


def test_runs_and_methods_make_one_table_with_their_cost(run, tmp_path, capsys):
    data = write_pairs(tmp_path / "set", [f"sequence1/{i}" for i in range(4)])
    weights = str(run / "best.pt")
    main(
        [
            figures(tmp_path / "a.json", data, weights, "acm"),
            figures(tmp_path / "b.json", data, pd=0.5),
            figures(tmp_path / "c.json", tmp_path / "clutter", weights, "acm", targets=0, false_per_frame=0.125),
            "--frames",
            "3",
        ]
    )
    head, rule, ours, classical = capsys.readouterr().out.strip().splitlines()
    assert head.startswith("| set, 8 frames | Pd | Fa |") and head.endswith("| ms a frame | false a frame, clutter |")
    assert rule.count("---") == head.count("|") - 1
    cells = [cell.strip() for cell in ours.strip("|").split("|")]
    assert cells[:7] == ["acm (first)", "0.750", "2.0e-05", "0.25", "0.500", "2,000", "397,655"]
    assert float(cells[7]) > 0 and float(cells[8]) > 0 and cells[9] == "0.125"
    cells = [cell.strip() for cell in classical.strip("|").split("|")]
    assert cells[:8] == ["top-hat", "0.500", "2.0e-05", "0.25", "0.500", "–", "–", "–"]
    assert float(cells[8]) > 0 and cells[9] == "–"


def test_clips_are_counted_up_to_a_log_line_that_was_cut_off(run):
    with open(run / "log.jsonl", "a") as file:
        file.write('{"epoch": 1, "cl')
    assert count_clips_seen(str(run / "best.pt")) == 2000


def test_without_timing_only_the_files_are_read(tmp_path, capsys):
    main([figures(tmp_path / "a.json", tmp_path / "gone"), "--frames", "0"])
    assert capsys.readouterr().out.splitlines()[0] == "| gone, 8 frames | Pd | Fa | false a frame | IoU |"


def test_boxes_have_a_table_of_their_own(tmp_path, capsys):
    """Detectors beside segmentation networks: by centres, so that a box's area costs nothing."""
    boxes = {"ap50": 0.25, "centre_ap": 0.875, "centre_false_per_frame": 0.5, "false_per_frame": 9.0}
    main(
        [
            figures(tmp_path / "a.json", "set"),
            figures(tmp_path / "b.json", "set", "r/boxes/best.pt", "sstnet", **boxes),
            figures(tmp_path / "c.json", "set", "r/masks/best.pt", "tsmsa", **boxes | {"centre_ap": 0.5}),
            figures(tmp_path / "d.json", "clutter", "r/masks/best.pt", "tsmsa", targets=0, **boxes | {"ap50": None}),
            "--frames",
            "0",
        ]
    )
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == "| set, 8 frames | Pd | Fa | false a frame | IoU |" and lines[3] == ""
    assert lines[4] == "| set, 8 frames | AP50 | centre AP | Pd | false a frame | false a frame, clutter |"
    assert lines[6] == "| sstnet (boxes) | 0.250 | 0.875 | 0.750 | 0.50 | – |"
    assert lines[7] == "| tsmsa (masks) | 0.250 | 0.500 | 0.750 | 0.50 | 0.500 |"


def test_figures_that_do_not_belong_together_are_refused(tmp_path):
    one = figures(tmp_path / "a.json", "set")
    for other, text in (
        (figures(tmp_path / "b.json", "set"), "two files for set"),
        (figures(tmp_path / "c.json", "clutter", threshold=0.6), "at thresholds 0.5 and 0.6"),
        (figures(tmp_path / "d.json", "set", model="ipi", frames=9), "over 8 and 9 frames"),
        (str(tmp_path / "none.json"), "found no figures, expected a metrics.json"),
    ):
        with pytest.raises(UserError, match=text):
            main([one, other, "--frames", "0"])


def test_names_of_runs_and_datasets_break_no_row(tmp_path, capsys):
    data, weights = "d|`a*\n<b>", tmp_path / "r|`u*\n<n>" / "best.pt"
    files = [
        figures(tmp_path / "0.json", f"/x/{data}", str(weights)),
        figures(tmp_path / "1.json", f"/y/{data}2", str(weights), targets=0),
    ]
    main([*files, "--frames", "0"])
    head, rule, row = capsys.readouterr().out.rstrip("\n").split("\n")
    assert head.startswith(r"| d\|\`a\* &lt;b&gt;, 8 frames | ") and r" d\|\`a\* &lt;b&gt;2 |" in head
    assert row.startswith(r"| top-hat (r\|\`u\* &lt;n&gt;) | ") and rule.count("|") == 7
