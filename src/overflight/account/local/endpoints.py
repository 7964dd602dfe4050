"""Makes server processes follow the endpoints in the store; called again and again by the supervisor.

Every decision is read from the store and written to it before or right after it is acted on, so a supervisor that was
killed is continued by the next one: servers that still run are kept, a start whose process number was not recorded yet
is found by its environment and ended. Only one supervisor may call this at a time. It does not know what a model does.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overflight.account.local import endpoint_records as records
from overflight.account.local import endpoint_servers as servers
from overflight.account.local import events
from overflight.account.local.endpoint_servers import PORT_VARIABLE, ServerFacts, StartRefused
from overflight.account.local.job_access import refused_access
from overflight.account.local.job_files import JobRefused
from overflight.account.local.processes import end_processes, find_leftovers
from overflight.account.local.services._tags import forget_tags, keep_tags
from overflight.account.local.store import Resource

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

STOP_GRACE_S = 28.0
RESTARTS_ALLOWED = 3
RESTART_WINDOW = timedelta(minutes=10)
DEFAULT_START_LIMIT_S = 120
URL_TAG = "overflight:url"  # where people find the server; DescribeEndpoint has no member for it

Change = Callable[[Resource], tuple[dict[str, Any], str]]

log = logging.getLogger(__name__)


def advance(account: LocalAccount) -> bool:
    """Take every endpoint one step towards what the store asks for.

    Returns:
        True while something is on its way (call again soon); False when all endpoints are at rest.
    """
    with account.store.read() as transaction:
        endpoints = transaction.list(records.KIND)
    busy = False
    for endpoint in endpoints:
        try:
            busy = _step(account, endpoint) or busy
        except Exception as error:  # one broken endpoint must not stop the others
            log.exception("endpoint %s: unexpected error", endpoint.name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"[:1024]
            _change(account, endpoint.name, functools.partial(_failed, account, reason=reason))
    return busy


def stop_all(account: LocalAccount, *, grace_s: float = STOP_GRACE_S) -> int:
    """End every server of the account and wait for it; endpoints start again with the next supervisor.

    Returns:
        How many servers ran.
    """
    with account.store.read() as transaction:
        endpoints = transaction.list(records.KIND)
    running = [facts.process for endpoint in endpoints for facts in _all_servers(endpoint)]
    count = end_processes([process for process in running if process is not None], grace_s=grace_s)
    count += end_processes(find_leftovers(account.home / "endpoints"), grace_s=grace_s)
    for endpoint in endpoints:
        for facts in _all_servers(endpoint):
            servers.reap(facts)
            servers.remove_folder(facts)
        _change(account, endpoint.name, _stopped)
    return count


def _stopped(endpoint: Resource) -> tuple[dict[str, Any], str]:
    """No server is left; what was in service is out of service until a supervisor runs again."""
    body = {**endpoint.body, "server": None, "next": None, "stopping": []}
    return body, "OutOfService" if endpoint.status == "InService" else endpoint.status


def server_of(account: LocalAccount, name: str) -> ServerFacts | None:
    """The server that answers for an endpoint, if one runs.

    Its address is for people (a browser, curl); programs call InvokeEndpoint.
    """
    with account.store.read() as transaction:
        endpoint = transaction.get(records.KIND, name)
    if endpoint is None or endpoint.body["server"] is None:
        return None
    facts = ServerFacts(**endpoint.body["server"])
    return facts if facts.alive else None


def _step(account: LocalAccount, endpoint: Resource) -> bool:
    endpoint = _end_stopping(account, endpoint)
    if endpoint.status == "Deleting":
        _delete(account, endpoint)
        return True
    if endpoint.body["next"] is not None:
        _watch_start(account, endpoint)
        return True
    if endpoint.status in {"Creating", "Updating", "OutOfService"}:
        _begin(account, endpoint)
        return True
    if endpoint.status == "InService" and not _runs(endpoint.body["server"]):
        _restart(account, endpoint)
        return True
    return bool(endpoint.body["stopping"])


def _runs(facts: dict[str, Any] | None) -> bool:
    if facts is None:
        return False
    servers.reap(ServerFacts(**facts))
    return ServerFacts(**facts).alive


def _all_servers(endpoint: Resource) -> list[ServerFacts]:
    body = endpoint.body
    listed = [body["server"], (body["next"] or {}).get("facts"), *(facts for facts, _ in body["stopping"])]
    return [ServerFacts(**facts) for facts in listed if facts]


def _change(account: LocalAccount, name: str, change: Change) -> Resource | None:
    """Write what ``change`` makes of the endpoint as it is *now*: calls may have changed it since it was read.

    The members about servers are written only here, ``target`` and the status also by calls.
    """
    with account.store.write() as transaction:
        endpoint = transaction.get(records.KIND, name)
        if endpoint is None:
            return None
        body, status = change(endpoint)
        if body == endpoint.body and status == endpoint.status:
            return endpoint
        changed = transaction.put(records.KIND, name, body=body, status=status)
        if body["server"] is not None and body["server"] != endpoint.body["server"]:
            keep_tags(transaction, body["arn"], [{"Key": URL_TAG, "Value": ServerFacts(**body["server"]).url}])
        if status != endpoint.status or body["failure_reason"] != endpoint.body["failure_reason"]:
            events.publish(transaction, time=account.clock(), **records.state_change(changed))
        return changed


def _begin(account: LocalAccount, endpoint: Resource) -> None:
    """Start a server for what is to be served; what was begun is in the store before anything is started."""
    body = endpoint.body
    role = "target" if endpoint.status in {"Creating", "Updating"} else "live"
    container = body[role]["container"]
    requested = _requested_port(container)
    if requested is not None and _port_is_ours(account, endpoint, requested):
        return
    try:
        port = _port(requested, body["server"])
    except StartRefused as error:
        _fail(account, endpoint.name, role, str(error))
        return
    generation, config = body["generation"] + 1, body[role]["config"]["name"]
    folder = account.home / "endpoints" / endpoint.name / f"{generation:03d}-{config}"
    log_file = _log_file(account, endpoint.name)
    facts = ServerFacts(0, 0.0, port, str(folder), account.clock().isoformat(), config)
    begun = {"facts": facts.to_json(), "role": role, "log_start": log_file.stat().st_size if log_file.exists() else 0}
    _change(account, endpoint.name, lambda e: ({**e.body, "next": begun, "generation": generation}, e.status))
    try:
        _require_artefact(account, endpoint.name, body[role])
        servers.unpack_model(container, account.objects, servers.ml_root(folder) / "model")
        mark = servers.start_server(folder, port=port, environment=container.get("Environment") or {}, log=log_file)
    except StartRefused as error:
        servers.remove_folder(facts)
        _fail(account, endpoint.name, role, str(error))
        return
    started = {**begun, "facts": replace(facts, pid=mark.pid, created_s=mark.created_s).to_json()}
    _change(account, endpoint.name, lambda e: ({**e.body, "next": started}, e.status))
    log.info("endpoint %s: server %d started on port %d", endpoint.name, mark.pid, port)


def _require_artefact(account: LocalAccount, name: str, deployment: dict[str, Any]) -> None:
    """The artefact is read as the model's execution role.

    Raises:
        StartRefused: that role may not read it.
    """
    container = deployment["container"]
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    uri, role_arn = container.get("ModelDataUrl") or source.get("S3Uri"), deployment.get("role_arn")
    if not uri or role_arn is None:  # deployed before roles were asked
        return
    try:
        why = refused_access(account, role_arn, name, "GetObject", uri)
    except JobRefused as error:
        raise StartRefused(str(error)) from error
    if why:
        raise StartRefused(f"Failed to download model data {uri}: {why}")


def _requested_port(container: dict[str, Any]) -> int | None:
    text = (container.get("Environment") or {}).get(PORT_VARIABLE, "")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _port(requested: int | None, before: dict[str, Any] | None) -> int:
    """The requested port; else that of the server before, if it is free again, so that the address stays."""
    if requested is not None or before is None:
        return servers.choose_port(requested)
    try:
        return servers.choose_port(before["port"])
    except StartRefused:
        return servers.choose_port(None)


def _port_is_ours(account: LocalAccount, endpoint: Resource, port: int) -> bool:
    """Whether the requested port is still held by a server of this endpoint, which is then asked to end first."""
    server = endpoint.body["server"]
    if server is not None and server["port"] == port and ServerFacts(**server).alive:
        _change(account, endpoint.name, lambda e: (_retired(account, e.body, "server"), e.status))
        return True
    return any(facts["port"] == port for facts, _ in endpoint.body["stopping"])


def _watch_start(account: LocalAccount, endpoint: Resource) -> None:
    """See whether the server that was started answers, died or takes too long."""
    begun = endpoint.body["next"]
    facts, role = ServerFacts(**begun["facts"]), begun["role"]
    if facts.pid == 0:  # a supervisor was killed between starting the server and noting its number
        end_processes(find_leftovers(Path(facts.folder)), grace_s=1.0)
        servers.remove_folder(facts)
        _change(account, endpoint.name, lambda e: ({**e.body, "next": None}, e.status))
        return
    if not _runs(begun["facts"]):
        said = servers.last_lines(_log_file(account, endpoint.name), since_byte=begun["log_start"])
        _fail(account, endpoint.name, role, f"The server ended before it answered /ping: {said}")
        servers.remove_folder(facts)
    elif servers.answers_ping(facts.port):
        _change(account, endpoint.name, lambda e: _switched(account, e))
        log.info("endpoint %s: in service at %s", endpoint.name, facts.url)
    elif account.clock() - datetime.fromisoformat(facts.started_at) > _start_limit(endpoint, role):
        servers.kill(facts)
        limit_s = int(_start_limit(endpoint, role).total_seconds())
        _fail(account, endpoint.name, role, f"The server did not pass the ping health check within {limit_s} s.")


def _start_limit(endpoint: Resource, role: str) -> timedelta:
    variant = endpoint.body[role]["config"]["request"]["ProductionVariants"][0]
    return timedelta(seconds=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", DEFAULT_START_LIMIT_S))


def _switched(account: LocalAccount, endpoint: Resource) -> tuple[dict[str, Any], str]:
    """The new server answers from now on; the one before is asked to end."""
    begun = endpoint.body["next"]
    body = _retired(account, endpoint.body, "server")
    body |= {"server": begun["facts"], "next": None}
    if begun["role"] == "target":
        body |= {"live": body["target"], "target": None}
    pending = endpoint.status == "Updating" and body["target"] is not None
    return body, endpoint.status if pending or endpoint.status == "Deleting" else "InService"


def _retired(account: LocalAccount, body: dict[str, Any], member: str) -> dict[str, Any]:
    """``body`` with the server in ``member`` (``server`` or ``next``) asked to end and moved to ``stopping``."""
    facts = body[member] if member == "server" else (body[member] or {}).get("facts")
    if facts is None:
        return {**body, member: None}
    servers.ask_to_end(ServerFacts(**facts))
    return {**body, member: None, "stopping": [*body["stopping"], [facts, account.clock().isoformat()]]}


def _restart(account: LocalAccount, endpoint: Resource) -> None:
    """The server of an endpoint in service has died: start another one, unless that happened too often lately."""
    now = account.clock()
    recent = [time for time in endpoint.body["restarts"] if now - datetime.fromisoformat(time) < RESTART_WINDOW]
    if len(recent) >= RESTARTS_ALLOWED:
        minutes = int(RESTART_WINDOW.total_seconds() // 60)
        said = servers.last_lines(_log_file(account, endpoint.name))
        reason = f"The server died again after {RESTARTS_ALLOWED} restarts within {minutes} minutes: {said}"
        _change(account, endpoint.name, lambda e: _failed(account, e, reason))
        return
    before = endpoint.body["server"]
    if before is not None:
        log.warning("endpoint %s: its server %d has died and is started again", endpoint.name, before["pid"])
    restarts = [*recent, now.isoformat()]
    changed = _change(account, endpoint.name, lambda e: ({**e.body, "restarts": restarts}, e.status))
    if changed is not None and changed.status == "InService":
        _begin(account, changed)


def _fail(account: LocalAccount, name: str, role: str, reason: str) -> None:
    """A start failed: the endpoint fails, or an update is rolled back to the server that still answers."""
    log.error("endpoint %s: %s", name, reason)

    def change(endpoint: Resource) -> tuple[dict[str, Any], str]:
        body = _retired(account, endpoint.body, "next")
        if endpoint.status == "Deleting":
            return body, endpoint.status
        if role == "live" and endpoint.status == "InService":  # tried again by the next round, up to the limit
            return {**body, "server": None}, endpoint.status
        if role == "target" and endpoint.status == "Updating" and body["live"] is not None:
            told = f"The update was rolled back, {body['live']['config']['name']} goes on: {reason}"
            return {**body, "target": None, "failure_reason": told}, "InService"
        return _failed(account, replace(endpoint, body=body), reason)

    _change(account, name, change)


def _failed(account: LocalAccount, endpoint: Resource, reason: str) -> tuple[dict[str, Any], str]:
    body = _retired(account, endpoint.body, "server")
    return {**body, "failure_reason": reason[:1024]}, "Failed"


def _end_stopping(account: LocalAccount, endpoint: Resource) -> Resource:
    """Forget servers that have ended; kill those that do not end in time."""
    waiting = []
    for facts, since in endpoint.body["stopping"]:
        server = ServerFacts(**facts)
        if not _runs(facts):
            servers.remove_folder(server)
            continue
        if (account.clock() - datetime.fromisoformat(since)).total_seconds() > STOP_GRACE_S:
            servers.kill(server)
        waiting.append([facts, since])
    if waiting == endpoint.body["stopping"]:
        return endpoint
    return _change(account, endpoint.name, lambda e: ({**e.body, "stopping": waiting}, e.status)) or endpoint


def _delete(account: LocalAccount, endpoint: Resource) -> None:
    """End the servers; when the last one is gone, remove folder and record."""
    body = endpoint.body
    if body["next"] is not None and body["next"]["facts"]["pid"] == 0:
        end_processes(find_leftovers(account.home / "endpoints" / endpoint.name), grace_s=1.0)
    if body["server"] is not None or body["next"] is not None:
        _change(
            account,
            endpoint.name,
            lambda e: (_retired(account, _retired(account, e.body, "server"), "next"), e.status),
        )
        return
    if body["stopping"]:
        return
    shutil.rmtree(account.home / "endpoints" / endpoint.name, ignore_errors=True)
    with account.store.write() as transaction:
        transaction.delete(records.KIND, endpoint.name)
        forget_tags(transaction, body["arn"])


def _log_file(account: LocalAccount, name: str) -> Path:
    return account.home / "endpoints" / name / "log.txt"
