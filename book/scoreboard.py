# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Scoreboard
#
# Every claim of the book with its verdict. This page reads the executed notebooks and nothing else: a verdict changes
# here only when a cell computed it. Follow a claim to the cell that judges it.

# %% tags=["parameters", "remove-cell"]
profile = "quick"
seed = 0

# %% tags=["remove-input"]
from litrepro.build import scoreboard

claims = scoreboard.load()
scoreboard.counts(claims, "kind")

# %% mystnb={"figure": {"name": "fig-scoreboard", "caption": "Verdicts by kind of claim, over all chapters."}, "image": {"alt": "Stacked horizontal bars: number of claims reproduced, partly reproduced, not reproduced and not run, for theorems, figures, tables, statements and errata."}} tags=["remove-input"]
from litrepro import plotting

plotting.theme()
table = scoreboard.counts(claims, "kind")
fig, ax = plotting.figure(height=2.8)
table.plot.barh(stacked=True, ax=ax, color=[scoreboard.COLOURS[name] for name in table.columns], width=0.7)
ax.set(xlabel="number of claims", ylabel="")
_ = ax.legend(title="", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
# %% tags=["remove-input", "nbval-check-output"]
scoreboard.table(claims)
