"""Synthetic sequences: what is written is what the labels say, by definitions recomputed here independently."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy import ndimage
from scripts import ROOT

from utils.datasets.dataset import open_dataset
from utils.images.snr import local_snr, ring_of
from utils.synthetic.__main__ import main
from utils.synthetic.camera import Scene, camera_path, film
from utils.synthetic.dataset import write_dataset
from utils.synthetic.infrared.brightness import Response, SnrLimits
from utils.synthetic.infrared.config import InfraredConfig
from utils.synthetic.infrared.distractors import Distractors, Sensor, add_glints
from utils.synthetic.infrared.scenery.scenes import SCENE_KINDS, picture_scene, procedural_scene
from utils.synthetic.infrared.sequence import labelled_box, make_sequence, to_counts
from utils.synthetic.infrared.targets import Body, body_of_area, spot
from utils.system.errors import UserError

TINY = InfraredConfig(
    train_sequences=5,
    test_sequences=4,
    frames=10,
    size=(64, 80),
    empty_share=0.25,
    speed=(0.4, 2.0),
    hot_pixels=3.0,
    blinking_pixels=2.0,
    glints=4.0,
)
COMMAND = [sys.executable, "-m", "utils.synthetic"]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "set"
    assert write_dataset(TINY, out, quiet=True) == ["train", "test"]
    return out


def annotations(root: Path, split: str) -> dict:
    return json.loads((root / "annotations" / f"instances_{split}.json").read_text())


def picture(root: Path, name: str) -> np.ndarray:
    return cv2.imread(str(root / name), cv2.IMREAD_UNCHANGED)


def snr_by_definition(image: np.ndarray, mask: np.ndarray, others: np.ndarray) -> float:
    """|mean of the target − mean of the 10-pixel ring| / deviation of the ring, pixel by pixel."""
    ys, xs = np.nonzero(mask)
    target, ring = [], []
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if mask[y, x]:
                target.append(float(image[y, x]))
            elif not others[y, x] and ((ys - y) ** 2 + (xs - x) ** 2).min() <= 100:
                ring.append(float(image[y, x]))
    return abs(np.mean(target) - np.mean(ring)) / np.std(ring)


def digest(sequence) -> str:
    return hashlib.sha256(sequence.frames.tobytes() + sequence.masks.tobytes()).hexdigest()


def test_layout_and_index_files(written):
    assert sorted(p.name for p in written.iterdir()) == [
        "annotations",
        "images",
        "masks",
        "test_NUDTMIRSDT.txt",
        "train_NUDTMIRSDT.txt",
    ]
    for split, sequences in (("train", range(1, 6)), ("test", range(6, 10))):
        lines = (written / f"{split}_NUDTMIRSDT.txt").read_text().splitlines()
        assert lines == [f"images/sequence{n}/{t}.png" for n in sequences for t in range(10)]
        for line in lines:
            image, mask = picture(written, line), picture(written, line.replace("images", "masks", 1))
            assert image.shape == mask.shape == (64, 80) and image.dtype == np.uint8
            assert set(np.unique(mask)) <= {0, 255}


def test_loads_as_it_is_and_is_not_taken_for_the_real_one(written):
    for split in ("train", "test"):
        dataset = open_dataset(str(written), split)
        assert not dataset.recognised and dataset.normalisation is None
        classes = {s["name"]: s["snr_class"] for s in annotations(written, split)["sequences"]}
        assert list(dataset.sequences) == list(classes)
        assert dataset.subsets["snr_le_3"] == {name for name, kind in classes.items() if kind == "low"}
        assert dataset.subsets["snr_gt_3"] == {name for name, kind in classes.items() if kind == "high"}


def test_boxes_have_a_least_size_where_wanted():
    assert labelled_box([10, 20, 3, 12], 8, (64, 80)) == [7.5, 20, 8, 12]
    assert labelled_box([1, 2, 3, 4], 0, (64, 80)) == [1, 2, 3, 4]
    assert labelled_box([0, 61, 2, 3], 8, (64, 80)) == [0, 58.5, 5, 5.5]
    assert labelled_box([10, 20, 8, 9], 8, (64, 80)) == [10, 20, 8, 9]


@pytest.mark.parametrize("split", ["train", "test"])
def test_annotations_say_what_the_masks_show(written, split):
    coco = annotations(written, split)
    assert coco["info"]["config"] == TINY.as_dict() and coco["info"]["seed"] == (0 if split == "train" else 1000)
    assert [item["id"] for item in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    for image in coco["images"]:
        assert (image["width"], image["height"]) == (80, 64)
        assert image["file_name"] == f"images/{image['sequence']}/{image['frame']}.png"
        union = np.zeros((64, 80), bool)
        for item in (a for a in coco["annotations"] if a["image_id"] == image["id"]):
            code = coco_mask.frPyObjects(item["segmentation"], 64, 80)
            mask = coco_mask.decode(code).astype(bool)
            assert item["category_id"] == 1 and item["iscrowd"] == 0
            assert item["area"] == mask.sum() and 2 <= item["area"] <= 80
            assert item["bbox"] == coco_mask.toBbox(code).tolist()
            union |= mask
        assert np.array_equal(union, picture(written, image["file_name"].replace("images", "masks", 1)) > 0)


def test_recorded_snr_is_the_snr_of_the_file(written):
    coco = annotations(written, "test")
    images = {image["id"]: image for image in coco["images"]}
    checked = coco["annotations"][::5]
    assert len(checked) > 5
    for item in checked:
        name = images[item["image_id"]]["file_name"]
        mask = coco_mask.decode(coco_mask.frPyObjects(item["segmentation"], 64, 80)).astype(bool)
        others = picture(written, name.replace("images", "masks", 1)) > 0
        assert snr_by_definition(picture(written, name), mask, others) == pytest.approx(item["snr"], abs=1e-3)


@pytest.mark.parametrize("changes", [{}, {"bits": 16}, {"snr": (1.0, 3.0)}, {"snr": (4.0, 6.0)}, {"dark_share": 1.0}])
def test_a_sequence_is_of_one_class_and_within_the_range(changes):
    config = replace(TINY, empty_share=0.0, frames=16, **changes)
    classes = set()
    for index in range(5):
        made = make_sequence(config, "train", index)
        values = [target.snr for target in made.targets]
        assert values and min(values) >= config.snr[0] and max(values) <= config.snr[1]
        assert max(values) <= 3 or min(values) > 3
        assert made.facts["snr_class"] == ("low" if max(values) <= 3 else "high")
        classes.add(made.facts["snr_class"])
        assert {target.contrast for target in made.targets} == {-1 if config.dark_share else 1}
    assert classes == ({"low"} if config.snr[1] <= 3 else {"high"} if config.snr[0] > 3 else {"low", "high"})


def test_the_light_of_a_target_moves_slowly_in_brightness_and_lies_where_its_mask_is():
    config = replace(TINY, frames=30, empty_share=0.0, size=(96, 96))
    inner = 0
    for index in range(3):
        made = make_sequence(config, "train", index)
        for track in range(len(made.facts["tracks"])):
            peaks = np.array([t.peak for t in made.targets if t.track == track])
            assert peaks.min() > 0 and peaks.max() <= 5 * peaks.min()
            assert np.median(np.abs(np.diff(np.log(peaks)))) < 0.15
        for target in made.targets:
            ys, xs = np.nonzero(target.mask)
            # a target at the border shows a part of itself alone
            if 8 < target.centre[0] < 88 and 8 < target.centre[1] < 88:
                inner += 1
                assert np.hypot(ys.mean() - target.centre[0], xs.mean() - target.centre[1]) < 1.0
    assert inner > 20


def test_mask_is_half_of_the_noiseless_peak_and_at_least_two_pixels():
    rng = np.random.default_rng(0)
    for area in (2, 5, 20, 70):
        body = body_of_area(rng, area, psf=0.7, blur=0.5)
        sizes = []
        for _ in range(10):
            seen = spot(body, rng.uniform(28, 36, 2), np.array([0.3, 0.4]), (64, 64))
            assert seen.light.max() == 1.0
            exact = seen.light >= 0.5
            assert np.array_equal(exact, seen.mask) if exact.sum() >= 2 else seen.mask.sum() == 2
            sizes.append(seen.mask.sum())
        assert area == 2 or np.mean(sizes) == pytest.approx(area, rel=0.25)
    point = Body((0.0, 0.0), 0.0, psf=0.3)  # a point in the middle of a pixel leaves one pixel above half
    assert spot(point, np.array([20.0, 20.0]), np.zeros(2), (64, 64)).area == 2
    assert spot(point, np.array([-3.0, 20.0]), np.zeros(2), (64, 64)) is None


def test_spot_is_sub_pixel_and_blurred_along_its_motion():
    body = Body((0.0, 0.0), 0.0, psf=0.8)
    still = spot(body, np.array([20.25, 30.6]), np.zeros(2), (64, 64))
    moving = spot(body, np.array([20.25, 30.6]), np.array([0.0, 4.0]), (64, 64))
    for seen in (still, moving):
        y, x = np.mgrid[seen.window]
        centre = [(axis * seen.light).sum() / seen.light.sum() for axis in (y, x)]
        assert centre == pytest.approx([20.25, 30.6], abs=1e-3)
    spread = [
        np.sqrt((seen.light * (np.mgrid[seen.window][1] - 30.6) ** 2).sum() / seen.light.sum())
        for seen in (still, moving)
    ]
    assert spread[0] == pytest.approx(np.sqrt(0.8**2 + 1 / 12), rel=0.01)  # Gaussian and pixel
    assert spread[1] == pytest.approx(np.sqrt(0.8**2 + 1 / 12 + 16 / 12), rel=0.03)  # and the way it goes


def test_amplitude_for_a_wanted_snr():
    rng = np.random.default_rng(1)
    image = 80 + 4 * rng.standard_normal((40, 40))
    seen = spot(Body((3.0, 2.0), 0.5, 0.7), np.array([19.3, 20.2]), np.zeros(2), image.shape)
    light, mask = np.zeros(image.shape), np.zeros(image.shape, bool)
    light[seen.window], mask[seen.window] = seen.light, seen.mask
    response = Response.measure(image, light, mask, ring_of(mask))
    for sign in (1, -1):
        for snr in (1.5, 3.0, 8.0):
            amplitude = response.amplitude(snr, sign)
            assert local_snr(image + sign * amplitude * light, mask) == pytest.approx(sign * snr, rel=1e-6)
            assert response.snr(sign * amplitude) == pytest.approx(sign * snr, rel=1e-6)
    assert response.amplitude(500.0) == float("inf")  # its own light in the ring forbids it
    assert SnrLimits(1.0, 3.0).aims().high < 3.0 < SnrLimits(3.001, 10.0).aims().low


def test_targets_move_on_the_sensor_and_against_the_scene():
    config = replace(TINY, frames=24, size=(96, 96), empty_share=0.0, jitter=0.0)
    for index in range(4):
        made = make_sequence(config, "test", index)
        camera = np.array(made.facts["camera"])
        for track in range(len(made.facts["tracks"])):
            path = {t.frame: t.centre for t in made.targets if t.track == track}
            for frame in path:
                if frame + 4 in path:
                    on_sensor = path[frame + 4] - path[frame]
                    assert np.hypot(*on_sensor) > 1.1
                    assert np.hypot(*(on_sensor + camera[frame + 4] - camera[frame])) > 1.1


def test_hot_pixels_stay_on_the_sensor_and_out_of_the_masks():
    config = replace(TINY, frames=20, targets=(1, 1), hot_pixels=6.0, blinking_pixels=0.0, glints=0.0)
    with_them, without = (make_sequence(replace(config, distractors=on), "train", 3) for on in (True, False))
    places = with_them.facts["distractors"]["hot"]
    assert places and not without.facts["distractors"]["hot"]
    empty = replace(config, empty_share=1.0)
    difference = (
        make_sequence(empty, "train", 3).frames.astype(int)
        - make_sequence(replace(empty, distractors=False), "train", 3).frames
    )
    assert {tuple(p) for p in places} <= {tuple(p) for p in np.argwhere((difference > 0).all(axis=0))}
    assert not make_sequence(empty, "train", 3).masks.any()


def test_glints_move_with_the_scene():
    rng = np.random.default_rng(5)
    camera = camera_path(rng, 20, pan=1.5, jitter=0.3)
    sensor = Sensor.draw(rng, 20, (96, 96), noise=1.0)
    found = Distractors(np.zeros((20, 96, 96)))
    scene = Scene("flat", np.full(camera.canvas((96, 96)), 90.0))
    while len(found.glints) != 1 or not found.light.any(axis=(1, 2)).all():  # until it is one, always in the picture
        found = Distractors(np.zeros((20, 96, 96)))
        add_glints(rng, found, 1.0, (4.0, 8.0), scene, camera, sensor)
    assert np.ptp(camera.position, axis=0).max() > 3
    seen = np.array([ndimage.center_of_mass(light) for light in found.light])
    assert np.abs(seen + camera.position - found.glints[0]).max() < 0.1


def test_the_view_follows_the_camera_with_sub_pixel_precision():
    rng = np.random.default_rng(2)
    camera = camera_path(rng, 6, pan=1.0, jitter=0.4)
    shape = camera.canvas((48, 48))
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    clip = np.stack(list(film(Scene("ramp", 2.0 * y + 3.0 * x), camera, (48, 48))))
    expected = 2 * (camera.position[:, 0] + 20) + 3 * (camera.position[:, 1] + 20)
    assert clip[:, 20, 20] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_every_kind_of_scene_has_room_for_bright_targets(kind):
    for seed in range(3):
        scene = procedural_scene(np.random.default_rng(seed), kind, (120, 150))
        assert scene.fixed.shape == (120, 150) and scene.fixed.min() > 0 and scene.fixed.max() < 210
        assert scene.fixed.std() > 3


def test_the_same_everywhere_whatever_is_made_before_and_beside_it(written, tmp_path):
    made = make_sequence(TINY, "train", 2)
    assert digest(made) == digest(make_sequence(replace(TINY, train_sequences=3, test_seed=5), "train", 2))
    files = [picture(written, f"images/sequence3/{t}.png") for t in range(10)]
    assert np.array_equal(made.frames, files)
    shared = tmp_path / "shared"
    write_dataset(TINY, shared, workers=2, quiet=True)
    for path in sorted(p for p in written.rglob("*") if p.is_file()):
        assert (shared / path.relative_to(written)).read_bytes() == path.read_bytes()


def test_known_sequence():
    """Changes only when the generator is changed on purpose."""
    assert digest(make_sequence(TINY, "test", 1))[:16] == "13979b67e673bba4"


def test_seeds_and_splits_differ():
    one = make_sequence(TINY, "train", 0)
    assert digest(one) != digest(make_sequence(replace(TINY, seed=1), "train", 0))
    assert digest(one) == digest(make_sequence(replace(TINY, test_seed=1), "train", 0))
    assert digest(make_sequence(TINY, "test", 0)) == digest(make_sequence(replace(TINY, seed=1), "test", 0))
    assert digest(one) != digest(make_sequence(replace(TINY, test_seed=0), "test", 0))


def test_some_frames_and_some_sequences_are_empty():
    made = [make_sequence(replace(TINY, frames=24, size=(64, 64)), "train", index) for index in range(8)]
    filled = [sequence.masks.any(axis=(1, 2)) for sequence in made]
    assert [not frames.any() for frames in filled] == [False, False, False, True] * 2
    assert any(frames.any() and not frames.all() for frames in filled)
    assert {len(sequence.facts["tracks"]) for sequence in made} == {0, 1, 2, 3}


def test_sixteen_bits(tmp_path):
    write_dataset(replace(TINY, bits=16, train_sequences=1, test_sequences=0), tmp_path / "set", quiet=True)
    image = picture(tmp_path / "set", "images/sequence1/0.png")
    assert image.dtype == np.uint16 and image.min() >= 1500 and 4000 < image.max() < 2**14
    assert len(np.unique(image)) > 256
    assert to_counts(np.array([-999.0, 0.0, 9999.0]), 16).tolist() == [0, 1500, 16383]
    assert to_counts(np.array([-5.0, 7.4, 300.0]), 8).tolist() == [0, 7, 255]


def test_own_pictures_as_backgrounds(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.standard_normal((200, 260)), 3)
    texture = (texture - texture.min()) / np.ptp(texture)
    cv2.imwrite(str(folder / "10.png"), (texture * 60000).astype(np.uint16))
    cv2.imwrite(str(folder / "9.png"), (texture[:40, :50] * 255).astype(np.uint8))  # smaller than the path
    (folder / "notes.txt").write_text("no picture")
    config = replace(TINY, backgrounds=str(folder), empty_share=0.0)
    kinds = {make_sequence(config, "train", index).facts["background"] for index in range(6)}
    assert kinds == {"9", "10"}
    scene = picture_scene(rng, folder / "10.png", (150, 160))
    assert scene.fixed.shape == (150, 160) and scene.fixed.std() > 10
    (folder / "11.png").write_bytes(b"no png")
    with pytest.raises(UserError, match="11.png cannot be read"):
        picture_scene(rng, folder / "11.png", (150, 160))


def test_what_is_there_is_kept_or_replaced(tmp_path, capsys):
    out = tmp_path / "set"
    few = replace(TINY, train_sequences=1, test_sequences=1)
    assert write_dataset(few, out, quiet=True) == ["train", "test"]
    before = (out / "images/sequence2/0.png").read_bytes()
    assert write_dataset(few, out, quiet=True) == []
    with pytest.raises(UserError, match="made with other settings"):
        write_dataset(replace(few, test_seed=7), out, quiet=True)
    assert write_dataset(replace(few, test_seed=7), out, overwrite=True, splits=["test"], quiet=True) == ["test"]
    assert (out / "images/sequence2/0.png").read_bytes() != before
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
    write_dataset(replace(few, train_sequences=2), tmp_path / "other", splits=["train"], quiet=True)
    with pytest.raises(UserError, match="names that this one needs"):
        write_dataset(replace(few, train_sequences=1), tmp_path / "other", splits=["test"], quiet=True)
    more = replace(few, train_sequences=2)
    with pytest.raises(UserError, match="names that this one needs"):
        write_dataset(more, out, splits=["train"], overwrite=True, quiet=True)
    assert write_dataset(more, out, overwrite=True, quiet=True) == ["train", "test"]
    assert sorted(p.name for p in (out / "masks").iterdir()) == ["sequence1", "sequence2", "sequence3"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photo.png").write_bytes(b"")
    with pytest.raises(UserError, match="found other files"):
        write_dataset(few, mine, quiet=True)


def test_test_set_at_another_seed(tmp_path, capsys):
    short = [
        "--size",
        "64x80",
        "--frames",
        "6",
        "--train-sequences",
        "2",
        "--test-sequences",
        "1",
        "--quiet",
        "--workers",
        "0",
    ]
    main(["--out", str(tmp_path / "a"), "--split", "test", "--seed", "7", *short])
    main(["--out", str(tmp_path / "b"), "--only", "test", "--test-seed", "7", *short])
    assert "test: 1 sequences, 6 frames" in capsys.readouterr().out
    assert not (tmp_path / "a" / "train_NUDTMIRSDT.txt").exists()
    for kind in ("images", "masks"):
        for t in range(6):
            name = f"{kind}/sequence3/{t}.png"
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert len(open_dataset(str(tmp_path / "a"), "test").frames) == 6


@pytest.mark.parametrize(
    "options, text",
    [
        (["--bits", "12"], "--bits: found 12, expected 8 or 16"),
        (["--snr", "3", "1"], "--snr: found"),
        (["--size", "large"], "--size: found 'large', expected HEIGHTxWIDTH"),
        (["--size", "32"], "--size: found (32, 32), expected int at least 48"),
        (["--frames", "3"], "--frames: found '3', expected int at least 5"),
        (["--empty-share", "2"], "--empty-share: found '2', expected float at least 0 and at most 1"),
        (["--area", "1", "90"], "--area: found"),
        (["--backgrounds", "no/such/folder"], "no folder no/such/folder"),
        (["--split", "test", "--seed", "1", "--test-seed", "2"], "expected one of them"),
        (["--frame", "10"], "unrecognized arguments: --frame 10"),
    ],
)
def test_bad_options_are_one_clear_line(options, text, tmp_path):
    with pytest.raises(UserError) as error:
        main(["--out", str(tmp_path / "set"), *options])
    assert text in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "set").exists()


def test_bad_options_end_with_status_2(tmp_path):
    run = subprocess.run(
        [*COMMAND, "--out", str(tmp_path / "set"), "--bits", "9"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 2 and run.stderr.startswith("error: --bits: found 9") and run.stderr.count("\n") == 1
