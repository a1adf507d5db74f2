"""pYIN beside librosa: agreement and speed on the clips of `clips.py`, one run, one thread.

    cargo build --release -p vocalics-dsp --example voice
    python bench/voice/pyin.py CLIPS [--count N] [--binary PATH]

Both look for 55 to 880 Hz every 10 ms in frames of 46 ms; librosa's other settings are its defaults, and ours are the
same. Voicing error is the share of frames on whose voicing the two disagree, over all frames and over those within
40 dB of the clip's loudest; gross error the share of frames voiced in both that differ by more than 20 %; the median
difference is over the rest. Each clip is measured by the one, then by the other; reading files is not counted, and
librosa is called once before the clock runs, so that it is compiled.

Needs: numpy, librosa.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import warnings

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import librosa  # noqa: E402
import numpy as np  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FMIN, FMAX, FRAME_SECS, STEP_SECS = 55.0, 880.0, 2048 / 44_100, 0.01


def with_librosa(y, rate):
    f0, voiced, probability = librosa.pyin(
        y,
        sr=rate,
        fmin=FMIN,
        fmax=FMAX,
        frame_length=2 * round(FRAME_SECS * rate / 2),
        hop_length=round(STEP_SECS * rate),
    )
    return np.where(voiced, f0, 0.0), probability


def levels(y, rate, n_frames):
    """Level of each frame in decibels below the loudest."""
    length, hop = 2 * round(FRAME_SECS * rate / 2), round(STEP_SECS * rate)
    padded = np.pad(y.astype(np.float64), length // 2)
    power = np.array([np.mean(padded[i * hop : i * hop + length] ** 2) for i in range(n_frames)])
    return 10 * np.log10(np.maximum(power / power.max(), 1e-20))


def compare(a, b, level):
    assert len(a) == len(b)
    loud = level > -40
    both = (a > 0) & (b > 0)
    ratio = a[both] / b[both]
    gross = np.abs(ratio - 1) > 0.2
    return {
        "n": len(a),
        "n_loud": int(loud.sum()),
        "loud": int((((a > 0) != (b > 0)) & loud).sum()),
        "ours_only": int(((a > 0) & (b == 0)).sum()),
        "theirs_only": int(((a == 0) & (b > 0)).sum()),
        "both": int(both.sum()),
        "gross": int(gross.sum()),
        "cents": np.abs(1200 * np.log2(ratio[~gross])),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=240)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "examples" / "voice")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"error: no {args.binary}\nhint: cargo build --release -p vocalics-dsp --example voice")
    rate = int((args.clips / "rate.txt").read_text())
    paths = sorted(args.clips.glob("*.f32"))
    paths = paths[:: max(1, len(paths) // args.count)][: args.count]
    warnings.simplefilter("ignore")
    with_librosa(np.fromfile(paths[0], "<f4"), rate)
    rows, ours_secs, theirs_secs, audio_secs = [], 0.0, 0.0, 0.0
    for path in paths:
        y = np.fromfile(path, "<f4")
        done = subprocess.run([args.binary, str(rate), path], capture_output=True, check=True)
        ours = json.loads(done.stdout)
        start = time.perf_counter()
        theirs, _ = with_librosa(y, rate)
        theirs_secs += time.perf_counter() - start
        ours_secs += ours["pyin_secs"]
        audio_secs += len(y) / rate
        f0 = np.array(ours["pyin_f0"])
        rows.append(compare(f0, theirs, levels(y, rate, len(f0))))
    keys = ("n", "n_loud", "loud", "ours_only", "theirs_only", "both", "gross")
    total = {key: sum(row[key] for row in rows) for key in keys}
    cents = np.median(np.concatenate([row["cents"] for row in rows]))
    ours_only, theirs_only = (100 * total[key] / total["n"] for key in ("ours_only", "theirs_only"))
    print(f"{len(paths)} clips, {audio_secs:.0f} s at {rate} Hz, one thread; librosa {librosa.__version__}")
    print(
        f"voicing error | {ours_only + theirs_only:.2f} % "
        f"(ours alone voiced {ours_only:.2f}, librosa alone {theirs_only:.2f}) | "
        f"within 40 dB of the loudest {100 * total['loud'] / max(1, total['n_loud']):.2f} %"
    )
    print(f"gross error | {100 * total['gross'] / max(1, total['both']):.2f} %")
    print(f"median difference | {cents:.2f} cents")
    print(f"f0 speed | ours {ours_secs:.2f} s | librosa {theirs_secs:.2f} s | {theirs_secs / ours_secs:.1f} times")


if __name__ == "__main__":
    main()
