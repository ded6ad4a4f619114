"""Shifts and mirrors of images."""

import pytest
import torch

from litrepro.distillation import random_shift


def test_every_copy_is_one_of_the_shifts_and_all_occur():
    image = torch.arange(1.0, 33).reshape(1, 2, 4, 4)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
    allowed = {(i, j): padded[0, :, i : i + 4, j : j + 4] for i in range(3) for j in range(3)}
    copies = random_shift(image.expand(300, 2, 4, 4), torch.Generator().manual_seed(0))
    found = [next(key for key, value in allowed.items() if torch.equal(copy, value)) for copy in copies]
    assert set(found) == set(allowed)


def test_mirrors_half():
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    copies = random_shift(image.expand(400, 1, 2, 3), torch.Generator().manual_seed(1), pixels=0, mirror=True)
    same = (copies == image).flatten(1).all(1)
    flipped = (copies == image.flip(-1)).flatten(1).all(1)
    assert bool((same ^ flipped).all())
    assert 150 < same.sum() < 250


def test_bad_input():
    with pytest.raises(ValueError, match="shape"):
        random_shift(torch.zeros(2, 3, 4, 4, 1))
    with pytest.raises(ValueError, match="images"):
        random_shift(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="pixels"):
        random_shift(torch.zeros(1, 1, 3, 3), pixels=-1)
