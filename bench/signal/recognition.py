"""Whether recognition gets better or worse with noise reduction: a cross-validation's models on noisy test clips.

    cargo build --release -p vocalics-cli
    vocalics evaluate --config configs/emobox-6fold.toml --protocol emobox-6fold --data DATA --run RUN
    python bench/signal/recognition.py DATA RUN [--every N] [--binary PATH]

Every fold's model hears the clips of its own test speakers, whom it never heard: as they are, and with white noise,
pink noise and babble (eight clips of other speakers laid over each other) at 20, 10 and 0 dB over the part of the clip
within 30 dB of its loudest 25 ms frame; each once as mixed and once through `vocalics denoise`. Prints UAR in percent
over all folds. Noise was in no training: what is measured is what noise and its reduction do to such a model.

Needs: numpy, scipy, soundfile.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.signal
import soundfile

from noise import RATE, ROOT, noise

KINDS, SNRS = ("white", "pink", "babble"), (20, 10, 0)


def read(path):
    y, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return scipy.signal.resample_poly(y.mean(axis=1), RATE, rate)


def level(y):
    """RMS over the part within 30 dB of the loudest frame of 25 ms."""
    frames = y[: len(y) // 400 * 400].reshape(-1, 400)
    powers = (frames**2).mean(axis=1)
    loud = np.flatnonzero(powers > powers.max() / 1000)
    return np.sqrt((y[loud[0] * 400 : (loud[-1] + 1) * 400] ** 2).mean())


def predictions(binary, model, folder):
    command = [binary, "predict", "--format", "jsonl", "--model", model, folder]
    # Exit code 1: some clips failed; those lines say so and count as wrong.
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    answers = map(json.loads, lines)
    return {pathlib.Path(answer["file"]).stem: answer.get("label") for answer in answers}


def uar(pairs):
    truth = {}
    for label, answer in pairs:
        truth.setdefault(label, []).append(label == answer)
    return 100 * np.mean([np.mean(hits) for hits in truth.values()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--every", type=int, default=1, help="take every N-th clip")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "vocalics")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"error: no {args.binary}\nhint: cargo build --release -p vocalics-cli")
    folds = sorted(path.parent for path in args.run.glob("fold-*/model.onnx"))
    if not folds:
        sys.exit(f"error: no fold-*/model.onnx under {args.run}\nhint: run `vocalics evaluate --config` first")
    files = {path.stem: path for path in (args.data / "ravdess-speech").glob("Actor_*/*")}
    babblers = [read(path) for _, path in sorted(files.items())[:: len(files) // 40]]
    rng = np.random.default_rng(5)
    table = {}
    for fold in folds:
        with open(fold / "predictions.csv", newline="") as lines:
            rows = list(csv.DictReader(lines))[:: args.every]
        labels = {pathlib.PurePath(row["id"]).name: row["truth"] for row in rows}
        clips = {stem: read(files[stem]) for stem in labels}
        for kind, snr in [("none", None)] + [(kind, snr) for kind in KINDS for snr in SNRS]:
            with tempfile.TemporaryDirectory() as work:
                mixed, reduced = pathlib.Path(work, "mixed"), pathlib.Path(work, "reduced")
                mixed.mkdir()
                reduced.mkdir()
                for stem, y in clips.items():
                    if snr is not None:
                        others = [babblers[k] for k in rng.choice(len(babblers), 8, replace=False)]
                        bed = noise(kind, len(y), rng, others)
                        y = y + bed * level(y) / np.sqrt(np.mean(bed**2)) * 10 ** (-snr / 20)
                    soundfile.write(mixed / f"{stem}.wav", np.clip(y, -1, 1), RATE, subtype="PCM_16")

                def denoise(path):
                    subprocess.run([args.binary, "denoise", path, "-o", reduced / path.name], check=True)

                with ThreadPoolExecutor() as pool:
                    list(pool.map(denoise, mixed.iterdir()))
                for name, folder in (("as mixed", mixed), ("reduced", reduced)):
                    answers = predictions(args.binary, fold / "model.onnx", folder)
                    pairs = [(label, answers.get(stem)) for stem, label in labels.items()]
                    table.setdefault((kind, snr), {}).setdefault(name, []).extend(pairs)
        print(f"{fold.name}: {len(clips)} clips", file=sys.stderr)
    print("| noise | SNR, dB | clips | UAR as mixed | UAR after noise reduction |")
    print("|---|---|---|---|---|")
    for (kind, snr), found in table.items():
        values = " | ".join(f"{uar(found[name]):.1f}" for name in ("as mixed", "reduced"))
        print(f"| {kind} | {'' if snr is None else snr} | {len(found['reduced'])} | {values} |")


if __name__ == "__main__":
    main()
