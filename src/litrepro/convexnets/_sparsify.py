"""Fewer neurons for the same predictions."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from litrepro import ConvergenceWarning, _validate
from litrepro.convexnets._simplex import least_l1


def sparsify_weights(atoms: Tensor, weights: Tensor) -> Tensor:
    """Output weights of least l1 norm that keep a network's predictions: at most n of them are not zero.

    A basic solution of min ||u||_1 over A u = A w, found by the simplex method in float64 on the CPU.

    Parameters
    ----------
    atoms
        (n, T), what every hidden unit says of every example.
    weights
        (T,), the output weights.

    Returns
    -------
    (T,), with the dtype and device of ``weights``. ``litrepro.ConvergenceWarning`` where no vertex is certified.

    Raises ``ValueError`` where the shapes do not fit or an entry is not finite.

    Source: Caratheodory's theorem in the form of Jaggi 2013 and Bengio et al. 2006 (n + 1 units suffice).

    Examples
    --------
    >>> u = sparsify_weights(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([1.0, 1.0, 1.0]))
    >>> u.tolist()
    [0.0, 0.0, 1.75]
    """
    _validate.float_tensor("atoms", atoms)
    _validate.float_tensor("weights", weights)
    if atoms.ndim != 2 or weights.shape != atoms.shape[1:]:
        raise ValueError(f"got atoms {tuple(atoms.shape)} and weights {tuple(weights.shape)}, expected (n, T) and (T,)")
    if not weights.numel():
        return weights.clone()
    if not (atoms.isfinite().all() and weights.isfinite().all()):
        raise ValueError("got atoms or weights with nan or infinite entries, expected finite ones")
    A, w = atoms.detach().double().cpu(), weights.detach().double().cpu()
    found, optimal = least_l1(A.numpy(), (A @ w).numpy())
    if not optimal:
        warnings.warn("the linear program of the sparse combination was not solved", ConvergenceWarning, stacklevel=2)
    return torch.from_numpy(found).to(weights)
