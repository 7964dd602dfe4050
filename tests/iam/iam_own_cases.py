"""Cases of our own in the schema of the truth cases: ids that the given files leave out, and more shapes.

Each states its rule in ``why``. ``disputed`` cases are not put to the second engine.
"""

HOME, ELSEWHERE = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{HOME}:role/DataScientist"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/DataScientist/alice"
ROOT = f"arn:aws:iam::{HOME}:root"
FOREIGN = f"arn:aws:iam::{ELSEWHERE}:role/DataScientist"
OBJECT = "arn:aws:s3:::ab-data-dev/a"
KEY = f"arn:aws:kms:us-east-1:{HOME}:key/11111111-1111-1111-1111-111111111111"
SM = f"arn:aws:sagemaker:us-east-1:{HOME}:"
TARGET = f"arn:aws:iam::{HOME}:role/ab-train"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def doc(*statements, version="2012-10-17"):
    return {"Version": version, "Statement": list(statements)}


def allow(action="*", resource="*", condition=None, **more):
    return _statement("Allow", action, resource, condition, more)


def deny(action="*", resource="*", condition=None, **more):
    return _statement("Deny", action, resource, condition, more)


def _statement(effect, action, resource, condition, more):
    one = {"Effect": effect, **more}
    if "NotAction" not in more:
        one["Action"] = action
    if "NotResource" not in more and resource is not None:
        one["Resource"] = resource
    return one | ({"Condition": condition} if condition else {})


def case(name, exp, action, resource, why, *, ident=None, ctx=None, disputed="", **more):
    ident = [doc(allow())] if ident is None else ident
    base = {"boundary": None, "rp": None, "scp": None, "session": None, "principal": ROLE, "acct": HOME}
    return (
        {"id": name, "exp": exp, "action": action, "resource": resource, "ctx": ctx or {}, "ident": ident}
        | base
        | {"why": why, "disputed": disputed, **more}
    )


def s3(name, exp, why, **more):
    return case(name, exp, "s3:GetObject", OBJECT, why, **more)


def grants(principal, action="s3:*", resource=OBJECT, **more):
    return doc(allow(action, resource, Principal=principal, **more))


PASS = [doc(allow("iam:PassRole", TARGET, {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}))]
OWN_PROFILE = [doc(allow("sagemaker:CreatePresignedDomainUrl", f"{SM}user-profile/*/${{aws:PrincipalTag/user}}"))]
PROFILE = f"{SM}user-profile/d-1/alice"
PACKAGE = f"{SM}model-package/ab-yolo/3"
PENDING = [
    doc(
        allow("sagemaker:UpdateModelPackage"),
        deny("sagemaker:UpdateModelPackage", condition={"StringEquals": {"sagemaker:ModelApprovalStatus": "Approved"}}),
        deny("sagemaker:UpdateModelPackage", condition={"Null": {"sagemaker:ModelLifeCycle:Stage": "false"}}),
    )
]
RETAG = [
    doc(
        allow("sagemaker:*"),
        deny(
            ["sagemaker:AddTags", "sagemaker:DeleteTags"],
            condition={
                "ForAnyValue:StringEquals": {"aws:TagKeys": ["env", "owner"]},
                "Null": {"sagemaker:TaggingAction": "true"},
            },
        ),
    )
]
SAME_TEAM = [doc(allow("sagemaker:*", condition={"StringEquals": {"aws:ResourceTag/x": "${aws:PrincipalTag/x}"}}))]
MFA = "aws:MultiFactorAuthPresent"
SPARED = doc(deny("s3:*", OBJECT, NotPrincipal={"AWS": [ROLE, ROOT]}))
READ = [doc(allow("s3:GetObject", OBJECT))]
NONE = []

