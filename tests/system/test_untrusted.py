"""Files from strangers: refused with a message, quickly, without filling the memory or running what they hold."""

import io
import json
import os
import pickle
import resource
import struct
import zipfile
import zlib

import numpy as np
import pytest
import scipy.io
import torch
from trees import coco, picture, write, write_pairs, write_text

from utils.datasets.coco import read_coco
from utils.datasets.dataset import open_dataset
from utils.images.image_files import check_end, read_frame
from utils.images.masks.values import read_mask
from utils.predictor.checkpoint import load_file
from utils.system import untrusted
from utils.system.errors import UserError
from utils.system.untrusted import parse_xml
from utils.video.sources import open_sources


@pytest.fixture(autouse=True)
def little_memory():
    """Nothing here may need more than 300 MB beyond what the process has."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("new", [True, False])
def test_a_crafted_pickle_runs_nothing(tmp_path, new):
    torch.save({"network": Attack(tmp_path / "ran")}, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
    (tmp_path / "ran").unlink(missing_ok=True)  # torch.save does not load
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Attack(tmp_path / "ran")))
    for name in ("x.pt", "plain.pt"):
        with pytest.raises(UserError, match="more than tensors and plain values"):
            load_file(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def bomb(path, name="data.npy", size=2 << 30):
    """A zip of two MB that unpacks to `size` zeros behind the header of an array."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as file:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (size,)})
        file.write(header.getvalue())
        block = bytes(16 << 20)
        for _ in range(size // len(block)):
            file.write(block)
    return path


@pytest.mark.parametrize("name", ["weights.npz", "weights.pt"])
def test_a_zip_bomb_as_weights(tmp_path, name):
    path = bomb(tmp_path / name, "archive/data/0" if name.endswith("pt") else "data.npy", 64 << 20)
    with pytest.raises(UserError, match=r"KiB that unpacks to 65,536 KiB, expected a checkpoint"):
        load_file(path)


def test_entries_that_share_their_bytes(tmp_path):
    """A bomb without compression: many entries of the directory point to the same bytes."""
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("a/data/0", bytes(1 << 20))
        first = archive.infolist()[0]
        for number in range(1, 100):
            again = zipfile.ZipInfo(f"a/data/{number}")
            again.header_offset, again.CRC, again.file_size, again.compress_size = 0, first.CRC, 1 << 20, 1 << 20
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    with pytest.raises(UserError, match="unpacks to 102,400 KiB"):
        load_file(tmp_path / "x.pt")


def test_real_weights_pass(tmp_path):
    content = {"a": torch.arange(1000.0), "b": [1, "x"]}
    for new in (True, False):
        torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
        assert torch.equal(load_file(tmp_path / "x.pt")["a"], content["a"])


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("width, height", [(100_000, 100_000), (12_000, 8_000), (30_000, 30_000)])
def test_a_png_that_claims_to_be_huge(tmp_path, width, height):
    (tmp_path / "x.png").write_bytes(png_header(width, height))
    for read in (read_frame, read_mask):
        with pytest.raises(UserError, match="x.png: found an image of .* expected at most 67,108,864 pixels"):
            read(tmp_path / "x.png")


def test_broken_pictures_are_user_errors(tmp_path):
    (tmp_path / "x.png").write_bytes(png_header(0, 10))
    (tmp_path / "y.png").write_bytes(b"\x89PNG" + bytes(50) + b"IEND" + bytes(4))
    for name in ("x.png", "y.png"):
        with pytest.raises(UserError, match="not a readable image"):
            read_frame(tmp_path / name)


def test_a_mat_bomb(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"Mix": np.zeros((4, 8, 8))}, do_compression=True)
    header = (tmp_path / "x.mat").read_bytes()[:128]
    packer = zlib.compressobj(9)
    body = (
        packer.compress(struct.pack("<II", 14, 2 << 30))
        + b"".join(packer.compress(bytes(1 << 20)) for _ in range(80))
        + packer.flush()
    )
    (tmp_path / "x.mat").write_bytes(header + struct.pack("<II", 15, len(body)) + body)
    assert os.path.getsize(tmp_path / "x.mat") < 2 << 20
    resource_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="x.mat: not a readable .mat file"):
        read_frame(tmp_path / "x.mat")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resource_before < 200_000


@pytest.mark.parametrize("compressed", [True, False])
def test_real_mat_files_read_the_same(tmp_path, compressed):
    planes = np.arange(5 * 6 * 7, dtype=np.float64).reshape(5, 6, 7)
    scipy.io.savemat(tmp_path / "x.mat", {"Mix": planes, "other": np.array(["text"])}, do_compression=compressed)
    assert np.array_equal(read_frame(tmp_path / "x.mat"), planes[-1].astype(np.uint8))
    scipy.io.savemat(tmp_path / "y.mat", {"Mix": np.array([{"a": 1}], dtype=object)}, do_compression=compressed)
    with pytest.raises(UserError, match="of kind (cell|struct|object)"):
        read_frame(tmp_path / "y.mat")
    scipy.io.savemat(tmp_path / "z.mat", {"Max": planes}, do_compression=compressed)
    with pytest.raises(UserError, match="no array `Mix`"):
        read_frame(tmp_path / "z.mat")


