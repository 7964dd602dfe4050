"""Lint rules about one statement: shapes that grant more, or less, than they read.

``RULES`` is the table. Each rule is a small function from a statement to places with a sentence. Sources: IAM User
Guide ("Policy elements reference", "Conditions with multiple context keys or values", "The confused deputy problem"),
Service Authorization Reference (through ``actions``).
"""

from __future__ import annotations

import re
from typing import get_args

from overflight.iam.actions import expand, find, supplied, wildcard_only
from overflight.iam.lint_model import Kind, Reported, Statement, StatementRule, Test, may_meet, variables

_ALWAYS_THERE = {
    *("aws:currenttime", "aws:epochtime", "aws:principalaccount", "aws:principalarn", "aws:principaltype"),
    *("aws:requestedregion", "aws:securetransport", "aws:userid"),
}
"""Keys that every signed request carries. Source: IAM User Guide, "AWS global condition context keys"."""

_SEVERAL_VALUES = {
    *("aws:tagkeys", "aws:principalorgpaths", "aws:principalservicenameslist", "sagemaker:acceleratortypes"),
    *("sagemaker:customermetadatapropertiestoremove", "sagemaker:imagearns", "sagemaker:instancetypes"),
    *("sagemaker:studiolifecycleconfigarns", "sagemaker:vpcsecuritygroupids", "sagemaker:vpcsubnets"),
}
"""Keys with a list of values. Source: Service Authorization Reference, type ArrayOfString."""

_OPERATORS = {
    "null", "bool", "binaryequals", "ipaddress", "notipaddress",
    "stringequals", "stringnotequals", "stringequalsignorecase", "stringnotequalsignorecase", "stringlike",
    "stringnotlike", "arnequals", "arnlike", "arnnotequals", "arnnotlike",
    *(f"{kind}{name}" for kind in ("numeric", "date") for name in (
        "equals", "notequals", "lessthan", "lessthanequals", "greaterthan", "greaterthanequals")),
}  # fmt: skip
_ROOT = re.compile(r"arn:[^:]+:iam::\d{12}:root|\d{12}")
_PASSING = "iam:PassRole"


def _action(pattern: str) -> str:
    return f"Action/{pattern}"


def form(one: Statement) -> Reported:
    """Effect, and one of each pair of elements."""
    if one.effect not in {"Allow", "Deny"}:
        yield "Effect", f"the effect is {one.effect or 'missing'}"
    if bool(one.actions) == bool(one.not_actions):
        yield "Action", "there must be either Action or NotAction"
    for path, what in one.shapes:
        yield path, f"{path} {what}"


def sid(one: Statement) -> Reported:
    """A Sid that a denial can name."""
    if not one.sid:
        yield "Sid", "the statement has no Sid: a denial could not name it"
    elif not one.sid.isalnum() or not one.sid.isascii():
        yield "Sid", f"IAM accepts letters and digits only, not {one.sid}"


def unknown_action(one: Statement) -> Reported:
    """Every pattern takes in at least one action that exists."""
    for pattern in (*one.actions, *one.not_actions):
        if pattern != "*" and not expand(pattern):
            yield _action(pattern), f"there is no action {pattern}"


def unknown_operator(one: Statement) -> Reported:
    """Operators that AWS has."""
    for test in one.tests:
        bad_quantifier = test.quantifier not in {"", "forallvalues", "foranyvalue"}
        if test.base not in _OPERATORS or bad_quantifier or (test.base == "null" and test.operator.lower() != "null"):
            yield test.path, f"there is no operator {test.operator}"


def value_form(one: Statement) -> Reported:
    """Values of the kind that the operator compares."""
    for test in one.tests:
        for value in test.values:
            if "${" in value:
                continue
            if test.base in {"bool", "null"} and value.lower() not in {"true", "false"}:
                yield test.path, f"{value!r} is neither true nor false"
            if test.base.startswith("numeric") and not re.fullmatch(r"-?\d+(\.\d+)?", value):
                yield test.path, f"{value!r} is not a number"


def star_in_exact_match(one: Statement) -> Reported:
    """A star in StringEquals is the sign itself."""
    for test in one.tests:
        for value in test.values:
            if (
                test.base.startswith("string")
                and "like" not in test.base
                and re.search(r"[*?]", _without_variables(value))
            ):
                yield test.path, f"{test.operator} compares the star in {value!r} as a sign, not as a wildcard"


