"""A template resolved here has the values that CloudFormation would give, and is refused where it would refuse it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from overflight.errors import NotFoundError, UsageError
from overflight.infra import reading
from overflight.infra.templates import load, read_template, resolve, template_names, template_text

ACCOUNT, REGION = "123456789012", "eu-central-1"
TEMPLATES = Path(__file__).parents[2] / "src/overflight/infra/templates"

PARAMETERS = """
Parameters:
  Prefix: {Type: String, Default: ov}
  Environment: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Hours: {Type: Number, Default: 8}
  Subnets: {Type: CommaDelimitedList, Default: "a, b"}
Mappings:
  Sizes: {dev: {count: 1, "on": true, names: [x, y]}, prod: {count: 3, "on": false, names: [z]}}
Conditions:
  IsProd: !Equals [!Ref Environment, prod]
  IsDev: !Not [!Condition IsProd]
  Both: !And [!Condition IsProd, !Condition IsDev]
  Either: !Or [!Condition IsProd, !Condition IsDev]
  BigSize: !Equals [!FindInMap [Sizes, !Ref Environment, count], "3"]
"""
SURROUNDINGS = """
  Bucket: {Type: "AWS::S3::Bucket", Properties: {BucketName: !Sub "${Prefix}-data"}}
  Unnamed: {Type: "AWS::S3::Bucket"}
  Key: {Type: "AWS::KMS::Key", Properties: {Description: d}}
  Role: {Type: "AWS::IAM::Role", Properties: {RoleName: r, Path: /people/}}
  Plain: {Type: "AWS::IAM::Role", Properties: {RoleName: !Join ["-", [!Ref Prefix, plain]]}}
  Boundary: {Type: "AWS::IAM::ManagedPolicy", Properties: {ManagedPolicyName: b}}
  Topic: {Type: "AWS::SNS::Topic", Properties: {TopicName: t}}
  Queue: {Type: "AWS::SQS::Queue", Properties: {QueueName: q}}
  Logs: {Type: "AWS::Logs::LogGroup", Properties: {LogGroupName: /x/y}}
  Bus: {Type: "AWS::Events::EventBus", Properties: {Name: bus}}
  Rule: {Type: "AWS::Events::Rule", Properties: {Name: rule}}
  BusRule: {Type: "AWS::Events::Rule", Properties: {Name: rule, EventBusName: !Ref Bus}}
  Parameter: {Type: "AWS::SSM::Parameter", Properties: {Name: /a, Value: v, Type: String}}
  Group: {Type: "AWS::SageMaker::ModelPackageGroup", Properties: {ModelPackageGroupName: Ov-Group}}
  Pipeline: {Type: "AWS::SageMaker::Pipeline", Properties: {PipelineName: p}}
  OnlyProd: {Type: "AWS::SNS::Topic", Condition: IsProd, Properties: {TopicName: only}}
