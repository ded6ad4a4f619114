"""``Uniform`` against ``descend``, against torch.optim, one model and ensembles."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from litrepro.optim import RULES, Uniform, descend, rule


def fun(x):
    return (x**2 * torch.tensor([1.0, 7.0, 0.2], dtype=x.dtype)).sum(-1)


def options(name):
    return {"total_steps": 30} if name == "demon" else {}


def run(optimizer, parameter, steps):
    def closure():
        optimizer.zero_grad()
        loss = fun(parameter).sum()
        loss.backward()
        return loss

    return [optimizer.step(closure) for _ in range(steps)]


@pytest.mark.parametrize("name", RULES)
def test_same_path_as_descend(name):
    x0 = torch.tensor([[1.0, -1.0, 2.0], [0.1, 3.0, -2.0]], dtype=torch.float64)
    lr = torch.tensor([0.02, 0.05], dtype=torch.float64)
    x = nn.Parameter(x0.clone())
    values = run(Uniform([x], name, lr, batch_dims=1, **options(name)), x, 30)
    expected = descend(fun, x0, rule(name, **options(name)), lr, 30).x[-1]
    torch.testing.assert_close(x.detach(), expected, rtol=1e-12, atol=1e-12)
    assert all(isinstance(value, torch.Tensor) for value in values)


def test_a_network_trains_like_torch_adam():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    theirs = copy.deepcopy(ours)
    x, y = torch.randn(32, 5), torch.randn(32, 2)
    pair = ((ours, Uniform(ours.parameters(), "adam", 1e-2)), (theirs, torch.optim.Adam(theirs.parameters(), 1e-2)))
    for model, optimizer in pair:
        for _ in range(50):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_saved_state_resumes_exactly(name):
    def make():
        x = nn.Parameter(torch.tensor([1.0, -1.0, 2.0]))
        return x, Uniform([x], name, 0.05, **options(name))

    x, optimizer = make()
    run(optimizer, x, 10)
    file = io.BytesIO()
    torch.save({"x": x.detach(), "optimizer": optimizer.state_dict()}, file)
    run(optimizer, x, 10)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    y, resumed = make()
    y.data.copy_(saved["x"])
    resumed.load_state_dict(saved["optimizer"])
    run(resumed, y, 10)
    assert torch.equal(x, y)


def test_groups_have_their_own_rule_and_step_size():
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = Uniform([{"params": [a]}, {"params": [b], "rule": "adam", "lr": 0.5}], "sgd", 0.1)
    (fun(a) + fun(b)).backward()
    optimizer.step()
    torch.testing.assert_close(a.detach(), torch.ones(3) - 0.1 * a.grad)
    torch.testing.assert_close(b.detach(), torch.full((3,), 0.5), atol=1e-5, rtol=0)


def test_parameters_without_gradient_are_skipped_and_keep_their_count():
    a, b, frozen = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3)), torch.ones(3)
    optimizer = Uniform([a, b, frozen], "nag", 0.1)
    fun(a).backward()
    optimizer.step(lambda: None)
    assert torch.equal(b, torch.ones(3))
    assert torch.equal(frozen, torch.ones(3))
    assert optimizer.state[a]["t"] == 1
    assert b not in optimizer.state


def test_the_closure_is_called_once_at_zeta_and_parameters_come_back():
    x = nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    optimizer = Uniform([x], "nag", 0.1)
    seen = []

    def closure():
        seen.append(x.detach().clone())
        optimizer.zero_grad()
        loss = fun(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    after_one = x.detach().clone()
    m = optimizer.state[x]["m"].clone()
    optimizer.step(closure)
    assert len(seen) == 2
    torch.testing.assert_close(seen[1], after_one - 0.1 * 0.9 * m)

    def failing():
        raise RuntimeError("no gradient today")

    before = x.detach().clone()
    with pytest.raises(RuntimeError, match="today"):
        optimizer.step(failing)
    assert torch.equal(x, before)


def test_look_ahead_without_closure():
    x = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="closure"):
        Uniform([x], "nag", 0.1).step()


@pytest.mark.parametrize(
    ("lr", "batch_dims"),
    [
        (0.0, 0),
        (float("nan"), 0),
        (torch.tensor([0.1, 0.2]), 0),
        (torch.tensor([0.1, 0.2, 0.3]), 1),
        (0.1, -1),
        (0.1, 1.5),
    ],
)
def test_bad_step_sizes(lr, batch_dims):
    with pytest.raises(ValueError):
        Uniform([nn.Parameter(torch.ones(2, 3))], "sgd", lr, batch_dims=batch_dims)


@pytest.mark.parametrize("arguments", [("nothing",), ("demon",)])
def test_bad_rules(arguments):
    with pytest.raises(ValueError):
        Uniform([nn.Parameter(torch.ones(3))], *arguments)


def test_settings_of_a_group_that_would_not_count_are_refused():
    x, y = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=r"must be lr and rule .*beta1"):
        Uniform([{"params": [x], "beta1": 0.5}], "heavy-ball")
    optimizer = Uniform([{"params": [("x", x)], "initial_lr": 0.1}], "heavy-ball")
    with pytest.raises(ValueError, match="weight_decay"):
        optimizer.add_param_group({"params": [y], "weight_decay": 0.1})
    assert len(optimizer.param_groups) == 1


def test_schedulers_of_torch_work():
    x = nn.Parameter(torch.ones(3))
    optimizer = Uniform([x], "sgd", 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    for _ in range(2):
        optimizer.zero_grad()
        fun(x).backward()
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.025)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
@pytest.mark.parametrize("name", ["adam", "nag"])
def test_a_copy_goes_on_like_the_original(copied, name):
    weight = nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))

    def walk(optimizer, steps):
        (parameter,) = optimizer.param_groups[0]["params"]
        for _ in range(steps):

            def closure():
                optimizer.zero_grad()
                loss = (parameter**4).sum()
                loss.backward()
                return loss

            optimizer.step(closure)
        return parameter.detach().clone()

    optimizer = Uniform([weight], name, torch.tensor([0.01, 0.02]), batch_dims=1)
    walk(optimizer, 3)
    other = copied(optimizer)
    assert torch.equal(walk(other, 4), walk(optimizer, 4))


def test_a_schedule_may_come_to_zero():
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0, 0.5])) for _ in range(2))
    pair = (ours, Uniform([ours], "adam", 0.1)), (theirs, torch.optim.Adam([theirs], 0.1))
    for x, optimizer in pair:
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (0.0, 1.0, 0.5, 0.0, 0.0)[t])
        for _ in range(4):
            optimizer.zero_grad()
            fun(x).backward()
            optimizer.step()
            scheduler.step()
    torch.testing.assert_close(ours, theirs)
    pair[0][1].param_groups[0]["lr"] = -0.1
    with pytest.raises(ValueError, match="lr must"):
        pair[0][1].step()


def test_numbers_of_numpy_are_saved_as_plain_ones():
    x = nn.Parameter(torch.ones(3))
    optimizer = Uniform([x], "heavy-ball", np.float64(0.1), beta1=np.float64(0.5))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    (group,) = torch.load(file, weights_only=True)["param_groups"]
    assert type(group["lr"]) is type(group["rule"]["beta1"]) is float
