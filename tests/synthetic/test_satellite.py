"""Synthetic satellite video: boxes sit on cars that drive along roads, keep their distance, stop and turn."""

import json
from collections import defaultdict
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from utils.checks import main as check
from utils.datasets.dataset import open_dataset
from utils.synthetic.__main__ import main
from utils.synthetic.satellite.cars import Car, box_of, draw_car
from utils.synthetic.satellite.config import SatelliteConfig
from utils.synthetic.satellite.projection import MARGIN, Projection
from utils.synthetic.satellite.recording import platform_path
from utils.synthetic.satellite.roads import STYLES, Block, Crossing, Network, Road, divide, lay_roads
from utils.synthetic.satellite.routes import Place, find_route
from utils.synthetic.satellite.sequence import make_sequence
from utils.synthetic.satellite.traffic import CLEARING, Traffic

SMALL = SatelliteConfig(frames=8, size=(120, 140), cars=(10, 14))
CLEAN = replace(SMALL, noise=0.001, flicker=0.0, slips=0.0, contrast=(60.0, 60.0), dark_share=0.0, parked=0.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def tracks_of(made):
    """Cars by their tracks, each by its frames."""
    found = defaultdict(dict)
    for car in made.cars:
        assert car.frame not in found[car.track]
        found[car.track][car.frame] = car
    return found


def centres(track):
    """Middles (x, y) of a track's boxes by frame."""
    return {frame: (car.box[:2] + car.box[2:]) / 2 for frame, car in track.items()}


def flat(size):
    """A plan that lies in the picture as it is."""
    outer = tuple(side + 2 * MARGIN for side in size)
    return Projection(size, outer, np.eye(2), np.zeros((2, *outer)))


def test_boxes_sit_on_the_cars():
    """Against what the same town looks like without any: what is lit lies in boxes, from edge to edge."""
    edges, middles = [], []
    for index in range(3):
        config = replace(CLEAN, label_parked=True)
        made, empty = (make_sequence(replace(config, cars=cars), "train", index) for cars in (config.cars, (0, 0)))
        assert not empty.cars and made.facts == empty.facts
        for frame in range(CLEAN.frames):
            light = np.maximum(made.frames[frame].astype(float) - empty.frames[frame], 0)
            boxes = np.array([car.box for car in made.cars if car.frame == frame])
            dark = light.copy()
            for x1, y1, x2, y2 in boxes:
                dark[max(int(y1) - 1, 0) : int(np.ceil(y2)) + 1, max(int(x1) - 1, 0) : int(np.ceil(x2)) + 1] = 0
            assert dark[3:-3, 3:-3].max() <= 3  # of 60 levels; slivers of cars at the edge have no box
            for box in boxes:
                near = (boxes[:, :2] < box[2:] + 3).all(axis=1) & (boxes[:, 2:] > box[:2] - 3).all(axis=1)
                if near.sum() > 1 or min(box[:2]) < 3 or (box[2:] > (137, 117)).any():
                    continue
                corner = box[:2].astype(int) - 1
                part = light[corner[1] : int(box[3]) + 2, corner[0] : int(box[2]) + 2]
                if part.max() > 15:  # not in the shade
                    rows, columns = np.nonzero(part >= 0.15 * part.max())
                    lit = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                    edges.append(lit + np.tile(corner, 2) - box)
                    middles.append(
                        np.array(ndimage.center_of_mass(part))[::-1] + corner + 0.5 - (box[:2] + box[2:]) / 2
                    )
    assert len(edges) > 50
    assert np.abs(np.mean(edges, axis=0)).max() < 0.75 and np.percentile(np.abs(edges), 90) < 1.3
    assert np.abs(np.mean(middles, axis=0)).max() < 0.2 and np.percentile(np.abs(middles), 90) < 0.8


def test_a_car_has_the_light_of_its_area_about_its_middle():
    car, centre = Car(8.0, 3.5, 50.0), np.array([30.3, 31.8])
    for angle in (0.0, 0.7, np.pi / 2):
        heading = np.array([np.sin(angle), np.cos(angle)])
        picture = np.zeros((64, 64))
        draw_car(picture, car, centre, heading, 0.7, np.zeros(2), road=0.0, light=1.0)
        glass = 0.26 * car.length * car.width  # at half of the paint's level
        assert picture.sum() == pytest.approx(50 * (8.0 * 3.5 - glass / 2), rel=0.01)
        across = np.array([heading[1], -heading[0]])
        y, x = np.mgrid[:64, :64]
        off = (y - centre[0]) * across[0] + (x - centre[1]) * across[1]
        assert (off * picture).sum() / picture.sum() == pytest.approx(0, abs=1e-3)
        deviation = np.sqrt((off**2 * picture).sum() / picture.sum())
        assert deviation == pytest.approx(np.sqrt(3.5**2 / 12 + 0.7**2 + 1 / 12), rel=0.02)
    assert box_of(car, centre, np.array([0.0, 1.0])) == pytest.approx([27.8, 28.55, 36.8, 33.05])
    assert box_of(car, centre, np.array([1.0, 0.0])) == pytest.approx([30.05, 26.3, 34.55, 35.3])


def test_tracks_go_on_through_time():
    made = make_sequence(replace(SMALL, frames=20), "train", 2)
    tracks = tracks_of(made)
    assert sorted(tracks) == list(range(len(tracks))) and len(tracks) > 5
    fastest = SMALL.speed[1] + 1.0  # and what the platform does
    for track in tracks.values():
        frames = sorted(track)
        assert frames == list(range(frames[0], frames[-1] + 1)) or len(frames) > 0.8 * (frames[-1] - frames[0])
        assert len({car.contrast for car in track.values()}) == 1
        way = centres(track)
        for frame in frames[:-1]:
            if frame + 1 in way:
                assert np.hypot(*(way[frame + 1] - way[frame])) < fastest


def test_labelled_cars_move_and_parked_ones_do_not():
    config = replace(SMALL, frames=20, label_parked=True, drift=0.5, jitter=0.3, slips=0.1, parked=3.0)
    for index in (1, 3):
        every, moving = (
            tracks_of(make_sequence(replace(config, label_parked=on), "test", index)) for on in (True, False)
        )
        corner = np.array(make_sequence(config, "test", index).facts["camera"])[:, ::-1]
        inside = {
            number: {frame: at for frame, at in centres(track).items() if (at > 8).all() and (at < (132, 112)).all()}
            for number, track in every.items()
        }
        ways = {
            n: [at + corner[frame] for frame, at in track.items()] for n, track in inside.items() if len(track) > 15
        }
        spread = {number: np.ptp(way, axis=0).max() for number, way in ways.items()}
        still = [number for number in spread if all(car.speed == 0 for car in every[number].values())]
        assert len(still) > 3 and max(spread[number] for number in still) < 0.02
        boxes = {tuple(car.box) + (car.frame,) for track in moving.values() for car in track.values()}
        assert boxes < {tuple(car.box) + (car.frame,) for track in every.values() for car in track.values()}
        labelled = [number for number in spread if (*every[number][10].box, 10) in boxes]
        assert labelled and min(spread[number] for number in labelled) > 0.4
        assert not set(labelled) & set(still)


def test_stabilisation_trembles_drifts_and_slips_as_told():
    """The shift that explains the difference of two frames best is the camera's."""
    config = replace(CLEAN, cars=(0, 0), drift=0.0, jitter=0.25)
    made = make_sequence(config, "train", 3)
    camera = np.array(made.facts["camera"])
    for before, after in ((0, 1), (4, 5), (0, 7)):
        one, other = (made.frames[t].astype(float) for t in (before, after))
        slopes = np.stack([part[4:-4, 4:-4].ravel() for part in np.gradient((one + other) / 2)], axis=1)
        shift = np.linalg.lstsq(slopes, (other - one)[4:-4, 4:-4].ravel(), rcond=None)[0]
        assert shift == pytest.approx(camera[after] - camera[before], abs=0.06)
    still = make_sequence(replace(config, jitter=0.0), "train", 3)
    assert np.ptp(np.array(still.facts["camera"]), axis=0).max() == 0
    assert np.abs(np.diff(still.frames.astype(int), axis=0)).max() <= 1
    trembling = platform_path(rng(1), 4000, 0.0, 0.5, 0.0).position
    assert 0.15 <= trembling.std(axis=0).max() <= 0.52
    slipping = np.hypot(*np.diff(platform_path(rng(1), 4000, 0.0, 0.0, 0.1).position, axis=0).T)
    assert (slipping > 0).mean() == pytest.approx(0.1, abs=0.02) and slipping[slipping > 0].min() >= 0.6
    assert slipping.max() <= 2.0
    drifting = np.hypot(*np.diff(platform_path(rng(1), 100, 0.4, 0.0, 0.0).position, axis=0).T)
    assert 0 < drifting.max() <= 0.5


def test_noise_is_as_told():
    quiet, loud = (
        make_sequence(replace(CLEAN, cars=(0, 0), drift=0.0, jitter=0.0, noise=n), "train", 1) for n in (1, 2)
    )
    grain = [np.median([made.frames[:, y, x].std() for y in range(60) for x in range(60)]) for made in (quiet, loud)]
    assert 2 < grain[0] < 8 and grain[1] == pytest.approx(2 * grain[0], rel=0.15)


def test_plan_and_picture_lead_to_each_other():
    projection = Projection.draw(rng(4), (150, 200), bend=9.0)
    points = rng(5).uniform((-40, -40), (190, 240), (500, 2))
    plan = projection.to_plan(points)
    assert projection.to_picture(plan) == pytest.approx(points, abs=0.01)
    assert (plan > 0).all() and (plan < projection.size).all()
    drawn = np.zeros((2 * projection.size[0], 2 * projection.size[1]))
    spot = np.array([70.0, 90.0])
    v, u = (2 * projection.to_plan(spot[None])[0]).astype(int)
    drawn[v - 6 : v + 7, u - 6 : u + 7] = 1
    expected = projection.to_picture(np.array([[v + 0.5, u + 0.5]]) / 2)[0]
    assert ndimage.center_of_mass(projection.sample(drawn, 2)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("style", STYLES)
def test_roads_and_blocks_fill_the_plan_without_covering_each_other(style):
    network = lay_roads(rng(7), (300, 320), 4.0, style)
    taken = np.zeros((300, 320), int)
    for block in network.blocks:
        taken[int(block.top) + 1 : int(block.bottom) - 1, int(block.left) + 1 : int(block.right) - 1] += 1
    assert taken.max() == 1
    for road in network.roads:
        low, high, start, end = (
            *(round(road.place + side * road.half) for side in (-1, 1)),
            round(road.start),
            round(road.end),
        )
        strip = taken[start:end, max(low, 0) : high] if road.axis == 0 else taken[max(low, 0) : high, start:end]
        assert (strip[:, 1:-1] if road.axis == 0 else strip[1:-1]).max() == 0
    assert (taken > 0).mean() > 0.4 and network.crossings


def test_lots_fill_a_block():
    block = Block(3.0, 90.0, 5.0, 71.0, "dense")
    lots = list(divide(rng(1), block, 14.0))
    assert sum((lot.bottom - lot.top) * (lot.right - lot.left) for lot in lots) == pytest.approx(87 * 66, rel=0.02)
    assert max(max(lot.bottom - lot.top, lot.right - lot.left) for lot in lots) <= 1.4 * 14


def on_roads(network, projection, points):
    plan = projection.to_plan(points)
    near = [
        (np.abs(plan[:, 1 - road.axis] - road.place) <= road.half + 0.3)
        & (plan[:, road.axis] >= road.start - road.half - 8)
        & (plan[:, road.axis] <= road.end + road.half + 8)
        for road in network.roads
    ]
    return np.any(near, axis=0)


def test_routes_keep_to_roads_go_straight_and_turn():
    random = rng(3)
    projection = Projection.draw(random, (200, 200), bend=9.0)
    network = lay_roads(random, projection.size, 4.0, "town")
    turned = []
    for _ in range(40):
        road = int(random.integers(len(network.roads)))
        start = Place(
            road, int(random.choice([-1, 1])), 0, random.uniform(network.roads[road].start, network.roads[road].end)
        )
        route = find_route(random, network, projection, start, 400.0)
        inside = ((route.points > -MARGIN) & (route.points < 200 + MARGIN)).all(axis=1)
        assert on_roads(network, projection, route.points[inside]).all()
        steps = np.diff(route.points, axis=0)
        assert (steps[1:] * steps[:-1]).sum(axis=1).min() > 0.1  # of 0.25: never back
        headings = np.unwrap(np.arctan2(*np.diff(route.points[::8], axis=0).T))
        turned.append(np.ptp(headings) if len(headings) else 0)
    assert sum(angle > 1.2 for angle in turned) > 8 and sum(angle < 0.8 for angle in turned) > 4


def crossroads(lanes=1):
    """Two roads that cross in the middle, along the picture's sides."""
    side = 160 + 2 * MARGIN
    roads = [Road(axis, side / 2, 0.0, float(side), lanes, 5.0, 0.0, 0.0, 60.0) for axis in (0, 1)]
    network = Network(roads, [], 1)
    network.connect(rng(0))
    return network, flat((160, 160))


def test_cars_keep_their_distance_and_stop_at_red_lights_only():
    network, projection = crossroads()
    network.crossings[0] = Crossing((0, 1), cycle=60.0, offset=0.0, share=0.5)
    traffic = Traffic(rng(2), network, projection, 16, lambda: 5.0, (0.8, 2.0))
    assert on_roads(network, projection, np.array([driver.point(0.0) for driver in traffic.drivers])).all()
    waited, passed, near, pairs = 0, [], 0, 0
    for time in range(46, 400):
        before = {driver.track: driver.way for driver in traffic.drivers}
        traffic.step()
        for driver in traffic.drivers:
            for stop, _, axis in driver.route.stops:
                if before.get(driver.track, 1e9) + 2.5 < stop <= driver.way + 2.5:
                    passed.append(((time - 30 * axis) % 60, axis))
                waited += driver.speed < 0.1 and 0 <= stop - driver.way - 2.5 < 6
        at = np.array([driver.point(0.0) for driver in traffic.drivers])
        gaps = np.hypot(*(at[:, None] - at[None]).T)[np.triu_indices(len(at), 1)]
        near, pairs = near + (gaps < 4.5).sum(), pairs + len(at)
    assert waited > 50 and len(passed) > 25 and {axis for _, axis in passed} == {0, 1}
    assert max(time for time, _ in passed) <= 30 - CLEARING + 6  # as green is over, some are too fast to brake
    assert near < 0.01 * pairs


def test_cars_drive_on_their_side_and_in_both_directions():
    for hand in (1, -1):
        network, projection = crossroads(lanes=2)
        network.hand = hand
        traffic = Traffic(rng(2), network, projection, 20, lambda: 5.0, (1.0, 2.0))
        sides = []
        for driver in traffic.drivers:
            (y, x), (dy, dx) = driver.pose()
            if abs(dy) > 0.999 and abs(y - 80) > 25:
                sides.append(np.sign(dy) * np.sign(80 - x))
            if abs(dx) > 0.999 and abs(x - 80) > 25:
                sides.append(np.sign(dx) * np.sign(y - 80))
        assert len(sides) > 5 and set(sides) == {hand}


@pytest.mark.parametrize(
    "extreme",
    [
        {"length": (20.0, 24.0), "size": (48, 48)},
        {"bend": 15.0, "length": (3.0, 3.0)},
        {"cars": (300, 300), "speed": (8.0, 8.0)},
        {"cars": (0, 0), "parked": 0.0, "clutter": 0.0},
        {"drift": 10.0, "jitter": 3.0, "slips": 1.0, "flicker": 100.0, "noise": 20.0},
    ],
    ids=lambda extreme: "-".join(extreme),
)
def test_extreme_settings_make_a_sequence_too(extreme):
    config = replace(SMALL, frames=5, **extreme)
    for index in range(2):
        made = make_sequence(config, "train", index)
        assert made.frames.shape == (5, *config.size) and made.frames.std() > 1
        assert all(np.isfinite(car.box).all() for car in made.cars)


@pytest.mark.parametrize("length", [(4.0, 5.0), (8.0, 10.0)])
def test_boxes_are_as_large_as_cars_may_be(length):
    made = make_sequence(replace(SMALL, length=length), "train", 0)
    whole = [car.box for car in made.cars if car.box[:2].min() > 0 and (car.box[2:] < (140, 120)).all()]
    sides = np.array(whole)[:, 2:] - np.array(whole)[:, :2]
    assert sides.max() <= np.hypot(length[1], 0.48 * length[1]) + 1.01 and np.hypot(*sides.T).min() >= length[0]


def test_cars_at_the_edge_have_boxes_inside_the_frame():
    boxes = np.array([car.box for index in range(3) for car in make_sequence(SMALL, "train", index).cars])
    assert (boxes >= 0).all() and (boxes[:, 2:] <= (140, 120)).all()
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 2 and (boxes[:, :2] == 0).any()


def test_the_same_seed_gives_the_same_sequence_whatever_else_is_made():
    made = make_sequence(SMALL, "train", 1)
    again = make_sequence(replace(SMALL, train_sequences=50, test_seed=4), "train", 1)
    assert np.array_equal(made.frames, again.frames)
    assert [tuple(car.box) for car in made.cars] == [tuple(car.box) for car in again.cars]
    for config, split, index in ((replace(SMALL, seed=1), "train", 1), (SMALL, "test", 1), (SMALL, "train", 2)):
        assert not np.array_equal(made.frames, make_sequence(config, split, index).frames)


def test_a_dataset_loads_as_it_lies_and_is_sound(tmp_path, capsys):
    out = tmp_path / "set"
    size = ["--size", "96x128", "--frames", "6", "--train-sequences", "2", "--test-sequences", "1", "--cars", "8", "12"]
    main(["--kind", "satellite", "--out", str(out), *size, "--quiet", "--workers", "0"])
    check(["--data-root", str(out)])
    assert "sound" in capsys.readouterr().out
    for split, count in (("train", 2), ("test", 1)):
        dataset = open_dataset(str(out), split, need="boxes")
        assert len(dataset.frames) == 6 * count and len(dataset.sequences) == count
        found = json.loads((out / f"annotations/instances_{split}2017.json").read_text())
        assert [image["frame"] for image in found["images"]] == [*range(6)] * count
        assert found["categories"] == [{"id": 1, "name": "car"}] and len(found["annotations"]) > 20
        ids = {image["id"]: [] for image in found["images"]}
        for item in found["annotations"]:
            ids[item["image_id"]].append(item["track_id"])
        assert [list(frame.tracks) for frame in dataset.frames] == list(ids.values())
        by_track = defaultdict(set)
        sequences = {image["id"]: image["sequence"] for image in found["images"]}
        for item in found["annotations"]:
            by_track[item["track_id"]].add(sequences[item["image_id"]])
        assert all(len(names) == 1 for names in by_track.values())  # a track is of one sequence
        picture = cv2.imread(str(out / found["images"][0]["file_name"]), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (96, 128) and picture.dtype == np.uint8
