# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Implicit acceleration by overparameterization
#
# *F. Liu, Y. Jin, D. Zhang and T. Luo, reproduction of "On the optimization of deep networks", 2019*
# {cite}`liu2019reproducing`
#
# Conventional wisdom has it that depth buys expressiveness and pays for it in optimization. {cite:t}`arora2018optimization`
# separate the two by looking at *linear* networks: a product of matrices expresses what a matrix does, so whatever
# depth changes is optimization. Their answer is that it can help. The review, a set of slides with code, re-derives the
# argument and repeats four experiments.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("06-implicit-acceleration", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The argument
#
# Let $W_e = W_N W_{N-1} \cdots W_1$. Gradient descent with weight decay on the factors, in the limit of small
# steps, keeps $W_{j+1}^\top W_{j+1} = W_j W_j^\top$ if it holds at the start, and then
#
# $$
# W_e \leftarrow (1-\eta\lambda N)\, W_e
# - \eta \sum_{j=1}^N \big[W_e W_e^\top\big]^{\frac{j-1}{N}} \nabla L(W_e) \big[W_e^\top W_e\big]^{\frac{N-j}{N}} .
# $$
#
# ```{prf:theorem} One output
# :label: thm-06-single
# :nonumber:
# For $k = 1$ the direction is
# $\lVert W_e\rVert^{2-\frac2N}\big(\nabla L(W_e) + (N-1)\,\mathrm{Pr}_{W_e}\nabla L(W_e)\big)$.
# ```
#
# An adaptive step size, small near zero and growing with the distance travelled, and an amplification along the
# path travelled: the second looks like momentum, both cost next to nothing, and neither depends on the hidden width. For
# $N > 2$ and a loss whose gradient at 0 is not zero, the direction is not the gradient of any function, so no regularizer
# imitates it.
#
# In the library every trial, step size and seed is an entry of one batch:
#
# ```python
# from litrepro.linearnets import balanced_factors, emulate, power_loss_grad, train_factors
#
# grad = lambda w: power_loss_grad(w, x, y, 4)              # w: (..., k, d)
# path, _ = train_factors(grad, balanced_factors(w0, 3), lr=lr, steps=3000)
# rule = emulate(grad, w0, depth=3, lr=lr, steps=3000)       # the same curve, without factors
# ```

# %% tags=["hide-input"]
methods = [
    ("linear network, depth N", "descent on every factor", "train_factors"),
    ("end-to-end rule", "the product alone, preconditioned", "emulate, induced_direction, preconditioner"),
    ("line integral", "zero for gradients", "circulation"),
    ("AdaGrad, AdaDelta, Adam", "coordinates rescaled by past gradients", 'train_factors(rule="adam")'),
    ("factored dense layers", "a product inside a non-linear network", "nets.FactoredLinear, nets.mnist_convnet"),
]
pd.DataFrame(methods, columns=["method", "what it does", "in the library"]).set_index("method")

# %% [markdown]
# The rivals are AdaGrad {cite}`duchi2011adaptive`, AdaDelta {cite}`zeiler2012adadelta` and Adam {cite}`kingma2014adam`;
# the regression predicts the concentration of ethanol from an array of gas sensors
# {cite}`vergara2012chemical,rodriguez2014calibration`.
#
# ## What is checked, and where
#
# - {doc}`theory`: the rule, the preconditioner, the line integral, four misprints.
# - {doc}`emulate-and-train`: does the rule predict training, and is width irrelevant? (experiment 1)
# - {doc}`depth-against-loss`: $l_2$ and $l_4$ regression, everything tuned; the listing as printed; and a map of
#   where acceleration starts. (experiment 2)
# - {doc}`against-adaptive`: AdaGrad, AdaDelta, Adam. (experiment 3)
# - {doc}`convnet`: factored dense layers, with a control. (experiment 4)
#
# ## Errata
#
# Six can be told apart by a number and are claims in the ledger. The preconditioner's slide lost the exponents'
# denominator and prints a Hadamard sign for a Kronecker product; the vectorized rule lost a vec, twice; the eigenvalues
# carry $2(j-2)/N$ for $2(j-1)/N$; step 4 of the walk-through multiplies where the function adds; the listing of experiment
# 2, as printed, updates the first factor only every 5,000 iterations (perhaps only a lost indentation); and the field
# of a linear loss *is* a gradient at $N = 2$, that of $\tfrac12\lVert W\rVert^2$ at every depth.
#
# The rest is editorial. $W_e$ is called a $k\times d$ vector and is a matrix. The best model is chosen by its loss
# in the last epoch, on training data: that is fair for claims about optimization and for nothing else. Adam runs at 0.0005
# where the paper has 0.001, as the slides say themselves. And the public file of the gas sensors that is used here holds
# 1,316 of the 2,565 ethanol rows.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The theory stands, with two conditions that one slide forgot. What does not survive is the fine print: a small
# random start is not a balanced one, width matters from there, and step sizes tuned on one problem do not rank methods on
# another. Depth does speed up $l_4$ regression and slow $l_2$ regression down, though on the gas sensors the gain with $l_4$
# comes late in training; by how much is a matter of the data and of tuning.
