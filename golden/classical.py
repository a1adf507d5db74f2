#!/usr/bin/env python3
"""Reference values for the classical methods of crates/vocalics-train from scikit-learn.

    python golden/classical.py            writes golden/classical.json
    python golden/classical.py --check    computes again and compares with the file

The vectors are made up by a seeded generator: no recordings.
"""

import numpy
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

import vectors

CLASSES, FEATURES, TRAIN, TEST = 4, 5, 40, 8
GAMMA = 0.15


def clips(rng, each):
    centres = numpy.array([[0, 0, 0, 0, 0], [1.5, 0.5, 0, 0, -1], [0, 1.5, -1, 0.5, 0], [-1, 0, 1, 1, 1]])
    classes = numpy.arange(each * CLASSES) % CLASSES
    x = centres[classes] + rng.normal(0, 1, (len(classes), FEATURES))
    return numpy.round(x, 4).astype(numpy.float32), classes


def compute():
    rng = numpy.random.default_rng(20261126)
    x, y = clips(rng, TRAIN)
    probes, _ = clips(rng, TEST)
    x64, probes64 = x.astype(float), probes.astype(float)
    cases = []
    for c in (0.01, 1.0):
        model = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(x64, y)
        cases.append({"method": "logistic", "c": c, "expected": vectors.digits(model.predict_proba(probes64), 9)})
    for kernel in ("linear", "rbf"):
        for c in (0.1, 3.0):
            model = SVC(C=c, kernel=kernel, gamma=GAMMA, tol=1e-8, decision_function_shape="ovr").fit(x64, y)
            cases.append({"method": kernel, "c": c, "expected": vectors.digits(model.decision_function(probes64), 9)})
    model = KNeighborsClassifier(7).fit(x64, y)
    cases.append({"method": "neighbours", "c": 7.0, "expected": vectors.digits(model.predict_proba(probes64), 9)})
    densities = [
        GaussianMixture(1, covariance_type="diag", reg_covar=0).fit(x64[y == k]).score_samples(probes64)
        for k in range(CLASSES)
    ]
    cases.append({"method": "mixture", "c": 1.0, "expected": vectors.digits(numpy.stack(densities, 1), 9)})
    return {
        "command": "python golden/classical.py",
        "scikit-learn": sklearn.__version__,
        "classes": CLASSES,
        "features": FEATURES,
        "gamma": GAMMA,
        "truth": y.tolist(),
        "train": vectors.digits(x),
        "probes": vectors.digits(probes),
        "cases": cases,
    }


if __name__ == "__main__":
    vectors.run(__file__, compute, 1e-6)
