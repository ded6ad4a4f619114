# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Learning the rules of Sudoku
#
# The review's main table: a layer that completes Sudoku boards and has never been told a rule, against convolutional networks, with
# the bits of the board in order and permuted {cite}`wang2019satnet`. The quick profile plays on 4x4 boards, of which there are
# only 288: the split is by grid, or the test set would leak. The full profile plays on the review's 9x9; its recorded tables stand beside.
#
# A board is $n^3$ bits, one per cell and digit. SATNet sees the givens as fixed vectors and relaxes the rest; the baselines see the digits
# as channels, with or without a mask of what is known.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
from contextlib import nullcontext

import pandas as pd
import torch

from litrepro import Chapter
from litrepro.layers import (
    ConvNetSudoku, SATNet, completion_loss, fit_completion, solve_sudoku, sudoku_grids, sudoku_puzzles,
)  # fmt: skip
from litrepro.training import half_precision, step_decay, train_in_turn

# %%
ch = Chapter("19-discrete-layers", notebook="sudoku", profile=profile, seed=seed, full_minutes=8)
box = ch.pick(quick=2, full=3)
n = box * box
holes = ch.pick(quick=6, full=36)
sizes = ch.pick(quick=(200, 88), full=(9000, 1000))
seeds = ch.pick(quick=2, full=1, smoke=1)
sweeps = ch.pick(quick={"mixing": 20, "block": 100}, full={"mixing": 20, "block": 100})
method = "mixing" if ch.device.type == "cpu" else "block"
layer = ch.pick(quick={"m": 100, "aux": 50}, full={"m": 600, "aux": 300}) | {
    "method": method,
    "max_iter": sweeps[method],
}
layer |= {"k": 32} | ch.pick(quick={"cg_iter": 10, "damping": 0.3}, full={"cg_iter": 10, "damping": 0.3})

# %%
training = ch.pick(
    quick={"steps": 30, "batch_size": 40, "lr": 2e-2, "eval_every": 10},
    full={"steps": 3600, "batch_size": 40, "lr": 3e-3, "eval_every": 300},
    smoke={"steps": 4, "batch_size": 40, "lr": 2e-2, "eval_every": 2},
)
shape = ch.pick(quick=(48, 4), full=(192, 8), smoke=(8, 2))  # width and depth of the networks
networks = ch.pick(
    quick={"steps": 160, "batch_size": 40, "lr": 2e-3, "eval_every": 160},
    full={"steps": 2700, "batch_size": 100, "lr": 1e-3, "eval_every": 270},
    smoke={"steps": 4, "batch_size": 40, "lr": 2e-3, "eval_every": 4},
)
decay = ch.pick(quick={}, full={0.8: 0.1})  # the last fifth of the full run has a tenth of the rate

# %% [markdown]
# ## Boards
#
# Every puzzle has one solution: singles, which never guess, finish most of them, and an exact solver with a limit of two
# answers decides the rest. A 9x9 board has 36 holes, that is 45 givens, where those of the original have 36.2 on
# average ({doc}`visual-sudoku`).

# %%
grids = sudoku_grids(box, sum(sizes), seed=seed)
repeats = 2 if box == 2 else 1  # two puzzles from every training grid
train = sudoku_puzzles(grids[: sizes[0]].repeat(repeats, 1, 1), holes, seed=seed + 1)
test = sudoku_puzzles(grids[sizes[0] :], holes, seed=seed + 2)
train, test = (tuple(x.to(ch.device) for x in part) for part in (train, test))
order = torch.randperm(n**3, generator=ch.generator(1)).to(ch.device)
boards = {
    "original": (train, test, None),
    "permuted": (*(tuple(x[:, order] for x in part) for part in (train, test)), order.argsort()),
}

