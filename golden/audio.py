"""Resampling by soxr, for the golden test of `vocalics-audio`.

Writes golden/audio.json: sums of tones below the pass-band edge, one second each, resampled by soxr at its
best quality. Only synthetic signals; only a stretch in the middle is kept.

    python golden/audio.py           write golden/audio.json
    python golden/audio.py --check   recompute and compare (exit 1 on a difference)
"""

import json
import sys
from pathlib import Path

import numpy as np
import soxr

OUTPUT = Path(__file__).with_name("audio.json")
N_KEPT = 300
TONES_16K = [
    {"hz": 97.0, "amplitude": 0.2, "phase": 0.3},
    {"hz": 440.0, "amplitude": 0.2, "phase": 1.1},
    {"hz": 1234.5, "amplitude": 0.15, "phase": 2.0},
    {"hz": 3300.0, "amplitude": 0.1, "phase": 0.7},
    {"hz": 5210.0, "amplitude": 0.1, "phase": 4.1},
    {"hz": 6990.0, "amplitude": 0.1, "phase": 5.0},
]
# Above the new Nyquist frequency: must vanish in both.
ALIAS = [{"hz": 9500.0, "amplitude": 0.2, "phase": 0.9}]
TONES_8K = [tone for tone in TONES_16K if tone["hz"] < 3400]
CASES = [
    (48000, 16000, TONES_16K + ALIAS),
    (44100, 16000, TONES_16K + ALIAS),
    (96000, 16000, TONES_16K + ALIAS),
    (24414, 16000, TONES_16K + ALIAS),
    (8000, 16000, TONES_8K),
    (11025, 16000, TONES_8K),
    (16000, 8000, TONES_8K),
]


def compute():
    cases = []
    for rate_in, rate_out, tones in CASES:
        time = np.arange(rate_in) / rate_in
        signal = sum(t["amplitude"] * np.sin(2 * np.pi * t["hz"] * time + t["phase"]) for t in tones)
        # float64 throughout: soxr then runs its best filters without dither.
        output = soxr.resample(signal.astype(np.float32).astype(np.float64), rate_in, rate_out, quality="VHQ")
        first = len(output) // 2 - N_KEPT // 2
        cases.append(
            {
                "from": rate_in,
                "to": rate_out,
                "tones": tones,
                "n_output": len(output),
                "first": first,
                "samples": [round(float(x), 7) for x in output[first : first + N_KEPT]],
            }
        )
    return {
        "tool": f"soxr {soxr.__version__} (libsoxr {soxr.__libsoxr_version__}), numpy {np.__version__}",
        "command": "python golden/audio.py",
        "call": 'soxr.resample(x, from, to, quality="VHQ")',
        "cases": cases,
    }


def main():
    result = compute()
    if "--check" in sys.argv[1:]:
        stored = json.loads(OUTPUT.read_text())
        for old, new in zip(stored["cases"], result["cases"], strict=True):
            same = all(old[key] == new[key] for key in ("from", "to", "tones", "n_output", "first"))
            if not same or not np.allclose(old["samples"], new["samples"], rtol=0, atol=1e-6):
                sys.exit(f"golden/audio.json is stale: {old['from']} -> {old['to']} Hz differs")
        return
    OUTPUT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
