"""The matrix of one step against the steps themselves."""

import math

import pytest
import torch

from litrepro.optim import bilinear_game, field_jacobian, optimistic_eigenvalues, play, play_matrix, quadratic_game

METHODS = ("simultaneous", "alternating", "optimistic", "extragradient", "consensus")
J = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("method", METHODS)
def test_powers_of_the_matrix_are_the_path(method):
    w = torch.randn(2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    eta, keywords = torch.tensor([0.1, 0.3], dtype=torch.float64), {"beta": -0.3, "gamma": 0.2, "split": 2}
    path = play(quadratic_game(J), w, 6, eta=eta, method=method, **keywords)
    matrix = play_matrix(J, eta=eta, method=method, **keywords)
    assert matrix.shape == (2, 10, 10)
    state = torch.cat((path[1], path[0]), -1)
    for step in range(2, 7):
        state = (matrix @ state[..., None])[..., 0]
        torch.testing.assert_close(state, torch.cat((path[step], path[step - 1]), -1))
    alone = play_matrix(J[1], eta=0.3, method=method, **keywords)
    torch.testing.assert_close(matrix[1], alone)


def test_spectra_on_the_bilinear_game():
    one = field_jacobian(bilinear_game(torch.eye(1, dtype=torch.float64)), torch.zeros(2, dtype=torch.float64))
    largest = lambda **given: torch.linalg.eigvals(play_matrix(one, **given)).abs().max().item()  # noqa: E731
    assert largest(eta=0.4) == pytest.approx(math.sqrt(1.16))
    expected = torch.cat(optimistic_eigenvalues(torch.linalg.eigvals(one), 0.4)).abs().max().item()
    assert largest(eta=0.4, method="optimistic") == pytest.approx(expected)
    assert largest(eta=0.4, method="alternating", split=1, beta=-0.5) < 0.99


@pytest.mark.parametrize(
    ("matrix", "change"),
    [
        (J[0, :2], {}), (J.long(), {}), (None, {}), (J, {"method": "both"}), (J, {"method": "alternating"}),
        (J, {"method": "alternating", "split": 5}), (J, {"eta": torch.ones(3)}), (J, {"beta": math.nan}),
        (J, {"gamma": "x"}),
    ],
)  # fmt: skip
def test_refuses(matrix, change):
    with pytest.raises(ValueError, match="must"):
        play_matrix(matrix, **({"eta": 0.1} | change))
