"""The worst misses and false alarms of boxes are those that the metrics of boxes count."""

import numpy as np
import pytest

from utils.datasets.frame_table import Frame
from utils.metrics.breakdown import BoxLog
from utils.metrics.detection import FALSE, LEFT_OUT, DetectionMetrics, judge
from utils.metrics.target_facts import TargetFacts

SHAPE = (48, 64)
EMPTY = np.zeros((0, 5))


def frame_of(number):
    return Frame("s", number, f"{number}.png", None, ())


def boxes_at(*rows):
    """Boxes of 6x6 px around x, y, and what follows."""
    found = [[x - 3, y - 3, x + 3, y + 3, *more] for x, y, *more in rows]
    return np.array(found, float) if found else EMPTY


def random_frame(rng, classes):
    true = boxes_at(*((*rng.uniform((8, 8), (56, 40)), rng.integers(classes)) for _ in range(rng.integers(1, 4))))
    near = [(*((row[:2] + row[2:4]) / 2 + rng.normal(0, 2, 2)).clip(6, 40), rng.random(), row[4]) for row in true]
    far = [(*rng.uniform((8, 8), (56, 40)), rng.random(), rng.integers(classes)) for _ in range(rng.integers(3))]
    ignored = boxes_at(*((*rng.uniform((8, 8), (56, 40)), rng.integers(classes)) for _ in range(rng.integers(2))))
    return boxes_at(*near, *far), true, ignored


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9])
def test_as_many_are_missed_and_false_as_the_metrics_count(classes, threshold):
    rng, metrics, log = np.random.default_rng(classes), DetectionMetrics(), BoxLog(TargetFacts(None), threshold)
    for number in range(60):
        metrics.update(*random_frame(rng, classes))
        log(frame_of(number), rng.normal(100, 3, SHAPE), metrics.found[-1], metrics.true[-1], metrics.ignored[-1])
    figures = metrics.compute(threshold)
    assert len(log.found) == figures["targets"] and sum(log.found) == figures["centre_matched"] > 0
    alarms = [alarm for frames in log.alarms.values() for own in frames.values() for alarm in own]
    assert len(alarms) == figures["centre_false_detections"] > 0
    assert all(alarm.score > threshold for alarm in alarms)


def test_boxes_that_touch_are_told_apart():
    """As one component they would have a centre between them, and hit nothing."""
    true = boxes_at((20, 20, 0), (26, 20, 0))
    found = boxes_at((20, 20, 0.9, 0), (26, 20, 0.8, 0))
    log = BoxLog(TargetFacts(None), 0.5)
    log(frame_of(0), np.random.default_rng(0).normal(100, 3, SHAPE), found, true, EMPTY)
    assert log.found == [True, True] and log.peaks == [0.9, 0.8] and not log.alarms
    assert [target.centroid for target in log.targets] == [(19.5, 19.5), (19.5, 25.5)]
    assert [target.area for target in log.targets] == [36, 36]


def test_the_surest_false_alarm_and_the_clearest_miss_come_first():
    image = np.random.default_rng(0).normal(100, 3, SHAPE)
    image[27:33, 17:23] += 30
    true = boxes_at((20, 30, 0), (50, 30, 0))
    found = boxes_at((10, 10, 0.9, 0), (40, 10, 0.7, 0), (20, 31, 0.3, 0))
    log = BoxLog(TargetFacts(None), 0.5)
    for number in range(3):
        log(frame_of(number), image, found, true, EMPTY)
    (alarm, frames), (other, _) = log.worst_alarms()
    assert (alarm.centroid, alarm.score, alarm.area, frames) == ((9.5, 9.5), 0.9, 36, 3) and other.score == 0.7
    (target, peak, frames), (faint, none, _) = log.worst_misses()
    assert target.centroid == (29.5, 19.5) and (peak, frames) == (0.3, 3) and target.snr > 5 > faint.snr and none == 0


def test_what_a_detection_is():
    true, regions = boxes_at((20, 20, 0), (40, 20, 1)), boxes_at((50, 40, 0))
    found = boxes_at((21, 20, 0.9, 0), (20, 20, 0.8, 0), (40, 20, 0.7, 0), (40, 20, 0.6, 1), (50, 40, 0.5, 0))
    assert judge(found, true, regions, "centre").tolist() == [0, FALSE, FALSE, 1, LEFT_OUT]
    many = np.repeat(boxes_at((60, 20, 0.4, 0)), 150, 0)
    assert (judge(many, true, regions, "iou") == FALSE).sum() == 100
    assert judge(np.zeros((0, 6)), true, regions, "iou").tolist() == []
