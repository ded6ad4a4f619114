"""Grids, puzzles with one solution, the baselines, and the training loop."""

import pytest
import torch

from litrepro.layers import (
    ConvNetSudoku,
    SATNet,
    VisualSudoku,
    _boards,
    completion_accuracy,
    completion_loss,
    fit_completion,
    fit_visual,
    solve_sudoku,
    sudoku_grids,
    sudoku_puzzles,
    visual_accuracy,
    visual_boards,
)

PUZZLES = (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))


def valid(grids, box):
    n = box * box
    digits = list(range(n))
    for grid in grids.tolist():
        columns = [list(c) for c in zip(*grid, strict=True)]
        boxes = [
            [grid[r + i][c + j] for i in range(box) for j in range(box)]
            for r in range(0, n, box)
            for c in range(0, n, box)
        ]
        if any(sorted(unit) != digits for unit in grid + columns + boxes):
            return False
    return True


def test_small_grids_are_all_288():
    grids = sudoku_grids(2, 288, seed=1)
    assert len(grids.unique(dim=0)) == 288
    assert valid(grids, 2)
    assert torch.equal(grids[:10], sudoku_grids(2, 10, seed=1))


def test_large_grids_are_valid_and_vary():
    grids = sudoku_grids(3, 40, seed=0)
    assert valid(grids, 3)
    assert len(grids.unique(dim=0)) == 40
    assert valid(sudoku_grids(4, 2, seed=0), 4)


@pytest.mark.parametrize(("box", "holes", "count"), [(2, 6, 40), (2, 12, 4), (3, 36, 12), (3, 50, 2), (2, 0, 3)])
def test_puzzles_have_one_solution_and_exactly_so_many_holes(box, holes, count):
    n = box * box
    grids = sudoku_grids(box, count, seed=3)
    z, known = sudoku_puzzles(grids, holes, seed=4)
    assert z.shape == known.shape == (count, n**3)
    assert torch.equal(z.view(count, n, n, n).argmax(-1), grids)
    assert bool((z.view(count, -1, n).sum(-1) == 1).all())
    cells = known.view(count, n * n, n)
    assert bool((cells.all(-1) == cells.any(-1)).all())
    assert bool((cells[..., 0].sum(1) == n * n - holes).all())
    for grid, given in zip(grids, cells[..., 0].view(count, n, n), strict=True):
        found = solve_sudoku(torch.where(given, grid, -1), limit=2)
        assert len(found) == 1
        assert torch.equal(found[0], grid)


def test_too_few_givens_are_refused_without_a_search(monkeypatch):
    # Exhaustively: of the 560 choices of three cells none shows a pattern that one of the 288 grids has alone.
    grids = sudoku_grids(2, 288, seed=0).flatten(1)
    for givens, some in ((3, False), (4, True)):
        cells = torch.combinations(torch.arange(16), givens)
        codes = (grids[:, cells] * 4 ** torch.arange(givens)).sum(-1).sort(0).values
        pairs = torch.nn.functional.pad(codes.diff(dim=0) == 0, (0, 0, 1, 1))
        assert bool((~(pairs[1:] | pairs[:-1])).any()) == some
    assert int(sudoku_puzzles(grids[:1].view(1, 4, 4), 12, seed=0)[1].sum()) == 4 * 4
    monkeypatch.setattr(_boards, "_finished_by_singles", None)
    monkeypatch.setattr(_boards, "_dig", None)
    for box, holes in ((2, 13), (3, 65), (3, 81), (4, 242)):
        with pytest.raises(ValueError, match=f"holes must be in .*; got {holes}"):
            sudoku_puzzles(sudoku_grids(box, 1, seed=1), holes, seed=0)


def test_solver_counts_every_solution_and_sees_contradictions():
    assert len(solve_sudoku(torch.full((4, 4), -1), limit=1000)) == 288
    clash = torch.full((4, 4), -1)
    clash[0, 0] = clash[0, 1] = 2
    assert solve_sudoku(clash) == []
    grid = sudoku_grids(2, 1, seed=0)[0]
    for cell in range(16):  # a board without a hole is looked at as well
        for digit in range(4):
            board = grid.clone()
            board.view(-1)[cell] = digit
            assert len(solve_sudoku(board)) == int(torch.equal(board, grid))


