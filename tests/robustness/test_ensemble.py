"""Robust training of a stack against single runs, and its accuracies against the certificates of single networks."""

import pytest
import torch

from litrepro.nets import StackedMLP
from litrepro.robustness import (
    _ensemble,
    affine_layers,
    certified,
    fgsm,
    ibp_loss,
    ibp_margins,
    member_layers,
    member_network,
    pgd,
    robust_accuracy,
    train_robust,
)
from litrepro.robustness._gradient_attacks import pgd_from
from litrepro.training import batches


def data(n=60, d=5):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, d, generator=generator)
    return x, (x[:, 0] > x[:, 1]).long()


WIDTHS = (5, 8, 2)


@pytest.mark.parametrize("method", ["standard", "fgsm", "pgd", "ibp"])
def test_a_member_is_what_it_is_alone(method):
    settings = {"method": method, "epochs": 2, "batch_size": 25, "attack_steps": 2}
    whole = train_robust(data(), WIDTHS, eps=[0.1, 0.2], seeds=[3, 4], ramps=[(0, 0.5), (0, 0)], **settings)
    alone = train_robust(data(), WIDTHS, eps=[0.2], seeds=[4], ramps=[(0, 0)], **settings)
    for together, single in zip(whole.parameters(), alone.parameters()):
        assert torch.allclose(together[1], single[0], atol=1e-5)


def test_one_step_of_interval_training_is_adam_on_the_single_loss():
    x, y = data(20)
    start = train_robust((x, y), WIDTHS, method="standard", eps=[0.0], seeds=[1], epochs=1, lr=1e-12)
    found = train_robust((x, y), WIDTHS, method="ibp", eps=[0.1], seeds=[1], ramps=[(0, 0)], epochs=1, batch_size=20)
    layers = [(W.float(), b.float()) for W, b in member_layers(start, 0)]
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    for module, (W, b) in zip((net[0], net[2]), layers):
        module.weight.data, module.bias.data = W.clone(), b.clone()
    (rows,) = batches(20, 20, 1, 0)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    ibp_loss(net, x[rows], y[rows], 0.1).backward()
    optimizer.step()
    assert torch.allclose(member_layers(found, 0)[0][0].float(), net[0].weight, atol=1e-5)


def shares(ramps, t):
    """0 before a ramp, 1 after it, linear between."""
    return [1.0 if t >= end else max(0.0, (t - start) / (end - start)) for start, end in ramps]


@pytest.mark.parametrize("method", ["standard", "fgsm", "ibp"])
def test_training_is_adam_on_the_losses_of_single_networks(method):
    x, y = data(40)
    eps, seeds, ramps, kappa = [0.05, 0.3], [1, 2], [(0.0, 0.0), (0.2, 0.8)], 0.25
    options = {"epochs": 3, "batch_size": 15, "lr": 0.02}
    found = train_robust((x, y), WIDTHS, method=method, eps=eps, seeds=seeds, ramps=ramps, kappa=kappa, **options)
    for member, seed in enumerate(seeds):
        start = StackedMLP(WIDTHS, generator=torch.Generator().manual_seed(seed))
        net, step = member_network(start, 0), 0
        optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
        for epoch in range(3):
            for rows in batches(40, 15, seed, epoch):
                share, inputs = shares(ramps, step / 9)[member], x[rows]
                radius = share * eps[member]
                if method == "fgsm":
                    inputs = fgsm(net, inputs, y[rows], radius)
                loss = torch.nn.functional.cross_entropy(net(inputs), y[rows])
                if method == "ibp":
                    loss = ibp_loss(net, inputs, y[rows], radius, kappa=1 - share * (1 - kappa))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
        for (W, b), (expected_W, expected_b) in zip(member_layers(found, member), affine_layers(net)):
            torch.testing.assert_close(W.float(), expected_W.detach(), atol=1e-4, rtol=1e-3)
            torch.testing.assert_close(b.float(), expected_b.detach(), atol=1e-4, rtol=1e-3)


def test_accuracies_are_those_of_the_members():
    x, y = data()
    model = train_robust((x, y), WIDTHS, method="ibp", eps=[0.02, 0.05], seeds=[0, 1], epochs=30, lr=0.01)
    table = robust_accuracy(model, (x, y), [0.02, 0.05], attack_steps=5, chunk=25).set_index(["metric", "member"]).value
    for member, eps in enumerate((0.02, 0.05)):
        layers = member_layers(model, member)
        net = lambda z, layers=layers: (  # noqa: E731
            torch.relu(z @ layers[0][0].float().T + layers[0][1].float()) @ layers[1][0].float().T
            + layers[1][1].float()
        )
        assert table["clean", member] == pytest.approx(float((net(x).argmax(1) == y).float().mean()), abs=1e-6)
        assert table["verified", member] == pytest.approx(
            float(certified(ibp_margins(layers, x, y, eps), y).float().mean()), abs=1e-6
        )
        attacked = float((net(pgd(net, x, y, eps, steps=20)).argmax(1) == y).float().mean())
        assert table["verified", member] <= attacked + 1e-6
        assert table["pgd", member] <= table["clean", member]
    assert table["clean", 0] > 0.7


def test_starts_of_an_attack_are_those_of_one_network_alone(monkeypatch):
    x, y = data()
    attacked = []

    def keep(start, model, x, y, eps, steps):
        attacked.append((start, pgd_from(start, model, x, y, eps, steps)))
        return attacked[-1][1]

    monkeypatch.setattr(_ensemble, "pgd_from", keep)
    models = [StackedMLP(WIDTHS, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]

    def starts(model, eps, chunk):
        attacked.clear()
        robust_accuracy(model, (x, y), eps, metrics=["pgd"], attack_steps=2, chunk=chunk)
        return [torch.cat([part[k].reshape(model.trials, -1, 5) for part in attacked], 1) for k in (0, 1)]

    stacked = starts(_ensemble.stack(models), [0.02, 0.05], 25)
    for found, alone in zip(stacked, starts(models[1], 0.05, 100)):
        torch.testing.assert_close(found[1], alone[0])
    expected = pgd(lambda z: models[1](z[None])[0], x, y, 0.05, steps=2, generator=0)
    torch.testing.assert_close(stacked[1][1], expected)
    assert stacked[0].abs().amax((1, 2)).tolist() == pytest.approx([0.02, 0.05], rel=0.05)
    with pytest.raises(ValueError, match="eps"):
        robust_accuracy(models[0], (x, y), -0.1, metrics=["pgd"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "magic"}, "method"),
        ({"eps": [0.1, 0.2]}, "per member"),
        ({"eps": [-0.1]}, "eps"),
        ({"ramps": [(0.5, 0.2)]}, "ramp"),
        ({"seeds": [], "eps": []}, "per member"),
        ({"epochs": 0}, "epochs"),
        ({"lr": 0.0}, "lr"),
        ({"kappa": 2.0}, "kappa"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        train_robust(data(), WIDTHS, **({"method": "fgsm", "eps": [0.1], "seeds": [0], "epochs": 1} | change))
    with pytest.raises(ValueError, match="member must"):
        member_layers(train_robust(data(), WIDTHS, method="standard", eps=[0.0], seeds=[0], epochs=1), 1)
