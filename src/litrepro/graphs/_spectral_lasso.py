"""The graphical lasso over Laplacians with a spectral prior: block majorization-minimization, plain and accelerated."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch

from litrepro import _validate
from litrepro._warnings import ConvergenceWarning
from litrepro.graphs import _arguments
from litrepro.graphs._objective import Penalty, eigenvalue_update, spectrum
from litrepro.graphs._operators import _pairs, laplacian_adjoint, laplacian_gram

METHODS = ("accelerated", "mm")
ORDINARY = (1e-3, 1e3)  # sizes of weights and gradients for which the tolerance is an absolute one


class SpectralLassoResult(NamedTuple):
    """What ``spectral_graphical_lasso`` found; every tensor has the batch shape in front.

    w (..., m), U (..., p, p), lam (..., p), objective, residual and converged (...); ``iterations`` is the number that
    were run; ``history`` is (iterations + 1, ...) or None.

    Examples
    --------
    >>> import torch
    >>> S, mu = torch.eye(4, dtype=torch.float64).expand(2, 4, 4), torch.zeros(4, dtype=torch.float64)
    >>> found = spectral_graphical_lasso(S, mu)
    >>> found.w.shape, found.lam.shape, found.converged
    (torch.Size([2, 6]), torch.Size([2, 4]), tensor([True, True]))
    """

    w: torch.Tensor
    U: torch.Tensor
    lam: torch.Tensor
    objective: torch.Tensor
    residual: torch.Tensor
    iterations: int
    converged: torch.Tensor
    history: torch.Tensor | None


class _Problems(NamedTuple):
    """N problems in a row: linear term (L*S + alpha)/beta (N, m), prior (N, p), beta, gamma and edges (N, 1), and the
    unit (N,) of their tolerance."""

    linear: torch.Tensor
    mu: torch.Tensor
    beta: torch.Tensor
    gamma: torch.Tensor
    edges: torch.Tensor | None  # how many weights may stay, (N, 1)
    unit: torch.Tensor

    def at(self, index: torch.Tensor) -> _Problems:
        return _Problems(*(None if part is None else part[index] for part in self))


class _Options(NamedTuple):
    accelerated: bool
    inner: int
    max_iter: int
    tol: float
    history: bool


class _Iterate(NamedTuple):
    """State of the problems that still run: place in the batch, w, the w before, Nesterov's t, stopping threshold."""

    which: torch.Tensor
    w: torch.Tensor
    before: torch.Tensor
    t: torch.Tensor
    threshold: torch.Tensor

    def at(self, index: torch.Tensor) -> _Iterate:
        return _Iterate(*(part[index] for part in self))


