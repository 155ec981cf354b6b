"""The Python lines of the README, run as they stand there."""
import re

import cv2
import numpy as np
import pytest
from scripts import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
COUNT, SIZE = 12, (96, 128)  # frames, and their height and width


def place(number):
    """Where the target is, (x, y) in pixels."""
    return 20 + 3 * number, 50


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with what a reader has: the project's weights, and a video of a small target over clouds."""
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:SIZE[0], :SIZE[1]]
    clouds = 100 + 200 * cv2.GaussianBlur(rng.normal(0, 1, SIZE), (0, 0), 6)
    video = cv2.VideoWriter(str(tmp_path / "my_video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, SIZE[::-1])
    for number in range(COUNT):
        at = place(number)
        spot = 60 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2.5)
        frame = np.clip(clouds + rng.normal(0, 4, SIZE) + spot, 0, 255).astype(np.uint8)
        video.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    video.release()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("block", BLOCKS or [""], ids=range(len(BLOCKS) or 1))
def test_python_lines_find_the_target(block, reader, capsys):
    assert 1 <= len(block.splitlines()) <= 10
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    printed = re.findall(r"^my_video (\d+) \(([\d.]+), ([\d.]+)\) [\d.]+$", capsys.readouterr().out, re.M)
    found = {number for number, *at in printed if np.hypot(*np.subtract(place(int(number)), list(map(float, at)))) < 2}
    assert len(found) > COUNT // 2
