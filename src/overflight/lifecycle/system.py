"""What is running, and stopping all of it.

On AWS only the account's resources are shown; ``down`` stops what this machine started.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from overflight.account.local.supervisor import stop_supervisor, supervisor_status
from overflight.account.session import local_account
from overflight.lifecycle.context import Context
from overflight.lifecycle.endpoints import list_endpoints
from overflight.lifecycle.runs import list_runs, stop_run
from overflight.tracking.server import MlflowServer, server_status, start_server, stop_server
from overflight.tracking.settings import OFF, local_tracking_uri
from overflight.tracking.uploader import replay_pending


def status(context: Context) -> dict[str, Any]:
    """Supervisor, MLflow pages, runs at work and endpoints; an account that was never used is all empty."""
    settings = context.settings
    facts: dict[str, Any] = {"platform": settings.platform, "region": settings.region, "role": settings.role}
    if context.is_local:
        facts["home"] = str(settings.home_path)
        if not settings.home_path.exists():
            return {**facts, "supervisor": None, "mlflow": None, "runs": [], "endpoints": []}
        supervisor = supervisor_status(local_account(settings))
        facts["supervisor"] = asdict(supervisor) if supervisor.running else None
        facts["mlflow"] = server_status(settings.home_path / "mlflow")
    running = [run for run in list_runs(context) if run["status"] in {"Executing", "Stopping"}]
    return {**facts, "runs": running, "endpoints": list_endpoints(context)}


def down(context: Context) -> dict[str, Any]:
    """Stop runs, endpoint servers, the supervisor and the MLflow pages of the local account; nothing is deleted.

    Endpoints start again with the next command that needs the account's supervisor.
    """
    if not context.is_local or not context.settings.home_path.exists():
        return {"runs": 0, "supervisor": False, "mlflow": False}
    running = [run for run in list_runs(context) if run["status"] == "Executing"]
    for run in running:
        stop_run(context, run["arn"])
    account = local_account(context.settings)
    return {
        "runs": len(running),
        "supervisor": stop_supervisor(account, timeout_s=40.0),
        "mlflow": stop_server(context.settings.home_path / "mlflow"),
    }


def tracking_uri(context: Context) -> str:
    """MLflow tracking URI of the account: the configured one, the local account's database, or ``off`` on AWS."""
    if context.settings.mlflow_uri:
        return context.settings.mlflow_uri
    return local_tracking_uri(context.settings.home_path) if context.is_local else OFF


def mlflow_folder(context: Context) -> Path:
    """Folder of the local account's MLflow."""
    return context.settings.home_path / "mlflow"


def open_mlflow(context: Context, *, port: int) -> MlflowServer:
    """Start MLflow's pages as a child process that outlives this one unless it is stopped.

    What killed jobs left behind in their event logs is uploaded first.
    """
    replay_pending(context.settings.home_path / "jobs", tracking_uri(context))
    return start_server(mlflow_folder(context), port=port)
