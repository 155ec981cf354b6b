"""Sound files made unsound, in ways that disks, editors and enemies have; each from its own seed."""

import copy
import io
import json
import re
import struct
import zipfile
import zlib

LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0)
NUMBERS = (
    *("0", "-1", "1e999", "-1e999", "1e-400", "NaN", "Infinity", "9" * 5000, "1e9999999", "0.1" + "0" * 5000 + "1"),
    *("2147483648", "18446744073709551616", "1_000", "٣", "+5", "0x10", "1e5", "4294967295", "-0.0", "1.5", ""),
)
TEXTS = ("", "\\ud800", "../../x", "/etc/passwd", "x" * 70000, "\\u0000", "a\\nb", "%s%n", "é", "🙂", "-", "nan", "con")
VALUES = (
    *(None, True, False, 0, -1, 1, 1.5, -1e308, 2**31, 2**63, 2**64, 10**400, float("nan"), float("inf"), "", "x", "1"),
    *("\ud800", "x" * 70000, "\0", "../x", [], {}, [[]], [None], {"a": {}}, [1, 2, 3, 4], ["1", "2"], [1e308] * 4),
    *([float("nan")] * 4, [[1, 2], [3, 4]], {"": ""}, "é" * 300, 1e-320, -0.0),
)


def mutate(data, rng, kind, other=b""):
    """A changed copy.

    Args:
        data: bytes of a sound file.
        rng: `random.Random`.
        kind: "text", "json", "zip", "png", "mat", or "" for any other binary file.
        other: of the same kind, to splice in.
    """
    if not data:
        return rng.randbytes(8)
    inner = {"zip": in_zip, "png": in_png, "mat": in_mat}.get(kind)
    if inner and rng.random() < 0.6:
        return inner(data, rng)
    if kind == "json" and rng.random() < 0.6:
        return in_json(data, rng)
    if kind in ("text", "json") and rng.random() < 0.75:
        return in_text(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice((flip, flip, cut, repeat, drop, lengthen, lengthen, splice))(data, rng, other)
    return data


def flip(data, rng, _=b""):
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data, rng, _=b""):
    return data[: rng.randrange(len(data))] if data else data


def _stretch(data, rng):
    begin = rng.randrange(len(data) + 1)
    return begin, min(len(data), begin + rng.choice((1, 4, 16, 64, 512)))


def repeat(data, rng, _=b""):
    begin, end = _stretch(data, rng)
    return data[:end] + data[begin:end] * rng.choice((1, 2, 50)) + data[end:]


def drop(data, rng, _=b""):
    begin, end = _stretch(data, rng)
    return data[:begin] + data[end:]


def splice(data, rng, other):
    begin, end = _stretch(other or data, rng)
    place = rng.randrange(len(data) + 1)
    return data[:place] + (other or data)[begin:end] + data[place + rng.choice((0, end - begin)) :]


def lengthen(data, rng, _=b""):
    """An extreme number where four, two or eight bytes may be a length."""
    form = rng.choice(("<I", ">I", "<H", ">H", "<Q", ">Q"))
    size = struct.calcsize(form)
    if len(data) < size:
        return data
    place = rng.randrange(min(len(data), rng.choice((64, 512, 1 << 30))) - size + 1)
    return data[:place] + struct.pack(form, rng.choice(LENGTHS) & (1 << 8 * size) - 1) + data[place + size :]


def in_text(data, rng):
    """A number or a word replaced, a line lost, doubled or swapped, brackets in brackets, another encoding."""
    text = data.decode("utf-8", "replace")
    way = rng.randrange(10)
    if way < 4 and (found := list(re.finditer(r"-?\d+(?:\.\d+)?", text))):
        place = rng.choice(found)
        return (text[: place.start()] + rng.choice(NUMBERS) + text[place.end() :]).encode()
    if way < 7 and (found := list(re.finditer(r"[A-Za-z_][\w.-]*", text))):
        place = rng.choice(found)
        return (text[: place.start()] + rng.choice(TEXTS) + text[place.end() :]).encode()
    lines = text.splitlines(keepends=True) or [text]
    place = rng.randrange(len(lines))
    if way == 7:
        lines[place : place + 1] = rng.choice(([], [lines[place]] * 2, [lines[place].strip()], ["\n"], ["\0\n"]))
        return "".join(lines).encode()
    if way == 8:
        return text.encode(rng.choice(("utf-16", "utf-8-sig", "utf-16-le", "utf-32")))
    mark = rng.choice(("[", "{", "(", '"', "<a>", "&a;", ",", ";", " ", "\t", "\r", "\ufeff", "#"))
    at = rng.randrange(len(text) + 1)
    return (text[:at] + mark * rng.choice((1, 3, 2000, 100_000)) + text[at:]).encode()


def change_value(value, rng, values=VALUES):
    """Plain values in which one, anywhere, became another, or was lost."""
    places = []

    def walk(part):
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], (dict, list)):
                walk(part[key])

    if isinstance(value, (dict, list)):
        walk(value)
    if not places:
        return copy.deepcopy(rng.choice(values))
    part, key = rng.choice(places)
    if rng.random() < 0.2:
        del part[key]
    else:
        part[key] = copy.deepcopy(rng.choice(values))
    return value


def in_json(data, rng):
    try:
        content = json.loads(data)
    except ValueError:
        return in_text(data, rng)
    for _ in range(rng.choice((1, 1, 2, 5))):
        content = change_value(content, rng)
    return json.dumps(content).encode()


def in_zip(data, rng):
    """An entry changed, with checksums that say it is right."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w") as changed:
        entries = archive.infolist()
        target = rng.choice([*(entry for entry in entries if entry.filename.endswith(".pkl")), *entries])
        for entry in entries:
            content = archive.read(entry)
            if entry is target:
                content = mutate(content, rng, "")
            changed.writestr(entry.filename, content)
    return made.getvalue()


def in_png(data, rng):
    """A chunk changed, lost or doubled, with a checksum that says it is right; pixels are packed again."""
    parts, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    place = rng.randrange(len(parts))
    kind, content = parts[place]
    if kind == b"IDAT" and rng.random() < 0.5:
        content = zlib.compress(mutate(zlib.decompress(content), rng, ""))
    elif content:
        content = mutate(content, rng, "")
    parts[place : place + 1] = rng.choice(([(kind, content)],) * 4 + ([], [(kind, content)] * 2))
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def in_mat(data, rng):
    """The first packed element changed and packed again; else the bytes behind the header."""
    if len(data) > 136 and data[128] == 15:
        (size,) = struct.unpack_from("<I", data, 132)
        content = zlib.compress(mutate(zlib.decompress(data[136 : 136 + size]), rng, ""))
        return data[:128] + struct.pack("<II", 15, len(content)) + content + data[136 + size :]
    return data[:128] + mutate(data[128:], rng, "")