@torch.no_grad()
def spectral_graphical_lasso(
    S: torch.Tensor,
    mu: torch.Tensor,
    *,
    alpha: Penalty = 0.0,
    beta: Penalty = 1.0,
    gamma: Penalty = 0.0,
    edges: int | torch.Tensor | None = None,
    w0: torch.Tensor | None = None,
    method: str = "accelerated",
    inner: int = 1,
    max_iter: int = 500,
    tol: float = 1e-6,
    history: bool = False,
) -> SpectralLassoResult:
    """Estimate Laplacian precision matrices with their spectrum pulled towards ``mu`` (the review's equation 1).

    Minimizes -sum_{i>=2} log lam_i + tr(S Lw) + alpha 1'w + (beta/2)|Lw - U diag(lam) U'|_F^2
    + (gamma/2) sum_{i>=2} (lam_i - mu_i)^2 over w >= 0, orthogonal U and lam with lam_1 = 0, for a whole batch at once:
    the batch shape is the broadcast of those of all arguments. With gamma = 0 the problem is convex in w after U and
    lam are minimized out, and the result is global; with gamma > 0 it is a stationary point.

    Parameters
    ----------
    S
        Sample covariances (..., p, p), symmetric.
    mu
        Prior eigenvalues (..., p); mu_1 is not used, and the order of the others does not matter. The result has the
        common dtype of S and mu, which may be integers; everything is computed in float64.
    alpha, beta, gamma
        Weights of the l1 norm, of the relaxed constraint and of the spectral prior: numbers or tensors of batch shape.
    edges
        Keep only this many weights, the largest, after every w step (iterative hard thresholding, section 4.1): an
        integer, or an int64 tensor of batch shape. Needs alpha = 0 and always takes plain steps.
    w0
        Start (..., m), nonnegative. Default: the complete graph with the best common weight, (p - 1) / sum_k (L*S)_k.
    method
        ``"mm"``: U and lam in closed form (sections 4.2 and 4.3), then ``inner`` projected gradient steps of length
        1/(2p) on w (equation 4). ``"accelerated"``: the same step from a point extrapolated with Nesterov's momentum,
        restarted per problem where it points uphill (O'Donoghue and Candes 2015). One eigendecomposition per iteration.
    max_iter, tol
        A problem stops when its KKT residual in w is at most ``tol`` (with ``edges``: its last step times 2p), and
        leaves the batch. The residual compares weights with gradients over beta. Where the smaller of their sizes (the
        best common weight, and the mean of (L*S + alpha)/beta with the prior's 2 gamma mean|mu|/(p beta)) is not
        between 1e-3 and 1e3, as it is for S in very small or large units and for a large beta, ``tol`` is relative
        to it.
    history
        Keep the objective before every iteration and at the end.

    Returns
    -------
    ``SpectralLassoResult(w, U, lam, objective, residual, iterations, converged, history)``.

    Raises
    ------
    ValueError
        S not square, symmetric and finite; S and mu in half precision; mu or w0 of the wrong length or not finite; w0
        negative; beta <= 0; alpha or gamma < 0; edges outside 1..m or combined with alpha; unknown method; batch shapes
        that do not broadcast.

    Warns ``ConvergenceWarning`` if a problem did not reach ``tol`` within ``max_iter`` iterations. No gradients are
    recorded.

    Examples
    --------
    >>> import torch
    >>> from litrepro.graphs import laplacian
    >>> L = laplacian(torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64))
    >>> found = spectral_graphical_lasso(torch.linalg.pinv(L), torch.linalg.eigvalsh(L), beta=100.0)
    >>> bool((found.w - torch.tensor([1.0, 2.0, 0.0])).abs().max() < 0.05)  # from the exact covariance
    True
    """
    _validate.choice("method", method, METHODS)
    problems, start, order, shape, dtype = _prepare(S, mu, alpha, beta, gamma, edges, w0)
    options = _Options(
        accelerated=method == "accelerated" and edges is None,
        inner=_validate.positive_int("inner", inner),
        max_iter=_validate.positive_int("max_iter", max_iter),
        tol=_validate.real("tol", tol, 0),
        history=bool(history),
    )
    w, steps, iterations, track = _solve(problems, start, options)
    sigma, U = spectrum(w)
    lam = eigenvalue_update(sigma, problems.mu, problems.beta, problems.gamma)
    objective = _objective(w, sigma, lam, problems)
    residual = steps if edges is not None else _residual(w, U, lam, problems)
    converged = residual <= options.tol * problems.unit
    if not bool(converged.all()):
        missed = int((~converged).sum())
        warnings.warn(
            f"{missed} of {len(converged)} problems did not reach tol = {tol:g} in {max_iter} iterations "
            f"(largest residual {float((residual / problems.unit).max()):.2g})",
            ConvergenceWarning,
            stacklevel=3,  # past torch.no_grad's wrapper
        )
    if order is not None:  # columns back to the order in which the caller gave mu
        back = order.argsort(-1)
        lam, U = lam.gather(-1, back), U.gather(-1, back[:, None, :].expand_as(U))
    p = lam.shape[-1]
    return SpectralLassoResult(
        w.to(dtype).reshape(*shape, w.shape[-1]),
        U.to(dtype).reshape(*shape, p, p),
        lam.to(dtype).reshape(*shape, p),
        objective.to(dtype).reshape(shape),
        residual.to(dtype).reshape(shape),
        iterations,
        converged.reshape(shape),
        torch.stack([*track, objective]).to(dtype).reshape(iterations + 1, *shape) if options.history else None,
    )


# --- one iteration ------------------------------------------------------------------------------------------------


def _solve(problems: _Problems, start: torch.Tensor, options: _Options):
    """Iterate until every problem has stopped; returns w, last steps times 2p, iterations, objectives."""
    count, p = len(start), problems.mu.shape[-1]
    w = start.clone()
    steps, values = w.new_full((count,), torch.inf), w.new_zeros(count)
    run = _Iterate(torch.arange(count, device=w.device), w, w, w.new_ones(count, 1), options.tol * problems.unit)
    track: list[torch.Tensor] = []
    iterations = 0
    while iterations < options.max_iter and len(run.which):
        if options.history:
            values[run.which] = _value(run.w, problems)
            track.append(values.clone())
        new, t, gap = _step(run, problems, options)
        iterations += 1
        run = run._replace(w=new, before=run.w, t=t)
        if problems.edges is not None:
            steps[run.which] = 2 * p * (new - run.before).abs().amax(-1)
            done = steps[run.which] <= options.tol * problems.unit
        else:
            done, run = _stopped(gap, run, problems, options.tol)
        if bool(done.any()):
            stay = (~done).nonzero()[:, 0]
            w[run.which[done]] = new[done]
            if options.history:
                values[run.which[done]] = _value(run.w[done], problems.at(done))
            run, problems = run.at(stay), problems.at(stay)
    if len(run.which):
        w[run.which] = run.w
    return w, steps, iterations, track


