"""Golden vectors for the set `egemaps` (vocalics-features).

Writes `egemaps.json`: what opensmile's eGeMAPSv02 gives for the synthetic vowel of `voice.py` (whose samples are
in `voice.json`): 25 descriptors per frame and 88 functionals. opensmile is a black box here: its output is compared, its
source and configuration files are not read.

    python golden/egemaps.py           write the file
    python golden/egemaps.py --check   compute again and compare (relative 1e-5)

Needs: numpy, scipy, praat-parselmouth, opensmile (golden/requirements.txt).
"""

import numpy as np
import opensmile
from vectors import digits, run
from voice import RATE, make_signal


def compute():
    y = (make_signal().astype(np.float64) / 32768).astype(np.float32)
    values = {}
    for level in ("LowLevelDescriptors", "Functionals"):
        smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, getattr(opensmile.FeatureLevel, level))
        values[level] = smile.process_signal(y, RATE)
    lld, functionals = values["LowLevelDescriptors"], values["Functionals"]
    return {
        "tools": {"opensmile": opensmile.__version__, "numpy": np.__version__},
        "command": "python golden/egemaps.py",
        "signal": "voice.json",
        "descriptors": {name: digits(lld[name]) for name in lld.columns},
        "functionals": {name: digits(functionals[name])[0] for name in functionals.columns},
    }


if __name__ == "__main__":
    run(__file__, compute, absolute=1e-6)
