"""Mixed precision that sees the weights of every step."""

import contextlib

import pytest
import torch

from litrepro.nets import lenet
from litrepro.training import Rounded, fit, half_precision


def learns(context):
    """Loss of a small regression before and after training within one context."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, generator=generator)
    target, net = x.sum(1, keepdim=True), torch.nn.Linear(8, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    losses = []
    with context:
        for _ in range(40):
            loss = (net(x).float() - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses[-1] < 0.05 * losses[0]


def test_weights_are_not_those_of_the_first_step(monkeypatch):
    assert isinstance(half_precision("cpu"), contextlib.nullcontext)
    asked = {}
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: asked.update(device=args[0], **options))
    half_precision(torch.device("cuda"))
    monkeypatch.undo()
    # The same settings on the CPU, which has autocast too: with its cache the network learns nothing.
    options = {key: value for key, value in asked.items() if key != "device"}
    assert asked["device"] == "cuda"
    assert learns(torch.autocast("cpu", torch.bfloat16, **options))
    assert not learns(torch.autocast("cpu", torch.bfloat16))


def test_on_a_cpu_where_it_is_asked_for():
    with half_precision("cpu", cpu=True):
        assert (torch.eye(2) @ torch.eye(2)).dtype == torch.bfloat16
    assert learns(half_precision("cpu", cpu=True))
    assert isinstance(half_precision("meta", cpu=True), contextlib.nullcontext)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    with half_precision("cuda"):
        assert (torch.eye(2, device="cuda") @ torch.eye(2, device="cuda")).dtype == torch.bfloat16


@pytest.mark.parametrize("device", [None, 3.5, "abacus"])
def test_what_is_no_device(device):
    with pytest.raises(ValueError, match="device"):
        half_precision(device)


def test_rounded_convolutions_and_a_precise_head():
    x = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    plain, same, rounded = (
        lenet(4, in_channels=1, size=16, seed=1),
        Rounded(lenet(4, in_channels=1, size=16, seed=1)),
        Rounded(lenet(4, in_channels=1, size=16, seed=1), cpu=True),
    )
    torch.testing.assert_close(same(x), plain(x))
    features = rounded.features(x)
    assert features.dtype == torch.float32
    assert torch.equal(features, features.bfloat16().float())
    off = (features - plain.features(x)).norm() / plain.features(x).norm()
    assert 1e-5 < off < 0.05
    assert torch.equal(rounded(x), rounded.head(features))  # a rounded head would differ in the third digit
    assert sum(p.numel() for p in rounded.parameters()) == sum(p.numel() for p in plain.parameters())
    y = torch.arange(6) % 4
    fit(rounded, (x, y), epochs=60, optimizer="adam", lr=5e-3, batch_size=6, seed=0)
    assert torch.equal(rounded(x).argmax(1), y)


@pytest.mark.parametrize("net", [None, torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Flatten())])
def test_rounded_needs_features_and_a_head(net):
    with pytest.raises(ValueError, match="features and head"):
        Rounded(net)
