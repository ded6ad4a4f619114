"""What training with soft targets leaves behind: clusters, information in the logits, noise of the gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from litrepro import _validate
from litrepro._scaling import binary_scale
from litrepro.distillation import _arguments
from litrepro.distillation._distill import count_classes


def cluster_tightness(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean squared distance to the own class mean over that of the class means to the mean of all features.

    The clusters of Müller et al., arXiv:1906.02629, figure 1, as a number: small is tight; invariant to scale, shift
    and rotation.

    Parameters
    ----------
    features
        (..., n, q): penultimate layers, of several networks at once if there are leading dimensions.
    labels
        (n,) integers; classes may be absent.

    Returns
    -------
    (...), 0-dim for one set of features, whatever their size; nan where all points coincide, inf (or huge, by rounding)
    where the class means alone do. Raises ``ValueError`` for unequal lengths and fewer than two classes.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [2.0], [10.0], [12.0]])
    >>> round(cluster_tightness(x, torch.tensor([0, 0, 1, 1])).item(), 4)  # 1 / 25
    0.04
    """
    _validate.float_tensor("features", features, 2)
    _arguments.integer_labels(labels)
    if labels.shape != features.shape[-2:-1]:
        raise ValueError(f"labels must have shape ({features.shape[-2]},), got {tuple(labels.shape)}")
    classes, index = labels.unique(return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"need at least two classes, got {len(classes)}")
    features = features / binary_scale(features.flatten(-2), -1)[..., None]
    features = features - features[..., :1, :]  # exactly zero where all points are one
    features = features - features.mean(-2, keepdim=True)  # distances of large features would cancel
    hot = torch.nn.functional.one_hot(index).to(features.dtype)
    means = (hot / hot.sum(0)).T @ features
    within = (features - means[..., index, :]).square().sum(-1).mean(-1)
    return within / means.square().sum(-1).mean(-1)


