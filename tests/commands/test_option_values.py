"""A thousand values of options, over all commands: each is taken, or refused in one line before any work."""

import importlib
import random

import pytest

from utils.synthetic import __main__ as synthetic
from utils.synthetic.dataset import KINDS
from utils.system.command_line import BOUNDS, Parser
from utils.system.errors import UserError
from utils.training.config_cli import parse_cli
from utils.training.recipes import DETECTION_FIRST, SEGMENTATION_FIRST, SINGLE_FRAME_ONLY

COMMANDS = (
    *("test", "vid_predict", "vid_map_coco", "utils.export", "utils.report.__main__", "utils.checks", "utils.log"),
    *("utils.bundle", "utils_coco.import_labels", "utils_coco.csv_to_coco", "utils_coco.boxes_to_masks"),
    *("utils_coco.masks_to_coco", "utils_coco.coco_to_txt", "utils_coco.txt_to_coco"),
    *("benchmarks.data", "benchmarks.index", "benchmarks.metrics", "benchmarks.processes", "benchmarks.report"),
    *("benchmarks.speed", "benchmarks.steady", "benchmarks.methods_table", "benchmarks.tiles"),
    *("benchmarks.gpu.__main__", "benchmarks.gpu.rates", "benchmarks.gpu.training"),
)
RECIPES = {"multi": SEGMENTATION_FIRST, "boxes": DETECTION_FIRST, "single": SINGLE_FRAME_ONLY}
ODD = (
    *(
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e999",
        "-1",
        "-1e-9",
        "0",
        "1",
        "2",
        "0.5",
        "1.5",
        "1e-320",
        "1e308",
        "999999999999",
    ),
    *(
        "9" * 5000,
        "1" * 400,
        "0x10",
        "1_000",
        "٣",
        "",
        " ",
        "1 ",
        "1,2",
        "1;2",
        "p0,p100",
        "p1,p200",
        "0,0,8,8",
        "a",
        "-",
    ),
    *(
        "0,0," + "9" * 5000 + ",9",
        "7000,1e5",
        "9" * 400 + ",1",
        "None",
        "True",
        "\ud800",
        "\0",
        "..",
        "1\n2",
        "+5",
        "5-",
        "64x64",
    ),
    *(
        "0x0",
        "99999x99999",
        "256",
        "257",
        "1024",
        "1025",
        "65536",
        "4096",
        "4128",
        "33",
        "0.9",
        "1.0",
        "100000",
        "2147483648",
    ),
)


class Parsed(Exception):
    """The command line was found good."""


@pytest.fixture
def parsers(monkeypatch):
    """Every parser that a command makes; none of them gets further than its command line."""
    made = []

    def parse(self, argv=None, namespace=None):
        made.append(self)
        given = super(Parser, self).parse_args(argv, namespace)
        if self.add_help:
            raise Parsed(given)
        return given

    monkeypatch.setattr(Parser, "parse_args", parse)
    return made


def run_command(name):
    """A function of a command line that reads it as the command does."""
    if name in RECIPES:
        return lambda argv: parse_cli(RECIPES[name], argv)
    module = importlib.import_module(name)
    return getattr(module, "parse", None) or module.main


def options_of(run, made):
    """The options of a command, and arguments that it cannot do without."""
    made.clear()
    with pytest.raises((UserError, Parsed, SystemExit)):
        run(["--no-such-option"])
    actions = made[-1]._actions
    needed = [
        part
        for action in actions
        if action.required
        for part in ([action.option_strings[0], "x"] if action.option_strings else ["x"])
    ]
    return [action for action in actions if action.option_strings and action.nargs != 0], needed


@pytest.mark.parametrize("name", [*COMMANDS, *RECIPES])
def test_options_take_numbers_within_their_bounds_only(parsers, capsys, name):
    if name.startswith("benchmarks"):
        pytest.importorskip("torch")
    run, rng = run_command(name), random.Random(name)
    options, needed = options_of(run, parsers)
    capsys.readouterr()
    for action in options:
        assert action.type not in (int, float), f"{name} {action.option_strings[0]}: not held to BOUNDS"
    values = [rng.choice(ODD) for _ in range(40)]
    for value in values:
        action = rng.choice(options)
        count = action.nargs if isinstance(action.nargs, int) else 1
        try:
            option = action.option_strings[0]
            run([*needed, *([f"{option}={value}"] if count == 1 else [option, *[value] * count])])
        except UserError as error:
            assert len(str(error)) < 6000, (name, action.dest, value)
        except SystemExit as error:  # of commands that turn it into a line themselves
            assert error.code == 2 and capsys.readouterr().err.count("\n") == 1, (name, action.dest, value)
        except Parsed:
            pass


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_synthetic_sequences(monkeypatch, kind):
    rng, taken = random.Random(0), []
    monkeypatch.setattr(synthetic, "write_dataset", lambda config, *_: taken.append(config) or ())
    monkeypatch.setattr(synthetic, "read_split", lambda *_: None)
    options = [action for action in synthetic._parser(kind)._actions if action.option_strings and action.nargs != 0]
    for _ in range(150):
        action = rng.choice(options)
        values = [rng.choice(ODD) for _ in range(action.nargs if isinstance(action.nargs, int) else 1)]
        try:
            synthetic.main(["--out", "x", "--kind", kind, f"{action.option_strings[0]}", *values])
        except UserError as error:
            assert len(str(error)) < 6000
    assert 5 < len(taken) < 100


@pytest.mark.parametrize("name", BOUNDS)
def test_the_ends_of_bounds(name):
    bounds = BOUNDS[name]
    assert bounds.hold(bounds.least) != bounds.above and bounds.hold(bounds.most) != bounds.below
    step = 1 if bounds.kind is int else 1e-9 * max(1, abs(bounds.most))
    assert not bounds.hold(bounds.least - step) and not bounds.hold(bounds.most + step)
    for value in (float("nan"), float("inf"), -float("inf"), True, None, "1", [1], 10**400, -(10**400)):
        assert not bounds.hold(value)
