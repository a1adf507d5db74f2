"""How far the set `egemaps` agrees with opensmile's eGeMAPSv02, functional by functional, and how fast it is.

    cargo build --release -p vocalics-features --example egemaps
    python bench/voice/clips.py DATA CLIPS
    python bench/voice/egemaps.py table CLIPS           every functional: r, bias, mean and deviation of opensmile's
    python bench/voice/egemaps.py descriptors CLIPS     every descriptor: r over frames
    python bench/voice/egemaps.py speed CLIPS           seconds for 200 clips, one thread, one run

opensmile is a black box here: it is called on arrays in memory, and its output is compared. It has research licence
terms of its own; nothing of it is part of Vocalics. Clips without a number on either side are left out of r and
counted. The speed of ours is that of the functionals in one process; that of opensmile counts `process_signal` per clip,
after one call that loads it.

Needs: numpy, opensmile.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import opensmile  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def smile(level):
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=getattr(opensmile.FeatureLevel, level),
        num_workers=1,
    )


def ours(binary, rate, paths, *flags):
    """One object per clip, in the order of the paths."""
    done = subprocess.run([binary, *flags, str(rate), *paths], capture_output=True, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def pearson(a, b):
    fine = np.isfinite(a) & np.isfinite(b)
    a, b = a[fine], b[fine]
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def table(binary, rate, paths):
    a = np.array([clip["functionals"] for clip in ours(binary, rate, paths)])
    reference = smile("Functionals")
    b = np.array([reference.process_signal(np.fromfile(p, "<f4"), rate).values[0] for p in paths], float)
    r = np.array([pearson(a[:, k], b[:, k]) for k in range(a.shape[1])])
    print(f"{len(paths)} clips, {rate} Hz, opensmile {opensmile.__version__}")
    print("| | functional | r | bias | opensmile, mean ± deviation |\n|---:|---|---:|---:|---:|")
    for k, name in enumerate(reference.feature_names):
        x, y = a[:, k], b[:, k]
        print(f"| {k + 1} | `{name}` | {r[k]:.3f} | {np.mean(x - y):.3g} | {y.mean():.3g} ± {y.std():.2g} |")
    print(f"\nr of at least 0.90: {np.sum(r >= 0.9)} of {len(r)}; of at least 0.95: {np.sum(r >= 0.95)}")


def descriptors(binary, rate, paths):
    reference = smile("LowLevelDescriptors")
    rows, theirs = [], []
    for clip, path in zip(ours(binary, rate, paths, "--lld"), paths):
        b = reference.process_signal(np.fromfile(path, "<f4"), rate).values
        a = np.array(clip["lld"]).reshape(-1, b.shape[1])
        n = min(len(a), len(b))
        rows.append(a[:n])
        theirs.append(b[:n])
    a, b = np.concatenate(rows), np.concatenate(theirs)
    names = reference.feature_names
    f0 = names.index("F0semitoneFrom27.5Hz_sma3nz")
    print(f"{len(paths)} clips, {len(a)} frames")
    print(f"voicing error {100 * np.mean((a[:, f0] > 0) != (b[:, f0] > 0)):.2f} % of frames")
    both = (a[:, f0] > 0) & (b[:, f0] > 0)
    print("| descriptor | r | bias | frames |\n|---|---:|---:|---:|")
    for k, name in enumerate(names):
        use = both & (a[:, k] != 0) & (b[:, k] != 0) if name.endswith("nz") else np.ones(len(a), bool)
        x, y = a[use, k], b[use, k]
        print(f"| `{name}` | {pearson(x, y):.3f} | {np.mean(x - y):.3g} | {use.sum()} |")


def speed(binary, rate, paths):
    paths = paths[:200]
    reference = smile("Functionals")
    signals = [np.fromfile(p, "<f4") for p in paths]
    reference.process_signal(signals[0], rate)
    ours_secs = sum(clip["secs"] for clip in ours(binary, rate, paths))
    start = time.perf_counter()
    for y in signals:
        reference.process_signal(y, rate)
    theirs_secs = time.perf_counter() - start
    audio = sum(map(len, signals)) / rate
    print(f"{len(paths)} clips, {audio:.0f} s: ours {ours_secs:.2f} s, opensmile {theirs_secs:.2f} s: "
          f"{theirs_secs / ours_secs:.1f} times as fast")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["table", "descriptors", "speed"])
    parser.add_argument("clips", type=pathlib.Path)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "examples" / "egemaps")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"error: no {args.binary}\nhint: cargo build --release -p vocalics-features --example egemaps")
    rate = int((args.clips / "rate.txt").read_text())
    paths = sorted(args.clips.glob("*.f32"))
    {"table": table, "descriptors": descriptors, "speed": speed}[args.what](args.binary, rate, paths)


if __name__ == "__main__":
    main()
