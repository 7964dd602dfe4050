"""Synthetic surveys at their limits: the smallest sites, and a worker that dies."""

import os
import signal
import threading
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.scenes.layout import build_layout
from overflight.data.scenes.plan import SMALLEST_SITE_M, plan_survey
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise
from overflight.data.scenes.traffic import populate
from overflight.errors import JobError


@given(seed=st.integers(0, 2**32), new_site=st.booleans())
def test_the_smallest_site_has_room_for_everything(seed, new_site):
    layout = build_layout(seed=seed, side_m=SMALLEST_SITE_M, new_site=new_site)
    assert populate(layout, SceneSettings(), seed=seed, flight=0)


@pytest.mark.parametrize("photos", [1, 2, 20])
def test_no_site_is_smaller(photos):
    settings = SceneSettings(flights=3, photos=photos, altitude_factor=0.5)
    assert min(site.side_m for site in plan_survey(settings)) >= SMALLEST_SITE_M


def is_worker(process):
    try:
        return any("spawn_main" in part for part in process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def test_a_killed_worker_is_said_and_the_folder_is_not_taken_for_finished(tmp_path):
    def kill_first_worker():
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            workers = [child for child in psutil.Process().children() if is_worker(child)]
            if workers:
                os.kill(workers[0].pid, signal.SIGKILL)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_first_worker)
    killer.start()
    with pytest.raises(JobError, match="was killed"):
        synthesise(SceneSettings(flights=4, photos=4), tmp_path / "survey", workers=2)
    killer.join()
    assert not (tmp_path / "survey" / "scenes.json").exists()
