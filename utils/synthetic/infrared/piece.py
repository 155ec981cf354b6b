"""One piece of a synthetic infrared sequence: what a camera takes of one scene, with its targets.

A piece depends on its streams of random numbers and its configuration alone. Each kind of thing has a stream of its
own, so that none depends on what else there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.datasets.splits import SPLITS
from utils.synthetic.camera import Camera, Scene, camera_path, film
from utils.synthetic.infrared.brightness import SnrLimits, add_light, settle
from utils.synthetic.infrared.config import InfraredConfig
from utils.synthetic.infrared.creatures import make_birds, make_insects
from utils.synthetic.infrared.distractors import Distractors, Sensor, add_glints, add_pixels
from utils.synthetic.infrared.optics import PointLights
from utils.synthetic.infrared.recording import add_jumps
from utils.synthetic.infrared.scenery.glitter import glittering_sea
from utils.synthetic.infrared.scenery.scenes import SCENE_KINDS, list_pictures, picture_scene, procedural_scene
from utils.synthetic.infrared.scenery.skies import cloudy_sky, night_sky
from utils.synthetic.infrared.scenery.structures import add_structures
from utils.synthetic.infrared.scenery.vegetation import swaying_trees
from utils.synthetic.infrared.sensor_faults import flashes, streaks, stripes
from utils.synthetic.infrared.targets import MAX_AREA, Track, body_of_area, propose_path, spot
from utils.system.errors import UserError

MIN_PEAK_TO_NOISE = 0.5  # of a target's brightest pixel, in deviations of the temporal noise
MAX_BRIGHTNESS_RATIO = 5.0  # between the brightest and the darkest that a target is in a clip
MIN_FRAMES = 5  # in which a target is seen at least, the length of a clip
CLEAR_SKY = 2.5  # levels: largest standard deviation of what is called clear, without noise
CLEAR_PX = 10  # around a place, in which that is measured
HOVER_TRIES = 60  # for a clear place, after which a target flies on instead
# The streams of random numbers. New ones are added at the end, so that what the others make stays the same.
STREAMS = (
    *("look", "move", "sense", "distract", "aim", "shine", "build", "develop"),
    *("jump", "birds", "insects", "stripes", "flashes", "streaks", "time", "noise"),
)
FURTHER_KINDS = ("clouds", "stars", "glint", "trees")
# What would be wrong to see: nothing stands in a sky, nothing lies fixed in it; light of the sea, which is added last,
# would shine through what stands before it, and spots through the trees before them.
WITHOUT_STRUCTURES = ("clouds", "stars", "glint")
WITHOUT_GLINTS = ("clouds", "stars", "trees")
# 16-bit files hold what a 14-bit camera gives: level 255 is 13740 counts.
COUNTS_PER_LEVEL, BLACK_COUNT, MAX_COUNT = 48.0, 1500.0, 16383.0


def to_counts(levels: np.ndarray, bits: int) -> np.ndarray:
    """Levels as they are written: rounded and limited, uint8 or uint16."""
    if bits == 8:
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.clip(np.rint(BLACK_COUNT + COUNTS_PER_LEVEL * levels), 0, MAX_COUNT).astype(np.uint16)


def level_span(bits: int) -> tuple[float, float]:
    """Darkest and brightest level that survives `to_counts`."""
    if bits == 8:
        return 0.0, 255.0
    return -BLACK_COUNT / COUNTS_PER_LEVEL, (MAX_COUNT - BLACK_COUNT) / COUNTS_PER_LEVEL


@dataclass
class Piece:
    """What a camera takes of one scene.

    `clip` (T, H, W) levels, with all light; `tracks`: targets, birds and insects that are seen, by frames of the piece;
    `scene` and `camera`: what was filmed from where; `distractors`: what looks like a target and is none.
    """

    clip: np.ndarray
    tracks: list[Track]
    scene: Scene
    camera: Camera
    distractors: Distractors


def streams_of(config: InfraredConfig, split: str, index: int, piece: int = 0) -> dict[str, np.random.Generator]:
    """The random numbers of a piece, a stream for each of `STREAMS`."""
    # entropy is filled up with zeros: the first piece has the streams of the sequence
    roots = np.random.SeedSequence([config.split_seed(split), SPLITS.index(split), index, piece]).spawn(len(STREAMS))
    return {name: np.random.Generator(np.random.PCG64(root)) for name, root in zip(STREAMS, roots, strict=True)}


def further_kind(config: InfraredConfig, index: int) -> str | None:
    """Which of the further kinds of scenes sequence `index` shows, or None.

    They are mixed evenly by another irrational number than the classes of SNR, so that each kind has both.
    """
    place, below = (0.5 + 0.7548776662 * (index + 1)) % 1, 0.0
    for kind in FURTHER_KINDS:
        below += getattr(config, kind.removesuffix("s") + "_share")
        if place < below:
            return kind
    return None


def _make_scene(
    config: InfraredConfig, rng: np.random.Generator, split: str, index: int, camera: Camera, sensor: Sensor
) -> tuple[Scene, PointLights | None]:
    noise, kind, lights = sensor.noise_level(60.0), further_kind(config, index), None
    if kind == "clouds":
        scene = cloudy_sky(rng, camera, config.size, sensor.psf)
    elif kind == "stars":
        scene, lights = night_sky(rng, camera, config.size, noise)
    elif kind == "glint":
        scene, lights, _ = glittering_sea(rng, camera, config.size, noise)
    elif kind == "trees":
        scene = swaying_trees(rng, camera, config.size, sensor.psf)
    elif config.backgrounds:
        pictures = pictures_of(config, split)
        place = int(rng.integers(len(pictures))) if config.pictures[1] < 0 else index % len(pictures)
        scene = picture_scene(rng, pictures[place], camera.canvas(config.size))
    else:
        scene = procedural_scene(rng, SCENE_KINDS[index % len(SCENE_KINDS)], camera.canvas(config.size))
    return _with_contrast(scene, config.contrast), lights


def _with_contrast(scene: Scene, factor: float) -> Scene:
    """The scene with its levels farther from, or nearer to, its middle."""
    middle = scene.fixed.mean()

    def change(levels: np.ndarray) -> np.ndarray:
        return middle + factor * (levels - middle)

    return replace(
        scene,
        fixed=change(scene.fixed),
        drifting=None if scene.drifting is None else factor * scene.drifting,
        layers=tuple(replace(layer, levels=change(layer.levels)) for layer in scene.layers),
    )


def pictures_of(config: InfraredConfig, split: str) -> list[Path]:
    """The background pictures of a split.

    Raises:
        UserError: there is no such folder, or too few pictures in it.
    """
    pictures = list_pictures(config.backgrounds)
    first, last = config.pictures
    if last >= len(pictures):
        raise UserError(
            f"--pictures: found {first} {last}, expected numbers below {len(pictures)}, the pictures in "
            f"{config.backgrounds}; change --pictures"
        )
    if last >= 0:
        return pictures[first : last + 1]
    if len(pictures) >= 5:  # every fifth picture is for testing alone
        pictures = [p for i, p in enumerate(pictures) if (i % 5 == 4) == (split == "test")]
    return pictures


def _draw_distractors(
    config: InfraredConfig,
    rng: np.random.Generator,
    limits: SnrLimits,
    clip: np.ndarray,
    scene: Scene,
    camera: Camera,
    sensor: Sensor,
) -> Distractors:
    found = Distractors(np.zeros_like(clip))
    if config.distractors:
        snr = (limits.low, limits.high)
        middle = clip[len(clip) // 2]
        deviation = (middle.std() ** 2 / 4 + sensor.noise_level(middle.mean()) ** 2) ** 0.5
        for blinking, mean in ((False, config.hot_pixels), (True, config.blinking_pixels)):
            add_pixels(rng, found, int(rng.poisson(mean)), blinking, snr, deviation)
        if scene.kind not in WITHOUT_GLINTS:
            clear = CLEAR_SKY if config.hover_share else 0.0
            add_glints(rng, found, config.glints, snr, scene, camera, sensor, clear)
    return found


def _is_steady(track: Track, drawn: int) -> bool:
    """Whether a settled track kept nearly all frames it was drawn with, at a brightness that real targets have."""
    peaks = track.amplitudes.values()
    return len(track.spots) >= max(MIN_FRAMES, 0.9 * drawn) and max(peaks) <= MAX_BRIGHTNESS_RATIO * min(peaks)


def _settle_tracks(
    config: InfraredConfig,
    rng: np.random.Generator,
    limits: SnrLimits,
    camera: Camera,
    sensor: Sensor,
    clip: np.ndarray,
    is_clear: Callable[[np.ndarray], bool],
) -> list[Track]:
    """Targets for `clip`, drawn anew when one meets scenery in which the wanted SNR needs the impossible."""
    floor = MIN_PEAK_TO_NOISE * sensor.noise_level(float(clip.mean()))
    count = int(rng.integers(config.targets[0], config.targets[1] + 1))
    for _ in range(8):
        tracks = _propose_tracks(config, rng, limits, camera, sensor.psf, count, is_clear)
        drawn = [len(track.spots) for track in tracks]
        settle(clip, tracks, limits, floor, lambda levels: to_counts(levels, config.bits), level_span(config.bits))
        if all(_is_steady(track, count) for track, count in zip(tracks, drawn, strict=True)):
            break
    return tracks


def _propose_tracks(
    config: InfraredConfig,
    rng: np.random.Generator,
    limits: SnrLimits,
    camera: Camera,
    psf: float,
    count: int,
    is_clear: Callable[[np.ndarray], bool],
) -> list[Track]:
    aims = limits.aims()
    tracks: list[Track] = []
    for _ in range(count):
        hovers = bool(config.hover_share) and rng.uniform() < config.hover_share
        for attempt in range(200):  # a path is refused now and then; where none is accepted, the target is left out
            speed = None if hovers and attempt < HOVER_TRIES else config.speed
            proposal = propose_path(rng, camera, config.size, speed, config.acceleration, tracks)
            if proposal is None or (speed is None and not is_clear(proposal[1])):
                continue
            style, path, rate, inside = proposal
            motion = rate * camera.exposure
            area = float(np.exp(rng.uniform(*np.log(config.area))))
            body = body_of_area(rng, area, psf, float(np.hypot(*motion[inside].T).mean()))
            track = Track(
                style,
                path,
                body,
                float(rng.uniform(aims.low, aims.high)),
                -1 if rng.uniform() < config.dark_share else 1,
            )
            seen = {int(t): spot(body, path[t], motion[t], config.size) for t in inside}
            track.spots = {t: s for t, s in seen.items() if s is not None}
            if len(track.spots) >= MIN_FRAMES and max(s.area for s in track.spots.values()) <= MAX_AREA:
                tracks.append(track)
                break
    return tracks


def _clear_places(film_levels: np.ndarray) -> Callable[[np.ndarray], bool]:
    """Whether a path (T, 2) lies before nothing but clear sky, from what is filmed, (T, H, W) levels without noise."""

    def is_clear(path: np.ndarray) -> bool:
        for t in {0, len(path) // 2, len(path) - 1}:
            y, x = np.rint(path[t]).astype(int)
            around = film_levels[
                t, max(y - CLEAR_PX, 0) : max(y + CLEAR_PX + 1, 0), max(x - CLEAR_PX, 0) : max(x + CLEAR_PX + 1, 0)
            ]
            if around.size == 0 or around.std() > CLEAR_SKY:
                return False
        return True

    return is_clear


def make_piece(
    config: InfraredConfig,
    split: str,
    index: int,
    frames: int,
    streams: dict[str, np.random.Generator],
    limits: SnrLimits,
    empty: bool,
) -> Piece:
    """One piece of a sequence.

    Args:
        config: what it contains.
        split: it belongs to.
        index: decides on the kind of scene.
        frames: of the piece.
        streams: its random numbers.
        limits: of its targets' SNR.
        empty: whether it has no target.
    """
    stands = streams["develop"].uniform() < config.still_share
    camera = camera_path(streams["move"], frames, 0.0 if stands else config.pan, 0.0 if stands else config.jitter)
    if config.jumps:
        camera = add_jumps(streams["jump"], camera, config.jumps, config.jump_size)
    noise = config.noise
    if config.least_noise:
        noise *= (config.least_noise / noise) ** streams["noise"].uniform()
    sensor = Sensor.draw(streams["sense"], frames, config.size, noise, config.psf)
    scene, lights = _make_scene(config, streams["look"], split, index, camera, sensor)
    if scene.kind not in WITHOUT_STRUCTURES:
        add_structures(streams["build"], scene.fixed, config.structures, config.size)
    clip = np.stack(list(film(scene, camera, config.size)))
    if lights is not None:
        clip = clip + lights.seen(camera, config.size, sensor.psf)
    is_clear = _clear_places(clip)
    creatures = _draw_creatures(config, streams, limits, clip, camera, sensor, empty)
    distractors = _draw_distractors(config, streams["distract"], limits, clip, scene, camera, sensor)
    clip = np.stack([add_light(image, creatures, t) for t, image in enumerate(clip)])
    clip = sensor.expose(streams["shine"], clip + distractors.light)
    clip = _add_faults(config, streams, limits, clip, sensor)
    tracks = [] if empty else _settle_tracks(config, streams["aim"], limits, camera, sensor, clip, is_clear)
    clip = np.stack([add_light(image, tracks, t) for t, image in enumerate(clip)])
    return Piece(clip, [track for track in [*tracks, *creatures] if track.spots], scene, camera, distractors)


def _draw_creatures(
    config: InfraredConfig,
    streams: dict[str, np.random.Generator],
    limits: SnrLimits,
    clip: np.ndarray,
    camera: Camera,
    sensor: Sensor,
    empty: bool,
) -> list[Track]:
    """Birds and insects; those that count as targets are not in an empty sequence."""
    found, snr = [], (limits.low, limits.high)
    for make, name, density, labels in (
        (make_birds, "birds", config.birds, config.bird_labels),
        (make_insects, "insects", config.insects, config.insect_labels),
    ):
        if density and not (empty and labels == "target"):
            found += make(streams[name], clip, density, snr, camera, sensor)
    return found


def _add_faults(
    config: InfraredConfig,
    streams: dict[str, np.random.Generator],
    limits: SnrLimits,
    clip: np.ndarray,
    sensor: Sensor,
) -> np.ndarray:
    """The clip with what is wrong with the sensor."""
    frames, noise = len(clip), sensor.noise_level(float(clip.mean()))
    if config.stripes:
        clip = clip + stripes(streams["stripes"], frames, config.size, config.stripes * noise)
    if config.flashes:
        peak = 2 * noise * limits.low, 2 * noise * limits.high
        clip = clip + flashes(streams["flashes"], frames, config.size, config.flashes, peak)
    if config.streak_share and streams["streaks"].uniform() < config.streak_share:
        clip = clip + streaks(streams["streaks"], frames, config.size)
    return clip
