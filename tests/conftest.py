"""What all tests share: Hypothesis without deadlines, and a folder for keys of trails that is not the developer's."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# These tests judge results, not the speed of a busy machine.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(scope="session", autouse=True)
def own_state_folder() -> Iterator[Path]:
    """Keys and checkpoints of the tests' trails, also of their child processes, go to a folder that is removed.

    ``XDG_STATE_HOME`` is set besides Overflight's own variable, because many tests take away all of Overflight's.
    """
    with tempfile.TemporaryDirectory(prefix="overflight-state-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", folder)
        patch.setenv("OVERFLIGHT_TRAIL_KEYS", f"{folder}/overflight")
        yield Path(folder)