@pytest.mark.parametrize("mask", [True, False])
def test_convnet_hides_what_is_unknown(mask):
    net = ConvNetSudoku(4, mask, 8, 2, seed=1)
    z, known = sudoku_puzzles(sudoku_grids(2, 3, seed=0), 6, seed=0)
    out = net(z, known)
    assert torch.equal(out, net(torch.where(known, z, 7.0), known))
    assert torch.equal(out[known], z[known])
    assert net.body[0].in_channels == (8 if mask else 4)
    assert torch.allclose(net(z[1], known[1]), out[1], atol=1e-6)


def test_a_normalized_network_judges_every_board_alone():
    z, known = sudoku_puzzles(sudoku_grids(2, 24, seed=0), 6, seed=0)
    net = ConvNetSudoku(4, True, 8, 3, seed=1, norm=True)
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in net.body) == 3
    settings = {"digits": 4, "batch_size": 8, "lr": 1e-2}
    table = fit_completion(net, (z, known), steps=9, evaluate_on={"train": (z, known)}, **settings)
    assert net.training
    right = table[table.metric == "accuracy"]["value"].item()
    net.eval()
    alone = torch.cat([net(z[i : i + 1], known[i : i + 1]) for i in range(len(z))])
    assert right == completion_accuracy(alone, z, digits=4).double().mean().item()
    assert torch.allclose(alone, net(z, known), atol=1e-6)
    frozen = fit_completion(net, (z, known), steps=1, evaluate_on={"train": (z, known)}, **settings)
    assert not net.training
    assert len(frozen) == 2


def test_a_normalized_network_learns_where_a_plain_one_does_not():
    z, known = sudoku_puzzles(sudoku_grids(2, 100, seed=0), 6, seed=0)
    learned = {}
    for norm in (False, True):
        net = ConvNetSudoku(4, False, 16, 6, seed=0, norm=norm)
        options = {"steps": 60, "batch_size": 50, "lr": 5e-3, "digits": 4, "evaluate_on": {"train": (z, known)}}
        learned[norm] = fit_completion(net, (z, known), **options)["value"].iloc[-1]
    assert learned[True] > 0.8
    assert learned[False] < 0.2


def test_autocast_rounds_no_probability():
    z, known = sudoku_puzzles(sudoku_grids(2, 3, seed=0), 6, seed=0)
    net = ConvNetSudoku(4, True, 8, 2, seed=1)
    with torch.no_grad():
        net.head.bias += 7  # a rounded probability of 0.9991 would be one
        with torch.autocast("cpu", torch.bfloat16):
            found = net(z, known)
    assert found.dtype == torch.float32
    assert 0.998 < found[~known].min() <= found[~known].max() < 1


def test_accuracy_compares_cells_in_their_own_order():
    target = torch.eye(4).flatten()[None].repeat(2, 1)
    output = target * 0.4 + 0.1
    output[1, 1] = 0.9
    assert completion_accuracy(output, target, digits=4).tolist() == [True, False]
    assert completion_accuracy(output, target).tolist() == [False, False]
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    inverse = order.argsort()
    permuted = completion_accuracy(output[:, order], target[:, order], digits=4, order=inverse)
    assert permuted.tolist() == [True, False]
    assert completion_accuracy(target.bool(), target.bool(), digits=4).tolist() == [True, True]
    assert completion_accuracy(target[:0], target[:0], digits=4).tolist() == []


@pytest.mark.parametrize("digits", [None, 4])
def test_nan_is_wrong(digits):
    target = torch.eye(4).flatten()[None].repeat(3, 1)
    output = target.clone()
    output[0, 0] = output[1, 1] = torch.nan
    assert completion_accuracy(output, target, digits=digits).tolist() == [False, False, True]


def test_loss_counts_what_it_is_told():
    out, target = torch.tensor([0.0, 0.5, 0.9]), torch.tensor([0.0, 1.0, 0.0])
    counted = torch.tensor([True, True, False])
    expected = torch.nn.functional.binary_cross_entropy(out[:2].clamp(1e-6, 1), target[:2])
    assert torch.allclose(completion_loss(out, target, counted), expected)
    assert float(completion_loss(out, target, torch.zeros(3, dtype=torch.bool))) == 0