# %% [markdown]
# ## Training
#
# Whether SATNet learns is decided by its forward pass: stopped too early, the gradient belongs to no fixed point (see
# {doc}`maxsat`). Twenty sequential sweeps leave a residual of a few percent and learn within twenty steps; they run as compiled C on a CPU, at
# a sixth of their time in PyTorch, to the same result. A parallel iteration suits a GPU and needs about five times as many. The backward pass is
# damped; why, the next section shows. Each run has its own seed; the permuted runs of SATNet start from other weights than the original ones.
#
# A rival that has not learned its own boards would be a straw man. Eight plain convolutions on 9x9 boards are one: they stay at the uniform
# guess. With batch normalization between them they know their training boards by heart, after some 25 passes over them.

# %%
makers = {
    "SATNet": lambda seed: SATNet(n**3, seed=seed, **layer),
    "ConvNet": lambda seed: ConvNetSudoku(n, False, *shape, seed=seed, norm=True),
    "ConvNetMask": lambda seed: ConvNetSudoku(n, True, *shape, seed=seed, norm=True),
}
trained = {}


def train_one(run):
    """The history of one run, or None if time ran out before its end."""
    kind, s, name = run
    fit_on, held_out, inverse = boards[kind]
    number = seed + s + (100 if kind == "permuted" else 0)
    trained[name, kind, s] = model = makers[name](number).to(ch.device)
    settings = training if name == "SATNet" else networks
    splits = {"train": tuple(x[:1000] for x in fit_on), "test": held_out}
    settings = settings | {"digits": n, "order": inverse, "seed": number, "evaluate_on": splits}
    if ch.full:
        settings |= {"checkpoint": ch.scratch(f"{name}-{kind}-{number}.pt"), "callback": lambda *_: ch.out_of_time()}
        settings["schedule"] = step_decay(decay)
    with half_precision(ch.device, cpu=ch.full) if name != "SATNet" else nullcontext():
        history = fit_completion(model, fit_on, **settings)
    if history.step.max() < settings["steps"]:
        return None
    return history.assign(model=name, board=kind, member=s)


# %%
runs = [(kind, s, name) for kind in boards for s in range(seeds) for name in makers]
tables, finished = train_in_turn(runs, train_one, stop=ch.out_of_time, progress=lambda runs: ch.progress(runs, "runs"))
if not finished:
    ch.pause()

# %%
curves_table = pd.concat(tables, ignore_index=True)
final = curves_table[curves_table.metric == "accuracy"].groupby(["board", "model", "member", "split"]).tail(1)
accuracy = final.groupby(["board", "model", "split"], as_index=False)["value"].mean()
recorded = ch.table("sudoku-accuracy", accuracy.round(4))
curves_recorded = ch.table("sudoku-curves", curves_table.drop(columns="seconds").round(4))
scales, curves = ch.scales(accuracy, recorded), ch.scales(curves_table, curves_recorded)
shown = {name: table.pivot_table("value", ["board", "model"], "split") for name, table in scales.items()}
pd.concat(shown, axis=1).round(2)

# %% tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    def draw_course(ax, tests):
        """Share of unseen boards that SATNet completes, during training, one line for each run."""
        for k, kind in enumerate(boards):
            part = tests[(tests.board == kind) & (tests.model == "SATNet") & (tests.split == "test")]
            for s, run in part.groupby("member"):
                ax.plot(run.step, run["value"], "o-", color=f"C{k}", ms=3, label=kind if s == 0 else None)

    def draw_ends(ax, tests):
        """The shares at the end: bars and dots for unseen boards, dashes for those of the training set."""
        for k, kind in enumerate(boards):
            for j, name in enumerate(makers):
                ends = tests[(tests.board == kind) & (tests.model == name)].groupby(["member", "split"])["value"].last()
                at, ends = j + 0.38 * (k - 0.5), ends.unstack()
                ax.bar(at, ends.test.mean(), 0.36, color=f"C{k}", label=kind if j == 0 else None)
                ax.plot([at] * len(ends), ends.test, "k.", ms=5)
                ax.hlines(ends.train.mean(), at - 0.18, at + 0.18, color="k", ls="--", lw=1)


