"""Mistakes as people make them, planted into copies of the identity template: one for each path E01 to E25, and more.

A weakness is what somebody asked for (``asked``) together with the guards that went away for it (``guards``). Where the
boundary alone would still block what was asked for, the boundary's statement is one of the guards. ``instead`` is the
change that gives nearly the same and keeps the guard.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from overflight.governance.escalation import Access
from overflight.iam.access import read_access
from overflight.infra.templates import read_template, resolve, template_text

Template = dict[str, Any]
Change = Callable[[Template], None]

PLACE = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:"
ROLES = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/"
TO_SAGEMAKER = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
ENV = {"StringEquals": {"aws:RequestTag/env": {"Ref": "Environment"}}}


@cache
def _template() -> Template:
    return read_template(template_text("identity"))


def planted(changes: Iterable[Change], environment: str = "dev", subnets: str = "") -> Access:
    """The roles of a copy of the template with some changes."""
    template = copy.deepcopy(_template())
    for change in changes:
        change(template)
    place = {"account_id": "123456789012", "region": "eu-central-1"}
    resolved = resolve(template, parameters={"Environment": environment, "SubnetIds": subnets}, **place)
    return read_access(resolved.resources, prefix="overflight", environment=environment, arns=resolved.arns, **place)


def allow(
    role: str, actions: str | list[str], on: str | list[str] = "*", when: Mapping[str, Any] | None = None
) -> Change:
    """A role gets one more statement."""
    resources = [on] if isinstance(on, str) else on

    def change(template: Template) -> None:
        statement = {
            "Sid": "Planted",
            "Effect": "Allow",
            "Action": actions,
            "Resource": [{"Fn::Sub": one} if "$" in one else one for one in resources],
        } | ({"Condition": when} if when else {})
        template["Resources"][role]["Properties"]["Policies"].append(
            {"PolicyName": "planted", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
        )

    return change


def deny(role: str, actions: str | list[str], when: Mapping[str, Any]) -> Change:
    """A role gets one more statement that denies."""

    def change(template: Template) -> None:
        statement = {"Sid": "Planted", "Effect": "Deny", "Action": actions, "Resource": "*", "Condition": when}
        template["Resources"][role]["Properties"]["Policies"].append(
            {"PolicyName": "planted-deny", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
        )

    return change


def drop(resource: str, sid: str) -> Change:
    """A statement is deleted."""

    def change(template: Template) -> None:
        statements = _list_with(template["Resources"][resource], sid)
        statements[:] = [one for one in statements if one.get("Sid") != sid]

    return change


def rewrite(resource: str, sid: str, **elements: Any) -> Change:
    """Elements of a statement are written anew; None takes one away."""

    def change(template: Template) -> None:
        statement = _statement(template["Resources"][resource], sid)
        for name, value in elements.items():
            if value is None:
                del statement[name]
            else:
                statement[name] = value

    return change


def add(resource: str, sid: str, **elements: list[Any]) -> Change:
    """A statement's lists get longer."""

    def change(template: Template) -> None:
        statement = _statement(template["Resources"][resource], sid)
        for name, values in elements.items():
            old = statement[name] if isinstance(statement[name], list) else [statement[name]]
            statement[name] = [*old, *values]

    return change


def trusting(role: str, *without: str, service: str = "", arns: list[str] | None = None) -> Change:
    """A trust policy loses condition keys, takes in a service, or names other resources."""

    def change(template: Template) -> None:
        for statement in template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            for operator, block in list(statement["Condition"].items()):
                for key in without:
                    block.pop(key, None)
                if not block:
                    del statement["Condition"][operator]
            if service:
                statement["Principal"] = {"Service": [statement["Principal"]["Service"], service]}
            if arns is not None:
                statement["Condition"]["ArnLike"]["aws:SourceArn"] = [{"Fn::Sub": one} for one in arns]

    return change


def _statement(part: Any, sid: str) -> dict[str, Any]:
    return next(one for one in _list_with(part, sid) if isinstance(one, dict) and one.get("Sid") == sid)


