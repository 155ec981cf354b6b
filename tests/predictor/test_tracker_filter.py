"""The tracker's filter against the matrices it comes from, and its assignment against that of all pairs at once."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from utils.predictor.prediction import Component
from utils.predictor.tracking.tracker import GATE, Tracker


def found_at(x, y):
    return Component(0.9, (x - 1, y - 1, x + 2, y + 2), (x, y), 9)


def test_three_numbers_are_the_covariance_of_a_filter_of_matrices():
    """Four states x, y, vx, vy and a 4×4 covariance, as the filter is written in books."""
    rng, tracker = np.random.default_rng(0), Tracker()
    noise, agility = tracker.noise, tracker.agility
    frame, place = 0, np.array([40.0, 30.0])
    tracker.update(frame, [found_at(*place)])
    centre = place + 0.5
    state, covariance = np.array([*centre, 0, 0]), np.diag([noise**2] * 2 + [(tracker.fastest / 2) ** 2] * 2)
    for step in rng.integers(1, 4, 12):
        frame, place = frame + int(step), place + step * 0.4 + rng.normal(0, 0.5, 2)
        move, push = np.eye(4), np.zeros((4, 2))
        for axis in (0, 1):
            move[axis, axis + 2], push[axis, axis], push[axis + 2, axis] = step, agility * step**2 / 2, agility * step
        state, covariance = move @ state, move @ covariance @ move.T + push @ push.T
        gain = covariance[:, :2] @ np.linalg.inv(covariance[:2, :2] + noise**2 * np.eye(2))
        state, covariance = state + gain @ (place + 0.5 - state[:2]), covariance - gain @ covariance[:2]
        tracker.update(frame, [found_at(*place)])
        (track,) = tracker.tracks
        np.testing.assert_allclose([track.x, track.y, track.vx, track.vy], state, atol=1e-9)
        own = [track.variance, track.common, track.velocity_variance]
        np.testing.assert_allclose(own, [covariance[0, 0], covariance[0, 2], covariance[2, 2]], atol=1e-9)


@pytest.mark.parametrize("count", [1, 7, 40])
def test_targets_are_assigned_as_if_all_pairs_were_weighed_at_once(count):
    rng = np.random.default_rng(count)
    for _ in range(20):
        tracker = Tracker()
        places = rng.uniform(0, 60, (count, 2))
        tracker.update(0, [found_at(*place) for place in places])
        later = [found_at(*place) for place in rng.permutation(places)[: rng.integers(1, count + 1)] + rng.normal(0, 2)]
        for track in tracker.tracks:
            track.predict(1, tracker.agility)
        centres = np.array([[(box.box[0] + box.box[2]) / 2, (box.box[1] + box.box[3]) / 2] for box in later])
        cost = np.array(
            [
                ((centres - (track.x, track.y)) ** 2).sum(1) / (track.variance + tracker.noise**2)
                for track in tracker.tracks
            ]
        )
        rows, columns = linear_sum_assignment(np.where(cost > GATE, 1e6, cost))
        expected = [(row, column) for row, column in zip(rows, columns, strict=True) if cost[row, column] <= GATE]
        own = [(tracker.tracks.index(track), column) for track, column in tracker._assign(later)]
        assert own == expected
