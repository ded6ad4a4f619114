"""The inverse problem, its metrics, logistic baselines, conjugate gradients and crosstalk against references."""

import math
import warnings

import numpy as np
import pytest
import torch

from litrepro import ConvergenceWarning, secondorder
from litrepro.secondorder import conjugate_gradient, gauss_newton_cg, ssim, total_variation

f64 = torch.float64


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


def slow_ssim(a, b, L, k=7):
    values = []
    for i in range(a.shape[0] - k + 1):
        for j in range(a.shape[1] - k + 1):
            p, q = a[i : i + k, j : j + k].ravel(), b[i : i + k, j : j + k].ravel()
            c = np.cov(p, q)
            top = (2 * p.mean() * q.mean() + (0.01 * L) ** 2) * (2 * c[0, 1] + (0.03 * L) ** 2)
            values.append(
                top / ((p.mean() ** 2 + q.mean() ** 2 + (0.01 * L) ** 2) * (c[0, 0] + c[1, 1] + (0.03 * L) ** 2))
            )
    return np.mean(values)


def test_ssim_against_its_definition():
    a, b = randn(2, 3, 10, 9), randn(2, 3, 10, 9, seed=1)
    found = ssim(a, b, data_range=2.0)
    assert found.shape == (2, 3)
    assert abs(found[1, 2].item() - slow_ssim(a[1, 2].numpy(), b[1, 2].numpy(), 2.0)) < 1e-10
    torch.testing.assert_close(ssim(a, a), torch.ones(2, 3, dtype=f64))
    for bad in ({"b": b[:1]}, {"window": 4}, {"window": 11}, {"data_range": 0.0}):
        with pytest.raises(ValueError):
            ssim(**({"a": a, "b": b} | bad))


def test_total_variation_counts_edges():
    image = torch.zeros(5, 6)
    image[:, 3:] = 2.0
    assert total_variation(image).item() == 10.0
    assert total_variation(torch.stack([image, 2 * image])).tolist() == [10.0, 20.0]


def test_survey_and_problem_fit_together():
    survey = secondorder.seismic_survey(6, size=8, steps=40, keep=8, chunk=4, seed=2)
    whole = secondorder.seismic_survey(6, size=8, steps=40, keep=8, seed=2)
    torch.testing.assert_close(survey.shots, whole.shots)
    assert survey.dt == pytest.approx(8 * 0.5 * 0.05 / 4.5)
    problem = secondorder.tomography_problem(survey, 4, hidden=3)
    x, _y = problem.train
    torch.testing.assert_close(x.mean(0), torch.zeros(x.shape[1]), atol=1e-5, rtol=0)
    w = problem.start([0, 1])
    images = secondorder.predictions(problem, survey, 4, w, [0, 1])
    assert images.shape == (2, 2, 8, 8)
    error = (images - survey.velocity[4:]).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(problem.score(w, *problem.test), -error.log())
    quality = secondorder.inversion_quality(problem, survey, 4, w)
    torch.testing.assert_close(quality.images, images)
    for t in range(2):
        outputs = problem.model(w[t], problem.test[0])
        torch.testing.assert_close(quality.loss[t], problem.loss(outputs, problem.test[1]))
    truth = survey.velocity[4:]
    torch.testing.assert_close(quality.ssim[1], torch.stack([ssim(images[1, m], truth[m]) for m in range(2)]).mean())
    edges = [total_variation(images[1, m]) / total_variation(truth[m]) for m in range(2)]
    torch.testing.assert_close(quality.variation[1], torch.stack(edges).mean())
    net = secondorder.tomography_problem(survey, 4, hidden=2, model="convnet")
    assert net.model(net.start([0])[0], net.train[0]).shape == (4, 64)
    for bad in ({"train": 6}, {"train": 0}, {"model": "tree"}):
        with pytest.raises(ValueError):
            secondorder.tomography_problem(survey, **({"train": 4} | bad))
    with pytest.raises(ValueError):
        secondorder.seismic_survey(0)


def logistic():
    x = randn(30, 4)
    x = x / x.norm(dim=1).max()
    return x, torch.sign(x[:, 0] + 0.1)


