"""Which digits of names number the frames, and which names are of several videos."""

import random
import uuid
from itertools import pairwise

import pytest

from utils.images.frame_order import order_frames

RANDOM = random.Random(0)


def letters(count, of="0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
    return "".join(RANDOM.choice(of) for _ in range(count))


def random_uuid():
    return uuid.UUID(int=RANDOM.getrandbits(128))


def time_of_day(ms, form="{:02d}-{:02d}-{:02d}_{:03d}"):
    return form.format(ms // 3_600_000, ms // 60_000 % 60, ms // 1000 % 60, ms % 1000)


TIMES = range(43_258_000, 43_262_000, 40)  # ms of the day, over a full minute
IN_ORDER = {  # names of one sequence in the order of their frames, and the first number
    "plain": ([f"{i}" for i in (2, 3, 10)], 2),
    "padded": ([f"f{i:04d}" for i in range(5)], 0),
    "blanks and brackets": ([f"1 ({i})" for i in range(1, 12)], 1),
    "a size behind": ([f"img{i:04d}_320x256" for i in range(25)], 0),
    "an exposure behind": ([f"frame_{i}_exposure_20" for i in range(12)], 0),
    "exposures that change": ([f"frame_{i}_exposure_{20 * (1 + i % 3)}" for i in range(12)], 0),
    "exposures before": ([f"exposure_{20 * (1 + i % 3)}_frame_{i}" for i in range(12)], 0),
    "two exposures": (["frame_1_exposure_20", "frame_2_exposure_40"], 1),
    "a temperature behind": ([f"frame{i:04d}_T{21 + i % 3}" for i in range(12)], 0),
    "random ending": ([f"video-kQz7-frame-{745 + i:06d}-{letters(17)}" for i in range(7)], 745),
    "three random endings": ([f"f-{745 + i:06d}-{letters(8)}" for i in range(3)], 745),
    "hexadecimal ending": ([f"{i:05d}_png.rf.{letters(32, '0123456789abcdef')}" for i in range(30)], 0),
    "random digits behind": ([f"f_{i:04d}_{RANDOM.randrange(10**8)}" for i in range(10)], 0),
    "random digits before": ([f"{RANDOM.randrange(10**8)}_{i:04d}" for i in range(10)], 0),
    "uuid behind": ([f"frame_{i}_{random_uuid()}" for i in range(12)], 0),
    "uuid before": ([f"{random_uuid()}_{i:04d}" for i in range(12)], 0),
    "random with marks": ([f"frame_{i:04d}_{letters(10, 'abcXYZ-_')}" for i in range(10)], 0),
    "random within a word": ([f"{i:04d}{letters(3, 'abcxyz')}" for i in range(10)], 0),
    "words that change": (["b_1", "a_2", "b_3", "a_4"], 1),
    "negative": ([f"f_{i}" for i in range(-3, 4)], -3),
    "negative alone": ([f"{i}" for i in range(-3, 4)], -3),
    "a dash before all": ([f"f_-{i}" for i in range(5)], 0),
    "no number": (["a", "b", "c"], 0),
    "a number in one": (["first", "second", "third_1"], 0),
    "the camera's number": (["cam1_a", "cam1_b"], 0),
    "beyond 64 bits": ([f"{10**25 + i}" for i in range(5)], 0),
    "far beyond": ([f"{'1' * 5000}{i}" for i in range(5)], 0),
    "far apart": ([f"{i * 10**25}" for i in range(5)], 0),
    "a day and a time": ([f"2023-01-01_{time_of_day(ms)}" for ms in TIMES], 0),
    "a time": ([time_of_day(ms) for ms in TIMES], 0),
    "a time without marks": ([time_of_day(ms, "{:02d}{:02d}{:02d}_{:03d}") for ms in TIMES], 0),
    "digits of a time": ([f"20230101{time_of_day(ms, '{:02d}{:02d}{:02d}{:03d}')}" for ms in TIMES], 0),
    "digits beyond 64 bits": ([f"20230101{time_of_day(ms, '{:02d}{:02d}{:02d}{:03d}')}000" for ms in TIMES], 0),
    "seconds and a fraction": ([f"{1697031234 + ms // 1000}.{ms % 1000:03d}456" for ms in TIMES], 0),
    "seconds": ([f"t_{ms / 1000:.2f}" for ms in range(40, 2400, 40)], 0),
    "nanoseconds without zeros": ([f"{1697031234 + i // 25}.{i % 25 * 40_000_000}" for i in range(60)], 0),
    "days": ([f"2023-{month:02d}-{day:02d}" for month, days in ((1, 31), (2, 28)) for day in range(1, days + 1)], 0),
    "a version before": ([f"v1.2_{i:03d}" for i in range(10)], 0),
    "a count before times": ([f"{i:05d}_2023-01-01_{time_of_day(ms)}" for i, ms in enumerate(TIMES)], 0),
    "a count behind seconds": ([f"20230101_1200{i // 25:02d}_{i:04d}" for i in range(60)], 0),
    "milliseconds": ([f"{ms}" for ms in TIMES], 0),
}
SEVERAL = {  # names, and their sequences
    "words before": ([f"{v}_{i:04d}" for v in ("vidA", "vidB") for i in range(6)], ["vidA", "vidB"]),
    "numbers that go on": ([f"{v}_{i}" for v, at in (("a", 0), ("b", 6)) for i in range(at, at + 6)], ["a", "b"]),
    "numbered parts": ([f"part{v}_{i:04d}" for v in (2, 10) for i in range(6)], ["part2", "part10"]),
    "two numbers": ([f"{v}_{i:04d}" for v in (1, 2, 3) for i in range(6)], ["1", "2", "3"]),
    "numbers far apart": (
        [f"{v:02d}_{i:05d}" for v, at in ((1, 0), (2, 300)) for i in range(at, at + 20)],
        ["01", "02"],
    ),
    "one word": ([f"{v}frame{i}" for v in ("vidA", "vidB") for i in range(6)], ["vidAframe", "vidBframe"]),
    "words behind": ([f"{i:04d}_{v}" for v in ("ir", "vis") for i in range(6)], ["ir", "vis"]),
    "exposures of each frame": ([f"f_{i}_e_{e}" for i in range(9) for e in (20, 40)], ["20", "40"]),
    "random endings": ([f"{v}_{i:03d}_{letters(9)}" for v in ("a", "b") for i in range(6)], ["a", "b"]),
    "times": ([f"{v}_2023-01-01_{time_of_day(ms)}" for v in ("camA", "camB") for ms in TIMES], ["camA", "camB"]),
    "two words": (
        [f"{v}_{c}_{i}" for v in "ab" for c in ("ir", "rgb") for i in range(4)],
        ["a_ir", "a_rgb", "b_ir", "b_rgb"],
    ),
}


def read(names):
    """Names of each sequence, and the whole answer; names come in any order."""
    mixed = list(names)
    random.Random(1).shuffle(mixed)
    order = order_frames(mixed)
    return [[mixed[index] for index in sequence.indices] for sequence in order.sequences], order


@pytest.mark.parametrize("kind", IN_ORDER)
def test_names_of_one_sequence(kind):
    names, first = IN_ORDER[kind]
    found, order = read(names)
    assert found == [names]
    numbers = order.sequences[0].numbers
    assert numbers[0] == first and all(after > before for before, after in zip(numbers, numbers[1:], strict=False))
    assert kind in ("plain", "far apart") or numbers == tuple(range(first, first + len(names)))
    assert max(numbers) < 2**63


@pytest.mark.parametrize("kind", SEVERAL)
def test_names_of_several_sequences(kind):
    names, labels = SEVERAL[kind]
    found, order = read(names)
    assert [sequence.label for sequence in order.sequences] == labels
    assert sorted(sum(found, [])) == sorted(names) and f"{len(labels)} sequences, told apart by" in order.said
    for part, sequence in zip(found, order.sequences, strict=True):
        assert all(all(word in name for word in sequence.label.split("_")) for name in part)
        assert sequence.numbers == tuple(range(sequence.numbers[0], sequence.numbers[0] + len(part)))


def test_frames_that_are_missing_leave_a_gap():
    for names in (
        [f"2023-01-01_{time_of_day(ms)}" for ms in TIMES if not 43_259_000 <= ms < 43_261_000],
        [f"f_{i}_{letters(9)}" for i in range(100) if not 25 <= i < 75],
        [f"{time_of_day(ms)}" for ms in TIMES if not 43_259_000 <= ms < 43_261_000],
    ):
        found, order = read(names)
        assert found == [names]
        assert order.sequences[0].numbers == (*range(25), *range(75, 100))


def test_times_that_jitter_are_of_consecutive_frames():
    times = [43_258_000 + 40 * i + RANDOM.randrange(-9, 10) for i in range(60)]
    names = [f"2023-01-01_{time_of_day(ms)}" for ms in times]
    found, order = read(names)
    assert found == [names] and order.sequences[0].numbers == tuple(range(60))
    assert "ms apart, which counts as from one frame to the next" in order.sequences[0].said


def test_irregular_times_order_frames_and_do_not_number_them():
    times = [43_258_000 + 1000 * i**3 + RANDOM.randrange(999) for i in range(9)]
    names = [f"2023-01-01_{time_of_day(ms)}" for ms in times]
    found, order = read(names)
    assert found == [names] and order.sequences[0].numbers == tuple(range(9))
    assert order.sequences[0].said == "the time stamps of the frames are irregular, and frames count one by one"


@pytest.mark.parametrize(
    "names, said",
    [
        ([f"{i // 2:05d}_jpg.rf.{letters(32, '0123456789abcdef')}" for i in range(12)], "(0 stands in several names"),
        (["0001", "0001 (1)", "0002", "0002 (1)"], "(1 stands in several names such as 0001)"),
        (["1", "01", "2", "3"], "(1 stands in several names such as 01)"),
        ([str(random_uuid()) for _ in range(12)], "the names tell no order"),
        ([*(f"{i:04d}" for i in range(9)), "background"], "no group of digits in common (0000, background, …)"),
        ([f"A{12 + i}_B{(7, 3, 9, 5)[i]}" for i in range(4)], "the one that is 12 in A12_B7 does, not"),
    ],
)
def test_what_names_do_not_tell_is_said(names, said):
    found, order = read(names)
    assert len(found) == 1 and sorted(found[0]) == sorted(names) and said in order.said
    assert order.sequences[0].numbers == tuple(range(order.sequences[0].numbers[0], order.sequences[0].numbers[-1] + 1))


@pytest.mark.parametrize("kind", IN_ORDER)
def test_a_name_that_comes_later_is_numbered_alike(kind):
    names, _ = IN_ORDER[kind]
    order, whole = order_frames(names[:4]), order_frames(names)
    if order.reader and len(names) > 4:
        numbers, own = [order.reader.read(name) for name in names], whole.sequences[0].own_numbers
        steps = [[after - before for before, after in pairwise(part)] for part in (numbers, own)]
        assert steps[0] == steps[1] or kind in ("far apart", "days", "digits of a time", "digits beyond 64 bits")


def test_one_name_and_none():
    assert order_frames([]).sequences == ()
    assert [order_frames([name]).sequences[0].numbers for name in ("frame_7", "a1_b2c", "x", "9" * 40)] == [
        (7,),
        (2,),
        (0,),
        (0,),
    ]
