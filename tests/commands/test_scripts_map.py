"""`vid_map_coco.py`, and the other scripts with a detector: what they write, and how they end on mistakes."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from scripts import run_without_torch, script
from trees import coco, write, write_pairs, write_text

from utils.clips.settings import ClipSettings
from utils.datasets.dataset import open_dataset
from utils.metrics.coco_results import as_results, naming_of, read_results
from utils.predictor.prediction import box_component, from_boxes
from utils.render.overlay import FALSE_COLOUR, FOUND_COLOUR, draw
from utils.system.errors import UserError
from utils.system.outputs import RECORD_FILE

KEYS = {
    "ap50",
    "ap",
    "centre_ap",
    "precision",
    "recall",
    "f1",
    "false_per_frame",
    "pd",
    "published_precision",
    "published_recall",
    "published_f1",
    "ap50_tiny",
    "ap_small",
}
SHAPE = (48, 64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A detector and a segmentation network of random weights that find things everywhere."""
    torch = pytest.importorskip("torch")
    from nets import build_model
    from utils.predictor.checkpoint import save_checkpoint, task_of

    torch.manual_seed(0)
    folder, paths = tmp_path_factory.mktemp("runs"), {}
    for name, options, config in (
        ("sstnet", {"width": 0.125, "num_frames": 3}, {"fit": "letterbox", "input_size": 64}),
        ("tsmsa", {}, {"fit": "crop", "input_size": 64}),
    ):
        network = build_model(name, **options).network
        with torch.no_grad():
            if name == "sstnet":
                network.head.obj_pred.weight.mul_(100)
                network.head.obj_pred.bias.zero_()
                network.head.cls_pred.bias.fill_(3)
            else:
                list(network.parameters())[-2].mul_(30)
        paths[name] = folder / name / "best.pt"
        settings = ClipSettings(options.get("num_frames", 5), (60.0, 40.0), task_of(name), name=name, **config)
        save_checkpoint(
            paths[name],
            {
                "model": {"name": name, "options": options},
                "settings": settings.as_dict(),
                "config": config,
                "ema": None,
                "network": network.state_dict(),
            },
        )
    return paths


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sequences of 4 frames with COCO boxes, ids from 11, category 7; the last frame of each has no target."""
    root = tmp_path_factory.mktemp("data") / "boxes"
    names = [f"images/test/{sequence}/{number}.bmp" for sequence in ("s1", "s2") for number in range(4)]
    content = coco(names)
    content["categories"], content["annotations"] = [{"id": 7, "name": "drone"}], []
    for index, image in enumerate(content["images"]):
        image |= {"id": 11 + index, "width": SHAPE[1], "height": SHAPE[0]}
        frame = np.random.default_rng(index).integers(20, 90, SHAPE).astype(np.uint8)
        if index % 4 < 3:
            x = 8 * (1 + index % 4)
            frame[16:24, x : x + 8] = 250
            content["annotations"].append(
                {"id": index, "image_id": 11 + index, "category_id": 7, "bbox": [x, 16, 8, 8], "area": 64, "iscrowd": 0}
            )
        write(root / names[index], frame)
    write_text(root / "annotations/instances_test2017.json", json.dumps(content))
    return root


def perfect(data, score=0.9):
    """The dataset's own boxes as COCO results."""
    content = json.loads((data / "annotations/instances_test2017.json").read_text())
    return [
        {key: item[key] for key in ("image_id", "category_id", "bbox")} | {"score": score}
        for item in content["annotations"]
    ]


def figures(folder):
    return json.loads((folder / "metrics.json").read_text())


def run(name, *arguments):
    script(name).main([*map(str, arguments), "--quiet"])