def _step(run: _Iterate, problems: _Problems, options: _Options):
    """One MM step from w or from the extrapolated point: new w, Nesterov's t, and |min(y, gradient)|_inf there."""
    y, t = run.w, run.t
    if options.accelerated:
        t = (1 + (1 + 4 * run.t.square()).sqrt()) / 2
        y = run.w + (run.t - 1) / t * (run.w - run.before)
    sigma, U = spectrum(y)
    lam = eigenvalue_update(sigma, problems.mu, problems.beta, problems.gamma)
    c = laplacian_adjoint((U * lam[..., None, :]) @ U.mT) - problems.linear
    length = 1 / (2 * sigma.shape[-1])  # the Lipschitz constant of L*L is 2p
    gradient = laplacian_gram(y) - c
    gap = torch.minimum(y, gradient).abs().amax(-1)
    new = _project(y - length * gradient, problems.edges)
    if problems.edges is None:
        new = _repeat(new, c, length, options.inner - 1)
    else:
        for _ in range(options.inner - 1):
            new = _project(new - length * (laplacian_gram(new) - c), problems.edges)
    if options.accelerated:
        uphill = ((y - new) * (new - run.w)).sum(-1, keepdim=True) > 0
        t = torch.where(uphill, torch.ones_like(t), t)
    return new, t, gap


def _repeat(w: torch.Tensor, c: torch.Tensor, length: float, count: int) -> torch.Tensor:
    """``count`` steps w <- (w - length (L*L w - c))_+ with U and the eigenvalues held.

    Edges go first and problems last here: the sums over the edges of a node then add whole rows of problems, several
    times as fast as ``laplacian_gram``, and nothing but the degrees is allocated.
    """
    if not count:
        return w
    p = round(1 / (2 * length))
    rows, columns = _pairs(p, w.device)
    w, pull = w.T.contiguous(), (length * c).T.contiguous()
    for _ in range(count):
        degree = w.new_zeros(p, w.shape[1]).index_add_(0, rows, w).index_add_(0, columns, w).mul_(length)
        w.mul_(1 - 2 * length).add_(pull).sub_(degree[rows]).sub_(degree[columns]).clamp_min_(0)
    return w.T.contiguous()


