"""Pictures that are written whole."""

import numpy as np
import pytest

from utils.images.image_files import read_frame, write_picture
from utils.system.errors import UserError
from utils.system.files import writing


@pytest.mark.parametrize(
    "picture", [np.arange(12, dtype=np.uint8).reshape(3, 4), np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000]
)
def test_a_picture_is_what_was_written(tmp_path, picture):
    write_picture(tmp_path / "below" / "a.png", picture)
    assert np.array_equal(read_frame(tmp_path / "below" / "a.png"), picture)


def test_a_picture_takes_the_place_of_a_link_and_not_of_what_it_leads_to(tmp_path):
    (tmp_path / "theirs.png").write_bytes(b"theirs")
    (tmp_path / "a.png").symlink_to(tmp_path / "theirs.png")
    write_picture(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    assert (tmp_path / "theirs.png").read_bytes() == b"theirs" and not (tmp_path / "a.png").is_symlink()


def test_a_picture_too_large_for_its_format_is_refused(tmp_path):
    with (
        pytest.raises(UserError, match=r"a.jpg: cannot be written \(70000x2 pixels are too many for this format\)"),
        writing(tmp_path / "a.jpg"),
    ):
        write_picture(tmp_path / "a.jpg", np.zeros((2, 70000, 3), np.uint8))
    assert not list(tmp_path.iterdir())