def test_training_lowers_the_loss_and_resumes(tmp_path):
    z, known = sudoku_puzzles(sudoku_grids(2, 24, seed=0), 3, seed=0)
    settings = {"batch_size": 8, "lr": 2e-2, "digits": 4, "evaluate_on": {"train": (z, known)}, "eval_every": 3}

    def layer():
        return SATNet(64, 30, 8, k=12, max_iter=8, method="mixing", cg_iter=10)

    whole = layer()
    table = fit_completion(whole, (z, known), steps=6, **settings)
    losses = table[table.metric == "loss"]["value"].tolist()
    assert losses[-1] < losses[0]
    assert set(table.columns) == {"member", "epoch", "step", "split", "metric", "value", "seconds"}
    parts, path = layer(), tmp_path / "state.pt"
    fit_completion(parts, (z, known), steps=3, checkpoint=path, **settings)
    resumed = fit_completion(layer(), (z, known), steps=6, checkpoint=path, **settings)
    assert resumed.step.tolist() == table.step.tolist()
    assert abs(resumed["value"].iloc[-2] - losses[-1]) < 1e-4


def test_resuming_goes_on_in_the_same_pass(tmp_path):
    z, known = sudoku_puzzles(sudoku_grids(2, 24, seed=0), 3, seed=0)
    settings = {"batch_size": 8, "eval_every": 1}

    def layer():
        return ConvNetSudoku(4, True, 4, 1)

    whole = fit_completion(layer(), (z, known), steps=5, **settings)
    path = tmp_path / "state.pt"
    fit_completion(layer(), (z, known), steps=2, checkpoint=path, **settings)  # of the three steps of a pass
    resumed = fit_completion(layer(), (z, known), steps=5, checkpoint=path, **settings)
    assert resumed["value"].tolist() == pytest.approx(whole["value"].tolist(), abs=1e-6)
    for model, puzzles in ((ConvNetSudoku(4, True, 5, 1), (z, known)), (layer(), (z[:3], known[:3]))):
        with pytest.raises(ValueError, match=r"must be of this model|must belong to this run"):
            fit_completion(model, puzzles, steps=9, checkpoint=path, batch_size=8)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="checkpoint must be"):
        fit_completion(layer(), (z, known), steps=9, checkpoint=path)


def test_a_schedule_scales_the_rate_and_a_callback_ends_training(tmp_path):
    z, known = sudoku_puzzles(sudoku_grids(2, 24, seed=0), 3, seed=0)
    settings = {"steps": 8, "batch_size": 8, "lr": 1e-2, "eval_every": 2, "checkpoint": tmp_path / "state.pt"}
    shares, seen = [], []

    def schedule(share):
        shares.append(share)
        return 1.0 if share < 0.5 else 0.0

    def stop(step, model):
        seen.append((step, model.head.weight.clone()))
        return step == 6

    net = ConvNetSudoku(4, True, 4, 1, seed=0)
    table = fit_completion(net, (z, known), schedule=schedule, callback=stop, **settings)
    assert shares == [step / 8 for step in range(6)]
    assert [step for step, _ in seen] == [2, 4, 6]
    assert table.step.max() == 6
    assert not torch.equal(seen[0][1], seen[1][1])
    assert torch.equal(seen[1][1], seen[2][1])  # a rate of zero moves nothing
    by_hand = ConvNetSudoku(4, True, 4, 1, seed=0)
    fit_completion(by_hand, (z, known), **settings | {"steps": 4, "checkpoint": None})
    assert torch.equal(by_hand.head.weight, seen[1][1])
    finished = ConvNetSudoku(4, True, 4, 1, seed=0)
    fit_completion(finished, (z, known), schedule=schedule, callback=lambda *_: False, **settings)
    assert shares[6:] == [6 / 8, 7 / 8]
    with pytest.raises(ValueError, match=r"must belong to this run.*other steps"):
        fit_completion(net, (z, known), schedule=schedule, **settings | {"steps": 9})