def _project(w: torch.Tensor, edges: torch.Tensor | None) -> torch.Tensor:
    """Nonnegative, and with at most ``edges`` nonzeros per row, the largest."""
    w = w.clamp_min(0)
    if edges is None:
        return w
    order = w.argsort(dim=-1, descending=True, stable=True)
    place = torch.arange(w.shape[-1], device=w.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(-1, order, place)  # the inverse permutation, without a second sort
    return torch.where(rank < edges, w, 0.0)


def _stopped(gap: torch.Tensor, run: _Iterate, problems: _Problems, tol: float):
    """Which problems have reached tol. The gap at the extrapolated point is only a hint: ask the new w itself."""
    done = gap <= run.threshold
    if not bool(done.any()):
        return done, run
    hinted = done.nonzero()[:, 0]
    part, w = problems.at(hinted), run.w[hinted]
    sigma, U = spectrum(w)
    exact = _residual(w, U, eigenvalue_update(sigma, part.mu, part.beta, part.gamma), part)
    reached = exact <= 0.99 * tol * part.unit  # room for another summation order at the end
    threshold = run.threshold.clone()
    threshold[hinted] /= 2  # do not ask again at every iteration
    done = done.clone()
    done[hinted] = reached
    return done, run._replace(threshold=threshold)


def _residual(w: torch.Tensor, U: torch.Tensor, lam: torch.Tensor, problems: _Problems) -> torch.Tensor:
    """``kkt_residuals(...).w`` without its checks."""
    pull = laplacian_adjoint((U * lam[..., None, :]) @ U.mT)
    return torch.minimum(w, laplacian_gram(w) - pull + problems.linear).abs().amax(-1)


def _value(w: torch.Tensor, problems: _Problems) -> torch.Tensor:
    sigma, _ = spectrum(w)
    return _objective(w, sigma, eigenvalue_update(sigma, problems.mu, problems.beta, problems.gamma), problems)


def _objective(w: torch.Tensor, sigma: torch.Tensor, lam: torch.Tensor, problems: _Problems) -> torch.Tensor:
    """(1) where the columns of U are eigenvectors of L w, so that the relaxed constraint is a sum over eigenvalues."""
    beta, gamma = problems.beta[:, 0], problems.gamma[:, 0]
    fit = (sigma - lam).square().sum(-1)
    away = (lam - problems.mu)[:, 1:].square().sum(-1)
    return beta * (problems.linear * w).sum(-1) - lam[:, 1:].log().sum(-1) + beta / 2 * fit + gamma / 2 * away


# --- arguments ----------------------------------------------------------------------------------------------------


def _prepare(S: Any, mu: Any, alpha: Any, beta: Any, gamma: Any, edges: Any, w0: Any):
    """Checked arguments as N problems in a row, in float64: problems, start, order of mu (None if ascending); the batch
    shape, and the dtype of the result."""
    _arguments.symmetric("S", S)
    p = S.shape[-1]
    m = p * (p - 1) // 2
    mu = _arguments.vector("mu", _validate.integers_as("mu", mu, S.dtype), p)
    dtype = torch.promote_types(S.dtype, mu.dtype)
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"S and mu must be float32 or float64, got {S.dtype} and {mu.dtype}")
    if w0 is not None:
        _arguments.vector("w0", w0, m)
        if bool((w0 < 0).any()):
            raise ValueError(f"w0 must be nonnegative, got a smallest entry of {float(w0.min()):.3g}")
    S = S.double()  # float32 could not reach the tolerance: its gradients are wrong by more than that
    alpha, beta, gamma = _arguments.penalties(alpha, beta, gamma, S)
    if edges is not None:
        edges = _edge_counts(edges, m)
        if bool((alpha != 0).any()):
            raise ValueError(f"alpha must be 0 where edges is given (one sparsity penalty at a time), got {alpha!r}")
    scalars = {"alpha": alpha, "beta": beta, "gamma": gamma}
    given = {"S": S.shape[:-2], "mu": mu.shape[:-1]} | {name: value.shape for name, value in scalars.items()}
    given |= ({} if w0 is None else {"w0": w0.shape[:-1]}) | ({} if edges is None else {"edges": edges.shape})
    shape = _validate.broadcast(**given)

    def row(value: torch.Tensor, *tail: int) -> torch.Tensor:
        return value.to(S).expand(*shape, *tail).reshape(-1, *tail)

    pull, priors = row(laplacian_adjoint(S), m), row(mu, p)
    alphas, betas, gammas = (row(value[..., None], 1) for value in scalars.values())
    order = None
    if bool((priors[:, 1:].diff(dim=-1) < 0).any()):
        order = priors[:, 1:].argsort(dim=-1, stable=True) + 1
        order = torch.cat([torch.zeros_like(order[:, :1]), order], -1)
        priors = priors.gather(-1, order)
    total = pull.sum(-1, keepdim=True)
    common = torch.where(total > 0, (p - 1) / total, torch.ones_like(total))
    start = common.expand(-1, m) if w0 is None else row(w0, m)
    counts = None if edges is None else edges.to(S.device).expand(shape).reshape(-1, 1)
    linear = (pull + alphas) / betas
    towards = 2 / p * (gammas / betas)[:, 0] * priors[:, 1:].abs().mean(-1)
    unit = _unit(common[:, 0], linear.mean(-1) + towards)
    return _Problems(linear, priors, betas, gammas, counts, unit), start.clone(), order, shape, dtype


def _unit(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """What a residual is small against: 1 in ordinary units, else the smaller size of what it is the minimum of."""
    size = torch.where(gradient > 0, torch.minimum(weight, gradient), weight)
    low, high = ORDINARY
    return torch.where((size >= low) & (size <= high), 1.0, size)


def _edge_counts(edges: Any, m: int) -> torch.Tensor:
    """Numbers of edges between 1 and m as an integer tensor."""
    if isinstance(edges, torch.Tensor) and edges.ndim:
        if edges.dtype.is_floating_point or edges.dtype.is_complex or edges.dtype == torch.bool:
            raise ValueError(f"edges must be an integer or an integer tensor, got dtype {edges.dtype}")
        counts = edges
    else:
        counts = torch.tensor(_validate.positive_int("edges", edges), device="cpu")
    if bool(((counts < 1) | (counts > m)).any()):
        raise ValueError(f"edges must be in 1..{m}, got {edges!r}")
    return counts