"""


def resolved(text, **parameters):
    return resolve(read_template(text), parameters=parameters, account_id=ACCOUNT, region=REGION, stack_name="stack")


def value_of(expression, **parameters):
    text = f"{PARAMETERS}\nResources:\n  It: {{Type: X, Properties: {{Value: {expression}}}}}\n{SURROUNDINGS}"
    return resolved(text, **parameters).resources["It"].get("Properties", {}).get("Value", "absent")


VALUES = {
    "parameter": ("!Ref Prefix", "ov"),
    "number parameter is text": ("!Ref Hours", "8"),
    "list parameter": ("!Ref Subnets", ["a", "b"]),
    "account": ("!Ref AWS::AccountId", ACCOUNT),
    "region": ("!Ref AWS::Region", REGION),
    "partition": ("!Ref AWS::Partition", "aws"),
    "suffix": ("!Ref AWS::URLSuffix", "amazonaws.com"),
    "stack": ("!Ref AWS::StackName", "stack"),
    "no value leaves a property out": ("!Ref AWS::NoValue", "absent"),
    "no value leaves an item out": ("[a, !Ref AWS::NoValue, b]", ["a", "b"]),
    "no value leaves a key out": ("{a: 1, b: !Ref AWS::NoValue}", {"a": 1}),
    "sub": ('!Sub "${Prefix}-${AWS::Region}-x"', "ov-eu-central-1-x"),
    "sub of an attribute": ('!Sub "${Bucket.Arn}/runs/*"', "arn:aws:s3:::ov-data/runs/*"),
    "sub of a resource": ('!Sub "${Bucket}/x"', "ov-data/x"),
    "sub keeps a policy variable": (
        '!Sub "arn:${AWS::Partition}:x/${!aws:PrincipalTag/user}"',
        "arn:aws:x/${aws:PrincipalTag/user}",
    ),
    "plain text keeps a policy variable": ('"${aws:PrincipalTag/user}"', "${aws:PrincipalTag/user}"),
    "sub with own names": ('!Sub ["${a}-${Prefix}", {a: !Ref Environment}]', "dev-ov"),
    "sub of a number": ('!Sub ["${a}", {a: 5}]', "5"),
    "sub of a truth value": ('!Sub ["${a}", {a: true}]', "true"),
    "join": ('!Join ["/", [a, !Ref Prefix, 3]]', "a/ov/3"),
    "join of a list parameter": ('!Join ["+", !Ref Subnets]', "a+b"),
    "split and select": ('!Select [1, !Split ["-", "a-b-c"]]', "b"),
    "select with a text index": ('!Select ["0", !Ref Subnets]', "a"),
    "find in map": ("!FindInMap [Sizes, !Ref Environment, count]", 1),
    "find a list in a map": ("!FindInMap [Sizes, prod, names]", ["z"]),
    "base64": ("!Base64 hello", "aGVsbG8="),
    "if": ("!If [IsDev, yes-it-is, no-it-is-not]", "yes-it-is"),
    "if inside a list": ("[a, !If [IsProd, b, !Ref AWS::NoValue]]", ["a"]),
    "not": ("!If [IsProd, 1, 2]", 2),
    "and": ("!If [Both, 1, 2]", 2),
    "or": ("!If [Either, 1, 2]", 1),
    "equal as text": ("!If [BigSize, 1, 2]", 2),
    "long forms": ('{"Fn::Join": ["", [{"Ref": Prefix}, {"Fn::Sub": "-${Environment}"}]]}', "ov-dev"),
    "long get att": ('{"Fn::GetAtt": [Role, Arn]}', f"arn:aws:iam::{ACCOUNT}:role/people/r"),
    "get att with a dot": ("!GetAtt Role.Arn", f"arn:aws:iam::{ACCOUNT}:role/people/r"),
    "a date stays text": ("2012-10-17", "2012-10-17"),
    "yes is a truth value in YAML 1.1": ("yes", True),
    "number": ("1.5", 1.5),
    "quoted number": ('"012"', "012"),
    "bucket": ("!Ref Bucket", "ov-data"),
    "unnamed bucket has a name that stays": ("!Ref Unnamed", "stack-Unnamed-161E58A2BD0E"),
    "bucket's domain": ("!GetAtt Bucket.RegionalDomainName", "ov-data.s3.eu-central-1.amazonaws.com"),
    "role": ("!Ref Plain", "ov-plain"),
    "managed policy is its ARN": ("!Ref Boundary", f"arn:aws:iam::{ACCOUNT}:policy/b"),
    "topic is its ARN": ("!Ref Topic", f"arn:aws:sns:{REGION}:{ACCOUNT}:t"),
    "topic's name": ("!GetAtt Topic.TopicName", "t"),
    "queue is its URL": ("!Ref Queue", f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/q"),
    "log group's ARN ends in a star": ("!GetAtt Logs.Arn", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/x/y:*"),
    "rule": ("!GetAtt Rule.Arn", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/rule"),
    "rule on a bus": ("!GetAtt BusRule.Arn", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/bus/rule"),
    "rule on a bus by name": ("!Ref BusRule", "bus|rule"),
    "parameter store": ("!GetAtt Parameter.Value", "v"),
    "group": ("!Ref Group", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/ov-group"),
    "pipeline is its name": ("!Ref Pipeline", "p"),
}  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), VALUES.values(), ids=VALUES)
def test_a_function_gives_what_cloudformation_gives(expression, expected):
    assert value_of(expression) == expected


def test_parameters_decide():
    assert value_of("!If [BigSize, many, one]", Environment="prod") == "many"
    assert value_of("!Ref Subnets", Subnets=["x"]) == ["x"]
    assert value_of("!Ref Subnets", Subnets="") == []
    assert value_of("!Ref OnlyProd", Environment="prod").endswith(":only")


def test_a_key_has_a_stand_in_for_the_id_that_aws_chooses():
    first, again = value_of("[!Ref Key, !GetAtt Key.Arn]"), value_of("[!Ref Key, !GetAtt Key.Arn]")
    assert first == again
    assert first[1] == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{first[0]}"


def test_resources_outputs_and_conditions_of_the_template():
    text = f"""{PARAMETERS}
Resources:
  Always: {{Type: "AWS::SNS::Topic", Properties: {{TopicName: a}}, DeletionPolicy: Retain, DependsOn: Later}}
  Later: {{Type: "AWS::KMS::Key"}}
  Never: {{Type: "AWS::SNS::Topic", Condition: IsProd}}
