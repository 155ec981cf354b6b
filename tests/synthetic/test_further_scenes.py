"""Further scenes of the infrared generator: clouds, stars, glint and trees behave as those in nature do."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from utils.synthetic.camera import SPLINE_BORDER, Camera, Layer, Scene, Sway, camera_path, film
from utils.synthetic.infrared.config import InfraredConfig
from utils.synthetic.infrared.optics import PointLights, paint_points
from utils.synthetic.infrared.piece import FURTHER_KINDS, further_kind
from utils.synthetic.infrared.scenery.glitter import glittering_sea
from utils.synthetic.infrared.scenery.skies import broken_power_law, cloudy_sky, lit_rim, night_sky
from utils.synthetic.infrared.scenery.vegetation import swaying_trees
from utils.synthetic.infrared.sequence import make_sequence

SHAPE = (64, 72)


def path_of(frames: int = 6, pan: float = 1.0, jitter: float = 0.3, seed: int = 0) -> Camera:
    return camera_path(np.random.default_rng(seed), frames, pan, jitter)


def slope(texture: np.ndarray, longest: float, shortest: float) -> float:
    """Of the rows' power spectrum over wavenumber, in logarithms."""
    power = (np.abs(np.fft.rfft(texture * np.hanning(texture.shape[1]), axis=1)) ** 2).mean(axis=0)
    wavenumber = np.fft.rfftfreq(texture.shape[1])
    part = (wavenumber > 1 / longest) & (wavenumber < 1 / shortest)
    return np.polyfit(np.log(wavenumber[part]), np.log(power[part]), 1)[0]


def test_the_light_of_clouds_has_two_spectral_slopes():
    textures = [broken_power_law(np.random.default_rng(seed), (4, 2048), 1000, (1.0, 1.0)) for seed in range(60)]
    wide = np.mean([slope(texture, 600, 100) for texture in textures])
    narrow = np.mean([slope(texture, 18, 7) for texture in textures])
    assert wide == pytest.approx(-5 / 3, abs=0.15)
    assert narrow == pytest.approx(-3, abs=0.2)
    assert np.mean([texture.std() for texture in textures]) == pytest.approx(1, abs=0.35)


def test_a_lit_cloud_is_brightest_at_its_edge_towards_the_sun():
    y, x = np.mgrid[:80, :80] - 40.0
    density = 20 - np.hypot(y, x)  # a round cloud
    cover = np.clip(density / 6 + 0.5, 0, 1)
    rim = lit_rim(density, cover, sun=0.0)
    assert rim[40, 60] == pytest.approx(1.0, abs=0.02) and rim[40, 20] == pytest.approx(0.2, abs=0.02)
    assert rim[40, 40] == rim[0, 0] == 0
    assert np.unravel_index(rim.argmax(), rim.shape) == (40, 60)


def test_a_layer_hides_what_is_behind_it_and_drifts_through_the_scene():
    camera = path_of(pan=0.0, jitter=0.0)
    drift = (0.5, -1.0)
    path = camera.over_drifting(drift)
    y, x = np.mgrid[: path.canvas(SHAPE)[0], : path.canvas(SHAPE)[1]].astype(float)
    behind = np.full(camera.canvas(SHAPE), 50.0)
    opaque = np.stack(
        list(film(Scene("", behind, layers=(Layer(2 * y + 3 * x, np.ones_like(y), path),)), camera, SHAPE))
    )
    moved = opaque[1:, 30, 30] - opaque[:-1, 30, 30]
    assert moved == pytest.approx(np.full(5, -2 * drift[0] - 3 * drift[1]), abs=1e-6)
    half = Layer(np.full_like(y, 90.0), np.full_like(y, 0.25), path)
    assert np.stack(list(film(Scene("", behind, layers=(half,)), camera, SHAPE))) == pytest.approx(60.0)


