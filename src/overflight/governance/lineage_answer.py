"""The short answer in front of a lineage: what data and code made this, who decided, how well it was measured.

Says only what the graph holds; what it does not hold is called "not recorded".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from overflight.governance.lineage import Entity, Graph
from overflight.governance.lineage_view import short

NOT_RECORDED = "not recorded"
_NAMED = 6


def answer(graph: Graph, start: str) -> dict[str, str]:
    """Sentences by subject; of a survey what came of it, of everything else what made it.

    Args:
        graph: The lineage.
        start: ARN of what was asked about.
    """
    entity = graph.by_arn[start]
    if entity.type == "Survey":
        return {"Survey": _survey(entity, graph), **_learnt(graph.restricted(graph.descendants(start)))}
    if entity.type == "PipelineExecution":
        graph = graph.restricted({start, *graph.ancestors(start), *_of_run(graph, start)})
    else:
        graph = graph.restricted({start, *graph.ancestors(start)})
    served = {"Endpoint": _endpoint(entity), "Deployed": _deployed(graph)} if entity.type == "Endpoint" else {}
    return {**served, **_made(graph, start)}


def _made(whole: Graph, start: str) -> dict[str, str]:
    """What made the model; what only deployed it is left out."""
    models = [one.arn for one in whole.of_type("Model", "ModelData", "Approval")]
    graph = whole.restricted({start, *models}.union(*(whole.ancestors(arn) for arn in models)))
    return {
        "Model": _all(graph, "Model", _model) or _all(graph, "ModelData", _artefact) or NOT_RECORDED,
        "Artefact": _all(graph, "ModelData", _artefact) or NOT_RECORDED,
        "Decision": _all(graph, "Approval", _decision) or _undecided(graph),
        "Data": _all(graph, "Survey", lambda one: _survey(one, graph)) or NOT_RECORDED,
        "Data set": _all(graph, "DataSet", _dataset) or NOT_RECORDED,
        "Code": _code(graph),
        "Pipeline": _all(graph, "PipelineExecution", lambda one: _run(one, graph)) or NOT_RECORDED,
        "Settings": _all(graph, "TrainingJob", lambda one: one.properties.get("settings", "")) or NOT_RECORDED,
        "Base weights": _all(graph, "Checkpoint", lambda one: f"{one.name} {one.properties.get('sha256', '')}")
        or ("none: trained from scratch" if _knows_weights(graph) else NOT_RECORDED),
        "Measured": _all(graph, "Evaluation", _measured) or NOT_RECORDED,
    }


def day(time: datetime | None) -> str:
    """Date and minute in UTC, "" when not recorded."""
    return f"{time:%Y-%m-%d %H:%M}Z" if time else ""


def _of_run(graph: Graph, start: str) -> frozenset[str]:
    """What came of a run and what went into that, without what was served and decided later."""
    made = {start, *graph.descendants(start)}
    return frozenset(made).union(*(graph.ancestors(arn) for arn in made))


def _learnt(graph: Graph) -> dict[str, str]:
    found = {"Data sets": "DataSet", "Trainings": "TrainingJob", "Models": "Model", "Endpoints": "Endpoint"}
    return {word: _names(graph.of_type(kind)) or "none" for word, kind in found.items()}


def _names(entities: Iterable[Entity]) -> str:
    names = [entity.name for entity in entities]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _all(graph: Graph, kind: str, say: Callable[[Entity], str]) -> str:
    texts = dict.fromkeys(short(say(entity)).strip() for entity in graph.of_type(kind))
    return "; ".join(text for text in texts if text)


def _endpoint(entity: Entity) -> str:
    return f"{entity.name}: {entity.properties.get('status', NOT_RECORDED)}, made {day(entity.created)}"


def _deployed(graph: Graph) -> str:
    runs = [
        one
        for one in graph.of_type("PipelineExecution")
        if any(graph.by_arn[arn].type == "ModelDeployment" for arn in graph.destinations[one.arn])
    ]
    texts = [f"by {one.properties.get('started by', NOT_RECORDED)} with run {one.name}" for one in runs]
    when = _all(graph, "ModelDeployment", lambda one: day(one.created))
    return f"{when or NOT_RECORDED} {'; '.join(texts) or f'(by whom is {NOT_RECORDED})'}"


def _model(entity: Entity) -> str:
    by = entity.properties.get("registered by", NOT_RECORDED)
    status = entity.properties.get("approval", "its state is not recorded")
    return f"{entity.name}: {status}, registered {day(entity.created)} by {by}"


def _artefact(entity: Entity) -> str:
    digest = entity.properties.get("sha256", "")
    size = f" ({int(entity.properties['bytes']):,} bytes)" if "bytes" in entity.properties else ""
    return f"sha256 {digest}{size}" if digest else f"{entity.name}, digest {NOT_RECORDED}"


def _decision(entity: Entity) -> str:
    known = entity.properties
    by, reason = known.get("by", NOT_RECORDED), known.get("reason", f"reason {NOT_RECORDED}")
    event = known.get("event", NOT_RECORDED)
    evidence = "" if event in reason else f" [event {event}]"
    return f"{known['decision']} {day(entity.created)} by {by}: {reason}{evidence}"


def _undecided(graph: Graph) -> str:
    waiting = any(one.properties.get("approval") == "PendingManualApproval" for one in graph.of_type("Model"))
    return "not decided yet" if waiting else NOT_RECORDED


def _survey(entity: Entity, graph: Graph) -> str:
    if "manifest sha256" not in entity.properties:
        return f"{entity.name}: what it held is {NOT_RECORDED}"
    parts: dict[str, int] = {}
    for flight in graph.of_type("Flight"):
        if entity.arn in graph.destinations[flight.arn] and "part" in flight.properties:
            parts[flight.properties["part"]] = parts.get(flight.properties["part"], 0) + 1
    known = entity.properties
    split = f" ({', '.join(f'{count} {part}' for part, count in sorted(parts.items()))})" if parts else ""
    return f"{entity.name}: {known['photographs']} photographs of {known['flights']} flights{split}"


def _dataset(entity: Entity) -> str:
    known = entity.properties
    if "digest" not in known:
        return f"{entity.name}: digest {NOT_RECORDED}"
    return f"digest {known['digest']}; photographs: {known.get('photographs', NOT_RECORDED)}"


def _code(graph: Graph) -> str:
    texts = [
        f"{one.name} sha256 {short(one.properties['sha256'])} ({one.properties['this installation']})"
        for one in graph.of_type("Code")
    ]
    silent = [
        one.properties.get("step", one.name)
        for one in graph.of_type("TrainingJob", "ProcessingJob")
        if not any(graph.by_arn[source].type == "Code" for source in graph.sources[one.arn])
    ]
    if not texts:
        return NOT_RECORDED
    return "; ".join([*texts, *([f"{NOT_RECORDED} for {', '.join(silent)}"] if silent else [])])


def _run(entity: Entity, graph: Graph) -> str:
    by, when = entity.properties.get("started by", NOT_RECORDED), day(entity.created) or NOT_RECORDED
    definitions = [
        graph.by_arn[arn].properties["sha256"]
        for arn in graph.sources[entity.arn]
        if graph.by_arn[arn].type == "PipelineDefinition"
    ]
    followed = f"definition {definitions[0]}" if definitions else f"definition {NOT_RECORDED}"
    return f"run {entity.name} started {when} by {by}, {followed}"


def _measured(entity: Entity) -> str:
    return f"mAP50 {entity.properties['map50']}" if "map50" in entity.properties else "no mAP50"


def _knows_weights(graph: Graph) -> bool:
    """Whether every model here says that it began with nothing."""
    models = graph.of_type("ModelData")
    return bool(models) and all(one.properties.get("base weights") == "none" for one in models)
