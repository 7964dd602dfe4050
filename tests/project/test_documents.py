"""The documents tell the truth: links lead somewhere, the tree is the tree, commands exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_files_of_the_project_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert missing == []


def test_the_annotated_tree_of_the_readme_names_every_package():
    tree = re.search(r"```\nsrc/overflight/\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert tree, "the README has an annotated tree that begins with src/overflight/"
    named = {
        line.split()[0].rstrip("/") for line in tree.group(1).splitlines() if line.startswith("  ") and line[2] != " "
    }
    packages = {path.parent.name for path in (ROOT / "src/overflight").glob("*/__init__.py")}
    assert packages <= named


def test_commands_in_the_readme_exist():
    from overflight.cli.main import cli

    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"^\s*overflight (?:--as \S+ )?([a-z]+)(?: ([a-z][a-z-]*))?", text, re.M))
    for name, sub in commands:
        assert name in cli.commands, name
        group = cli.commands[name]
        if hasattr(group, "commands") and sub:
            assert sub in group.commands, f"{name} {sub}"
    assert commands


def test_make_targets_in_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:`|^    |\btime )make ([a-z-]+)", document.read_text(), re.M))
        assert named <= targets, document.name
