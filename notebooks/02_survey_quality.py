# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Is it good enough, and what would mislead a model?
#
# The first notebook asked what the survey is. This one looks for three kinds of trouble:
#
# 1. **Defects**: files and labels that are wrong. They can be cured or left out.
# 2. **Bad seeing**: blur, darkness, haze, objects too small. They limit what any model can reach.
# 3. **False hopes**: properties that make scores look better than the model is. They are the most expensive, because
#    nothing looks broken.

# %% tags=["parameters"]
import os

SOURCE = os.environ.get("OVERFLIGHT_NOTEBOOK_SOURCE", "")

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from overflight.data.profile import figures
from overflight.data.profile.pictures import extreme
from overflight.data.profile.tables import boxes_frame, neighbours_frame, photos_frame
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise
from overflight.lifecycle.survey_profile import explore

if not SOURCE:
    SOURCE = str(Path(tempfile.mkdtemp()) / "synthetic")
    synthesise(SceneSettings(flights=4, photos=4, size_px=(640, 480)), Path(SOURCE), workers=1)

report, profile = explore(SOURCE)
photos, boxes, pairs = photos_frame(profile), boxes_frame(profile), neighbours_frame(profile)

# %% [markdown]
# ## Defects
#
# Every check has a reason and a cure (`overflight survey checks` lists them). Errors stand in the way of training;
# warnings ask for your judgement, and some are simply how the world is.

# %%
pd.set_option("display.max_colwidth", 120)
findings = pd.DataFrame(report.table(), columns=["check", "severity", "findings", "photos", "boxes", "example"])
findings

# %% [markdown]
# Look at what the checks speak of before you believe them. *Question.* Which of these would you cure, which would you
# leave, and which says something about the one who labelled?

# %%
named = {finding.photo: f"{finding.code}: {finding.photo}" for finding in report.findings if finding.photo}
shown = list(named)[:6]
figures.examples(profile, report.read, shown, captions=named)

# %% [markdown]
# ## Bad seeing
#
# Distributions of the photographs, coloured by flight, with the limits of the checks in red. The limits are for
# photographs that are hopeless. What should worry you earlier is one **flight** that stands apart.

# %%
figures.quality(profile, catalogue=report.catalogue)

# %%
figures.by_flight(profile, "mean_luma")

# %% [markdown]
# The ends of the distributions as pictures. For each decide: is it the world (dusk, fog, a dark roof), which the model
# must learn, or a mistake (lens cap, motion blur), which it must not?

# %%
picks = extreme(profile, count=1)
captions: dict[str, str] = {}
for pick in picks:  # one photograph may be at several ends
    key = str(photos.loc[pick.row, "photo"])
    captions[key] = f"{captions[key]}, {pick.why}" if key in captions else pick.why
figures.examples(profile, report.read, list(captions), captions=captions)

# %% [markdown]
# ### Too small to be seen
#
# A network with an input of 640 px sees a whole photograph scaled down, or tiles of it at full size. The table gives
# the share of objects below 16 px, of which detectors find few, for both ways.
#
# *Question.* How much would you lose before training begins?

# %%
longer_px = photos[["width_px", "height_px"]].max(axis=1).to_numpy()[boxes["photo_index"]]
scaled_px = boxes["box_side_px"] * np.minimum(1, 640 / np.maximum(longer_px, 1))
small = pd.DataFrame(
    {"class_name": boxes["class_name"], "whole photo": scaled_px < 16, "tiles": boxes["box_side_px"] < 16}
)
small.groupby("class_name", observed=True).mean().map("{:.0%}".format)

# %% [markdown]
# ### Crowded and cut
#
# Objects closer than about one own side overlap in the picture; non-maximum suppression takes one of them for the
# other. Objects at the border are cut: the label says "car", the picture says "half a car".

# %%
boxes.groupby("class_name", observed=True)[["overlaps", "at_border"]].mean().map("{:.0%}".format)

# %% [markdown]
# ## False hopes
#
# ### The same picture on both sides
#
# Frames of one flight are nearly equal. Split at random, and the test set holds what was trained on. The table sums
# up which photographs repeat an earlier one (each counts once per kind): the same file, nearly the same picture, or
# the same ground.

# %%
pairs.groupby("kind")["value"].describe()[["count", "min", "mean", "max"]] if len(pairs) else "no pairs"

# %% [markdown]
# How bad is it? Put a fifth of the photographs aside at random, and count how many of them have a near twin in the
# rest. Then put whole flights aside, and count again. Only the link to the most similar earlier photograph is looked
# at, so the true shares are at least as high.


# %%
def leaking_share(test: np.ndarray) -> float:
    """Share of the test photographs that have a neighbour among the others; ``test`` is a mask by row."""
    a, b = profile.neighbours["a"], profile.neighbours["b"]
    leaking = np.zeros(len(test), dtype=bool)
    leaking[a[test[a] & ~test[b]]] = True
    leaking[b[test[b] & ~test[a]]] = True
    return float(leaking.sum() / max(test.sum(), 1))


rng = np.random.default_rng(7)
flights = photos["flight"].astype(str).to_numpy()
at_random = [leaking_share(rng.random(len(photos)) < 0.2) for _ in range(20)]
by_flight = [leaking_share(flights == name) for name in np.unique(flights)]
print(f"a random fifth:      {np.mean(at_random):.0%} of the test photographs have a twin in training")
print(f"one flight each:     {np.mean(by_flight):.0%}")

# %% [markdown]
# What remains with whole flights is ground that two flights share. `overflight survey leaks` names the pairs of any
# split, and the split of a training keeps such flights on one side.
#
# A score is worth what its split is worth: with twins on both sides it measures memory.
#
# ### The wrong clue
#
# If a class always comes with one kind of light, height or ground, a model may learn the clue instead of the object.
# Compare the photographs that hold a class with those that do not, in units of the survey's own spread. Beyond about 1
# you should be able to say why.

# %%
clues = ["mean_luma", "colourfulness", "focus", "gsd_cm", "altitude_agl_m"]
standard = (photos[clues] - photos[clues].mean()) / photos[clues].std().replace(0, np.nan)
rows = {}
for name, index in boxes.groupby("class_name", observed=True)["photo_index"].unique().items():
    holds = np.zeros(len(photos), dtype=bool)
    holds[index] = True
    rows[name] = standard[holds].mean() - standard[~holds].mean()
pd.DataFrame(rows).T.reindex(columns=clues).round(2)

# %% [markdown]
# `NaN` says that there is nothing to compare: every photograph holds the class, or the clue is not known.
#
# ### One flight, many photographs
#
# A hundred frames of one hover are worth little more than one. Count flights and sites, not photographs, when you ask
# whether a survey is large.

# %%
photos.groupby("site", observed=True).agg(
    flights=("flight", "nunique"), photos=("photo", "size"), boxes=("boxes", "sum")
)

# %% [markdown]
# ## Verdict
#
# Write it down, in one sentence each, before you train:
#
# * Errors left: which, and why is that acceptable?
# * The class with the fewest boxes or the smallest objects: which score would you believe?
# * The flight that is kept for the test: what does it have that training has not?
# * Training without the flight that differs most: would the score change more than its confidence interval?

# %%
print(f"{len(report.errors)} errors, {len(report.warnings)} warnings, {len(profile)} photographs, {len(boxes)} boxes,")
print(f"{photos['flight'].nunique()} flights, {photos['near_duplicate_of'].ne('').mean():.0%} near duplicates")