def set_operator_missing(one: Statement) -> Reported:
    """A key with several values needs a quantifier."""
    for test in one.tests:
        if test.key in _SEVERAL_VALUES and not test.quantifier and test.base != "null":
            yield test.path, f"{test.written} has several values; {test.operator} fits one only"


def condition_key(one: Statement) -> Reported:
    """A key that AWS does not supply for the action is always absent (X13)."""
    for pattern in one.actions:
        matched = [supply for action in expand(pattern) if (supply := supplied(action.lower(), "*"))]
        absent = [test for test in one.tests if matched and not any(supply.has(test.key) for supply in matched)]
        never = [test for test in absent if not _true_without_key(test)]
        if never:
            yield never[0].path, f"{pattern} has no key {never[0].written}; the statement {_nothing(one)}"
        elif absent and one.deny and len(absent) == len(one.tests):
            yield absent[0].path, f"{pattern} has no key {absent[0].written}; it is denied for ever"


def _true_without_key(test: Test) -> bool:
    if test.base == "null":
        return "true" in test.values
    return test.if_exists or test.quantifier == "forallvalues" or (test.negated and not test.quantifier)


def wildcard_only_on_arn(one: Statement) -> Reported:
    """An action without resource types has no effect on an ARN (O22, X15)."""
    if not one.resources or "*" in one.resources:
        return
    for pattern in one.actions:
        matched = expand(pattern)
        if matched and all(wildcard_only(action) for action in matched):
            yield _action(pattern), f"{pattern} has no resource type: on an ARN the statement {_nothing(one)}"


def _nothing(one: Statement) -> str:
    return "grants nothing" if one.allow else "denies nothing"


def resource_mismatch(one: Statement) -> Reported:
    """An action needs an ARN of one of its types, and an ARN needs an action."""
    known = [(pattern, found) for pattern in one.actions if (found := [find(name) for name in expand(pattern)])]
    if not one.resources or "*" in one.resources or len(known) < len(one.actions):
        return
    used: set[str] = set()
    for pattern, actions in known:
        types = {arn for action in actions if action for arn in action.resource_types.values()}
        met = {resource for resource in one.resources if any(may_meet(resource, arn) for arn in types)}
        used |= met
        if types and not met:
            yield _action(pattern), f"{pattern} is not about any of these resources: the statement {_nothing(one)}"
    for resource in one.resources:
        if used and resource not in used:
            yield f"Resource/{resource}", "no action of this statement is about this resource"


def resource_tag_on_create(one: Statement) -> Reported:
    """What is being created has no tag yet (X14)."""
    if not one.allow:
        return
    for test in one.tests:
        if re.match(r"[a-z0-9-]+:resourcetag/", test.key) and test.positive:
            for pattern in one.actions:
                matched = expand(pattern)
                if matched and all(_creates(action) for action in matched):
                    yield test.path, f"nothing that {pattern} creates has a tag yet"


def deny_by_missing_tag(one: Statement) -> Reported:
    """A negated test on a tag is true where there is no tag: every create is denied (X05)."""
    if not one.deny:
        return
    for test in one.tests:
        tag = re.match(r"[a-z0-9-]+:resourcetag/", test.key)
        if not tag or not test.negated or test.if_exists or test.quantifier or one.demands(test.key):
            continue
        creates = sorted(action for action in one.known_actions if _creates(action))
        if creates or one.not_actions:
            example = creates[0] if creates else "every create"
            yield test.path, f"{test.operator} is true where there is no tag: this denies {example} for ever"


def _creates(action: str) -> bool:
    supply = supplied(action.lower(), "*")
    return action.partition(":")[2].startswith("Create") and supply is not None and supply.has("aws:requesttag/x")


def deny_bool_mfa(one: Statement) -> Reported:
    """Without MFA the key is often absent, and Bool does not fire (O20)."""
    for test in one.tests:
        mfa = test.key == "aws:multifactorauthpresent" and test.base == "bool" and "false" in test.values
        if one.deny and mfa and not test.if_exists:
            yield test.path, "without MFA the key is often absent, and then Bool does not fire"


