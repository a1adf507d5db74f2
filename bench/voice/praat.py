"""What Praat (through parselmouth) measures on the clips of `clips.py`.

    python bench/voice/praat.py CLIPS OUT.json

f0 by autocorrelation every 10 ms, its time and strength; harmonicity (ac, 4.5 periods), jitter and shimmer over
the pulses of `To PointProcess (cc)`, intensity, formants 1-3 (Burg, 5.5 kHz). Standard settings throughout. CPPS: the
whole band, 60 to 300 Hz, smoothed over 20 ms and 1 ms, a straight line by least squares from 1 to 25 ms.

Needs: numpy, praat-parselmouth.
"""

import json
import pathlib
import sys
import time

import numpy as np
import parselmouth
from parselmouth.praat import call

PERIOD = (0, 0, 0.0001, 0.02, 1.3)


def measure(y, rate):
    sound = parselmouth.Sound(y.astype(np.float64), rate)
    start = time.perf_counter()
    pitch = sound.to_pitch_ac(time_step=0.01)
    seconds = time.perf_counter() - start
    harmonicity = sound.to_harmonicity_ac(time_step=0.01, minimum_pitch=75.0, silence_threshold=0.1,
                                          periods_per_window=4.5)
    h = harmonicity.values[0]
    points = call([sound, pitch], "To PointProcess (cc)")
    intensity = sound.to_intensity(minimum_pitch=100.0, time_step=0.01)
    formants = sound.to_formant_burg(time_step=0.01, max_number_of_formants=5, maximum_formant=5500.0)
    cepstrogram = call(sound, "To PowerCepstrogram", 60.0, 0.002, rate / 2, 50.0)
    cpps = call(cepstrogram, "Get CPPS", "no", 0.02, 0.001, 60.0, 300.0, 0.05, "None", 0.001, 0.025, "Straight",
                "Least squares")
    out = {
        "seconds": seconds,
        "f0_times": pitch.xs().tolist(),
        "f0": pitch.selected_array["frequency"].tolist(),
        "hnr_db": float(np.mean(h[h > -200])) if np.any(h > -200) else None,
        "cpps": cpps,
        "intensity_times": intensity.xs().tolist(),
        "intensity": intensity.values[0].tolist(),
        "formant_times": formants.xs().tolist(),
        "n_points": call(points, "Get number of points"),
    }
    for name in ["local", "rap", "ppq5", "ddp"]:
        out[f"jitter_{name}"] = call(points, f"Get jitter ({name})", *PERIOD)
    for name in ["local", "local_dB", "apq3", "apq5", "apq11"]:
        out[f"shimmer_{name}"] = call([sound, points], f"Get shimmer ({name})", *PERIOD, 1.6)
    for k in [1, 2, 3]:
        out[f"f{k}"] = [formants.get_value_at_time(k, t) for t in formants.xs()]
    return {k: (None if isinstance(v, float) and v != v else v) for k, v in out.items()}


def main():
    clips, out = map(pathlib.Path, sys.argv[1:3])
    rate = int((clips / "rate.txt").read_text())
    result = {"praat": parselmouth.PRAAT_VERSION, "parselmouth": parselmouth.__version__, "rate": rate}
    result["clips"] = {
        path.stem: measure(np.fromfile(path, "<f4"), rate) for path in sorted(clips.glob("*.f32"))
    }
    out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
