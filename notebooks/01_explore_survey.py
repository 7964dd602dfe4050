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
# # 1. What is this flight?
#
# Before a model is trained, somebody should have looked at the photographs: where they were taken, from which height,
# in which light, and what is labelled in them. This notebook is that look. It takes a few minutes of your time and
# saves weeks: most failures of aerial detectors are visible here.
#
# You will learn to answer, for any survey:
#
# 1. What has been read, and what could not be known?
# 2. What is labelled, and how unequal are the classes?
# 3. How large are the objects, in pixels and on the ground?
# 4. Where and when were the flights?
#
# The second notebook, `02_survey_quality`, asks whether the survey is good enough, and what would mislead a model.

# %% [markdown]
# ## Parameters
#
# By default a small synthetic survey is drawn, so that everything runs without your data. To look at your own, set
# the environment variable `OVERFLIGHT_NOTEBOOK_SOURCE` or put it here: a folder of photographs with labels in any
# format, `s3://bucket/prefix`, or the name of a stored survey. The source is only read.

# %% tags=["parameters"]
import os

SOURCE = os.environ.get("OVERFLIGHT_NOTEBOOK_SOURCE", "")

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

from overflight.data.profile import figures
from overflight.data.profile.pictures import typical
from overflight.data.profile.story import head, stands_out
from overflight.data.profile.tables import boxes_frame, photos_frame
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise
from overflight.lifecycle.survey_profile import explore

if not SOURCE:
    SOURCE = str(Path(tempfile.mkdtemp()) / "synthetic")
    synthesise(SceneSettings(flights=4, photos=4, size_px=(640, 480)), Path(SOURCE), workers=1)

# %% [markdown]
# ## What has been read?
#
# `explore` reads the source, runs all checks, and measures every photograph and box once. The **report** holds what the
# checks found, the **profile** holds the tables.

# %%
report, profile = explore(SOURCE)
head(profile)

# %% [markdown]
# Metadata is a help, not a condition: video frames and orthophotos have none. What could not be known is said, because
# it limits what you can conclude below.

# %%
print("\n".join([*report.read.notes, *profile.notes]) or "everything is known")

# %% [markdown]
# ## Look first
#
# Statistics come second. These photographs are the closest to the median of the survey; flights take turns.
#
# *Questions.* Would you, with your own eyes, find every object that is labelled? Do you see objects that are not
# labelled? A detector is measured against these labels, so what is missing here counts as its error.

# %%
photos, boxes = photos_frame(profile), boxes_frame(profile)
rows = [pick.row for pick in typical(profile, count=6)]
figures.examples(profile, report.read, photos.loc[rows, "photo"].tolist())

# %% [markdown]
# ## One row per photograph
#
# Units are in the names. `NaN` means that it is not known, never zero.

# %%
columns = ["width_px", "altitude_agl_m", "gsd_cm", "mean_luma", "contrast", "focus", "boxes", "cover_share"]
photos[columns].astype(float).describe().round(2)

# %% [markdown]
# The same by flight. A flight is the unit of nearly everything: light, ground, height and camera are shared within it
# and change between flights.
#
# *Question.* Which flight is unlike the others? Remember its name; you will meet it again.

# %%
photos.astype(dict.fromkeys(columns, float)).groupby("flight", observed=True)[columns].median().round(2)

# %% [markdown]
# ## What is labelled?
#
# A detector learns what it sees often. With one class at 90 %, a mean over classes says little about the others, and a
# class with a handful of boxes has a score that is luck.

# %%
figures.class_balance(profile)

# %% [markdown]
# Classes are not spread evenly over flights. Read the next table by row: a class that lives in one flight only is
# learned together with that flight's ground and light, and cannot be both trained and tested.

# %%
boxes.pivot_table(index="class_name", columns="flight", values="box_side_px", aggfunc="size", observed=False)

# %% [markdown]
# ## How large are the objects?
#
# Detectors lose most below 32 px (dashed line). Pixels are what the network sees.

# %%
figures.box_sizes(profile, unit="px")

# %% [markdown]
# Centimetres are what the object is. Each class should form one hump here: a car is some 4 m by 2 m on every flight. A
# second hump is another kind of object under one name, or a height that is wrong. Without height above ground and focal
# length there is nothing to show.

# %%
figures.box_sizes(profile, unit="cm")

# %% [markdown]
# `gsd_cm` (ground sample distance) joins the two: side in px = side in cm / gsd. Flying twice as high halves all
# objects.
#
# *Exercise.* At which height would the median object of your rarest class shrink to 16 px?

# %%
sides = boxes.groupby("class_name", observed=True)[["box_side_px", "box_side_cm", "aspect"]].median().astype(float)
height_m = float(photos["altitude_agl_m"].median())
sides.assign(height_for_16_px_m=sides["box_side_px"] / 16 * height_m).round(1)

# %% [markdown]
# ## Where in the photograph?
#
# Aerial surveys should fill this map evenly. A band in the middle means that the pilot followed a street, and a
# detector may learn to look there only.

# %%
figures.heat_map(profile)

# %% [markdown]
# ## Where on the ground?
#
# North is up. Flights over the same ground show the same trees, roofs and parked cars. If one is used for training and
# the other for testing, the test asks what the model has already seen.

# %%
figures.flight_map(profile)

# %% [markdown]
# ## When?
#
# The time of day follows from the sun's height at the photograph's place and time. Long shadows in the morning look
# like dark objects; noon hides what shadows would show.

# %%
photos.groupby(["flight", "time_of_day", "altitude_band"], observed=True).size().rename("photos").to_frame()

# %% [markdown]
# ## What stands out
#
# The same sentences head the report of `overflight survey report`. Do they agree with what you saw?

# %%
for remark in stands_out(profile, errors=len(report.errors), warnings=len(report.warnings)):
    print("-" if remark.tone == "good" else "!", remark.text)

# %% [markdown]
# ## Take along
#
# * Which flight differs, and in what?
# * Which class is rare, small, or bound to one flight?
# * What is not known, and which conclusion does that forbid?
#
# Next: `02_survey_quality`, what would mislead a model.
