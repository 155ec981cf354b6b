"""Commands write nothing among what they read, nothing over what they have not made, and whole files or none."""

import builtins
import dataclasses
import errno
import json
import os
import shutil
from functools import partial
from pathlib import Path

import pytest
from films import film
from scripts import script

import utils.bundle
import utils.export
import utils.log
import utils.report.__main__
import utils.synthetic.__main__
from utils.commands.inputs import BUNDLED_WEIGHTS
from utils.system.errors import UserError, WriteError
from utils.system.files import write_json
from utils.system.outputs import RECORD_FILE
from utils.training.config import TrainConfig
from utils.training.launch import launch
from utils.training.recipes import SEGMENTATION_FIRST
from utils.training.resume import claim_folder
from utils_coco import boxes_to_masks, coco_to_txt, csv_to_coco, import_labels, masks_to_coco, txt_to_coco

SIZE = ["--size", "48x64", "--frames", "5"]
SMALL = ["--train-sequences", "2", "--test-sequences", "1", *SIZE, "--workers", "0", "--quiet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`data`, a run's folder, and labelled videos."""
    root = tmp_path_factory.mktemp("made")
    utils.synthetic.__main__.main(["--out", str(root / "data"), *SMALL])
    shutil.copytree(BUNDLED_WEIGHTS / "tsmsa", root / "run")
    for name, text in (("labels/v.csv", "frame,class,x,y,w,h\n1,a,5,5,4,4\n"), ("films/x", "")):
        (root / name).parent.mkdir()
        (root / name).write_text(text)
    film(root / "films/v.mp4", 2)
    return root


def train(*arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train_NUDT.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        launch(SEGMENTATION_FIRST, "")
    raise UserError(f"status {ended.value.code}")


def commands(made, monkeypatch=None):
    """Commands by name: called with an output folder or file."""
    data, run, tsmsa = str(made / "data"), str(made / "run"), str(made / "run/best.pt")

    def main(name, *given):
        return lambda out: script(name).main([*given, "--quiet", "--out", str(out)])

    hat = ("--method", "top-hat")
    bare = ("--no-details", "--no-curve", "--draws", "0")
    sequence = f"{data}/images/sequence3"
    lists = f"{data}/annotations/instances_test.json"
    return {
        "test": main("test", *hat, "--data-root", data, *bare, "--save-masks"),
        "test, budget": main("test", *hat, "--data-root", data, *bare, "--budget-root", data, "--fa-budget", "0.1"),
        "map": main("vid_map_coco", *hat, "--data-root", data, "--draws", "0"),
        "predict": main("vid_predict", *hat, "--source", sequence),
        "predict, truth": main("vid_predict", *hat, "--source", sequence, "--truth", data),
        "report": lambda out: utils.report.__main__.main(
            ["top-hat", "--data-root", data, "--draws", "2", "--quiet", "--out", f"{out}/report.html"]
        ),
        "log": lambda out: utils.log.main([run, "--out", f"{out}/runs.png"]),
        "export": lambda out: utils.export.main(["--weights", tsmsa, "--out", f"{out}/x.onnx"]),
        "bundle": lambda out: utils.bundle.main([run, "--out", str(out)]),
        "synthetic": lambda out: utils.synthetic.__main__.main(["--out", str(out), *SMALL]),
        "masks_to_coco": lambda out: masks_to_coco.main(["--data-root", data, "--out", str(out), "--quiet"]),
        "boxes_to_masks": lambda out: boxes_to_masks.main(["--data-root", data, "--out", str(out), "--quiet"]),
        "coco_to_txt": lambda out: coco_to_txt.main([lists, "--out", f"{out}/x.txt"]),
        "txt_to_coco": lambda out: txt_to_coco.main([f"{data}/x.txt", "--out", f"{out}/x.json"]),
        "csv_to_coco": lambda out: csv_to_coco.main(
            ["--labels", str(made / "labels"), "--videos", str(made / "films"), "--out", str(out), "--quiet"]
        ),
        "import_labels": lambda out: import_labels.main(
            ["--images", f"{data}/images", "--labels", f"{data}/masks", "--out", str(out)]
        ),
        "training": partial(_train, data, monkeypatch),
    }


def _train(data, monkeypatch, out):
    out = Path(out)
    return train("--data-root", data, "--out", out.parent, "--name", out.name, monkeypatch=monkeypatch)


def contents(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


# --- apart from what is read -----------------------------------------------------------------------------------------

AMONG = [
    ("test", ""),
    ("test", "data"),
    ("test", "data/masks"),
    ("test", "link"),
    ("test, budget", "data/new"),
    ("map", "data"),
    ("predict", "data/images/sequence3"),
    ("predict", "data/images"),
    ("predict, truth", "data/new"),
    ("report", "data"),
    ("bundle", "run"),
    ("bundle", ""),
    ("boxes_to_masks", "data/new"),
    ("boxes_to_masks", ""),
    ("csv_to_coco", "films"),
    ("csv_to_coco", "labels/new"),
    ("import_labels", "data/images/new"),
    ("training", "data"),
    ("training", "data/new"),
    ("training", ""),
]


@pytest.mark.parametrize(("name", "place"), AMONG)
def test_results_go_nowhere_among_what_is_read(made, monkeypatch, capfd, name, place):
    before = contents(made)
    (made / "link").symlink_to(made / "data")
    try:
        with pytest.raises(UserError) as error:
            commands(made, monkeypatch)[name](made / place)
    finally:
        (made / "link").unlink()
    said = capfd.readouterr().err if name == "training" else str(error.value)
    assert "what is read" in said or "found files there" in said
    assert contents(made) == before and not list(made.rglob(RECORD_FILE))


def test_weights_are_read_too(made, tmp_path):
    weights = shutil.copy(made / "run/best.pt", tmp_path / "best.pt")
    for name, more in (("test", ["--data-root"]), ("vid_map_coco", ["--data-root"]), ("vid_predict", ["--source"])):
        with pytest.raises(UserError, match=f"holds what is read .{weights}"):
            script(name).main(["--weights", str(weights), *more, str(made / "data"), "--out", str(tmp_path)])
    with pytest.raises(UserError, match="holds what is read"):
        script("vid_map_coco").main(
            ["--detections", str(_detections(tmp_path)), "--data-root", str(made / "data"), "--out", str(tmp_path)]
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "found.json"]


def _detections(folder):
    write_json(folder / "found.json", [])
    return folder / "found.json"


# --- over nothing that was not made ----------------------------------------------------------------------------------

OCCUPIED = [
    ("test", "metrics.json"),
    ("test", "masks/sequence3/2.png"),
    ("test", "pd_fa.png"),
    ("map", "detections.json"),
    ("predict", "masks/3.png"),
    ("predict", "sequence3.mp4"),
    ("predict", "coco.json"),
    ("report", "report.html"),
    ("report", "report.md"),
    ("log", "runs.png"),
    ("export", "x.onnx"),
    ("bundle", "config.json"),
    ("synthetic", "annotations/instances_test.json"),
    ("synthetic", "images/sequence1/own.png"),
    ("masks_to_coco", "instances_test.json"),
    ("boxes_to_masks", "masks/sequence1/0.png"),
    ("coco_to_txt", "x.txt"),
    ("csv_to_coco", "annotations/instances_test2017.json"),
    ("import_labels", "own"),
]


@pytest.mark.parametrize(("name", "place"), OCCUPIED)
def test_what_others_have_made_is_not_written_over(made, tmp_path, name, place):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"by hand")
    with pytest.raises(UserError, match="found"):
        commands(made)[name](tmp_path)
    assert contents(tmp_path) == {tmp_path / place: b"by hand"}


def test_a_training_leaves_weights_of_others(made, tmp_path, monkeypatch, capfd):
    (tmp_path / "best.pt").write_bytes(b"fetched")
    small = ["--epochs", "1", "--clips-per-epoch", "2", "--batch-size", "2", "--input-size", "32", "--workers", "0"]
    with pytest.raises(UserError, match="status 2"):
        train(
            *("--data-root", made / "data", "--out", tmp_path.parent, "--name", tmp_path.name, "--device", "cpu"),
            *small,
            monkeypatch=monkeypatch,
        )
    assert "best.pt: found something there already, and a training writes over nothing" in capfd.readouterr().err
    assert (tmp_path / "best.pt").read_bytes() == b"fetched"


@pytest.mark.parametrize("bundled", [True, False])
def test_a_training_leaves_weights_that_are_passed_on(made, tmp_path, bundled):
    if bundled:
        commands(made)["bundle"](tmp_path)
    else:  # by an earlier version
        shutil.copytree(made / "run", tmp_path, dirs_exist_ok=True)
    before = contents(tmp_path)
    config = TrainConfig(out=str(tmp_path.parent), name=tmp_path.name)
    with pytest.raises(UserError, match="last.pt|best.pt: found"):
        claim_folder(config)
    assert contents(tmp_path) == before
    claim_folder(dataclasses.replace(config, name=f"{tmp_path.name}-other"))
    (tmp_path / RECORD_FILE).unlink(missing_ok=True)
    shutil.copy(tmp_path / "best.pt", tmp_path / "last.pt")
    claim_folder(config)  # now it is the folder of a run of an earlier version


@pytest.mark.parametrize("name", ["test", "map", "predict", "report", "log", "bundle", "synthetic"])
def test_a_command_may_run_again(made, tmp_path, name):
    run = commands(made)[name]
    run(tmp_path)
    first = set(contents(tmp_path))
    run(tmp_path)
    assert first == set(contents(tmp_path))
    if name in ("test", "map", "predict", "bundle"):
        recorded = {json.loads(line)[1] for line in (tmp_path / RECORD_FILE).read_text().splitlines()}
        assert {str(path.relative_to(tmp_path)) for path in first} - {RECORD_FILE} <= recorded


@pytest.mark.parametrize("name", ["test", "predict"])
def test_a_command_that_was_killed_may_run_again(made, tmp_path, monkeypatch, name):
    """Masks are there, and nothing else that would tell whose they are."""
    run = commands(made)[name]

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:
        patch.setattr("utils.system.files.os.replace", _until(3, os.replace, Killed))
        with pytest.raises(Killed):
            run(tmp_path)
    for path in set(contents(tmp_path)) - {tmp_path / RECORD_FILE}:
        if "masks" not in path.parts:
            path.unlink()
    assert len(contents(tmp_path)) == 3  # two masks and the record
    run(tmp_path)
    assert len(list((tmp_path / "masks").rglob("*.png"))) == 5


def _until(count, function, error):
    calls = []

    def call(*arguments):
        calls.append(1)
        if len(calls) >= count:
            raise error
        return function(*arguments)

    return call


def test_two_commands_keep_their_results_apart(made, tmp_path):
    commands(made)["map"](tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UserError, match="metrics.json: found what vid_map_coco.py has written, and test.py"):
        commands(made)["test"](tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["test", "map", "predict", "bundle"])
def test_results_of_an_earlier_version_may_be_made_again(made, tmp_path, name):
    run = commands(made)[name]
    run(tmp_path)
    (tmp_path / RECORD_FILE).unlink()
    if name == "test":
        shutil.rmtree(tmp_path / "masks")  # which it listed nowhere
    run(tmp_path)


def test_masks_of_a_dataset_are_no_place_for_masks_that_were_found(made, tmp_path):
    shutil.copytree(made / "data", tmp_path / "other")
    before = contents(tmp_path / "other")
    with pytest.raises(UserError, match="found something there already"):
        commands(made)["test"](tmp_path / "other")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/masks").symlink_to(tmp_path / "other/masks")
    for name in ("test", "predict"):
        with pytest.raises(UserError, match="masks: found a link, expected a folder for results"):
            commands(made)[name](tmp_path / "out")
    assert contents(tmp_path / "other") == before


# --- whole files, and one line where there is no room ----------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("test", "map", "predict", "report", "log", "bundle", "synthetic", "masks_to_coco", "boxes_to_masks"),
        *("coco_to_txt", "csv_to_coco", "import_labels"),
    ],
)
@pytest.mark.parametrize("room", [0, 100])
def test_a_full_disk_is_told_and_leaves_no_half_file(made, tmp_path, monkeypatch, name, room):
    out = tmp_path / "out"
    if name not in ("csv_to_coco", "import_labels", "boxes_to_masks"):
        out.mkdir()
    full = _fill(monkeypatch, out, room)
    with pytest.raises(UserError, match=r"cannot be (written|saved).* \(No space left on device\); (?!.*--resume)"):
        commands(made)[name](out)
    assert full
    for path, content in contents(out).items() if out.exists() else ():
        assert path.suffix != ".tmp" and ".partial" not in str(path)
        if path.suffix == ".json":
            json.loads(content)
        elif path.name not in (RECORD_FILE, "detections.csv", "tracks.csv"):
            assert content[:1] not in (b"\x89", b"<") or content.rstrip()[-8:-4] == b"IEND"


