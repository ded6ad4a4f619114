# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Moduli from a formula, and the search for superhard compounds
#
# Hardness is resistance to plastic deformation, which density functional theory does not compute; bulk and shear modulus are
# elastic, are computed by the thousand, and go along with it {cite}`liu1989prediction`. {cite:t}`tehrani2018machine` trained support
# vector regression on computed moduli, predicted those of a hundred thousand compounds, and made two with the highest
# values: both were superhard (40 GPa and more) at low loads. The review reports agreement with recorded experimental
# data within 20%, trouble with rare earths, and two hits of two. Here predictions are compared with computed moduli.
#
# Their descriptors and data base are licensed. Here a compound is its formula alone, turned into 110 statistics of its
# elements' properties {cite}`ward2016general`, and the moduli are public:
#
# | data | rows | origin, licence |
# |---|---|---|
# | elastic tensors 2015 | 1,181 | {cite:t}`dejong2015charting`, from matminer (BSD style) |
# | Matbench | 10,987 | Materials Project (CC BY 4.0), {cite:t}`dunn2020benchmarking` |
# | AFLOW | 4,896 | AFLOW's AEL library, from CrabNet (MIT) |
# | measured Vickers hardness | 1,062 | {cite:t}`zhang2021finding` (MIT) |
# | element properties | 97 | Magpie {cite}`ward2016general`, from CBFV (MIT) |
#
# Without these files the claims below read "not run".

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import pandas as pd
import torch

from litrepro import Chapter
from litrepro.data import DataUnavailableError, moduli, vickers_hardness
from litrepro.materials import (
    clean_moduli,
    composition_features,
    conformal_lower,
    cross_validated_scores,
    grouped_folds,
    learning_curve,
    parse_formula,
    reduced_composition,
    top_precision,
    vickers_chen,
    within_share,
)

# %%
ch = Chapter("20-materials", notebook="moduli", profile=profile, seed=seed, full_minutes=6)
n_matbench = ch.pick(quick=1500, full=10_987, smoke=400)
deals = ch.pick(quick=3, full=5, smoke=1)
sizes = ch.pick(quick=[100, 200, 400, 800], full=[100, 200, 400, 800, 1600, 3200, 6400], smoke=[100, 200])
curve_source = ch.pick(quick="elastic2015", full="matbench", smoke="elastic2015")
held_elements = ["Re", "Os", "Ir", "W"]
reason = ""
try:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    tables = {name: clean_moduli(moduli(name)) for name in ("elastic2015", "matbench", "aflow")}
    hardness = vickers_hardness()
except DataUnavailableError:
    reason = "the tables of moduli and hardness are not available"
except ImportError:
    reason = "scikit-learn is not installed"

# %% [markdown]
# ## Predictions that never saw the compound
#
# The target is the logarithm of a modulus in GPa. A composition may occur several times (polymorphs), so cross-validation deals
# whole compositions into five folds, three times over. Support vector regression with a Gaussian kernel ($C = 10$,
# $\gamma = .01$, $\varepsilon = .05$ on standardized features) stands beside ridge regression on the same features. The full scale
# deals five times instead of three.


# %%
def svr(x, y):
    """Support vector regression on standardized features."""
    return make_pipeline(StandardScaler(), SVR(C=10, gamma=0.01, epsilon=0.05)).fit(x, y).predict


def ridge(x, y):
    """Ridge regression on standardized features."""
    return make_pipeline(StandardScaler(), Ridge(1.0)).fit(x, y).predict


def prepared(frame):
    """Features, log10 moduli and compositions of a table."""
    x, _ = composition_features(frame.formula)
    logs = {name: torch.tensor(frame[f"{name}_VRH"].to_numpy(float)).log10() for name in ("K", "G")}
    return x, logs, [reduced_composition(formula) for formula in frame.formula]


def validate(frame, fits, n_deals):
    """Cross-validated scores per target, method and deal of the folds, the predictions of the first deal, and the logs."""
    x, logs, groups = prepared(frame)
    scores, first = cross_validated_scores(fits, x, logs, groups, deals=n_deals, seed=1000 * seed)
    return scores, first, logs


# %%
if not reason:
    main, dropped = tables["elastic2015"]
    scores, predicted, logs = validate(main, {"SVR": svr, "ridge": ridge}, deals)
    recorded_scores = ch.table("moduli-scores", scores)
    mean_scores = scores.groupby(["target", "method"])[["r2", "within", "top40"]].mean()