def test_clouds_are_blurred_before_they_are_sampled_and_drift_against_the_camera():
    camera = path_of(frames=10, pan=0.0, jitter=0.0)
    made = [cloudy_sky(np.random.default_rng(seed), camera, SHAPE, psf) for seed in range(4) for psf in (0.4, 0.9)]
    for sharp, blurred in zip(made[::2], made[1::2], strict=True):
        assert len(sharp.layers) == len(blurred.layers)
        for one, other in zip(sharp.layers, blurred.layers, strict=True):
            steps = [np.abs(np.diff(layer.cover, axis=1)).max() for layer in (one, other)]
            assert steps[1] < steps[0] and other.cover.min() >= 0 and other.cover.max() <= 1
    moves = np.array([np.diff(scene.layers[-1].camera.position, axis=0).mean(axis=0) for scene in made[::2]])
    winds = np.array([np.random.default_rng(seed).normal(0, 0.3, 2) for seed in range(4)])
    assert moves == pytest.approx(-winds)  # the nearest clouds go with the wind, whether or not there is a veil
    assert {len(scene.layers) for scene in made} == {1, 2}


def test_points_are_as_wide_as_the_optics_and_their_light_is_all_there():
    image = np.zeros((40, 50))
    paint_points(image, np.array([[20.3, 25.6]]), np.array([3.0]), psf=0.7)
    y, x = np.mgrid[:40, :50]
    centre = [(axis * image).sum() / image.sum() for axis in (y, x)]
    assert centre == pytest.approx([20.3, 25.6], abs=1e-3)
    spread = np.sqrt(((x - 25.6) ** 2 * image).sum() / image.sum())
    assert spread == pytest.approx(np.sqrt(0.7**2 + 1 / 12), rel=0.01)
    middle = np.zeros((40, 50))
    paint_points(middle, np.array([[20.0, 25.0]]), np.array([3.0]), psf=0.7)
    assert middle[20, 25] == middle.max() == pytest.approx(3.0)
    assert middle.sum() == pytest.approx(image.sum(), rel=1e-6)
    paint_points(image, np.array([[-30.0, 5.0], [90.0, 5.0]]), np.ones(2), psf=0.7)  # far outside: nothing
    assert image.sum() == pytest.approx(middle.sum(), rel=1e-6)


def test_stars_stay_in_the_sky_while_the_camera_shakes():
    camera = path_of(frames=8, pan=1.5, jitter=0.5)
    lights = PointLights(np.array([[40.0, 45.0]]), np.full((8, 1), 9.0), drift=(0.02, 0.03))
    seen = lights.seen(camera, (72, 80), 0.6)
    centres = np.array([ndimage.center_of_mass(image) for image in seen])
    expected = np.array([40.0, 45.0]) + np.arange(8)[:, None] * (0.02, 0.03) - camera.position
    assert centres == pytest.approx(expected, abs=0.02)


def test_faint_stars_are_many_and_bright_ones_few():
    camera = path_of(frames=3)
    flux = np.concatenate([night_sky(np.random.default_rng(s), camera, (256, 256), 1.0)[1].peaks[0] for s in range(30)])
    counts = [(flux > level).sum() for level in (8, 32)]
    assert len(flux) > 300 and counts[0] > 0.1 * len(flux)
    assert counts[0] / counts[1] == pytest.approx(4**1.5, rel=0.5)  # N(> F) falls with F to the power 1.5


def test_glint_flashes_on_the_sea_alone_and_towards_the_sun():
    camera = path_of(frames=20)
    seas = [glittering_sea(np.random.default_rng(seed), camera, (96, 120), 2.0) for seed in range(12)]
    near, far, lives = 0, 0, []
    for scene, lights, sea in seas:
        assert (lights.places[:, 0] > sea.horizon).all()
        azimuth = np.clip(sea.azimuth, 0, scene.fixed.shape[1])
        away = np.abs(lights.places[:, 1] - azimuth) / sea.width
        near, far = near + (away < 1).sum(), far + ((away > 2) & (away < 3)).sum()
        lives += (lights.peaks > 0).sum(axis=0)[(lights.peaks[0] == 0) & (lights.peaks[-1] == 0)].tolist()
    assert near > 5 * far > 0
    assert 1 < np.mean(lives) < 6 and max(lives) < 20


