"""What the functions of interpolation refuse before any work."""

import math

import pytest
import torch

from litrepro import interpolation as ip

X, Y = torch.eye(3), torch.ones(3)
L = torch.ones(100) / 100
DATA = X, torch.tensor([0, 1, 1])


def rff(train=DATA, **changed):
    return ip.rff_curve(train, DATA, [2], **({"bandwidth": 1.0, "num_classes": 2} | changed))


def two_layer(train=DATA, test=DATA, **changed):
    return ip.two_layer_curve(train, test, [2], **({"reuse": False, "epochs": 0, "num_classes": 2} | changed))


def samples(generator=0, **changed):
    return ip.sample_wise_curve([2], 4, trials=1, noise=0.1, generator=generator, **changed)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ip.min_norm(X.half(), Y.half()),
        lambda: ip.gradient_descent_path(X.half(), Y, [1]),
        lambda: ip.gradient_descent_path(X, Y * 1j, [1]),
        lambda: ip.gradient_descent_path(X, Y, [1], step=torch.tensor(1j)),
        lambda: ip.fourier_features(X, torch.ones(2, 4)),
        lambda: ip.fourier_features(X, torch.ones(0, 3)),
        lambda: ip.fourier_features(X, [1.0]),
        lambda: ip.fourier_features(X.bfloat16(), X.bfloat16()),
        lambda: ip.gradient_descent_risk(Y, Y / 0, [1], n=3, noise=1.0, step=0.1),
        lambda: ip.random_feature_risk(L / 0, L, 50, 25),
        lambda: ip.random_feature_risk(L, L, "x", 25),
        lambda: ip.random_feature_risk(L, L, None, 25),
        lambda: ip.random_feature_risk(L, L, math.nan, 25),
        lambda: ip.random_feature_risk(L, L, math.inf, 25),
        lambda: ip.random_feature_risk(L, L, 50, torch.tensor(25j)),
        lambda: ip.random_feature_risk(L, L, torch.ones(2), torch.ones(3)),
        lambda: samples(generator="x"),
        lambda: samples(dtype=torch.float16),
        lambda: rff(dtype=torch.float16),
        lambda: rff(seed=2**64),
        lambda: rff(train=(X / 0, DATA[1])),
        lambda: rff(train=(X * 1j, DATA[1])),
        lambda: two_layer(seeds=5),
        lambda: two_layer(seeds=[2**64]),
        lambda: two_layer(progress=5),
        lambda: two_layer(train=(X.double(), DATA[1])),
        lambda: two_layer(test=(X.long(), DATA[1])),
    ],
)
def test_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()


def test_messages_name_the_argument():
    for frequencies in (torch.ones(2, 4), torch.ones(0, 3), [1.0]):
        with pytest.raises(ValueError, match="frequencies"):
            ip.fourier_features(X, frequencies)


def test_the_kernel_itself_is_the_limit_of_many_features():
    many = ip.random_feature_risk(L, L, 50, [10**7, math.inf])
    torch.testing.assert_close(many[0], many[1], rtol=1e-4, atol=0)