def test_logistic_baselines_reach_scikit_learns_optimum():
    from sklearn.linear_model import LogisticRegression

    x, y = logistic()
    best = secondorder.logistic_newton(x, y, 0.05, steps=12)[-1]
    peer = LogisticRegression(C=1 / (30 * 0.05), fit_intercept=False, tol=1e-12, max_iter=1000).fit(
        x.numpy(), y.numpy()
    )
    torch.testing.assert_close(best, torch.tensor(peer.coef_[0]), atol=1e-5, rtol=1e-4)
    loss = secondorder.logistic_loss(0.05)
    assert torch.func.grad(loss)(best, x, y).norm() < 1e-14
    torch.testing.assert_close(loss(torch.stack([best, 0 * best]), x, y)[0], loss(best, x, y))
    lr = torch.tensor([1.0, 3.0], dtype=f64)
    descent = secondorder.logistic_descent(x, y, 0.05, lr=lr, steps=400)
    torch.testing.assert_close(descent[-1], best.expand(2, 4))
    torch.testing.assert_close(descent[1, 1], -3 * torch.func.grad(loss)(0 * best, x, y))
    svrg = secondorder.logistic_svrg(x, y, 0.05, lr=lr[:1], epochs=60, seeds=[0, 1])
    torch.testing.assert_close(svrg[-1], best.expand(1, 2, 4), atol=1e-9, rtol=0)
    sgd = secondorder.logistic_svrg(x, y, 0.05, lr=lr[:1], epochs=60, seeds=[0, 1], plain=True)
    distance = (sgd - best).norm(dim=-1)
    assert (distance[-1] < 0.3 * distance[0]).all()
    assert (distance[-1] > 1e-6).all()
    calls = secondorder.calls_to_distance((svrg - best).norm(dim=-1), 90, 1e-6)
    first = next(t for t in range(61) if (svrg[t, 0, 1] - best).norm() <= 1e-6)
    assert calls[0, 1] == 90 * first
    several = secondorder.logistic_svrg(x, y, 0.05, lr=lr, epochs=3, seeds=[0, 1], inner=30)
    torch.testing.assert_close(several, secondorder.logistic_svrg(x, y, 0.05, lr=lr, epochs=3, seeds=[0, 1]))
    # At its reference the sampled gradient is the full one, so that epochs of one step are gradient descent.
    single = secondorder.logistic_svrg(x, y, 0.05, lr=lr, epochs=9, seeds=[0], inner=1)
    torch.testing.assert_close(single[:, :, 0], descent[:10])
    for bad in ({"epochs": 0}, {"seeds": []}, {"inner": 0}, {"inner": 2.5}):
        with pytest.raises(ValueError):
            secondorder.logistic_svrg(x, y, 0.05, **({"lr": lr, "epochs": 1, "seeds": [0]} | bad))
    for bad in ({"decay": 0.0}, {"steps": 0}):
        with pytest.raises(ValueError):
            secondorder.logistic_newton(x, y, **({"decay": 0.1, "steps": 1} | bad))


def test_conjugate_gradient_against_a_dense_solver():
    A = randn(2, 3, 5, 5)
    A = A @ A.mT + 0.1 * torch.eye(5, dtype=f64)
    b = randn(2, 3, 5, seed=1)
    b[0, 0] = 0
    solve = lambda v: (A @ v[..., None])[..., 0]  # noqa: E731
    torch.testing.assert_close(conjugate_gradient(solve, b, steps=30), torch.linalg.solve(A, b[..., None])[..., 0])
    rough = conjugate_gradient(solve, b, steps=30, tol=0.5)
    assert ((solve(rough) - b).norm(dim=-1) <= 0.5 * b.norm(dim=-1) + 1e-12).all()
    for bad in ({"steps": 0}, {"steps": 1, "tol": -1.0}):
        with pytest.raises(ValueError):
            conjugate_gradient(solve, b, **bad)


def linear(w, x):
    return x @ w.reshape(x.shape[1], -1)


def test_gauss_newton_cg():
    x, w = randn(40, 3), randn(6, seed=5)
    data = (x, linear(w, x))
    full = gauss_newton_cg(linear, secondorder.squared_loss, torch.zeros(6, dtype=f64), data, cg_steps=10, damping=0.0)
    assert full.converged
    assert len(full.gradients) == 2  # a linear model: one step
    torch.testing.assert_close(full.w, w)
    labels = torch.eye(2, dtype=f64)[(x[:, 0] > 0).long()]
    start = torch.zeros(6, dtype=f64)
    for decay in (0.1, 0.01):
        run = gauss_newton_cg(
            linear, secondorder.softmax_loss, start, (x, labels), cg_steps=3, sample=20, decay=decay, tol=1e-6
        )
        g = torch.func.grad(lambda w, decay=decay: secondorder.softmax_loss(linear(w, x), labels) + decay / 2 * w @ w)(
            run.w
        )
        assert run.converged
        assert g.norm() < 1e-5
        assert run.products == 3 * (len(run.gradients) - 1)
    with pytest.warns(ConvergenceWarning):
        short = gauss_newton_cg(linear, secondorder.softmax_loss, start, (x, labels), cg_steps=1, outer=1, tol=1e-9)
    assert not short.converged
    starts = randn(3, 6, seed=8)
    starts[2] = 0
    for sample in (None, 20):
        options = {"cg_steps": 4, "decay": 0.05, "sample": sample, "tol": 1e-5}
        many = gauss_newton_cg(linear, secondorder.softmax_loss, starts, (x, labels), **options)
        alone = gauss_newton_cg(linear, secondorder.softmax_loss, starts[0], (x, labels), **options)
        torch.testing.assert_close(many.w[0], alone.w)
        assert (many.outer[0], many.products[0]) == (alone.outer, alone.products)
        assert many.converged.all()
        assert many.gradients.shape == (int(many.outer.max()) + 1, 3)
    exact = gauss_newton_cg(
        linear, secondorder.softmax_loss, starts, (x, labels), cg_steps=60, cg_tol=1e-10, decay=0.05, tol=1e-8
    )
    assert (exact.products <= exact.outer * 8).all()  # six unknowns: six products, a few more for rounding
    for bad in ({"cg_steps": 0}, {"sample": 41}, {"damping": -1.0}, {"tol": -1.0}, {"cg_tol": -1.0}, {"outer": 0}):
        with pytest.raises(ValueError):
            gauss_newton_cg(linear, secondorder.softmax_loss, start, (x, labels), **({"cg_steps": 1} | bad))


