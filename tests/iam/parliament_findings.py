"""Run parliament over policies from standard input; it is a program of its own because it leaves files open.

Reads ``{name: policy}``, writes ``[[name, issue, detail], ...]``. Run by test_policy_lint.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path


def with_pkg_resources():
    """Parliament 1.6.4 asks setuptools for two paths; setuptools 82 no longer has the module that it asks."""
    stand_in = types.ModuleType("pkg_resources")
    stand_in.resource_filename = lambda package, name: str(Path(importlib.util.find_spec(package).origin).parent / name)
    sys.modules.setdefault("pkg_resources", stand_in)


def main():
    with_pkg_resources()
    from parliament import analyze_policy_string

    found = []
    for name, policy in json.load(sys.stdin).items():
        found += [[name, one.issue, one.detail] for one in analyze_policy_string(json.dumps(policy)).findings]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
