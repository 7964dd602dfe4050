"""Calls of jobs are in the same trail, and their checkpoints beside those of all others."""

from __future__ import annotations

from overflight.account.local.job_access import access_environment
from overflight.account.local.verification import verify
from overflight.account.session import local_account, open_job_session
from overflight.settings import load_settings


def test_a_job_writes_its_checkpoints_where_the_account_has_them(tmp_path, monkeypatch):
    settings = load_settings(home=tmp_path / "home", trail_keys=tmp_path / "keys")
    account = local_account(settings)
    request = {"RoleArn": account.role_arn("deploy"), "Environment": {"OVERFLIGHT_ACCOUNT_ACCESS": "1"}}
    with account.store.write() as transaction:
        job = transaction.insert("processing-job", "deploy-1", body={"request": request})
    monkeypatch.delenv("OVERFLIGHT_TRAIL_KEYS")
    client = open_job_session(access_environment(account, job)).client("sts")
    for _ in range(257):  # entries until the first checkpoint is due
        client.get_caller_identity()
    found = verify(account.store, account.store.listener.ledger)
    assert (found.findings, found.checkpoints, found.covered) == ([], 1, 256)
    assert (settings.trail_keys_path / "checkpoints.jsonl").exists()
    account.close()
