"""`python -m utils.report`: names, encoding, charts, and a page that is complete in itself."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from moving import FRAMES, write_moving
from scripts import ROOT, script
from trees import write_pairs

from utils.commands.inputs import BUNDLED_WEIGHTS, find_predictor
from utils.commands.predictor_options import PredictorChoice
from utils.datasets.dataset import open_dataset
from utils.images.components import label
from utils.metrics.bootstrap import Resampling
from utils.metrics.evaluate import evaluate_detection
from utils.predictor.classical import classical_predictor
from utils.render.page_parts import encode_components
from utils.report import __main__ as command
from utils.report.charts import Axis, empty_chart, power_text
from utils.report.frames import path_of, pick_frames
from utils.report.measure import names_of, thin_curve
from utils.report.results import Curve, FigureSet, Measurement, MethodResult
from utils.report.tables import COLUMNS, best_of, figure_text, markdown
from utils.system.errors import UserError
from utils.system.tables import escape_markdown

METHODS = ["top-hat", "max-median"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The data, the page's text and the table of two methods, the second with a name that HTML could mistake."""
    root, out = write_moving(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("out") / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "names_of", lambda sources: ["top-hat", "</script><b>A&B"])
        command.main(
            [*METHODS, "--data-root", str(root), "--out", str(out), "--frames", "9", "--draws", "40", "--quiet"]
        )
    return open_dataset(root, "test"), out.read_text(), out.with_suffix(".md").read_text()


class Reader(HTMLParser):
    """Collects attributes that fetch, text outside of scripts, and open elements."""

    def __init__(self):
        super().__init__()
        self.fetched, self.open, self.text, self.blocks, self.tags = [], [], [], {}, []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.fetched += [attributes[key] for key in ("src", "href", "action", "data") if key in attributes]
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append((tag, attributes))

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for key, value in attributes if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self.open[-1] if self.open else ("", {})
        if tag == "script" and "id" in attributes:
            self.blocks[attributes["id"]] = json.loads(data)
        elif tag not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def read(report):
    reader = Reader()
    reader.feed(report[1])
    reader.close()
    assert not reader.open
    return reader


def test_the_page_fetches_nothing(report, read):
    assert all(value.startswith(("data:", "#")) for value in read.fetched)
    assert not re.search(r"(?i)@import|url\(|https?://|fetch\(|XMLHttp|import\(", report[1])


def test_everything_is_there_without_scripts(report, read):
    text = " ".join(" ".join(read.text).split())
    for heading in (
        "Curves",
        "By kind of target",
        "By sequence",
        "Frames",
        "Worst false alarms and misses",
        "As published code counts",
        "For papers",
        "ROC: Pd over Fa",
        "Accuracy beside speed",
    ):
        assert heading in text, heading
    assert "</script><b>A&B" in text
    assert read.tags.count("img") > 4 and read.tags.count("noscript") == 1
    for svg in re.findall(r'<svg class="chart".*?</svg>', report[1]):
        assert xml.fromstring(svg).tag == "svg"
    assert len(re.findall(r'<svg class="chart"', report[1])) == 4 + 3


def test_the_frames_are_in_blocks_by_sequence(read):
    assert list(read.blocks) == ["frames-0", "frames-1", "frames-2"]
    frames = [frame for block in read.blocks.values() for frame in block]
    assert len(frames) == 9
    for frame in frames:
        assert (frame["w"], frame["h"]) == (64, 48) and frame["p"].startswith("data:image/webp;base64,")
        assert len(frame["t"]) == 1 and frame["t"][0][2:5] == [3, 3, 2] and len(frame["m"]) == 2
    missed, found = read.blocks["frames-2"][0]["m"][0]
    assert missed == [0] and not found
    missed, found = read.blocks["frames-0"][0]["m"][0]
    assert missed == [] and sorted(part[4] for part in found) == [0, 1]  # the target, and the spark


def test_the_table_says_what_the_other_scripts_say(report):
    dataset, _, table = report
    head, rule, first, second, *rest = table.splitlines()
    assert head.count("|") == rule.count("|") == first.count("|") == len(COLUMNS) + 2
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (head, first)), strict=True))
    boxes = evaluate_detection(classical_predictor("top-hat"), dataset, quiet=True).overall.compute()
    for name, key in (("AP50", "ap50"), ("centre AP", "centre_ap"), ("F1, 5 px", "centre_5px_f1"), ("Pd", "pd")):
        assert cells[name].strip("*").split()[0].strip("*") == f"{boxes[key]:.3f}"
    rest = rest[: rest.index("", 1)]
    for text in ("3 sequences", f"{3 * FRAMES} frames", "take the intervals with care"):
        assert text in rest[-1], text


