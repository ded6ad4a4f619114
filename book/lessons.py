# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What reproduces, and what does not
#
# The lesson of the book in figures, computed from the executed notebooks. Two judgements are ours and no
# notebook's: why a claim failed, and what sort of mistake an erratum is. They are written down claim by claim in
# `book/lessons.yml`. Claims that wait for a full-scale run are left out.

# %% tags=["parameters", "remove-cell"]
profile = "quick"
seed = 0

# %% tags=["remove-cell"]
from litrepro import plotting
from litrepro.build import lessons

plotting.theme()
claims = lessons.table()
plain = claims[claims.kind != "erratum"]
failed = plain[plain.verdict.isin(["partly", "not reproduced"])]

# %% [markdown]
# ## What is proved holds, what is measured often does not
#
# Sorted by how a review supports a claim. Theorems and formulas hold, once their misprints are corrected. Of what was
# read off a figure or said in passing about two thirds hold, of the few tables that were run again about a third. Where such claims
# fail, they fail in the same few ways.

# %% mystnb={"figure": {"name": "fig-lessons-evidence", "caption": "Share of verdicts by the evidence that a review gives, among judged claims; the numbers at the right count them."}, "image": {"alt": "Stacked horizontal bars. Proofs and formulas are reproduced almost always, sentences and figures in about two cases of three, tables of numbers in about one of three."}} tags=["remove-input"]
fig, ax = plotting.figure(height=2.6)
lessons.bars(lessons.shares(plain, "evidence").loc[list(lessons.EVIDENCE.values())], ax, "share of claims")

# %% mystnb={"figure": {"name": "fig-lessons-area", "caption": "The same by area."}, "image": {"alt": "Stacked horizontal bars of verdicts for optimization, networks, structure and kernels, robustness and data, and applications; applications have the smallest share of reproduced claims."}} tags=["remove-input"]
fig, ax = plotting.figure(height=2.8)
areas = lessons.shares(plain, "area")
lessons.bars(areas.loc[[name for name in lessons.AREAS if name in areas.index]], ax, "share of claims")

# %% [markdown]
# ## Why claims fail
#
# Most failures are not false statements. The most frequent kind is true and its condition was left out: a step size, a sample size,
# a start, a norm, a regime. Next come statements that are true in direction and said more strongly than they hold; then those that
# hold in a setting we could not test, and comparisons in which one side was tuned and the other was not. Few are plainly wrong.

# %% mystnb={"figure": {"name": "fig-lessons-causes", "caption": "Claims that were reproduced in part or not at all, by cause."}, "image": {"alt": "Horizontal bars: a condition left out is the most frequent cause, followed by overstatement, other settings and untuned baselines; plainly wrong statements, undertraining and one seed are few, misprints rare."}} tags=["remove-input"]
import pandas as pd

from litrepro.build import scoreboard

pd.set_option("display.max_colwidth", None)
counts = pd.crosstab(failed["cause"], failed["verdict"]).reindex(columns=["partly", "not reproduced"], fill_value=0)
counts = counts.loc[counts.sum(axis=1).sort_values().index]
fig, ax = plotting.figure(height=3)
counts.plot.barh(stacked=True, ax=ax, color=[scoreboard.COLOURS[name] for name in counts.columns], width=0.7)
ax.set(xlabel="number of claims", ylabel="")
_ = ax.legend(title="")

# %% tags=["remove-input"]
pd.Series(lessons.CAUSES, name="meaning").rename_axis("cause").to_frame()

# %% [markdown]
# ## What is misprinted
#
# The errata are the other half of the lesson. A printed formula that nobody ran is wrong surprisingly often, and
# most often in a constant or an exponent, then in an index or a missing condition. Signs and steps of procedures are rarer and cost
# more: they stop or reverse an algorithm that takes the page at its word.

# %% mystnb={"figure": {"name": "fig-lessons-errata", "caption": "Errata by sort and area."}, "image": {"alt": "Stacked horizontal bars: factors and exponents lead, then indices and conditions, then signs; algorithms and numbers are few."}} tags=["remove-input"]
errata = claims[claims.kind == "erratum"]
table = pd.crosstab(errata["sort"], errata["area"])
table = table.loc[table.sum(axis=1).sort_values().index, [name for name in lessons.AREAS if name in table]]
fig, ax = plotting.figure(height=3)
table.plot.barh(stacked=True, ax=ax, color=list(plotting.PALETTE[: len(table.columns)]), width=0.7)
ax.set(xlabel="number of errata", ylabel="", xlim=(0, 1.05 * table.sum(axis=1).max()))
_ = ax.legend(title="", fontsize=8)

# %% tags=["remove-input"]
pd.Series(lessons.SORTS, name="meaning").rename_axis("sort").to_frame()

# %% [markdown]
# ## What to take away
#
# - **Run the formula.** A test with ten lines finds the missing inverse, the wrong sign, the frozen optimizer.
# - **Tune both sides.** A ranking at one step size is a statement about that step size.
# - **Pair the seeds.** Differences that one run shows are often within the spread of ten; paired runs show differences that ten
#   unpaired ones hide.
# - **State the condition.** Where it holds is part of the claim: the sample size, the norm, the start, the condition number.
# - **Train until it is settled.** An order seen early need not be the order at the end.
#
# ## Every claim that did not simply hold

# %% tags=["remove-input", "nbval-check-output"]
scoreboard.table(failed)
