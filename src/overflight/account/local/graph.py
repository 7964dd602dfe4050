"""The steps of a pipeline definition as a graph: owners, dependencies, what may start, what never will.

Pure: works on the definition document and on a map of statuses. Knows nothing of jobs or of the store. Steps of a
branch that was not taken have no status word in AWS (it never lists them); here they are simply *absent*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from overflight.account.local.expressions import references
from overflight.errors import UsageError

STEP_TYPES = frozenset({"Processing", "Training", "Tuning", "Condition", "RegisterModel", "Model", "Fail"})
FINAL = frozenset({"Succeeded", "Failed", "Stopped"})
_TRIGGERS = {
    "Succeeded": frozenset({"Succeeded"}),
    "Failed": frozenset({"Failed"}),
    "Stopped": frozenset({"Stopped"}),
    "Any": FINAL,
}


class GraphError(UsageError):
    """A definition whose steps do not form a graph that can be executed."""


@dataclass(frozen=True)
class Step:
    """One step of a definition.

    Attributes:
        name: Unique in the pipeline.
        type: One of :data:`STEP_TYPES`.
        document: The step as it stands in the definition.
        owner: Name of the Condition step whose branch it belongs to, or "".
        outcome: The owner's outcome (``True`` or ``False``) it runs for, or "".
        needs: Trigger (``Succeeded``, ``Failed``, ``Stopped``, ``Any``) by name of the step waited for.
    """

    name: str
    type: str
    document: Mapping[str, Any]
    owner: str
    outcome: str
    needs: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """What can be said from the statuses: names in the order of the definition."""

    ready: tuple[str, ...]
    absent: frozenset[str]

    def is_done(self, steps: Mapping[str, Step], statuses: Mapping[str, str]) -> bool:
        """Whether every step has finished or never will start."""
        return all(name in self.absent or statuses.get(name) in FINAL for name in steps)


def read_steps(definition: Mapping[str, Any]) -> dict[str, Step]:
    """All steps, nested ones included, by name in the order of the definition.

    Raises:
        GraphError: no steps, a name twice, an unknown type, a dependency that does not exist, or a cycle.
    """
    documents = definition.get("Steps")
    if not isinstance(documents, list) or not documents:
        raise GraphError("there are no steps", where="Steps", cure="Define at least one step")
    steps: dict[str, Step] = {}
    for document, owner, outcome in _walk(documents, "", ""):
        step = _read_one(document, owner, outcome)
        if step.name in steps:
            raise GraphError(f"step '{step.name}' is defined twice", where="Steps", cure="Give each its own name")
        steps[step.name] = step
    for step in steps.values():
        for name in step.needs:
            if name not in steps:
                raise GraphError(f"depends on step '{name}', which does not exist", where=f"Steps.{step.name}")
    _refuse_cycles(steps)
    return steps


def _walk(documents: Any, owner: str, outcome: str) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    if not isinstance(documents, list | tuple):
        raise GraphError("the steps of a branch are not a list", where=f"Steps.{owner}")
    for document in documents:
        if not isinstance(document, Mapping):
            raise GraphError("a step is not an object", where=f"Steps {owner}".strip())
        yield document, owner, outcome
        if document.get("Type") == "Condition":
            arguments = _arguments(document)
            name = str(document.get("Name", ""))
            yield from _walk(arguments.get("IfSteps") or (), name, "True")
            yield from _walk(arguments.get("ElseSteps") or (), name, "False")


def _arguments(document: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = document.get("Arguments", {})
    if not isinstance(arguments, Mapping):
        raise GraphError("Arguments is not an object", where=f"Steps.{document.get('Name', '?')}")
    return arguments


def _read_one(document: Mapping[str, Any], owner: str, outcome: str) -> Step:
    name, kind = document.get("Name"), document.get("Type")
    if not isinstance(name, str) or not name:
        raise GraphError("a step has no name", where="Steps")
    if not isinstance(kind, str) or kind not in STEP_TYPES:
        known = ", ".join(sorted(STEP_TYPES))
        raise GraphError(f"unknown step type {kind!r}", where=f"Steps.{name}", cure=f"Known here: {known}")
    arguments = _arguments(document)
    if kind == "Condition":
        own: Any = arguments.get("Conditions", [])
        if not isinstance(own, list) or not own:
            raise GraphError("a Condition step needs a list of conditions", where=f"Steps.{name}")
    else:
        own = arguments
    needs = {path.split(".")[1]: "Succeeded" for path in references(own) if path.startswith("Steps.")}
    needs |= _explicit(document.get("DependsOn") or (), name)
    if owner:
        needs[owner] = "Succeeded"
    return Step(name, kind, document, owner, outcome, needs)


def _explicit(listed: Any, name: str) -> dict[str, str]:
    needs: dict[str, str] = {}
    for one in listed if isinstance(listed, list | tuple) else [listed]:
        given = one if isinstance(one, Mapping) else {"Step": one, "Trigger": "Succeeded"}
        target, trigger = given.get("Step"), given.get("Trigger", "Any")
        if not isinstance(target, str) or not isinstance(trigger, str) or trigger not in _TRIGGERS:
            raise GraphError(f"cannot read the dependency {one!r}", where=f"Steps.{name}.DependsOn")
        needs[target] = trigger
    return needs


def _refuse_cycles(steps: Mapping[str, Step]) -> None:
    done: set[str] = set()
    left = dict(steps)
    while left:
        free = [name for name, step in left.items() if set(step.needs) <= done]
        if not free:
            names = ", ".join(sorted(left))
            raise GraphError(f"the steps wait for one another in a circle: {names}", where="Steps")
        done.update(free)
        for name in free:
            del left[name]


def plan(steps: Mapping[str, Step], statuses: Mapping[str, str], outcomes: Mapping[str, str]) -> Plan:
    """Which steps may start now, and which never will.

    Args:
        steps: All steps (:func:`read_steps`).
        statuses: Status of every step that has been started.
        outcomes: ``True`` or ``False`` by name of each finished Condition step.
    """
    absent: set[str] = set()
    changed = True
    while changed:  # absence spreads along dependencies until nothing changes
        changed = False
        for name, step in steps.items():
            if name not in statuses and name not in absent and _never(step, statuses, outcomes, absent):
                absent.add(name)
                changed = True
    ready = tuple(
        name
        for name, step in steps.items()
        if name not in statuses
        and name not in absent
        and all(statuses.get(target) in _TRIGGERS[trigger] for target, trigger in step.needs.items())
    )
    return Plan(ready, frozenset(absent))


def _never(step: Step, statuses: Mapping[str, str], outcomes: Mapping[str, str], absent: set[str]) -> bool:
    if step.owner in outcomes and outcomes[step.owner] != step.outcome:
        return True
    return any(
        target in absent or (statuses.get(target) in FINAL and statuses[target] not in _TRIGGERS[trigger])
        for target, trigger in step.needs.items()
    )


def final_status(steps: Mapping[str, Step], statuses: Mapping[str, str]) -> str:
    """Status word of an execution in which nothing runs and nothing can start any more.

    A failed step that another step was waiting for (trigger ``Failed`` or ``Any``) counts as handled: the execution is
    then ``CompletedWithFailures``.
    """
    failed = {name for name, status in statuses.items() if status in {"Failed", "Stopped"}}
    if not failed:
        return "Succeeded"
    handled = {
        target
        for step in steps.values()
        if statuses.get(step.name) == "Succeeded"
        for target, trigger in step.needs.items()
        if trigger != "Succeeded"
    }
    return "CompletedWithFailures" if failed <= handled else "Failed"