def test_names_tell_methods_apart(tmp_path):
    assert names_of(["runs/a", "runs/b/best.pt", "top-hat"]) == ["a", "b", "top-hat"]
    assert names_of(["x/runs/a", "y/runs/a/"]) == ["x/runs/a", "y/runs/a"]
    with pytest.raises(UserError, match="found twice"):
        names_of(["runs/a", "runs/a/best.pt"])
    with pytest.raises(UserError, match="no such run or method.*top-hat"):
        find_predictor("nothing")
    with pytest.raises(UserError, match=r"no best\.pt"):
        find_predictor(str(tmp_path))
    assert find_predictor("ipi") == PredictorChoice(weights=None, method="ipi")


def test_networks_run_as_the_options_say(report, tmp_path):
    weights = str(BUNDLED_WEIGHTS / "sstnet" / "best.pt")
    for given, text in ((["--device", "nowhere"], "nowhere"), (["--precision", "fp16"], "found fp16 on a CPU")):
        with pytest.raises(UserError, match=text):
            command.main(
                [
                    weights,
                    "--data-root",
                    report[0].root,
                    "--out",
                    str(tmp_path / "page.html"),
                    "--device",
                    "cpu",
                    "--quiet",
                    *given,
                ]
            )


def test_mistakes_end_before_torch_is_imported(tmp_path):
    code = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module('utils.report', run_name='__main__')"
    for arguments, words in ((["runs/none"], "runs/none: found no such file"), (["top-hat"], str(tmp_path / "none"))):
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--data-root", str(tmp_path / "none")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
        assert words in result.stderr, result.stderr


def drawn(path, shape):
    """The pixels of an SVG path made of `M x y h w v h h -w z`."""
    mask = np.zeros(shape, bool)
    for x, y, w, h in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", path):
        part = mask[int(y) : int(y) + int(h), int(x) : int(x) + int(w)]
        assert not part.any()
        part |= True
    return mask


def test_components_survive_encoding():
    rng = np.random.default_rng(0)
    for _ in range(60):
        mask = rng.random((13, 17)) < rng.uniform(0.02, 0.9)
        components = label(mask)
        parts = json.loads(json.dumps(encode_components(components, 17, 1, np.full(len(components), 0.5))))
        assert np.array_equal(sum((drawn(path_of(part), mask.shape) for part in parts), np.zeros_like(mask)), mask)
        assert all(part[4:6] == [1, 500] for part in parts)


def test_stretches_of_frames(report):
    dataset = report[0]
    assert len(pick_frames(dataset, 100)) == 3 * FRAMES and len(pick_frames(dataset, 100, limit=2)) == 6
    picked = pick_frames(dataset, 7)
    assert len(picked) == 7 and {frame.sequence for frame in picked} == {"s1", "s2", "s3"}
    for name in ("s1", "s2", "s3"):
        numbers = [frame.number for frame in picked if frame.sequence == name]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [frame.sequence for frame in pick_frames(dataset, 2)] == ["s1", "s3"] and pick_frames(dataset, 0) == []


def test_axes_and_lines():
    axis = Axis(1e-7, 1e-2, 0, 100, log=True)
    assert [axis(0), axis(1e-7), axis(1e-2), axis(1)] == pytest.approx([0, 0, 100, 100])
    assert axis(1e-6) == pytest.approx(20) and axis.ticks()[0][1] == "10⁻⁷" and power_text(3) == "1000"
    picture = empty_chart("a < b", "x", "y")
    picture.line([0, 0.5, np.nan, 1], [0, 0.5, 0.7, 1], 1, "A & B", steps=True)
    picture.point(np.nan, 1, 0, "nowhere")
    picture.point(0.5, 0.5, 0, "here", along=(0.4, np.nan))
    tree = xml.fromstring(picture.svg())
    assert tree.get("aria-label") == "a < b" and len(tree.findall("circle")) == 1
    (line,) = tree.findall("path[@class='line c1 d1']")
    assert line.get("d").count("L") == 4  # three points, and a corner before each step


def test_the_best_is_bold_and_nothing_where_all_are_alike():
    method = MethodResult(
        "a",
        0.5,
        1.0,
        {"centroid": FigureSet({"pd": 0.5}, {"pd": (0.4, 0.6)})},
        FigureSet({}, {}),
        {},
        {},
        Curve([], []),
        {},
        {},
        [],
        [],
        {},
        {},
    )
    undefined = replace(method, rules={"centroid": FigureSet({"pd": float("nan")}, {})})
    column = COLUMNS[0]
    assert best_of([method, method], column) == set()
    assert best_of([method, undefined], column) == {0}
    assert (figure_text(float("nan"), "share"), figure_text(2.5e-6, "millionths"), figure_text(1234, "rate")) == (
        "–",
        "2.5",
        "1234",
    )
    assert "**" not in markdown([], Measurement("x", "test", 0, 0, 0, "m", Resampling(1, 1), ""))


