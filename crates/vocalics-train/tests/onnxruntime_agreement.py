"""Compares logits on standard input with onnxruntime's for the same features.

    onnxruntime_agreement.py MODEL.onnx < ROWS

Each row is a JSON object {"features": [...], "n_mels": n, "logits": [...]}. Called by the corpus
test of vocalics-train; exits 1 when a logit differs by 1e-4 or more.
"""

import json
import sys

import numpy as np
import onnxruntime

TOLERANCE = 1e-4


def main() -> int:
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    worst, rows = 0.0, 0
    for line in sys.stdin:
        row = json.loads(line)
        features = np.array(row["features"], np.float32).reshape(1, -1, row["n_mels"])
        (logits,) = session.run(["logits"], {"features": features})
        worst = max(worst, float(np.abs(logits[0] - np.array(row["logits"])).max()))
        rows += 1
    print(f"onnxruntime {onnxruntime.__version__}: {rows} clips, largest difference {worst:.2e}")
    return 0 if rows and worst < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
