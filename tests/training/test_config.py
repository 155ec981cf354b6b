"""The command line: recipes, overrides, and mistakes that end with status 2 before anything heavy is imported."""

import dataclasses
import json
import subprocess
import sys

import pytest
from scripts import ROOT

import nets
from nets.multi_frame.every_frame import EveryFrameNetwork
from nets.single_frame.key_frame import KeyFrameNetwork
from utils.system.errors import UserError, user_errors
from utils.training.config import CENTRE_DETECTORS, CHOICES, DETECTORS, EVERY_FRAME, SINGLE_FRAME, TrainConfig
from utils.training.config_cli import parse_cli
from utils.training.recipes import (
    DETECTION_FIRST,
    PUBLISHED_SSTNET,
    PUBLISHED_TSMSA,
    SATELLITE_FIRST,
    SEGMENTATION_FIRST,
    SINGLE_FRAME_ONLY,
    SSTNET,
    TSMSA,
)
from utils.training.setup import loss_options, network_options


def run_script(*arguments):
    """Run a script with `-X importtime`, whose report on stderr lists every imported module."""
    return subprocess.run([sys.executable, "-X", "importtime", *arguments], cwd=ROOT, capture_output=True, text=True)


def errors_of(result):
    return [line for line in result.stderr.splitlines() if not line.startswith("import time:")]


def test_options_override_the_named_recipe():
    config = parse_cli(
        SEGMENTATION_FIRST,
        [
            "--recipe",
            "published",
            "--epochs",
            "3",
            "--no-batch-augmentation",
            "--val-sequences",
            "a",
            "b",
            "--milestones",
            "1",
            "2",
        ],
    )
    assert config == dataclasses.replace(
        PUBLISHED_TSMSA, epochs=3, batch_augmentation=False, val_sequences=("a", "b"), milestones=(1, 2)
    )
    assert parse_cli(SEGMENTATION_FIRST, []) == TSMSA


def test_a_runs_settings_are_a_recipe(tmp_path):
    run = dataclasses.replace(
        SSTNET,
        width=0.125,
        frame_step=4,
        lr=1e-3,
        data_root="elsewhere",
        name="old",
        threads=3,
        weights="start.pt",
        val_sequences=("a",),
    )
    path = tmp_path / "config.json"
    path.write_text(json.dumps(run.as_dict()))
    found = parse_cli(DETECTION_FIRST, ["--recipe", str(path), "--epochs", "3", "--data-root", "mine"])
    assert found == dataclasses.replace(SSTNET, width=0.125, frame_step=4, lr=1e-3, data_root="mine", epochs=3)
    with pytest.raises(UserError, match="expected one of acm"):
        parse_cli(SINGLE_FRAME_ONLY, ["--recipe", str(path)])
    path.write_text('{"colour": 3}')
    with pytest.raises(UserError, match="not the config.json of a run.*colour"):
        parse_cli(DETECTION_FIRST, ["--recipe", str(path)])
    with pytest.raises(UserError, match="cannot be read"):
        parse_cli(DETECTION_FIRST, ["--recipe", str(tmp_path / "none.json")])


def test_the_bundled_runs_are_recipes():
    for name, scripts in (("sstnet", DETECTION_FIRST), ("tsmsa", SEGMENTATION_FIRST)):
        assert parse_cli(scripts, ["--recipe", str(ROOT / "weights" / name / "config.json")]).model == name


def test_the_published_recipe_is_the_papers():
    expected = {
        "optimizer": "adam",
        "lr": 5e-4,
        "schedule": "multistep",
        "milestones": (150, 225),
        "epochs": 300,
        "batch_size": 4,
        "input_size": 512,
        "threshold": 0.5,
        "seed": 42,
        "loss": "focal_iou",
        "clones": 3,
        "published_augmentation": True,
        "num_slices": 1,
        "num_layers": 1,
    }
    assert {name: getattr(PUBLISHED_TSMSA, name) for name in expected} == expected


def test_the_published_detection_recipe_is_the_papers():
    expected = {
        "optimizer": "sgd",
        "momentum": 0.937,
        "weight_decay": 5e-4,
        "lr": 4 / 64 * 1e-2,
        "schedule": "yolox",
        "epochs": 100,
        "batch_size": 4,
        "input_size": 512,
        "fit": "letterbox",
        "ema": 0.9999,
        "ema_ramp": 2000,
        "init_std": 0.02,
        "seed": 2023,
        "clips_per_epoch": 0.2,
        "fold_frames": False,
        "depth": 0.33,
        "width": 0.5,
        "num_slices": 1,
        "num_layers": 1,
        "motion_weight": 1.0,
        "target_augmentation": False,
        "flips": False,
        "intensity": 0.0,
    }
    assert {name: getattr(PUBLISHED_SSTNET, name) for name in expected} == expected
    assert PUBLISHED_SSTNET.clips_drawn(503) == 101 and SSTNET.clips_drawn(503) == 0


