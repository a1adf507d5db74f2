"""Golden model and outputs for vocalics-runtime.

Writes `runtime.onnx`, a small network with fixed pseudo-random weights that has the shape of a real one
(standardisation, strided convolutions, attentive statistics pooling, a linear layer; batch and number
of frames variable), and `runtime.json`, inputs of several lengths with the logits that onnxruntime
computes for them. Metadata is not written here: the tests attach it, because the front-end fingerprint is
the crate's own.

    python golden/runtime.py           write both files
    python golden/runtime.py --check   compute again and compare (relative 1e-4)

Needs: numpy, onnx, onnxruntime (golden/requirements.txt).
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE / "runtime.onnx"
VECTORS = HERE / "runtime.json"
N_MELS = 64
N_CLASSES = 8
LENGTHS = [1, 7, 32, 61]


def stream(seed):
    """A linear congruential generator: the same numbers in every numpy version."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield (state >> 40) / 2**24 * 2.0 - 1.0


def draw(numbers, *shape):
    return np.array([next(numbers) for _ in range(int(np.prod(shape)))], dtype=np.float32).reshape(shape)


def build():
    numbers = stream(20)
    weights = {
        "mean": draw(numbers, N_MELS) - 8.0,
        "std": draw(numbers, N_MELS) * 0.5 + 2.0,
        "conv1_w": draw(numbers, 8, 1, 5, 5) * 0.35,
        "conv1_b": draw(numbers, 8) * 0.1,
        "conv2_w": draw(numbers, 16, 8, 3, 3) * 0.2,
        "conv2_b": draw(numbers, 16) * 0.1,
        "attention_w": draw(numbers, 16, 1) * 0.7,
        "out_w": draw(numbers, N_CLASSES, 32) * 0.8,
        "out_b": draw(numbers, N_CLASSES) * 0.2,
        "epsilon": np.array(1e-5, dtype=np.float32),
        "axis_1": np.array([1], dtype=np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Sub", ["features", "mean"], ["centred"]),
        node("Div", ["centred", "std"], ["standardised"]),
        node("Unsqueeze", ["standardised", "axis_1"], ["image"]),  # [batch, 1, n_frames, n_mels]
        node("Conv", ["image", "conv1_w", "conv1_b"], ["c1"], strides=[2, 2], dilations=[1, 1], pads=[2, 2, 2, 2]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "conv2_w", "conv2_b"], ["c2"], strides=[2, 2], dilations=[1, 1], pads=[1, 1, 1, 1]),
        node("Relu", ["c2"], ["r2"]),  # [batch, 16, frames / 4, 16]
        node("ReduceMean", ["r2"], ["bands"], axes=[3], keepdims=0),  # [batch, 16, frames / 4]
        node("Transpose", ["bands"], ["steps"], perm=[0, 2, 1]),
        node("MatMul", ["steps", "attention_w"], ["energy"]),
        node("Softmax", ["energy"], ["attention"], axis=1),
        node("Mul", ["steps", "attention"], ["weighted"]),
        node("ReduceSum", ["weighted", "axis_1"], ["mean_over_time"], keepdims=0),
        node("Mul", ["steps", "steps"], ["squares"]),
        node("Mul", ["squares", "attention"], ["weighted_squares"]),
        node("ReduceSum", ["weighted_squares", "axis_1"], ["second_moment"], keepdims=0),
        node("Mul", ["mean_over_time", "mean_over_time"], ["mean_squared"]),
        node("Sub", ["second_moment", "mean_squared"], ["variance"]),
        node("Abs", ["variance"], ["variance_abs"]),
        node("Add", ["variance_abs", "epsilon"], ["variance_eps"]),
        node("Sqrt", ["variance_eps"], ["deviation"]),
        node("Concat", ["mean_over_time", "deviation"], ["pooled"], axis=1),
        node("Gemm", ["pooled", "out_w", "out_b"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "golden",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "n_frames", N_MELS])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", N_CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(
        graph, producer_name="vocalics-golden", ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def vectors(model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    numbers = stream(21)
    cases = []
    for n_frames in LENGTHS:
        # Two decimals are exact enough in JSON and look like log power.
        features = np.round(draw(numbers, n_frames, N_MELS) * 4.0 - 8.0, 2)
        logits = session.run(["logits"], {"features": features[None]})[0][0]
        cases.append(
            {
                "n_frames": n_frames,
                "features": [round(float(value), 2) for value in features.ravel()],
                "logits": [float(f"{value:.8g}") for value in logits],
            }
        )
    return cases


def main():
    model = build()
    cases = vectors(model)
    if "--check" in sys.argv[1:]:
        stored = json.loads(VECTORS.read_text())["cases"]
        if len(stored) != len(cases):
            sys.exit("runtime: the number of cases differs")
        for old, new, again in zip(stored, cases, vectors(MODEL.read_bytes())):
            if old["features"] != new["features"]:
                sys.exit("runtime: the inputs differ")
            for fresh in (new, again):
                if not np.allclose(old["logits"], fresh["logits"], rtol=1e-4, atol=1e-5):
                    sys.exit(f"runtime: logits differ for {old['n_frames']} frames")
        print(f"runtime: {len(cases)} cases agree")
        return
    MODEL.write_bytes(model)
    content = {
        "command": "python golden/runtime.py",
        "tools": {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
        "cases": cases,
    }
    VECTORS.write_text(json.dumps(content) + "\n")
    print(f"runtime.onnx {len(model)} bytes, {len(cases)} cases")
    for case in cases:
        print(case["n_frames"], [round(value, 3) for value in case["logits"]])


if __name__ == "__main__":
    main()
