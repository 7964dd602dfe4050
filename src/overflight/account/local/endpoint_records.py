"""What the store remembers of an endpoint: the shape of its document and the event that announces its changes.

Written by the operations (``services/endpoints``) and by what follows them (``endpoints``); knows no processes.

The document of kind ``endpoint``::

    arn                 name of the endpoint
    live, target        what is served, and what is to be served (None: nothing pending):
                        {"config": {"name", "request"}, "container", "model"}
    server, next        facts of the server that answers and of the one that is starting (see ServerFacts), or None;
                        ``next`` also says for which of the two: {"facts", "role": "live" | "target", "log_start"}
    stopping            [[facts, ISO time of the SIGTERM], ...]: servers that are on their way out
    restarts            ISO times at which a dead server was started again
    generation          number of servers started so far; names their folders
    failure_reason      why it failed, or why the last update was rolled back
    deployment_config   the DeploymentConfig of the last create or update, kept and not acted on
"""

from __future__ import annotations

import json
from typing import Any

from overflight.account.local.store import Resource, to_json

KIND = "endpoint"
_EVENT_WORDS = {
    "Creating": "CREATING",
    "Updating": "UPDATING",
    "InService": "IN_SERVICE",
    "Failed": "FAILED",
    "Deleting": "DELETING",
    "OutOfService": "OUT_OF_SERVICE",
}


def new_body(arn: str, *, deployment: dict[str, Any], update: dict[str, Any] | None) -> dict[str, Any]:
    """The document of an endpoint that was just created."""
    return {
        "arn": arn,
        "live": None,
        "target": deployment,
        "server": None,
        "next": None,
        "stopping": [],
        "restarts": [],
        "generation": 0,
        "failure_reason": "",
        "deployment_config": json.loads(to_json(update)) if update else None,
    }


def with_update(body: dict[str, Any], *, deployment: dict[str, Any], update: dict[str, Any] | None) -> dict[str, Any]:
    """The document after an accepted UpdateEndpoint."""
    kept = json.loads(to_json(update)) if update else body["deployment_config"]
    return {**body, "target": deployment, "failure_reason": "", "restarts": [], "deployment_config": kept}


def state_change(endpoint: Resource) -> dict[str, Any]:
    """The event ``SageMaker Endpoint State Change`` in EventBridge's form (without time and id)."""
    body = endpoint.body
    shown = body["live"] or body["target"]
    detail = {
        "EndpointName": endpoint.name,
        "EndpointArn": body["arn"],
        "EndpointConfigName": shown["config"]["name"],
        "ProductionVariants": [
            {"VariantName": variant["VariantName"]} for variant in shown["config"]["request"]["ProductionVariants"]
        ],
        "EndpointStatus": _EVENT_WORDS[endpoint.status],
        "CreationTime": int(endpoint.created_at.timestamp() * 1000),
        "LastModifiedTime": int(endpoint.modified_at.timestamp() * 1000),
        "Tags": {},
    }
    if body["failure_reason"]:
        detail["FailureReason"] = body["failure_reason"]
    return {
        "source": "aws.sagemaker",
        "detail_type": "SageMaker Endpoint State Change",
        "detail": detail,
        "resources": (body["arn"],),
    }
