"""Plain state dicts, in this project's names and in published ones: what they are, and what they do not say."""

import json

import numpy as np
import pytest
import torch
from trees import picture, write_pairs

import vid_predict
from nets import NETWORKS, build_model
from nets.published.kinds import extract_state
from nets.published.recognise import recognise
from utils.commands.inputs import open_predictor
from utils.commands.options import Hardware
from utils.commands.predictor_options import PredictorChoice
from utils.datasets.dataset import open_dataset
from utils.predictor.predictor import Predictor
from utils.predictor.weights import RELEASE_NAMES, load_weights, read_weights
from utils.system.errors import UserError

COMPARISON = sorted(NETWORKS.keys() - {"tsmsa", "sstnet"})
LEVELS = (100.0, 30.0)


def small(name):
    torch.manual_seed(0)
    return build_model(name, **({"width": 0.0625, "num_frames": 3} if name == "sstnet" else {})).network.eval()


def output_of(network, clip):
    with torch.no_grad():
        return network.eval()(clip)


@pytest.mark.parametrize(
    "name, prefix",
    [("tsmsa", "module."), ("acm", ""), ("acm", "module.model."), ("sstnet", "_orig_mod."), ("alcnet", "")],
)
def test_a_state_dict_in_own_names_predicts_as_its_network(tmp_path, name, prefix):
    network = small(name)
    torch.save({"state_dict": {prefix + key: value for key, value in network.state_dict().items()}}, tmp_path / "x.pt")
    weights = read_weights(tmp_path / "x.pt", LEVELS)
    assert weights.settings.name == name and f"{type(network).__name__} of this project weights" in weights.note
    frames = weights.settings.num_frames
    clip = torch.randn(1, 3, frames, 64, 64) if name == "sstnet" else torch.randn(1, frames, 64, 64)
    assert torch.equal(output_of(weights.model.network, clip), output_of(network, clip))


@pytest.mark.parametrize(
    "name, prefix", [*((name, "") for name in COMPARISON), ("acm", "module."), ("unet", "module.")]
)
def test_networks_in_published_names_are_told_by_them(golden, tmp_path, name, prefix):
    state = {key: torch.zeros(shape) for key, shape in golden(f"{name}_params.json").items()}
    torch.save(
        {"epoch": 3, "state_dict": {prefix + key: value for key, value in state.items()}}, tmp_path / "x.pth.tar"
    )
    found = recognise(extract_state(torch.load(tmp_path / "x.pth.tar", weights_only=True)))
    assert [(one.name, one.published) for one in found] == [(name, True)]
    predictor = Predictor.from_checkpoint(tmp_path / "x.pth.tar", "cpu", normalisation=LEVELS)
    frames = {"micml": 5, "resunet_dtum": 5, "deeppro": 40, "deeppro_plus": 40}.get(name, 1)
    assert predictor.settings.name == name and predictor.settings.num_frames == frames
    assert predictor.settings.every_frame == name.startswith("deeppro")
    title = RELEASE_NAMES.get(name, NETWORKS[name].__name__)
    assert f"published {title} release" in predictor.note and "as given" in predictor.note
    network = build_model(name).network
    assert "recognised published" in load_weights(network, str(tmp_path / "x.pth.tar"), name)
    other = "unet" if name != "unet" else "acm"
    with pytest.raises(UserError, match=f"expected weights of {other}; give --model .*{name}"):
        load_weights(build_model(other).network, str(tmp_path / "x.pth.tar"), other)


@pytest.mark.parametrize("name", COMPARISON)
def test_networks_in_own_names_are_told_by_them(name):
    assert [(one.name, one.published) for one in recognise(small(name).state_dict())] == [(name, False)]


@pytest.mark.parametrize("name", ["tsmsa", "acm", "sstnet"])
def test_training_starts_from_a_state_dict_in_own_names(tmp_path, name):
    network, other = small(name), small(name)
    for value in other.parameters():
        value.data.zero_()
    torch.save(network.state_dict(), tmp_path / "x.pt")
    assert "of this project weights" in load_weights(other, str(tmp_path / "x.pt"), name)
    assert all(map(torch.equal, other.state_dict().values(), network.state_dict().values()))


def test_slices_and_layers_that_names_do_not_tell_apart(tmp_path):
    options = {"num_frames": 3, "num_slices": 2, "num_layers": 3}
    network = build_model("tsmsa", **options).network
    torch.save(network.state_dict(), tmp_path / "x.pt")
    found = recognise(network.state_dict())
    assert options in [one.options for one in found]
    if len(found) == 1:
        assert read_weights(tmp_path / "x.pt", LEVELS).settings.num_frames == 3
        return
    with pytest.raises(UserError, match="--num-slices .* or tsmsa .*which its names do not tell apart"):
        read_weights(tmp_path / "x.pt", LEVELS)


def test_levels_that_a_state_dict_does_not_hold(tmp_path, capsys):
    torch.save(small("acm").state_dict(), tmp_path / "x.pt")
    with pytest.raises(UserError, match="which does not hold its frames' mean .* --normalisation MEAN,STD"):
        read_weights(tmp_path / "x.pt")
    write_pairs(tmp_path / "data", [f"s/{number}" for number in range(3)])
    dataset = open_dataset(tmp_path / "data", "all")
    given = PredictorChoice(str(tmp_path / "x.pt"))
    predictor = open_predictor(given, Hardware("cpu"), dataset)
    pixels = np.stack([picture(number) for number in range(3)])
    assert predictor.settings.normalisation == pytest.approx((pixels.mean(), pixels.std()), abs=1e-3)
    assert "measured on the frames of data" in capsys.readouterr().out
    asked = PredictorChoice(str(tmp_path / "x.pt"), normalisation=(90.0, 20.0))
    assert open_predictor(asked, Hardware("cpu"), dataset, quiet=True).settings.normalisation == (90.0, 20.0)


def test_a_video_is_predicted_with_a_state_dict(tmp_path, capsys):
    torch.save(small("acm").state_dict(), tmp_path / "x.pt")
    write_pairs(tmp_path / "data", [f"{number}" for number in range(3)], masks=False)
    argv = [
        "--source",
        str(tmp_path / "data" / "images"),
        "--weights",
        str(tmp_path / "x.pt"),
        "--out",
        str(tmp_path / "o"),
    ]
    vid_predict.main([*argv, "--normalisation", "100,30", "--device", "cpu", "--quiet"])
    assert "ACM of this project weights" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "o" / "predictions.json").read_text())["frames"]) == 3


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda state: state.pop("head.0.weight"), "found .* entries such as"),
        (lambda state: state.update({"head.0.weight": torch.zeros(3)}), "size mismatch for head.0.weight"),
        (lambda state: state.update({"more.weight": torch.zeros(3)}), "more.weight"),
    ],
)
def test_state_dicts_that_do_not_fit_are_refused_by_name(tmp_path, change, text):
    state = dict(small("acm").state_dict())
    change(state)
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(UserError, match=text):
        read_weights(tmp_path / "x.pt", LEVELS)
