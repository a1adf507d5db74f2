#!/usr/bin/env python3
"""Reference values for crates/vocalics-eval from scikit-learn, SciPy and NumPy.

    python golden/metrics.py            writes golden/metrics.json
    python golden/metrics.py --check    computes again and compares with the file

The predictions are made up by a seeded generator: no recordings, no model.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy
import scipy
import sklearn
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn import metrics as m

OUTPUT = Path(__file__).with_suffix(".json")
ECE_BINS = 15
RESAMPLES = 400
SEED = 20240607


def splitmix64(seed):
    """Steele, Lea, Flood 2014."""
    mask = (1 << 64) - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def ece(scores, truth):
    """Guo et al. 2017, eq. 3; bins closed on the right."""
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    edges = numpy.linspace(0, 1, ECE_BINS + 1)
    bins = numpy.digitize(confidence, edges, right=True)
    return sum(
        (bins == b).mean() * abs(right[bins == b].mean() - confidence[bins == b].mean())
        for b in numpy.unique(bins)
    )


def coverage(scores, truth, share):
    order = numpy.argsort(-scores.max(axis=1), kind="stable")
    keep = order[: int(numpy.ceil(share * len(order) - 1e-9))]
    return m.accuracy_score(truth[keep], scores[keep].argmax(axis=1))


def intervals(predicted, truth, speaker, seed):
    names = sorted(set(speaker))
    clips = [numpy.flatnonzero(speaker == name) for name in names]
    random = splitmix64(seed)
    values = {"uar": [], "war": [], "macro_f1": []}
    for _ in range(RESAMPLES):
        drawn = [clips[(next(random) * len(names)) >> 64] for _ in names]
        take = numpy.concatenate(drawn)
        t, p = truth[take], predicted[take]
        values["uar"].append(m.balanced_accuracy_score(t, p))
        values["war"].append(m.accuracy_score(t, p))
        values["macro_f1"].append(m.f1_score(t, p, average="macro", zero_division=0))
    return {k: list(numpy.quantile(v, [0.025, 0.975])) for k, v in values.items()}


def case(name, seed, clips, speakers, classes, absent=(), unpredicted=(), sharpness=1.0):
    rng = numpy.random.default_rng(seed)
    present = [c for c in range(classes) if c not in absent]
    truth = rng.choice(present, clips)
    logits = rng.normal(0, 1.2, (clips, classes))
    logits[numpy.arange(clips), truth] += 1.3
    logits = numpy.round(logits, 4).astype(numpy.float32)
    drawn = logits.astype(float) * sharpness
    drawn[:, list(unpredicted)] -= 60.0
    scores = numpy.exp(log_softmax(drawn, axis=1)).astype(numpy.float32)
    speaker = numpy.array([f"s{i:02}" for i in rng.integers(0, speakers, clips)])
    predicted = scores.argmax(axis=1)
    double = scores.astype(float)

    labels = list(range(classes))
    precision, recall, f1, support = m.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=numpy.nan
    )
    given = numpy.bincount(predicted, minlength=classes)
    exists = lambda values, where: [float(v) if w else None for v, w in zip(values, where)]
    one_hot = numpy.eye(classes)[truth]
    loss = lambda log_t: -log_softmax(logits.astype(float) / numpy.exp(log_t), axis=1)[
        numpy.arange(clips), truth
    ].mean()
    temperature = minimize_scalar(
        loss, bounds=numpy.log([0.05, 20]), method="bounded", options={"xatol": 1e-10}
    )
    return {
        "name": name,
        "classes": classes,
        "truth": truth.tolist(),
        "speaker": speaker.tolist(),
        "logits": [[float(f"{v:.4f}") for v in row] for row in logits],
        "scores": [[float(numpy.format_float_scientific(v, unique=True)) for v in row] for row in scores],
        "expected": {
            "uar": m.balanced_accuracy_score(truth, predicted),
            "war": m.accuracy_score(truth, predicted),
            "macro_f1": m.f1_score(truth, predicted, average="macro", zero_division=0),
            "confusion": m.confusion_matrix(truth, predicted, labels=labels).tolist(),
            "support": support.tolist(),
            "recall": exists(recall, support > 0),
            "precision": exists(precision, given > 0),
            "f1": exists(f1, (support + given) > 0),
            "nll": m.log_loss(truth, double, labels=labels),
            "brier": m.brier_score_loss(truth, double, labels=labels, scale_by_half=False),
            "ece": ece(double, truth),
            "accuracy_at_50": coverage(double, truth, 0.5),
            "accuracy_at_80": coverage(double, truth, 0.8),
            "temperature": float(numpy.exp(temperature.x)),
            "intervals": intervals(predicted, truth, speaker, SEED),
        },
        "_brier_by_hand": float(((double - one_hot) ** 2).sum(axis=1).mean()),
    }


def build():
    # Single-precision scores miss 1 by up to 1e-7; scikit-learn warns and goes on, as do we. Resamples
    # without a class make it warn, too.
    warnings.simplefilter("ignore")
    cases = [
        case("eight classes", 1, 160, 12, 8),
        case("overconfident", 2, 120, 9, 4, sharpness=4.0),
        case("an absent and an unpredicted class", 3, 90, 6, 5, absent=[2], unpredicted=[4]),
        case("rare class", 4, 40, 4, 6),
    ]
    for one in cases:
        by_hand = one.pop("_brier_by_hand")
        assert abs(by_hand - one["expected"]["brier"]) < 1e-12
    return {
        "command": "python golden/metrics.py",
        "tools": {
            "scikit-learn": sklearn.__version__,
            "scipy": scipy.__version__,
            "numpy": numpy.__version__,
        },
        "resamples": RESAMPLES,
        "seed": SEED,
        "cases": cases,
    }


def differences(stored, fresh, path=""):
    if isinstance(stored, dict) and isinstance(fresh, dict) and stored.keys() == fresh.keys():
        return [d for key in stored for d in differences(stored[key], fresh[key], f"{path}/{key}")]
    if isinstance(stored, list) and isinstance(fresh, list) and len(stored) == len(fresh):
        return [d for i, (a, b) in enumerate(zip(stored, fresh)) for d in differences(a, b, f"{path}/{i}")]
    if isinstance(stored, (int, float)) and isinstance(fresh, (int, float)):
        # The minimiser stops within 1e-10 of log T and single-precision scores keep 7 digits.
        tolerance = 1e-6 if "temperature" in path or "scores" in path else 1e-9
        return [] if abs(stored - fresh) <= tolerance * max(1.0, abs(stored)) else [f"{path}: {stored} != {fresh}"]
    return [] if stored == fresh else [f"{path}: {stored} != {fresh}"]


def main():
    fresh = json.loads(json.dumps(build()))
    if sys.argv[1:] == ["--check"]:
        stored = json.loads(OUTPUT.read_text())
        stored.pop("tools"), fresh.pop("tools")
        found = differences(stored, fresh)
        print("\n".join(found[:20]) or f"{OUTPUT.name}: fresh")
        sys.exit(bool(found))
    if sys.argv[1:]:
        sys.exit(__doc__)
    OUTPUT.write_text(json.dumps(fresh, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
    print(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
