"""Opens the exported network with ONNX Runtime; a damaged network, or one of another card, is refused."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn.card import Card
from gnn.checkpoint import CARD, EXPORT, CheckpointError, check_probe, kept_file
from gnn.features.featurize import CALL_FEATURES, SERVICE_FEATURES, Graph
from gnn.network.heads import Scores
from gnn.probe import probe_graph, probe_of

Floats = npt.NDArray[np.float32]
Network = Callable[[Graph], Scores[Floats]]

_AGAIN = "run 'firewatch train' again"
# The made-up graph takes a few; a network that needs more is damaged.
_TRIED_IN_BYTES = 128 * 2**20
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
    tried = _network(content, path, card, bounded=True)
    try:
        probe = probe_of(tried(probe_graph()))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {_first_line(error)} – {_AGAIN}") from None
    check_probe(probe, card, path)
    return _network(content, path, card, bounded=False)


def _network(content: bytes, path: Path, card: Card, *, bounded: bool) -> Network:
    """Opens the network; if `bounded`, with just enough memory for a small graph."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Memory plans for every graph size would be kept for ever, for little gain.
    options.enable_mem_pattern = False
    if bounded:
        _bound_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        # The optimizer would run parts of the network outside of the memory bound.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoModel,
                state.NotImplemented, state.RuntimeException, ValueError)  # fmt: skip
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise CheckpointError(f"{path}: {_first_line(error)} – {_AGAIN}") from None
    _check_fits(session, card, path.parent)

    def network(graph: Graph) -> Scores[Floats]:
        inputs = {"x": graph.x, "mode": np.array([graph.mode]), "edge_index": graph.edge_index,
                  "edge_attr": graph.edge_attr}  # fmt: skip
        try:
            said = Scores[Floats](*session.run(Scores._fields, inputs))
        except refusals as error:
            raise CheckpointError(f"{path}: {_first_line(error)} – {_AGAIN}") from None
        if not all(np.isfinite(part).all() for part in said):
            raise CheckpointError(f"{path}: scores that are not finite numbers – {_AGAIN}")
        return said

    return network


@cache
def _bound_memory() -> None:
    """Sets up the bounded memory, once per process."""
    import onnxruntime

    processor = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = onnxruntime.OrtArenaCfg({"max_mem": _TRIED_IN_BYTES, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(processor, as_requested)


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
