"""A made-up graph whose scores a checkpoint keeps, to tell whether its network is the one that was saved."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from gnn.features.featurize import CALL_FEATURES, SERVICE_FEATURES, Graph

_CALLERS, _CALLEES = (0, 0, 1, 2, 3, 4), (1, 2, 3, 3, 4, 0)
_SERVICES, _CALLS = 5, len(_CALLERS)
# Processors and versions of a library add numbers in other orders.
_TOLERANCE = 2e-3
_DECIMALS = 5


class Probe(BaseModel):
    """What the network says of `probe_graph`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: tuple[FiniteFloat, ...]  # (S,)
    family: tuple[tuple[FiniteFloat, ...], ...]  # (S, families)
    incident: tuple[FiniteFloat, ...]  # (1,)

    @staticmethod
    def of(heads: Sequence[Any]) -> "Probe":
        """The probe of a network that says this.

        Raises:
            ValueError: not scores of the shape that networks give, or not finite.
        """
        root, family, incident = (np.asarray(part, dtype=np.float64).round(_DECIMALS) for part in heads)
        try:
            return Probe.model_validate(
                {"root": root.tolist(), "family": family.tolist(), "incident": incident.tolist()}
            )
        except ValidationError:
            raise ValueError("scores that are not finite numbers") from None

    def agrees(self, other: "Probe") -> bool:
        """Whether both are of one network."""
        rows = zip(
            (self.root, *self.family, self.incident),
            (other.root, *other.family, other.incident),
            strict=False,
        )
        return len(self.family) == len(other.family) and all(
            len(one) == len(two) and np.allclose(one, two, rtol=_TOLERANCE, atol=_TOLERANCE)
            for one, two in rows
        )


def probe_graph() -> Graph:
    """Five services and six calls, every column different from every other, the same on every machine."""

    def waves(*shape: int) -> Any:
        return np.sin(1.0 + np.arange(np.prod(shape))).reshape(shape).astype(np.float32)

    return Graph(
        x=waves(_SERVICES, len(SERVICE_FEATURES)),
        mode=0,
        edge_index=np.array([_CALLERS, _CALLEES], dtype=np.int64),
        edge_attr=waves(_CALLS, len(CALL_FEATURES)),
    )
