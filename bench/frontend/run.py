"""Speed of the log-mel front end beside librosa and torchaudio: same clips, same run, one thread.

    cargo build --release -p vocalics-features --example logmel_speed
    python bench/frontend/run.py [--clips N] [--rounds N] [--binary PATH]

Each clip is synthetic, 3.5 s at 16 kHz; the features are the default front end's 64 bands without trimming and
level normalisation (which the other two have not), natural log included. Plans, windows and filters are made
before the clock starts, for torchaudio and for us; librosa has no way to keep its filterbank between calls other
than its own cache, so it is timed twice: as its users call it (`librosa.feature.melspectrogram`), and with the filterbank
made beforehand (`librosa.stft`, then one product). Rounds alternate between the tools, so that a busy machine
slows all of them. Prints the median time of a clip, the ratio to ours, and the largest difference between features.

Needs: numpy, librosa, torch, torchaudio.
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
import torch  # noqa: E402

# torchaudio refuses to load beside a torch built for another CUDA release. Everything here runs on the
# CPU, in Python code of torchaudio that calls torch, so the releases need not match.
torch.version.cuda = None
import torchaudio  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE, SECONDS = 16_000, 3.5
N_FFT, WIN, HOP, N_MELS, FMIN, FMAX, FLOOR = 1024, 640, 256, 64, 50.0, 8000.0, 1e-10


def clips(count):
    rng = np.random.default_rng(1)
    t = np.arange(int(RATE * SECONDS)) / RATE
    for _ in range(count):
        phase = 2 * np.pi * (rng.uniform(90, 250) * t + rng.uniform(-20, 20) * t**2)
        voice = sum(np.sin(k * phase) / k for k in range(1, 20))
        voice = voice * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) * 0.1
        yield (voice + 0.001 * rng.standard_normal(len(t))).astype(np.float32)


def with_librosa(y):
    power = librosa.feature.melspectrogram(
        y=y, sr=RATE, n_fft=N_FFT, win_length=WIN, hop_length=HOP, n_mels=N_MELS, fmin=FMIN, fmax=FMAX
    )
    return np.log(np.maximum(FLOOR, power))


FILTERS = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=FMIN, fmax=FMAX)


def with_librosa_kept_filters(y):
    spectrum = librosa.stft(y, n_fft=N_FFT, win_length=WIN, hop_length=HOP)
    power = FILTERS @ (spectrum.real**2 + spectrum.imag**2)
    return np.log(np.maximum(FLOOR, power))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument(
        "--binary", type=pathlib.Path, default=target / "release" / "examples" / "logmel_speed"
    )
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(
            f"error: no {args.binary}\n"
            "hint: cargo build --release -p vocalics-features --example logmel_speed"
        )

    torch.set_num_threads(1)
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=RATE, n_fft=N_FFT, win_length=WIN, hop_length=HOP, n_mels=N_MELS, f_min=FMIN,
        f_max=FMAX, pad_mode="constant", norm="slaney", mel_scale="slaney",
    )

    @torch.inference_mode()
    def with_torchaudio(y):
        return transform(y).clamp_min(FLOOR).log()

    signals = list(clips(args.clips))
    tensors = [torch.from_numpy(y) for y in signals]
    ours = subprocess.Popen([args.binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ours.stdin.write(struct.pack("<II", len(signals), len(signals[0])))
    for y in signals:
        ours.stdin.write(y.tobytes())
    ours.stdin.flush()

    def read_floats(count):
        return np.frombuffer(ours.stdout.read(4 * count), dtype="<f4")

    n_values = struct.unpack("<I", ours.stdout.read(4))[0]
    first = read_floats(n_values).reshape(-1, N_MELS).T

    def with_ours():
        # The process times itself over all clips, as the calls below are timed: one by one.
        ours.stdin.write(b"r")
        ours.stdin.flush()
        return list(np.frombuffer(ours.stdout.read(8 * len(signals)), dtype="<f8"))

    def timed(call, inputs):
        times = []
        for y in inputs:
            begin = time.perf_counter()
            call(y)
            times.append(time.perf_counter() - begin)
        return times

    rounds = {
        "vocalics": with_ours,
        "torchaudio": lambda: timed(with_torchaudio, tensors),
        "librosa": lambda: timed(with_librosa, signals),
        "librosa, filters kept": lambda: timed(with_librosa_kept_filters, signals),
    }
    times = {name: [] for name in rounds}
    for call in rounds.values():
        call()
    for _ in range(args.rounds):
        for name, call in rounds.items():
            times[name] += call()
    ours.stdin.close()
    ours.wait()

    reference = {
        "vocalics": first,
        "torchaudio": with_torchaudio(tensors[0]).numpy(),
        "librosa": with_librosa(signals[0]),
        "librosa, filters kept": with_librosa_kept_filters(signals[0]),
    }
    base = statistics.median(times["vocalics"])
    print(
        f"log-mel of {SECONDS} s at {RATE} Hz, one thread, median of {args.rounds} x {len(signals)} clips; "
        f"librosa {librosa.__version__}, torch {torch.__version__}, torchaudio {torchaudio.__version__}"
    )
    print(f"{'':24}{'ms a clip':>10}{'ratio':>8}{'largest difference to ours':>30}")
    for name, values in times.items():
        median = statistics.median(values)
        difference = np.abs(reference[name] - first).max()
        print(f"{name:24}{1e3 * median:10.3f}{median / base:8.2f}{difference:30.1e}")


if __name__ == "__main__":
    main()
