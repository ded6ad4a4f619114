"""The classifier that stands in for the Inception network."""

from __future__ import annotations

import torch
from torch import nn

from litrepro import _validate
from litrepro.nets._seeded import build_seeded
from litrepro.training import fit

PORTION = 250  # images at a time on a CPU: what the convolutions write stays in its cache


class ScoreNet(nn.Module):
    """A small convolutional classifier of 28 x 28 images: ``(n, 1, 28, 28) -> (n, 10)`` logits.

    Parameters
    ----------
    classes
        Number of classes.

    Notes
    -----
    Two convolutions of stride 2 and a layer of 64 units; ``features(x)`` is that layer and ``head`` what follows. The
    Inception network of Salimans et al. 2016 knows no digits, and its weights are not needed for an ordering.

    Examples
    --------
    >>> import torch
    >>> net = ScoreNet()
    >>> net(torch.zeros(2, 1, 28, 28)).shape, net.features(torch.zeros(2, 1, 28, 28)).shape
    (torch.Size([2, 10]), torch.Size([2, 64]))
    """

    def __init__(self, classes: int = 10):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 5, 2, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 49, 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, _validate.positive_int("classes", classes))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1, 28, 28) to (n, 64), for the Frechet distance."""
        return self.body(_images("x", x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1, 28, 28) to logits (n, classes)."""
        return self.head(self.features(x))

    @torch.no_grad()
    def probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """(..., 1, 28, 28) to class probabilities (..., classes)."""
        return self.head(self.embed(x)).softmax(-1)

    @torch.no_grad()
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """(..., 1, 28, 28) to features (..., 64)."""
        images = _images("x", x, batched=True).flatten(0, -4)
        portions = [images] if images.is_cuda else images.split(PORTION)
        return torch.cat([self.features(part) for part in portions]).reshape(*x.shape[:-3], self.head.in_features)


def _images(name: str, x: torch.Tensor, batched: bool = False) -> torch.Tensor:
    """(n, 1, 28, 28), or (..., 1, 28, 28) with at least one batch dimension."""
    good = _validate.float_tensor(name, x, 4).shape[-3:] == (1, 28, 28) and (batched or x.ndim == 4)
    if not good:
        raise ValueError(f"{name} must be ({'...' if batched else 'n'}, 1, 28, 28), got {tuple(x.shape)}")
    return x


def train_score_net(images: torch.Tensor, labels: torch.Tensor, *, epochs: int = 6, seed: int = 0) -> ScoreNet:
    """Train a ``ScoreNet`` with Adam, batches of 64 and a cosine schedule.

    Parameters
    ----------
    images
        (n, 1, 28, 28), in the range that the generators use.
    labels
        (n,) integers >= 0.
    epochs
        Passes through the data.
    seed
        Of the weights and of the batches; same seed, same network.

    Returns
    -------
    The network in eval mode, its parameters frozen, on the device of the images.

    Raises
    ------
    ValueError
        Images of another shape or dtype or not finite, labels that do not fit them, epochs < 1.

    Examples
    --------
    >>> import torch
    >>> net = train_score_net(torch.zeros(8, 1, 28, 28), torch.arange(8), epochs=1)
    >>> net.probabilities(torch.zeros(2, 3, 1, 28, 28)).shape
    torch.Size([2, 3, 10])
    """
    from litrepro.training import cosine

    if not len(_images("images", images)) or images.dtype != torch.float32:
        raise ValueError(f"images must be (n, 1, 28, 28) float32 with n >= 1, got {images.dtype} {tuple(images.shape)}")
    _validate.finite(images=images)
    if _validate.integer_tensor("labels", labels).shape != images.shape[:1] or int(labels.min()) < 0:
        raise ValueError(f"labels must be ({len(images)},) and not negative, got shape {tuple(labels.shape)}")
    epochs, seed = _validate.positive_int("epochs", epochs), _validate.seed("seed", seed)
    labels = labels.long()
    net = build_seeded(lambda: ScoreNet(max(10, int(labels.max()) + 1)), seed)
    fit(
        net, (images, labels), epochs=epochs, batch_size=64, optimizer="adam", lr=2e-3, schedule=cosine, seed=seed,
        eval_every=epochs, metrics=("loss",),
    )  # fmt: skip
    return net.requires_grad_(False)
