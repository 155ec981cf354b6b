"""Kinds of synthetic datasets: infrared ones stay what they were, and folders, options and help know their kind."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from docs.make_satellite_figure import main as draw_figure
from utils.synthetic.__main__ import main
from utils.synthetic.dataset import KINDS
from utils.system.errors import UserError

PLAIN = "e381127d3e7715c212756b2d2246a12e28367025b9733e1fd02cf414d820a285"
RICH = "94d21ae0182fc2ba2b97a9ffea2bf368ca51c05fb1ea7c656f27bcaf39d116bd"
TINY = ["--size", "64x80", "--frames", "6", "--train-sequences", "2", "--test-sequences", "1", "--workers", "0"]


def make(out: Path, *options: str) -> Path:
    main(["--out", str(out), *TINY, "--quiet", *options])
    return out


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def digest(root: Path) -> str:
    """Of all names, of pictures as they are decoded, and of all other files to the byte."""
    found = hashlib.sha256()
    for name, data in sorted(content(root).items()):
        found.update(name.encode() + b"\0")
        picture = name.endswith(".png")
        found.update(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).tobytes() if picture else data)
    return found.hexdigest()


def test_infrared_datasets_are_what_they_were_before_there_were_kinds(tmp_path):
    options = ["--bits", "16", "--structures", "2", "--still-share", "0.5", "--look-share", "0.5"]
    assert digest(make(tmp_path / "plain")) == PLAIN
    assert digest(make(tmp_path / "named", "--kind", "infrared")) == PLAIN
    assert digest(make(tmp_path / "rich", *options)) == RICH


def test_satellite_datasets_are_the_same_however_many_processes_make_them(tmp_path):
    options = ["--kind", "satellite", "--test-sequences", "2", "--split", "test"]
    one, two = make(tmp_path / "one", *options), make(tmp_path / "two", *options, "--workers", "2")
    other = make(tmp_path / "other", *options, "--seed", "5")
    assert content(one) == content(two) and len(content(one)) == 13
    picture = "images/test/003/img/000006.png"
    assert content(one)[picture] != content(other)[picture]


def test_a_set_that_is_there_is_kept_and_another_kind_is_kept_out(tmp_path, capsys):
    out = make(tmp_path / "set", "--kind", "satellite")
    before, names = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}, set(content(out))
    make(out, "--kind", "satellite")
    assert capsys.readouterr().out.count("already there") == 2
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    with pytest.raises(UserError, match="made with other settings"):
        make(out, "--kind", "satellite", "--cars", "1", "2")
    with pytest.raises(UserError, match="found other files"):
        make(out, "--overwrite")
    make(out, "--kind", "satellite", "--cars", "1", "2", "--overwrite", "--split", "test")
    assert json.loads((out / "annotations/instances_test2017.json").read_text())["info"]["config"]["cars"] == [1, 2]
    assert set(content(out)) == names


def test_satellite_video_of_the_first_generator_is_not_taken_for_what_is_made_now(tmp_path):
    options = ["--kind", "satellite", "--split", "test"]
    path = make(tmp_path / "set", *options) / "annotations/instances_test2017.json"
    coco = json.loads(path.read_text())
    coco["info"]["version"] = 1  # its pictures were others
    path.write_text(json.dumps(coco))
    with pytest.raises(UserError, match="made with other settings"):
        make(tmp_path / "set", *options)


@pytest.mark.parametrize(
    "options, text",
    [
        (["--kind", "radar"], "invalid choice: 'radar' (choose from"),
        (["--kind"], "--kind: expected one argument"),
        (["--kind", "satellite", "--snr", "1", "3"], "unrecognized arguments: --snr 1 3"),
        (["--cars", "1", "3"], "unrecognized arguments: --cars 1 3"),
        (["--kind", "satellite", "--cars", "9", "3"], "--cars: found (9, 3), expected FEWEST MOST"),
        (["--kind", "satellite", "--speed", "3", "1"], "--speed: found (3.0, 1.0), expected SLOWEST FASTEST"),
        (["--kind", "satellite", "--bend", "50"], "--bend: found '50', expected float at least 0 and at most 15"),
        (["--kind", "satellite", "--size", "32"], "--size: found (32, 32), expected int at least 48"),
    ],
)
def test_bad_options_are_one_clear_line(options, text, tmp_path):
    with pytest.raises(UserError) as error:
        make(tmp_path / "set", *options)
    assert text in str(error.value) and "\n" not in str(error.value) and not (tmp_path / "set").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_help_shows_the_options_of_its_kind(kind, capsys):
    with pytest.raises(SystemExit):
        main(["--help", "--kind", kind])
    text = capsys.readouterr().out
    assert ("--snr LOW HIGH" in text) == (kind == "infrared") and ("--cars FEWEST MOST" in text) == (kind != "infrared")


def test_the_figure_of_satellite_video_shows_boxes_and_ways(tmp_path, capsys):
    out = make(tmp_path / "set", "--kind", "satellite", "--frames", "16", "--cars", "6", "9", "--speed", "2", "3")
    picture = tmp_path / "figure.png"
    draw_figure(["--data-root", str(out), "--out", str(picture)])
    pixels = cv2.imread(str(picture)).astype(int)
    assert pixels.shape == (2 * 64 + 4, 2 * 80 + 4, 3)
    blue, green, red = pixels.transpose(2, 0, 1)
    boxes, ways = (green > red + 60) & (green > blue + 60), (red > blue + 60) & (red > green)
    assert boxes.sum() > 40 and ways.sum() > 10
    assert not (boxes | ways)[:, :80].any()
    with pytest.raises(UserError, match="found 9, expected some of 001, 002"):
        draw_figure(["--data-root", str(out), "--sequences", "9"])
