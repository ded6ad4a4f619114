# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From strings and images: parity and visual Sudoku
#
# Two experiments put the layer inside a larger network. A chain of one SATNet cell reads a string bit by bit and is told only the parity
# of the whole string. And a digit classifier hands its probabilities to the layer as the known bits of a Sudoku: are both learned from
# completed boards alone? {cite:t}`chang2020assessing` showed that in the original experiment they are not: the layer hands given cells
# through, the loss counts them, and so every given digit is labelled. We run it with these labels and without. The 4x4 runs here are
# small; the review's 9x9 is recorded.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import mnist
from litrepro.layers import (
    ConvNetSudoku,
    ParityChain,
    SATNet,
    VisualSudoku,
    fit_visual,
    sudoku_grids,
    sudoku_puzzles,
    visual_accuracy,
    visual_boards,
)
from litrepro.nets import lenet
from litrepro.training import step_decay, train_in_turn

ch = Chapter("19-discrete-layers", notebook="visual-sudoku", profile=profile, seed=seed, full_minutes=8)

# %% [markdown]
# ## Parity
#
# The cell maps (state, bit) to the next state. Random strings, the loss on the parity of the whole string only. The shortest string has
# two bits, and its parity is an exclusive or; a longer one asks the cell to find a state that nobody names. A cell
# that has learned the rule continues for ever, so we judge on strings of twenty bits, far longer than any in training.

