"""The network as an ONNX file, so that ranking needs neither torch nor PyG."""

import logging
import warnings
from functools import cache
from pathlib import Path

import onnx
import onnx_ir
import torch
from torch import Tensor, nn

from data.files.whole_file import write_whole
from gnn.features.featurize import CALL_FEATURES, SERVICE_FEATURES
from gnn.network.heads import Scores
from gnn.network.model import ModelConfig, RootCauseNet
from gnn.network.onnx_rows import scatter_rows

INPUTS = ("x", "mode", "edge_index", "edge_attr")


class _OneGraph(nn.Module):
    """The network for a single graph, without a batch."""

    def __init__(self, net: RootCauseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, mode: Tensor, edge_index: Tensor, edge_attr: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.net(x, mode, edge_index, edge_attr, None, 1))


def export_onnx(net: RootCauseNet, path: Path) -> None:
    """Writes `net` for any number of services and calls; the same weights give the same bytes."""
    traced = _traced(net.config)
    model = onnx_ir.from_proto(onnx_ir.to_proto(traced.model))  # a copy: what follows changes it
    program = torch.onnx.ONNXProgram(model, traced.exported_program)
    program.apply_weights(_OneGraph(net.cpu().eval()).state_dict())
    program.optimize()
    write_whole(path, _anonymous(scatter_rows(program.model_proto)).SerializeToString())


@cache
def _traced(config: ModelConfig) -> torch.onnx.ONNXProgram:
    """A network of this shape with any weights, before constants are folded; tracing it takes seconds."""
    with torch.random.fork_rng(devices=[]):
        net = RootCauseNet(config)
    services, calls = torch.export.Dim("services", min=1), torch.export.Dim("calls", min=1)
    sample: tuple[Tensor, ...] = (
        torch.zeros(5, len(SERVICE_FEATURES)),
        torch.zeros(1, dtype=torch.long),
        torch.tensor([[0, 1, 2], [1, 2, 3]]),
        torch.zeros(3, len(CALL_FEATURES)),
    )
    shapes = {"x": {0: services}, "mode": None, "edge_index": {1: calls}, "edge_attr": {0: calls}}
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's notes on its own internals
            program = torch.onnx.export(
                _OneGraph(net.eval()),
                sample,
                input_names=list(INPUTS),
                output_names=list(Scores._fields),
                dynamic_shapes=shapes,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    return program


def _anonymous(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes, which name source files of this machine."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
    return model