NAME = "</script><x-evil>|`*_a_*` \"'&lt;,=[x](y)~$"  # of a run; a folder's name holds no slash


def test_names_are_shown_letter_by_letter_in_page_and_table(tmp_path, monkeypatch, capsys):
    folder, names = NAME.replace("/", ""), ["-" + NAME + "\n2", "=" + NAME]
    root = tmp_path / f"+{folder}"
    for sequence in (f"{folder}1", f"@{folder}\n2"):
        write_pairs(root, [f"{sequence}/{number}" for number in range(3)], size=(48, 64))
    monkeypatch.setattr(command, "names_of", lambda sources: names)
    out = tmp_path / "page.html"
    command.main([*METHODS, "--data-root", str(root), "--split", "all", "--out", str(out), "--draws", "5", "--quiet"])
    reader = Reader()
    reader.feed(out.read_text())
    reader.close()
    assert not reader.open and "x-evil" not in reader.tags
    text = " ".join(" ".join(reader.text).split())
    for name in (*names, root.name, f"{folder}1", f"@{folder} 2"):
        assert " ".join(name.split()) in text
    table = out.with_suffix(".md").read_text()
    rows = [re.split(r"(?<!\\)\|", line) for line in table.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} == {len(COLUMNS) + 3, len(METHODS) + 4}
    assert [row[1].strip() for row in rows[2:4]] == list(map(escape_markdown, names))
    assert escape_markdown(root.name) in table and "<" not in table
    assert table in capsys.readouterr().out


def test_thinned_curves_keep_their_shape():
    recall = np.concatenate([np.linspace(0, 0.5, 20), np.linspace(0.5, 0.6, 5000)])
    curve = {"recall": recall[::-1], "precision": np.linspace(0.1, 1, len(recall))}
    thin = thin_curve(curve)
    assert len(thin.x) <= 151 and thin.x[0] == 0 and thin.x[-1] == pytest.approx(0.6)
    assert np.diff(thin.x).max() < 0.03 and thin.y[0] == 1
    assert thin_curve({"recall": np.array([np.nan]), "precision": np.array([0.0])}) == Curve([], [])


def test_the_benchmark_makes_a_page(tmp_path, capsys):
    from benchmarks import report as benchmark

    benchmark.main(["--methods", "3", "--frames", "20", "--size", "64", "--out", str(tmp_path / "page.html")])
    assert re.match(r"3 methods, 20 frames of 64x64: \d+\.\d MB", capsys.readouterr().out)
    reader = Reader()
    reader.feed((tmp_path / "page.html").read_text())
    assert len(reader.blocks) == 20 and not reader.open


def test_tracks_where_they_are_asked_for(report, tmp_path):
    assert "track Pd" not in report[1] + report[2]
    root, out = str(report[0].root), tmp_path / "page.html"
    command.main(["top-hat", "--data-root", root, "--out", str(out), "--draws", "40", "--quiet", "--tracks"])
    arguments = f"--method top-hat --data-root {root} --out {tmp_path} --tracks --draws 40 --quiet --no-details"
    script("vid_map_coco").main(arguments.split())
    tracks = json.loads((tmp_path / "metrics.json").read_text())["tracks"]
    head, row = (
        [cell.strip().strip("*") for cell in line.split("|")[1:-1]]
        for line in re.findall(r"^\| (?:method|top-hat) \|.*", out.with_suffix(".md").read_text(), re.M)[2:]
    )
    cells = dict(zip(head, row, strict=True))
    for name, key, style in (("HOTA", "hota", ".3f"), ("track Pd", "track_pd", ".3f"), ("MOTA", "mota", ".3f")):
        low, high = tracks["intervals"][key]
        assert cells[name] == f"{tracks['overall'][key]:{style}} [{low:{style}}, {high:{style}}]"
    assert (cells["true tracks"], cells["switches"]) == ("3", "0")
    reader = Reader()
    reader.feed(out.read_text())
    text = " ".join(" ".join(reader.text).split())
    assert not reader.open and "centres at most 5 px apart, found where 3/5 frames are hit" in text
    assert text.count("false tracks/minute") == 3  # of all, of every sequence, and for papers
