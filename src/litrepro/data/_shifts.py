"""Shifted and mirrored copies of images: with them a network is less certain of its training set."""

from __future__ import annotations

import torch

from litrepro import _validate


def random_shift(
    images: torch.Tensor, generator: torch.Generator | int | None = None, *, pixels: int = 1, mirror: bool = False
) -> torch.Tensor:
    """Shift every image by up to ``pixels`` in both directions, and mirror half of them if asked.

    With four pixels and mirror images this is the usual augmentation of CIFAR-10 (He et al. 2016, arXiv:1512.03385,
    section 4.2).

    Parameters
    ----------
    images
        (n, channels, height, width); what leaves is lost, what enters is 0.
    generator
        Source of the shifts, on the device of the images, or a seed (0 for None).
    pixels
        Largest shift, >= 0.
    mirror
        Flip every image from left to right with probability 1/2 before the shift.

    Returns
    -------
    (n, channels, height, width). Raises ``ValueError`` for another number of dimensions and a negative shift.

    Examples
    --------
    >>> import torch
    >>> image = torch.zeros(1, 1, 5, 5)
    >>> image[0, 0, 2, 2] = 1
    >>> moved = random_shift(image, torch.Generator().manual_seed(0))
    >>> moved.shape, moved.sum().item()  # it is still there, at most one pixel away
    (torch.Size([1, 1, 5, 5]), 1.0)
    """
    _validate.float_tensor("images", images, 4)
    if images.ndim != 4:
        raise ValueError(f"images must have shape (n, channels, height, width), got {tuple(images.shape)}")
    pixels = _validate.positive_int("pixels", pixels, 0)
    n, _, height, width = images.shape
    generator = _validate.random_source("generator", generator, images.device)
    draw = {"generator": generator, "device": images.device}
    if mirror:
        images = torch.where(torch.rand(n, 1, 1, 1, **draw) < 0.5, images.flip(-1), images)
    padded = torch.nn.functional.pad(images, (pixels,) * 4)
    rows, columns = torch.randint(2 * pixels + 1, (2, n), **draw)
    # A view of all shifted copies, of which one per image is taken.
    copies = padded.unfold(2, height, 1).unfold(3, width, 1)
    return copies[torch.arange(n, device=images.device), :, rows, columns]
