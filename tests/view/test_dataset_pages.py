"""`python -m utils.view --data-root X`: hits, misses and false alarms, and problems at their frames."""

import json
import shutil

import cv2
import numpy as np
import pytest
from moving import FRAMES, STEP, write_moving
from test_page import blocks, needs_browser
from trees import write

from benchmarks.browser import Browser, find_browser
from utils.datasets.dataset import open_dataset
from utils.metrics.coco_results import naming_of
from utils.system.errors import UserError
from utils.view import __main__ as command


@pytest.fixture
def data(tmp_path):
    """A dataset and results: of s1 every target and a false alarm a frame, of s2 a surer double, of s3 nothing."""
    root = write_moving(tmp_path / "data")
    dataset, rows = open_dataset(root, "test", need="images"), []
    ids = naming_of(dataset).ids
    for frame in dataset.frames:
        for x1, y1, x2, y2, _ in frame.boxes or ():
            if frame.sequence.endswith("s1"):
                rows.append((frame.image, [x1 + 1, y1 - 1, x2 - x1, y2 - y1], 0.9))
            if frame.sequence.endswith("s2"):
                rows.append((frame.image, [x1, y1, 3, 3], 0.8))
                rows.append((frame.image, [x1 + 1, y1, 3, 3], 0.9))
        if frame.sequence.endswith("s1"):
            rows.append((frame.image, [55, 40, 3, 3], 0.6))
    found = [{"image_id": ids[image], "category_id": 1, "bbox": box, "score": score} for image, box, score in rows]
    (tmp_path / "found.json").write_text(json.dumps(found))
    return root


def page_of(data, tmp_path, *more):
    out = tmp_path / "v.html"
    command.main(["--data-root", str(data), "--predictions", str(tmp_path / "found.json"), "--out", str(out), *more])
    text = blocks(out.read_text())
    pages = [json.loads(block) for key, block in text.items() if key.startswith("data-")]
    return {item["name"]: item for item in pages}


def test_every_detection_knows_which_target_it_hits(data, tmp_path):
    found = page_of(data, tmp_path)
    assert len(found) == len(STEP)
    first, second, third = (found[name] for name in sorted(found))
    assert first["objects"]["match"] == [0, -1] * (FRAMES - 1) + [-1]
    assert second["objects"]["match"] == [0, -1] * (FRAMES - 1), "the surer of two takes the target"
    assert set(second["objects"]["score"][::2]) == {0.9}
    assert third["objects"]["match"] == []
    for item in found.values():
        assert item["truth"]["counts"] == [1] * (FRAMES - 1) + [0]


def test_masks_are_the_truth_where_there_are_no_boxes(data, tmp_path):
    boxes = page_of(data, tmp_path)
    for path in (data / "annotations").glob("*.json"):
        path.rename(tmp_path / path.name)
    (tmp_path / "found.json").write_text("[]")
    for name, item in page_of(data, tmp_path).items():
        assert item["truth"] == boxes[name]["truth"]


def test_problems_stand_at_their_frames(data, tmp_path):
    path = data / "images/test/s2/3.png"
    path.write_bytes(path.read_bytes()[:100])
    for mask in (data / "masks").rglob("*"):
        if mask.name == "1.png":
            write(mask, np.full((48, 64), 255, np.uint8))
    found = page_of(data, tmp_path)
    (broken,) = [item for name, item in found.items() if name.endswith("s2")]
    assert [place for place, line in broken["problems"] if "3.png" in line] == [3]
    assert [place for place, line in broken["problems"] if "every pixel is target" in line] == [1]


def test_only_the_sequences_asked_for_are_shown(data, tmp_path):
    names = sorted(page_of(data, tmp_path))
    assert list(page_of(data, tmp_path, "--sequences", names[1])) == [names[1]]
    with pytest.raises(UserError, match="--sequences: found nothing, expected some of"):
        page_of(data, tmp_path, "--sequences", "nothing")


def test_what_lies_in_a_region_to_ignore_is_not_shown(data, tmp_path):
    path = data / "annotations/instances_test2017.json"
    truth = json.loads(path.read_text())
    for image in truth["images"]:
        if "/s1/" in image["file_name"]:
            region = {"image_id": image["id"], "category_id": 1, "bbox": [50, 36, 12, 12], "iscrowd": 1}
            truth["annotations"].append(region | {"id": len(truth["annotations"]) + 1, "area": 144})
    path.write_text(json.dumps(truth))
    first = next(item for name, item in page_of(data, tmp_path).items() if name.endswith("s1"))
    assert first["objects"]["match"] == [0] * (FRAMES - 1) and first["objects"]["counts"] == [1] * (FRAMES - 1) + [0]


def test_what_has_another_class_than_the_target_hits_nothing(data, tmp_path):
    path, results = data / "annotations/instances_test2017.json", tmp_path / "found.json"
    truth = json.loads(path.read_text())
    path.write_text(json.dumps(truth | {"categories": [{"id": 1, "name": "bird"}, {"id": 2, "name": "drone"}]}))
    found = json.loads(results.read_text())
    results.write_text(json.dumps([item | {"category_id": 2 if item["score"] == 0.9 else 1} for item in found]))
    first, second, _ = (item for _, item in sorted(page_of(data, tmp_path).items()))
    assert set(first["objects"]["match"]) == {-1} and set(first["truth"]["category"]) == {0}
    assert second["objects"]["match"] == [-1, 0] * (FRAMES - 1), "the less sure of two has the target's class"