CASES = [
    # --- ids of the complete set that the given files leave out
    case("T12", "Implicit", "iam:PassRole", TARGET, "a positive operator is false without its key", ident=PASS),
    case(
        "T19",
        "Implicit",
        "sagemaker:CreatePresignedDomainUrl",
        PROFILE,
        "an unresolved variable matches nothing",
        ident=OWN_PROFILE,
    ),
    case(
        "T19-star",
        "Implicit",
        "sagemaker:CreatePresignedDomainUrl",
        PROFILE,
        "a * in a tag is a plain letter",
        ident=OWN_PROFILE,
        ctx={"aws:PrincipalTag/user": "*"},
    ),
    s3("B04", "Explicit", "a Deny in the boundary wins", boundary=doc(allow(), deny("s3:*"))),
    s3(
        "R04",
        "Implicit",
        "across accounts both sides must allow",
        ident=NONE,
        principal=FOREIGN,
        rp=grants({"AWS": FOREIGN}),
    ),
    s3("R04-identity-only", "Implicit", "across accounts both sides must allow", principal=FOREIGN),
    s3("R04-both", "Allow", "across accounts both sides must allow", principal=FOREIGN, rp=grants({"AWS": FOREIGN})),
    s3(
        "R04-account",
        "Allow",
        "the owner may trust the whole account",
        principal=FOREIGN,
        rp=grants({"AWS": ELSEWHERE}),
    ),
    case(
        "R06",
        "Implicit",
        "kms:Decrypt",
        KEY,
        "identity policies count only if the key policy delegates",
        rp=grants({"AWS": f"arn:aws:iam::{HOME}:role/Other"}, "kms:*", "*"),
    ),
    case(
        "R06-direct",
        "Allow",
        "kms:Decrypt",
        KEY,
        "the key policy may name the role",
        ident=NONE,
        rp=grants({"AWS": ROLE}, "kms:*", "*"),
    ),
    case(
        "R06-root",
        "Implicit",
        "kms:Decrypt",
        KEY,
        "delegation to the account grants nobody by itself",
        ident=NONE,
        rp=grants({"AWS": ROOT}, "kms:*", "*"),
    ),
    case(
        "R09",
        "Allow",
        "sts:AssumeRole",
        TARGET,
        "in the account a trust policy that names the role suffices",
        ident=NONE,
        rp=grants({"AWS": ROLE}, "sts:AssumeRole", None),
    ),
    case(
        "R09-root",
        "Implicit",
        "sts:AssumeRole",
        TARGET,
        "trust in the account needs an identity policy",
        ident=NONE,
        rp=grants({"AWS": ROOT}, "sts:AssumeRole", None),
    ),
    case(
        "R09-root-identity",
        "Allow",
        "sts:AssumeRole",
        TARGET,
        "trust in the account and an identity policy",
        rp=grants({"AWS": ROOT}, "sts:AssumeRole", None),
    ),
    s3(
        "R10",
        "Implicit",
        "a grant to the role is limited by its boundary",
        ident=NONE,
        boundary=doc(allow("logs:*")),
        rp=grants({"AWS": ROLE}),
    ),
    s3(
        "R10-session",
        "Implicit",
        "the same asked by a session of the role",
        ident=NONE,
        boundary=doc(allow("logs:*")),
        rp=grants({"AWS": ROLE}),
        principal=SESSION,
    ),
    s3("S02", "Implicit", "every level of the organisation must allow", scp=[EVERYTHING, doc(allow("logs:*"))]),
    s3("P02", "Allow", "session and identity policy both allow", session=doc(allow("s3:GetObject")), principal=SESSION),
    s3(
        "P02-nothing-alone",
        "Implicit",
        "a session policy grants nothing alone",
        ident=NONE,
        principal=SESSION,
        session=doc(allow("s3:GetObject")),
    ),
    case(
        "O05",
        "Implicit",
        "sagemaker:CreateNotebookInstance",
        f"{SM}notebook-instance/n",
        "ForAnyValue without the key",
        ident=[doc(allow(condition={"ForAnyValue:StringEquals": {"sagemaker:VpcSecurityGroupIds": ["sg-1"]}}))],
    ),
    case(
        "O09", "Implicit", "s3:GetObject", "arn:aws:s3:::ab-data-dev/A", "resource ARNs are case-sensitive", ident=READ
    ),
    s3("O12", "Implicit", "NotResource leaves out what it lists", ident=[doc(allow("s3:*", NotResource=OBJECT))]),
    case(
        "O12-other",
        "Allow",
        "s3:GetObject",
        OBJECT + "b",
        "NotResource is about all the rest",
        ident=[doc(allow("s3:*", NotResource=OBJECT))],
    ),
    case(
        "O16",
        "Allow",
        "sagemaker:DescribeEndpoint",
        f"{SM}endpoint/e",
        "tags of resource and principal agree",
        ident=SAME_TEAM,
        ctx={"aws:ResourceTag/x": "p", "aws:PrincipalTag/x": "p"},
    ),
    case(
        "O16-mismatch",
        "Implicit",
        "sagemaker:DescribeEndpoint",
        f"{SM}endpoint/e",
        "tags disagree",
        ident=SAME_TEAM,
        ctx={"aws:ResourceTag/x": "p", "aws:PrincipalTag/x": "q"},
    ),
    s3(
        "O20",
        "Allow",
        "Deny with Bool does not fire without the key",
        ident=[doc(allow(), deny(condition={"Bool": {MFA: "false"}}))],
    ),
    case(
        "O22",
        "Implicit",
        "sagemaker:ListEndpoints",
        "*",
        "a list action granted on an ARN is not granted",
        ident=[doc(allow("sagemaker:ListEndpoints", f"{SM}endpoint/*"))],
    ),
    case(
        "X04",
        "Allow",
        "sagemaker:AddTags",
        f"{SM}endpoint/ab-dev-e",
        "tagging while creating is left open",
        ident=RETAG,
        ctx={"aws:TagKeys": ["env"], "sagemaker:TaggingAction": "CreateEndpoint"},
    ),
    case(
        "X08",
        "Explicit",
        "sagemaker:CreateModelPackage",
        PACKAGE,
        "the approver cannot register",
        ident=[doc(allow("sagemaker:UpdateModelPackage"), deny("sagemaker:CreateModelPackage"))],
    ),
    case(
        "X11",
        "Explicit",
        "sagemaker:UpdateModelPackage",
        PACKAGE,
        "the life cycle is a second approval channel: closed",
        ident=PENDING,
        ctx={"sagemaker:ModelLifeCycle:Stage": "Production"},
    ),
    case(
        "X14",
        "Implicit",
        "sagemaker:CreateTrainingJob",
        f"{SM}training-job/x",
        "nothing has a resource tag before it exists: the request carries none, the condition never holds",
        ident=[doc(allow("sagemaker:*", condition={"StringEquals": {"aws:ResourceTag/env": "dev"}}))],
        ctx={"aws:RequestTag/env": "dev"},
    ),
    case(
        "X15",
        "Implicit",
        "sagemaker-mlflow:AccessUI",
        "*",
        "an action without resource types is granted on * only",
        ident=[doc(allow("sagemaker-mlflow:AccessUI", f"{SM}mlflow-tracking-server/ab"))],
    ),
    case(
        "X15-arn",
        "Implicit",
        "sagemaker-mlflow:AccessUI",
        f"{SM}mlflow-tracking-server/ab",
        "the same when the request names an ARN",
        disputed="the second engine refuses to be asked",
        ident=[doc(allow("sagemaker-mlflow:AccessUI", f"{SM}mlflow-tracking-server/ab"))],
    ),
    case(
        "X16",
        "Allow",
        "sagemaker-mlflow:SetRegisteredModelAlias",
        f"{SM}mlflow-tracking-server/ab",
        "a hole: denying the registry's status leaves MLflow's alias open",
        ident=[doc(allow("sagemaker-mlflow:*"), deny("sagemaker:UpdateModelPackage"))],
    ),
    # --- shapes still to be written, with the answer of both engines
    s3(
        "session-grant-boundary",
        "Allow",
        "a grant to the very session is not limited by the boundary",
        ident=NONE,
        boundary=doc(allow("logs:*")),
        rp=grants({"AWS": SESSION}),
        principal=SESSION,
    ),
    s3(
        "not-principal-boundary",
        "Explicit",
        "NotPrincipal with Deny denies whoever has a boundary",
        ident=READ,
        boundary=EVERYTHING,
        rp=SPARED,
    ),
    s3("not-principal", "Allow", "NotPrincipal with Deny spares role and account that it lists", ident=READ, rp=SPARED),
    s3(
        "not-principal-session",
        "Allow",
        "a session of the listed role is spared too",
        ident=READ,
        rp=SPARED,
        principal=SESSION,
    ),
    s3(
        "not-principal-no-account",
        "Explicit",
        "AWS also checks the account: it must be listed",
        ident=READ,
        rp=doc(deny("s3:*", OBJECT, NotPrincipal={"AWS": [ROLE]})),
        disputed="the second engine spares the role",
    ),
    s3(
        "session-grant-session-policy",
        "Allow",
        "permissions granted to the session itself are added after its policy",
        ident=NONE,
        session=doc(allow("logs:*")),
        rp=grants({"AWS": SESSION}),
        principal=SESSION,
        disputed="engines disagree; the linter refuses the shape",
    ),
    s3(
        "everybody-boundary",
        "Implicit",
        "a grant to everybody is limited by the boundary like one to the role",
        ident=NONE,
        boundary=doc(allow("logs:*")),
        rp=grants("*"),
        disputed="engines disagree; the linter refuses the shape",
    ),
    # --- more rules
    s3("everybody", "Allow", "a grant to everybody reaches the role", ident=NONE, rp=grants("*")),
    s3(
        "other-session",
        "Implicit",
        "a grant to another session",
        ident=NONE,
        rp=grants({"AWS": SESSION[:-5] + "bob"}),
        principal=SESSION,
    ),
    s3(
        "service-only",
        "Implicit",
        "a grant to a service is none to a role",
        ident=NONE,
        rp=grants({"Service": "sagemaker.amazonaws.com"}),
    ),
    s3(
        "unknown-id",
        "Implicit",
        "a principal that was deleted leaves an id that matches nobody",
        ident=NONE,
        rp=grants({"AWS": "AROAEXAMPLEEXAMPLE"}),
    ),
    s3(
        "deny-in-session",
        "Explicit",
        "a Deny in the session policy wins",
        principal=SESSION,
        session=doc(allow(), deny("s3:*")),
    ),
    s3(
        "deny-other-account",
        "Explicit",
        "a Deny by account number reaches its roles",
        rp=doc(deny("s3:*", OBJECT, Principal={"AWS": HOME})),
    ),
    s3(
        "old-version",
        "Implicit",
        "in version 2008-10-17 a variable is plain text",
        ident=[doc(allow("s3:*", "arn:aws:s3:::ab-data-dev/${aws:PrincipalTag/x}"), version="2008-10-17")],
        ctx={"aws:PrincipalTag/x": "a"},
        disputed="the second engine fills it in",
    ),
    s3(
        "default-value",
        "Allow",
        "a variable with a default where the key is absent",
        ident=[doc(allow("s3:*", "arn:aws:s3:::ab-data-dev/${aws:PrincipalTag/x, 'a'}"))],
    ),
    s3(
        "not-resource-unresolved",
        "Implicit",
        "an unresolved variable matches nothing in NotResource either",
        ident=[doc(allow("s3:*", NotResource="arn:aws:s3:::ab-data-dev/${aws:PrincipalTag/x}"))],
    ),
    s3(
        "negated-unresolved",
        "Implicit",
        "nor in a negated operator",
        ctx={"aws:SourceIdentity": "bob"},
        ident=[doc(allow(condition={"StringNotEquals": {"aws:SourceIdentity": "${aws:PrincipalTag/x}"}}))],
    ),
    s3(
        "global-key",
        "Allow",
        "global keys are in every request",
        ctx={"aws:SourceIp": "203.0.113.9"},
        ident=[doc(allow(condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}))],
    ),
    s3(
        "tag-not-listed",
        "Explicit",
        "a tag key counts as absent for an action that takes no tags",
        ident=[doc(allow(), deny(condition={"Null": {"aws:RequestTag/env": "true"}}))],
        ctx={"aws:RequestTag/env": "dev"},
        disputed="the second engine keeps every global key",
    ),
    case(
        "caller-identity",
        "Allow",
        "sts:GetCallerIdentity",
        "*",
        "no policy is needed, and none can deny it",
        ident=[doc(deny())],
    ),
    case(
        "no-trust-policy",
        "Implicit",
        "sts:AssumeRole",
        TARGET,
        "every role has a trust policy: unknown means no",
        disputed="the second engine then asks the identity policy alone",
    ),
    case(
        "wildcard-in-resource-type",
        "Explicit",
        "sagemaker:DeleteEndpoint",
        f"{SM}endpoint/ab-prod-e",
        "AWS says that no wildcard may stand in the resource type; we match it like every other part",
        ident=[doc(allow(), deny("sagemaker:*", f"{SM}end*/ab-prod-*"))],
        disputed="the second engine matches nothing",
    ),
]