def coco_says(folder):
    """AP50 and AP of the files written, straight from pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "detections.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[1], evaluation.stats[0]


def test_measuring_a_detector(weights, data, tmp_path, capsys):
    run(
        "vid_map_coco",
        "--weights",
        weights["sstnet"],
        "--data-root",
        data,
        "--out",
        tmp_path,
        "--device",
        "cpu",
        "--batch-size",
        3,
        "--threshold",
        0.3,
    )
    content = figures(tmp_path)
    overall = content["overall"]
    assert set(overall) >= KEYS and (overall["frames"], overall["targets"]) == (8, 6)
    assert sorted(content["sequences"]) == ["s1", "s2"] and content["task"] == "detection"
    results = json.loads((tmp_path / "detections.json").read_text())
    assert {item["image_id"] for item in results} == set(range(11, 19))
    assert {item["category_id"] for item in results} == {7} and content["threshold"] == 0.3
    assert (overall["ap50"], overall["ap"]) == pytest.approx(coco_says(tmp_path))
    assert overall["detections"] == len(results)
    above = sum(item["score"] > 0.3 for item in results)
    assert overall["matched"] + overall["false_detections"] == above > 0
    assert overall["false_per_frame"] == overall["false_detections"] / 8
    curve = np.loadtxt(tmp_path / "pr_curve.txt")
    assert curve.shape == (101, 3) and curve[:, 2].mean() == pytest.approx(overall["centre_ap"], abs=1e-6)
    with Image.open(tmp_path / "pr_curve.png") as picture:
        assert picture.format == "PNG"
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("AP50", "overall", "s2", "frames in", "detections.json"))
    # The same detections, measured as made elsewhere, by a process without PyTorch.
    done = run_without_torch(
        "vid_map_coco",
        "--detections",
        tmp_path / "detections.json",
        "--data-root",
        data,
        "--out",
        tmp_path / "again",
        "--threshold",
        0.3,
    )
    assert done.returncode == 0 and done.stderr == ""
    again = figures(tmp_path / "again")
    assert again["overall"] == overall and again["sequences"] == content["sequences"]
    assert again["intervals"] == content["intervals"] and content["bootstrap"]["sequences"] == 2
    for name in ("ap50", "centre_ap", "pd", "centre_f1"):
        low, high = content["intervals"]["overall"][name]
        assert low <= overall[name] <= high, name
    assert json.loads((tmp_path / "again" / "detections.json").read_text()) == results


def test_perfect_detections(data, tmp_path):
    write_text(tmp_path / "made.json", json.dumps(perfect(data)))
    run("vid_map_coco", "--detections", tmp_path / "made.json", "--data-root", data)
    overall = figures(tmp_path / "map")["overall"]
    assert all(
        overall[key] == 1
        for key in (
            "ap50",
            "ap",
            "centre_ap",
            "precision",
            "recall",
            "f1",
            "pd",
            "ap50_8_16",
            "published_recall",
            "published_precision",
            "published_f1",
        )
    )
    assert overall["false_per_frame"] == 0 and overall["ap50_tiny"] is None and overall["frames"] == 8
    run("vid_map_coco", "--detections", tmp_path / "made.json", "--data-root", data, "--sequences", "s2", "--limit", 2)
    part = figures(tmp_path / "map")
    assert part["overall"]["targets"] == 2 and list(part["sequences"]) == ["s2"]
    assert len(json.loads((tmp_path / "map/detections.json").read_text())) == 2
    small = [item | {"bbox": [item["bbox"][0] + 2, 18, 4, 4]} for item in perfect(data)]
    write_text(tmp_path / "small.json", json.dumps(small))
    for options, expected in (((), 0), (("--least-box", 8), 1)):
        run("vid_map_coco", "--detections", tmp_path / "small.json", "--data-root", data, *options)
        overall = figures(tmp_path / "map")["overall"]
        assert (overall["ap"], overall["centre_ap"]) == (expected, 1)
    write_text(tmp_path / "none.json", "[]")
    run("vid_map_coco", "--detections", tmp_path / "none.json", "--data-root", data)
    assert figures(tmp_path / "map")["overall"]["ap50"] == 0


def test_a_false_alarm_in_a_frame_without_targets_counts(data, tmp_path):
    false = [{"image_id": 14, "category_id": 7, "bbox": [1, 1, 8, 8], "score": 0.99}]
    write_text(tmp_path / "made.json", json.dumps(perfect(data) + false))
    run("vid_map_coco", "--detections", tmp_path / "made.json", "--data-root", data)
    overall = figures(tmp_path / "map")["overall"]
    assert overall["false_per_frame"] == overall["centre_false_per_frame"] == 1 / 8
    assert overall["ap50"] == overall["centre_ap"] == pytest.approx(6 / 7)


def test_the_rules_of_satellite_video_by_sequence_and_class(data, tmp_path, capsys):
    """Two sequences of three targets; in the second, the third is a bird, found 4 px off, and one alarm is false."""
    content = json.loads((data / "annotations/instances_test2017.json").read_text())
    content["categories"].append({"id": 9, "name": "bird"})
    content["annotations"][-1]["category_id"] = 9
    root = touch_copy(data, tmp_path / "two", {"annotations/instances_test.json": json.dumps(content)})
    made = [{**item, "score": 0.4} for item in content["annotations"]]
    x, y, *sides = made[-1]["bbox"]
    made[-1] |= {"bbox": [x + 4, y, *sides], "score": 0.31}
    made.append(made[0] | {"image_id": 18, "bbox": [1, 1, 8, 8], "score": 0.9})
    made.append(made[0] | {"image_id": 18, "bbox": [31, 1, 8, 8], "score": 0.3})
    write_text(tmp_path / "made.json", json.dumps(made))
    run("vid_map_coco", "--detections", tmp_path / "made.json", "--data-root", root, "--draws", 50)
    content = figures(tmp_path / "map")
    assert set(content["hungarian"]) == {"published", "at_threshold"} and content["threshold"] == 0.5
    published, own = content["hungarian"]["published"], content["hungarian"]["at_threshold"]
    assert (published["score"], own["score"]) == (0.3, 0.5)
    for rule, hits in (("any_overlap", 6), ("iou_30", 6), ("centre_5px", 6)):
        keys = [f"{rule}_{name}" for name in ("matched", "false_detections", "missed")]
        assert [published["overall"][key] for key in keys] == [hits, 1, 0]
        assert [published["sequences"]["s2"][key] for key in keys] == [3, 1, 0]
        assert published["overall"][f"mean_{rule}_precision"] == pytest.approx((1 + 3 / 4) / 2)
        assert [own["overall"][key] for key in keys] == [0, 1, 6]
        assert [published["classes"]["bird"][key] for key in keys] == [1, 0, 0]
        assert published["classes"]["bird"][f"mean_{rule}_f1"] == 1  # of the only sequence with birds
        assert published["classes"]["bird"][f"published_mean_{rule}_f1"] == 0.5
        low, high = content["intervals"]["hungarian"]["published"][f"mean_{rule}_f1"]
        assert low <= published["overall"][f"mean_{rule}_f1"] <= high
    assert content["overall"]["any_overlap_f1"] == own["overall"]["any_overlap_f1"] == 0
    assert set(content["classes"]) == {"drone", "bird"} and content["classes"]["bird"]["ap50"] == 0
    assert content["classes"]["drone"]["ap50_rounded"] == content["classes"]["drone"]["ap50_uncapped"]
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["any", "overlap", "0.8571", "1.0000", "0.9231", "0.8750", "1.0000", "0.9286"] in rows
    assert [row[:3] for row in rows if row[:1] in (["drone"], ["bird"])] == [["drone", "8", "5"], ["bird", "8", "1"]]
    run("vid_map_coco", "--detections", tmp_path / "made.json", "--data-root", root, "--class-agnostic")
    content = figures(tmp_path / "map")
    assert content["classes"] == content["hungarian"]["published"]["classes"] == {}


def test_a_segmentation_network_gives_boxes_of_its_components(weights, data, tmp_path):
    from utils.predictor.predictor import Predictor

    run(
        "vid_map_coco",
        "--weights",
        weights["tsmsa"],
        "--data-root",
        data,
        "--out",
        tmp_path,
        "--device",
        "cpu",
        "--limit",
        2,
    )
    content = figures(tmp_path)
    assert content["task"] == "segmentation" and content["overall"]["frames"] == 4
    found = next(
        Predictor.from_checkpoint(weights["tsmsa"], "cpu").stream(
            [np.asarray(Image.open(data / "images/test/s1/0.bmp"))]
        )
    )
    above = [
        item
        for item in json.loads((tmp_path / "detections.json").read_text())
        if item["image_id"] == 11 and np.float32(item["score"]) > np.float32(0.5)
    ]
    assert len(above) == min(100, len(found.components))
    run(
        "vid_map_coco",
        "--weights",
        weights["tsmsa"],
        "--data-root",
        data,
        "--out",
        tmp_path,
        "--device",
        "cpu",
        "--limit",
        2,
        "--least-box",
        8,
    )
    grown = json.loads((tmp_path / "detections.json").read_text())
    assert grown and all(min(item["bbox"][2:]) >= 8 for item in grown)
    assert figures(tmp_path)["overall"]["centre_ap"] == content["overall"]["centre_ap"]


def test_masks_are_truth_where_there_are_no_boxes(weights, tmp_path):
    root = write_pairs(tmp_path / "masks", ["s/0", "s/1", "s/2"], empty=("s/1",))
    write_text(root / "test.txt", "images/s/0.png\nimages/s/1.png\nimages/s/2.png\n")
    run(
        "vid_map_coco",
        "--weights",
        weights["sstnet"],
        "--data-root",
        root,
        "--out",
        tmp_path / "out",
        "--device",
        "cpu",
    )
    content, truth = figures(tmp_path / "out"), json.loads((tmp_path / "out/truth.json").read_text())
    assert content["overall"]["targets"] == 2 and "counted from 1" in content["image_ids"]
    assert [image["id"] for image in truth["images"]] == [1, 2, 3]
    assert [item["bbox"] for item in truth["annotations"]] == [[12, 10, 3, 3]] * 2


# Ids and categories


def test_ids_are_the_datasets_own_where_it_has_some(data, tmp_path):
    dataset = open_dataset(data, "test", "boxes")
    naming = naming_of(dataset)
    assert sorted(naming.ids.values()) == list(range(11, 19)) and naming.categories == ({"id": 7, "name": "drone"},)
    assert naming.category(0) == 7 and naming.category(2) == 9
    lines = "\n".join(f"images/test/s1/{number}.bmp 1,2,9,10,1" for number in range(4))
    plain = touch_copy(data, tmp_path / "txt", {"test.txt": lines})
    naming = naming_of(open_dataset(plain, "test", "boxes"))
    assert list(naming.ids.values()) == [1, 2, 3, 4] and naming.source == ()
    assert [item["id"] for item in naming.categories] == [1, 2]
    content = json.loads((data / "annotations/instances_test2017.json").read_text())
    content |= {"images": content["images"][:4], "annotations": content["annotations"][:3]}
    part = touch_copy(
        data,
        tmp_path / "part",
        {  # the json names half of the images only
            "annotations/instances_test.json": json.dumps(content),
            "test.txt": "\n".join(f"images/test/{name}/{number}.bmp" for name in ("s1", "s2") for number in range(4)),
        },
    )
    assert list(naming_of(open_dataset(part, "test", "images")).ids.values()) == list(range(1, 9))


def touch_copy(data, root, files):
    for path in sorted((data / "images").rglob("*.bmp")):
        write(root / path.relative_to(data), np.zeros((48, 64), np.uint8))
    for name, text in files.items():
        write_text(root / name, text)
    return root


def test_results_survive_the_round_trip(data, tmp_path):
    dataset = open_dataset(data, "test", "boxes")
    naming = naming_of(dataset)
    rows = np.array([[1.5, 2.25, 9.125, 10, 0.75, 0], [0, 0, 64, 48, 0.001, 0]])
    write_text(tmp_path / "r.json", json.dumps(as_results([(dataset.frames[3], rows)], naming)))
    found = read_results(tmp_path / "r.json", naming)
    assert list(found) == [dataset.frames[3].image] and np.allclose(found[dataset.frames[3].image], rows)


# The other scripts


def test_rendering_boxes(weights, data, tmp_path, capsys):
    run(
        "vid_predict",
        "--weights",
        weights["sstnet"],
        "--source",
        data / "images/test/s1",
        "--out",
        tmp_path,
        "--truth",
        data,
        "--gif",
        "--heatmap",
        "--device",
        "cpu",
        "--threshold",
        0.4,
    )
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["task"] == "detection" and [frame["targets"] for frame in content["frames"]] == [1, 1, 1, 0]
    for frame in content["frames"]:
        assert 0 < len(frame["detections"]) <= 100
        assert all(
            set(item) == {"score", "box", "centroid", "area", "class"} and item["score"] > 0.4 - 1e-6
            for item in frame["components"]
        )
        drawn, found = ({tuple(item["box"]) for item in frame[key]} for key in ("components", "detections"))
        assert drawn <= found
    assert (tmp_path / "s1.mp4").exists() and (tmp_path / "s1.gif").exists() and (tmp_path / "masks").exists()
    assert "boxes" in capsys.readouterr().out


def test_boxes_are_drawn_as_boxes():
    rows = np.array([[20, 20, 40, 30, 0.9, 0], [50, 40, 58, 46, 0.8, 1], [2, 2, 9, 9, 0.3, 0]], np.float32)
    found = from_boxes(0, rows, SHAPE, 0.5)
    picture = draw(np.full(SHAPE, 60, np.uint8), found, levels=(0, 255), truth=[box_component((20, 20, 40, 30, 0))])
    body, scale = picture[26:-24].astype(int), 10
    edges = {colour: np.argwhere(np.abs(body - colour).max(-1) < 12) for colour in (FOUND_COLOUR, FALSE_COLOUR)}
    for colour, (x1, y1, x2, y2) in ((FOUND_COLOUR, rows[0, :4]), (FALSE_COLOUR, rows[1, :4])):
        low, high = edges[colour].min(0) / scale, edges[colour].max(0) / scale
        assert abs(low[1] - x1) < 0.3 and abs(high[0] - y2) < 0.3, colour
        assert abs(high[1] - x2) < 6 and abs(low[0] - y1) < 6  # the score stands beside it
    inside = body[220:280, 220:380]
    assert (inside == inside[0, 0]).all()


def test_test_measures_a_detectors_boxes(weights, data, tmp_path, capsys):
    run(
        "test",
        "--weights",
        weights["sstnet"],
        "--data-root",
        data,
        "--out",
        tmp_path / "a",
        "--device",
        "cpu",
        "--threshold",
        0.3,
    )
    content = figures(tmp_path / "a")
    assert content["truth"].startswith("filled boxes") and content["overall"]["targets"] == 6
    assert content["overall"]["false_components"] > 0 and len(content["curve"]["pd"]) > 50
    assert "filled boxes" in capsys.readouterr().out
    masked = tmp_path / "masked"
    for frame in open_dataset(data, "test", "boxes").frames:
        mask = np.zeros(SHAPE, np.uint8)
        for x1, y1, x2, y2, _ in frame.boxes:
            mask[int(y1) : int(y2), int(x1) : int(x2)] = 255
        write(masked / f"images/test/{frame.sequence}/{frame.number}.bmp", np.asarray(Image.open(frame.image)))
        write(masked / f"masks/test/{frame.sequence}/{frame.number}.png", mask)
    run(
        "test",
        "--weights",
        weights["sstnet"],
        "--data-root",
        masked,
        "--out",
        tmp_path / "b",
        "--device",
        "cpu",
        "--threshold",
        0.3,
    )
    assert figures(tmp_path / "b")["truth"] == "masks"
    assert figures(tmp_path / "b")["overall"] == content["overall"]
    with pytest.raises(UserError, match="found boxes but no masks, .*boxes_to_masks"):
        run("test", "--weights", weights["tsmsa"], "--data-root", data, "--out", tmp_path / "c", "--device", "cpu")
    assert [path.name for path in (tmp_path / "c").iterdir()] == [RECORD_FILE]


# Mistakes

ENTRY = {"image_id": 11, "category_id": 7, "bbox": [1, 2, 8, 8], "score": 0.5}


@pytest.mark.parametrize(
    "content, text",
    [
        ("{]", "not json"),
        ('[{"image_id": 11', "not json"),
        ({"annotations": [], "images": []}, "found a dict with annotations, images, expected COCO results"),
        ([[11, 7, 1, 2, 8, 8, 0.5]], "entry 0 is [11, 7, 1"),
        ([ENTRY, {"image_id": 11, "bbox": [1, 2, 8, 8]}], "entry 1 is {"),
        ([ENTRY | {"bbox": [1, 2, 8]}], "expected COCO results"),
        ([ENTRY | {"bbox": "abcd"}], "expected COCO results"),
        ([ENTRY | {"score": None}], "expected COCO results"),
        ([ENTRY | {"score": float("nan")}], "expected COCO results"),
        ([ENTRY | {"bbox": [1, 2, 10**400, 8]}], "expected COCO results"),
        ([ENTRY | {"image_id": [11]}], "expected COCO results"),
        ([ENTRY | {"bbox": [9, 9, -8, 8]}], "has a box of -8x8 pixels"),
        ([ENTRY, ENTRY | {"image_id": 99}], "entry 1 is about image 99, which is none of the 8"),
        ([ENTRY | {"image_id": "s9/0"}], 'entry 0 is about image "s9/0"'),
        ([ENTRY | {"image_id": "s1/0"}, ENTRY | {"image_id": "0"}], 'entry 0 is about image "s1/0"'),
        ([ENTRY | {"category_id": 1}], "has category 1, expected one of 7"),
    ],
)
def test_results_that_are_none(data, tmp_path, content, text):
    path = write_text(tmp_path / "made.json", content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError) as caught:
        run("vid_map_coco", "--detections", path, "--data-root", data, "--out", tmp_path / "out")
    assert text in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "--data-root"),
        (["--data-root", "{data}"], "expected one of --weights FILE, --detections FILE and --method NAME"),
        (["--data-root", "{data}", "--weights", "a", "--detections", "b"], "expected one of --weights FILE"),
        (["--data-root", "{data}", "--weights", "{none}"], "no such file, expected a checkpoint"),
        (["--data-root", "{data}", "--detections", "{none}"], "no such file, expected COCO results"),
        (["--data-root", "{none}", "--detections", "{file}"], "no such folder"),
        (["--data-root", "{data}", "--detections", "{file}", "--sequences", "s9"], "--sequences: found s9"),
        (["--data-root", "{data}", "--detections", "{file}", "--threshold", "2"], "found '2'"),
        (["--data-root", "{data}", "--detections", "{file}", "--out", "{file}/x"], "cannot be written"),
        (["--data-root", "{data}", "--detections", "{file}", "--split", "train"], "none of them for 'train'"),
    ],
)
def test_mistakes_end_with_one_line_before_torch_is_imported(data, tmp_path, arguments, text):
    write_text(tmp_path / "file", "[]")
    places = {"data": data, "none": tmp_path / "none", "file": tmp_path / "file"}
    done = run_without_torch("vid_map_coco", *[argument.format(**places) for argument in arguments])
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert text in done.stderr and done.stdout == ""


def test_nothing_is_written_half(weights, data, tmp_path):
    (tmp_path / "cut.pt").write_bytes(weights["sstnet"].read_bytes()[:4000])
    with pytest.raises(UserError, match="not a readable checkpoint"):
        run("vid_map_coco", "--weights", tmp_path / "cut.pt", "--data-root", data, "--out", tmp_path / "out")
    content = json.loads((data / "annotations/instances_test2017.json").read_text())
    content["categories"] += [{"id": 9, "name": "bird"}]
    content["annotations"][-1]["category_id"] = 9
    two = touch_copy(data, tmp_path / "two", {"annotations/instances_test.json": json.dumps(content)})
    with pytest.raises(UserError, match="found a target of class 1, expected classes 0 to 0.*--class-agnostic"):
        run(
            "vid_map_coco",
            "--weights",
            weights["sstnet"],
            "--data-root",
            two,
            "--out",
            tmp_path / "out",
            "--device",
            "cpu",
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == [RECORD_FILE]
    run(
        "vid_map_coco",
        "--weights",
        weights["sstnet"],
        "--data-root",
        two,
        "--out",
        tmp_path / "out",
        "--device",
        "cpu",
        "--class-agnostic",
    )
    assert figures(tmp_path / "out")["overall"]["targets"] == 6


def test_help_needs_no_torch():
    done = run_without_torch("vid_map_coco", "--help")
    assert done.returncode == 0 and "--detections FILE" in done.stdout and done.stderr == ""