def test_what_lies_on_ignored_pixels_of_a_mask_is_not_shown(data, tmp_path):
    ids = naming_of(open_dataset(data, "test", need="images")).ids
    shutil.rmtree(data / "annotations")
    for mask in (data / "masks/test/s1").iterdir():
        content = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) // 255
        content[36:46, 50:62] = 255
        write(mask, content)
    for mask in (*(data / "masks/test/s2").iterdir(), *(data / "masks/test/s3").iterdir()):
        write(mask, cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) // 255)
    after = naming_of(open_dataset(data, "test", need="images")).ids
    found, image_of = (
        json.loads((tmp_path / "found.json").read_text()),
        {number: image for image, number in ids.items()},
    )
    for item in found:
        item["image_id"] = after[image_of[item["image_id"]]]
    (tmp_path / "found.json").write_text(json.dumps(found))
    pages = page_of(data, tmp_path, "--ignore-value", "255")
    assert {tuple(item["objects"]["match"]) for name, item in pages.items() if name.endswith("s1")} == {
        (0,) * (FRAMES - 1)
    }


def test_a_score_that_is_the_threshold_does_not_exceed_it(data, tmp_path):
    first = next(item for name, item in page_of(data, tmp_path, "--threshold", "0.6").items() if name.endswith("s1"))
    assert first["least_score"] == 0.6 and set(first["objects"]["score"]) == {0.9, 0.6}
    tracks = zip(first["objects"]["track"], first["objects"]["score"], strict=True)
    assert {score for track, score in tracks if track is not None} == {0.9}


def test_a_broken_first_frame_leaves_the_size_and_no_folder_above_the_dataset_is_told(data, tmp_path):
    path = data / "images/test/s2/0.png"
    path.write_bytes(path.read_bytes()[:100])
    broken = next(item for name, item in page_of(data, tmp_path).items() if name.endswith("s2"))
    assert broken["size"] == [64, 48]
    assert [line.partition(":")[0] for _, line in broken["problems"]] == ["images/test/s2/0.png"]
    assert str(tmp_path) not in (tmp_path / "v.html").read_text()


def test_a_page_is_not_written_among_the_data(data, tmp_path):
    with pytest.raises(UserError, match="lies in what is read"):
        page_of(data, tmp_path, "--out", str(data / "v.html"))


@pytest.mark.parametrize("words", [[], ["folder", "--data-root", "x"], ["folder", "--predictions", "x"]])
def test_one_of_folder_and_dataset_is_asked_for(words):
    with pytest.raises(UserError, match="--data-root"):
        command.parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ["folder", "--split", "test"],
        ["folder", "--sequences", "a"],
        ["folder", "--threshold", "0"],
        ["folder", "--ignore-value", "0"],
        ["folder", "--out", "view.html"],
        ["--data-root", "x", "--source", "a"],
        ["--data-root", "x", "--rebuild"],
        ["--data-root", "x", "--port", "0"],
        ["--data-root", "x", "--no-browser"],
    ],
)
def test_options_of_the_other_kind_of_page_are_refused(words):
    option = next(word for word in words if word.startswith("--") and word != "--data-root")
    with pytest.raises(UserError, match=f"{option}: found with .*, expected with"):
        command.parse(words)


@needs_browser
def test_what_is_moved_onto_a_target_hits_it_and_what_is_moved_away_does_not(data, tmp_path):
    page_of(data, tmp_path)
    figures = "(({ found, wrong }) => [found, wrong, page.sequence.mistakes(0)])(page.sequence.summary())"
    with Browser(find_browser()) as browser:
        browser.open((tmp_path / "v.html").as_uri())
        browser.wait("typeof page === 'object' && page.stage.picture !== null")
        targets = FRAMES - 1
        assert browser.run(figures) == [targets, FRAMES, 1]
        hit, false = browser.run("page.sequence.byFrame[0]")
        assert browser.run(f"page.sequence.match[{hit}]") == 0
        place = browser.run(f"page.sequence.box({hit})")
        browser.run(f"page.edit(() => page.sequence.move({false}, {place}))")
        assert browser.run(figures) == [targets, FRAMES - 1, 0]
        browser.run(f"page.edit(() => page.sequence.move({hit}, [30, 2, 3, 3]))")
        assert browser.run(figures) == [targets, FRAMES, 1]
        browser.run("page.undo(), page.undo()")
        assert browser.run(figures) == [targets, FRAMES, 1]
        browser.run(f"page.edit(() => page.sequence.decide([{hit}, {false}], REJECTED))".replace("REJECTED", "2"))
        assert browser.run(figures) == [targets - 1, FRAMES - 1, 1]
        browser.run(f"page.addBox({place})")
        assert browser.run(figures) == [targets, FRAMES - 1, 0]


@needs_browser
def test_figures_follow_the_slider(data, tmp_path):
    page_of(data, tmp_path, "--threshold", "0.65")
    with Browser(find_browser()) as browser:
        browser.open((tmp_path / "v.html").as_uri())
        browser.wait("typeof page === 'object' && page.stage.picture !== null")
        targets = FRAMES - 1
        assert browser.run("page.sequence.summary()") | {"found": targets, "wrong": 0} == browser.run(
            "page.sequence.summary()"
        )
        browser.run("page.setLeast(0.5, 1)")
        assert browser.run("page.sequence.summary().wrong") == FRAMES
        browser.run("page.setLeast(0.6, 1)")
        assert browser.run("page.sequence.summary().wrong") == 0, "a score of 0.6 does not exceed 0.6"
        browser.run("page.setLeast(0.95, 1)")
        assert browser.run("[page.sequence.summary().found, page.sequence.summary().wrong]") == [0, 0]
        browser.key("m")
        assert browser.run("page.at") == 1 and browser.run("page.sequence.mistakes(1)") == 1
        browser.run("document.getElementById('sequence').value = 'data-1'")
        browser.run("document.getElementById('sequence').dispatchEvent(new Event('change'))")
        assert browser.run("page.sequence.summary().found") == targets and browser.errors == []
