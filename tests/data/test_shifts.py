"""Images that are mirrored and shifted."""

import pytest
import torch

from litrepro.data import random_shift


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_image_is_a_window_of_itself_or_its_mirror_image():
    x = torch.rand(200, 2, 5, 6, generator=source(1)) + 0.1  # no pixel looks like padding
    found = random_shift(x, source(), pixels=2, mirror=True)
    assert found.shape == x.shape
    kinds = []
    for before, after in zip(x, found):
        windows = {}
        for mirrored in (False, True):
            padded = torch.zeros(2, 9, 10)
            padded[:, 2:7, 2:8] = before.flip(2) if mirrored else before
            windows |= {(mirrored, i, j): padded[:, i : i + 5, j : j + 6] for i in range(5) for j in range(5)}
        kinds += [key for key, window in windows.items() if torch.equal(window, after)]
    assert len(kinds) == 200  # one each
    mirrored, down, right = (torch.tensor(values, dtype=torch.float64) for values in zip(*kinds))
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / 200**0.5
    for shift in (down, right):
        assert sorted(shift.unique().tolist()) == [0, 1, 2, 3, 4]
        assert abs(shift.mean() - 2) < 4 * 2**0.5 / 200**0.5
    assert abs(torch.corrcoef(torch.stack([down, right]))[0, 1]) < 0.3


def test_draws_follow_the_generator():
    x = torch.rand(9, 1, 4, 4, generator=source(1))
    assert torch.equal(random_shift(x, source(3), pixels=1), random_shift(x, source(3), pixels=1))
    assert not torch.equal(random_shift(x, source(3), pixels=1), random_shift(x, source(4), pixels=1))
    still = random_shift(x, source(3), pixels=0, mirror=True)
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(-1)) for a, b in zip(still, x))


@pytest.mark.parametrize(
    ("images", "change"),
    [
        (torch.ones(2, 4, 4), {}),
        (torch.ones(2, 1, 4, 4, dtype=torch.uint8), {}),
        (torch.ones(1, 2, 1, 4, 4), {}),
        (None, {}),
        (torch.ones(2, 1, 4, 4), {"generator": "x"}),
        (torch.ones(2, 1, 4, 4), {"pixels": -1}),
    ],
)
def test_refuses(images, change):
    with pytest.raises(ValueError, match="must"):
        random_shift(images, **change)
