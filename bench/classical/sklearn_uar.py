"""UAR of scikit-learn's methods on our feature sets, `emobox-6fold`: a peer for `vocalics compare`.

    vocalics features --set egemaps DATA/ravdess-speech DATA/ravdess-song -o egemaps.csv
    python bench/classical/sklearn_uar.py egemaps.csv

Trained on speech and song of the training actors, tested on speech, standardised on the training part. Hyper-parameters are fixed here
by hand: nothing is chosen, on test folds or elsewhere. Prints one line for each method.

Needs: numpy, pandas, scikit-learn.
"""

import sys
import warnings

import numpy as np
import pandas as pd
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

FOLDS = [[1, 11, 20, 21], [4, 10, 12, 14], [8, 9, 19, 23], [3, 5, 7, 24], [2, 15, 16, 18], [6, 13, 17, 22]]
NAME = r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)\.\w+$"


class Mixtures:
    """One mixture for each class, and Bayes' rule."""

    def __init__(self, components):
        self.components = components

    def fit(self, x, y):
        self.classes = np.unique(y)
        fit = lambda part: GaussianMixture(self.components, covariance_type="diag", reg_covar=0.05, random_state=1).fit(part)
        self.parts = [(fit(x[y == c]), np.log((y == c).mean())) for c in self.classes]
        return self

    def predict(self, x):
        scores = [mixture.score_samples(x) + share for mixture, share in self.parts]
        return self.classes[np.argmax(scores, axis=0)]


def methods(features):
    return {
        "nearest neighbours, k 10": KNeighborsClassifier(10),
        "nearest neighbours, k 20": KNeighborsClassifier(20),
        "logistic regression, C 0.01": LogisticRegression(C=0.01, max_iter=3000),
        "logistic regression, C 0.1": LogisticRegression(C=0.1, max_iter=3000),
        "linear SVM, C 0.01": SVC(kernel="linear", C=0.01, break_ties=True),
        "SVM, C 4, gamma 0.25 / n": SVC(C=4, gamma=0.25 / features, break_ties=True),
        "random forest, 500 trees": RandomForestClassifier(500, random_state=1),
        "gradient boosting, 100 rounds, depth 4": HistGradientBoostingClassifier(max_iter=100, max_depth=4, random_state=1),
        "Gaussian mixture, 1 component": Mixtures(1),
        "Gaussian mixture, 2 components": Mixtures(2),
        "Gaussian mixture, 4 components": Mixtures(4),
        "MLP, 128 units, 60 epochs": MLPClassifier((128,), alpha=1.0, max_iter=60, random_state=1),
    }


def main():
    warnings.simplefilter("ignore")
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    table = pd.read_csv(sys.argv[1])
    parts = table.file.str.extract(NAME)
    if parts.isna().any(axis=None):
        sys.exit(f"error: {sys.argv[1]} has files that are not called as RAVDESS calls them")
    parts = parts.astype(int)
    channel, emotion, actor = (parts[column].to_numpy() for column in (1, 2, 6))
    x = table.drop(columns=["file", "start", "end"]).to_numpy(float)
    print(f"scikit-learn {sklearn.__version__}, {len(x)} clips, {x.shape[1]} features")
    for name, method in methods(x.shape[1]).items():
        truth, said = [], []
        for fold in FOLDS:
            tested = np.isin(actor, fold)
            test = tested & (channel == 1)
            scaler = StandardScaler().fit(x[~tested])
            method.fit(scaler.transform(x[~tested]), emotion[~tested])
            truth.append(emotion[test])
            said.append(method.predict(scaler.transform(x[test])))
        truth, said = np.concatenate(truth), np.concatenate(said)
        uar = 100 * recall_score(truth, said, average="macro")
        print(f"{name:40} UAR {uar:5.1f} %, accuracy {100 * (truth == said).mean():5.1f} %", flush=True)


if __name__ == "__main__":
    main()
