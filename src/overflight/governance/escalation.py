"""How far everybody can come: a search over roles and what they can do, with a counter-example for what is too far.

Starts from each role of the account, and from a stranger outside it, adds the rights that the ways of
``escalation.yaml`` (E01 to E25) give, and repeats until nothing is added. Knows the policies only through the
evaluator, so a guard counts where it really denies. It knows nothing of the code inside pipelines and jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from overflight.governance.escalation_attempts import Attempts, Move
from overflight.governance.escalation_paths import OUTSIDE, Catalogue, Way, catalogue
from overflight.iam.access import Access


@dataclass(frozen=True)
class Link:
    """One way that was taken.

    Attributes:
        way: Its key, ``E07 keeps its role``.
        gains: Role or capability that it gave.
        moves: The calls.
    """

    way: str
    gains: str
    moves: tuple[Move, ...]


Chain = tuple[Link, ...]
"""Ways in the order in which they are taken; the last one gains what the chain is about."""


@dataclass(frozen=True)
class Reach:
    """What one role can come by.

    Attributes:
        who: Role, or ``outside``.
        chains: Shortest chain by target (role or capability) and by the way that gives it in the end.
        role_keys: Which of the targets are roles.
    """

    who: str
    chains: Mapping[tuple[str, str], Chain]
    role_keys: frozenset[str]

    @property
    def targets(self) -> Mapping[str, tuple[str, ...]]:
        """Keys of the ways by target, both in order of names."""
        found: dict[str, list[str]] = {}
        for target, way in sorted(self.chains):
            found.setdefault(target, []).append(way)
        return {target: tuple(ways) for target, ways in found.items()}

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles whose rights can be had."""
        return tuple(target for target in self.targets if target in self.role_keys)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Keys of the capabilities that can be had."""
        return tuple(target for target in self.targets if target not in self.role_keys)

    def chain(self, target: str) -> Chain:
        """Shortest chain to a target.

        Raises:
            KeyError: it cannot be had.
        """
        found = [chain for (one, _), chain in self.chains.items() if one == target]
        if not found:
            raise KeyError(target)
        return min(found, key=_length)


@dataclass(frozen=True)
class Escalation:
    """What everybody can come by.

    Attributes:
        reaches: By role, in the template's order, and ``outside`` last.
        catalogue: The paths that were tried.
    """

    reaches: Mapping[str, Reach]
    catalogue: Catalogue

    def describe(self) -> list[str]:
        """One line for each role: what it can come by, in words."""
        return [
            f"{who}: {'; '.join(self.catalogue.words(one) for one in reach.targets) or 'nothing beyond its own rights'}"
            for who, reach in self.reaches.items()
        ]


@dataclass(frozen=True)
class Finding:
    """Somebody comes further than they should.

    Attributes:
        id: Path, ``E07``.
        way: Way of the path.
        who: Role that comes too far, or ``outside``.
        target: Role or capability that it comes by.
        title: What happens, in words.
        gains: The target in words.
        chain: The counter-example.
        follows: What else becomes possible because of it, in words.
        guard: What should have prevented it.
        cure: What to do.
    """

    id: str
    way: str
    who: str
    target: str
    title: str
    gains: str
    chain: Chain
    follows: tuple[str, ...]
    guard: str
    cure: str

    def describe(self) -> list[str]:
        """The finding in words: one line of what, the steps of the counter-example, the guard and the cure."""
        lines = [f"{self.id} {self.who} comes by: {self.gains}. {self.title}"]
        lines += [f"  {number}. {words}" for number, words in enumerate(chain_words(self.chain), 1)]
        if self.follows:
            lines.append(f"  and so: {'; '.join(self.follows)}")
        return [*lines, f"  missing: {self.guard}", f"  cure: {self.cure}"]


def chain_words(chain: Chain) -> list[str]:
    """The calls of a chain in words, in order."""
    return [f"{move.describe()} [{link.way}]" for link in chain for move in link.moves]


def search(access: Access, *, only: Collection[str] = ()) -> Escalation:
    """Everything that each role can come by, with the shortest chain for each way; the same for the same account.

    Args:
        access: Roles and policies.
        only: Roles to start from; empty: all of them, and ``outside``.

    Raises:
        InputError: a policy that AWS would not accept.
    """
    paths = catalogue(access)
    attempts = Attempts(access, paths)
    reaches = {who: _reach(who, access, attempts, paths) for who in (*access.roles, OUTSIDE) if not only or who in only}
    return Escalation(MappingProxyType(reaches), paths)


def check(access: Access) -> list[Finding]:
    """What goes beyond the reach that ``escalation.yaml`` accepts; empty when everybody stays within it.

    A reach that only follows from another finding is named there and is none of its own.
    """
    return findings(search(access))


def findings(escalation: Escalation) -> list[Finding]:
    """The findings of a search; by role, then by path."""
    found: list[Finding] = []
    for reach in escalation.reaches.values():
        unmeant = {key: chain for key, chain in reach.chains.items() if not _meant(escalation, reach.who, chain[-1])}
        for (target, way), chain in sorted(unmeant.items(), key=lambda one: (one[0][1], _length(one[1]), one[0][0])):
            if not all(_meant(escalation, reach.who, link) for link in chain[:-1]):
                continue
            path = escalation.catalogue.paths[way.partition(" ")[0]]
            follows = [
                escalation.catalogue.words(other)
                for (other, _), longer in sorted(reach.chains.items())
                if len(longer) > len(chain) and chain[-1] in longer[:-1]
            ]
            found.append(
                Finding(
                    id=path.id,
                    way=way,
                    who=reach.who,
                    target=target,
                    title=path.title,
                    gains=escalation.catalogue.words(target),
                    chain=chain,
                    follows=tuple(dict.fromkeys(follows)),
                    guard=path.guard,
                    cure=path.cure,
                )
            )
    return found


def _meant(escalation: Escalation, who: str, link: Link) -> bool:
    accepted = escalation.catalogue.reach.get(who, {}).get(link.gains)
    return accepted is not None and link.way in accepted.by


def _length(chain: Chain) -> tuple[int, int]:
    return len(chain), sum(len(link.moves) for link in chain)


def _reach(who: str, access: Access, attempts: Attempts, paths: Catalogue) -> Reach:
    held: dict[str, Chain] = {} if who == OUTSIDE else {who: ()}
    chains: dict[tuple[str, str], Chain] = {}
    while True:
        added = False
        # In the order of their chains, so that a step is done with the role that is nearest.
        actors = dict(sorted(held.items(), key=lambda one: _length(one[1])))
        for way in paths.ways:
            for link in _taken(who, way, actors, access, attempts):
                chain = _chain(link, actors)
                key = (link.gains, link.way)
                if link.gains == who:
                    continue
                if key not in chains or _length(chain) < _length(chains[key]):
                    chains[key] = chain
                    added = True
                    if link.gains in access.roles:
                        held[link.gains] = min(held.get(link.gains, chain), chain, key=_length)
        if not added:
            return Reach(who, MappingProxyType(chains), frozenset(access.roles))


def _chain(link: Link, held: Mapping[str, Chain]) -> Chain:
    before: list[Link] = []
    for move in link.moves:
        before += [one for one in held.get(move.actor, ()) if one not in before]
    return (*before, link)


def _taken(who: str, way: Way, held: Mapping[str, Chain], access: Access, attempts: Attempts) -> Iterator[Link]:
    """What one way gives to somebody who holds some roles."""
    if way.trust:
        yield from _trusted(who, way, held, access, attempts)
        return
    for target in access.roles if any(step.passes for step in way.steps) else ("",):
        if way.capability:
            yield from _link(way, way.capability, _moves(way, target, held, attempts))
        if way.passed:
            yield from _link(way, target, _moves(way, target, _others(held, target), attempts))
    for role in way.roles:
        if role in access.roles:
            yield from _link(way, role, _moves(way, "", _others(held, role), attempts))


def _link(way: Way, gains: str, moves: tuple[Move, ...] | None) -> Iterator[Link]:
    if moves is not None:
        yield Link(way.key, gains, moves)


def _others(held: Mapping[str, Chain], role: str) -> dict[str, Chain]:
    # What a role does with itself is no way to come by it.
    return {one: chain for one, chain in held.items() if one != role}


def _moves(way: Way, target: str, held: Mapping[str, Chain], attempts: Attempts) -> tuple[Move, ...] | None:
    moves = []
    for step in way.steps:
        tried = (attempts.passing(role, step, target) if step.passes else attempts.can(role, step) for role in held)
        move = next((one for one in tried if one is not None), None)
        if move is None:
            return None
        moves.append(move)
    return tuple(moves)


def _trusted(who: str, way: Way, held: Mapping[str, Chain], access: Access, attempts: Attempts) -> Iterator[Link]:
    """What trust policies alone give."""
    persona = who in access.roles and access.roles[who].kind == "persona"
    if way.trust == "name":
        move = attempts.takes_a_name(who) if persona else None
        if move:
            yield Link(way.key, way.capability, (move,))
        return
    for target in access.roles:
        move = None
        if way.trust == "outside" and who == OUTSIDE:
            move = attempts.outsider_assumes(target)
        elif way.trust == "person" and persona and target != who:
            move = attempts.person_assumes(who, target)
        elif way.trust == "role":
            tried = (attempts.assumes(role, target) for role in held if role != target)
            move = next((one for one in tried if one is not None), None)
        if move:
            yield Link(way.key, target, (move,))
