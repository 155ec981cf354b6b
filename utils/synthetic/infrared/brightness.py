"""Local signal-to-noise ratio of a small target, and the brightness that gives a target the ratio it should have.

SNR = |mean of the target's pixels − mean of a 10-pixel ring around it| / standard deviation of the ring.

The ring holds the pixels that are no target's and lie at most `RING` pixels (Euclidean, centre to centre) from the
nearest pixel of the target, as far as they are inside the image. Other targets' pixels belong to no ring. The light of
a target outside its mask (below half of its peak) stays in the ring: the definition knows the mask alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from utils.images.snr import local_snr, ring_of, surroundings
from utils.synthetic.infrared.targets import Spot, Track
from utils.system.packages.late import ndimage

CLASS_BORDER = 3.0  # a sequence's targets are all at or below this SNR, or all above it
MAX_SNR_DRIFT = 2.0  # factor by which a target's SNR may drift around its own, so that its brightness changes slowly


@dataclass(frozen=True)
class Response:
    """How the SNR of one target in one frame answers to its amplitude `a`, before rounding.

    It is (contrast + a·gain) / sqrt(variance + 2·a·covariance + a²·spill), spill being the target's own light in its
    ring.
    """

    contrast: float
    gain: float
    variance: float
    covariance: float
    spill: float

    @classmethod
    def measure(cls, image: np.ndarray, light: np.ndarray, mask: np.ndarray, ring: np.ndarray) -> Response:
        """From the frame without this target, its light at amplitude 1, its pixels and its ring, all (h, w)."""
        around, own = image[ring], light[ring]
        return cls(
            float(image[mask].mean() - around.mean()),
            float(light[mask].mean() - own.mean()),
            float(around.var()),
            float((around * own).mean() - around.mean() * own.mean()),
            float(own.var()),
        )

    def snr(self, amplitude: float) -> float:
        """The SNR at an amplitude, with the sign of the contrast."""
        variance = self.variance + 2 * amplitude * self.covariance + amplitude**2 * self.spill
        return (self.contrast + amplitude * self.gain) / max(variance, 1e-12) ** 0.5

    def amplitude(self, snr: float, sign: int = 1) -> float:
        """The smallest amplitude ≥ 0 of a target (dark if `sign` is −1) at which its SNR is `snr` with that sign.

        Infinite if the target's own light in the ring keeps it below for ever.
        """
        d, k, c = sign * self.contrast, self.gain, sign * self.covariance
        if d >= snr * max(self.variance, 1e-12) ** 0.5:
            return 0.0
        # (d + a·k)² = snr²·(v + 2ac + a²w), a quadratic in a; only roots where the contrast has the right sign count.
        square = k**2 - snr**2 * self.spill
        linear = d * k - snr**2 * c
        constant = d**2 - snr**2 * self.variance
        if abs(square) < 1e-12:
            roots = [-constant / (2 * linear)] if linear else []
        else:
            under = linear**2 - square * constant
            roots = [(-linear + side * under**0.5) / square for side in (-1, 1)] if under >= 0 else []
        fitting = [a for a in roots if a >= 0 and d + a * k >= 0]
        return min(fitting, default=float("inf"))


@dataclass(frozen=True)
class SnrLimits:
    """The SNR a sequence's targets may have in a frame as written: `low` ≤ SNR ≤ `high`."""

    low: float
    high: float

    def aims(self) -> SnrLimits:
        """What to aim at: away from the limits, and farthest from the border between the classes.

        Away from the limits, neither rounding nor another shape of the ring leads out.
        """
        width = 0.2 * (self.high - self.low)
        below, above = (0.1 if abs(limit - CLASS_BORDER) < 0.01 else 0.03 for limit in (self.low, self.high))
        return SnrLimits(self.low + min(below * self.low, width), self.high - min(above * self.high, width))


@dataclass(frozen=True)
class _Place:
    """A target's surroundings in one frame: its light, pixels and ring inside `window`."""

    window: tuple[slice, slice]
    light: np.ndarray
    mask: np.ndarray
    ring: np.ndarray


def _place(spot: Spot, targets: np.ndarray) -> _Place:
    light, mask = np.zeros(targets.shape), np.zeros(targets.shape, bool)
    light[spot.window], mask[spot.window] = spot.light, spot.mask
    window = surroundings(mask)
    return _Place(window, light[window], mask[window], ring_of(mask[window], targets[window]))


def masks_of(tracks: list[Track], frame: int, shape: tuple[int, int]) -> np.ndarray:
    """All targets' pixels in one frame: (H, W) bool."""
    mask = np.zeros(shape, bool)
    for track in tracks:
        if frame in track.spots:
            mask[track.spots[frame].window] |= track.spots[frame].mask
    return mask


def add_light(image: np.ndarray, tracks: list[Track], frame: int, without: Track | None = None) -> np.ndarray:
    """A copy of `image` (H, W) with the light of all tracks that are settled and seen in this frame, but `without`."""
    image = image.copy()
    for track in tracks:
        if track is not without and frame in track.amplitudes:
            image[track.spots[frame].window] += track.sign * track.amplitudes[frame] * track.spots[frame].light
    return image