# %%
lengths, starts = ch.pick(quick=[2, 4], full=[2, 4, 8, 20], smoke=[2]), ch.pick(quick=3, full=5, smoke=1)
steps, every = ch.pick(quick=100, full=1000, smoke=4), ch.pick(quick=25, full=50, smoke=2)
longer = torch.randint(0, 2, (200, 20), generator=ch.generator(1)).float().to(ch.device)
history = []
for length, s in [(length, s) for length in lengths for s in range(starts)]:
    chain = ParityChain(8, 8, method="mixing", max_iter=100, cg_iter=30, seed=seed + s).to(ch.device)
    optimizer = torch.optim.Adam(chain.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    g = ch.generator(10 + s)
    for step in range(1, steps + 1):
        strings = torch.randint(0, 2, (100, length), generator=g).float().to(ch.device)
        output = chain(strings).clamp(1e-6, 1 - 1e-6)
        loss = torch.nn.functional.binary_cross_entropy(output, strings.sum(1) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % every == 0:
            with torch.no_grad():
                right = ((chain(longer) > 0.5) == (longer.sum(1) % 2 > 0.5)).double().mean().item()
            history.append({"length": length, "start": s, "step": step, "accuracy": right})
parity_table = pd.DataFrame(history)
ch.save("parity", parity_table.round(4))

# %% mystnb={"figure": {"name": "fig-19-parity", "caption": "Parity of strings of twenty bits by a cell that was trained on shorter ones (one panel per length) and told only the parity of the whole string; three starts each. Chance is one half."}, "image": {"alt": "Two panels of three curves over 100 training steps. In either panel two curves stay at one; of the third, after training on two bits, the first half is at one and the second at a half; after training on four bits it stays near one half."}} tags=["hide-input"]
if ch.plots:
    from litrepro.plotting import figure

    fig, axes = figure(1, len(lengths), height=2.6, sharey=True, squeeze=False)
    for ax, (length, part) in zip(axes[0], parity_table.groupby("length")):
        for s, run in part.groupby("start"):
            ax.plot(run.step, run.accuracy, "o-", ms=4, label=f"start {s}")
        ax.axhline(0.5, color="0.5", ls="--", label="chance")
        ax.set(xlabel="training step", title=f"trained on {length} bits", ylim=(-0.05, 1.05))
    axes[0, 0].set_ylabel("accuracy, 20 bits")
    axes[0, 0].legend()

# %% [markdown]
# Trained on two bits most starts find a cell that chained nineteen times is right on all strings of twenty bits: the
# relaxation returns values close to zero and one, so that errors need not add up. The way there is rough: a start may
# lose the rule again and find it once more, or fall back to chance, and differences as small as rounding decide which
# start does. With four bits the gradient passes through three cells whose states mean nothing yet: some starts never
# leave chance, and in other runs, of 150 steps, none ended above it. What is hard is finding the state, and holding it
# while training goes on; along a string the rule keeps.
#
# ## Sudoku from images
#
# The ceiling that the paper names is the accuracy of the classifier to the power of the number of givens: a board is lost with its first
# misread digit.

# %%
box = ch.pick(quick=2, full=3)
n = box * box
source = "full" if ch.full and not ch.smoke else "bundled"
sets = {split: mnist(split, source=source) for split in ("train", "test")}
holes, sizes = ch.pick(quick=6, full=36), ch.pick(quick=(200, 88), full=(9000, 1000))
grids = sudoku_grids(box, sum(sizes), seed=seed)
boards, images = {}, {}
for split, part in (("train", grids[: sizes[0]].repeat(2 if box == 2 else 1, 1, 1)), ("test", grids[sizes[0] :])):
    z, known = (x.to(ch.device) for x in sudoku_puzzles(part, holes, seed=seed + 1))
    images[split] = sets[split].images.to(ch.device)
    boards[split] = visual_boards(z, n, sets[split].labels.to(ch.device), seed=seed + 2), z, known

sweeps = ch.pick(quick={"mixing": 20, "block": 100}, full={"mixing": 20, "block": 100})
method = "mixing" if ch.device.type == "cpu" else "block"
layer = ch.pick(quick={"m": 100, "aux": 50}, full={"m": 600, "aux": 300}) | {
    "method": method,
    "max_iter": sweeps[method],
}
layer |= {"k": 32} | ch.pick(quick={"cg_iter": 10, "damping": 0.3}, full={"cg_iter": 10, "damping": 0.3})
training = ch.pick(quick={"batch_size": 40, "lr": 2e-2}, full={"batch_size": 40, "lr": 3e-3})
steps = ch.pick(quick=[40, 40, 20], full=[2750, 1000, 250], smoke=[2, 2, 2])
width = ch.pick(quick=32, full=256)
arms = {
    "SATNet, givens labelled": (True, lambda: SATNet(n**3, seed=seed, **layer)),
    "ConvNetMask, givens labelled": (True, lambda: ConvNetSudoku(n, True, width, 4, seed=seed)),
    "SATNet, givens not labelled": (False, lambda: SATNet(n**3, seed=seed, **layer)),
}


# %%
def train_arm(run):
    """What an arm reaches on unseen boards and images, and on a tenth of its own, or None if time ran out before its end."""
    name, steps = run
    labelled, make = arms[name]
    model = VisualSudoku(lenet(n, seed=seed), make()).to(ch.device)
    settings = training | ({} if name.startswith("SATNet") else {"lr": 2e-3}) | {"classifier_lr": 2e-3, "seed": seed}
    checkpoint = ch.scratch(f"{name}.pt") if ch.full else None
    losses = fit_visual(
        model, images["train"], boards["train"], steps=steps, label_givens=labelled, checkpoint=checkpoint,
        schedule=step_decay({0.8: 0.1}), callback=lambda *_: ch.out_of_time(), **settings,
    )  # fmt: skip
    if len(losses) < steps:
        return None
    own = tuple(part[: max(1, len(part) // 10)] for part in boards["train"])
    fitted = visual_accuracy(model, images["train"], own, n)["boards"]
    return (
        {"arm": name, "steps": steps} | visual_accuracy(model, images["test"], boards["test"], n) | {"training": fitted}
    )


rows, finished = train_in_turn(list(zip(arms, steps)), train_arm, stop=ch.out_of_time)
if not finished:
    ch.pause()
visual = pd.DataFrame(rows)
visual["ceiling"] = visual.digits ** (n * n - holes)
visual_recorded = ch.table("visual-sudoku", visual.round(4))
scales = ch.scales(visual, visual_recorded)
pd.concat({title: table.set_index("arm") for title, table in scales.items()}).round(2)

# %% [markdown]
# Read from left to right: training steps, unseen boards completed, given digits read rightly, boards whose givens are all right, boards of the
# training set completed, and the ceiling, the accuracy of digits to the number of givens. The recorded run on 9x9 boards took 51 minutes of one CPU
# core, twelve passes over 9,000 boards. SATNet completes 62.2% of the unseen boards, where the review has
# 63.2%, and nine of ten of those whose givens it reads. Our boards have 45 givens, those of the original 36.2 on
# average. The network with a mask reads as well and completes none, not even of its training boards: it is a plain one
# and had 1,000 steps, so that to be ahead of it settles the comparison only in part. A normalized network learns its
# boards by heart, but completes no other even where it is told the digits ({doc}`sudoku`). Without the labels of given
# cells the classifier learns next to nothing from completed boards, and the boards collapse with it: after 250 steps
# digits are read at chance, where the labelled arm, after 2,750, reads 99%.

# %% mystnb={"figure": {"name": "fig-19-visual", "caption": "Visual Sudoku, unseen grids and images: digits read rightly, and boards completed, with and without the labels of given cells; 4x4 after a short training, and the recorded 9x9. Dashes: the ceiling."}, "image": {"alt": "Two panels of grouped bars for three arms. 4x4: with labels 93 of 100 digits are read, and SATNet completes half of the boards, as many as the ceiling allows, ConvNetMask none. 9x9: with labels 99 of 100 digits are read, SATNet completes 62% of the boards, close below the ceiling of 69%, ConvNetMask none. Without labels digits are read at chance and no board is completed, in both panels."}} tags=["hide-input"]
if ch.plots:
    fig, axes = figure(1, len(scales), height=2.8, sharey=True, squeeze=False)
    for ax, (title, table) in zip(axes[0], scales.items()):
        for k, name in enumerate(("digits", "boards")):
            ax.bar([i + 0.38 * (k - 0.5) for i in range(len(table))], table[name], 0.36, label=name)
        for i, ceiling in enumerate(table.ceiling):
            ax.plot([i, i + 0.38], [ceiling, ceiling], "k--", lw=1)
        side = 9 if title == "full scale" else n
        ax.set(xticks=range(len(table)), ylim=(0, 1.05), title=f"{title}, {side}x{side}")
        ax.set_xticklabels([name.replace(", ", ",\n").replace("not ", "not\n") for name in table.arm], fontsize=8)
    axes[0, 0].set_ylabel("share right")
    axes[0, 0].legend()

# %%
if visual_recorded is not None:
    full = visual_recorded.set_index("arm")
    best, other = full.loc["SATNet, givens labelled"], full.loc["ConvNetMask, givens labelled"]
    # A network in front of which no digit is read would be no rival, nor would a ceiling that counts no mistake be one.
    ch.require(
        other.digits > 0.95 and best.ceiling < 0.9, f"both must read digits, not perfectly: {full.digits.to_dict()}"
    )

# %% tags=["nbval-check-output"]
if visual_recorded is None:
    ch.not_run("sudoku-visual", "no run on 9x9 boards is recorded")
else:
    value = {"SATNet": best.boards, "ConvNetMask": other.boards, "ceiling": best.ceiling}
    ahead = best.boards <= best.ceiling + 0.02 and best.boards - other.boards >= 0.3
    ch.claim(
        "sudoku-visual",
        value=value | {"ConvNetMask, its training boards": other.training},
        # To be ahead of a network that does not know its own boards is no feat.
        holds=ahead and (other.training > 0.9 or "partly"),
        table="visual-sudoku",
    )
# The power counts boards only if misread digits are independent: on the two arms that read it is compared with a count.
reading = visual[visual.digits > 0.8]
error = (reading.ceiling * (1 - reading.ceiling) / sizes[1]) ** 0.5
counted = (reading.readable - reading.ceiling).abs() < 3 * error
ch.claim(
    "ceiling-74-7",
    value={"0.992^36.2": 0.992**36.2, "counted": visual.readable.tolist(), "power": visual.ceiling.tolist()},
    holds=bool(abs(0.992**36.2 - 0.747) < 0.005 and len(reading) == 2 and counted.all()),
)
ch.paper("parity")

# %% [markdown]
# ## Takeaway
#
# The layer composes: a chain of cells learns parity from strings of two bits, if not from every start, and carries it
# to twenty, where four bits are learned in some runs only, and gradients reach a classifier in front of it. But what made visual
# Sudoku work was labels in disguise. Take the loss off the given cells and nothing is grounded: the classifier may call
# digits what it likes as long as the layer agrees, and it does not get that far.
