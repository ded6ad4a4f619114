"""Stacked perceptrons against torch.nn, member by member."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from litrepro.nets import StackedMLP


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def single(model, member):
    """A plain torch network with one member's weights."""
    layers = []
    for weight, bias in zip(model.weights, model.biases):
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data = weight[member].T.clone()
        linear.bias.data = bias[member, 0].clone()
        layers.append(linear)
    return layers


def test_members_are_networks_of_their_own():
    model = StackedMLP((4, 7, 5, 3), trials=3, activation=("sigmoid", "relu"), generator=generator())
    x = torch.randn(3, 6, 4, generator=generator(1))
    for member in range(3):
        first, second, last = single(model, member)
        expected = last(torch.relu(second(torch.sigmoid(first(x[member])))))
        torch.testing.assert_close(model(x)[member], expected)
    shared = model(x[0])
    torch.testing.assert_close(shared[2], model(x[0].expand(3, -1, -1))[2])


def test_members_do_not_depend_on_how_many_there_are():
    few, many = (StackedMLP((4, 8, 2), trials=k, generator=generator(5)) for k in (2, 20))
    for a, b in zip(few.parameters(), many.parameters()):
        assert torch.equal(a, b[:2])
    assert not torch.equal(many.weights[0][0], many.weights[0][1])


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
def test_inputs_given_by_the_places_of_their_ones(hidden):
    model = StackedMLP((12, *hidden, 3), trials=4, dropout=0.3, generator=generator())
    places = torch.randint(12, (6, 5), generator=generator(1))
    counts = nn.functional.one_hot(places, 12).sum(1).float()  # a place that is named twice counts twice
    state = model.noise_state()
    sparse = model.from_ones(places)
    gradients = torch.autograd.grad(sparse.square().sum(), list(model.parameters()))
    model.set_noise_state(state)
    dense = model(counts)
    torch.testing.assert_close(sparse, dense)
    torch.testing.assert_close(gradients, torch.autograd.grad(dense.square().sum(), list(model.parameters())))
    for bad in (places[0], places.float(), places.int()):
        with pytest.raises(ValueError, match="indices"):
            model.from_ones(bad)


@pytest.mark.parametrize("place", [-1, 12])
def test_places_outside_the_input_are_not_another_member_s_weights(place):
    model = StackedMLP((12, 3), trials=2, generator=generator())
    with pytest.raises(ValueError, match=r"0\.\.11"):
        model.from_ones(torch.tensor([[3, place]]))


def test_initial_distributions():
    torch_like = StackedMLP((50, 400, 3), trials=4, generator=generator())
    bound = 1 / math.sqrt(50)
    assert torch_like.weights[0].abs().max() <= bound
    assert torch_like.weights[0].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert torch_like.biases[0].abs().max() > 0.9 * bound
    glorot = StackedMLP((50, 400, 3), trials=4, init="glorot", generator=generator())
    assert glorot.weights[0].std().item() == pytest.approx(math.sqrt(2 / 450), rel=0.02)
    assert not glorot.biases[0].any()


def test_global_random_state_is_untouched():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = StackedMLP((4, 8, 2), dropout=0.5)
    model(torch.ones(1, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_only_in_training_and_keeps_the_mean():
    model = StackedMLP((1, 2000, 1), activation="identity", dropout=0.25, generator=generator())
    model.weights[0].data.fill_(1.0)
    model.biases[0].data.zero_()
    model.weights[1].data.fill_(1 / 2000)
    model.biases[1].data.zero_()
    x = torch.ones(1, 50, 1)
    outputs = model(x).detach()
    assert outputs.std() > 0
    assert outputs.mean().item() == pytest.approx(1.0, abs=0.02)
    model.eval()
    torch.testing.assert_close(model(x).detach(), torch.ones(1, 50, 1))


def test_linear_models_and_gradients():
    model = StackedMLP((3, 2), trials=2)
    model(torch.ones(2, 4, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    "keywords",
    [
        {"widths": (4,)},
        {"widths": (4, 0, 2)},
        {"trials": 0},
        {"activation": "swish"},
        {"activation": ("relu", "relu")},
        {"dropout": 1.0},
        {"dropout": (0.1, 0.1)},
        {"init": "he"},
        {"widths": (4, 2), "activation": "swish"},  # also where no layer would use it
        {"widths": (4, 2), "dropout": 7.0},
    ],
)
def test_bad_input(keywords):
    with pytest.raises(ValueError):
        StackedMLP(**({"widths": (4, 8, 2)} | keywords))


@pytest.mark.parametrize("probability", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), [np.float32(0.5)]])
def test_a_number_is_a_number_of_any_kind(probability):
    assert StackedMLP((4, 8, 2), dropout=probability).dropout == (0.5,)


@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 4), (1, 3, 5)])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match="input must have shape"):
        StackedMLP((4, 8, 2))(torch.ones(shape))


def test_inputs_of_another_dtype_are_refused():
    with pytest.raises(ValueError, match="dtype of the weights"):
        StackedMLP((4, 8, 2))(torch.ones(3, 4, dtype=torch.float64))


def test_members_of_a_group_share_their_dropout_masks():
    model = StackedMLP((3, 50, 2), trials=4, dropout=0.5, generator=generator(), mask_groups=[7, 8, 7, 8])
    for parameter in model.parameters():
        parameter.data = parameter.data[[0, 1, 0, 1]]
    y = model(torch.ones(4, 6, 3))
    assert torch.equal(y[0], y[2])
    assert torch.equal(y[1], y[3])
    alone = StackedMLP((3, 50, 2), trials=4, dropout=0.5, generator=generator())
    for parameter in alone.parameters():
        parameter.data = parameter.data[[0, 1, 0, 1]]
    y = alone(torch.ones(4, 6, 3))
    assert not torch.equal(y[0], y[2])
    with pytest.raises(ValueError, match="mask_groups"):
        StackedMLP((3, 2), trials=2, mask_groups=[0])
