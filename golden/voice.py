"""Golden vectors for the voice measures (vocalics-dsp).

Writes `voice.json`: a synthetic vowel with moving f0 and a known irregularity (16-bit steps, so that both sides read
the same numbers), and for it what Praat (through parselmouth) gives. Praat is a black box here: its output is
compared, its source is not read.

    python golden/voice.py           write the file
    python golden/voice.py --check   compute again and compare (relative 1e-5)

Needs: numpy, scipy, praat-parselmouth (golden/requirements.txt).
"""

import math

import numpy as np
import parselmouth
import scipy
import scipy.signal
from parselmouth.praat import call
from vectors import digits, run

RATE = 16_000


def make_signal(n=14_000):
    """Pulses at 110 to 190 Hz through six resonators, with noise and a pause."""
    x = np.zeros(n)
    at, k = 100.0, 0
    while at < n - 2:
        f0 = 150 + 40 * math.sin(2 * math.pi * at / n * 1.5)
        i = int(at)
        amplitude = 1 + 0.04 * (-1) ** k
        x[i] += amplitude * (1 - (at - i))
        x[i + 1] += amplitude * (at - i)
        at += RATE / f0 * (1 + 0.006 * (-1) ** k)
        k += 1
    x = scipy.signal.lfilter([1], [1, -math.exp(-2 * math.pi * 100 / RATE)], x)
    for hz, bandwidth in [(620, 70), (1250, 90), (2550, 130), (3500, 200), (4500, 250), (5700, 300)]:
        r = math.exp(-math.pi * bandwidth / RATE)
        b, c = 2 * r * math.cos(2 * math.pi * hz / RATE), -r * r
        x = scipy.signal.lfilter([1 - b - c], [1, -b, -c], x)
    x = x / np.abs(x).max()
    envelope = np.ones(n)
    envelope[5500:7500] = 0.001
    envelope = np.convolve(envelope, np.hanning(400) / np.hanning(400).sum(), "same")
    state, noise = 1, np.empty(n)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        noise[i] = state / 2**31 - 1
    return np.round(12000 * envelope * x + 20 * noise).astype(np.int16)


def compute():
    pcm = make_signal()
    y = pcm.astype(np.float64) / 32768
    sound = parselmouth.Sound(y, RATE)
    pitch = sound.to_pitch_ac(time_step=0.01)
    hnr = sound.to_harmonicity_ac(time_step=0.01, minimum_pitch=75.0, silence_threshold=0.1,
                                   periods_per_window=4.5).values[0]
    intensity = sound.to_intensity(minimum_pitch=100.0, time_step=0.01)
    formants = sound.to_formant_burg(time_step=0.01)
    points = call([sound, pitch], "To PointProcess (cc)")
    period = (0, 0, 0.0001, 0.02, 1.3)
    jitter = {name: call(points, f"Get jitter ({name})", *period) for name in ["local", "rap", "ppq5", "ddp"]}
    shimmer = {name: call([sound, points], f"Get shimmer ({name})", *period, 1.6)
               for name in ["local", "local_dB", "apq3", "apq5", "apq11"]}
    return {
        "tools": {"parselmouth": parselmouth.__version__, "praat": parselmouth.PRAAT_VERSION,
                  "numpy": np.__version__, "scipy": scipy.__version__},
        "command": "python golden/voice.py",
        "sample_rate": RATE,
        "pcm16": pcm.tolist(),
        "f0_times": digits(pitch.xs()),
        "f0_hz": digits(pitch.selected_array["frequency"]),
        "hnr_db": float(f"{np.mean(hnr[hnr > -200]):.6e}"),
        "intensity_times": digits(intensity.xs()),
        "intensity_db": digits(intensity.values[0]),
        "formant_times": digits(formants.xs()),
        "formants_hz": [digits([formants.get_value_at_time(k, t) for t in formants.xs()]) for k in (1, 2, 3)],
        "bandwidths_hz": [digits([formants.get_bandwidth_at_time(k, t) for t in formants.xs()]) for k in (1, 2, 3)],
        "jitter": {name: float(f"{value:.6e}") for name, value in jitter.items()},
        "shimmer": {name: float(f"{value:.6e}") for name, value in shimmer.items()},
    }


if __name__ == "__main__":
    run(__file__, compute, absolute=1e-6)