def test_a_checkpoint_belongs_to_its_training_set_and_settings(tmp_path):
    z, known = sudoku_puzzles(sudoku_grids(2, 24, seed=0), 3, seed=0)
    path = tmp_path / "state.pt"

    def fit(**changes):
        settings = {"train": (z, known), "steps": 4, "batch_size": 8, "checkpoint": path} | changes
        return fit_completion(ConvNetSudoku(4, True, 4, 1, seed=0), **settings)

    whole = fit(checkpoint=None, eval_every=1)
    fit(steps=2)
    others = [{"lr": 0.5}, {"seed": 9}, {"batch_size": 7}, {"train": (z.flip(0), known)}, {"train": (z, known.flip(0))}]
    for other in others:
        with pytest.raises(ValueError, match=f"must belong to this run.*other {next(iter(other))}"):
            fit(**other)
    saved = torch.load(path, weights_only=True)
    for state in (saved, {name: value for name, value in saved.items() if name != "run"}):
        torch.save(state, path)  # the second as it was written before runs were compared
        assert fit(eval_every=1)["value"].iloc[1:].tolist() == pytest.approx(whole["value"].iloc[2:].tolist(), abs=1e-6)


@pytest.mark.parametrize(("n", "sizes"), [(24, [7, 7, 7, 3]), (21, [7, 7, 7]), (5, [5])])
def test_a_pass_sees_every_sample_once(n, sizes):
    z, known = sudoku_puzzles(sudoku_grids(2, n, seed=0), 3, seed=0)
    seen = []

    class Watched(ConvNetSudoku):
        def forward(self, z, known):
            seen.append(z)
            return super().forward(z, known)

    table = fit_completion(Watched(4, True, 4, 1), (z, known), steps=2 * len(sizes), batch_size=7)
    assert [len(part) for part in seen] == 2 * sizes
    assert table["epoch"].tolist() == [2.0]
    for part in (seen[: len(sizes)], seen[len(sizes) :]):
        assert torch.equal(torch.cat(part).unique(dim=0), z.unique(dim=0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: sudoku_grids(2, 289, seed=0),
        lambda: sudoku_grids(1, 1, seed=0),
        lambda: sudoku_grids(3, 0, seed=0),
        lambda: sudoku_puzzles(torch.zeros(1, 4, 4, dtype=torch.int64), 1, seed=0),
        lambda: sudoku_puzzles(sudoku_grids(2, 1, seed=0), 17, seed=0),
        lambda: sudoku_puzzles(sudoku_grids(2, 1, seed=0), -1, seed=0),
        lambda: sudoku_puzzles(sudoku_grids(2, 1, seed=0), 13, seed=0),
        lambda: solve_sudoku(torch.full((4, 4), 4)),
        lambda: solve_sudoku(torch.full((5, 5), -1)),
        lambda: ConvNetSudoku(4, True, 0, 2),
        lambda: ConvNetSudoku(4, True, 4, 2)(torch.zeros(2, 63), torch.zeros(2, 63, dtype=torch.bool)),
        lambda: ConvNetSudoku(4, True, 4, 2)(torch.full((64,), 1.5), torch.ones(64, dtype=torch.bool)),
        lambda: ConvNetSudoku(4, True, 4, 2)(torch.full((64,), torch.nan), torch.ones(64, dtype=torch.bool)),
        lambda: completion_accuracy(torch.zeros(2, 5), torch.zeros(2, 5), digits=4),
        lambda: fit_completion(SATNet(3, 3), (torch.zeros(2, 3), torch.zeros(2, 3)), steps=1),
        lambda: fit_completion(SATNet(3, 3), PUZZLES, steps=1, schedule=0.5),
        lambda: fit_completion(SATNet(3, 3), PUZZLES, steps=1, callback=0.5),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError):
        call()


class Unreadable(VisualSudoku):
    def forward(self, images, given):
        return super().forward(images, given) * torch.nan


def test_training_on_images_resumes_and_knows_its_file(tmp_path):
    z, known = sudoku_puzzles(sudoku_grids(2, 24, seed=0), 4, seed=1)
    g = torch.Generator().manual_seed(2)
    labels, images = torch.arange(60) % 4 + 1, torch.rand(60, 1, 4, 4, generator=g)
    boards, path = (visual_boards(z, 4, labels, seed=2), z, known), tmp_path / "state.pt"

    def fit(**changes):
        classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 4))
        torch.nn.init.constant_(classifier[1].weight, 0.1), torch.nn.init.zeros_(classifier[1].bias)
        model = VisualSudoku(classifier, SATNet(64, 20, k=8, max_iter=5, method="mixing"))
        settings = {"boards": boards, "steps": 5, "label_givens": True, "batch_size": 7} | changes
        return fit_visual(model, images, **settings)

    whole = fit()
    assert fit(steps=2, checkpoint=path) == pytest.approx(whole[:2])
    assert fit(checkpoint=path) == pytest.approx(whole, abs=1e-5)
    assert len(fit(steps=3, checkpoint=path)) == 5  # what is done is not undone
    decayed = fit(schedule=lambda t: float(t < 0.5))
    assert decayed[:4] == pytest.approx(whole[:4])  # three steps were taken at the full rate
    assert decayed[4] != pytest.approx(whole[4], abs=1e-4)
    asked = []
    assert len(fit(steps=160, callback=lambda step, model: asked.append(step) or step == 100)) == 100
    assert asked == [50, 100]
    others = {"batch_size": 6, "rates": {"lr": 0.5}, "seed": 9, "label_givens": False}
    others["boards"] = {"boards": (boards[0], z.flip(0), known)}
    for name, changes in others.items():
        with pytest.raises(ValueError, match=f"must belong to this run.*other {name}"):
            fit(checkpoint=path, **(changes if isinstance(changes, dict) else {name: changes}))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="checkpoint must be of this model"):
        fit(checkpoint=path)
    for bad in (tmp_path, tmp_path / "none" / "state.pt", 3):
        with pytest.raises(ValueError, match="checkpoint"):
            fit(checkpoint=bad)


