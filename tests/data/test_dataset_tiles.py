"""The data set's tiles: equal for any number of jobs, also after a kill; leftovers go; seams are told."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import pytest

from factories import make_survey_source
from overflight.data.dataset import DATASET_FILE, DatasetRequest, build_dataset, cut_shard, finish_dataset
from overflight.data.survey import read_survey, write_survey
from overflight.data.tile import TileRules
from overflight.data.tile_run import Shard
from overflight.errors import InputError
from overflight.files import sha256_file

REQUEST = DatasetRequest(rules=TileRules(tile_px=128, overlap_px=32), workers=1)


def make_survey(folder, **options):
    write_survey(read_survey(make_survey_source(folder / "source", **options), name="harbour"), folder / "survey")
    return folder / "survey"


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return make_survey(tmp_path_factory.mktemp("made"), flights=4, photos=3, size_wh=(320, 240))


@pytest.fixture(scope="module")
def expected(survey, tmp_path_factory):
    target = tmp_path_factory.mktemp("expected")
    build_dataset(survey, target, request=REQUEST)
    return content(target)


def content(folder):
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("count", [2, 3, 40])
def test_any_number_of_jobs_gives_the_same_bytes(survey, expected, tmp_path, count):
    for index in reversed(range(count)):
        cut_shard(survey, tmp_path, request=REQUEST, shard=Shard(index, count))
    finish_dataset(survey, tmp_path, request=REQUEST, shards=count)
    assert content(tmp_path) == expected


@pytest.mark.parametrize("change", [{"0": "1", "1": "0"}, None], ids=["class", "box"])
def test_the_digest_knows_the_labels_of_training(tmp_path, change):
    source = make_survey_source(tmp_path / "source", flights=4, photos=1, size_wh=(120, 90))
    made = []
    for name in ("before", "after"):
        write_survey(read_survey(source, name="s"), tmp_path / f"survey-{name}")
        made.append(build_dataset(tmp_path / f"survey-{name}", tmp_path / name, request=REQUEST))
        labels = min((source / "labels" / made[0]["split"]["train"][0]).iterdir())
        *others, last = [line.split() for line in labels.read_text().splitlines()]
        last = [change[last[0]], *last[1:]] if change else [*last[:3], f"{0.9 * float(last[3]):.8f}", last[4]]
        labels.write_text("".join(f"{' '.join(line)}\n" for line in (*others, last)))
    assert made[0]["split"] == made[1]["split"]
    assert made[0]["tile_boxes"] == made[1]["tile_boxes"]
    assert made[0]["digest"] != made[1]["digest"]


def test_the_digest_knows_the_pixels_of_the_test(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=4, photos=1, size_wh=(120, 90))
    made = []
    for name in ("before", "after"):
        write_survey(read_survey(source, name="s"), tmp_path / f"survey-{name}")
        made.append(build_dataset(tmp_path / f"survey-{name}", tmp_path / name, request=REQUEST))
        photo = min((source / "images" / made[0]["split"]["test"][0]).iterdir())
        cv2.imwrite(str(photo), 255 - cv2.imread(str(photo)))
    assert made[0]["split"] == made[1]["split"]
    assert made[0]["digest"] != made[1]["digest"]


def test_a_missing_job_is_named_and_can_follow(survey, expected, tmp_path):
    cut_shard(survey, tmp_path, request=REQUEST, shard=Shard(0, 2))
    with pytest.raises(InputError, match=r"photos are not cut yet\. Let job 1 of 2"):
        finish_dataset(survey, tmp_path, request=REQUEST, shards=2)
    assert not (tmp_path / DATASET_FILE).exists()
    cut_shard(survey, tmp_path, request=REQUEST, shard=Shard(1, 2))
    finish_dataset(survey, tmp_path, request=REQUEST, shards=2)
    assert content(tmp_path) == expected


def test_a_tile_that_got_lost_on_the_way_is_named(survey, tmp_path):
    cut_shard(survey, tmp_path, request=REQUEST, shard=Shard())
    lost = min((tmp_path / "images/train").iterdir())
    lost.unlink()
    with pytest.raises(InputError, match=rf"{lost.name}: a tile is missing\. Bring the tiles of all jobs together"):
        finish_dataset(survey, tmp_path, request=REQUEST, shards=1)


def test_a_held_out_photograph_that_got_lost_is_named(survey, tmp_path):
    cut_shard(survey, tmp_path, request=REQUEST, shard=Shard())
    lost = min((tmp_path / "test/photos").rglob("*.jpg"))
    lost.unlink()
    with pytest.raises(InputError, match=rf"{lost.name}: a held-out photograph is missing"):
        finish_dataset(survey, tmp_path, request=REQUEST, shards=1)


def test_a_run_that_was_killed_goes_on_and_its_result_is_the_same(survey, expected, tmp_path):
    script = f"""
        import time
        from pathlib import Path
        from overflight.data import tile_cut, tile_run
        from overflight.data.dataset import DatasetRequest, build_dataset
        from overflight.data.tile import TileRules

        def slowly(*args, **options):  # so that the kill comes in the middle
            time.sleep(0.05)
            return tile_cut.cut_photo(*args, **options)

        tile_run.cut_photo = slowly
        request = DatasetRequest(rules=TileRules(tile_px=128, overlap_px=32), workers=1)
        build_dataset(Path({str(survey)!r}), Path({str(tmp_path)!r}), request=request)
        """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    journal = tmp_path / Shard().journal
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None and lines(journal) < 2:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    done = lines(journal)
    assert done >= 2
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").rglob("*.jpg")}
    build_dataset(survey, tmp_path, request=REQUEST)
    assert content(tmp_path) == expected
    assert sum(path.stat().st_mtime_ns == before for path, before in written.items()) >= 2, "done is not done again"


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_workers_end_with_the_run_that_started_them(tmp_path):
    script = """
        import os, time
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing
        from overflight.data.tile_run import _start_worker

        if __name__ == "__main__":
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawn, initializer=_start_worker) as pool:
                print(pool.submit(os.getpid).result(), flush=True)
                time.sleep(60)
        """
    (tmp_path / "run.py").write_text(textwrap.dedent(script))
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py")], stdout=subprocess.PIPE, text=True)
    worker = int(process.stdout.readline())
    process.kill()
    process.wait(10)
    process.stdout.close()
    until = time.monotonic() + 10
    while time.monotonic() < until and _runs(worker):
        time.sleep(0.01)
    assert not _runs(worker)


def _runs(process_id):
    try:
        os.kill(process_id, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_photograph_called_like_a_tile_of_another_gets_a_name_of_its_own(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=4, photos=2, size_wh=(320, 240))
    for flight in range(1, 5):  # once cut with the same settings by hand, and left beside the photograph
        for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
            folder = source / kind / f"flight{flight}"
            (folder / f"flight{flight}_0002{suffix}").rename(folder / f"flight{flight}_0001_x00000_y00000{suffix}")
        small = cv2.imread(str(image := source / f"images/flight{flight}/flight{flight}_0001_x00000_y00000.jpg"))
        cv2.imwrite(str(image), small[:120, :120])
        (source / f"labels/flight{flight}/{image.stem}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    write_survey(read_survey(source, name="s"), tmp_path / "survey")
    made = build_dataset(tmp_path / "survey", tmp_path / "tiles", request=REQUEST)
    assert len(list((tmp_path / "tiles/images").rglob("*.jpg"))) == sum(made["tiles"].values())
    for line in map(json.loads, (tmp_path / "tiles/tiles.jsonl").read_text().splitlines()):
        assert sha256_file(tmp_path / "tiles" / line["tile"]) == line["sha256"]


def test_leftovers_of_other_settings_go(survey, expected, tmp_path):
    other = DatasetRequest(rules=TileRules(tile_px=160, overlap_px=32), seed=5, workers=1)
    cut_shard(survey, tmp_path, request=other, shard=Shard())
    build_dataset(survey, tmp_path, request=REQUEST)
    assert content(tmp_path) == expected


def test_a_finished_data_set_can_be_made_again_in_its_place(survey, expected, tmp_path):
    build_dataset(survey, tmp_path, request=REQUEST)
    build_dataset(survey, tmp_path, request=REQUEST)
    assert content(tmp_path) == expected


def test_while_tiles_are_cut_no_data_set_is_there(survey, tmp_path):
    build_dataset(survey, tmp_path, request=REQUEST)
    seen = []
    build_dataset(
        survey, tmp_path, request=REQUEST, progress=lambda *_: seen.append((tmp_path / DATASET_FILE).exists())
    )
    assert set(seen) == {False}


@pytest.mark.parametrize(
    ("rules", "note"),
    [
        pytest.param(
            TileRules(tile_px=64, overlap_px=0),
            r"whole in no tile .* tiles share 0 px.*Set .*OVERFLIGHT_OVERLAP_PX=48, so that",
            id="zero overlap",
        ),
        pytest.param(TileRules(tile_px=640), r"\d+ of \d+ photos are smaller than a tile of 640 px", id="large tile"),
    ],
)
def test_seams_and_small_photographs_are_told_with_the_cure(survey, tmp_path, rules, note):
    document = build_dataset(survey, tmp_path, request=DatasetRequest(rules=rules, workers=1))
    (found,) = document["notes"]
    assert re.search(note, found)
    assert sum(document["seams"].values()) == document["boxes"]["train"] + document["boxes"]["val"]


def test_the_overlap_that_a_note_asks_for_is_enough(survey, tmp_path):
    torn = build_dataset(
        survey, tmp_path / "torn", request=DatasetRequest(rules=TileRules(tile_px=64, overlap_px=0), workers=1)
    )
    asked = {name: int(value) for name, value in re.findall(r"OVERFLIGHT_(\w+)=(\d+)", torn["notes"][0])}
    rules = TileRules(tile_px=asked.get("TILE_PX", 64), overlap_px=asked["OVERLAP_PX"])
    document = build_dataset(survey, tmp_path / "whole", request=DatasetRequest(rules=rules, workers=1))
    assert document["seams"] == {"whole": sum(document["seams"].values()), "parts": 0, "lost": 0}
    assert not [note for note in document["notes"] if "whole in no tile" in note]


def test_an_unreadable_photograph_leaves_a_run_that_goes_on(tmp_path):
    survey = make_survey(tmp_path, flights=3, photos=2, size_wh=(200, 150))
    good = build_dataset(survey, tmp_path / "clean", request=REQUEST)
    photo = survey / json.loads((tmp_path / "clean/tiles.jsonl").read_text().splitlines()[0])["photo"]
    before = photo.read_bytes()
    photo.write_bytes(before[: len(before) // 2])
    with pytest.raises(InputError, match=rf"{photo.name}: unreadable image.*Copy it again"):
        build_dataset(survey, tmp_path / "target", request=REQUEST)
    assert not (tmp_path / "target" / DATASET_FILE).exists()
    photo.write_bytes(before)
    assert build_dataset(survey, tmp_path / "target", request=REQUEST) == good
    assert content(tmp_path / "target") == content(tmp_path / "clean")
