# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Discrete solvers as layers
#
# *B. Kim, Exploring the effects of discrete optimizers as layers of continuous methods* {cite}`kim2021exploring`
#
# A network that contains a combinatorial problem has no gradient there: a small change of the input changes nothing, or everything. The
# review looks at two ways out, both by relaxation: MAXSAT becomes a semidefinite program (SATNet {cite}`wang2019satnet`), the assignment
# of masks to objects a linear one (DMM-Net {cite}`zeng2019dmm`). This chapter builds both layers, checks their mathematics against exact
# solvers, and runs their experiments at a size that fits two CPU cores.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("19-discrete-layers", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# **MAXSAT.** Give every variable a unit vector and a fixed one to "true"; a clause is a row of $S$. The relaxation
#
# $$
# \min_{\lVert v_i\rVert = 1} \ \lVert S V\rVert_F^2
# $$
#
# is solved one vector at a time {cite}`wang2017mixing`, and a random hyperplane rounds it {cite}`goemans1995improved`. As a layer, some
# vectors are inputs, $S$ is learned, and the derivative is that of the fixed point:
#
# ```{prf:theorem} The gradient of the fixed point
# :label: thm-19-gradient
# :nonumber:
# Let $C$ be $S^\top S$ without its diagonal, $g = C V$, and $\lVert g_o\rVert v_o + g_o = 0$ for every free $o$. With
# $P_o = I - v_o v_o^\top$ and $U$ the solution of
# $P_o(\lVert g_o\rVert u_o + \sum_j C_{oj} u_j) = -P_o\, \partial\ell/\partial v_o$ with $u_o\perp v_o$ on the free
# rows, zero on the others, $\partial\ell/\partial S = S(M + M^\top)$ with $M = U V^\top$.
# ```
#
# **Matching.** Assign $n$ templates to $m \ge n$ proposals at least cost, over the polytope of matrices with unit rows, column sums at
# most one and no negative entry. Projected gradients with Dykstra's projections {cite}`dykstra1983algorithm` are a finite, differentiable
# computation: unroll it.
#
# ```python
# from litrepro.layers import SATNet, matching
#
# layer = SATNet(64, 100, aux=50, method="mixing", max_iter=20)
# completed = layer(z, known)                        # (..., 64) in [0, 1], known bits handed through
# X = matching(costs, step=0.5, average=False)       # (..., n, m), differentiable in the costs
# ```

# %% tags=["hide-input"]
parts = [
    ("mixing, block", "the relaxation of MAXSAT, a batch of instances", "maxsat_sdp"),
    ("SATNet", "learned clauses, implicit gradient", "SATNet"),
    ("Sudoku", "grids, puzzles with one solution, solver", "sudoku_grids, sudoku_puzzles, solve_sudoku"),
    ("baselines", "convolutional, with and without mask", "ConvNetSudoku"),
    ("composed", "chained along a string; behind a classifier", "ParityChain, VisualSudoku"),
    ("relaxed matching", "projected gradients, Dykstra", "matching, project_matching"),
    (
        "exact matching",
        "its interpolated gradient, prices that prove it",
        "hungarian, blackbox_matching, assignment_prices",
    ),
    ("other relaxations", "quadratic term, entropy", "implicit_matching, sinkhorn_matching"),
    ("masks", "overlap, contours, tracking", "mask_iou, boundary_f, track"),
]
pd.DataFrame(parts, columns=["part", "what", "in the library"]).set_index("part")

# %% [markdown]
# ## What is checked, and where
#
# - {doc}`maxsat`: optimality, rounding, queens, the gradient of the fixed point.
# - {doc}`sudoku`: the table of Sudoku, original and permuted; how exact a backward pass should be; run time; the learned rules.
# - {doc}`visual-sudoku`: parity of strings, Sudoku from images, with and without label leakage.
# - {doc}`matching`: relaxed against exact matching, tracking in synthetic videos, four gradients, the published tables.
#
# YouTube-VOS, DAVIS and SegTrack, Mask R-CNN and the recurrent refinement are replaced by synthetic videos with noisy
# proposals. Gradients of discrete solvers by other routes are those of {cite:t}`vlastelica2020differentiation` and
# {cite:t}`amos2017optnet`.
#
# ## Errata
#
# Three can be told by a number and are claims in the ledger: a clause is an OR and counts once; the guaranteed ratio,
# 0.878, is for clauses of two literals; and refinement multiplies proposals by the assignment, not by the cost. That
# the average which algorithm 1 returns is worse than its last iterate is a remark of ours, no erratum.
#
# The rest is editorial. The sign $s_{ij}$ runs over clauses and variables, and $1/\sqrt{4|s_j|}$ contains the length of a clause; the rounding
# probability is that of $v_i^\top v_T$. A guaranteed ratio is not an optimal one, and a learned $S$ carries none. Assignment costs
# $O(n^2 m)$, not $O(m^3)$. Exact matchings are not what the relaxation gives up: its vertices *are* the matchings. Bipartite
# matching is not bipartition. $\mathcal G$ is the mean of $\mathcal J$ and $\mathcal F$, and $\mathcal F$ is an F-measure of contours, not
# an overlap. A MAXSAT solver does not "run until exhaustion". Algorithm 1 leaves its three projections undefined.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# Both layers do what they were built for: one learns constraints that the convolutional networks beside it learn in
# part at 4x4 and not at all at 9x9, the other trains features through a matching. The reasons that the review gives are
# weaker. Neither is faster than a plain discrete solver on a CPU, the relaxation of matching is exact rather than
# approximate, and what makes visual Sudoku work, at 4x4 and in a short recorded run at 9x9, is supervision in disguise.
# What a relaxed solver buys is a gradient.
