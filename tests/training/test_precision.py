"""Mixed precision that sees the weights of every step."""

import contextlib

import pytest
import torch

from litrepro.training import half_precision


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