def test_a_layer_that_does_not_sway_is_seen_as_one_without_sway():
    camera = path_of(frames=4)
    canvas = camera.canvas(SHAPE)
    rng = np.random.default_rng(3)
    levels, cover = rng.uniform(20, 120, canvas), rng.uniform(0, 1, canvas)
    still = Sway(np.zeros(canvas), np.zeros(canvas), 0.3, np.ones(4))
    behind = np.full(canvas, 70.0)
    clips = [
        np.stack(list(film(Scene("", behind, layers=(Layer(levels, cover, camera, sway),)), camera, SHAPE)))
        for sway in (None, still)
    ]
    assert clips[0] == pytest.approx(clips[1], abs=1e-9)


def test_what_sways_moves_by_its_reach_at_its_pace():
    camera = path_of(frames=9, pan=0.0, jitter=0.0)
    canvas = camera.canvas(SHAPE)
    y, x = np.mgrid[: canvas[0], : canvas[1]].astype(float)
    sway = Sway(np.full(canvas, 2.0), np.zeros(canvas), 2 * np.pi / 8, np.ones(9))
    clip = np.stack(list(film(Scene("", y * 0, layers=(Layer(3 * x, y * 0 + 1, camera, sway),)), camera, SHAPE)))
    moved = (clip[0, 30, 30] - clip[:, 30, 30]) / 3
    assert moved == pytest.approx(2 * np.sin(2 * np.pi * np.arange(9) / 8), abs=1e-6)


def test_trees_sway_most_at_their_tops_and_do_not_leave_their_place():
    camera = path_of(frames=40, pan=0.0, jitter=0.0)
    for seed in range(3):
        scene = swaying_trees(np.random.default_rng(seed), camera, (96, 96), 0.6)
        for layer in scene.layers:
            assert layer.sway.reach[0].mean() > layer.sway.reach[-1].mean() and layer.sway.reach.max() <= 4.0
            assert 0.05 < layer.cover.mean() < 0.98
            assert np.abs(layer.camera.position - SPLINE_BORDER).max() == 0


def test_kinds_of_scenes_have_their_shares_and_both_classes_of_snr():
    shares = {"cloud_share": 0.25, "star_share": 0.1, "glint_share": 0.15, "tree_share": 0.2}
    config = InfraredConfig(**shares)
    kinds = [further_kind(config, index) for index in range(400)]
    for kind, share in zip(FURTHER_KINDS, shares.values(), strict=True):
        assert kinds.count(kind) / 400 == pytest.approx(share, abs=0.02)
    assert kinds.count(None) / 400 == pytest.approx(0.3, abs=0.02)
    assert {further_kind(InfraredConfig(), index) for index in range(50)} == {None}


@pytest.mark.parametrize("kind", FURTHER_KINDS)
def test_sequences_of_every_kind_hold_labelled_targets(kind):
    share = {kind.removesuffix("s") + "_share": 1.0}
    config = InfraredConfig(frames=8, size=(72, 80), empty_share=0.0, glints=9.0, **share)
    made = make_sequence(config, "train", 1)
    assert made.facts["background"] == kind and made.targets and made.masks.any()
    assert made.frames.std() > 1
    # nothing is fixed in a sky, and no spot shines through trees
    assert bool(made.facts["distractors"]["glints"]) == (kind == "glint")
    # nothing stands in a sky, and no glint of the sea shines through a pole
    built = make_sequence(replace(config, structures=9.0), "train", 1)
    assert np.array_equal(built.frames, made.frames) == (kind != "trees")
