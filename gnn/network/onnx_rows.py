"""An exported network made to gather messages row by row instead of element by element.

The exporter writes an aggregation of messages as ScatterElements with one index an element, which ONNX
Runtime follows one by one. All elements of a message go to the same service, so ScatterND with one index a
message says the same and is some twenty times faster. Shapes: S services, E calls.
"""

from collections.abc import Mapping

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

_LOWEST = -3.4028234663852886e38  # the least float32: what the exporter starts a maximum from


def scatter_rows(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrites the aggregations of `model` in place; all other nodes stay as they are."""
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made: dict[str, NodeProto] = {}  # by output, in order; shared inputs of aggregations appear once
    for node in graph.node:
        column = _column(node, made_by, constants)
        rewritten = [node] if column is None else _scatter(node, column, made_by)
        made.update({new.output[0]: new for new in rewritten if new.output[0] not in made})
    used = {output.name for output in graph.output}
    kept = []
    for node in reversed(made.values()):
        if used.intersection(node.output):
            kept.append(node)
            used.update(node.input)
    initializers = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(initializers)
    return model


def _column(
    node: NodeProto, made_by: Mapping[str, NodeProto], constants: Mapping[str, TensorProto]
) -> NodeProto | None:
    """What makes the index (E, 1, …) of the rows that `node` scatters; None if it scatters no rows."""
    if node.op_type != "ScatterElements" or _attribute(node, "axis") not in (0, None):
        return None
    expanded = made_by.get(node.input[1])
    column = made_by.get(expanded.input[0]) if expanded and expanded.op_type == "Expand" else None
    if column is None or column.op_type != "Reshape" or column.input[1] not in constants:
        return None
    first, *others = numpy_helper.to_array(constants[column.input[1]]).tolist()
    return column if first == -1 and others and set(others) == {1} else None


def _scatter(node: NodeProto, column: NodeProto, made_by: Mapping[str, NodeProto]) -> list[NodeProto]:
    """The nodes that replace `node`, with one index for each row."""
    data, _, updates = node.input
    index, shape = column.input
    reduction = _attribute(node, "reduction") or b"none"
    constant = made_by.get(updates)
    if reduction == b"min" and _filled_with(made_by.get(data)) == 0.0 and _filled_with(constant) == _LOWEST:
        return _lowered(node, data, index, shape)
    rows, axis = f"{index}_rows", f"{index}_axis"
    last = helper.make_tensor("value", TensorProto.INT64, [1], [-1])
    return [
        helper.make_node("Constant", [], [axis], value=last),
        helper.make_node("Unsqueeze", [index, axis], [rows]),  # (E, 1)
        helper.make_node("ScatterND", [data, rows, updates], [node.output[0]], reduction=reduction),
    ]


def _lowered(node: NodeProto, zeros: str, index: str, shape: str) -> list[NodeProto]:
    """The start of a maximum: the lowest number in every row that gets a message, 0 in the others."""
    name = f"{index}_{zeros}_start"
    sizes, services, calls, none, low, column = (f"{name}_{part}" for part in range(6))
    lowest = helper.make_tensor("value", TensorProto.FLOAT, [1], [_LOWEST])
    return [
        helper.make_node("Shape", [zeros], [sizes]),
        helper.make_node("Shape", [zeros], [services], start=0, end=1),
        helper.make_node("Shape", [index], [calls]),
        helper.make_node("ConstantOfShape", [services], [none]),  # (S,)
        helper.make_node("ConstantOfShape", [calls], [low], value=lowest),  # (E,)
        helper.make_node("ScatterElements", [none, index, low], [f"{name}_rows"], axis=0),  # (S,)
        helper.make_node("Reshape", [f"{name}_rows", shape], [column]),  # (S, 1, …)
        helper.make_node("Expand", [column, sizes], [name]),
        helper.make_node("Identity", [name], [node.output[0]]),
    ]


def _attribute(node: NodeProto, name: str) -> object:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


def _filled_with(node: NodeProto | None) -> float | None:
    """What a ConstantOfShape is full of; None for any other node."""
    if node is None or node.op_type != "ConstantOfShape":
        return None
    value = _attribute(node, "value")
    return float(numpy_helper.to_array(value).item()) if isinstance(value, TensorProto) else 0.0