def plane_through_means(features: torch.Tensor, labels: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    """Coordinates of features on the plane through the means of three classes, origin at their centre.

    Source: Müller et al., arXiv:1906.02629, section 2.

    Parameters
    ----------
    features, labels
        (n, q) with q >= 2, and (n,).
    classes
        Three classes that occur.

    Returns
    -------
    (n, 2), orthonormal coordinates: the first axis points from the centre to the first class's mean. Raises
    ``ValueError`` for other shapes, features that are not finite or of half precision, and unless there are three
    different classes that occur.

    Examples
    --------
    >>> import torch
    >>> plane_through_means(torch.eye(3), torch.tensor([0, 1, 2]), (0, 1, 2)).shape
    torch.Size([3, 2])
    """
    _validate.decomposable("features", features)
    _arguments.integer_labels(labels)
    if features.ndim != 2 or features.shape[1] < 2 or labels.shape != features.shape[:1]:
        got = f"{tuple(features.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"features must be (n, q) with q >= 2, and labels (n,); got {got}")
    classes = tuple(classes) if isinstance(classes, Sequence) else (classes,)
    if len(set(classes)) != 3 or not set(classes) <= set(labels.tolist()):
        raise ValueError(f"classes must be three different ones that occur, got {classes}")
    means = torch.stack([features[labels == c].mean(0) for c in classes])
    centre = means.mean(0)
    basis, _ = torch.linalg.qr((means - centre)[:2].T)
    signs = torch.sign((basis * (means - centre)[:2].T).sum(0))
    return (features - centre) @ (basis * torch.where(signs == 0, 1.0, signs))


def logit_information(values: torch.Tensor) -> torch.Tensor:
    """Estimated information, in nats, that a scalar of the logits has about which example it came from.

    The scalar of example i under augmentation l is modelled as a Gaussian around the example's mean mu_i with one
    common variance s^2: log n + mean_il[-(v_il - mu_i)^2/2s^2 - log sum_j exp(-(v_il - mu_j)^2/2s^2)].

    Source: Müller et al., arXiv:1906.02629, section 3.

    Parameters
    ----------
    values
        (..., n, L): n >= 2 examples under L >= 2 augmentations.

    Returns
    -------
    (...) in [0, log n] but for sampling noise, whatever the unit; log n where the variance is 0 (of examples that
    coincide as well), nan where values are not finite. Raises ``ValueError`` for n < 2 or L < 2.

    Examples
    --------
    >>> import torch
    >>> v = torch.tensor([[0.0, 0.1], [100.0, 100.1]])
    >>> round(logit_information(v).item(), 4)  # two examples told apart: log 2
    0.6931
    """
    _validate.float_tensor("values", values, 2)
    n, L = values.shape[-2:]
    if n < 2 or L < 2:
        raise ValueError(f"values must have at least 2 examples and 2 augmentations, got {n} and {L}")
    values = values / binary_scale(values.flatten(-2), -1)[..., None]
    # Means around the first augmentation: where all are equal the mean is exactly theirs, and the variance 0.
    first = values[..., :1]
    mu = first[..., 0] + (values - first).mean(-1)
    own = (values - mu[..., None]).square()
    variance = own.mean((-2, -1))
    still = (0.5 / variance).isinf()
    safe = torch.where(still, 1.0, variance)
    scale = (-0.5 / safe)[..., None, None]
    total = -own.mean((-2, -1)) / (2 * safe)
    for draw in values.unbind(-1):  # one augmentation at a time: n^2 distances, not n^2 L
        distance = (draw[..., :, None] - mu[..., None, :]).square_().mul_(scale)
        total = total - distance.logsumexp(-1).mean(-1) / L
    return torch.where(still, math.log(n), total + math.log(n))


def gradient_noise(model: nn.Module, x: torch.Tensor, y: tuple, loss: Callable[..., torch.Tensor]) -> float:
    """Variance of the per-example gradients over the squared norm of their mean: noise per signal.

    Parameters
    ----------
    model
        ``(B, ...) -> (B, K)``; all parameters that are trained count.
    x, y
        (n, ...) and a tuple of tensors with n rows.
    loss
        ``loss(outputs, *y) -> (B,)``.

    Returns
    -------
    E|g - Eg|^2 / |Eg|^2; it does not change when the loss is multiplied by a constant. Raises ``ValueError`` for
    fewer than two examples, a model that is none or does not take them, targets with other numbers of rows, a loss that
    does not give one value per example.

    Examples
    --------
    >>> import torch
    >>> from litrepro.nets import mlp
    >>> x, y = torch.ones(3, 2), torch.zeros(3, dtype=torch.int64)
    >>> round(gradient_noise(mlp(2, [], 2), x, (y,), lambda z, y: -z.log_softmax(-1)[:, 0]), 6)
    0.0
    """
    if not isinstance(x, torch.Tensor) or x.ndim < 1 or len(x) < 2:
        got = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"x must be a tensor (n, ...) of at least two examples, got {got}")
    y = _validate.sequence("y", y)
    if not all(isinstance(part, torch.Tensor) and part.ndim and len(part) == len(x) for part in y):
        raise ValueError(f"y must hold tensors with {len(x)} rows, got {[getattr(part, 'shape', part) for part in y]}")
    classes = count_classes("model", model, x)
    sample = _validate.answer("loss", lambda outputs: loss(outputs, *(part[:1] for part in y)), x.new_zeros(1, classes))
    if not isinstance(sample, torch.Tensor) or sample.shape != (1,):
        raise ValueError(f"loss must give one number per example, got {getattr(sample, 'shape', sample)} for one")
    params = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def one(weights, example, *targets):
        outputs = torch.func.functional_call(model, weights, (example[None],))
        return loss(outputs, *(part[None] for part in targets))[0]

    in_dims = (None, 0, *(0 for _ in y))
    gradients = torch.func.vmap(torch.func.grad(one), in_dims)(params, x, *y)
    flat = torch.cat([g.flatten(1) for g in gradients.values()], 1).double()
    mean = flat.mean(0)
    return ((flat - mean).square().sum(1).mean() / mean.square().sum()).item()
