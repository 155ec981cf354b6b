"""What disturbs: birds, insects, stripes, flashes, streaks, cuts, repeated frames and jumps; what has a label of it."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from utils.datasets.dataset import open_dataset
from utils.synthetic.__main__ import main
from utils.synthetic.camera import Camera, camera_path
from utils.synthetic.dataset import write_dataset
from utils.synthetic.infrared.camera_looks import Look
from utils.synthetic.infrared.config import HARD, InfraredConfig
from utils.synthetic.infrared.creatures import flap, make_birds, make_insects
from utils.synthetic.infrared.distractors import Sensor
from utils.synthetic.infrared.piece import CLEAR_PX, CLEAR_SKY, COUNTS_PER_LEVEL
from utils.synthetic.infrared.recording import MIN_PIECE, Timeline, add_jumps
from utils.synthetic.infrared.sensor_faults import DUTY, STREAK_FRAMES, flashes, streaks, stripes
from utils.synthetic.infrared.sequence import SyntheticSequence, list_targets, make_sequence
from utils.synthetic.infrared.targets import Body, Track, spot
from utils.system.errors import UserError

SMALL = InfraredConfig(frames=12, size=(72, 80), empty_share=0.0, distractors=False)
# hardly any noise, which would be another one beside other light, and counts fine enough to see all light
BARE = replace(SMALL, bits=16, noise=0.001, snr=(4.0, 8.0), low_share=0.0)
ALL_AT_ONCE = {name: value for name, value in HARD.items() if name not in ("look_share", "empty_share")} | {
    "cuts": 2.0,
    "repeats": 0.2,
    "jumps": 0.2,
    "insects": 1.0,
    "birds": 2.0,
}


def levels(made: SyntheticSequence) -> np.ndarray:
    return made.frames / COUNTS_PER_LEVEL


def labelled_light(made: SyntheticSequence, without: SyntheticSequence) -> int:
    """Counts labels, each of which must lie where the light is that only `made` has."""
    light = np.abs(levels(made) - levels(without))
    for t in range(len(light)):
        masks = np.zeros(light.shape[1:], bool)
        for target in (target for target in made.targets if target.frame == t):
            assert light[t][target.mask].min() > 0.3 * light[t][target.mask].max() > 0.01
            masks |= target.mask
        if masks.any():
            assert light[t][~masks].max() < light[t][masks].max()
        else:
            assert light[t].max() < 0.1
    return len(made.targets)


def test_labels_lie_on_the_light_that_targets_add_whatever_else_there_is():
    found = 0
    changes = {"cuts": 1.0, "repeats": 0.2, "jumps": 0.1, "stripes": 1.0, "flashes": 3.0, "streak_share": 1.0}
    config = replace(BARE, frames=20, **changes, cloud_share=0.5, insects=1.0, targets=(1, 1))
    for index in range(3):
        made, without = (make_sequence(replace(config, empty_share=e), "train", index) for e in (0.0, 1.0))
        assert not without.targets and not without.masks.any()
        found += labelled_light(made, without)
        union = np.zeros_like(made.masks)
        for target in made.targets:
            union[target.frame] |= target.mask
        assert np.array_equal(union, made.masks)
    assert found > 20


@pytest.mark.parametrize("kind", ["bird", "insect"])
def test_birds_and_insects_are_labelled_as_the_user_has_it(kind):
    shown = {f"{kind}s": 2.0, "empty_share": 1.0}
    plain = make_sequence(replace(BARE, empty_share=1.0), "train", 2)
    none, own = (
        make_sequence(replace(BARE, **shown, **{f"{kind}_labels": labels}), "train", 2) for labels in ("none", "class")
    )
    assert not none.targets and not none.masks.any() and np.array_equal(none.frames, own.frames)
    assert {target.category for target in own.targets} == {2} and not own.masks.any()
    assert {track["style"] for track in own.facts["tracks"]} == {kind} and own.facts["snr_class"] is None
    light = np.abs(levels(own) - levels(plain))
    for t in range(len(light)):  # everything that a bird or insect adds has its label beside it
        there = [target for target in own.targets if target.frame == t]
        masks = np.any([target.mask for target in there] or [np.zeros((72, 80), bool)], axis=0)
        # outside its mask each has less than half of its peak, and several may lie on each other
        assert light[t][~masks].max() <= sum(abs(target.peak) for target in there) / 2 + 0.1
    counted = make_sequence(replace(BARE, **shown | {"empty_share": 0.0}, **{f"{kind}_labels": "target"}), "train", 2)
    styles = [track["style"] for track in counted.facts["tracks"]]
    assert kind in styles and {target.category for target in counted.targets} == {1}
    empty = make_sequence(replace(BARE, **shown, **{f"{kind}_labels": "target"}), "train", 2)
    assert not empty.targets and np.array_equal(empty.frames, plain.frames)  # no target means no such bird


def test_classes_of_birds_and_insects_are_in_the_annotations(tmp_path, capsys):
    options = ["--birds", "2", "--bird-labels", "class", "--insects", "2", "--insect-labels", "class"]
    size = ["--size", "64x64", "--frames", "8", "--train-sequences", "2", "--test-sequences", "0", "--workers", "0"]
    main(["--out", str(tmp_path / "set"), *size, *options, "--quiet"])
    coco = json.loads((tmp_path / "set/annotations/instances_train.json").read_text())
    assert [item["name"] for item in coco["categories"]] == ["target", "bird", "insect"]
    assert {item["category_id"] for item in coco["annotations"]} == {1, 2, 3}
    opened = open_dataset(str(tmp_path / "set"), "train", need="boxes")
    assert {box[4] for frame in opened.frames for box in frame.boxes} == {0, 1, 2}
    # the limits of SNR hold for targets alone, and so do the subsets
    assert {(item["category_id"] == 1, item["snr"] is None) for item in coco["annotations"]} == {
        (True, False),
        (False, True),
    }
    assert opened.subsets == {"snr_le_3": {"sequence1"}, "snr_gt_3": {"sequence2"}}
    targets = sum(item["category_id"] == 1 for item in coco["annotations"])
    assert f", {targets} targets in " in capsys.readouterr().out and 0 < targets < len(coco["annotations"])


def test_birds_beat_their_wings_at_the_rate_they_are_given():
    for beat in (0.12, 0.31):
        light = flap(np.random.default_rng(1), 400, beat, glides=0.0)
        power = np.abs(np.fft.rfft(light - light.mean())) ** 2
        assert np.fft.rfftfreq(400)[power.argmax()] == pytest.approx(beat, abs=1 / 400)
        assert 0.39 < np.ptp(light) < 1.21 and light.min() > 0
    gliding = np.mean([flap(np.random.default_rng(s), 300, 0.2, glides=0.4) == 1 for s in range(20)])
    assert gliding == pytest.approx(0.4, abs=0.06)


def test_insects_are_faster_wider_and_more_erratic_than_birds():
    camera = camera_path(np.random.default_rng(0), 30, 0.0, 0.0)
    sensor = Sensor.draw(np.random.default_rng(1), 30, (128, 128), 1.0)
    clip = np.full((30, 128, 128), 80.0)
    found = {}
    for name, make in (("birds", make_birds), ("insects", make_insects)):
        tracks = make(np.random.default_rng(2), clip, 6.0, (4.0, 8.0), camera, sensor)
        steps = [np.diff(track.path, axis=0) for track in tracks]
        pace = np.mean([np.hypot(*step.T).mean() for step in steps])
        same_way = np.mean([(a * b).sum() / np.hypot(*a) / np.hypot(*b) for s in steps for a, b in pairwise(s)])
        area = np.mean([spot.area for track in tracks for spot in track.spots.values()])
        found[name] = pace, same_way, area
    (slow, steady, small), (fast, erratic, large) = found["birds"], found["insects"]
    assert fast > 3 * slow and steady > 0.9 > 0.8 > erratic and large > 2 * small


def test_insects_are_smeared_along_their_way_in_the_picture_and_name_the_snr_they_were_drawn_with():
    pan = np.tile([1.0, -6.0], (20, 1))
    position = np.cumsum(pan, axis=0)
    camera = Camera(position - position.min(axis=0), pan, exposure=0.7)
    sensor = Sensor.draw(np.random.default_rng(1), 20, (96, 96), 1.0)
    insects = make_insects(np.random.default_rng(2), np.full((20, 96, 96), 80.0), 3.0, (4.0, 8.0), camera, sensor)
    seen = 0
    for insect in insects:
        assert 4 <= insect.snr <= 8
        motion = 0.7 * np.diff(insect.path, axis=0, prepend=np.nan)
        for t in set(insect.spots) - {0}:
            expected = spot(insect.body, insect.path[t], motion[t], (96, 96))
            assert insect.spots[t].light == pytest.approx(expected.light)
            seen += 1
    assert seen > 20


def test_as_many_birds_and_insects_are_in_a_frame_as_asked_for():
    camera = camera_path(np.random.default_rng(0), 20, 0.0, 0.0)
    sensor = Sensor.draw(np.random.default_rng(1), 20, (128, 128), 1.0)
    clip = np.full((20, 128, 128), 80.0)
    for make in (make_birds, make_insects):
        made = [make(np.random.default_rng(seed), clip, 6.0, (4.0, 8.0), camera, sensor) for seed in range(30)]
        seen = [sum(len(track.spots) for track in tracks) / 20 for tracks in made]
        assert np.mean(seen) == pytest.approx(6, rel=0.35)


def test_stripes_are_columns_and_rows_and_some_of_them_flicker():
    flickers = 0
    for seed in range(6):
        made = stripes(np.random.default_rng(seed), 30, (40, 50), 2.0)
        assert made.shape == (30, 40, 50) and 0.05 < made.std() < 6
        residue = made - made.mean(axis=1, keepdims=True) - made.mean(axis=2, keepdims=True)
        assert residue.std(axis=(1, 2)).max() < 1e-9  # nothing but columns and rows
        flickers += made.std(axis=0).mean() > 0.02
    assert flickers >= 4


def test_columns_flicker_in_square_frames_too():
    changes = [np.diff(stripes(np.random.default_rng(seed), 6, (48, 48), 2.0), axis=0) for seed in range(12)]
    rows, columns = ({bool(change.std(axis=axis).max() > 1e-9) for change in changes} for axis in (1, 2))
    assert rows == columns == {True, False}


def test_flashes_are_of_one_or_two_pixels_and_half_of_them_come_once():
    lights = [flashes(np.random.default_rng(seed), 40, (60, 60), 4.0, (10.0, 20.0)) for seed in range(20)]
    assert np.mean([(light > 0).sum() / 40 for light in lights]) == pytest.approx(4 * 1.5, rel=0.15)  # half have two
    on = flashes(np.random.default_rng(0), 200, (60, 60), 8.0, (10.0, 20.0)) > 0
    often = on.sum(axis=0)
    again = on[:, often > 20]
    assert again.mean() == pytest.approx(DUTY, abs=0.04)
    assert (np.abs(np.diff(again.astype(int), axis=0)).mean()) == pytest.approx(2 * DUTY * (1 - DUTY), abs=0.05)
    assert again.sum() / on.sum() == pytest.approx(0.5, abs=0.2)


def test_streaks_are_thin_lines_in_the_first_frames():
    for seed in range(8):
        made = streaks(np.random.default_rng(seed), 20, (60, 70))
        drawn = made[0] != 0
        length = np.flatnonzero((made != 0).any(axis=(1, 2))).max() + 1
        assert drawn.any() and STREAK_FRAMES[0] <= length <= STREAK_FRAMES[1]
        assert not made[length:].any() and all(np.array_equal(frame, made[0]) for frame in made[:length])
        assert np.abs(made[0][drawn]).min() >= 5 and max(drawn.sum(axis=0).max(), drawn.sum(axis=1).max()) >= 4


def test_as_many_frames_are_repeated_as_asked_for_and_with_their_labels():
    for seed in range(3):
        lines = [Timeline.draw(np.random.default_rng((seed, n)), 70, 1 / 7, 0.0) for n in range(60)]
        assert np.mean([len(line.repeated) / 70 for line in lines]) == pytest.approx(1 / 7, abs=0.02)
        gaps = [set(np.diff(line.repeated)) for line in lines]
        assert 10 < sum(gap == {7} for gap in gaps) < 50  # half of them at even distances
        assert all(line.shown[0] == 0 and set(np.diff(line.shown)) == {0, 1} for line in lines)
    made = make_sequence(replace(SMALL, frames=21, repeats=0.3), "train", 1)
    repeated = made.facts["repeated"]
    same = [t for t in range(1, 21) if np.array_equal(made.frames[t], made.frames[t - 1])]
    assert repeated == same != []
    for t in repeated:
        assert np.array_equal(made.masks[t], made.masks[t - 1])
        own, before = ([(x.track, x.bbox, x.snr) for x in made.targets if x.frame == at] for at in (t, t - 1))
        assert own == before


def test_cuts_are_where_the_facts_say_and_begin_new_tracks():
    config = replace(SMALL, frames=30, cuts=5.0, repeats=0.1, noise=0.5)
    made = make_sequence(config, "train", 0)
    cuts = [cut["frame"] for cut in made.facts["cuts"]]
    change = np.abs(np.diff(made.frames.astype(float), axis=0)).mean(axis=(1, 2))
    assert sorted(np.argsort(-change)[: len(cuts)] + 1) == cuts
    for track in made.facts["tracks"]:
        first, last = track["frames"]
        assert not any(first < cut <= last for cut in cuts)
    lines = [Timeline.draw(np.random.default_rng(n), 64, 0.0, 1.0) for n in range(300)]
    assert np.mean([len(line.cuts) for line in lines]) == pytest.approx(1.0, abs=0.2)
    assert min(min(line.pieces) for line in lines) >= MIN_PIECE and {sum(line.pieces) for line in lines} == {64}


@pytest.mark.parametrize("frames", range(5, 20))
def test_short_sequences_repeat_and_cut_no_more_than_leaves_a_clip(frames):
    for seed in range(20):
        line = Timeline.draw(np.random.default_rng(seed), frames, 0.5, 9.0)
        assert len(line.shown) == frames and line.shown[-1] + 1 == sum(line.pieces) >= min(frames, MIN_PIECE)


def test_jumps_are_as_frequent_and_at_most_as_long_as_asked_for():
    camera = camera_path(np.random.default_rng(0), 2000, 0.0, 0.0)
    moved = np.hypot(*np.diff(add_jumps(np.random.default_rng(1), camera, 0.1, 18.0).position, axis=0).T)
    jumps = moved[moved > 0]
    assert len(jumps) / 2000 == pytest.approx(0.1, abs=0.025)
    assert jumps.min() >= 1 and 16 < jumps.max() <= 18
    assert jumps.mean() == pytest.approx(9.5, abs=1.2)


def test_hovering_targets_hang_in_clear_sky():
    """They do so in a scene whose surroundings are even where they are, as it is without them."""
    hovering = 0
    config = replace(BARE, frames=16, hover_share=1.0, star_share=0.1, targets=(1, 2))
    for index in range(6):
        made, without = (make_sequence(replace(config, empty_share=e), "train", index) for e in (0.0, 1.0))
        camera = np.array(made.facts["camera"])
        for number, track in enumerate(made.facts["tracks"]):
            path = {t.frame: t.centre + camera[t.frame] for t in made.targets if t.track == number}
            steps = np.array([path[t + 1] - path[t] for t in path if t + 1 in path])
            slow = np.hypot(*steps.mean(axis=0)) < 0.15 + 0.05  # and bobbing
            assert slow == (track["style"] == "hover")
            hovering += slow
            for t in path if slow else ():
                y, x = np.rint(path[t] - camera[t]).astype(int)
                window = tuple(slice(max(at - CLEAR_PX, 0), at + CLEAR_PX + 1) for at in (y, x))
                assert levels(without)[(t, *window)].std() < 1.1 * CLEAR_SKY  # looked at in three frames alone
    assert hovering > 3


def test_sequences_do_not_depend_on_processes_or_on_each_other(tmp_path):
    config = replace(SMALL, **ALL_AT_ONCE, distractors=True, frames=20, train_sequences=3, test_sequences=0)
    for name, workers in (("one", 0), ("two", 2)):
        write_dataset(config, tmp_path / name, workers=workers, quiet=True)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) == 2 * 60 + 2
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    alone = make_sequence(config, "train", 2)
    other = make_sequence(replace(config, train_sequences=9, test_seed=4), "train", 2)
    assert np.array_equal(alone.frames, other.frames)


def test_what_is_added_leaves_the_rest_as_it_was():
    """Each kind of thing has its own random numbers: flashes or stripes do not move birds or the camera."""
    plain = make_sequence(replace(BARE, birds=9.0, bird_labels="class", empty_share=1.0), "train", 3)
    more = replace(BARE, birds=9.0, bird_labels="class", empty_share=1.0, flashes=2.0, stripes=1.0, streak_share=1.0)
    other = make_sequence(more, "train", 3)
    assert plain.facts["camera"] == other.facts["camera"]
    assert [(x.frame, x.bbox) for x in plain.targets] == [(x.frame, x.bbox) for x in other.targets] != []


def test_noise_is_as_little_as_asked_for_in_some_cameras():
    config = replace(SMALL, frames=5, size=(64, 64), bits=16, still_share=1.0, empty_share=1.0)
    clips = [levels(make_sequence(replace(config, least_noise=0.05), "train", index)) for index in range(12)]
    found = np.array([np.diff(clip, axis=0).std(axis=(1, 2)).mean() / 2**0.5 for clip in clips])
    plain = np.array(
        [
            np.diff(levels(make_sequence(config, "train", index)), axis=0).std(axis=(1, 2)).mean() / 2**0.5
            for index in range(3)
        ]
    )
    assert plain.min() > 1 > 0.3 > found.min() > 0.05 and found.max() < 4 and found.max() > 4 * found.min()


def test_a_look_stretches_no_further_than_asked_for():
    clip = np.random.default_rng(0).normal(100, 2, (3, 32, 40))
    stretch = Look(percentiles=(1.0, 99.0), span=(10.0, 240.0))
    assert stretch.apply(clip).std() > 20 * clip.std()
    limited = stretch.apply(clip, 2.5)
    assert limited.std() == pytest.approx(2.5 * clip.std())
    assert np.percentile(limited[1], (1, 99)).mean() == pytest.approx(125)
    assert np.array_equal(stretch.apply(clip, 100.0), stretch.apply(clip))


def test_surroundings_without_any_spread_give_no_snr():
    frames = np.full((1, 20, 20), 255, np.uint8)
    seen = spot(Body((0.0, 0.0), 0.0, 0.6), np.array([9.0, 9.0]), np.zeros(2), (20, 20))
    track = Track("through", np.array([[9.0, 9.0]]), Body((0.0, 0.0), 0.0, 0.6), 3.0, 1, {0: seen}, {0: 1.0})
    assert [target.snr for target in list_targets(SMALL, [track], frames)] == [None]


def options_of(root: Path) -> dict:
    return json.loads((root / "annotations/instances_train.json").read_text())["info"]["config"]


def test_a_preset_is_what_other_options_begin_with(tmp_path):
    size = ["--size", "48x48", "--frames", "8", "--train-sequences", "1", "--test-sequences", "0", "--workers", "0"]
    hard = ["--out", str(tmp_path / "hard"), *size, "--scenes", "hard", "--quiet"]
    main([*hard, "--birds", "0"])
    written = options_of(tmp_path / "hard")
    expected = HARD | {"birds": 0.0}
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in written.items() if name in HARD} == {
        name: value for name, value in expected.items() if name in written
    }
    assert "birds" not in written and written["cloud_share"] == HARD["cloud_share"]
    with pytest.raises(UserError, match="made with other settings"):
        main(hard)
    main([*hard, "--overwrite"])
    assert options_of(tmp_path / "hard")["birds"] == HARD["birds"]


@pytest.mark.parametrize(
    "options, text",
    [
        (["--cloud-share", "0.7", "--tree-share", "0.5"], "at most 1, not 1.2"),
        (["--cloud-share", "2"], "--cloud-share: found '2', expected float at least 0 and at most 1"),
        (["--repeats", "0.9"], "--repeats: found '0.9', expected float at least 0 and at most 0.5"),
        (["--jump-size", "0"], "--jump-size: found '0', expected float at least 1 and at most 200"),
        (["--psf", "0.9", "0.5"], "--psf: found (0.9, 0.5), expected SHARPEST WIDEST with SHARPEST <= WIDEST"),
        (["--least-noise", "2"], "--least-noise: found 2.0, expected at most --noise 1; change --least-noise"),
        (["--bird-labels", "maybe"], "invalid choice: 'maybe'"),
        (["--scenes", "soft"], "invalid choice: 'soft'"),
        (["--kind", "satellite", "--scenes", "hard"], "unrecognized arguments: --scenes hard"),
    ],
)
def test_bad_options_are_one_clear_line(options, text, tmp_path):
    with pytest.raises(UserError) as error:
        main(["--out", str(tmp_path / "set"), *options])
    assert text in str(error.value) and "\n" not in str(error.value) and not (tmp_path / "set").exists()


def test_labels_that_nobody_knows_are_refused_in_python_too():
    with pytest.raises(UserError, match="--bird-labels: found 'maybe', expected one of none, target, class"):
        InfraredConfig(bird_labels="maybe")