def test_a_gauss_newton_step_is_damped():
    x, y, start = randn(40, 3), randn(40, 2, seed=1), randn(6, seed=2)
    options = {"cg_steps": 10, "decay": 0.3, "damping": 0.7, "outer": 1}
    with pytest.warns(ConvergenceWarning):
        run = gauss_newton_cg(linear, secondorder.squared_loss, start, (x, y), **options)
    objective = lambda w: secondorder.squared_loss(linear(w, x), y) + 0.15 * w.square().sum()  # noqa: E731
    hessian, slope = torch.func.hessian(objective)(start), torch.func.grad(objective)(start)  # decay is in both
    step = torch.linalg.solve(hessian + 0.7 * torch.eye(6, dtype=f64), slope)
    torch.testing.assert_close(run.w, start - step)


def test_a_gauss_newton_step_that_overshoots_is_halved():
    """sqrt(1 + w^2) at w: the whole step ends at -w^3, uphill for w > 1; half of it is the first to descend at 1.5."""
    data, start = (torch.zeros(1, 1, dtype=f64), torch.zeros(1, 1, dtype=f64)), torch.tensor([[1.5], [2.0]], dtype=f64)
    with pytest.warns(ConvergenceWarning):
        run = gauss_newton_cg(
            lambda w, x: x + w, lambda u, y: (1 + u**2).sqrt().mean(), start, data, cg_steps=1, damping=0.0, outer=1
        )
    torch.testing.assert_close(run.w, torch.tensor([[(1.5 - 1.5**3) / 2], [2 - (2 + 2**3) / 4]], dtype=f64))


def test_crosstalk_is_the_leakage_of_three_solvers_by_hand():
    size, data, calls, correlation = 3, 12, 7, 0.8
    found = secondorder.crosstalk_leakage([5], calls=calls, size=size, data=data, correlation=correlation, lr=0.1)
    generator = torch.Generator().manual_seed(5)
    first, other = torch.randn(2, data, size, generator=generator, dtype=f64)
    kernel = torch.cat([first, correlation * first + math.sqrt(1 - correlation**2) * other], 1)
    truth = torch.cat([torch.randn(size, generator=generator, dtype=f64), torch.zeros(size, dtype=f64)])
    normal = kernel.T @ kernel / data
    left = torch.eye(2 * size, dtype=f64) - normal / torch.linalg.eigvalsh(normal)[-1]
    descent = truth - torch.linalg.matrix_power(left, calls) @ truth
    assert found["gradient descent"].item() == pytest.approx((descent[size:].norm() / truth.norm()).item())
    assert found["Gauss-Newton"].item() < 1e-10  # as many products as unknowns
    guess = torch.zeros(2 * size, dtype=f64, requires_grad=True)
    optimizer = torch.optim.Adam([guess], lr=0.1)
    for _ in range(calls):
        optimizer.zero_grad()
        ((kernel @ (guess - truth)).square().sum() / (2 * data)).backward()
        optimizer.step()
    assert found["Adam"].item() == pytest.approx((guess[size:].norm() / truth.norm()).item())


def test_crosstalk_vanishes_where_the_kernels_are_unrelated():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alike = secondorder.crosstalk_leakage([0, 1, 2], calls=40, size=5, data=30)
        apart = secondorder.crosstalk_leakage([0, 1, 2], calls=40, size=5, data=30, correlation=0.0)
    assert (alike["gradient descent"] > 0.1).all()
    assert (alike["Gauss-Newton"] < 1e-4).all()
    assert (apart["gradient descent"] < 0.1).all()
    torch.testing.assert_close(alike["Adam"][:1], secondorder.crosstalk_leakage([0], calls=40, size=5, data=30)["Adam"])
    for bad in ({"calls": 0}, {"data": 9}, {"correlation": 1.0}, {"lr": 0.0}, {"seeds": []}):
        with pytest.raises(ValueError):
            secondorder.crosstalk_leakage(**({"seeds": [0], "calls": 3, "size": 5} | bad))
    assert math.isfinite(alike["Adam"].sum())