def _list_with(part: Any, sid: str) -> list[Any]:
    """The list that has the statement, wherever it is."""
    if isinstance(part, list) and any(isinstance(one, dict) and one.get("Sid") == sid for one in part):
        return part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        try:
            return _list_with(one, sid)
        except LookupError:
            continue
    raise LookupError(sid)


@dataclass(frozen=True)
class Weakness:
    """A planted weakness and what must be said about it.

    Attributes:
        id: Path.
        words: The mistake.
        who: Role that comes too far.
        target: What it comes by.
        actions: Actions of the counter-example, in order.
        asked: Changes that somebody wanted.
        guards: Changes that took guards away; putting any one of them back must close the path again.
        instead: Changes that keep the guard; where ``guards`` is empty.
        way: The way of the path, where another way of it is open as well.
    """

    id: str
    words: str
    who: str
    target: str
    actions: tuple[str, ...]
    asked: tuple[Change, ...] = ()
    guards: tuple[Change, ...] = ()
    instead: tuple[Change, ...] = ()
    way: str = ""


PASS_ANY = {"Fn::Sub": f"{ROLES}*"}
NO_SOURCE = ("aws:SourceArn", "aws:SourceAccount")

WEAKNESSES = [
    Weakness(
        "E01",
        "notebook instances for data scientists, boundary opened for them, role trusts every kind of resource",
        "data-scientist",
        "experiment",
        ("sagemaker:CreateNotebookInstance",),
        (allow("DataScientist", "sagemaker:CreateNotebookInstance", f"{PLACE}notebook-instance/${{Prefix}}-*"),),
        (drop("Boundary", "NobodyOpensADoor"), trusting("Experiment", *NO_SOURCE)),
    ),
    Weakness(
        "E02",
        "PassRole on role/*",
        "data-scientist",
        "train",
        ("sagemaker:CreateTrainingJob",),
        (rewrite("DataScientist", "PassTheRoleForExperiments", Resource=PASS_ANY),),
        instead=(rewrite("DataScientist", "PassTheRoleForExperiments", Resource={"Fn::Sub": f"{ROLES}*-experiment"}),),
    ),
    Weakness(
        "E03",
        "processing jobs for ML engineers, who can pass the role that watches",
        "ml-engineer",
        "watch",
        ("sagemaker:CreateProcessingJob",),
        (
            allow(
                "MlEngineer",
                "sagemaker:CreateProcessingJob",
                f"{PLACE}processing-job/${{Prefix}}-${{Environment}}-*",
                ENV,
            ),
        ),
        instead=(
            allow(
                "MlEngineer",
                "sagemaker:CreateProcessingJob",
                f"{PLACE}processing-job/${{Prefix}}-${{Environment}}-*",
                ENV,
            ),
            rewrite("MlEngineer", "PassPipelineRole", Resource={"Fn::Sub": f"{ROLES}${{Prefix}}-register"}),
        ),
    ),
    Weakness(
        "E04",
        "AutoML for data scientists",
        "data-scientist",
        "experiment",
        ("sagemaker:CreateAutoMLJobV2",),
        (allow("DataScientist", "sagemaker:CreateAutoMLJobV2"),),
        instead=(
            allow("DataScientist", "sagemaker:CreateAutoMLJobV2"),
            trusting("Experiment", arns=[f"{PLACE}{kind}-job/${{Prefix}}-*" for kind in ("training", "processing")]),
        ),
    ),
    Weakness(
        "E05",
        "ML engineers make trial endpoints themselves and pass the serving role",
        "ml-engineer",
        "serve",
        ("sagemaker:CreateModel", "sagemaker:CreateEndpointConfig", "sagemaker:CreateEndpoint"),
        (
            allow(
                "MlEngineer",
                ["sagemaker:CreateModel", "sagemaker:CreateEndpointConfig", "sagemaker:CreateEndpoint"],
                [f"{PLACE}{kind}/${{Prefix}}-${{Environment}}-*" for kind in ("model", "endpoint-config", "endpoint")],
            ),
        ),
        (add("MlEngineer", "PassPipelineRole", Resource=[{"Fn::Sub": f"{ROLES}${{Prefix}}-serve"}]),),
    ),
    Weakness(
        "E06",
        "data scientists run batch transforms and pass the serving role",
        "data-scientist",
        "serve",
        ("sagemaker:CreateModel", "sagemaker:CreateTransformJob"),
        (allow("DataScientist", ["sagemaker:CreateModel", "sagemaker:CreateTransformJob"]),),
        (add("DataScientist", "PassTheRoleForExperiments", Resource=[{"Fn::Sub": f"{ROLES}${{Prefix}}-serve"}]),),
    ),
    Weakness(
        "E07",
        "UpdatePipeline on pipeline/*, the deploy pipeline included",
        "ml-engineer",
        "deploy",
        ("sagemaker:UpdatePipeline",),
        (rewrite("MlEngineer", "PublishPipelines", Resource={"Fn::Sub": f"{PLACE}pipeline/*"}),),
        instead=(
            rewrite(
                "MlEngineer",
                "PublishPipelines",
                Resource=[{"Fn::Sub": f"{PLACE}pipeline/${{Prefix}}-{env}-*"} for env in ("${Environment}", "test")],
            ),
        ),
    ),
    Weakness(
        "E08",
        "data scientists edit Studio profiles, boundary opened for them, a role trusts every kind of resource",
        "data-scientist",
        "train",
        ("sagemaker:UpdateUserProfile", "sagemaker:CreatePresignedDomainUrl"),
        (allow("DataScientist", "sagemaker:UpdateUserProfile", f"{PLACE}user-profile/*"),),
        (drop("Boundary", "OnlyAdminSetsUpStudio"), trusting("Train", *NO_SOURCE)),
    ),
    Weakness(
        "E09",
        "admins open their own Studio, the evaluation role trusts every kind of resource",
        "admin",
        "evaluate",
        ("sagemaker:UpdateDomain", "sagemaker:CreatePresignedDomainUrl"),
        (
            allow(
                "Admin",
                "sagemaker:CreatePresignedDomainUrl",
                f"{PLACE}user-profile/*/${{!aws:PrincipalTag/overflight-user}}",
            ),
        ),
        (trusting("Evaluate", "aws:SourceArn"),),
    ),
    Weakness(
        "E10",
        "ML engineers pass every role of ours, and schedule monitoring",
        "ml-engineer",
        "evaluate",
        ("sagemaker:CreateMonitoringSchedule",),
        (rewrite("MlEngineer", "PassPipelineRole", Resource={"Fn::Sub": f"{ROLES}${{Prefix}}-*"}),),
        instead=(rewrite("MlEngineer", "PassPipelineRole", Resource={"Fn::Sub": f"{ROLES}${{Prefix}}-[rw]*"}),),
    ),
    Weakness(
        "E11",
        "Studio on user-profile/*",
        "data-scientist",
        "enter workspace",
        ("sagemaker:CreatePresignedDomainUrl",),
        (rewrite("DataScientist", "OwnStudio", Resource={"Fn::Sub": f"{PLACE}user-profile/*"}),),
        instead=(
            rewrite(
                "DataScientist",
                "OwnStudio",
                Resource={"Fn::Sub": f"{PLACE}user-profile/d-*/${{!aws:PrincipalTag/overflight-user}}"},
            ),
        ),
    ),
    Weakness(
        "E12",
        "data scientists open notebooks, boundary opened for them",
        "data-scientist",
        "enter workspace",
        ("sagemaker:CreatePresignedNotebookInstanceUrl",),
        (allow("DataScientist", "sagemaker:CreatePresignedNotebookInstanceUrl"),),
        (drop("Boundary", "NobodyOpensADoor"),),
    ),
    Weakness(
        "E13",
        "admins write lifecycle scripts, boundary opened for them",
        "admin",
        "enter workspace",
        ("sagemaker:CreateStudioLifecycleConfig", "sagemaker:UpdateDomain"),
        (allow("Admin", "sagemaker:CreateStudioLifecycleConfig"),),
        (drop("Boundary", "NobodyOpensADoor"),),
    ),
    Weakness(
        "E14",
        "data scientists connect their editor to spaces, boundary opened for them",
        "data-scientist",
        "enter workspace",
        ("sagemaker:StartSession",),
        (allow("DataScientist", "sagemaker:StartSession", f"{PLACE}space/*"),),
        (drop("Boundary", "NobodyOpensADoor"),),
    ),
    Weakness(
        "E15",
        "remote debugging allowed again",
        "data-scientist",
        "enter job",
        ("sagemaker:CreateTrainingJob",),
        (),
        (drop("Boundary", "NobodyEntersAJob"),),
    ),
    Weakness(
        "E16",
        "ML engineers answer for waiting steps, boundary opened for them",
        "ml-engineer",
        "answer",
        ("sagemaker:SendPipelineExecutionStepSuccess",),
        (allow("MlEngineer", "sagemaker:SendPipelineExecutionStepSuccess", f"{PLACE}pipeline/*"),),
        (drop("Boundary", "OnlyDeployAnswersForAStep"),),
    ),
    Weakness(
        "E17",
        "ML engineers share model packages with another account, boundary opened for them",
        "ml-engineer",
        "share",
        ("sagemaker:PutModelPackageGroupPolicy",),
        (allow("MlEngineer", "sagemaker:PutModelPackageGroupPolicy", f"{PLACE}model-package-group/${{Prefix}}-*"),),
        (drop("Boundary", "NobodyShares"),),
    ),
    Weakness(
        "E18",
        "AddTags at any time, and the guard of TaggingAction dropped",
        "ml-engineer",
        "retag",
        ("sagemaker:AddTags",),
        (rewrite("MlEngineer", "TagWhatIsCreated", Condition=None),),
        (drop("Boundary", "GovernedTagsStay"),),
    ),
    Weakness(
        "E19",
        "data scientists repair datasets, bucket policy opened for them",
        "data-scientist",
        "write datasets",
        ("s3:PutObject",),
        (allow("DataScientist", "s3:PutObject", "${DataBucket.Arn}/runs/*"),),
        (drop("DataBucketPolicy", "OnlyJobsWriteRuns"),),
    ),
    Weakness(
        "E20",
        "data scientists edit model packages, boundary opened for them",
        "data-scientist",
        "approve",
        ("sagemaker:UpdateModelPackage",),
        (allow("DataScientist", "sagemaker:UpdateModelPackage", f"{PLACE}model-package/${{Prefix}}-*"),),
        (drop("Boundary", "OnlyApproverDecides"),),
    ),
    Weakness(
        "E21",
        "admins edit policies of roles, boundary opened for them",
        "admin",
        "identity",
        ("iam:PutRolePolicy",),
        (allow("Admin", "iam:PutRolePolicy"),),
        (drop("Boundary", "NobodyChangesIdentity"), add("Boundary", "ServicesInUse", Action=["iam:*"])),
    ),
    Weakness(
        "E22",
        "ML engineers start pipelines by a schedule: PassedToService dropped, the role trusts the scheduler",
        "ml-engineer",
        "register",
        ("scheduler:CreateSchedule",),
        (allow("MlEngineer", "scheduler:CreateSchedule"),),
        (
            rewrite("MlEngineer", "PassPipelineRole", Condition=None),
            drop("Boundary", "RolesGoToSageMakerOnly"),
            trusting("Register", "aws:SourceArn", service="scheduler.amazonaws.com"),
        ),
    ),
    Weakness(
        "E23",
        "the deploy role trusts SageMaker without asking for whom",
        "outside",
        "deploy",
        ("sts:AssumeRole",),
        (trusting("Deploy", *NO_SOURCE),),
        instead=(trusting("Deploy", "aws:SourceArn"),),
    ),
    Weakness(
        "E24",
        "admins pause the trail, boundary opened for them",
        "admin",
        "silence",
        ("cloudtrail:StopLogging",),
        (allow("Admin", "cloudtrail:StopLogging"),),
        (drop("Boundary", "NobodySilencesTheTrail"),),
    ),
    Weakness(
        "E25",
        "TargetModel no longer denied",
        "data-scientist",
        "pick model",
        ("sagemaker:InvokeEndpoint",),
        (),
        (drop("Boundary", "NobodyPicksAModelInside"),),
    ),
]
