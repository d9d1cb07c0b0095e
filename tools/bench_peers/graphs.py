# SPDX-License-Identifier: MIT
"""Whisper's encoder as an ONNX graph, in the form that each engine runs fastest.

`fused` uses ONNX Runtime's own operators (domain com.microsoft), which is what its transformer
optimiser makes of an exported model: one operator for the whole attention, norms joined with the
residual, GELU joined with the bias. `plain` has standard operators only, from which OpenVINO makes
its own fusions, and which NNCF can quantise.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"
EPSILON = 1e-5


class Graph:
    """Nodes and constants in the order in which they are added; every value has a name."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def constant(self, name, values):
        """Weights become float32; shapes and such stay as they are."""
        values = np.ascontiguousarray(values)
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def add(self, kind, inputs, output, domain="", **attributes):
        """Returns the name of the (first) output."""
        outputs = [output] if isinstance(output, str) else output
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0] + "/" + kind,
                                           domain=domain, **attributes))
        return outputs[0]

    def model(self, n_mels, n_ctx, n_state, opset):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, "whisper-encoder",
            [value("mel", onnx.TensorProto.FLOAT, [1, n_mels, 2 * n_ctx])],
            [value("states", onnx.TensorProto.FLOAT, [1, n_ctx, n_state])],
            list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[
            helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)])
        model.ir_version = 10
        return model


def convolutions(graph, tensors, gelu):
    """Log-mel to the residual before the first layer."""
    x = "mel"
    for i, stride in ((1, 1), (2, 2)):
        name = f"encoder.conv{i}"
        x = graph.add("Conv", [x, graph.constant(name + ".weight", tensors[name + ".weight"]),
                               graph.constant(name + ".bias", tensors[name + ".bias"])],
                      name, kernel_shape=[3], pads=[1, 1], strides=[stride])
        x = graph.add("Gelu", [x], name + ".gelu", domain=gelu)
    x = graph.add("Transpose", [x], "encoder.frames", perm=[0, 2, 1])
    positions = graph.constant("encoder.positional_embedding",
                               tensors["encoder.positional_embedding"][None])
    return graph.add("Add", [x, positions], "encoder.residual")


def norm_constants(graph, tensors, name):
    return [graph.constant(f"{name}.{part}", tensors[f"{name}.{part}"])
            for part in ("weight", "bias")]


def product(graph, tensors, name, x, scale=1):
    """x Wᵀ without the bias."""
    weight = graph.constant(name + ".weight", scale * tensors[name + ".weight"].T)
    return graph.add("MatMul", [x, weight], name)


def fused(weights):
    """For ONNX Runtime."""
    graph, tensors = Graph(), weights.tensors
    x = convolutions(graph, tensors, gelu=MICROSOFT)
    normed = graph.add("LayerNormalization",
                       [x, *norm_constants(graph, tensors, "encoder.blocks.0.attn_ln")],
                       "encoder.blocks.0.normed", axis=-1, epsilon=EPSILON)

    def add_and_norm(branch, residual, bias, norm, outputs):
        """residual + branch + bias, and its norm: names of both."""
        graph.add("SkipLayerNormalization",
                  [branch, residual, *norm_constants(graph, tensors, norm),
                   graph.constant(bias, tensors[bias])], outputs, domain=MICROSOFT,
                  epsilon=EPSILON)
        return outputs[0], outputs[-1]

    for i in range(weights.n_layer):
        block = f"encoder.blocks.{i}"
        heads = [product(graph, tensors, f"{block}.attn.{part}", normed)
                 for part in ("query", "key", "value")]
        query_bias = tensors[f"{block}.attn.query.bias"]
        bias = graph.constant(f"{block}.attn.bias", np.concatenate(
            [query_bias, np.zeros_like(query_bias), tensors[f"{block}.attn.value.bias"]]))
        heads = graph.add("MultiHeadAttention", [*heads, bias], f"{block}.attn", domain=MICROSOFT,
                          num_heads=weights.n_head)
        normed, x = add_and_norm(
            product(graph, tensors, f"{block}.attn.out", heads), x, f"{block}.attn.out.bias",
            f"{block}.mlp_ln", [f"{block}.mlp.in", "", "", f"{block}.middle"])
        up = product(graph, tensors, f"{block}.mlp.0", normed)
        bias = graph.constant(f"{block}.mlp.0.bias", tensors[f"{block}.mlp.0.bias"])
        up = graph.add("BiasGelu", [up, bias], f"{block}.mlp.gelu", domain=MICROSOFT)
        last = i + 1 == weights.n_layer
        following = f"encoder.blocks.{i + 1}"
        normed, x = add_and_norm(
            product(graph, tensors, f"{block}.mlp.2", up), x, f"{block}.mlp.2.bias",
            "encoder.ln_post" if last else following + ".attn_ln",
            ["states"] if last else [following + ".normed", "", "", f"{block}.residual"])
    return graph.model(weights.n_mels, weights.n_ctx, weights.n_state, opset=17)


def plain(weights):
    """For OpenVINO. The scale of the scores is in the query's weights; for heads of 64 it is a
    power of two, so nothing is rounded."""
    graph, tensors = Graph(), weights.tensors
    scale = (weights.n_state // weights.n_head) ** -0.5
    shape = graph.constant("heads", np.array(
        [0, 0, weights.n_head, weights.n_state // weights.n_head], np.int64))
    joined = graph.constant("joined", np.array([0, 0, weights.n_state], np.int64))

    def norm(x, name, output):
        return graph.add("LayerNormalization", [x, *norm_constants(graph, tensors, name)], output,
                         axis=-1, epsilon=EPSILON)

    def linear(x, name, scale=1):
        y = product(graph, tensors, name, x, scale)
        bias = graph.constant(name + ".bias", scale * tensors[name + ".bias"])
        return graph.add("Add", [y, bias], name + ".sum")

    def by_head(x, name, perm):
        x = graph.add("Reshape", [x, shape], name + ".reshaped")
        return graph.add("Transpose", [x], name + ".heads", perm=perm)

    x = convolutions(graph, tensors, gelu="")
    for i in range(weights.n_layer):
        block = f"encoder.blocks.{i}"
        attn = block + ".attn"
        normed = norm(x, f"{block}.attn_ln", f"{block}.normed")
        query = by_head(linear(normed, attn + ".query", scale), attn + ".query", [0, 2, 1, 3])
        key = by_head(product(graph, tensors, attn + ".key", normed), attn + ".key", [0, 2, 3, 1])
        value = by_head(linear(normed, attn + ".value"), attn + ".value", [0, 2, 1, 3])
        scores = graph.add("MatMul", [query, key], attn + ".scores")
        chances = graph.add("Softmax", [scores], attn + ".chances", axis=-1)
        heads = graph.add("MatMul", [chances, value], attn + ".mixed")
        heads = graph.add("Transpose", [heads], attn + ".frames", perm=[0, 2, 1, 3])
        heads = graph.add("Reshape", [heads, joined], attn + ".joined")
        x = graph.add("Add", [x, linear(heads, attn + ".out")], f"{block}.middle")
        up = linear(norm(x, f"{block}.mlp_ln", f"{block}.mlp.in"), f"{block}.mlp.0")
        up = graph.add("Gelu", [up], f"{block}.mlp.gelu")
        x = graph.add("Add", [x, linear(up, f"{block}.mlp.2")], f"{block}.residual")
    norm(x, "encoder.ln_post", "states")
    return graph.model(weights.n_mels, weights.n_ctx, weights.n_state, opset=20)