# %% mystnb={"figure": {"name": "fig-19-sudoku", "caption": "Left: share of unseen boards that SATNet completes without a mistake, during training, original and permuted; every run. Right: the share at the end for all three models, mean (bars) and runs (dots); the dashes are the share of training boards. Top: 4x4, two seeds. Bottom, where it is recorded: 9x9, one seed, 16 passes over 9,000 boards for SATNet and 30 for the networks; the rate falls for the last fifth."}, "image": {"alt": "4x4: curves that rise to one within about twenty steps; bars of SATNet at one on both kinds of board, of the networks near a half on the original and near zero on the permuted boards, with dashes at one for all. 9x9: curves that rise to a half in 2,700 steps and jump above 0.8 when the rate falls; bars of SATNet above 0.8 on both kinds of board, of the networks at zero, with dashes at one for the networks and a little below for SATNet."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(len(scales), 2, height=2.7, squeeze=False)
    for (left, right), (scale, table) in zip(axes, curves.items()):
        side = 9 if scale == "full scale" else n
        tests = table[table.metric == "accuracy"]
        draw_course(left, tests)
        draw_ends(right, tests)
        left.set(xlabel="training step", ylabel="unseen boards solved", ylim=(-0.03, 1.05))
        left.set(title=f"SATNet, {side}x{side}")
        right.set(xticks=range(3), xticklabels=makers, title=f"at the end, {side}x{side}", ylim=(-0.03, 1.08))
        left.legend()

# %% [markdown]
# ## An exact gradient of the wrong point
#
# A forward pass that stops after twenty sweeps is no minimum: some directions have hardly any curvature left, or a negative one. Conjugate
# gradients run for long solve the linearized equations there all the better, and return mostly these directions. Below, the gradient in $S$
# before the first step, beside the one at the fixed point (a thousand sweeps in double precision); and what unseen boards say after a few
# steps with each (ten at 4x4). Few iterations are a remedy, adding a share of the mean $\lVert g\rVert$ to every $\lVert g\rVert$ is a better one. At 9x9
# the gradients differ alike, and 150 steps, where it is recorded, are too few for any of the three.

# %%
starts, few = ch.pick(quick=2, full=1), ch.pick(quick=10, full=150, smoke=1)
backward = {"60 iterations": (60, 0.0), "20 iterations": (20, 0.0), "10 iterations, damped": (10, 0.3)}


def gradient(net):
    """Of the loss on ten boards, in S."""
    z, known = (x[:10] for x in train)
    z = z.to(net.S.dtype)
    return torch.autograd.grad(completion_loss(net(z, known), z, ~known), net.S)[0].double().flatten()


# %%
exact = SATNet(
    n**3, seed=seed, dtype=torch.float64, tol=0, **layer | {"max_iter": 1000, "cg_iter": 400, "damping": 0.0}
)
reference, rows = gradient(exact.to(ch.device)), []
for name, (cg_iter, damping) in backward.items():
    for s in range(starts):
        net = SATNet(n**3, seed=seed + s, **layer | {"cg_iter": cg_iter, "damping": damping}).to(ch.device)
        found = gradient(net) if s == 0 else None
        settings = training | {"steps": few, "digits": n, "seed": seed + s}
        history = fit_completion(net, train, **settings, evaluate_on={"test": test})
        solved = history[history.metric == "accuracy"]["value"].iloc[-1]
        row = {"backward pass": name, "boards solved": solved}
        if found is not None:
            row["norm"] = (found.norm() / reference.norm()).item()
            row["cosine"] = (found @ reference / found.norm() / reference.norm()).item()
        rows.append(row)

# %%
damped = pd.DataFrame(rows).groupby("backward pass", sort=False, as_index=False).mean()
damped_recorded = ch.table("sudoku-backward", damped.round(4))
tables = ch.scales(damped, damped_recorded)
pd.concat({scale: table.set_index("backward pass") for scale, table in tables.items()}).round(2)

