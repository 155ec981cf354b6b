"""Damage to checkpoints, at every byte: each is found, and the checkpoint before is taken."""

import io
import shutil
import zipfile

import pytest
import torch
from checkpoints import same

from utils.predictor.checkpoint import CHECKPOINT_VERSION, load_file, save_checkpoint
from utils.predictor.checksum import SealedFile, check_seal
from utils.system import files
from utils.system.errors import UserError

DAMAGED = r"x\.pt: not a readable checkpoint \(BadZipFile\): damaged"
CONTENT = {
    "network": {"weight": torch.arange(12.0).reshape(3, 4), "steps": torch.tensor(7)},
    "config": {"lr": 1e-3, "name": "é"},
}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "x.pt", CONTENT)
    return tmp_path / "x.pt"


def test_one_flipped_bit_anywhere_is_found(path):
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at * 5 + at // 8) % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=DAMAGED):
            load_file(path)
    path.write_bytes(whole)
    same(load_file(path), {"version": CHECKPOINT_VERSION, **CONTENT})


def test_every_bit_of_the_checksum_and_of_the_archives_end_is_covered(path):
    whole = path.read_bytes()
    for at in range(len(whole) - 22 - 72, len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=DAMAGED):
                load_file(path)


def test_a_file_that_is_cut_off_is_found(path):
    whole = path.read_bytes()
    for length in (*range(0, len(whole) - 150, 7), *range(len(whole) - 150, len(whole))):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"x\.pt: not a readable checkpoint"):
            load_file(path)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "more",
    [b"\0", b"\n", bytes(22), bytes(100_000), "itself"],
    ids=["a zero", "a line", "22 zeros", "100,000 zeros", "itself"],
)
def test_bytes_behind_the_end_are_found(path, more, old):
    if old:
        torch.save(CONTENT, path)
    whole = path.read_bytes()
    path.write_bytes(whole + (b"\0" + whole[1:] if more == "itself" else more))
    with pytest.raises(UserError, match=r"x\.pt: "):
        load_file(path)


@pytest.mark.parametrize("begin", [0, 1, 2])
def test_blocks_of_zeros_are_found(path, begin):
    """As a disk leaves them whose cache was lost: the beginning, the middle, the end."""
    whole = path.read_bytes()
    third = len(whole) // 3 + 1
    path.write_bytes((whole[: begin * third] + bytes(third) + whole[(begin + 1) * third :])[: len(whole)])
    with pytest.raises(UserError, match=r"x\.pt: not a readable checkpoint"):
        load_file(path)


def test_a_damaged_file_without_a_checksum_ends_in_one_line_too(tmp_path):
    """Not every damage can be found in those, but none may be an error of another kind."""
    path = tmp_path / "x.pt"
    torch.save(CONTENT, path)
    whole, refused = path.read_bytes(), 0
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 8 if at % 2 else 1 << at % 8  # 8: of an entry's method, makes it a deflated one
        path.write_bytes(damaged)
        try:
            load_file(path)
        except UserError as error:
            refused += str(error).startswith(f"{path}: ")
    assert refused > 100


def test_a_stored_entry_that_is_said_to_be_compressed_is_damaged(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.tensor([9, 4, 5, 0, *[255] * 60], dtype=torch.uint8)}, path)  # as LZMA: impossible options
    whole = path.read_bytes()
    at = whole.rindex(b"PK\x01\x02", 0, whole.rindex(b"/data/0")) + 10  # the method in the tensor's entry
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99):
        path.write_bytes(whole[:at] + bytes([method]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"x\.pt: not a readable checkpoint"):
            load_file(path)


@pytest.mark.parametrize("new", [True, False])
def test_files_without_a_checksum_are_read_as_before(tmp_path, new):
    torch.save(CONTENT, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
    assert check_seal(tmp_path / "x.pt") is False
    same(load_file(tmp_path / "x.pt"), CONTENT)


def test_other_readers_open_a_file_with_a_checksum(path, tmp_path):
    for mmap in (False, True):
        same(torch.load(path, weights_only=True, mmap=mmap), {"version": CHECKPOINT_VERSION, **CONTENT})
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and archive.comment.startswith(b"SHA-256 ") and len(archive.comment) == 72
    copy = shutil.copy(path, tmp_path / "alone.pt")
    assert check_seal(copy) is True
    same(load_file(copy), {"version": CHECKPOINT_VERSION, **CONTENT})


def test_the_checksum_is_in_the_file_before_it_gets_its_name(tmp_path, monkeypatch):
    found, original = [], files.os.replace

    def replace(source, target):
        found.append(check_seal(source))
        original(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    save_checkpoint(tmp_path / "x.pt", CONTENT)
    assert found == [True]


@pytest.mark.parametrize("written", [b"", b"no archive", b"PK\x05\x06" + bytes(16) + b"\x01\x00", bytes(22)])
def test_what_is_no_archive_is_not_sealed(written):
    file = SealedFile(io.BytesIO())
    file.write(written)
    with pytest.raises(ValueError, match="expected its end record without a comment"):
        file.seal()


def test_an_end_that_is_written_in_pieces_is_sealed(path):
    whole = path.read_bytes()[:-74] + b"\0\0"
    target = io.BytesIO()
    file = SealedFile(target)
    for at in range(0, len(whole), 7):
        file.write(memoryview(whole)[at : at + 7])
    file.seal()
    assert target.getvalue() == path.read_bytes()
