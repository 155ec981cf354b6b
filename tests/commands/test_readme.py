"""The README and the pages behind it: links lead somewhere, commands and options exist, and the Python lines run."""

import contextlib
import functools
import importlib.util
import io
import re
import runpy
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from scripts import ROOT

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "weights").rglob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
COUNT, SIZE = 12, (96, 128)  # frames, and their height and width
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.S | re.M)
TORCHRUN = {"--nproc-per-node", "--nnodes", "--node-rank", "--rdzv-backend", "--rdzv-endpoint", "--max-restarts"}


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(text: str) -> list[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found, seen = [], Counter()
    for heading in re.findall(r"^#+ +(.+)$", BLOCK.sub("", text), re.M):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.strip())
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.append(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def links(text: str) -> list[str]:
    """Where a page's links and pictures lead, save those to other sites."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text)) if ":" not in link]


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it."""
    found = []
    for link in links(read(page)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(read(target))):
            found.append(link)
    return found


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The project's commands that a page names, "test.py" or "utils.log", each with the options that follow it.

    The page's shell variables are filled in. A `--kind` stays with the command, as other options may depend on it.
    """
    variables: dict[str, str] = {}
    lines = [line for block in BLOCK.findall(text) for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    for line in lines + re.findall(r"`([^`\n]+)`", BLOCK.sub("", text)):
        line = re.sub(r"\$(\w+)", lambda match: variables.get(match[1], match[0]), line)
        if assigned := re.fullmatch(r'(\w+)="(.*)"', line):
            variables[assigned[1]] = assigned[2]
        for part in re.split(r"[;|#]", line):
            named = re.search(r"-m ((?:utils|utils_coco|benchmarks|docs)\b[.\w]*)|(?<![\w/.])(\w+\.py)\b", part)
            if named:
                rest = part[named.end() :]
                kind = re.search(r"--kind [a-z]\w*", rest)
                yield (
                    " ".join([named[1] or named[2], *([kind[0]] if kind else [])]),
                    re.findall(r"(?<!\S)--[a-z][\w-]*", rest),
                )


@functools.cache
def options_of(command: str) -> frozenset[str]:
    """The options that the `--help` of a command, perhaps of a `--kind`, lists; none where there is no such command."""
    name = command.split()[0]
    if name.endswith(".py"):
        there, run = (ROOT / name).is_file(), functools.partial(runpy.run_path, str(ROOT / name))
    else:
        there, run = importlib.util.find_spec(name) is not None, functools.partial(runpy.run_module, name)
    if not there:
        return frozenset()
    printed = io.StringIO()
    with (
        patch.object(sys, "argv", [*command.split(), "--help"]),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # that a module was imported before it is run
        run(run_name="__main__")
    rows = re.findall(r"^ {2}(-.*?)(?: {2}|$)", printed.getvalue(), re.M)
    return frozenset(option for row in rows for option in re.findall(r"--[a-z][\w-]*", row))


def test_headings_get_the_anchors_that_github_gives_them():
    text = "# A `b.py`, and C\n## Real: a 1,000-frame part\n```\n# no heading\n```\n## [X](y.md) – z\n## Z\n## Z\n"
    assert anchors(text) == ["a-bpy-and-c", "real-a-1000-frame-part", "x--z", "z", "z-1"]


def test_a_link_to_no_file_or_no_heading_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# Here\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n[a](other.md) [b](other.md#here) [c](#top) [d](https://a.b/c) [e](gone.md)\n"
        "![f](gone.png) [g](other.md#top) [h](#here)\n```\n[i](gone.md)\n```\n"
    )
    assert broken_links(page) == ["gone.md", "gone.png", "other.md#top", "#here"]


def test_commands_are_read_with_their_options():
    text = (
        '```\nRUN="python train_DAUB.py --width 1"\n$RUN --lr 2 \\\n    --seed 3  # --not this\n'
        "torchrun --nnodes 2 test.py\n```\nand `python -m utils.log runs/*` or `utils/log.py` or "
        "`python -m utils.synthetic --out X --kind satellite --cars 1 2`"
    )
    assert list(commands(text)) == [
        ("train_DAUB.py", ["--width"]),
        ("train_DAUB.py", ["--width", "--lr", "--seed"]),
        ("test.py", []),
        ("utils.log", []),
        ("utils.synthetic --kind satellite", ["--out", "--kind", "--cars"]),
    ]


def test_options_are_those_of_the_help_text():
    assert {"--help", "--weights", "--compat"} <= options_of("test.py")
    assert "--cars" in options_of("utils.synthetic --kind satellite") - options_of("utils.synthetic")
    assert options_of("utils.no_such_command") == options_of("no_such_script.py") == frozenset()


@each_page
def test_links_and_anchors_lead_somewhere(page):
    assert not broken_links(page)


@each_page
def test_commands_exist_and_know_their_options(page):
    wrong = [
        f"{name} {option}"
        for name, options in commands(read(page))
        for option in ("--help", *options)
        if option not in options_of(name)
    ]
    assert not wrong


def test_options_in_the_text_belong_to_a_command():
    known = TORCHRUN.union(*(options_of(name) for page in PAGES for name, _ in commands(read(page))))
    wrong = [
        f"{page.name}: {option}"
        for page in PAGES
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", read(page))
        if option not in known
    ]
    assert not wrong


@each_page
def test_files_and_modules_in_the_text_are_there(page):
    files = re.findall(r"(?<![\w./{*])(?:\w+/)+\w+\.py\b", read(page))
    modules = re.findall(r"(?<![\w./])(?:utils|utils_coco|nets|benchmarks)(?:\.[a-z_]+)+", read(page))
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert [name for name in modules if not there(name)] == []


def test_pages_that_the_code_names_are_there():
    code = [path for folder in ("nets", "utils", "utils_coco", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in code for name in re.findall(r"docs/\w+\.md", read(path))}
    assert len(named) > 2 and [name for name in named if not (ROOT / name).is_file()] == []


def there(name: str) -> bool:
    """Whether `name` is a module of the project, or something that one holds."""
    module, _, inside = name.rpartition(".")
    with contextlib.suppress(ModuleNotFoundError):
        if importlib.util.find_spec(name):
            return True
    return hasattr(importlib.import_module(module), inside)


def test_the_readme_is_short_and_leads_to_every_page():
    assert len(read(README).splitlines()) <= 160
    assert {(ROOT / link.partition("#")[0]).resolve() for link in links(read(README))} >= {
        page for page in PAGES[1:] if page.parent.name in ("docs", "weights")
    }


def place(number):
    """Where the target is, (x, y) in pixels."""
    return 20 + 3 * number, 50


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with what a reader has: the project's weights, and a video of a small target over clouds."""
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    rng, (y, x) = np.random.default_rng(0), np.mgrid[: SIZE[0], : SIZE[1]]
    clouds = 100 + 200 * cv2.GaussianBlur(rng.normal(0, 1, SIZE), (0, 0), 6)
    video = cv2.VideoWriter(str(tmp_path / "my_video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, SIZE[::-1])
    for number in range(COUNT):
        at = place(number)
        spot = 60 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2.5)
        frame = np.clip(clouds + rng.normal(0, 4, SIZE) + spot, 0, 255).astype(np.uint8)
        video.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    video.release()
    monkeypatch.chdir(tmp_path)


PYTHON = re.findall(r"```python\n(.*?)```", read(README), re.S)


@pytest.mark.parametrize("block", PYTHON or [""], ids=range(len(PYTHON) or 1))
def test_python_lines_find_the_target(block, reader, capsys):
    assert 1 <= len(block.splitlines()) <= 10
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    printed = re.findall(r"^my_video (\d+) \(([\d.]+), ([\d.]+)\) [\d.]+$", capsys.readouterr().out, re.M)
    found = {number for number, *at in printed if np.hypot(*np.subtract(place(int(number)), list(map(float, at)))) < 2}
    assert len(found) > COUNT // 2
