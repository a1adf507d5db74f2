"""A support vector machine on our `egemaps` beside one on opensmile's: RAVDESS speech, folds of `emobox-6fold`.

    cargo build --release -p vocalics-features --example egemaps
    python bench/voice/clips.py DATA CLIPS --every 1
    python bench/voice/egemaps_svm.py CLIPS

All 1440 speech clips, eight emotions. In each fold four actors are tested and the other twenty train; nothing of the
tested actors is seen in training. Features are standardised on the training clips; C of the linear machine is the
one of 0.001, 0.01, 0.1, 1 with the best UAR over five folds of training actors (four each). UAR is over all 1440 pooled
predictions, with an interval by bootstrap over the 24 speakers (1000 draws, seed 0), also of the difference. No seed
enters the machines.

Needs: numpy, scikit-learn, opensmile.
"""

import pathlib
import sys

import numpy as np
from egemaps import ROOT, ours, smile
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

# docs/protocols.md
FOLDS = [[1, 11, 20, 21], [4, 10, 12, 14], [8, 9, 19, 23], [3, 5, 7, 24], [2, 15, 16, 18], [6, 13, 17, 22]]


def uar(y, predicted):
    return recall_score(y, predicted, average="macro")


def predictions(x, y, actors):
    out = np.empty_like(y)
    chosen = []
    for fold in FOLDS:
        test = np.isin(actors, fold)
        search = GridSearchCV(
            make_pipeline(StandardScaler(), SVC(kernel="linear")),
            {"svc__C": [0.001, 0.01, 0.1, 1.0]},
            scoring="balanced_accuracy",
            cv=GroupKFold(5),
        )
        search.fit(x[~test], y[~test], groups=actors[~test])
        chosen.append(search.best_params_["svc__C"])
        out[test] = search.predict(x[test])
    return out, chosen


def main():
    clips = pathlib.Path(sys.argv[1])
    rate = int((clips / "rate.txt").read_text())
    paths = sorted(clips.glob("*.f32"))
    names = [path.stem.split("-") for path in paths]
    y = np.array([int(parts[2]) for parts in names])
    actors = np.array([int(parts[6]) for parts in names])
    assert len(paths) == 1440 and len(set(actors)) == 24, f"{len(paths)} clips of {len(set(actors))} actors"
    binary = ROOT / "target" / "release" / "examples" / "egemaps"
    reference = smile("Functionals")
    sets = {
        "ours": np.array([clip["functionals"] for clip in ours(binary, rate, paths)]),
        "opensmile": np.array([reference.process_signal(np.fromfile(p, "<f4"), rate).values[0] for p in paths]),
    }
    found = {}
    for name, x in sets.items():
        found[name], chosen = predictions(np.nan_to_num(x.astype(float)), y, actors)
        print(f"{name}: UAR {100 * uar(y, found[name]):.1f} %, C {chosen}")
    rng = np.random.default_rng(0)
    speakers = np.unique(actors)
    draws = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(actors == s) for s in rng.choice(speakers, len(speakers))])
        draws.append([uar(y[rows], found[name][rows]) for name in sets])
    draws = 100 * np.array(draws)
    for k, name in enumerate(sets):
        print(f"{name}: 95 % interval over speakers {np.percentile(draws[:, k], 2.5):.1f} to "
              f"{np.percentile(draws[:, k], 97.5):.1f} %")
    difference = draws[:, 0] - draws[:, 1]
    print(f"ours less opensmile's: {100 * (uar(y, found['ours']) - uar(y, found['opensmile'])):+.1f} points, 95 % interval "
          f"{np.percentile(difference, 2.5):+.1f} to {np.percentile(difference, 97.5):+.1f}")


if __name__ == "__main__":
    main()
