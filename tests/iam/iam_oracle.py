"""The second engine: @cloud-copilot/iam-simulate in a node process, fed with cases. Needs no network."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("oracle")
PACKAGE = "@cloud-copilot/iam-simulate"


def modules() -> Path | None:
    """The node_modules folder with the package: OVERFLIGHT_IAM_SIMULATE, or the one that `make oracle` fills."""
    given = os.environ.get("OVERFLIGHT_IAM_SIMULATE")
    folders = [Path(given), Path(given) / "node_modules"] if given else [HERE / "node_modules"]
    return next((one for one in folders if (one / PACKAGE / "package.json").exists()), None)


def why_absent() -> str:
    """Why the engine cannot run; "" where it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if modules() is None:
        return f"{PACKAGE} is not there: run `make oracle`, or name its node_modules in OVERFLIGHT_IAM_SIMULATE"
    return ""


needs_oracle = pytest.mark.skipif(bool(why_absent()), reason=why_absent() or "-")


def ask(cases) -> list[str]:
    """Allow, Implicit, Explicit or "error: ..." for each case."""
    lines = "".join(json.dumps(with_own_keys(case)) + "\n" for case in cases)
    command = ["node", str(HERE / "oracle.mjs"), str(modules())]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def with_own_keys(case):
    """The case with the keys of the principal that our evaluator adds by itself."""
    account = case["principal"].split(":")[4]
    role = case["principal"]
    if ":assumed-role/" in role:
        role = f"arn:aws:iam::{account}:role/{role.split('/')[1]}"
    own = {"aws:PrincipalArn": role, "aws:PrincipalAccount": account}
    present = {key.lower() for key in case["ctx"]}
    return case | {"ctx": case["ctx"] | {key: one for key, one in own.items() if key.lower() not in present}}
