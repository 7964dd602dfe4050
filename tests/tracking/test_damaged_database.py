"""A damaged MLflow database is named, left alone, and no traceback."""

import sqlite3

import pytest

from overflight.errors import StoreError
from overflight.tracking.reading import close_execution, find_execution_run
from overflight.tracking.settings import local_tracking_uri


def no_tables(path):
    sqlite3.connect(path).close()
    path.touch()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b"garbage" * 2000), id="garbage"),
        pytest.param(no_tables, id="empty"),
    ],
)
def test_a_damaged_database_is_said_with_the_cure(tmp_path, spoil):
    database = tmp_path / "mlflow/mlflow.db"
    database.parent.mkdir()
    spoil(database)
    before = database.read_bytes()
    uri = local_tracking_uri(tmp_path)
    for ask in (
        lambda: find_execution_run(uri, "x"),
        lambda: close_execution(uri, "x", status="FAILED", end_ms=1),
    ):
        with pytest.raises(StoreError, match=r"mlflow\.db: MLflow's database cannot be read.*move it away"):
            ask()
    assert database.read_bytes() == before