Outputs:
  Arn: {{Value: !Ref Always}}
  Hidden: {{Condition: IsProd, Value: !Ref Never}}
"""
    result = resolved(text)
    assert list(result.resources) == ["Always", "Later"]
    assert result.resources["Always"]["DeletionPolicy"] == "Retain"
    assert result.outputs == {"Arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:a"}
    assert result.conditions == {"IsProd": False, "IsDev": True, "Both": False, "Either": True, "BigSize": False}
    assert result.parameters["Subnets"] == ["a", "b"]
    assert result.arns["Always"] == result.outputs["Arn"]
    assert [name for name, _ in result.of_type("AWS::SNS::Topic")] == ["Always"]
    assert json.loads(json.dumps(result.resources)) == result.resources


REFUSED = {
    "unknown name": ("!Ref Nobody", "no parameter or resource Nobody", "Resources/It/Properties/Value/Ref"),
    "unknown name in sub": ('!Sub "${Nobody}"', "Nobody", "Fn::Sub"),
    "unknown resource of an attribute": ("!GetAtt Nobody.Arn", "no resource Nobody", "Fn::GetAtt"),
    "an attribute of a parameter": ('!Sub "${Prefix.Arn}"', "no resource Prefix", "Fn::Sub"),
    "wrong name in a branch that is not taken": ("!If [IsProd, !Ref Nobody, x]", "Nobody", "Fn::If/1"),
    "unknown condition": ("!If [Nobody, 1, 2]", "no condition Nobody", "Fn::If"),
    "policy variable without !": ('!Sub "${aws:PrincipalTag/x}"', r"Write \$\{!aws:PrincipalTag/x\}", "Fn::Sub"),
    "resource that is not created": ("!Ref OnlyProd", "its condition IsProd is false", "Value/Ref"),
    "unknown attribute": ("!GetAtt Role.Nothing", "no attribute Nothing.*Known: Arn, RoleId", "Fn::GetAtt"),
    "condition function outside": ("!Equals [a, b]", "not supported here.*Only in Conditions", "Fn::Equals"),
    "import": ("!ImportValue x", "Fn::ImportValue is not supported here", "Fn::ImportValue"),
    "transform": ("!Transform {Name: x}", "not supported here", "Fn::Transform"),
    "function beside a key": ('{"Ref": Prefix, "x": 1}', "must stand alone", "Value"),
    "index outside": ("!Select [2, !Ref Subnets]", "no item 2 in a list of 2", "Fn::Select"),
    "select of text": ("!Select [0, abc]", "not a list", "Fn::Select"),
    "join of text": ('!Join ["", abc]', "not a list", "Fn::Join"),
    "join of lists": ('!Join ["", [!Ref Subnets]]', "not text", "Fn::Join"),
    "split without separator": ('!Split ["", a]', "separator", "Fn::Split"),
    "if with two": ("!If [IsProd, 1]", "a condition and two values", "Fn::If"),
    "unknown map": ("!FindInMap [Nothing, a, b]", "no Nothing", "Fn::FindInMap"),
    "unknown key in map": ("!FindInMap [Sizes, test, count]", "no test", "Fn::FindInMap/1"),
    "unused name of sub": ('!Sub ["x", {a: b}]', "a is in the mapping but not in the text", "Fn::Sub"),
    "sub of a list": ('!Sub "${Subnets}"', "not text", "Fn::Sub"),
    "ref to a list": ("!Ref [a]", "Ref takes a name", "Ref"),
}


@pytest.mark.parametrize(("expression", "message", "place"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_function_is_refused_with_its_place(expression, message, place):
    with pytest.raises(UsageError, match=message) as error:
        value_of(expression)
    assert error.value.where.startswith("template: Resources/It/Properties/Value")
    assert place in error.value.where


RESOURCE = "Resources: {A: {Type: T}}\n"
BAD_TEMPLATES = {
    "not YAML": ("a: [", "not YAML"),
    "a list": ("[1]", "a mapping of sections"),
    "nothing": ("", "a mapping of sections"),
    "no resources": ("Parameters: {}", "no resources"),
    "transform": (f"Transform: x\n{RESOURCE}", "the section Transform is not supported"),
    "rules": (f"Rules: {{}}\n{RESOURCE}", "the section Rules is not supported"),
    "no type": ("Resources: {A: {Properties: {}}}", "no Type"),
    "same key": ("Resources:\n  A: {Type: T}\n  A: {Type: U}\n", "A is written twice"),
    "same key deep down": ("Resources: {A: {Type: T, Properties: {x: 1, x: 2}}}", "x is written twice"),
    "unknown tag": ("Resources: {A: {Type: !Reff x}}", "!Reff is no CloudFormation function"),
    "alias": ("Resources: {A: &a {Type: T}, B: *a}", "no aliases"),
    "merge": ("Resources: {A: {Type: T, <<: {x: 1}}}", "not a text key"),
    "key is a number": ("Resources: {A: {Type: T, 1: x}}", "'1' is not a text key"),
    "null": ("Resources: {A: {Type: T, Properties: }}", "no value here"),
    "octal number": ("Resources: {A: {Type: T, Properties: {Account: 000000000000}}}", "Put it in quotes"),
    "time": ("Resources: {A: {Type: T, Properties: {At: 12:30:00}}}", "Put it in quotes"),
    "name twice": (f"Parameters: {{A: {{Type: String, Default: x}}}}\n{RESOURCE}", "A is a parameter too"),
    "unknown dependence": ("Resources: {A: {Type: T, DependsOn: B}}", "no resource B"),
    "unknown condition": ("Resources: {A: {Type: T, Condition: C}}", "no condition C"),
    "condition on a resource": (
        f"Conditions: {{C: !Equals [!Ref A, x]}}\n{RESOURCE}",
        "cannot depend on the resource A",
    ),
    "conditions in a circle": (
        f"Conditions: {{C: !Not [!Condition D], D: !Not [!Condition C]}}\n{RESOURCE}",
        "refers to itself",
    ),
    "not a condition": (f"Conditions: {{C: !Ref AWS::Region}}\n{RESOURCE}", "not a condition"),
    "condition with too many": (f"Conditions: {{C: !Equals [a, b, c]}}\n{RESOURCE}", "2 to 2 values"),
    "resources in a circle": (
        "Resources:\n"
        "  A: {Type: 'AWS::SNS::Topic', Properties: {TopicName: a, DisplayName: !Ref B}}\n"
        "  B: {Type: 'AWS::SNS::Topic', Properties: {TopicName: b, DisplayName: !Ref A}}\n",
        "A -> B -> A",
    ),
    "depends on itself by order": (
        "Resources: {A: {Type: T, DependsOn: [B]}, B: {Type: T, DependsOn: A}}",
        "A -> B -> A",
    ),
    "names in a circle": (
        "Resources:\n"
        "  A: {Type: 'AWS::SNS::Topic', Properties: {TopicName: !Sub '${B.TopicName}'}}\n"
        "  B: {Type: 'AWS::SNS::Topic', Properties: {TopicName: !Sub '${A.TopicName}'}}\n",
        "depends on itself",
    ),
    "type whose values are not known": (
        "Resources: {A: {Type: 'AWS::X::Y'}, B: {Type: T, Properties: {V: !Ref A}}}",
        "its type is AWS::X::Y",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_TEMPLATES.values(), ids=BAD_TEMPLATES)
def test_a_bad_template_is_refused(text, message):
    with pytest.raises(UsageError, match=message) as error:
        resolved(text)
    assert error.value.cure
    assert error.value.where


def test_a_problem_of_the_text_has_line_and_column():
    with pytest.raises(UsageError) as error:
        read_template("Resources:\n  A: {Type: T}\n  A: {Type: T}\n", where="x.yaml")
    assert error.value.where == "x.yaml, line 3, column 3"


PARAMETER_RULES = {
    "no value": ("Type: String", None, "no value is given"),
    "not in the list": ("Type: String, AllowedValues: [a, b]", "c", "Allowed: a, b"),
    "pattern": ("Type: String, AllowedPattern: '[a-z]+'", "A1", "does not match the pattern"),
    "pattern is for the whole text": ("Type: String, AllowedPattern: '[a-z]+'", "a1", "does not match"),
    "too short": ("Type: String, MinLength: 3", "ab", "has 2 characters"),
    "too long": ("Type: String, MaxLength: 3", "abcd", "has 4 characters"),
    "not a number": ("Type: Number", "x", "not a number"),
    "too small": ("Type: Number, MinValue: 5", "4", "outside 5 to any"),
    "too large": ("Type: Number, MaxValue: 5", "6", "outside any to 5"),
    "item of a list": ("Type: CommaDelimitedList, AllowedValues: [a, b]", "a,c", "'c' is not allowed"),
    "list of numbers": ("Type: List<Number>", ["1", "x"], "'x' is not a number"),
    "list for text": ("Type: String", ["a"], "not text"),
    "own words": ("Type: String, AllowedValues: [a], ConstraintDescription: Take a", "b", "Take a"),
    "from the parameter store": ("Type: 'AWS::SSM::Parameter::Value<String>'", "x", "are in AWS, not here"),
}


@pytest.mark.parametrize(("rules", "value", "message"), PARAMETER_RULES.values(), ids=PARAMETER_RULES)
def test_a_parameter_is_checked(rules, value, message):
    given_values = {} if value is None else {"P": value}
    with pytest.raises(UsageError, match=message) as error:
        resolved(f"Parameters: {{P: {{{rules}}}}}\n{RESOURCE}", **given_values)
    assert "parameter P" in error.value.where


def test_an_unknown_parameter_is_refused():
    with pytest.raises(UsageError, match=r"no parameter Prefiks.*Parameters: P"):
        resolved(f"Parameters: {{P: {{Type: String}}}}\n{RESOURCE}", Prefiks="x")


names = st.text("abcdefgh:/*-$ ", max_size=12).filter(lambda text: "${" not in text)
json_values = st.recursive(
    st.one_of(st.text("abcd-*:/ äß", max_size=8), st.integers(0, 9999), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("ABCdef:/", min_size=1, max_size=6), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(json_values)
def test_a_value_without_functions_stays_as_it_is(value):
    template = {"Resources": {"A": {"Type": "T", "Properties": {"V": value}}}}
    as_yaml, as_json = yaml.safe_dump(template, allow_unicode=True), json.dumps(template)
    if "&id" not in as_yaml:
        assert resolved(as_yaml).resources == template["Resources"]
    assert resolved(as_json).resources == template["Resources"]


@given(names, names)
def test_sub_and_join_say_the_same(prefix, text):
    template = {
        "Parameters": {"P": {"Type": "String"}},
        "Resources": {
            "A": {
                "Type": "T",
                "Properties": {
                    "Sub": {"Fn::Sub": f"{text}${{P}}${{!aws:x}}{text}"},
                    "Join": {"Fn::Join": ["", [text, {"Ref": "P"}, "${aws:x}", text]]},
                },
            }
        },
    }
    before = json.dumps(template)
    properties = resolve(template, parameters={"P": prefix}, account_id=ACCOUNT, region=REGION).resources["A"][
        "Properties"
    ]
    assert properties["Sub"] == properties["Join"] == f"{text}{prefix}${{aws:x}}{text}"
    assert json.dumps(template) == before


@given(st.text("ab,", max_size=12))
def test_split_is_the_inverse_of_join(text):
    template = {"Resources": {"A": {"Type": "T", "V": {"Fn::Join": [",", {"Fn::Split": [",", text]}]}}}}
    assert resolve(template, parameters={}, account_id=ACCOUNT, region=REGION).resources["A"]["V"] == text


def test_both_yaml_loaders_read_our_templates_alike(monkeypatch):
    texts = [template_text(name) for name in template_names()]
    fast = [read_template(text) for text in texts]
    monkeypatch.setattr(reading, "_Loader", yaml.SafeLoader)
    assert [read_template(text) for text in texts] == fast


def test_every_form_of_a_reference_can_be_filled_in():
    for kind in json.loads((TEMPLATES.parent / "references.json").read_text()):
        text = f"Resources: {{A: {{Type: '{kind}'}}, B: {{Type: T, Properties: {{V: !Ref A}}}}}}"
        result = resolved(text)
        assert result.resources["B"]["Properties"]["V"]
        assert result.arns.get("A", "arn:").startswith("arn:")


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_our_identity_template_resolves_for_every_environment(environment):
    result = load("identity", parameters={"Environment": environment}, account_id="000000000000", region=REGION)
    plain = json.dumps(result.resources)
    assert '"Ref"' not in plain
    assert "Fn::" not in plain
    assert "${AWS::" not in plain
    assert "${aws:PrincipalTag/overflight-user}" in plain
    assert sum(1 for _ in result.of_type("AWS::IAM::Role")) >= 12


def test_another_partition_has_its_own_arns():
    result = load("identity", parameters={}, account_id=ACCOUNT, region="cn-north-1", partition="aws-cn")
    assert '"arn:aws:' not in json.dumps(result.resources)
    assert result.stack.url_suffix == "amazonaws.com.cn"


def test_a_template_that_we_do_not_have():
    with pytest.raises(NotFoundError, match=r"Templates: .*identity"):
        template_text("nothing")


@pytest.mark.parametrize("name", template_names())
def test_cfn_lint_finds_nothing(name):
    program = shutil.which("cfn-lint", path=str(Path(sys.executable).parent))
    assert program, "cfn-lint is a development dependency: make setup"
    done = subprocess.run(
        [program, "--non-zero-exit-code", "informational", TEMPLATES / f"{name}.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
