"""The exported network, opened with ONNX Runtime; one that is damaged or not the card's is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn.checkpoint import CARD, EXPORT, Card, CheckpointError
from gnn.features.call_evidence import CALL_FEATURES
from gnn.features.featurize import SERVICE_FEATURES, Graph

Floats = npt.NDArray[np.float32]
# A graph → root scores (S,), family logits (S, families), incident logit (1,).
Heads = tuple[Floats, Floats, Floats]
Network = Callable[[Graph], Heads]

_AGAIN = "run 'firewatch train' again"


def exported_network(folder: Path, card: Card) -> Network:
    """The network of a checkpoint folder.

    Raises:
        CheckpointError: it is missing, damaged, or that of another card.
    """
    session = _session(folder / EXPORT)
    _check_fits(session, card, folder)

    def network(graph: Graph) -> Heads:
        inputs = {"x": graph.x, "mode": np.array([graph.mode]), "edge_index": graph.edge_index,
                  "edge_attr": graph.edge_attr}  # fmt: skip
        root, family, incident = session.run(None, inputs)
        return root, family, incident

    return network


def _session(path: Path) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    if not path.is_file():
        raise CheckpointError(f"{path.parent}: {path.name} is missing – {_AGAIN}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A plan of memory for every size of graph ever seen is worth little and held for good.
    options.enable_mem_pattern = False
    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoModel,
                state.NotImplemented, state.RuntimeException, ValueError)  # fmt: skip
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except refusals as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise CheckpointError(f"{path}: {reason} – {_AGAIN}") from None


def _check_fits(session: Any, card: Card, folder: Path) -> None:
    wanted = {
        "x": len(SERVICE_FEATURES),
        "edge_attr": len(CALL_FEATURES),
        "family": max(len(card.model.get("families", ())), 1),
    }
    found = {part.name: part.shape[-1] for part in (*session.get_inputs(), *session.get_outputs())}
    for name, columns in wanted.items():
        if found.get(name) != columns:
            raise CheckpointError(
                f"{folder / EXPORT}: not the network of {CARD} beside it ('{name}' has "
                f"{found.get(name, 'no')} columns, not {columns}) – copy the whole folder, "
                f"or {_AGAIN}"
            )
