"""Pickles of weights files: what they would build is known before PyTorch builds it."""

import io
import pickle
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

from utils.predictor.checkpoint import load_file
from utils.system.errors import UserError
from utils.system.pickles import UnsafePickle, require_plain_pickles

HUGE = b"J\xff\xff\xff\x7f"  # BININT 2147483647


def archive(path, pickled, **entries):
    """A weights file of this pickle, and of these elements by the storages' names."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", "3\n")
        for name, content in entries.items():
            file.writestr(f"archive/data/{name[1:]}", content)
    return path


def tensor(elements=b"K\x04", offset=b"K\x00", size=b"K\x04", stride=b"K\x01", kind=b"FloatStorage"):
    """The instructions that make a tensor of one side, over storage 0."""
    storage = b"(X\x07\0\0\0storagectorch\n" + kind + b"\nX\x01\0\0\x000X\x03\0\0\0cpu" + elements + b"tQ"
    tail = b"\x89ccollections\nOrderedDict\n)R"
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        + (storage + offset + size + b"\x85" + stride + b"\x85" + tail)
        + b"tR."
    )


def test_the_tensor_of_these_tests_is_one(tmp_path):
    path = archive(tmp_path / "x.pt", tensor(), _0=np.arange(4, dtype=np.float32).tobytes())
    assert load_file(path).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "pickled, text",
    [
        (tensor(elements=HUGE), "a tensor of 8,589,934,588 bytes for which the file has 16"),
        (tensor(elements=b"K\x05"), "a tensor of 20 bytes for which the file has 16"),
        (tensor(elements=b"J\xff\xff\xff\xff"), "elements of an unknown kind or number"),
        (tensor(size=HUGE), r"a tensor of shape \(2147483647,\) in 4 elements"),
        (tensor(size=b"K\x05", stride=b"K\x00"), r"a tensor of shape \(5,\) in 4 elements"),
        (tensor(offset=b"K\x01"), r"a tensor of shape \(4,\) in 4 elements"),
        (tensor(stride=b"K\x02"), r"a tensor of shape \(4,\) in 4 elements"),
        (tensor(kind=b"LongStorage"), "a tensor of 32 bytes for which the file has 16"),
        (tensor(kind=b"OddStorage"), "a pickled torch.OddStorage"),
        (b"\x80\x02c__builtin__\nbytearray\n" + HUGE + b"\x85R.", "a call with other arguments"),
        (b"\x80\x02ctorch\nFloatTensor\n" + HUGE + b"\x85R.", "a pickled torch.FloatTensor"),
        (b"\x80\x02ctorch.storage\nUntypedStorage\n" + HUGE + b"\x85R.", "no function of PyTorch's"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "a text of 4,294,967,295 bytes where 4 are left"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "the instruction SHORT_BINUNICODE"),
        (b"\x80\x02cposix\nsystem\nX\x02\0\0\0ls\x85R.", "a pickled posix.system"),
        (b"\x80\x02}" + b")" + b"\x85" * 40 + b"K\x01s.", "a key that is no plain value"),
        (b"\x80\x02cmodels.unet\nUNet\n)\x81}b.", "a pickled models.unet.UNet"),
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_what_asks_for_more_than_the_file_holds_is_refused(tmp_path, pickled, text, old):
    elements = bytes(16)
    if old:  # magic number, version, system, content, storages' names
        if b"Storage" in pickled:
            pytest.skip("the old format counts all that is left of the file")
        parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
        (tmp_path / "x.pt").write_bytes(b"".join(parts) + pickled)
        if "bytes where" in text:
            text = "a text of 4,294,967,295 bytes"
    else:
        archive(tmp_path / "x.pt", pickled, _0=elements)
    with pytest.raises(UnsafePickle, match=text):
        require_plain_pickles(tmp_path / "x.pt")
    with pytest.raises(UserError, match=r"not a readable checkpoint: found .*save its state dict: torch.save\(network"):
        load_file(tmp_path / "x.pt")


def test_the_old_format_cannot_declare_more_than_its_file(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert load_file(tmp_path / "x.pt")["a"].shape == (1000,)
    data = (tmp_path / "x.pt").read_bytes()
    place = data.index(b"cpu") + 3
    place = data.index(b"M\xe8\x03", place)  # BININT2 1000
    (tmp_path / "x.pt").write_bytes(data[:place] + HUGE + data[place + 3 :])
    with pytest.raises(UserError, match="a tensor of 8,589,934,588 bytes for which the file has"):
        load_file(tmp_path / "x.pt")


def test_two_entries_of_one_name(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        for pickled in (tensor(), tensor()):
            file.writestr("archive/data.pkl", pickled)
    with pytest.raises(UserError, match="two entries of one name"):
        load_file(tmp_path / "x.pt")


def test_a_program_is_called_one(tmp_path):
    archive(tmp_path / "x.pt", tensor(), _0=bytes(16))
    with zipfile.ZipFile(tmp_path / "x.pt", "a") as file:
        file.writestr("archive/constants.pkl", b"\x80\x02).")  # what torch.jit.save writes beside the code
    with pytest.raises(UserError, match="a TorchScript program.*save its state dict"):
        load_file(tmp_path / "x.pt")


@pytest.mark.parametrize("new", [True, False])
def test_a_whole_model_says_how_to_save_its_weights(tmp_path, new):
    for content in (torch.nn.Conv2d(1, 1, 1), {"epoch": 1, "model": torch.nn.Conv2d(1, 1, 1)}):
        torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
        with pytest.raises(UserError, match="a pickled torch.nn.modules.conv.Conv2d.*save its state dict"):
            load_file(tmp_path / "x.pt")


@pytest.mark.parametrize("new", [True, False])
def test_what_people_save_beside_weights_is_read(tmp_path, new):
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    content = {
        "state_dict": layer.state_dict(),
        "parameter": layer.weight,
        "optimizer": optimizer.state_dict(),
        "shape": torch.ones(2, 3).shape,
        "kind": torch.float16,
        "device": torch.device("cpu"),
        "tensors": [
            torch.zeros(2, 3).T,
            torch.arange(9)[2:5],
            torch.tensor(1.5),
            torch.zeros(0, 4),
            torch.tensor([True]),
        ],
        "half": torch.zeros(3, dtype=torch.bfloat16),
        "numbers": OrderedDict(a=np.float64(0.5), b=np.int64(3), c=np.float32(2)),
        "more": {1: (None, True, 2**70, 1.5, b"abc", bytearray(b"xy")), "s": {1, 2}, "c": Counter("aab")},
    }
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
    found = load_file(tmp_path / "x.pt")
    assert found.keys() == content.keys() and torch.equal(found["state_dict"]["weight"], layer.weight)
    assert found["numbers"] == content["numbers"] and found["more"] == content["more"]
    assert all(map(torch.equal, found["tensors"], content["tensors"]))


def test_numpy_values_that_are_no_numbers_are_refused(tmp_path):
    for value in (np.array([1, "x"], object), np.dtype([("a", "f4")]), np.str_("x"), np.longdouble(1)):
        made = io.BytesIO()
        torch.save({"a": value}, made)
        (tmp_path / "x.pt").write_bytes(made.getvalue())
        with pytest.raises(UserError, match="not a readable checkpoint: found"):
            load_file(tmp_path / "x.pt")
