"""Every package is listed, and every requirement is pinned."""

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("data", "gnn", "agent")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_listed(project: dict[str, Any]) -> None:
    here = {
        ".".join(path.parent.relative_to(REPO).parts)
        for package in PACKAGES
        for path in (REPO / package).rglob("__init__.py")
    }
    assert here <= set(project["tool"]["setuptools"]["packages"])


def test_every_requirement_is_pinned(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *chain.from_iterable(extras.values())]
    wanted = [requirement for requirement in wanted if not requirement.startswith("firewatch-rca[")]
    pinned = set()
    for line in (REPO / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            assert "+" not in version, f"{line}: a local version is not to be had elsewhere"
            pinned.add(normal(name))
    assert {normal(re.split(r"[<>=!~\[ ;]", requirement)[0]) for requirement in wanted} <= pinned


def test_the_developers_installation_brings_every_extra_but_the_cluster(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    [whole] = [requirement for requirement in extras["dev"] if requirement.startswith("firewatch-rca[")]
    assert set(whole.removesuffix("]").split("[")[1].split(",")) == set(extras) - {"dev", "ray"}


def test_every_package_is_typed() -> None:
    assert all((REPO / package / "py.typed").exists() for package in PACKAGES)


def test_makefile_explains_each_target() -> None:
    text = (REPO / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert re.search(rf"^{target}:.*## \S", text, re.MULTILINE), f"make {target} has no help"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