OUTSIDE = ["../secret/0.png", "images/../../secret/0.png", "..\\secret\\0.png", "images/a/../../../secret/0.png"]


@pytest.mark.parametrize("line", OUTSIDE)
def test_lists_cannot_lead_out_of_the_dataset(tmp_path, line):
    root = write_pairs(tmp_path / "root", ["a/0", "a/1"])
    write(tmp_path / "secret/0.png", picture())
    write_text(root / "train.txt", f"images/a/0.png\n{line}\n")
    with pytest.raises(UserError, match="which leads out of the dataset folder"):
        open_dataset(root)
    (root / "train.txt").unlink()
    write_text(root / "annotations/instances_train2017.json", json.dumps(coco(["images/a/0.png", line])))
    with pytest.raises(UserError, match="which leads out of the dataset folder"):
        open_dataset(root, need="boxes")


def test_a_foreign_root_chooses_among_the_datasets_own_files(tmp_path):
    root = write_pairs(tmp_path / "root", ["a/0", "a/1"])
    write_text(root / "train.txt", "/etc/images/a/0.png\nC:\\data\\images\\a\\1.png\n")
    assert [os.path.dirname(frame.image) for frame in open_dataset(root).frames] == [str(root / "images/a")] * 2


def test_links_are_followed_and_devices_refused(tmp_path):
    root = write_pairs(tmp_path / "root", ["a/0"])
    write(tmp_path / "elsewhere/1.png", picture(7))
    (root / "images/a/1.png").symlink_to(tmp_path / "elsewhere/1.png")
    assert np.array_equal(read_frame(root / "images/a/1.png"), picture(7))
    (root / "images/a/2.png").symlink_to("/dev/zero")
    os.mkfifo(root / "images/a/3.png")
    for name in ("2.png", "3.png"):
        for look in (read_frame, check_end):
            with pytest.raises(UserError, match="no regular file"):
                look(root / "images/a" / name)


@pytest.mark.parametrize("name", ["0.png", "0.tif", "0.mp4", "0.mat", "0.npy", "0.bin"])
def test_a_pipe_is_no_source_and_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for path in (tmp_path / name, *([tmp_path] if not name.endswith("bin") else [])):
        with pytest.raises(UserError, match="found no regular file"):
            for source in open_sources(path):
                for _ in source:
                    pass


def test_nested_json_is_a_user_error(tmp_path):
    write_text(tmp_path / "x.json", "[" * 200_000)
    write_text(tmp_path / "y.json", '{"images": [{"id": ' + "9" * 5000 + "}]}")
    for name in ("x.json", "y.json"):
        with pytest.raises(UserError, match=f"{name}: not json"):
            read_coco(str(tmp_path / name))


# --- xml -------------------------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BAD_XML = {
    "billion laughs": (f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l9;</annotation>', "a document type or"),
    "another file": ('<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>', "entities"),
    "another document type": ('<!DOCTYPE x SYSTEM "http://localhost/x.dtd"><annotation/>', "a document type or"),
    "an entity without a type": ("<annotation>&f;</annotation>", "not xml"),
    "deep": ("<annotation>" * 33 + "</annotation>" * 33, "more than 32 elements in one another"),
    "deep and unfinished": ("<a>" * 500_000, "more than 32 elements in one another"),
    "unfinished": ("<annotation><object>", "not xml"),
    "empty": ("", "not xml"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", BAD_XML)
def test_xml_that_may_take_any_memory_is_refused(tmp_path, name, encoding):
    text, message = BAD_XML[name]
    path = write_text(tmp_path / "x.xml", text, encoding)
    with pytest.raises(UserError, match=f"x.xml: .*{message}.*, expected a label file") as raised:
        parse_xml(str(path), "a label file")
    assert len(str(raised.value).splitlines()) == 1


def test_xml_of_usual_depth_is_read_and_a_huge_one_refused(tmp_path, monkeypatch):
    path = write_text(tmp_path / "x.xml", '<?xml version="1.0" encoding="latin-1"?>' + "<a>" * 32 + "é" + "</a>" * 32)
    assert "".join(parse_xml(str(path), "a label file").itertext()) == "é"
    monkeypatch.setattr(untrusted, "MAX_XML_CHARACTERS", 200)
    with pytest.raises(UserError, match="expected a label file of at most 200; export it in parts"):
        parse_xml(str(path), "a label file")
