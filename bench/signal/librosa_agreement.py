"""Prints how far the timbre measures agree with librosa on the clips of `bench/voice/clips.py`.

    python bench/voice/clips.py DATA CLIPS
    cargo run --release -p vocalics-dsp --example timbre -- 16000 CLIPS/*.f32 >ours.jsonl
    python bench/signal/librosa_agreement.py CLIPS ours.jsonl

librosa computes in double precision. The relative error of a value is its difference by librosa's value, or by the
floor in the table where that value is smaller, as in `crates/vocalics-dsp/tests/golden.rs`.

The tuning that chroma estimates is the fullest of 100 bins of a histogram, where ties are common; the last line counts the
clips on which librosa's own estimate in single precision is not the one in double precision.

Needs: numpy, librosa.
"""

import json
import pathlib
import sys

import librosa
import numpy as np

FLOORS = {
    "mfcc": 1.0,
    "chroma": 1e-2,
    "chroma_untuned": 1e-2,
    "centroid": 1.0,
    "bandwidth": 1.0,
    "rolloff": 1.0,
    "flatness": 1e-6,
    "zero_crossings": 1e-3,
    "onset_strength": 0.1,
}
LIMIT = 1e-3


def reference(y, rate):
    feature = librosa.feature
    return {
        "mfcc": feature.mfcc(y=y, sr=rate).T,
        "chroma": feature.chroma_stft(y=y, sr=rate).T,
        "chroma_untuned": feature.chroma_stft(y=y, sr=rate, tuning=0.0).T,
        "centroid": feature.spectral_centroid(y=y, sr=rate),
        "bandwidth": feature.spectral_bandwidth(y=y, sr=rate),
        "rolloff": feature.spectral_rolloff(y=y, sr=rate),
        "flatness": feature.spectral_flatness(y=y),
        "zero_crossings": feature.zero_crossing_rate(y),
        "onset_strength": librosa.onset.onset_strength(y=y, sr=rate),
    }


def tuning(y, rate):
    return librosa.estimate_tuning(S=np.abs(librosa.stft(y)) ** 2, sr=rate)


def main():
    clips, ours_path = map(pathlib.Path, sys.argv[1:3])
    rate = int((clips / "rate.txt").read_text())
    errors = {name: [] for name in FLOORS}
    n_clips, n_other, n_unstable = 0, 0, 0
    for line in ours_path.read_text().splitlines():
        ours = json.loads(line)
        y = np.fromfile(clips / f"{ours['name']}.f32", "<f4").astype(np.float64)
        n_clips += 1
        for name, theirs in reference(y, rate).items():
            a, b = np.asarray(ours[name], np.float64), theirs.ravel()
            if len(a) != len(b):
                sys.exit(f"{ours['name']}: {name} has {len(a)} values, librosa {len(b)}")
            error = np.abs(a - b) / np.maximum(np.abs(b), FLOORS[name])
            errors[name].append(error)
            n_other += name == "chroma" and bool((error > LIMIT).any())
        n_unstable += abs(tuning(y, rate) - tuning(y.astype(np.float32), rate)) > 1e-6
    print(f"{n_clips} clips, librosa {librosa.__version__}")
    print("| measure | floor | largest relative error | 99.9th percentile | values above 1e-3 |")
    print("|---|---|---|---|---|")
    for name, parts in errors.items():
        error = np.concatenate(parts)
        above = np.mean(error > LIMIT)
        print(f"| {name} | {FLOORS[name]:g} | {error.max():.1e} | {np.quantile(error, 0.999):.1e} | {100 * above:.4f} % |")
    print(f"chroma: {n_other} clips with a value above 1e-3; {n_unstable} whose tuning librosa's own precision changes")


if __name__ == "__main__":
    main()