def test_the_defaults_depend_on_the_network():
    assert parse_cli(DETECTION_FIRST, []) == parse_cli(SEGMENTATION_FIRST, ["--model", "sstnet"]) == SSTNET
    assert parse_cli(DETECTION_FIRST, ["--model", "tsmsa"]) == TSMSA
    assert parse_cli(DETECTION_FIRST, ["--model", "tsmsa", "--recipe", "published"]) == PUBLISHED_TSMSA
    assert parse_cli(DETECTION_FIRST, ["--recipe=published", "--clone-scale", "0.5", "1"]) == dataclasses.replace(
        PUBLISHED_SSTNET, clone_scale=(0.5, 1.0)
    )
    with pytest.raises(
        UserError, match="--model: found 'sstnet', expected one of tsmsa, .*deeppro_plus in this script"
    ):
        parse_cli({"default": (TSMSA,)}, ["--model", "sstnet"])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--loss", "focal_iou"], "--loss: found 'focal_iou', expected yolox for sstnet"),
        (["--fit", "crop"], "--fit: found 'crop', expected letterbox for sstnet"),
        (["--train-crop", "100"], "--train-crop: found 100, expected a multiple of 32"),
        (["--batch-augmentation"], "--batch-augmentation: is for segmentation, which sstnet does not do"),
        (["--target-weight", "5"], "--target-weight: is for segmentation"),
        (["--model", "tsmsa", "--width", "0.25"], "--width: is for detection, which tsmsa does not do"),
        (["--model", "tsmsa", "--loss", "yolox"], "--loss: found 'yolox', expected focal_iou or"),
        (["--model", "tsmsa", "--fit", "letterbox"], "--fit: found 'letterbox', expected crop or resize for tsmsa"),
        (["--num-frames", "1"], "--num-frames: found 1, expected at least 2 for sstnet"),
        (["--width", "0.01"], "--width"),
        (["--num-classes", "0"], "--num-classes"),
        (["--clips-per-epoch", "3.5"], "--clips-per-epoch: found 3.5, expected a whole number, or a share"),
        (["--clone-scale", "0.9", "0.5"], "--clone-scale"),
        (["--clone-scale", "0.9"], "--clone-scale"),
        (["--gain", "2", "0.5"], "--gain: found (2.0, 0.5), expected two numbers, 0 < low <= high"),
        (["--gain", "0", "1"], "--gain: found '0', expected float more than 0"),
        (["--blur", "1"], "--blur: found (1.0,), expected two numbers, 0 <= low <= high"),
        (["--noise", "-1", "1"], "--noise"),
        (["--levels", "mine"], "--levels: found 'mine', expected one of dataset, local"),
        (["--lags", "1"], "--lags: is for tsmsa, found with sstnet"),
        (["--model", "tsmsa", "--lags", "1", "5"], "--lags: found (1, 5), expected ascending numbers below 5"),
        (["--momentum", "1"], "--momentum"),
        (["--motion-at-test"], "--motion-at-test: is for micml, found with sstnet"),
        (["--model", "dsfnet", "--motion-at-test"], "--motion-at-test: is for micml, found with dsfnet"),
        (["--model", "micml", "--depth", "1"], "--depth: is for sstnet, found with micml"),
        (["--model", "micml", "--train-crop", "64"], "--train-crop: is for sstnet"),
        (["--model", "micml", "--loss", "yolox"], "--loss: found 'yolox', expected centernet for micml"),
        (["--model", "dsfnet", "--fit", "resize"], "--fit: found 'resize', expected crop for dsfnet"),
        (["--model", "dsfnet", "--num-frames", "7"], "--num-frames: found 7, expected 3 to 6 for dsfnet"),
        (["--model", "micml", "--num-frames", "2"], "--num-frames: found 2, expected at least 3 for micml"),
        (["--model", "micml", "--batch-augmentation"], "--batch-augmentation: is for segmentation"),
    ],
)
def test_options_that_do_not_serve_the_network_are_named(arguments, part):
    with pytest.raises(UserError) as caught:
        parse_cli(DETECTION_FIRST, arguments)
    assert part in str(caught.value)


def test_the_networks_that_detect_are_known_without_importing_them():
    assert set(DETECTORS) == nets.DETECTORS and set(CENTRE_DETECTORS) == nets.CENTRE_DETECTORS
    assert set(CHOICES["model"]) == set(nets.NETWORKS)
    assert {name for name, kind in nets.NETWORKS.items() if issubclass(kind, KeyFrameNetwork)} == set(SINGLE_FRAME)
    assert {name for name, kind in nets.NETWORKS.items() if issubclass(kind, EveryFrameNetwork)} == set(EVERY_FRAME)