# %% [markdown]
# ## The verdicts
#
# SATNet has no notion of neighbourhood: permuting the columns of $S$ and the rows of the start gives the permuted output, after every step of the parallel
# iteration (sequential sweeps visit the bits in another order then, and agree where they have converged). The networks have nothing else. On 4x4 boards, six holes among sixteen cells, that is enough to complete almost a half of them, so that "do not learn" is not what
# we see there. On 9x9 boards it is: the recorded networks know every one of their training boards and complete none of a thousand unseen ones, with the mask or
# without, in order or permuted. (The review has 15.1% with the mask.) SATNet completes 87% of the unseen boards, and 83% of the permuted ones from other weights, after 16
# passes over the training set. The review reports 98.3% without the length of training.

# %%
solver = trained["SATNet", "original", 0]
columns = torch.cat([torch.zeros(1, dtype=torch.int64, device=order.device), order + 1])
columns = torch.cat([columns, torch.arange(n**3 + 1, solver.S.shape[1], device=order.device)])
some, outputs = [x[:10] for x in test], {}
with torch.no_grad():
    for name, rows_of_s, bits in (("as it is", slice(None), slice(None)), ("permuted", columns, order)):
        net = SATNet(n**3, dtype=torch.float64, tol=0, **layer | {"method": "block", "max_iter": 100}).to(ch.device)
        net.S.copy_(solver.S[:, rows_of_s])
        net.V0.copy_(solver.V0[rows_of_s])
        net.U.copy_(solver.U[bits])
        outputs[name] = net(some[0][:, bits], some[1][:, bits])
moved = (outputs["permuted"] - outputs["as it is"][:, order]).abs().max().item()

# %%
nets, limits = ["ConvNet", "ConvNetMask"], {"quick": (0.97, 0.1), "full scale": (0.9, 0.5)}
tested = {"quick": sizes[1], "full scale": 1000}
learns, ahead, rivals, same, lost, value, drops = [], [], [], [moved < 1e-4], [], {}, {}
for scale, table in shown.items():
    enough, margin = limits[scale]
    own, unseen = table["train"]["original"], table["test"].unstack(0)
    rivals.append(unseen.original[nets].max())
    learns.append(unseen.original.SATNet >= enough)
    # To be ahead of networks that do not know their own boards would be no feat.
    ahead.append(own[nets].min() > 0.9 and unseen.original.SATNet - rivals[-1] >= margin)
    drop = unseen.original - unseen.permuted
    shares = unseen.loc["SATNet"]
    error = ((shares * (1 - shares)).sum() / tested[scale]) ** 0.5  # of their difference, from so many boards
    same.append(shares.min() > 0.5 and abs(drop.SATNet) <= 0.02 + 2 * error)  # nothing learned is the same as well
    lost += [drop[name] for name in nets if unseen.original[name] >= 0.2]  # what completes nothing loses nothing
    value |= {f"{name}, {scale}": x for name, x in unseen.original.items()}
    drops |= {f"{name}, {scale}": x for name, x in drop.items()}

# %% tags=["nbval-check-output"]
ch.claim(
    "sudoku-original",
    value=value,
    holds=all(ahead) and (bool(all(learns) and max(rivals) <= 0.2) or "partly"),
)
ch.claim(
    "sudoku-permuted",
    value={"drop": drops, "equivariance": moved},
    holds=bool(all(same)) and (bool(min(lost) >= 0.2) if lost else "partly"),
)

# %% [markdown]
# ## Against a solver that knows the rules
#
# The review says that SATNet outruns most discrete solvers. The trained layer takes the whole test set as one batch; plain backtracking on
# the cell with the fewest candidates, in Python, takes the same puzzles one by one, and is never wrong.

