"""Compares logits on standard input with onnxruntime's for the same features.

    agreement.py MODEL.onnx TOLERANCE < ROWS

Each row is a JSON object {"shape": [batch, n_frames, n_mels], "features": [...], "logits": [...]}, arrays
in row-major order. Called by the tests of vocalics-train; exits 1 when a logit differs by TOLERANCE or
more.
"""

import json
import sys

import numpy as np
import onnxruntime


def main() -> int:
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    worst, rows = 0.0, 0
    for line in sys.stdin:
        row = json.loads(line)
        features = np.array(row["features"], np.float32).reshape(row["shape"])
        (logits,) = session.run(["logits"], {"features": features})
        expected = np.array(row["logits"])
        if logits.size != expected.size:
            sys.exit(f"error: {logits.size} logits, expected {expected.size}")
        # Unlike max(), a NaN stays.
        worst = float(np.maximum(worst, np.abs(logits.ravel() - expected).max()))
        rows += 1
    print(f"onnxruntime {onnxruntime.__version__}: {rows} batches, largest difference {worst:.2e}")
    return 0 if rows and worst < float(sys.argv[2]) else 1


if __name__ == "__main__":
    sys.exit(main())
