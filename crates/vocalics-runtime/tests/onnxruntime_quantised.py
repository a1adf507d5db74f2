"""Compares logits on standard input with onnxruntime's for a quantised model.

    onnxruntime_quantised.py MODEL.onnx < ROWS

Each row is a JSON object {"features": [...], "n_mels": n, "scores": [...], "temperature": t}. onnxruntime
forms integer sums and rounds where this project's engine rounds singles, so that a value may fall on the
other side of a step: exits 1 when a score differs by 2e-2 or more, the tolerance of a quantised
model's test vector.
"""

import json
import sys

import numpy as np
import onnxruntime

TOLERANCE = 2e-2


def main() -> int:
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    worst, rows = 0.0, 0
    for line in sys.stdin:
        row = json.loads(line)
        features = np.array(row["features"], np.float32).reshape(1, -1, row["n_mels"])
        (logits,) = session.run(["logits"], {"features": features})
        scores = np.exp((logits[0] - logits[0].max()) / row["temperature"])
        worst = max(worst, float(np.abs(scores / scores.sum() - np.array(row["scores"])).max()))
        rows += 1
    print(f"onnxruntime {onnxruntime.__version__}: {rows} clips, largest difference {worst:.2e}")
    return 0 if rows and worst < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
