"""Names of the classes that YOLO labels number: files beside the labels, as training and labelling programs write them.

`classes.txt`, `obj.names` and other `.names` hold a name a line; `data.yaml` and other YAML files have them under
`names`, as a list or as a table of numbers and names. Of a YAML file nothing else is read, and of YAML no more than
these lists and tables.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from utils.images.frame_names import natural_key
from utils.system.errors import UserError
from utils.system.untrusted import read_text

PLAIN_NAMES = ("classes.txt", "predefined_classes.txt", "_darknet.labels")
NAMES_SUFFIX, YAML_SUFFIXES = ".names", (".yaml", ".yml")
INNER_FOLDERS = ("labels", "label", "annotations", "train", "test", "val", "valid", "obj_train_data")
HEAD = re.compile(r"""(?:names|"names"|'names')\s*:(?:\s|$)(.*)""")
ITEM = re.compile(r"-(?:\s+(.*))?")
PAIR = re.compile(r"""["']?(\d{1,4})["']?\s*:\s+(.*)""")


class ClassNames:
    """Looks up names of class numbers for label files below a folder.

    For each file the nearest folder counts that says anything, from its own up to the one that the labels' folder lies
    in, or as far above that as folders are called like parts of a dataset.

    Args:
        labels: folder of the labels, or a single file of them.
    """

    def __init__(self, labels: Path) -> None:
        root = labels if labels.is_dir() else labels.parent
        self.top = root.resolve().parent
        for _ in range(2):
            self.top = self.top.parent if self.top.name.lower() in INNER_FOLDERS else self.top
        self.known: dict[Path, tuple[Path, dict[int, str]] | None] = {}
        self.used: dict[Path, None] = {}
        self.unnamed: dict[int, None] = {}

    def find(self, label_file: Path, number: int) -> str:
        """The name of a class in a label file, `classN` where no file has one.

        Raises:
            UserError: a file of names cannot be read, or two in one folder contradict each other.
        """
        path, names = self._of_folder(label_file.parent.resolve()) or (None, {})
        if number not in names:
            self.unnamed[number] = None
            return f"class{number}"
        self.used[path] = None
        return names[number]

    def said(self) -> list[str]:
        """Lines that say which files the names are from, and which classes have none."""
        lines = [f"class names from {', '.join(map(str, self.used))}"] if self.used else []
        if self.unnamed:
            numbers = ", ".join(map(str, sorted(self.unnamed)[:12]))
            lines.append(
                f"no name for the classes {numbers}, called classN: give them in classes.txt, obj.names or data.yaml "
                "beside the labels"
            )
        return lines

    def _of_folder(self, folder: Path) -> tuple[Path, dict[int, str]] | None:
        if folder not in self.known:
            above = folder.parent if folder != self.top and self.top in folder.parents else None
            self.known[folder] = _read_folder(folder) or (self._of_folder(above) if above else None)
        return self.known[folder]


def is_names_file(path: Path) -> bool:
    """Whether a file is called like one of class names."""
    suffix = path.suffix.lower()
    return path.name.lower() in PLAIN_NAMES or suffix == NAMES_SUFFIX or suffix in YAML_SUFFIXES


def _read_folder(folder: Path) -> tuple[Path, dict[int, str]] | None:
    """The names that the files in a folder have, and the first of these files; None without any."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return None
    found: list[tuple[Path, dict[int, str]]] = []
    for path in sorted(filter(is_names_file, folder.iterdir()), key=lambda path: natural_key(path.name)):
        names = read_names(path) if path.is_file() else {}
        if names:
            found.append((path, names))
    for path, names in found[1:]:
        if names != found[0][1]:
            raise UserError(
                f"{path}: names other classes than {found[0][0]} in the same folder; expected one of them; remove or "
                "correct the other"
            )
    return found[0] if found else None


def read_names(path: Path) -> dict[int, str]:
    """Names by class number; {} where a YAML file has no `names`.

    Raises:
        UserError: it cannot be read, or has `names` in a form that is not known.
    """
    lines = read_text(str(path)).splitlines()
    if path.suffix.lower() not in YAML_SUFFIXES:
        while lines and not lines[-1].strip():
            lines.pop()
        return {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    start = next((index for index, line in enumerate(lines) if HEAD.fullmatch(line)), None)
    if start is None:
        return {}
    rest = _uncomment(HEAD.fullmatch(lines[start])[1])
    names = _flow(rest, lines[start + 1 :]) if rest[:1] in ("[", "{") else _block(rest, lines[start + 1 :])
    if names is None or not all(names.values()):
        raise UserError(
            f"{path}: line {start + 1}: cannot read 'names', expected a list [a, b] or - a, or a table 0: a; write it "
            "so, or name the classes in classes.txt, a line each"
        )
    return names


def _uncomment(text: str) -> str:
    quoted = text[:1] in ("'", '"')
    return text.strip() if quoted else re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def _scalar(text: str) -> str:
    """A word or a quoted text; empty for what is neither."""
    text = text.strip()
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        return text[1:end] if end > 0 and not _uncomment(text[end + 1 :]) else ""
    return "" if text[:1] in tuple("[]{}&*!|>%@`") else _uncomment(text)


def _flow(first: str, others: list[str]) -> dict[int, str] | None:
    """`[a, "b"]` or `{0: a, 1: 'b'}`, over one line or more."""
    closing = {"[": "]", "{": "}"}[first[0]]
    parts = [first[1:]]
    for line in others:
        if closing in parts[-1]:
            break
        parts.append(_uncomment(line))
    body, end, rest = " ".join(parts).partition(closing)
    if not end or _uncomment(rest):
        return None
    items = [item.strip() for item in body.split(",")]
    if not items[-1]:
        items.pop()
    if closing == "]":
        return {number: _scalar(item) for number, item in enumerate(items)}
    return _pairs(items)


def _block(first: str, others: list[str]) -> dict[int, str] | None:
    """`- a` or `0: a`, a line each."""
    items = []
    for line in others:
        if not _uncomment(line):
            continue
        if not (line[0].isspace() or line.startswith("-")):
            break
        items.append(line.strip())
    if first or not items:
        return None
    if not items[0].startswith("-"):
        return _pairs(items)
    matches = [ITEM.fullmatch(item) for item in items]
    return {number: _scalar(match[1] or "") for number, match in enumerate(matches)} if all(matches) else None


def _pairs(items: list[str]) -> dict[int, str] | None:
    matches = [PAIR.fullmatch(item) for item in items]
    names = {int(match[1]): _scalar(match[2]) for match in matches if match}
    return names if len(names) == len(items) else None
