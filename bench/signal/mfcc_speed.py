"""Speed of MFCC beside librosa: same clips, same run, one thread.

    cargo build --release -p vocalics-dsp --example mfcc_speed
    python bench/signal/mfcc_speed.py [--clips N] [--rounds N] [--binary PATH]

Each clip is synthetic, 3.5 s at 16 kHz; 20 coefficients with librosa's defaults (transform of 2048, hop of 512, 128
bands, 80 dB range). Ours plans once; librosa is timed as its users call it (`librosa.feature.mfcc`) and with the
filterbank made beforehand. Rounds alternate between the tools. Prints the median time of a clip, the ratio to ours,
and the largest difference.

Needs: numpy, scipy, librosa.
"""

import argparse
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import scipy.fft  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE, SECONDS, N_MFCC = 16_000, 3.5, 20
FILTERS = librosa.filters.mel(sr=RATE, n_fft=2048)


def clips(count):
    rng = np.random.default_rng(1)
    t = np.arange(int(RATE * SECONDS)) / RATE
    for _ in range(count):
        phase = 2 * np.pi * (rng.uniform(90, 250) * t + rng.uniform(-20, 20) * t**2)
        voice = sum(np.sin(k * phase) / k for k in range(1, 20))
        voice = voice * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) * 0.1
        yield (voice + 0.001 * rng.standard_normal(len(t))).astype(np.float32)


def with_librosa(y):
    return librosa.feature.mfcc(y=y, sr=RATE)


def with_librosa_kept_filters(y):
    spectrum = librosa.stft(y)
    bands = librosa.power_to_db(FILTERS @ (spectrum.real**2 + spectrum.imag**2))
    return scipy.fft.dct(bands, axis=-2, type=2, norm="ortho")[:N_MFCC]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "examples" / "mfcc_speed")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"error: no {args.binary}\nhint: cargo build --release -p vocalics-dsp --example mfcc_speed")

    signals = list(clips(args.clips))
    ours = subprocess.Popen([args.binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ours.stdin.write(struct.pack("<II", len(signals), len(signals[0])))
    for y in signals:
        ours.stdin.write(y.tobytes())
    ours.stdin.flush()
    n_values = struct.unpack("<I", ours.stdout.read(4))[0]
    first = np.frombuffer(ours.stdout.read(4 * n_values), dtype="<f4").reshape(-1, N_MFCC).T

    def with_ours():
        ours.stdin.write(b"r")
        ours.stdin.flush()
        return list(np.frombuffer(ours.stdout.read(8 * len(signals)), dtype="<f8"))

    def timed(call):
        times = []
        for y in signals:
            begin = time.perf_counter()
            call(y)
            times.append(time.perf_counter() - begin)
        return times

    rounds = {
        "vocalics": with_ours,
        "librosa": lambda: timed(with_librosa),
        "librosa, filters kept": lambda: timed(with_librosa_kept_filters),
    }
    times = {name: [] for name in rounds}
    for call in rounds.values():
        call()
    for _ in range(args.rounds):
        for name, call in rounds.items():
            times[name] += call()
    ours.stdin.close()
    ours.wait()
    base = statistics.median(times["vocalics"])
    difference = np.abs(with_librosa(signals[0]) - first).max()
    print(
        f"MFCC of {SECONDS} s at {RATE} Hz, one thread, median of {args.rounds} x {len(signals)} clips; "
        f"librosa {librosa.__version__}; largest difference on the first {difference:.1e}"
    )
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:24}{1e3 * median:8.3f} ms a clip, {median / base:6.1f} x ours")


if __name__ == "__main__":
    main()