# %% tags=["hide-input"]
None if reason else pd.concat(
    {
        scale: table.groupby(["target", "method"])[["r2", "within", "top40"]].mean()
        for scale, table in ch.scales(scores, recorded_scores).items()
    },
    names=["scale"],
).round(3).rename(columns={"r2": "R2 of log", "within": "within 20%", "top40": "top 40 in true top 5%"})

# %% mystnb={"figure": {"name": "fig-20-parity", "caption": "Cross-validated predictions of support vector regression against computed moduli, 1,181 compounds; the band is plus or minus 20%. Compounds with a transition metal of the fifth or sixth period and boron, carbon or nitrogen, where superhard materials are sought, in orange."}, "image": {"alt": "Two scatter plots on logarithmic axes around the diagonal with a grey band. The points of the bulk modulus lie mostly inside the band, those of the shear modulus spread twice as wide."}} tags=["hide-input"]
if ch.plots and not reason:
    from litrepro.plotting import PALETTE, figure

    # Where superhard materials are sought.
    heavy, light = set(["Zr", "Nb", "Mo", "Ru", "Rh", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt"]), {"B", "C", "N"}
    sought = torch.tensor([bool(heavy & set(p)) and bool(light & set(p)) for p in map(parse_formula, main.formula)])
    fig, axes = figure(1, 2, height=3.5)
    for ax, target, name in zip(axes, "KG", ("bulk", "shear")):
        true, guess = 10 ** logs[target], 10 ** predicted[target, "SVR"]
        ends = torch.tensor([true.min(), true.max()])
        ax.fill_between(ends, 0.8 * ends, 1.2 * ends, color="0.85", label="within 20%")
        for part, color, label in ((~sought, PALETTE[0], "all others"), (sought, PALETTE[1], "hard candidates' kind")):
            ax.plot(true[part], guess[part], ".", ms=3.5, alpha=0.6, color=color, label=label)
        ax.set(xscale="log", yscale="log", xlabel=f"computed {name} modulus {target} (GPa)", ylabel="predicted (GPa)")
    axes[0].legend(loc="upper left")


# %%
def within_20():
    """Whether 80% of the predictions are within 20%, of both moduli; partly if of one."""
    share = mean_scores.xs("SVR", level="method").within
    return share.to_dict(), True if share.min() >= 0.8 else "partly" if share.max() >= 0.8 else False


def explained():
    """Whether the explained share of the variance is high."""
    r2 = mean_scores.r2
    return {f"{t} {m}": v for (t, m), v in r2.items()}, bool(r2["K", "SVR"] > 0.85 and r2["G", "SVR"] > 0.7)


def on_training_rows():
    """Whether more predictions are within 20% on the rows that the model was fitted to."""
    x, y = prepared(main)[0], logs["G"]
    fitted = within_share(10 ** torch.tensor(svr(x.numpy(), y.numpy())(x.numpy())), 10**y)
    tested = mean_scores.within["G", "SVR"]
    # Folds on which nothing is learnt would be beaten, too.
    learnt = mean_scores.r2["G", "SVR"] > 0.5
    return {"training": fitted, "cross-validated": tested}, bool(learnt and fitted > tested + 0.1)


def found_again():
    """Whether six of ten among the first forty are in the true top 5%."""
    share = mean_scores.xs("SVR", level="method").top40
    return share.to_dict(), bool(share.min() >= 0.6)


# %% tags=["nbval-check-output"]
ch.not_run("svr-within-20", reason) if reason else ch.claim("svr-within-20", *within_20())
ch.not_run("svr-r2", reason) if reason else ch.claim("svr-r2", *explained())
ch.not_run("training-is-no-test", reason) if reason else ch.claim("training-is-no-test", *on_training_rows())
ch.not_run("candidates-found", reason) if reason else ch.claim("candidates-found", *found_again())

# %% [markdown]
# ## Rare earths, and how much data it takes
#
# The 2015 set has compounds of scandium and yttrium but not a single lanthanide. So the claim about rare earths is judged on a
# sample of Matbench, at full scale on all of it.

# %%
lanthanides = set(["La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu"])


def scores_on(name, target, rows, p, y):
    """Scores of the predictions p of the logarithms y on some rows."""
    within, error = within_share(10 ** p[rows], 10 ** y[rows]), (p - y)[rows].abs().median().item()
    scores = {"n": int(rows.sum()), "within": within, "log_error": error, "spread": y[rows].std().item()}
    return {"target": target, "compounds": name} | scores


if not reason:
    sample = tables["matbench"][0].sample(n_matbench, random_state=seed).reset_index(drop=True)
    has = torch.tensor([bool(lanthanides & set(parse_formula(formula))) for formula in sample.formula])
    sample_scores, matbench_predicted, matbench_logs = validate(sample, {"SVR": svr}, 1)
    rare = pd.DataFrame([
        scores_on(name, target, rows, matbench_predicted[target, "SVR"], y)
        for target, y in matbench_logs.items()
        for name, rows in (("lanthanide", has), ("none", ~has))
    ])  # fmt: skip
    recorded_rare = ch.table("rare-earths", rare)
    lanthanides_in_main = sum(bool(lanthanides & set(parse_formula(formula))) for formula in main.formula)

# %%
if not reason:
    curve_frame = main if curve_source == "elastic2015" else tables[curve_source][0]
    cx, cy, cg = prepared(curve_frame)
    test = grouped_folds(cg, 5, seed=seed) == 0
    pool = (~test).nonzero()[:, 0]
    orders = [pool[torch.randperm(len(pool), generator=ch.generator(deal))] for deal in range(5)]
    learning = learning_curve({"SVR": svr, "ridge": ridge}, cx, cy, test, sizes, orders)
    learning["line"] = learning.method + ", " + learning.target
    learning = learning[["n", "line", "deal", "error"]]
    recorded_learning = ch.table("learning-curve", learning)

# %% tags=["hide-input"]
None if reason else pd.concat(
    {scale: table.set_index(["target", "compounds"]) for scale, table in ch.scales(rare, recorded_rare).items()},
    names=["scale"],
).round(3).rename(columns={"within": "within 20%", "log_error": "median |log10 error|", "spread": "spread of log10"})


# %%
def rare_earths():
    """Whether compounds with a lanthanide are clearly less often predicted within 20%."""
    share = rare.set_index(["target", "compounds"]).within
    drop = {target: share[target, "none"] - share[target, "lanthanide"] for target in "KG"}
    holds = all(value > 0.03 for value in drop.values())
    r2 = {f"R^2 of {row.target}": row.r2 for row in sample_scores.itertuples()}
    return {**{f"{a} {b}": v for (a, b), v in share.items()}, "in the 2015 set": lanthanides_in_main} | r2, holds


# %% tags=["nbval-check-output"]
# A constant would also be closer where moduli lie in a narrow range: the model must have learnt from the sample.
missing = reason or ("" if sample_scores.r2.min() > 0.4 else "the model has learnt nothing from the sample")
ch.not_run("rare-earth-harder", missing) if missing else ch.claim("rare-earth-harder", *rare_earths())

# %% mystnb={"figure": {"name": "fig-20-learning", "caption": "Median relative error on held-out compositions against the number of training compounds, five draws; bands are two standard errors. Left compounds of the 2015 set; right, where it is recorded, the full scale, compounds of Matbench. SVR still improves at the end of either; at full scale ridge regression has all but stopped: more data is what is missing, for a model that can use them."}, "image": {"alt": "Two panels of four falling lines. With either method the line of the shear modulus lies well above that of the bulk modulus; SVR ends lower than ridge regression. On Matbench the lines of ridge regression flatten after about 800 compounds, those of SVR fall to the end at 6,400."}} tags=["hide-input"]
if ch.plots and not reason:
    from litrepro.plotting import figure, sweep

    shown = ch.scales(learning, recorded_learning)
    titles = {"quick": "quick, 2015 set", "full scale": "full scale, Matbench"}
    fig, axes = figure(1, len(shown), height=3.4, sharey=True, squeeze=False)
    for ax, (size, frame) in zip(axes[0], shown.items()):
        sweep(frame, "n", "error", "line", ax=ax)
        ticks = sorted(frame.n.unique())[:: 1 if size == "quick" else 2]
        ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
        ax.minorticks_off()
        ax.set(title=titles[size], xlabel="training compounds", ylabel="")
    axes[0, 0].set(ylabel="median relative error", ylim=(0, None))
    axes[0, -1].legend(loc="lower left")

# %% [markdown]
# On Matbench the step from 3,200 to 6,400 compounds still takes the error of support vector regression from 17% to 15% for the bulk
# and from 25% to 22% for the shear modulus, that of ridge regression by about one point.
#
# Compounds with a lanthanide are predicted *better*: their elements resemble each other, and their moduli vary less. Whatever
# trouble the original authors had with rare earths, composition alone does not show it.
#
# ## The search
#
# A model trained on the whole 2015 set ranks every ternary and quaternary composition of AFLOW and Matbench that it has not
# seen. Their computed moduli are the answer, and what was asked of the list inside the training data is asked here: six in ten of
# the first forty.

# %%
if not reason:
    x, _, groups = prepared(main)
    models = {target: svr(x.numpy(), logs[target].numpy()) for target in "KG"}

    def predict(formulas):
        """Predicted K, G and Chen's hardness of formulas, GPa."""
        features = composition_features(formulas)[0].numpy()
        guess = {target: 10 ** models[target](features) for target in "KG"}
        return pd.DataFrame(
            {"K_predicted": guess["K"], "G_predicted": guess["G"], "H_predicted": vickers_chen(**guess)}
        )


# %%
if not reason:
    both = pd.concat([tables["aflow"][0], tables["matbench"][0]], ignore_index=True)[["formula", "K_VRH", "G_VRH"]]
    both["composition"] = both.formula.map(reduced_composition)
    # Of several structures the stiffest is the one that a search would be after.
    pool = both.groupby("composition", as_index=False).agg(
        formula=("formula", "first"), K=("K_VRH", "max"), G=("G_VRH", "max")
    )
    elements = pool.formula.map(lambda formula: len(parse_formula(formula)))
    pool = pool[elements.isin([3, 4]) & ~pool.composition.isin(set(groups))].reset_index(drop=True)
    pool = pd.concat([pool, predict(pool.formula)], axis=1)

# %%
if not reason:
    top = {
        t: top_precision(torch.tensor(pool[f"{t}_predicted"].to_numpy()), torch.tensor(pool[t].to_numpy()), 40)
        for t in "KG"
    }
    chance = 0.05
    ch.save(
        "search", pool.nlargest(200, "G_predicted")[["formula", "K", "G", "K_predicted", "G_predicted", "H_predicted"]]
    )

# %% tags=["hide-input"]
None if reason else pool.nlargest(12, "G_predicted").set_index("formula")[
    ["G_predicted", "G", "K_predicted", "K", "H_predicted"]
].round(0).astype(int)


# %%
def external():
    """Whether six of ten among the first forty are in the true top 5%, of both moduli; partly if of one."""
    good = [share >= 0.6 for share in top.values()]
    return {**top, "pool": len(pool), "by chance": chance}, True if all(good) else "partly" if any(good) else False


# %% tags=["nbval-check-output"]
ch.not_run("candidates-external", reason) if reason else ch.claim("candidates-external", *external())

# %% [markdown]
# Of the first forty by shear modulus 23 are in the true top 5%, one short of the bar; the parameters of the regression are not tuned.
#
# The list (GPa, predicted beside computed) is made mostly of borides and carbides of transition metals, as it should be; but at
# its very top stands a blunder, a phosphate of tin that is six times softer than predicted. A regression has no means to say
# how sure it is. Ranking by a *lower bound* is the usual remedy. Split conformal prediction gives bounds that 90% of exchangeable compounds exceed; it needs a scale of the
# error, for which we take the distance to the nearest training composition in feature space.

# %%
if not reason:
    mean, scale = x.mean(0), x.std(0).clamp(min=1e-9)
    z = (x - mean) / scale
    pool_z = (composition_features(pool.formula)[0] - mean) / scale
    folds = grouped_folds(groups, 5, seed=1000 * seed)
    own = torch.cdist(z, z).masked_fill(folds[:, None] == folds, torch.inf).amin(1)  # as cross-validation saw it
    far = torch.cdist(pool_z, z).amin(1)

# %%
if not reason:
    by_bound, covered = {}, {}
    for target in "KG":
        residual = logs[target] - predicted[target, "SVR"]
        guess = torch.tensor(pool[f"{target}_predicted"].to_numpy()).log10()
        true = torch.tensor(pool[target].to_numpy()).log10()
        bound = guess + (1 + far) * conformal_lower(residual / (1 + own), torch.zeros_like(guess), 0.9)
        pool[f"{target}_bound"] = 10**bound
        by_bound[target] = top_precision(bound, true, 40)
        covered[target] = (true >= bound).double().mean().item()
    bounds = pd.DataFrame(
        {"top 40 by prediction": top, "top 40 by lower bound": by_bound, "truth above the bound": covered}
    )

# %% tags=["hide-input"]
None if reason else bounds.round(3)

# %% tags=["hide-input"]
None if reason else pool.nlargest(12, "G_bound").set_index("formula")[
    ["G_bound", "G_predicted", "G", "K_predicted", "K"]
].round(0).astype(int)

# %% [markdown]
# The bound improves the top of the list by a compound or two of forty and leaves the worst blunder where it was: distance in
# feature space does not see it coming. Its coverage is near the nominal 90% though nothing guarantees that, since compounds of
# another data base are not exchangeable with those of the training set.
#
# The hardest test of discovery hides an element: all compounds with rhenium, osmium, iridium or tungsten, one element at
# a time, are removed from training and predicted.

# %%
if not reason:
    parts = [set(parse_formula(formula)) for formula in main.formula]
    hidden = []
    for element in held_elements:
        held = torch.tensor([element in part for part in parts])
        for target in "KG":
            y = logs[target]
            p = torch.tensor(svr(x[~held].numpy(), y[~held].numpy())(x[held].numpy()))
            seen = predicted[target, "SVR"][held]
            row = {"element": element, "target": target, "n": int(held.sum())}
            row |= {
                "within 20%, hidden": within_share(10**p, 10 ** y[held]),
                "seen": within_share(10**seen, 10 ** y[held]),
            }
            hidden.append(row | {"bias, hidden": (10 ** (p - y[held]).mean() - 1).item()})
    hidden = pd.DataFrame(hidden)
    ch.save("hidden-elements", hidden)

# %% tags=["hide-input"]
None if reason else hidden.set_index(["element", "target"]).round(2).replace(-0.0, 0.0)

# %% [markdown]
# Hiding rhenium or osmium costs nothing, since their neighbours in the periodic table stand in for them. Hiding iridium
# costs some: of its 50 compounds .84 instead of .90 are within 20% in $K$, and .48 instead of .62 in $G$. With tungsten
# it is one of 19 compounds, lost in $K$ and gained in $G$. The compounds of a hidden element come out too soft on
# average, those of tungsten by a sixth in $G$, which is the wrong side for a search.
#
# ## Does a hardness table confirm the candidates?
#
# 529 distinct compositions with 1,062 measured Vickers hardnesses, nearly all at loads from .25 to 10 N. The model ranks those ternary and
# quaternary compositions that it was not trained on by their predicted shear modulus. A candidate is confirmed if its
# measured hardness reaches 40 GPa at some load, which is the review's "under some conditions"; once more six in ten of forty have to be.

# %%
if not reason:
    measured = hardness.rename(columns={"composition": "formula"})
    measured["composition"] = measured.formula.map(reduced_composition)
    loads = measured.groupby("composition").load_N.nunique()
    ends = measured.sort_values("load_N").groupby("composition").hardness_GPa.agg(["first", "last"])[loads > 1]
    softer = (ends["last"] < ends["first"]).mean()

# %%
if not reason:
    table = measured.groupby("composition", as_index=False).agg(
        formula=("formula", "first"),
        hardest=("hardness_GPa", "max"),
        mean=("hardness_GPa", "mean"),
        load=("load_N", "min"),
    )
    table = table[~table.composition.isin(set(groups))].reset_index(drop=True)
    table = pd.concat([table, predict(table.formula)], axis=1)
    rank = {name: table[f"{name}_predicted"].rank().corr(table["mean"].rank()) for name in "KGH"}
    count = table.formula.map(lambda formula: len(parse_formula(formula)))
    candidates = table[count.isin([3, 4])].nlargest(40, "G_predicted")
    confirmed, base = (candidates.hardest >= 40).mean(), (table[count.isin([3, 4])].hardest >= 40).mean()
    every = int((table[count.isin([3, 4])].hardest >= 40).sum())
    ch.save("confirmed", candidates[["formula", "K_predicted", "G_predicted", "H_predicted", "hardest", "load"]])

# %% [markdown]
# The first twenty: the predicted moduli $K$ and $G$ and Chen's hardness $H$ beside the largest measured hardness, all in GPa,
# and the smallest load.

# %% tags=["hide-input"]
None if reason else candidates.head(20).set_index("formula")[
    ["K_predicted", "G_predicted", "H_predicted", "hardest", "load"]
].assign(confirmed=lambda frame: frame.hardest >= 40).round({"hardest": 1, "load": 2}).round(
    {"K_predicted": 0, "G_predicted": 0, "H_predicted": 0}
).astype({"K_predicted": int, "G_predicted": int, "H_predicted": int}).rename(
    columns={"K_predicted": "K", "G_predicted": "G", "H_predicted": "H", "hardest": "measured", "load": "load (N)"}
)


# %%
def superhard():
    """Whether six of ten candidates are superhard, and more than in the table as a whole."""
    value = {"confirmed of 40": int((candidates.hardest >= 40).sum()), "share of all": base, "superhard in all": every}
    error = (base * (1 - base) / len(candidates)) ** 0.5
    return value, bool(confirmed >= 0.6 and confirmed > base + 2 * error)


def proxies():
    """Whether the shear modulus and Chen's hardness rank compositions like the measured hardness."""
    high = rank["G"] > 0.6 and rank["H"] > 0.6
    moderate = rank["G"] > 0.3 and rank["H"] > 0.3  # chance stays below 0.1
    ordered = rank["G"] > rank["K"] + 0.05
    return rank, True if high and rank["G"] > rank["K"] else "partly" if moderate and ordered else False


def by_load():
    """Whether compositions are softer at the highest load than at the lowest."""
    return {"softer at the highest load": softer, "compositions": len(ends)}, bool(softer > 0.8)


# %% tags=["nbval-check-output"]
ch.not_run("superhard-confirmed", reason) if reason else ch.claim("superhard-confirmed", *superhard())
ch.not_run("moduli-proxy-hardness", reason) if reason else ch.claim("moduli-proxy-hardness", *proxies())
ch.not_run("hardness-load", reason) if reason else ch.claim("hardness-load", *by_load())

# %% mystnb={"figure": {"name": "fig-20-hardness", "caption": "The largest measured Vickers hardness of a composition against the predicted shear modulus (left) and against Chen's hardness from the predicted moduli (right), for compositions outside the training set; colour is the smallest load. The dashed line is 40 GPa."}, "image": {"alt": "Two clouds of points that rise to the right. Above 40 GPa points are spread over the whole range of predicted moduli, up to 250 GPa, with a dense group at low moduli."}} tags=["hide-input"]
if ch.plots and not reason:
    from litrepro.plotting import SEQUENTIAL, figure

    import matplotlib as mpl

    fig, axes = figure(1, 2, height=3.3, sharey=True)
    for ax, column, label in zip(
        axes, ("G_predicted", "H_predicted"), ("predicted G (GPa)", "Chen's H from predictions (GPa)")
    ):
        dots = ax.scatter(
            table[column], table.hardest, c=table.load, s=9, cmap=SEQUENTIAL, norm=mpl.colors.LogNorm(0.2, 10)
        )
        ax.axhline(40, ls="--", color="0.4", lw=1)
        ax.set_xlabel(label)
    axes[0].set_ylabel("measured hardness (GPa)")
    fig.colorbar(dots, ax=axes, label="smallest load (N)")

# %% [markdown]
# Two thirds of the forty are confirmed, about twice the share in the table as a whole. Two things qualify that. The forty are one
# family, borides of tungsten, osmium and their neighbours, measured because they were suspected to be hard. And most of the
# superhard compositions of the table are *missed*: its dodecaborides reach 40 GPa with a predicted shear modulus below 130. The
# correlation over all compositions is moderate, better for the shear than for the bulk modulus, best for Chen's formula
# {cite}`chen2011modeling`. It is one of predicted moduli, whose errors lower it. Every composition that was measured at
# several loads is softer at the highest: hardness is not a number.

# %% [markdown]
# ## Takeaway
#
# Composition alone predicts bulk moduli about as well as claimed and shear moduli much worse, and it is the shear modulus that
# follows hardness. As a *ranking* the model is useful: the top of its list is many times richer in stiff compounds than chance,
# in the same data base and in others, and a table of hardness measurements confirms a good part of it. What the
# review's two hits of two leave out are the misses: confident nonsense far from the training set, and superhard
# compounds far down the list. Both hits were superhard under some conditions, and one of these is the load at which
# hardness is measured.
