"""Arrays out of MATLAB files: the same as SciPy's, and files that made its reader end the process."""

import struct
import zlib

import numpy as np
import pytest
import scipy.io

from utils.images.formats.mat_files import read_mat
from utils.system.errors import UserError

TYPES = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")


def save(path, array, **options):
    scipy.io.savemat(path, {"other": np.zeros((2, 2)), "text": "x", "Mix": array, "z": {"a": 1}}, **options)
    return path


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1), (2, 3), (7,), (0, 3), (1, 1, 2, 2)])
def test_arrays_are_those_of_scipy(tmp_path, shape, packed):
    rng = np.random.default_rng(0)
    for kind in TYPES:
        for scale in (50, 1e5):
            array = rng.normal(0, scale, shape).astype("f8").astype(kind)
            path = save(tmp_path / "x.mat", array, do_compression=packed)
            own, theirs = read_mat(path, "Mix"), scipy.io.loadmat(path)["Mix"]
            assert (
                own.dtype == theirs.dtype and own.shape == theirs.shape and np.array_equal(own, theirs, equal_nan=True)
            )
    assert read_mat(path, "Max") is None


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "?"])
def test_arrays_of_version_4_are_those_of_scipy(tmp_path, kind):
    array = np.arange(12).reshape(3, 4).astype(kind)
    scipy.io.savemat(tmp_path / "x.mat", {"a": np.ones(3), "Mix": array}, format="4")
    own, theirs = read_mat(tmp_path / "x.mat", "Mix"), scipy.io.loadmat(tmp_path / "x.mat")["Mix"]
    assert own.dtype == theirs.dtype and np.array_equal(own, theirs)


def test_a_file_of_the_other_byte_order(tmp_path):
    head = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI"
    parts = [
        (6, struct.pack(">II", 12, 0)),
        (5, struct.pack(">ii", 1, 3)),
        (1, b"Mix"),
        (5, struct.pack(">iii", 1, 2, 3)),
    ]
    body = b"".join(struct.pack(">II", kind, len(part)) + part + bytes(-len(part) % 8) for kind, part in parts)
    (tmp_path / "x.mat").write_bytes(head + struct.pack(">II", 14, len(body)) + body)
    assert read_mat(tmp_path / "x.mat", "Mix").tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "value, text",
    [
        (np.ones((2, 2), complex), "kind complex double"),
        ("text", "kind char"),
        ({"a": 1}, "kind struct"),
        (np.array([1, "x"], object), "kind cell"),
        (scipy.sparse.eye(3), "kind sparse"),
    ],
)
def test_what_is_no_array_of_numbers(tmp_path, value, text):
    with pytest.raises(UserError, match=f"found Mix of {text} .*expected numbers"):
        read_mat(save(tmp_path / "x.mat", value), "Mix")


@pytest.mark.parametrize("packed", [True, False])
def test_no_byte_of_a_file_leads_further_than_the_file(tmp_path, packed):
    """Extreme numbers at every place of the head; SciPy's reader reads beyond its memory at some of them."""
    data = save(tmp_path / "x.mat", np.arange(24.0).reshape(2, 3, 4)).read_bytes()
    first = data.index(b"Mix") - 48
    for place in range(first, first + 88, 4):
        for value in (0, 3, 0x7FFFFFFF, 0xFFFFFFFF, 0x00040002, 0xFFFF0002):
            changed = data[:place] + struct.pack("<I", value) + data[place + 4 :]
            if packed:
                body = zlib.compress(changed[first - 8 :])
                changed = changed[: first - 8] + struct.pack("<II", 15, len(body)) + body
            (tmp_path / "x.mat").write_bytes(changed)
            try:
                found = read_mat(tmp_path / "x.mat", "Mix")
                assert found is None or found.size <= 24
            except UserError as error:
                assert "x.mat" in str(error)


def test_files_that_end_early_and_newer_ones(tmp_path):
    data = save(tmp_path / "x.mat", np.arange(24.0)).read_bytes()
    for size in (0, 3, 20, 127, 128, 130, 136, 300, len(data) - 200):
        (tmp_path / "x.mat").write_bytes(data[:size])
        try:
            assert read_mat(tmp_path / "x.mat", "Mix") is None
        except UserError as error:
            assert "not a readable .mat file" in str(error)
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match="of version 7.3; save it with -v7"):
        read_mat(tmp_path / "x.mat", "Mix")
