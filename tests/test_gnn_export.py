"""The exported network gives the same scores as the network, for every convolution and graph."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from gnn.features.featurize import CALL_FEATURES, MODES, SERVICE_FEATURES
from gnn.network.export import export_onnx
from gnn.network.heads import Scores
from gnn.network.model import Convolution, ModelConfig, RootCauseNet

SHAPES: tuple[Convolution, ...] = ("edge", "sage", "none", "degree")
Floats = npt.NDArray[np.float32]


def graph(services: int, calls: int, seed: int = 0) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Any graph: with cycles, services without callers, and some repeated calls."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((services, len(SERVICE_FEATURES))).astype(np.float32)
    edge_index = rng.integers(0, max(2 * services // 3, 1), (2, calls))
    return x, edge_index, rng.random((calls, len(CALL_FEATURES))).astype(np.float32)


@pytest.fixture(scope="module", params=SHAPES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RootCauseNet, Path]:
    torch.manual_seed(0)
    config = ModelConfig(convolution=request.param, hidden=16, layers=2, families=("a", "b"))
    net = RootCauseNet(config).eval()
    net.adjust_to(torch.randn(50, len(SERVICE_FEATURES)) * 3)
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export_onnx(net, path)
    return net, path


def test_the_export_scores_every_graph_as_the_network(exported: tuple[RootCauseNet, Path]) -> None:
    net, path = exported
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for services, calls in ((1, 0), (1, 2), (5, 0), (7, 12), (40, 3), (300, 2_000)):
        x, edge_index, edge_attr = graph(services, calls, seed=services)
        for mode in range(len(MODES)):
            inputs = {"x": x, "mode": np.array([mode]), "edge_index": edge_index, "edge_attr": edge_attr}
            got = session.run(list(Scores._fields), inputs)
            with torch.no_grad():
                batch = torch.zeros(services, dtype=torch.long)
                expected = net(*(torch.from_numpy(part) for part in inputs.values()), batch, 1)
            for ours, theirs in zip(got, expected, strict=True):
                assert ours.shape == tuple(theirs.shape)
                assert np.allclose(ours, theirs.numpy(), atol=1e-4)


def test_messages_arrive_row_by_row(exported: tuple[RootCauseNet, Path]) -> None:
    """Scattering with one index per element is about twenty times slower; allowed only for vectors."""
    model = onnx.shape_inference.infer_shapes(onnx.load(exported[1]))
    rank = {value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.value_info}
    scatters = [node for node in model.graph.node if node.op_type == "ScatterElements"]
    assert all(rank[node.output[0]] == 1 for node in scatters)
    by_row = [node for node in model.graph.node if node.op_type == "ScatterND"]
    assert bool(by_row) == (exported[0].config.convolution not in ("none", "degree"))
