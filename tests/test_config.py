"""The command line: recipes, overrides, and mistakes that end with status 2 before anything heavy is imported."""
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from utils.config import CHOICES, TrainConfig, parse_cli
from utils.errors import UserError, user_errors
from utils.recipes import PUBLISHED_TSMSA, TSMSA

ROOT = Path(__file__).parents[1]
RECIPES = {"default": TSMSA, "published": PUBLISHED_TSMSA}


def run_script(*arguments):
    """Run a script with `-X importtime`, whose report on stderr lists every imported module."""
    return subprocess.run([sys.executable, "-X", "importtime", *arguments], cwd=ROOT, capture_output=True, text=True)


def errors_of(result):
    return [line for line in result.stderr.splitlines() if not line.startswith("import time:")]


def test_options_override_the_named_recipe():
    config = parse_cli(RECIPES, ["--recipe", "published", "--epochs", "3", "--no-batch-augmentation",
                                 "--val-sequences", "a", "b", "--milestones", "1", "2"])
    assert config == dataclasses.replace(PUBLISHED_TSMSA, epochs=3, batch_augmentation=False,
                                         val_sequences=("a", "b"), milestones=(1, 2))
    assert parse_cli(RECIPES, []) == TSMSA


def test_the_published_recipe_is_the_papers():
    expected = {"optimizer": "adam", "lr": 5e-4, "schedule": "multistep", "milestones": (150, 225), "epochs": 300,
                "batch_size": 4, "input_size": 512, "threshold": 0.5, "seed": 42, "loss": "focal_iou", "clones": 3,
                "published_augmentation": True, "num_slices": 1, "num_layers": 1}
    assert {name: getattr(PUBLISHED_TSMSA, name) for name in expected} == expected


@pytest.mark.parametrize(("arguments", "parts"), [
    (["--epoch", "3"], ["--epoch", "--help"]),
    (["--epochs", "many"], ["--epochs", "many"]),
    (["--epochs", "0"], ["--epochs", "0", "at least 1"]),
    (["--loss", "dice"], ["--loss", "dice", *CHOICES["loss"]]),
    (["--model", "tsmsaa"], ["--model", "tsmsaa", "tsmsa"]),
    (["--recipe", "best"], ["best", "default", "published"]),
    (["--input-size", "100"], ["--input-size", "100", "multiple of 32"]),
    (["--lr", "-1"], ["--lr", "-1", "more than 0"]),
    (["--lr", "nan"], ["--lr", "nan"]),
    (["--val-fraction", "1"], ["--val-fraction", "below 1"]),
])
def test_mistakes_on_the_command_line_are_named(arguments, parts):
    with pytest.raises(UserError) as caught:
        parse_cli(RECIPES, arguments)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("script", ["train_NUDT.py", "train_MWIRDST.py", "train_DAUB.py"])
@pytest.mark.parametrize(("arguments", "part"), [
    (["--epocks", "1"], "--epocks"), ([], "--data-root"), (["--data-root", "no/such/folder"], "no/such/folder")])
def test_scripts_end_with_status_2_and_one_line_before_importing_torch(script, arguments, part):
    result = run_script(script, *arguments)
    assert result.returncode == 2
    (line,) = errors_of(result)
    assert line.startswith("error: ") and part in line
    assert " torch\n" not in result.stderr


def test_help_lists_every_option_with_its_default():
    result = run_script("train_NUDT.py", "--help")
    assert result.returncode == 0
    for item in dataclasses.fields(TrainConfig):
        assert f"--{item.name.replace('_', '-')}" in result.stdout
    assert "0.002" in result.stdout or str(TSMSA.lr) in result.stdout


def test_user_errors_collapse_to_one_line(capsys):
    with pytest.raises(SystemExit) as caught, user_errors():
        raise UserError("found\n  this")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: found this\n"
    with pytest.raises(SystemExit) as caught, user_errors():
        raise KeyboardInterrupt
    assert caught.value.code == 130
    with pytest.raises(ZeroDivisionError), user_errors():
        raise ZeroDivisionError
