"""Inference beside onnxruntime: every model, batch 1 and 32, one and two threads, a clip of 3.5 s.

    cargo build --release -p vocalics-runtime --example infer
    python bench/infer/run.py [MODEL.onnx ...]

Without arguments: models/*.onnx. Each engine runs in a process of its own, warmed up; the processes are
started in turn, several times, so that what else the machine does meets all of them. Printed is the
median of all calls of an engine in milliseconds, and the ratio of onnxruntime's to ours: more than 1
means that we are faster. Needs numpy and onnxruntime.
"""

import pathlib
import platform
import statistics
import subprocess
import sys

FRAMES = 350
ROUNDS = 5
CALLS = {1: 25, 32: 3}
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ROOT / "target" / "release" / "examples" / "infer"
ENGINES = ["native", "rten", "onnxruntime"]


def peer(model, threads, batch, calls):
    """The body of onnxruntime's process."""
    import time

    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    width = session.get_inputs()[0].shape[2]
    numbers = numpy.random.default_rng(1)
    features = numbers.uniform(-12.0, -4.0, (batch, FRAMES, width)).astype(numpy.float32)
    for _ in range(3):
        session.run(["logits"], {"features": features})
    for _ in range(calls):
        start = time.perf_counter()
        session.run(["logits"], {"features": features})
        print((time.perf_counter() - start) * 1e3)


def measure(engine, model, threads, batch):
    calls = CALLS[batch]
    if engine == "onnxruntime":
        command = [sys.executable, __file__, "--peer", model, threads, batch, calls]
    else:
        command = [OURS, model, engine, threads, batch, FRAMES, calls]
    output = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if output.returncode != 0:
        said = output.stderr.strip().splitlines() or [f"exit code {output.returncode}"]
        print(f"{pathlib.Path(model).stem}, {engine}: {said[-1]}", file=sys.stderr)
        return None
    return [float(line) for line in output.stdout.split()]


def main():
    if sys.argv[1:2] == ["--peer"]:
        model, threads, batch, calls = sys.argv[2:]
        peer(model, int(threads), int(batch), int(calls))
        return
    import onnxruntime

    models = [pathlib.Path(path) for path in sys.argv[1:]] or sorted((ROOT / "models").glob("*.onnx"))
    print(f"{platform.machine()}, onnxruntime {onnxruntime.__version__}, {FRAMES} frames, medians in ms\n")
    print("| model | batch | threads | native | rten | onnxruntime | onnxruntime / native |")
    print("|---|---|---|---|---|---|---|")
    for model in models:
        for batch in CALLS:
            for threads in (1, 2):
                times = {engine: [] for engine in ENGINES}
                for _ in range(ROUNDS):
                    for engine in ENGINES:
                        times[engine] += measure(engine, model, threads, batch) or []
                medians = {name: statistics.median(all_) if all_ else None for name, all_ in times.items()}
                cells = [f"{medians[name]:.2f}" if medians[name] else "cannot" for name in ENGINES]
                ratio = "-"
                if medians["native"] and medians["onnxruntime"]:
                    ratio = f"{medians['onnxruntime'] / medians['native']:.2f}"
                row = [model.stem, str(batch), str(threads), *cells, ratio]
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
