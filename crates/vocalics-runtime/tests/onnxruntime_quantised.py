"""Compares logits on standard input with onnxruntime's for a quantised model.

    onnxruntime_quantised.py MODEL.onnx TOLERANCE < ROWS

Each row is a JSON object {"features": [...], "n_mels": n, "scores": [...], "temperature": t}. Exits 1 when a
score differs by TOLERANCE or more. Where inputs are rounded, onnxruntime forms integer sums and rounds where
this project's engine rounds singles, so that a value may fall on the other side of a step.
"""

import json
import sys

import numpy as np
import onnxruntime

def main() -> int:
    path, tolerance = sys.argv[1], float(sys.argv[2])
    options = onnxruntime.SessionOptions()
    # By itself onnxruntime rounds the inputs of dense layers with weights in eight bits; 1 is single precision.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    worst, rows = 0.0, 0
    for line in sys.stdin:
        row = json.loads(line)
        features = np.array(row["features"], np.float32).reshape(1, -1, row["n_mels"])
        (logits,) = session.run(["logits"], {"features": features})
        scores = np.exp((logits[0] - logits[0].max()) / row["temperature"])
        worst = max(worst, float(np.abs(scores / scores.sum() - np.array(row["scores"])).max()))
        rows += 1
    print(f"onnxruntime {onnxruntime.__version__}: {rows} clips, largest difference {worst:.2e}")
    return 0 if rows and worst < tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
