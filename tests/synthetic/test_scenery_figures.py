"""The figures that compare made scenes with real ones, on frames whose figures are known."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from benchmarks.scenery import count_peaks, describe_frame, describe_sequence, main, spectral_slope
from utils.synthetic.textures import smooth_noise


def test_the_slope_of_noise_and_of_its_sum_along_rows():
    noise = np.random.default_rng(0).standard_normal((200, 256))
    assert spectral_slope(noise) == pytest.approx(0, abs=0.1)
    assert spectral_slope(np.cumsum(noise, axis=1)) == pytest.approx(-2, abs=0.25)  # a random walk


def test_each_spot_is_a_peak_bright_or_dark():
    frame = np.random.default_rng(1).normal(100, 1, (256, 256))
    points = np.zeros((256, 256))
    points[20:240:44, 20:240:44] = 300
    frame += ndimage.gaussian_filter(points, 0.8)
    figures = describe_frame(frame)
    assert figures["peaks"] == 25 and figures["dark"] == 0
    assert describe_frame(200 - frame)["dark"] == 25
    assert count_peaks(np.zeros((10, 10))) == 0
    assert figures["mean"] == pytest.approx(frame.mean()) and figures["std"] == pytest.approx(frame.std())


def test_a_ramp_has_the_gradient_of_its_slope():
    y, x = np.mgrid[:64, :64].astype(float)
    assert describe_frame(3 * x + 4 * y)["gradient"] == pytest.approx(5)


def test_repeated_frames_and_jumps_are_found():
    scene = 100 + 20 * smooth_noise(np.random.default_rng(2), (160, 160), (6, 6))
    rng = np.random.default_rng(3)
    corners = [10, 10, 10, 16, 16, 16, 16]
    frames = [scene[at : at + 128, 10:138] + rng.normal(0, 1, (128, 128)) for at in corners]
    frames[2] = frames[1]
    found = describe_sequence(frames, 3)
    assert found["repeated"] == pytest.approx(1 / 6)
    assert found["jump"] == pytest.approx(6, abs=0.2) and found["shift"] < 0.1
    assert found["change"] == pytest.approx(2**0.5, rel=0.05)


def test_the_command_prints_a_row_for_each_sequence_and_its_shares(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for t in range(3):
            picture = np.random.default_rng(t).integers(0, 255, (64, 64), np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{t}.png"), picture)
    main([str(tmp_path), "--json", str(tmp_path / "rows.json")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["a", "b", "10 % at most", "50 % at most", "90 % at most"]
    assert (tmp_path / "rows.json").exists()
