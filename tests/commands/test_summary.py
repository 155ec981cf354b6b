"""The closing lines of `make demo`."""

import subprocess
import sys

import pytest
from scripts import ROOT

from utils.summary import summarise
from utils.system.errors import UserError
from utils.system.files import write_json

FIGURES = {"pd": 0.95, "fa": 2.5e-5, "false_per_frame": 0.2, "iou": 0.61, "niou": float("nan")}


def test_figures_files_and_the_path_of_the_metrics_as_the_last_word(tmp_path, capsys):
    write_json(tmp_path / "test" / "metrics.json", {"overall": FIGURES, "snr_gt_3": FIGURES})
    write_json(tmp_path / "test-seed7" / "metrics.json", {"overall": FIGURES})
    (tmp_path / "video" / "a").mkdir(parents=True)
    (tmp_path / "video" / "a" / "a.mp4").write_bytes(b"")
    summarise(tmp_path)
    text = capsys.readouterr().out
    assert "test, SNR > 3" in text and "test-seed7, all" in text and "SNR <= 3" not in text
    assert all(part in text for part in ("0.95", "2.50e-05", "–", "a.mp4"))
    assert text.split()[-1] == str(tmp_path / "test" / "metrics.json")


def test_figures_of_boxes_have_columns_of_their_own(tmp_path, capsys):
    names = ("ap50", "any_overlap_f1", "centre_5px_f1", "any_overlap_precision", "any_overlap_recall")
    figures = {name: 0.81 + 0.01 * place for place, name in enumerate(names)} | {"false_per_frame": 0.25}
    write_json(tmp_path / "test" / "metrics.json", {"overall": figures})
    summarise(tmp_path)
    text = capsys.readouterr().out
    title, row = text.splitlines()[2:4]
    assert " ".join(title.split()) == "test set AP50 F1 overlap F1 5 px precision recall false/frame"
    assert row.split() == ["test,", "all", "0.81", "0.82", "0.83", "0.84", "0.85", "0.25"]


def test_a_folder_without_figures_is_named(tmp_path):
    with pytest.raises(UserError, match="metrics.json"):
        summarise(tmp_path)
    result = subprocess.run([sys.executable, "-m", "utils.summary"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "required: FOLDER" in result.stderr


@pytest.mark.parametrize(
    "content", [b"\xc5\x00", b"", b"[1]", b"{}", b'{"overall": 3}', b'{"overall": {"pd": 1}}', b"[" * 10**5]
)
def test_a_file_without_figures_is_named(tmp_path, content):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "metrics.json").write_bytes(content)
    with pytest.raises(UserError, match="metrics.json: (found no figures|not a text file)"):
        summarise(tmp_path)