def for_all_values_unguarded(one: Statement) -> Reported:
    """ForAllValues is true where the key is absent (O04)."""
    for test in one.tests:
        if test.quantifier == "forallvalues" and not one.demands(test.key):
            yield test.path, f"{test.operator} is true where {test.written} is absent"


def negated_variable_unguarded(one: Statement) -> Reported:
    """Engines disagree about a negated test on a variable without a value."""
    for test in one.tests:
        if test.negated:
            for key in sorted({key for value in test.values for key in variables(value)} - _ALWAYS_THERE):
                if not one.demands(key):
                    yield test.path, f"what {test.operator} does is not settled where ${{{key}}} has no value"


def not_principal_allow(one: Statement) -> Reported:
    """Allow with NotPrincipal lets in the rest of the world."""
    if one.allow and one.not_principals:
        yield "NotPrincipal", "this lets in everybody else, in every account"


def not_action_allow(one: Statement) -> Reported:
    """Allow with NotAction grants what AWS adds tomorrow."""
    if one.allow and one.not_actions:
        yield "NotAction", "this grants every other action, and those that AWS will add"


def not_resource_allow(one: Statement) -> Reported:
    """Allow with NotResource grants on what is made tomorrow."""
    if one.allow and one.not_resources:
        yield "NotResource", "this grants on everything else that exists or will exist"


def allow_whole_service(one: Statement) -> Reported:
    """A whole service contains its permissions management."""
    if not one.allow or _delegates(one):
        return
    for pattern in one.actions:
        if pattern == "*" or pattern.partition(":")[2] == "*":
            yield _action(pattern), f"{pattern} contains the actions that change who may do what"


def allow_everything(one: Statement) -> Reported:
    """In a boundary too."""
    if one.allow and any(re.fullmatch(r"\*+|\*:\*", pattern) for pattern in one.actions):
        yield "Action/*", "a boundary that allows everything bounds nothing"


def _delegates(one: Statement) -> bool:
    """A key policy that leaves the decision to the account (KMS guide, "Default key policy")."""
    names = one.principals.get("AWS", ())
    return bool(names) and all(_ROOT.fullmatch(name) for name in names) and one.actions == ("kms:*",)


def session_principal(one: Statement) -> Reported:
    """A grant to a session passes by the boundary; engines disagree with a session policy."""
    for element in (one.principals, one.not_principals):
        for name in element.get("AWS", ()):
            if ":assumed-role/" in name:
                yield f"Principal/AWS/{name}", "it names a session: no boundary limits such a grant"


def resource_allow_everybody(one: Statement) -> Reported:
    """Engines disagree about a boundary and an Allow to everybody."""
    if one.allow and any("*" in names for names in one.principals.values()):
        yield "Principal", "it grants to everybody, in every account"


def pass_role_any(one: Statement) -> Reported:
    """PassRole only to roles that are listed (E02 to E10)."""
    if one.allow and _PASSING in one.known_actions:
        for resource in one.resources or ("*",):
            if re.search(r"[*?]", _without_variables(resource)):
                yield f"Resource/{resource}", f"{_PASSING} on a pattern hands over roles that nobody has made yet"


def pass_role_service(one: Statement) -> Reported:
    """PassRole says to which service (E22)."""
    if one.allow and _PASSING in one.known_actions:
        tests = [test for test in one.tested("iam:passedtoservice") if test.positive]
        if not any("*" not in "".join(test.values) for test in tests):
            yield _action(_PASSING), "the role can be passed to every service that runs code"


def trust_confused_deputy(one: Statement) -> Reported:
    """A service may act for this account's resources only (E23)."""
    if one.allow and one.principals.get("Service"):
        for key in ("aws:SourceAccount", "aws:SourceArn"):
            if not any(test.positive for test in one.tested(key.lower())):
                yield "Condition", f"without {key} another account's resource can make the service use this role"


def wild_type(one: Statement) -> Reported:
    """A wildcard in the type of a resource; AWS asks for none there (IAM User Guide, "IAM identifiers", ARNs)."""
    for arn in (*one.resources, *one.not_resources):
        parts = arn.split(":", 5)
        type_, slash, _ = parts[-1].partition("/")
        if len(parts) == 6 and parts[2] != "s3" and slash and set(type_) & set("*?"):
            yield "Resource", f"AWS takes no wildcard in the type of a resource: {arn}"


