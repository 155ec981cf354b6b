"""Frames in tables: equal to lists of them, small, and the same in another process."""

import pickle
import tracemalloc

import numpy as np
import pytest
from trees import write_pairs, write_text

from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset
from utils.datasets.compact_lists import Entries, Rows, Texts
from utils.datasets.dataset import join_datasets, open_dataset
from utils.datasets.frame_table import AllKeys, Frame, Sequences
from utils.datasets.layouts import Files
from utils.images.frame_names import natural_key
from utils.training.selection import hold_out

WORDS = ["b", "", "a/ü.png", "b", "x" * 300, "b", "\udcff"]


def test_texts_are_a_list_of_strings():
    texts = Texts(WORDS)
    assert list(texts) == WORDS and len(texts) == 7 and texts[-1] == "\udcff" and texts[2:4] == ["a/ü.png", "b"]
    for copy in (texts, pickle.loads(pickle.dumps(texts))):
        assert [copy.find(word) for word in WORDS] == [0, 1, 2, 0, 4, 0, 6] and copy.find("c") == -1
    assert texts.find_repeated() == ["b"] and list(texts.without_repeats()) == ["b", "", "a/ü.png", "x" * 300, "\udcff"]
    assert texts.first_places().tolist() == [0, 1, 2, 0, 4, 0, 6]
    assert not len(Texts([])) and Texts([]).find("a") == -1 and Texts([]).find_repeated() == []
    with pytest.raises(IndexError):
        texts[7]
    many = [f"{i}" for i in range(70_000)]  # more than one block
    assert list(Texts(many)) == many and Texts(many).find("69999") == 69_999


def frames_of(name, count, boxed=True):
    return [
        Frame(
            name,
            3 * i,
            f"/data/images/{name}/{i}.png",
            f"/elsewhere/{i}_pixels0.png" if i % 2 else None,
            ((1.5, 2.0, 3.0, 4.25, i),) * (i % 3) if boxed else None,
        )
        for i in range(count)
    ]


def test_frames_come_back_as_they_went_in():
    given = {"a": frames_of("a", 7), "b": frames_of("b", 4, boxed=False), "c": frames_of("c", 1)}
    sequences = Sequences.of(given)
    assert list(sequences) == ["a", "b", "c"] and dict(sequences.items()).keys() == given.keys()
    for name, frames in given.items():
        assert sequences[name] == frames and list(sequences[name][1:5:2]) == frames[1:5:2]
        assert sequences[name].numbers.tolist() == [frame.number for frame in frames]
        assert type(sequences[name][-1].boxes) is type(frames[-1].boxes)
    whole = [frame for frames in given.values() for frame in frames]
    table = sequences.frames()
    assert table == whole and [table[i] for i in range(-12, 12)] == [whole[i] for i in range(-12, 12)]
    assert table[2:11:4] == whole[2:11:4]
    assert list(AllKeys(sequences)) == [(name, i) for name, frames in given.items() for i in range(len(frames))]
    assert "x" not in sequences and pickle.loads(pickle.dumps(sequences))["c"] == given["c"]
    with pytest.raises(KeyError):
        sequences["x"]
    with pytest.raises(IndexError):
        table[12]


def test_parts_of_sequences():
    sequences = Sequences.of({name: frames_of(name, 10) for name in "abcd"})
    training, validation = hold_out(sequences, ("b", "d:12"), 0)
    assert list(training) == ["a", "c", "d"] and list(validation) == ["b", "d"]
    assert training["d"].numbers.tolist() == [0, 3, 6, 9] and validation["d"].numbers.tolist()[0] == 12
    training, validation = hold_out(sequences, (), 0.25)
    assert list(training) == ["a", "b", "c"] and list(validation) == ["d"]
    training, validation = hold_out(sequences, (), 0.2)
    assert training.lengths().tolist() == [8] * 4 and validation.lengths().tolist() == [2] * 4
    assert list(sequences.select(["c", "a"])) == ["a", "c"] and sequences.select(["c"])["c"] == sequences["c"]


def test_joined_tables(tmp_path):
    roots = [write_pairs(tmp_path / name, ["s/0", "s/1"]) for name in ("one", "two")]
    for root in roots:
        write_text(root / "train.txt", "images/s/0.png\nimages/s/1.png\n")
    first, second = (open_dataset(root) for root in roots)
    both = join_datasets(first, [second])
    assert list(both.sequences) == ["s", "two/s"] and len(both.frames) == 4
    assert both.sequences["two/s"][1].image == second.frames[1].image
    assert both.sequences["two/s"][1].sequence == "two/s"
    with pytest.raises(Exception, match="a second dataset in a folder called 'two'"):
        join_datasets(first, [second, second])


def test_natural_order():
    words = ["f10", "f2", "f02", "f002", "f", "fa", "f2a", "f2b1", "f2b", "", "9", "10", "a1b2", "a1b10", "a01b3", "٣"]

    def slow(text):
        import re

        parts = re.split(r"(\d+)", text)
        return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)

    assert sorted(words, key=natural_key) == sorted(words, key=slow)


def test_many_frames_are_small(tmp_path, monkeypatch):
    """Objects would take some 600 bytes a frame."""
    count = 10_000
    keys = [f"images/{i // 1000}/{i % 1000}" for i in range(count)]
    found = Files(
        str(tmp_path),
        "image tree",
        {key: key + ".png" for key in keys},
        {key: key.replace("images", "masks") + ".png" for key in keys},
    )
    (tmp_path / "images").mkdir()
    monkeypatch.setattr("utils.datasets.dataset.list_files", lambda root: found)
    write_text(tmp_path / "train.txt", "".join(f"{key}.png\n" for key in keys))
    tracemalloc.start()
    dataset = open_dataset(tmp_path)
    clips = ClipDataset(dataset.sequences, AllKeys(dataset.sequences), ClipSettings(5, (0, 1)))
    kept, peak = (value / count for value in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    assert len(clips) == count and clips.keys[5_432] == ("5", 432)
    assert kept < 100 and peak < 300  # bytes a frame
    assert dataset.frames[-1].mask == str(tmp_path / "masks/9/999.png")


def test_entries_keep_boxes():
    boxes = Rows(5)
    boxes.add([(1, 2, 3, 4.5, 0), (5, 6, 7, 8, 2)])
    boxes.add([])
    entries = Entries(Texts(["a", "b"]), boxes)
    assert entries[0].boxes == ((1, 2, 3, 4.5, 0), (5, 6, 7, 8, 2)) and entries[1].boxes == ()
    assert isinstance(entries[0].boxes[1][4], int) and entries[-1].path == "b"
    assert Entries(Texts(["a"]))[0].boxes is None
    assert np.array_equal(boxes.arrays()[1], [0, 2, 2])
