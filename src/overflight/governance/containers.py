"""What a model package serves: its containers in one form, their digest, and what in them no run registered.

Pure. Knows the members of SageMaker's ``InferenceSpecification`` (API reference: ModelPackageContainerDefinition), not
where a package comes from nor which artefact is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overflight.files import canonical_json, sha256_bytes

# What decides beside the artefact what runs. Each of them is part of the digest.
_SERVED = ("InferenceSpecification", "AdditionalInferenceSpecifications", "SourceAlgorithmSpecification")
_LOOKED_AT = frozenset({"Image", "ModelDataUrl"})
_ADDED_BY_AWS = frozenset({"ImageDigest", "ModelDataETag"})  # facts about the two above, written by the service
# Variables that a package may give its container. The server's settings come from the deploy job, so there are none.
ALLOWED_VARIABLES: frozenset[str] = frozenset()


def container_digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of everything in a package that decides what is served, "" when it has no container.

    Members that are empty count as absent: the service answers with some of them and not with others.

    Args:
        facts: Answer of DescribeModelPackage.
    """
    if not _containers(facts.get("InferenceSpecification")):
        return ""
    return sha256_bytes(canonical_json(_compact({name: facts.get(name) for name in _SERVED})).encode())


def image_of(specification: Mapping[str, Any] | None) -> str:
    """Image of the first container, "" when there is none or it is not written out."""
    image = next((one.get("Image", "") for one in _containers(specification)), "")
    return image if isinstance(image, str) else ""


def unregistered(facts: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    """What a package would serve beyond one image with one artefact, or otherwise than its run registered it.

    Args:
        facts: Answer of DescribeModelPackage.
        declared: ``InferenceSpecification`` in the definition of the step that registered the package; empty when
            there is none, then only the form is looked at. The artefact's address is not compared.
    """
    specification = facts.get("InferenceSpecification")
    containers = _containers(specification)
    found = [] if len(containers) == 1 else [f"it has {len(containers)} containers, not one"]
    for container in containers:
        found += [f"its container carries {told}" for told in _beyond(container)]
    found += [f"it carries {name}" for name in _SERVED[1:] if facts.get(name)]
    if declared and not found:
        found += _differences(_compact(specification or {}), _compact(declared))
    return found


def _beyond(container: Mapping[str, Any]) -> list[str]:
    told = [name for name in sorted(_compact(container)) if name not in _LOOKED_AT | _ADDED_BY_AWS | {"Environment"}]
    variables = sorted(set(container.get("Environment") or {}) - ALLOWED_VARIABLES)
    return told + ([f"the environment {', '.join(variables)}"] if variables else [])


def _differences(now: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    image, registered = image_of(now), image_of(declared)
    if not registered or image != registered:
        return [f"its image is {image or 'none'}, the run registered {registered or 'no image by name'}"]
    names = sorted(name for name in now.keys() | declared.keys() if _kept(now, name) != _kept(declared, name))
    return [f"its {name} is not as the run registered it" for name in names]


def _kept(specification: Mapping[str, Any], name: str) -> Any:
    """A member as it is compared: containers without the artefact and what the service adds."""
    if name != "Containers":
        return specification.get(name)
    left_out = _ADDED_BY_AWS | {"ModelDataUrl"}
    return [{k: v for k, v in one.items() if k not in left_out} for one in _containers(specification)]


def _containers(specification: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return list((specification or {}).get("Containers") or ())


def _compact(value: Any) -> Any:
    """``value`` without members that are empty."""
    if isinstance(value, Mapping):
        inner = {str(name): _compact(part) for name, part in value.items()}
        return {name: part for name, part in inner.items() if part not in (None, "", [], {})}
    return [_compact(part) for part in value] if isinstance(value, list | tuple) else value
