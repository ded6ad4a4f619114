"""Models that do not take the examples, layers that are no pairs, stacks that are none: refused before any work."""

import pytest
import torch

import litrepro.robustness as lr
from litrepro.nets import StackedMLP

NET = torch.nn.Linear(2, 2)
X, Y = torch.full((1, 2), 0.5), torch.tensor([0])
LAYERS = [(torch.eye(2), torch.zeros(2)), (torch.eye(2), torch.zeros(2))]
STACK = StackedMLP((2, 3, 2), trials=2)


@pytest.mark.parametrize("model", [None, 5, lambda x: 3.0, torch.nn.Linear(3, 2), NET.double()])
def test_models_that_do_not_fit(model):
    for attack in (
        lambda: lr.fgsm(model, X, Y, 0.1),
        lambda: lr.pgd(model, X, Y, 0.1, steps=1),
        lambda: lr.deepfool(model, X),
        lambda: lr.carlini_wagner(model, X, Y, steps=1),
    ):
        with pytest.raises(ValueError, match="must"):
            attack()


@pytest.mark.parametrize(
    "call",
    [
        lambda: lr.affine_layers([1, 2]),
        lambda: lr.activation_pattern_minimum(LAYERS, X[0], None, 1, 0.1),
        lambda: lr.activation_pattern_minimum(LAYERS, X[0], 0, "1", 0.1),
        lambda: lr.member_layers(None, 0),
        lambda: lr.member_layers(STACK, 2),
        lambda: lr.member_network(len, 0),
        lambda: lr.lanczos_max(torch.tensor([[1.0, 2.0], [0.0, 1.0]])),
        lambda: lr.lanczos_max(torch.stack([torch.eye(2), torch.tensor([[1.0, 1e-3], [0.0, 1.0]])])),
        lambda: lr.lanczos_max(torch.tensor([[1.0, 1e-6], [0.0, 1.0]]).double()),
        lambda: lr.pair_bounds(torch.eye(2), None, 1),
        lambda: lr.pair_bounds(torch.eye(2).double(), torch.eye(2), 1),
        lambda: lr.pair_bounds(torch.eye(2), torch.ones(2, 3), 1),
        lambda: lr.robust_accuracy(None, (X, Y), 0.1),
        lambda: lr.robust_accuracy(STACK, None, 0.1),
        lambda: lr.robust_accuracy(STACK, (X, Y), 0.1, chunk=0),
        lambda: lr.train_robust(None, (2, 2), method="pgd", eps=[0.1], seeds=[0], epochs=1),
        lambda: lr.train_robust((X, Y), None, method="pgd", eps=[0.1], seeds=[0], epochs=1),
        lambda: lr.train_robust((X, Y), (2, 2), method="pgd", eps=0.1, seeds=[0], epochs=1),
        lambda: lr.train_robust((X, Y), (2, 2), method="pgd", eps=[0.1], seeds=0, epochs=1),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_symmetric_up_to_rounding_is_symmetric():
    x = torch.randn(5, 6, 40, generator=torch.Generator().manual_seed(0))
    A = torch.einsum("...ik,...jk->...ij", x, x)
    A[:, 0, 1] *= 1 + 1e-6  # as products on other devices round
    torch.testing.assert_close(lr.lanczos_max(A).value, torch.linalg.eigvalsh(A)[:, -1], rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_optimized_bounds_in_inference_mode(dtype):
    generator = torch.Generator().manual_seed(0)
    layers = [
        (torch.randn(h, w, generator=generator, dtype=dtype), torch.zeros(h, dtype=dtype))
        for h, w in ((4, 2), (4, 4), (3, 4))
    ]
    v, W = layers[2][0][0], layers[0][0]
    calls = (
        lambda x: lr.dual_margins(layers, x, torch.zeros(2).long(), 0.3, steps=4),
        lambda x: torch.cat(lr.dual_bounds(layers, x, 0.3, steps=4)[-1]),
        lambda x: lr.sdp_gradient_bound(v, W, steps=4, lr=0.1).bound,
    )
    for call in calls:
        expected = call(torch.full((2, 2), 0.5, dtype=dtype))
        with torch.inference_mode():
            found = call(torch.full((2, 2), 0.5, dtype=dtype))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_attacks_in_inference_mode(loss):
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    attacks = (
        lambda x, y: lr.fgsm(model, x, y, 0.1, loss=loss),
        lambda x, y: lr.pgd(model, x, y, 0.1, steps=3, momentum=0.5, restarts=2, loss=loss),
        lambda x, y: lr.deepfool(model, x, steps=3),
        lambda x, y: lr.carlini_wagner(model, x, y, steps=5, binary_steps=2, lr=0.1),
    )
    for attack in attacks:
        expected = attack(torch.full((3, 2), 0.5), torch.tensor([0, 1, 0]))
        with torch.inference_mode():
            found = attack(torch.full((3, 2), 0.5), torch.tensor([0, 1, 0]))
        assert torch.equal(found, expected)


def test_layers_of_two_dtypes_are_certified_in_the_wider_one():
    mixed = [(W.double(), b) for W, b in LAYERS[:1]] + LAYERS[1:]
    wide = [(W.double(), b.double()) for W, b in LAYERS]
    x = torch.tensor([[0.75, 0.25]])
    for certificate in (lr.ibp_margins, lr.ibp_loss, lr.dual_margins, lr.lp_margins):
        assert torch.equal(certificate(mixed, x, Y, 0.1), certificate(wide, x, Y, 0.1))
