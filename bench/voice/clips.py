"""Clips for the comparison of the voice measures: 240 of RAVDESS speech, ten per speaker.

    python bench/voice/clips.py DATA OUT [--rate HZ] [--every N]

DATA is the folder that holds `ravdess-speech`; OUT receives one raw file of little-endian 32-bit floats per
clip (`NAME.f32`), mono at that rate, and `rate.txt`. Every tool in the comparison reads
exactly these samples. The clips of a speaker are every sixth in the order of their names, if not said otherwise.

Needs: numpy, scipy, soundfile.
"""

import argparse
import math
import pathlib

import numpy as np
import scipy.signal
import soundfile


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--rate", type=int, default=16_000)
    parser.add_argument("--every", type=int, default=6, help="take every N-th clip of a speaker")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # Clips of an earlier call are not part of this one.
    for old in args.out.glob("*.f32"):
        old.unlink()
    for actor in sorted((args.data / "ravdess-speech").glob("Actor_*")):
        for path in sorted(actor.iterdir())[:: args.every]:
            y, own_rate = soundfile.read(path, dtype="float64", always_2d=True)
            y = y.mean(axis=1)
            if own_rate != args.rate:
                g = math.gcd(args.rate, own_rate)
                y = scipy.signal.resample_poly(y, args.rate // g, own_rate // g)
            y.astype("<f4").tofile(args.out / f"{path.stem}.f32")
    (args.out / "rate.txt").write_text(f"{args.rate}\n")


if __name__ == "__main__":
    main()