def _fill(monkeypatch, folder, room):
    """Let `room` bytes fit into files in a folder and beside it; gives a list of what did not fit."""
    opened, full, left = builtins.open, [], [room]

    class Disk:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            size = memoryview(data).nbytes
            if size > left[0] and size:
                full.append(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left[0] -= size
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

    def open_limited(path, mode="r", *more, **keywords):
        file = opened(path, mode, *more, **keywords)
        inside = not isinstance(path, int) and str(path).startswith(str(folder.parent))
        return Disk(file) if inside and set(mode) & set("wxa") else file

    monkeypatch.setattr("utils.system.files.open", open_limited, raising=False)
    monkeypatch.setattr("utils_coco.placing.shutil.copyfile", partial(_copy, open_limited))
    return full


def _copy(open_limited, source, target):
    with open_limited(target, "wb") as file:
        file.write(Path(source).read_bytes())


@pytest.mark.parametrize("name", ["test", "vid_map_coco"])
def test_a_picture_that_cannot_be_written_loses_no_figures(made, tmp_path, monkeypatch, name):
    def fails(_, path, *more):
        raise WriteError.of(path, "No space left on device", "make room")

    monkeypatch.setattr("utils.render.curves._save", fails)
    data = str(made / "data")
    with pytest.raises(UserError, match="No space left"):
        script(name).main(["--method", "top-hat", "--data-root", data, "--quiet", "--out", str(tmp_path)])
    assert json.loads((tmp_path / "metrics.json").read_text())["overall"]["frames"] == 5
