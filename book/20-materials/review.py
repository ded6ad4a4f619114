# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Machine learning for materials
#
# *A. Hitt, Applied machine learning for materials science* {cite}`hitt2020applied`
#
# The review tells four stories of machine learning used on a definite problem of materials science: clustering that cleans a
# tomogram, regression that finds superhard compounds, a generative network that replaces a grain-growth simulation, and text
# classification that reads synthesis procedures. It has no formulas and no tables. What can be checked are its sentences, and that is
# what this chapter does: each becomes a measurement on public or simulated data, with baselines that are tuned as carefully as the
# method that is praised.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% tags=["hide-input"]
import pandas as pd

from litrepro import Chapter

ch = Chapter("20-materials", notebook="review", profile=profile, seed=seed)

# %% [markdown]
# ## The four stories
#
# **A tomogram without noise** ({doc}`tomography`). Neutrons are expensive and tomograms made of few of them noisy. DBSCAN
# {cite}`ester1996density` keeps voxels in dense company; {cite:t}`hui2018volumetric` let the company that a voxel needs depend on its
# intensity.
#
# **Superhard compounds** ({doc}`moduli`). {cite:t}`tehrani2018machine` predict bulk and shear modulus by support vector
# regression and make the two compounds at the top of their list. The argument from moduli to
# hardness is carried here by one formula, Chen's {cite}`chen2011modeling`, which is not in the review.
#
# $$
# H_V = 2\,\Big(\big(G/K\big)^2\, G\Big)^{0.585} - 3 \quad\text{GPa}
# $$
#
# **Growing grains** ({doc}`grain-growth`, {doc}`surrogate`). Boundaries move by their curvature, large grains eat small ones, and
# strength falls as $d^{-1/2}$ {cite}`hall1951deformation,petch1953cleavage`. A generative adversarial network is to stand in for the
# simulation.
#
# **Reading recipes** ({doc}`synthesis-text`). {cite:t}`kim2017materials` pick the paragraphs on synthesis out of 12,000 articles and
# learn from them how oxides are made.
#
# ## What stands in for what

# %% tags=["hide-input"]
pd.DataFrame(
    [
        ("neutron tomograms", "a phantom, our projector, counting noise", "the truth is known"),
        ("Materials Project and Pearson descriptors", "110 statistics of the formula", "no structure is used"),
        ("their training moduli", "elastic tensors 2015, Matbench, AFLOW", "public"),
        ("synthesis and indentation of two compounds", "1,062 published hardness values", "no new synthesis"),
        ("COMSOL", "Potts model and threshold dynamics", "each checked against its own laws"),
        ("12,000 articles", "SOFC-Exp sentences, Huo's paragraphs", "labelled, clean text"),
    ],
    columns=["in the review", "here", "remark"],
).set_index("in the review")

# %% [markdown]
# Origins and licences of the tables and texts stand at the head of {doc}`moduli` and {doc}`synthesis-text`. Without them the
# claims made from them read "not run"; everything else needs no data.
#
# Not tested: density functional theory itself, Mohs' scale, creep, the conversion of PDF files and dependency parsing. They are background
# in the review as well.
#
# In the library each story is a handful of functions on batches:
#
# ```python
# from litrepro.materials import (
#     phantom, reconstruct, dbscan, intensity_min_samples,      # tomography
#     composition_features, vickers_chen,                       # compositions
#     voronoi_labels, potts_growth, threshold_growth,           # grains
#     GrainUNet, train_surrogate, boundary_f1,                  # the surrogate
# )
#
# volume = phantom(64, 24, seed=0)
# noisy = reconstruct(volume, 24, dose=200.0)                    # 24 projections
# grains = potts_growth(voronoi_labels(96, 1000, 8), 120)        # eight at once
# ```
#
# ## Errata
#
# What a number can decide is in the ledger: a kernel of size $k$ on a volume costs $k^3$ and not $k^2$ operations per voxel; the neighbour
# threshold must fall with intensity, which the text leaves out; a model's fit to its training set is no test. The rest
# is editorial. A regression with support vectors is support vector *regression*, not a machine that classifies. A
# network that maps an image to an image does not scale it to or from a single value, and a conditional generator starts
# from an image, not from noise. Zinc and cadmium sulfide are not oxides. The Hall-Petch relation turns round below 10
# to 20 nanometres. The data base of the Wolverton group is the OQMD.
#
# ## The ledger

# %% tags=["hide-input"]
ch.ledger()

# %% [markdown]
# ## Takeaway
#
# The four methods work, and mostly for simpler reasons than the stories suggest. Clustering denoises, about as well as a median filter. A
# formula predicts bulk moduli within 20% and shear moduli half of the time, which is enough to rank candidates and not enough to
# trust one. A network imitates grain growth to within a pixel, against simulators that are much faster than the one it was meant to
# replace. And synthesis paragraphs give themselves away by a few words, to any linear classifier.
