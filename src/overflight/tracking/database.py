"""MLflow on this machine: quiet import, client, and its SQLite database made once, completely or not at all.

Knows nothing of runs. All imports of mlflow go through :func:`quiet_mlflow`: no telemetry, no automatic logging, no
files in the working directory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import warnings
from pathlib import Path
from typing import Any

from overflight.errors import ResourceError, StoreError
from overflight.tracking.locks import exclusive
from overflight.tracking.settings import database_of

QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # we retry ourselves, from the event log
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}

log = logging.getLogger(__name__)


def quiet_mlflow() -> Any:
    """The mlflow module (2 to 10 s on its first import).

    Raises:
        ResourceError: MLflow is not installed.
    """
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # 70 lines about migrations of an empty database
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback beside the error we report
    # MLflow 3.17 with SQLAlchemy 2.1; harmless for the queries made here
    warnings.filterwarnings("ignore", message=r"The ``noload`` loader strategy is deprecated")
    try:
        import mlflow
    except ImportError as error:
        raise ResourceError(
            "MLflow is not installed", where="mlflow", cure="Install it: pip install 'overflight[train]'"
        ) from error
    return mlflow


def open_client(tracking_uri: str) -> Any:
    """An ``MlflowClient`` for ``tracking_uri``; a SQLite database is created when it does not exist.

    Raises:
        StoreError: the database cannot be created or read.
        ResourceError: MLflow is not installed.
    """
    database = database_of(tracking_uri)
    if database is not None:
        ensure_database(database)
    mlflow = quiet_mlflow()
    return mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def ensure_database(database: Path) -> Path:
    """Create MLflow's SQLite database unless it exists; returns ``database``.

    The schema (about 2 s of migrations) is made under a temporary name, switched to write-ahead logging, so that
    readers do not wait for writers, and renamed: a process killed on the way leaves nothing behind that MLflow would
    stumble over. Two processes at once: the second waits and uses the first one's.

    Raises:
        StoreError: the folder cannot be written, MLflow refuses to create its tables, or the file is damaged.
    """
    if database.exists():
        return _readable(database)
    with exclusive(database.with_name(database.name + ".lock")):
        if database.exists():
            return database
        draft, complete = database.with_name(f".{database.name}.draft"), database.with_name(f".{database.name}.new")
        mlflow = quiet_mlflow()
        _remove(draft, complete)
        try:
            uri = f"sqlite:///{draft}"
            mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
            with contextlib.closing(sqlite3.connect(draft)) as connection:
                connection.execute("VACUUM INTO ?", (str(complete),))  # MLflow's pool keeps the draft open
            with contextlib.closing(sqlite3.connect(complete)) as connection:
                # MLflow points its empty experiment "Default" to the working directory of whoever came first
                connection.execute(
                    "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0",
                    (artifact_location(f"sqlite:///{database}"),),
                )
                connection.commit()
                connection.execute("PRAGMA journal_mode=WAL")
            complete.replace(database)
        except (mlflow.exceptions.MlflowException, sqlite3.Error, OSError) as error:
            raise StoreError(
                f"MLflow's database cannot be created: {error}",
                where=str(database),
                cure="Check that the folder can be written and the disk is not full",
            ) from error
        finally:
            _remove(draft, complete)
    return database


def _readable(database: Path) -> Path:
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise StoreError(
            f"MLflow's database cannot be read: {error}",
            where=str(database),
            cure="Restore it, or move it away: a new one is made; runs, models and surveys are kept elsewhere",
        ) from error
    return database


def artifact_location(tracking_uri: str) -> str | None:
    """Where artefacts of a local SQLite database lie (a ``file://`` address), None where the server decides."""
    database = database_of(tracking_uri)
    if database is None:
        return None
    folder = database.absolute().parent / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.as_uri()


def _remove(*paths: Path) -> None:
    for path in paths:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
