"""The verifier's perceptron: its numbers, and what of a file it takes."""

import copy
import json

import numpy as np
import pytest
import torch
from verifying import random_model

from utils.predictor.verifier.features import NAMES
from utils.predictor.verifier.model import MAX_FEATURE, VerifierModel


@pytest.mark.parametrize("hidden", [(), (16,), (8, 4)])
def test_probabilities_are_pytorchs(hidden):
    model = random_model(1, hidden)
    features = np.random.default_rng(2).normal(size=(50, len(NAMES))).astype(np.float32) * 5
    values = torch.from_numpy(np.clip((features - model.mean) / model.scale, -MAX_FEATURE, MAX_FEATURE))
    for index, (weights, biases) in enumerate(model.layers):
        values = torch.relu(values) if index else values
        values = torch.nn.functional.linear(values, torch.from_numpy(weights), torch.from_numpy(biases))
    np.testing.assert_allclose(model.logits(features), values[:, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model(features), values[:, 0].sigmoid(), atol=1e-5)
    assert model(features).dtype == np.float32


def test_no_candidates_have_no_probabilities():
    assert random_model()(np.zeros((0, len(NAMES)), np.float32)).shape == (0,)


def test_a_feature_beyond_all_that_was_seen_counts_as_the_bound():
    model = random_model(3)
    one, other = (model.mean + factor * model.scale for factor in (MAX_FEATURE, 100 * MAX_FEATURE))
    np.testing.assert_allclose(model(one[None]), model(other[None]), atol=1e-5)


def test_plain_values_make_the_same_model_to_the_bit():
    model = random_model(4)
    features = np.random.default_rng(5).normal(size=(50, len(NAMES))).astype(np.float32)
    values = json.loads(json.dumps(model.as_dict()))
    again = VerifierModel.from_dict(values)
    assert (again.threshold, again.network_threshold, again.box_side) == (0.4, 0.6, 8.0)
    np.testing.assert_array_equal(again(features), model(features))


def damage(path, value):
    def change(values):
        *way, last = path
        for key in way:
            values = values[key]
        values[last] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (damage(["version"], 99), "python -m utils.verify"),
        (damage(["features"], list(NAMES)[::-1]), "python -m utils.verify"),
        (damage(["mean"], [0.0]), "the verifier's mean"),
        (damage(["mean", 0], float("nan")), "finite numbers"),
        (damage(["mean", 0], "a"), "finite numbers"),
        (damage(["scale", 0], 0.0), "above 0"),
        (damage(["layers"], []), "1 to 4"),
        (damage(["layers"], "x"), "1 to 4"),
        (damage(["layers", 0], 3), "weights and biases"),
        (damage(["layers", 0, "weights"], []), "1 to 512"),
        (damage(["layers", 0, "weights", 0], [1.0]), "a verifier's weights"),
        (damage(["layers", 1, "biases", 0], float("inf")), "a verifier's biases"),
        (lambda values: values["layers"].pop(), "4 outputs"),
        (damage(["threshold"], 1.5), "threshold"),
        (damage(["network_threshold"], None), "network_threshold"),
        (damage(["box_side"], -1.0), "box_side"),
    ],
)
def test_what_is_no_verifier_is_refused(change, message):
    values = copy.deepcopy(random_model().as_dict())
    change(values)
    with pytest.raises(ValueError, match=message):
        VerifierModel.from_dict(values)
