"""Service names: well-known ones with their callees, and made-up ones for large graphs."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Role:
    """The kind of a well-known service, and its callees where these exist."""

    kind: str = "service"
    calls: Sequence[str] = ()
    stands_in_for: str = ""  # the service that it can replace, in another zone or version


class _Written(NamedTuple):
    """What names.toml says."""

    roles: Mapping[str, Role]
    subjects: Sequence[str]
    suffixes: Mapping[str, Sequence[str]]  # by kind


@cache
def _written() -> _Written:
    text = (resources.files("data.simulator") / "names.toml").read_text(encoding="utf-8")
    told = tomllib.loads(text)
    return _Written(
        {name: Role(**role) for name, role in told["roles"].items()}, told["subjects"], told["suffixes"]
    )


def roles() -> Mapping[str, Role]:
    """The well-known services."""
    return _written().roles


def stand_ins(names: Sequence[str]) -> list[int]:
    """A number for every service, the same for those that can stand in for each other."""
    numbers: dict[str, int] = {}
    found = []
    for number, name in enumerate(names):
        role = roles().get(name)
        found.append(numbers.setdefault((role.stands_in_for if role else "") or name, number))
    return found


def service_names(rng: np.random.Generator, kinds: Sequence[str]) -> list[str]:
    """A distinct name for each service, in one style for the whole system."""
    joint = str(rng.choice(["-", "_", ""]))
    taken: dict[str, int] = {}
    names = []
    _, subjects, suffixes = _written()
    chosen = rng.integers(0, len(subjects), len(kinds)).tolist()
    picks = rng.random(len(kinds)).tolist()
    for kind, subject, pick in zip(kinds, chosen, picks, strict=True):
        options = suffixes[kind]
        suffix = options[int(pick * len(options))]
        name = subjects[subject] + (joint + suffix if suffix else "")
        seen = taken[name] = taken.get(name, 0) + 1
        names.append(name if seen == 1 else f"{name}{joint or '-'}{seen}")
    return names