@pytest.mark.parametrize("recipes", [SEGMENTATION_FIRST, DETECTION_FIRST])
def test_networks_over_clips_have_recipes_of_their_own(recipes):
    for recipe in recipes:
        for model in ("resunet_dtum", "deeppro", "deeppro_plus"):
            config = parse_cli(recipes, ["--model", model, "--recipe", recipe])
            nets.build_model(model, loss=config.loss, loss_options=loss_options(config), **network_options(config))
            assert (config.model, config.num_frames) == (model, 5 if model == "resunet_dtum" else 40)
            assert not (config.every_frame and config.register)
    config = parse_cli(recipes, ["--model", "resunet_dtum", "--recipe", "published"])
    assert (config.loss, config.beta2, config.lr, config.batch_size, config.epochs) == ("soft_iou", 0.99, 1e-3, 1, 20)
    rates = [1e-3 * config.milestone_factor ** sum(epoch >= at for at in config.milestones) for epoch in (0, 3, 19)]
    assert rates == [1e-3, 5e-4, 1e-3 / 64]
    config = parse_cli(recipes, ["--model", "deeppro_plus", "--recipe", "published"])
    assert (config.loss, config.weight_decay, config.clips_per_epoch, config.input_size) == ("clip_iou", 1e-4, 0.1, 128)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--model", "resunet_dtum", "--num-frames", "7"], "--num-frames: found 7, expected 5 for resunet_dtum"),
        (["--model", "deeppro", "--num-frames", "1"], "--num-frames: found 1, expected at least 2 for deeppro"),
        (["--model", "deeppro", "--register"], "--register: found True, expected False for deeppro"),
        (["--model", "sstnet", "--no-stop-gradient"], "--stop-gradient: is for resunet_dtum, found with sstnet"),
    ],
)
def test_options_that_a_network_over_clips_cannot_have_are_named(arguments, part):
    with pytest.raises(UserError) as caught:
        parse_cli(SEGMENTATION_FIRST, arguments)
    assert part in str(caught.value)


@pytest.mark.parametrize("recipes", [SEGMENTATION_FIRST, DETECTION_FIRST, SATELLITE_FIRST])
def test_detectors_of_centres_have_recipes_of_their_own(recipes):
    for recipe in recipes:
        for model in CENTRE_DETECTORS:
            config = parse_cli(recipes, ["--model", model, "--recipe", recipe, "--width", "0.25"])
            nets.build_model(model, loss=config.loss, loss_options=loss_options(config), **network_options(config))
            assert (config.model, config.fit, config.loss) == (model, "crop", "centernet")
    config = parse_cli(recipes, ["--model", "micml", "--recipe", "published"])
    assert (config.epochs, config.milestones, config.milestone_factor) == (55, (30, 45), 0.1)
    assert (config.optimizer, config.lr, config.batch_size, config.seed) == ("adam", 1.25e-4, 4, 317)
    assert (config.input_size, config.clips_per_epoch, config.width, config.register) == (512, 0.05, 1.0, False)
    assert parse_cli(SATELLITE_FIRST, []).model == "micml"


def test_scripts_train_networks_of_their_kind():
    assert network_options(parse_cli(SINGLE_FRAME_ONLY, ["--model", "unet"])) == {}
    recipe = parse_cli(SINGLE_FRAME_ONLY, ["--recipe", "published"])
    assert (recipe.model, recipe.num_frames, recipe.milestone_factor, recipe.register) == ("acm", 1, 0.5, False)
    with pytest.raises(UserError, match="found 'tsmsa', expected one of acm, .*unet in this script"):
        parse_cli(SINGLE_FRAME_ONLY, ["--model", "tsmsa"])
    with pytest.raises(UserError, match="found 'acm', expected one of tsmsa, .*deeppro.*sstnet.*micml in this script"):
        parse_cli(SEGMENTATION_FIRST, ["--model", "acm"])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--epoch", "3"], ["--epoch", "--help"]),
        (["--epochs", "many"], ["--epochs", "many"]),
        (["--epochs", "0"], ["--epochs", "0", "at least 1"]),
        (["--num-frames", "1"], ["--num-frames", "1", "at least 2 for tsmsa"]),
        (["--loss", "dice"], ["--loss", "dice", *CHOICES["loss"]]),
        (["--model", "tsmsaa"], ["--model", "tsmsaa", "tsmsa"]),
        (["--recipe", "best"], ["best", "default", "published"]),
        (["--input-size", "100"], ["--input-size", "100", "multiple of 32"]),
        (["--lr", "-1"], ["--lr", "-1", "more than 0"]),
        (["--lr", "nan"], ["--lr", "nan"]),
        (["--val-fraction", "1"], ["--val-fraction", "below 1"]),
    ],
)
def test_mistakes_on_the_command_line_are_named(arguments, parts):
    with pytest.raises(UserError) as caught:
        parse_cli(SEGMENTATION_FIRST, arguments)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("script", ["train_NUDT.py", "train_MWIRDST.py", "train_DAUB.py", "train_VISO.py"])
@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--epocks", "1"], "--epocks"), ([], "--data-root"), (["--data-root", "no/such/folder"], "no/such/folder")],
)
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
    assert str(TSMSA.lr) in result.stdout
    assert f"(default: {SSTNET.input_size})" in run_script("train_NUDT.py", "--help", "--model", "sstnet").stdout


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


def test_lags_of_a_recipe_are_tsmsas():
    with pytest.raises(UserError, match="--lags: found .*expected none for resunet_dtum"):
        dataclasses.replace(TSMSA, data_root="x", model="resunet_dtum", lags=(1, 2))