# %%
given = test[1].view(len(test[1]), n * n, n)[..., 0].view(-1, n, n).cpu()
truth = test[0].view(-1, n, n, n).argmax(-1).cpu()
puzzles = torch.where(given, truth, -1)[:100]
# A solver that is fast and wrong would settle nothing.
solved = all((p < 0).any() and torch.equal(solve_sudoku(p)[0], t) for p, t in zip(puzzles, truth))
seconds = ch.race(
    {
        "backtracking": lambda: [solve_sudoku(p) for p in puzzles],
        "SATNet": lambda: solver(test[0][:100], test[1][:100]).detach().cpu(),
    }
)

# %% tags=["nbval-check-output"]
if solved:
    ch.claim(
        "satnet-runtime",
        value={"seconds, SATNet over backtracking": seconds["SATNet"] / seconds["backtracking"]},
        holds=seconds["SATNet"] < seconds["backtracking"],
    )
else:
    ch.not_run("satnet-runtime", "backtracking does not solve the puzzles")

# %% [markdown]
# ## Reading the rules
#
# $S^\top S$ couples bits. If the layer has learned Sudoku, bits that exclude each other (the same digit twice in a row, column or box; two digits
# in one cell) should repel, that is have a positive entry, and all other pairs less so. The area under the ROC curve says how
# well the entry tells the pairs apart; the auxiliary variables carry the rest of the rules. After thirty steps on 4x4
# boards it does so in part.

# %%
cell, digit = torch.arange(n**3) // n, torch.arange(n**3) % n
row, column = cell // n, cell % n
block = row // box * box + column // box
same = {name: x[:, None] == x for name, x in (("cell", cell), ("row", row), ("column", column), ("box", block))}
alike = digit[:, None] == digit
exclude = torch.where(alike, (same["row"] | same["column"] | same["box"]) & ~same["cell"], same["cell"])
learned = (solver.S.mT @ solver.S).detach().cpu()[1 : n**3 + 1, 1 : n**3 + 1]
upper = torch.ones(n**3, n**3).triu(1).bool()
ranks = learned[upper].argsort().argsort().double() + 1
positive = exclude[upper]
count = positive.sum().item()
auc = ((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(ranks) - count))).item()
print(f"area under the ROC curve: {auc:.2f} (chance: 0.50)")

# %% mystnb={"figure": {"name": "fig-19-rules", "caption": "Left: the learned couplings between bits, digit by digit (sixteen cells each). Right: which pairs exclude each other by the rules of 4x4 Sudoku. The blocks within a digit show on the left; the diagonals, two digits in one cell, do not."}, "image": {"alt": "Two square maps of 64 by 64 bits. The right one shows blocks along the diagonal and lines parallel to it; in the left one noisy blocks of positive couplings lie along the diagonal, and the lines cannot be seen."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, 2, height=3.2)
    by_digit = torch.argsort(digit * n * n + cell)
    scale = learned[upper].abs().quantile(0.98).item() if n == 4 else 1.0
    shown = learned - torch.diag(learned.diagonal())
    for ax, matrix, title in zip(axes, (shown / scale, exclude.float()), ("learned couplings", "true exclusions")):
        image = ax.imshow(matrix[by_digit][:, by_digit], cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        ax.set(xlabel="bit, by digit and cell", ylabel="bit, by digit and cell", title=title)
        ax.grid(False)
    fig.colorbar(image, ax=axes, label="coupling (scaled)", shrink=0.8)

# %% [markdown]
# ## Takeaway
#
# The layer learns to complete every unseen 4x4 board within thirty steps, and six of seven 9x9 boards in sixteen passes, whatever the order of the bits. The networks
# learn boards: of the unseen ones they complete almost a half at 4x4 and none at 9x9, and hardly any once the bits are permuted. The layer's couplings show
# part of the rules at 4x4: that a digit excludes itself from a row, column or box is visible, that two digits exclude each other from a cell is not.
# What it does not do is outrun a solver: it is a way to learn constraints, not a way to solve them.
