"""One synthetic infrared sequence: the way from a seed, a split and an index to frames and labels.

A sequence depends on these three and its configuration alone: neither on the number of sequences nor on the order in
which they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.splits import SPLITS
from utils.images.boxes import cut, grow
from utils.images.snr import local_snr
from utils.synthetic.camera import Camera, Scene, camera_path, film
from utils.synthetic.infrared.brightness import CLASS_BORDER, SnrLimits, add_light, masks_of, settle
from utils.synthetic.infrared.camera_looks import Look
from utils.synthetic.infrared.config import InfraredConfig
from utils.synthetic.infrared.distractors import Distractors, Sensor, add_glints, add_pixels
from utils.synthetic.infrared.scenes import SCENE_KINDS, list_pictures, picture_scene, procedural_scene
from utils.synthetic.infrared.structures import add_structures
from utils.synthetic.infrared.targets import MAX_AREA, Track, body_of_area, propose_path, spot
from utils.system.errors import UserError

MIN_PEAK_TO_NOISE = 0.5  # of a target's brightest pixel, in deviations of the temporal noise
MAX_BRIGHTNESS_RATIO = 5.0  # between the brightest and the darkest that a target is in a clip
MIN_FRAMES = 5  # in which a target is seen at least, the length of a clip
MIN_UPPER_SNR = CLASS_BORDER + 1e-3  # in a sequence of the upper class
# 16-bit files hold what a 14-bit camera gives: level 255 is 13740 counts.
COUNTS_PER_LEVEL, BLACK_COUNT, MAX_COUNT = 48.0, 1500.0, 16383.0


@dataclass(frozen=True, eq=False)
class SyntheticTarget:
    """One target in one `frame`.

    It has its `track` (from 0), `mask` (H, W) bool, `area` in pixels, `snr`, `bbox` (x, y, width, height), `contrast`
    (1 brighter, -1 darker than its surroundings), `peak` (level it adds to its brightest pixel) and `centre` (y, x).
    """

    frame: int
    track: int
    mask: np.ndarray
    area: int
    snr: float
    bbox: list[int]
    contrast: int
    peak: float
    centre: np.ndarray


@dataclass
class SyntheticSequence:
    """A made clip with its labels.

    `frames` (T, H, W) uint8 or uint16; `masks` (T, H, W) bool; `targets` frame by frame, track after track; `facts`
    about scene, camera, tracks and distractors, as the dataset's annotations hold them.
    """

    frames: np.ndarray
    masks: np.ndarray
    targets: list[SyntheticTarget]
    facts: dict[str, Any]


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


def is_empty(config: InfraredConfig, index: int) -> bool:
    """Whether sequence `index` has no target: evenly spread over the dataset, the first ones filled."""
    return int((index + 1) * config.empty_share) > int(index * config.empty_share)


def limits_of(config: InfraredConfig, index: int) -> SnrLimits:
    """The SNR class of sequence `index`: low or high; one alone where the range leaves hardly any room for the other.

    They are mixed evenly by the golden ratio (from 0.4: then every kind of background has both within the first
    twelve).
    """
    low, high = config.snr
    some_low, some_high = 1.2 * low <= CLASS_BORDER, high >= 1.2 * CLASS_BORDER
    if not some_high or (some_low and (0.4 + 0.618034 * (index + 1)) % 1 < config.low_share):
        return SnrLimits(low, min(high, CLASS_BORDER))
    return SnrLimits(max(low, MIN_UPPER_SNR), high)


def _make_scene(config: InfraredConfig, rng: np.random.Generator, split: str, index: int, camera: Camera) -> Scene:
    canvas = camera.canvas(config.size)
    if config.backgrounds:
        pictures = pictures_of(config, split)
        place = int(rng.integers(len(pictures))) if config.pictures[1] < 0 else index % len(pictures)
        scene = picture_scene(rng, pictures[place], canvas)
    else:
        scene = procedural_scene(rng, SCENE_KINDS[index % len(SCENE_KINDS)], canvas)
    middle = scene.fixed.mean()
    drifting = None if scene.drifting is None else config.contrast * scene.drifting
    return Scene(scene.kind, middle + config.contrast * (scene.fixed - middle), drifting, scene.drift)


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
        add_glints(rng, found, config.glints, snr, scene, camera, sensor)
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
) -> list[Track]:
    """Targets for `clip`, drawn anew when one meets scenery in which the wanted SNR needs the impossible."""
    floor = MIN_PEAK_TO_NOISE * sensor.noise_level(float(clip.mean()))
    count = int(rng.integers(config.targets[0], config.targets[1] + 1))
    for _ in range(8):
        tracks = _propose_tracks(config, rng, limits, camera, sensor.psf, count)
        drawn = [len(track.spots) for track in tracks]
        settle(clip, tracks, limits, floor, lambda levels: to_counts(levels, config.bits), level_span(config.bits))
        if all(_is_steady(track, count) for track, count in zip(tracks, drawn, strict=True)):
            break
    return tracks


def _propose_tracks(
    config: InfraredConfig, rng: np.random.Generator, limits: SnrLimits, camera: Camera, psf: float, count: int
) -> list[Track]:
    aims = limits.aims()
    tracks: list[Track] = []
    for _ in range(count):
        for _ in range(200):  # a path is refused now and then; where none is ever accepted, the target is left out
            proposal = propose_path(rng, camera, config.size, config.speed, config.acceleration, tracks)
            if proposal is None:
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


def make_sequence(config: InfraredConfig, split: str, index: int) -> SyntheticSequence:
    """Sequence `index` (from 0) of `split`. The same on every machine, and whatever else is made."""
    roots = np.random.SeedSequence([config.split_seed(split), SPLITS.index(split), index]).spawn(8)
    look, move, sense, distract, aim, shine, build, develop = (np.random.Generator(np.random.PCG64(r)) for r in roots)
    limits = limits_of(config, index)
    stands = develop.uniform() < config.still_share
    camera = camera_path(move, config.frames, 0.0 if stands else config.pan, 0.0 if stands else config.jitter)
    scene = _make_scene(config, look, split, index, camera)
    add_structures(build, scene.fixed, config.structures, config.size)
    sensor = Sensor.draw(sense, config.frames, config.size, config.noise)
    clip = np.stack(list(film(scene, camera, config.size)))
    distractors = _draw_distractors(config, distract, limits, clip, scene, camera, sensor)
    clip = sensor.expose(shine, clip + distractors.light)
    tracks = [] if is_empty(config, index) else _settle_tracks(config, aim, limits, camera, sensor, clip)
    clip = np.stack([add_light(image, tracks, t) for t, image in enumerate(clip)])
    if develop.uniform() < config.look_share:
        clip = Look.draw(develop).apply(clip)
    frames = to_counts(clip, config.bits)
    masks = np.stack([masks_of(tracks, t, config.size) for t in range(config.frames)])
    tracks = [track for track in tracks if track.spots]
    snr_class = "low" if limits.high <= CLASS_BORDER else "high"
    facts = {
        "background": scene.kind,
        "snr_class": snr_class if tracks else None,
        "camera": np.round(camera.position, 4).tolist(),
        "distractors": distractors.places(),
        "tracks": [
            {"style": track.style, "snr": round(track.snr, 4), "frames": [min(track.spots), max(track.spots)]}
            for track in tracks
        ],
    }
    return SyntheticSequence(frames, masks, list(_list_targets(tracks, frames, masks)), facts)


def _list_targets(tracks: list[Track], frames: np.ndarray, masks: np.ndarray) -> Iterator[SyntheticTarget]:
    for number, track in enumerate(tracks):
        for t in sorted(track.spots):
            mask = np.zeros(masks.shape[1:], bool)
            mask[track.spots[t].window] = track.spots[t].mask
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            snr = local_snr(frames[t], mask, masks[t])
            box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
            yield SyntheticTarget(
                frame=t,
                track=number,
                mask=mask,
                area=int(mask.sum()),
                snr=round(abs(snr), 4),
                bbox=box,
                contrast=1 if snr > 0 else -1,
                peak=track.sign * track.amplitudes[t],
                centre=track.path[t],
            )


def labelled_box(box: Sequence[float], least: float, size: tuple[int, int]) -> list[float]:
    """A box x, y, width, height with sides of at least `least` pixels, about its centre.

    It is cut at the edges of a frame of `size` (H, W).
    """
    if min(box[2:]) >= least:
        return list(box)
    x, y, w, h = box
    x1, y1, x2, y2 = cut(grow(np.array([[x, y, x + w, y + h]]), least), size)[0].tolist()
    return [x1, y1, x2 - x1, y2 - y1]
