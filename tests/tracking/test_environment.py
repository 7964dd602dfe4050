"""The state of the source code, read from real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from overflight.tracking.environment import Environment, git_state


@pytest.fixture
def repository(tmp_path) -> Path:
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    identity |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    (tmp_path / "code.py").write_text("x = 1\n")
    for command in (["init", "-q"], ["add", "code.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, env={**os.environ, **identity})
    return tmp_path


def test_a_clean_tree_then_a_changed_one(repository):
    commit, dirty = git_state(repository / "code.py")
    assert (len(commit), dirty) == (40, False)
    (repository / "code.py").write_text("x = 2\n")
    assert git_state(repository / "code.py") == (commit, True)


def test_a_file_the_repository_does_not_track_belongs_to_no_commit(repository, tmp_path):
    (repository / "installed.py").write_text("")
    assert git_state(repository / "installed.py") == ("", None)


def test_what_is_unknown_is_absent():
    facts = Environment(python="3.11.0", platform="Linux", cpu="a", cpus=2, memory_mib=0)
    assert facts.as_params() == {
        "env.python": "3.11.0",
        "env.platform": "Linux",
        "env.cpu": "a",
        "env.cpus": "2",
    }
