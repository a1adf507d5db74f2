"""What the scripts here share: how numbers are stored and compared. Writes nothing by itself."""

import json
import math
import pathlib
import sys

import numpy as np


def digits(array, count=6):
    """The numbers of an array with `count` decimals of the mantissa; None for what is not finite."""
    values = np.asarray(array, dtype=np.float64).ravel()
    return [float(f"{x:.{count}e}") if math.isfinite(x) else None for x in values]


def differences(a, b, absolute, where="$"):
    """What became of stored values: numbers may differ by 1e-5 of them and by `absolute`."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for key in a:
            yield from differences(a[key], b[key], absolute, f"{where}.{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, absolute, f"{where}[{i}]")
    elif isinstance(a, float) and isinstance(b, float):
        if abs(a - b) > 1e-5 * abs(a) + absolute:
            yield f"{where}: {a} became {b}"
    elif a != b:
        yield f"{where}: {a!r} became {b!r}"


def run(script, compute, absolute):
    """Writes what `compute` gives beside the script as JSON; with --check compares it with what is there."""
    path = pathlib.Path(script).resolve().with_suffix(".json")
    fresh = compute()
    if "--check" in sys.argv[1:]:
        found = list(differences(json.loads(path.read_text()), fresh, absolute))
        for line in found[:10]:
            print(line, file=sys.stderr)
        sys.exit(1 if found else 0)
    path.write_text(json.dumps(fresh, separators=(",", ":")) + "\n")
