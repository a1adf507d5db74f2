"""Prints how far the voice measures agree with Praat on the clips of `clips.py`.

    python bench/voice/compare.py OURS.jsonl PRAAT.json

OURS is what `cargo run --release -p vocalics-dsp --example voice` prints. f0: voicing error is the share of
frames on whose voicing the two disagree, gross error the share of frames voiced in both that differ by more than
20 %, the median difference is over the rest. Clip values are compared by Pearson's r and the mean difference.

Needs: numpy.
"""

import json
import pathlib
import sys

import numpy as np


def pearson(pairs):
    a = np.array([(x, y) for x, y in pairs if x is not None and y is not None and np.isfinite([x, y]).all()])
    if len(a) < 3 or a[:, 0].std() == 0 or a[:, 1].std() == 0:
        return float("nan"), float("nan"), len(a)
    return float(np.corrcoef(a.T)[0, 1]), float((a[:, 0] - a[:, 1]).mean()), len(a)


def frames(ours, theirs, key, times):
    """Values of both at the same times, by frame number; the number of frames must agree."""
    a, b = np.array(ours[key], float), np.array(theirs[key], float)
    ta, tb = np.array(ours[times]), np.array(theirs[times])
    if len(ta) != len(tb) or (len(ta) and np.abs(ta - tb).max() > 1e-4):
        sys.exit(f"{ours['name']}: {times}: {len(ta)} frames, the reference has {len(tb)}, or at other times")
    return a, b


def voicing_of_pyin(ours, clips, key):
    """pYIN's frames against the nearest of Praat's."""
    pairs = []
    for name, theirs in clips.items():
        times = np.array(theirs["f0_times"])
        nearest = [int(np.argmin(np.abs(times - t))) for t in ours[name]["pyin_times"]]
        pairs.append((np.array(ours[name][key]), np.array(theirs["f0"])[nearest]))
    a, b = map(np.concatenate, zip(*pairs))
    both = (a > 0) & (b > 0)
    gross = np.abs(a[both] / b[both] - 1) > 0.2
    print(f"{key} | voiced here alone {100 * np.mean((a > 0) & (b == 0)):.2f} % | in praat alone "
          f"{100 * np.mean((a == 0) & (b > 0)):.2f} % | gross {100 * gross.mean():.2f} %")


def praat_table(ours, praat):
    a, b = map(np.concatenate, zip(*(frames(ours[k], v, "f0", "f0_times") for k, v in praat["clips"].items())))
    both = (a > 0) & (b > 0)
    ratio = a[both] / b[both]
    gross = np.abs(ratio - 1) > 0.2
    cents = np.median(np.abs(1200 * np.log2(ratio[~gross])))
    print(f"f0 voicing error | {100 * np.mean((a > 0) != (b > 0)):.2f} %")
    print(f"f0 gross error | {100 * gross.mean():.2f} %")
    print(f"f0 median difference | {cents:.3f} cents")
    print(f"   voiced ours not praat {np.mean((a > 0) & (b == 0)) * 100:.2f} %, other way {np.mean((a == 0) & (b > 0)) * 100:.2f} %")
    clips = praat["clips"]
    any_clip = next(iter(ours.values()))
    for key in ("pyin_f0", "pyin_strict_f0"):
        voicing_of_pyin(ours, clips, key)
    for key in [k for k in next(iter(clips.values())) if k.startswith(("hnr", "cpps", "jitter", "shimmer"))]:
        if key in any_clip:
            r, bias, n = pearson([(ours[k][key], v[key]) for k, v in clips.items()])
            print(f"{key} | r {r:.4f} | bias {bias:.4g} | {n} clips")
    r, bias, n = pearson([(ours[k]["cpps"], v["cpps"]) for k, v in clips.items() if ours[k]["silent"] == 0])
    print(f"cpps, no digital silence | r {r:.4f} | bias {bias:.4g} | {n} clips")
    if "intensity" in any_clip:
        r, bias, n = pearson([(np.mean(ours[k]["intensity"]), np.mean(v["intensity"])) for k, v in clips.items()])
        a, b = map(np.concatenate, zip(*(frames(ours[k], v, "intensity", "intensity_times") for k, v in clips.items())))
        print(f"intensity | r {r:.5f} | bias {bias:.4g} dB | {n} clips | frames: median {np.median(np.abs(a - b)):.4f} dB")
    for key in ["f1", "f2", "f3"]:
        if key in any_clip:
            a, b = map(np.concatenate, zip(*(frames(ours[k], v, key, "formant_times") for k, v in clips.items())))
            ok = np.isfinite(a) & np.isfinite(b)
            print(f"{key} | median difference {100 * np.median(np.abs(a[ok] / b[ok] - 1)):.3f} % | missing {np.mean(~ok) * 100:.2f} %")
    ours_secs = sum(ours[k]["pitch_secs"] for k in clips)
    theirs = sum(v["seconds"] for v in clips.values())
    print(f"f0 speed | ours {ours_secs:.2f} s | praat {theirs:.2f} s | {theirs / ours_secs:.1f} times")


def main():
    ours_path, praat_path = map(pathlib.Path, sys.argv[1:3])
    ours = {(clip := json.loads(line))["name"]: clip for line in ours_path.read_text().splitlines()}
    praat_table(ours, json.loads(praat_path.read_text()))


if __name__ == "__main__":
    main()
