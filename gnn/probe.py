"""A made-up graph whose scores are kept with a checkpoint, to check that its network is the one saved."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from gnn.features.featurize import CALL_FEATURES, SERVICE_FEATURES, Graph

_CALLERS, _CALLEES = (0, 0, 1, 2, 3, 4), (1, 2, 3, 3, 4, 0)
_SERVICES, _CALLS = 5, len(_CALLERS)
# Rounding differs between processors and library versions.
_TOLERANCE = 2e-3
_DECIMALS = 5


class Probe(BaseModel):
    """The network's scores of `probe_graph`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: tuple[FiniteFloat, ...]  # (S,)
    family: tuple[tuple[FiniteFloat, ...], ...]  # (S, families)
    incident: tuple[FiniteFloat, ...]  # (1,)

    @staticmethod
    def of(heads: Sequence[Any]) -> "Probe":
        """The probe with these scores.

        Raises:
            ValueError: scores of the wrong shape, or not finite.
        """
        root, family, incident = (np.asarray(part, dtype=np.float64).round(_DECIMALS) for part in heads)
        try:
            return Probe.model_validate(
                {"root": root.tolist(), "family": family.tolist(), "incident": incident.tolist()}
            )
        except ValidationError:
            raise ValueError("scores that are not finite numbers") from None

    def agrees(self, other: "Probe") -> bool:
        """Whether both come from the same network."""
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
    """Five services and six calls; all columns differ, and it is the same on every machine."""

    def waves(*shape: int) -> Any:
        return np.sin(1.0 + np.arange(np.prod(shape))).reshape(shape).astype(np.float32)

    return Graph(
        x=waves(_SERVICES, len(SERVICE_FEATURES)),
        mode=0,
        edge_index=np.array([_CALLERS, _CALLEES], dtype=np.int64),
        edge_attr=waves(_CALLS, len(CALL_FEATURES)),
    )
