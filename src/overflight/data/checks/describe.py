"""The catalogue as a page of Markdown, from which ``docs/checks.md`` is written.

It knows no check beyond what the catalogue says of it.
"""

from __future__ import annotations

from itertools import groupby

from overflight.data.checks.catalogue import Catalogue, Group, Rule

_GROUPS: dict[Group, tuple[str, str]] = {
    "photo": ("Photographs", "Each file by itself: can it be read, and does it show something?"),
    "label": ("Labels", "Each label file and each box: is it a box, where is it, and is it there once?"),
    "survey": ("Survey", "The whole: classes, numbers of boxes, flights, positions."),
    "split": ("Split", "Whether a test on the held-out photographs would be honest. Only where a split is given."),
}

_INTRODUCTION = """# Checks

<!-- Written from src/overflight/data/checks/catalogue.yaml by tests/data/test_catalogue.py; change that file. -->

What `overflight survey check` and the validate job look for. A finding is an **error** (the photograph or the survey
cannot be used as it is) or a **warning** (it can, but look at it). Nothing is dropped silently: what cannot be used is
in the quarantine list with its reason.

* `--set dark=off` changes a level (`error`, `warning`, `off`), `--set tiny.min_side_px=10` a limit. A YAML file does
  the same for many:

  ```yaml
  dark: off
  tiny: {min_side_px: 10}
  huge: {level: error, max_area_share: 0.8}
  ```

* **(always)** cannot be switched off: what these checks name is left out of the survey and must not be so silently.
* **(--fix)** has a safe cure: boxes clipped by one pixel at most, exact repetitions and boxes of zero area removed,
  each written down. The source is never changed.
* A stored survey is compared with its manifest besides. What was changed, lost or added since is always an error.
* Numbers 1 to 39 are the usual list of data set checks; from 40 on is what real drone surveys added.
* Pixels are those of the upright photograph, except where a limit speaks of the training size. Luma is 0 to 255.
"""


def catalogue_markdown(catalogue: Catalogue) -> str:
    """The whole page; ends with a line feed."""
    parts = [_INTRODUCTION]
    by_group = sorted(catalogue.values(), key=lambda rule: list(_GROUPS).index(rule.group))
    for group, rules in groupby(by_group, key=lambda rule: rule.group):
        title, sentence = _GROUPS[group]
        rows = "\n".join(_row(rule) for rule in rules)
        head = "| # | code | level | limits | what | why | what to do |\n|---|---|---|---|---|---|---|"
        parts.append(f"## {title}\n\n{sentence}\n\n{head}\n{rows}\n")
    return "\n".join(parts)


def _row(rule: Rule) -> str:
    marks = "".join(mark for mark, given in ((" (always)", rule.fixed), (" (--fix)", rule.fixable)) if given)
    limits = "<br>".join(f"{name} {value:g}" for name, value in rule.limits.items())
    cells = (rule.number, f"`{rule.code}`", rule.level + marks, limits, rule.title, rule.explanation, f"{rule.cure}.")
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
