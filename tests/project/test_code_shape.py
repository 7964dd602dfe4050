"""House rules that a linter does not know."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src/overflight").rglob("*.py"))
LONGEST_MODULE_LINES = 400


def test_modules_stay_short():
    long = {
        p.relative_to(ROOT).as_posix(): n
        for p in MODULES
        if (n := len(p.read_text().splitlines())) > LONGEST_MODULE_LINES
    }
    assert long == {}


def test_packages_import_nothing_by_themselves():
    for path in (ROOT / "src/overflight").rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        imports = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert imports == [], path


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_no_local_build_tag_is_pinned(name):
    assert "+cpu" not in (ROOT / name).read_text()


def test_every_dependency_is_pinned():
    import re
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower(): line.split("==")[1]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    for text in wanted:
        requirement = Requirement(text)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert name in pinned, name
        assert requirement.specifier.contains(pinned[name]), f"{text} against {pinned[name]}"


def test_constraints_are_names_with_versions_only():
    import re

    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []
