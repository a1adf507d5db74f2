"""Voice activity and noise reduction on RAVDESS clips mixed with noise at known places.

    cargo build --release -p vocalics-cli
    python bench/signal/noise.py DATA [--rnnoise] [--actors 1-24] [--binary PATH]

DATA holds `ravdess-speech`. Of every speaker two clips are taken (the 1st and the 31st by name: neutral and angry),
cut to the part within 30 dB of their loudest 25 ms frame, brought to 16 kHz and to an RMS of
0.05, and placed in 1.0 s, 1.2 s and 1.0 s of noise. White and pink noise, and babble (eight clips of other speakers
laid over each other), scaled to the SNR over the time of speech.

Voice activity: F1 of frames of 10 ms, speech being the time of the clips, the pauses inside them included. Noise
reduction: SNR after less SNR before, over the time of speech: 10 log10(sum s^2 / sum (y - s)^2). Prints means.

Needs: numpy, scipy, soundfile.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import scipy.signal
import soundfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE, GAPS, SNRS = 16_000, (1.0, 1.2, 1.0), (0, 5, 10, 20)


def read(path):
    y, rate = soundfile.read(path, dtype="float64", always_2d=True)
    y = scipy.signal.resample_poly(y.mean(axis=1), RATE, rate)
    frames = y[: len(y) // 400 * 400].reshape(-1, 400)
    levels = 10 * np.log10(np.maximum((frames**2).mean(axis=1), 1e-12))
    loud = np.flatnonzero(levels > levels.max() - 30)
    y = y[loud[0] * 400 : (loud[-1] + 1) * 400]
    return 0.05 * y / np.sqrt(np.mean(y**2))


def noise(kind, n, rng, others):
    if kind == "babble":
        total = np.zeros(n)
        for y in others:
            total += np.roll(np.resize(y, n), rng.integers(n))
        return total
    white = rng.standard_normal(n)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    return np.fft.irfft(spectrum, n)


def run(binary, *arguments):
    return subprocess.run([binary, *arguments], check=True, capture_output=True, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--actors", default="1-24")
    parser.add_argument("--rnnoise", action="store_true", help="measure the network of RNNoise instead")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "vocalics")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"error: no {args.binary}\nhint: cargo build --release -p vocalics-cli")
    segment, denoise = (["--method", "rnnoise"],) * 2 if args.rnnoise else ([], [])
    low, high = map(int, args.actors.split("-"))
    folders = sorted((args.data / "ravdess-speech").glob("Actor_*"))
    clips = {}
    for folder in folders:
        paths = sorted(folder.iterdir())
        clips[int(folder.name[-2:])] = [read(paths[0]), read(paths[30])]
    rng = np.random.default_rng(5)
    work = pathlib.Path(tempfile.mkdtemp())
    table = {}
    for actor in range(low, high + 1):
        first, second = clips[actor]
        parts = [np.zeros(int(GAPS[0] * RATE)), first, np.zeros(int(GAPS[1] * RATE)), second, np.zeros(int(GAPS[2] * RATE))]
        speech = np.concatenate(parts)
        ends = np.cumsum([len(part) for part in parts])
        truth = np.zeros(len(speech), bool)
        truth[ends[0] : ends[1]] = truth[ends[2] : ends[3]] = True
        others = [clips[(actor + k - 1) % 24 + 1][k % 2] for k in range(2, 18, 2)]
        for kind in ("white", "pink", "babble"):
            bed = noise(kind, len(speech), rng, others)
            bed *= np.sqrt(np.mean(speech[truth] ** 2) / np.mean(bed[truth] ** 2))
            for snr in SNRS:
                mixed = speech + bed * 10 ** (-snr / 20)
                clipped = np.clip(mixed, -1, 1)
                soundfile.write(work / "in.wav", clipped, RATE, subtype="PCM_16")
                found = np.zeros(len(speech), bool)
                for part in json.loads(run(args.binary, "segment", *segment, work / "in.wav"))["segments"]:
                    found[int(part["start_secs"] * RATE) : int(part["end_secs"] * RATE)] = True
                t, f = truth[::160], found[::160]
                hits = (t & f).sum()
                row = table.setdefault((kind, snr), [])
                run(args.binary, "denoise", *denoise, work / "in.wav", "-o", work / "out.wav")
                out, _ = soundfile.read(work / "out.wav")
                ratio = lambda y: 10 * np.log10((speech[truth] ** 2).sum() / ((y - speech)[truth] ** 2).sum())
                row.append((hits, t.sum(), f.sum(), ratio(out) - ratio(clipped)))
    print(f"{len(range(low, high + 1))} mixtures of two clips for each line")
    print(f"{'noise':8}{'SNR dB':>7}{'precision':>11}{'recall':>8}{'F1':>7}{'SNR gain dB':>13}")
    for (kind, snr), rows in table.items():
        hits, truth, found, gain = map(np.array, zip(*rows))
        precision, recall = hits.sum() / max(found.sum(), 1), hits.sum() / truth.sum()
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        print(f"{kind:8}{snr:7}{precision:11.3f}{recall:8.3f}{f1:7.3f}{gain.mean():13.1f}")


if __name__ == "__main__":
    main()
