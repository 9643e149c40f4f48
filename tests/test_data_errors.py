"""Our exceptions survive being passed between processes."""

import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import agent
import data
import gnn
from data.errors import FirewatchError


def subclasses(kind: type[FirewatchError]) -> Iterator[type[FirewatchError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_errors_survive_the_way_between_processes() -> None:
    for package in (data, gnn, agent):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    made = {
        "SchemaError": ("file.jsonl:3", "tasks.0", {"seed": "x"}, "write a number"),
        "UnusableReply": ("empty", "there is no JSON object in it"),
    }
    kinds = set(subclasses(FirewatchError))
    assert len(kinds) > 8
    for kind in kinds:
        error = kind(*made.get(kind.__name__, ("what happened",)))
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert str(again) == str(error) and vars(again) == vars(error)