def resource_confused_deputy(one: Statement) -> Reported:
    """The same for resource policies; one of the keys is enough."""
    if one.allow and one.principals.get("Service"):
        tests = one.tested("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid")
        if not any(test.positive for test in tests):
            yield "Condition", "another account's resource can make the service act here"


def trust_root_open(one: Statement) -> Reported:
    """Trust in the account trusts all who have a broad sts grant (E23)."""
    if one.allow and any(_ROOT.fullmatch(name) for name in one.principals.get("AWS", ())):
        tests = one.tested("aws:principaltag/", "aws:principalarn", "sts:externalid", "aws:sourceidentity")
        if not any(test.positive for test in tests):
            yield "Condition", "everybody in the account whom an identity policy lets assume roles may assume this one"


def trust_without_mfa(one: Statement) -> Reported:
    """People come with a second factor."""
    if one.allow and any(_ROOT.fullmatch(name) for name in one.principals.get("AWS", ())):
        tests = one.tested("aws:multifactorauthpresent", "aws:multifactorauthage")
        if not any(test.positive for test in tests):
            yield "Condition", "a stolen password or access key is enough to assume the role"


def _without_variables(text: str) -> str:
    return re.sub(r"\$\{[^}]*\}", "", text)


_ANY: frozenset[Kind] = frozenset(get_args(Kind))
_ATTACHED: frozenset[Kind] = frozenset({"identity", "boundary", "session", "organisation"})
_GRANTS: frozenset[Kind] = frozenset({"identity", "session"})
_TRUST: frozenset[Kind] = frozenset({"trust"})
_RESOURCE: frozenset[Kind] = frozenset({"resource"})
_BOUNDARY: frozenset[Kind] = frozenset({"boundary"})
_NAMING = _TRUST | _RESOURCE
_NO_LIMIT = _GRANTS | _NAMING

RULES: tuple[StatementRule, ...] = tuple(
    StatementRule(check.__name__.replace("_", "-"), "warning" if check is sid else "error", kinds, check, cure)
    for kinds, check, cure in (
        (_ANY, form, "Write it as AWS reads it"),
        (_ANY, sid, "Give it a Sid that says what it is for"),
        (_ANY, unknown_action, "Correct the name, or add the service to the tables"),
        (_ANY, unknown_operator, "Use an operator of the IAM User Guide"),
        (_ANY, value_form, "Correct the value"),
        (_ANY, star_in_exact_match, "Use StringLike"),
        (_ANY, set_operator_missing, "Use ForAnyValue, or ForAllValues with Null false"),
        (_ANY, condition_key, "Put the action into a statement of its own"),
        (_ATTACHED, wildcard_only_on_arn, 'Write Resource "*" for it'),
        (_ATTACHED, resource_mismatch, "Correct the ARN: the Service Authorization Reference lists the types"),
        (_ATTACHED, wild_type, "Write the types out"),
        (_ATTACHED, resource_tag_on_create, "Use aws:RequestTag"),
        (_ANY, deny_by_missing_tag, "Deny by name, or add Null false for the tag"),
        (_ANY, deny_bool_mfa, "Use BoolIfExists"),
        (_ANY, for_all_values_unguarded, 'Add Null: {key: "false"}'),
        (_ANY, negated_variable_unguarded, 'Add Null: {key: "false"}'),
        (_NAMING, not_principal_allow, "Name those who may"),
        (_NO_LIMIT, not_action_allow, "List the actions"),
        (_NO_LIMIT, not_resource_allow, "List the resources"),
        (_NO_LIMIT, allow_whole_service, "List the actions"),
        (_BOUNDARY, allow_everything, "List the services"),
        (_NAMING, session_principal, "Name the role"),
        (_NAMING, resource_allow_everybody, "Name the role, the account or the service"),
        (_GRANTS, pass_role_any, "List the roles"),
        (_GRANTS, pass_role_service, "Add StringEquals iam:PassedToService"),
        (_TRUST, trust_confused_deputy, "Add the condition"),
        (_RESOURCE, resource_confused_deputy, "Add aws:SourceAccount"),
        (_TRUST, trust_root_open, "Add a condition on aws:PrincipalTag"),
        (_TRUST, trust_without_mfa, "Add Bool aws:MultiFactorAuthPresent true"),
    )
)
