"""Golden vectors for feature selection and PCA (vocalics-features).

Writes `reduction.json`: a small table of features with classes, and for it what scikit-learn computes.

    python golden/reduction.py           write the file
    python golden/reduction.py --check   compute again and compare (relative 1e-5)

Needs: numpy, scikit-learn (golden/requirements.txt).
"""

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif
from sklearn.metrics import mutual_info_score
from vectors import digits, run

ROWS, FEATURES, CLASSES = 60, 6, 3
BINS = 10


def make_table():
    """Features that depend on the class to different degrees; one is a mixture of two others."""
    state, noise = 7, np.empty((ROWS, FEATURES))
    for i in range(ROWS):
        for j in range(FEATURES):
            state = (state * 1664525 + 1013904223) % 2**32
            noise[i, j] = state / 2**31 - 1
    classes = np.arange(ROWS) % CLASSES
    x = noise * [1.0, 2.0, 0.5, 10.0, 1.0, 3.0]
    x[:, 0] += classes
    x[:, 3] += 2.0 * (classes == 1)
    x[:, 5] = x[:, 0] - 0.5 * x[:, 1] + 0.1 * noise[:, 5]
    return np.round(x, 4), classes


def information(values, classes):
    """Over bins equally filled, less Miller's bias; scikit-learn has the sum, but no such bins."""
    edges = np.sort(values)[np.arange(1, BINS) * len(values) // BINS]
    bins = np.searchsorted(edges, values, side="right")
    bias = (len(np.unique(bins)) - 1) * (len(np.unique(classes)) - 1) / (2 * len(values))
    return max(mutual_info_score(classes, bins) - bias, 0.0)


def compute():
    x, classes = make_table()
    pca = PCA(svd_solver="full").fit(x)
    return {
        "tools": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "command": "python golden/reduction.py",
        "n_features": FEATURES,
        "values": digits(x, 8),
        "classes": classes.tolist(),
        "f_classif": digits(f_classif(x, classes)[0], 8),
        "mutual_information": digits([information(column, classes) for column in x.T], 8),
        "explained_variance": digits(pca.explained_variance_, 8),
        "explained_variance_ratio": digits(pca.explained_variance_ratio_, 8),
        "components": digits(np.abs(pca.components_), 8),
        "scores": digits(np.abs(pca.transform(x)), 8),
    }


if __name__ == "__main__":
    run(__file__, compute, absolute=1e-9)
