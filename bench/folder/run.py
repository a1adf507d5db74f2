"""A folder of recordings to scores: `vocalics predict` beside soundfile, librosa and onnxruntime in Python.

    cargo build --release
    python bench/folder/run.py DIR [--model M] [--threads N] [--rounds N] [--limit N]

Both sides read every WAV and FLAC file under DIR from disk, mix down, resample to 16 kHz, cut outer silence, level, compute
log-mel, and run the model file (models/default.onnx unless given). The Python side is written twice: one process whose
onnxruntime has N threads, and N processes of one thread. Ours is a fresh process each time, start included; the
Python side is timed after its imports and a first clip. Rounds alternate. Prints files per second, the ratio, peak
memory, and on how many files the two agree.

Needs: GNU time, numpy, soundfile, librosa, soxr, onnxruntime.
"""

import argparse
import concurrent.futures
import csv
import io
import json
import multiprocessing
import os
import pathlib
import resource
import statistics
import subprocess
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import soundfile  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
NORMALISED_RMS = 0.05


def trimmed(y, top_db, over_noise_db):
    """What docs/MODEL-FILE.md says `trim_db` and `trim_over_noise_db` cut."""
    if over_noise_db == "off":
        return librosa.effects.trim(y, top_db=float(top_db))[0]
    levels = librosa.power_to_db(librosa.feature.rms(y=y, frame_length=2048, hop_length=512)[0] ** 2, top_db=None)
    loudest = levels.max()
    least = loudest - top_db
    energies = np.add.reduceat(y.astype(np.float64) ** 2, range(0, len(y), 512))
    sounds = energies > 2048 * 10 ** (loudest / 10 - 12)
    kept = np.sort([level for i, level in enumerate(levels) if sounds[max(i - 2, 0) : i + 2].all()])
    if len(kept):
        background, more = (kept[(len(kept) - 1) * tenths // 10] for tenths in (1, 3))
        if more - background <= 7:
            least = max(least, min(background + over_noise_db, loudest - 6))
    heard = np.flatnonzero(levels > least)
    return y[heard[0] * 512 : (heard[-1] + 1) * 512]


class Pipeline:
    """One process of the peer."""

    def __init__(self, model, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.labels = json.loads(metadata["vocalics.labels"])
        self.front_end = json.loads(metadata["vocalics.front_end"])

    def label(self, path):
        f = self.front_end
        y, rate = soundfile.read(path, dtype="float32", always_2d=True)
        y = y.mean(axis=1)
        if rate != f["sample_rate"]:
            y = librosa.resample(y, orig_sr=rate, target_sr=f["sample_rate"])
        if f["trim_db"] != "off":
            y = trimmed(y, f["trim_db"], f.get("trim_over_noise_db", "off"))
        if f["normalise_level"]:
            y = y * (NORMALISED_RMS / max(float(np.sqrt(np.mean(y * y))), 1e-8))
        mel = librosa.feature.melspectrogram(
            y=y, sr=f["sample_rate"], n_fft=f["n_fft"], win_length=f["win_length"], hop_length=f["hop_length"],
            n_mels=f["n_mels"], fmin=f["fmin"], fmax=f["fmax"],
        )
        compress = np.cbrt if f.get("compression") == "cube_root" else np.log
        features = compress(np.maximum(f["log_floor"], mel)).T[None].astype(np.float32)
        logits = self.session.run(None, {"features": features})[0][0]
        return self.labels[int(logits.argmax())]


def start_worker(model):
    global pipeline
    pipeline = Pipeline(model, 1)


def work(path):
    return pipeline.label(path)


def warm(_):
    """Holds a worker for a moment, so that each one starts."""
    time.sleep(0.5)


def ours(binary, model, files, threads):
    command = [binary, "predict", "--format", "csv", "--jobs", str(threads), "--model", model, *files]
    started = time.perf_counter()
    # GNU time starts the program from a small process: the peak of a child includes what it was forked from.
    done = subprocess.run(["/usr/bin/time", "-f", "%M", *command], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    return seconds, [row["label"] for row in rows], int(done.stderr.split()[-1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--model", default=str(ROOT / "models" / "default.onnx"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", default=str(target / "release" / "vocalics"))
    args = parser.parse_args()
    files = sorted(str(path) for path in args.folder.rglob("*") if path.suffix in (".wav", ".flac"))[: args.limit]

    single = Pipeline(args.model, args.threads)
    single.label(files[0])
    pool = concurrent.futures.ProcessPoolExecutor(
        args.threads, multiprocessing.get_context("spawn"), start_worker, (args.model,)
    )
    list(pool.map(warm, range(args.threads)))
    list(pool.map(work, files[: 2 * args.threads]))
    ours(args.binary, args.model, files[:4], args.threads)

    times = {"vocalics": [], "python, one process": [], "python, a process a core": []}
    for _ in range(args.rounds):
        seconds, mine, peak = ours(args.binary, args.model, files, args.threads)
        times["vocalics"].append(seconds)
        started = time.perf_counter()
        theirs = [single.label(path) for path in files]
        times["python, one process"].append(time.perf_counter() - started)
        started = time.perf_counter()
        list(pool.map(work, files, chunksize=8))
        times["python, a process a core"].append(time.perf_counter() - started)
    pool.shutdown()

    agree = sum(a == b for a, b in zip(mine, theirs, strict=True))
    base = statistics.median(times["vocalics"])
    print(f"{len(files)} files, {args.threads} threads, librosa {librosa.__version__}, onnxruntime {onnxruntime.__version__}")
    print(f"{'':28}{'files/s':>10}{'ratio':>8}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:28}{len(files) / median:10.1f}{median / base:8.2f}")
    python = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: vocalics {peak:.0f} MB, python {python:.0f} MB (one process)")
    print(f"same label: {agree} of {len(files)}")


if __name__ == "__main__":
    main()