def test_visual_boards_show_the_digits_and_training_counts_what_it_should():
    labels = torch.arange(1, 5).repeat(3)
    images = torch.nn.functional.one_hot(labels - 1, 4).float().view(12, 1, 2, 2)
    z, known = sudoku_puzzles(sudoku_grids(2, 12, seed=0), 5, seed=1)
    index = visual_boards(z, 4, labels, seed=2)
    assert torch.equal(labels[index] - 1, z.view(12, 16, 4).argmax(-1))
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 4))
    classifier[1].weight.data, classifier[1].bias.data = 20 * torch.eye(4), torch.zeros(4)
    model = VisualSudoku(classifier, SATNet(64, 20, k=8, method="mixing", max_iter=5, cg_iter=5))
    scores = visual_accuracy(model, images, (index, z, known), 4)
    assert scores["digits"] == scores["readable"] == 1
    unread = visual_accuracy(Unreadable(classifier, model.layer), images, (index, z, known), 4)
    assert unread["digits"] == unread["readable"] == unread["boards"] == 0
    normalized = VisualSudoku(classifier, ConvNetSudoku(4, True, 8, 2, seed=0, norm=True))
    fit_visual(normalized, images, (index, z, known), steps=5, label_givens=True, batch_size=6)
    scores = visual_accuracy(normalized, images, (index, z, known), 4)
    assert normalized.training
    ones = [visual_accuracy(normalized, images, (index[i, None], z[i, None], known[i, None]), 4) for i in range(12)]
    assert scores["boards"] == pytest.approx(sum(one["boards"] for one in ones) / 12)
    # With the labels of givens most bits are right already, so that the mean loss is smaller.
    losses = [
        fit_visual(model, images, (index, z, known), steps=1, label_givens=g, lr=1e-6, batch_size=12)
        for g in (True, False)
    ]
    assert losses[0][0] < losses[1][0]
    settings = {"steps": 3, "label_givens": True, "lr": 1e-6, "batch_size": 4}
    for limit, made in ((1000.0, 3), (0.0, 1)):
        assert len(fit_visual(model, images, (index, z, known), max_seconds=limit, **settings)) == made
    with pytest.raises(ValueError):
        visual_boards(z, 4, labels[labels < 4], seed=0)


def test_the_convnet_under_vmap():
    net, g = ConvNetSudoku(4, True, 4, 1, seed=0), torch.Generator().manual_seed(0)
    z, known = torch.rand(2, 3, 64, generator=g), torch.rand(2, 3, 64, generator=g) < 0.5
    torch.testing.assert_close(torch.func.vmap(net)(z, known), net(z.flatten(0, 1), known.flatten(0, 1)).view_as(z))
