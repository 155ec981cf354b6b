"""What trainings leave, checkpoints and logs: compared to the bit, and damaged by one."""

import struct
import zipfile

import torch

TIMES = {"seconds", "waited", "elapsed", "elapsed_s", "clips_per_s", "data_s"}


def same(first, second, at=""):
    """Raise where two nested values differ, apart from times."""
    assert type(first) is type(second), at
    if isinstance(first, dict):
        assert first.keys() == second.keys(), at
        for name in first:
            if name not in TIMES:
                same(first[name], second[name], f"{at}/{name}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), at
        for i, pair in enumerate(zip(first, second, strict=True)):
            same(*pair, f"{at}/{i}")
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second), at
    else:
        assert first == second or first != first and second != second, f"{at}: {first} and {second}"


def flip_a_bit(path):
    """Flip a bit in the middle of what a zip's largest member stores, where no header and no padding is."""
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda entry: entry.compress_size)
    content = bytearray(path.read_bytes())
    names = struct.unpack_from("<HH", content, member.header_offset + 26)  # bytes of the name, and of the extra field
    content[member.header_offset + 30 + sum(names) + member.compress_size // 2] ^= 1
    path.write_bytes(content)
