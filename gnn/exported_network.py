"""Opens the exported network with ONNX Runtime; a damaged network, or one of another card, is refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn.card import Card
from gnn.checkpoint import CARD, EXPORT, CheckpointError, check_probe, kept_file
from gnn.features.featurize import CALL_FEATURES, SERVICE_FEATURES, Graph
from gnn.probe import Probe, probe_graph

Floats = npt.NDArray[np.float32]
# A graph → root scores (S,), family logits (S, families), incident logit (1,).
Heads = tuple[Floats, Floats, Floats]
Network = Callable[[Graph], Heads]

_OUTPUTS = ("root", "family", "incident")
_AGAIN = "run 'firewatch train' again"
# Operators that may run for ever, in protobuf's encoding; no exported network has them.
_LOOPS = re.compile(rb"\x22(?:\x04|\x84\x80*\x00)(?:Loop|Scan)")


def exported_network(folder: Path, card: Card) -> Network:
    """The network of a checkpoint folder.

    Raises:
        CheckpointError: it is missing, damaged, or belongs to another card.
    """
    path = folder / EXPORT
    content = kept_file(folder, card, EXPORT)
    if _LOOPS.search(content):
        raise CheckpointError(f"{path}: a network with a loop, which may never end – {_AGAIN}")
    session, refusals = _session(content, path)
    _check_fits(session, card, folder)

    def network(graph: Graph) -> Heads:
        inputs = {"x": graph.x, "mode": np.array([graph.mode]), "edge_index": graph.edge_index,
                  "edge_attr": graph.edge_attr}  # fmt: skip
        try:
            root, family, incident = session.run(_OUTPUTS, inputs)
        except refusals as error:
            raise CheckpointError(f"{path}: {_first_line(error)} – {_AGAIN}") from None
        if not all(np.isfinite(part).all() for part in (root, family, incident)):
            raise CheckpointError(f"{path}: scores that are not finite numbers – {_AGAIN}")
        return root, family, incident

    try:
        probe = Probe.of(network(probe_graph()))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {_first_line(error)} – {_AGAIN}") from None
    check_probe(probe, card, path)
    return network


def _session(content: bytes, path: Path) -> tuple[Any, tuple[type[Exception], ...]]:
    """The ONNX session, and the errors that it may raise."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Memory plans for every graph size would be kept for ever, for little gain.
    options.enable_mem_pattern = False
    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoModel,
                state.NotImplemented, state.RuntimeException, ValueError)  # fmt: skip
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise CheckpointError(f"{path}: {_first_line(error)} – {_AGAIN}") from None
    return session, refusals


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def _check_fits(session: Any, card: Card, folder: Path) -> None:
    wanted = {
        "x": len(SERVICE_FEATURES),
        "edge_attr": len(CALL_FEATURES),
        "family": max(len(card.shape.families), 1),
    }
    found = {
        part.name: part.shape[-1] if part.shape else None
        for part in (*session.get_inputs(), *session.get_outputs())
    }
    for name, columns in wanted.items():
        if found.get(name) != columns:
            raise CheckpointError(
                f"{folder / EXPORT}: not the network of {CARD} beside it ('{name}' has "
                f"{found.get(name, 'no')} columns, not {columns or 'any'}) – copy the whole folder, "
                f"or {_AGAIN}"
            )