def _smooth_between(wanted: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """A slowly changing positive series near `wanted` that stays between `lower` and `upper`."""
    low, high = np.log(lower), np.log(upper)
    series = ndimage.gaussian_filter1d(np.log(wanted), 6.0, mode="nearest")
    for _ in range(60):
        series = ndimage.gaussian_filter1d(np.clip(series, low, high), 1.5, mode="nearest")
    return np.exp(np.clip(series, low, high))


def _amplitude_range(
    response: Response, track: Track, limits: SnrLimits, floor: float, room: float
) -> tuple[float, float, float] | None:
    """Wanted, lowest and highest amplitude in one frame, or None if no amplitude puts the SNR between the limits."""
    lowest = max(response.amplitude(max(limits.low, track.snr / MAX_SNR_DRIFT), track.sign), floor)
    if lowest > room:
        lowest = max(response.amplitude(limits.low, track.sign), floor)
    highest = min(response.amplitude(min(limits.high, track.snr * MAX_SNR_DRIFT), track.sign), room)
    if lowest > room or track.sign * response.snr(track.sign * lowest) > limits.high:
        return None
    wanted = min(max(response.amplitude(track.snr, track.sign), floor), room)
    return wanted, lowest, max(highest, lowest)


def settle(
    clip: np.ndarray,
    tracks: list[Track],
    limits: SnrLimits,
    floor: float,
    write: Callable[[np.ndarray], np.ndarray],
    span: tuple[float, float],
) -> None:
    """Give every track its amplitudes, so that its SNR lies between `limits` in each frame as written.

    A target's brightness changes slowly over the clip; the SNR follows from it and from what lies behind the target,
    and stays within a factor `MAX_SNR_DRIFT` of the track's own SNR where the scene allows it. A frame in which no
    brightness reaches the limits (a saturated or too restless background) loses the target, in image and mask alike.

    Args:
        clip: (T, H, W) levels without targets, noise included.
        tracks: changed in place: `amplitudes` filled, `spots` that cannot be settled removed.
        limits: of the SNR in every frame.
        floor: least amplitude, levels; a target is never invisible in the absence of clutter.
        write: (H, W) levels → what will be written, any integer type.
        span: darkest and brightest level that can be written.
    """
    aims = limits.aims()
    places = {}
    for frame in range(len(clip)):
        targets = masks_of(tracks, frame, clip.shape[1:])
        places.update({(id(t), frame): _place(t.spots[frame], targets) for t in tracks if frame in t.spots})
    for _ in range(2 if len(tracks) > 1 else 1):  # the second time with the light of all the others
        for track in tracks:
            _brighten(clip, tracks, track, places, aims, floor, span)
    for frame in range(len(clip)):
        _correct(clip[frame], [t for t in tracks if frame in t.spots], frame, places, limits, floor, write)


def _brighten(
    clip: np.ndarray,
    tracks: list[Track],
    track: Track,
    places: dict,
    aims: SnrLimits,
    floor: float,
    span: tuple[float, float],
) -> None:
    ranges = {}
    for frame in sorted(track.spots):
        place = places[id(track), frame]
        image = add_light(clip[frame], tracks, frame, without=track)[place.window]
        light, under = place.light[place.mask], image[place.mask]
        room = float(((span[1] - under if track.sign > 0 else under - span[0]) / light).min())
        response = Response.measure(image, place.light, place.mask, place.ring)
        found = _amplitude_range(response, track, aims, floor, room) if room > floor else None
        if found is not None:
            ranges[frame] = found
    track.spots = {frame: spot for frame, spot in track.spots.items() if frame in ranges}
    series = _smooth_between(*np.array(list(ranges.values())).T) if ranges else []
    track.amplitudes = dict(zip(ranges, map(float, series), strict=True))


def _correct(
    image: np.ndarray,
    tracks: list[Track],
    frame: int,
    places: dict,
    limits: SnrLimits,
    floor: float,
    write: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Nudge the amplitudes of one frame until every SNR as written is between the limits; drop what never is."""
    aims = limits.aims()
    shift = {id(track): 0.0 for track in tracks}
    for attempt in range(12 * len(tracks) + 1):
        tracks = [track for track in tracks if frame in track.spots]
        image_written = write(add_light(image, tracks, frame))
        targets = masks_of(tracks, frame, image.shape)
        wrong = []
        for track in tracks:
            mask = np.zeros(image.shape, bool)
            mask[track.spots[frame].window] = track.spots[frame].mask
            snr = track.sign * local_snr(image_written, mask, targets)
            if not limits.low <= snr <= limits.high:
                wrong.append((track, snr))
        if not wrong:
            return
        for track, snr in wrong:
            place = places[id(track), frame]
            rest = add_light(image, tracks, frame, without=track)[place.window]
            shift[id(track)] += float(np.clip(snr, aims.low, aims.high)) - snr
            goal = float(np.clip(snr, aims.low, aims.high)) + shift[id(track)]
            amplitude = Response.measure(rest, place.light, place.mask, place.ring).amplitude(max(goal, 0), track.sign)
            if attempt % 12 == 11 or not floor <= amplitude < float("inf"):
                del track.spots[frame], track.amplitudes[frame]
                break
            track.amplitudes[frame] = amplitude
    raise AssertionError("every twelfth attempt drops a target, so that there is nothing left to correct")
