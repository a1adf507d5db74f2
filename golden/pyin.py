"""Golden vectors for f0 by probabilistic YIN (vocalics-dsp).

Writes `pyin.json`: a synthetic voice with moving f0, a hiss and a pause in 16-bit steps, and for it what librosa
computes.

    python golden/pyin.py           write the file
    python golden/pyin.py --check   compute again and compare (relative 1e-5)

Needs: numpy, scipy, librosa (golden/requirements.txt).
"""

import math

import librosa
import numpy as np
import scipy
import scipy.signal
from vectors import digits, run

RATE, SECONDS = 16_000, 1.6
FMIN, FMAX, FRAME_LENGTH, HOP_LENGTH = 60.0, 600.0, 1024, 160


def make_signal():
    """A low voice, a hiss, a pause and a high voice, in faint noise."""
    n = int(RATE * SECONDS)
    state, noise = 1, np.empty(n)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        noise[i] = state / 2**31 - 1
    x = np.zeros(n)
    at = 0.0
    while at < n - 2:
        t = at / RATE
        f0 = 130 + 25 * math.sin(2 * math.pi * 1.5 * t) if t < 0.8 else 250 - 60 * (t - 0.8)
        i = int(at)
        x[i] += 1 - (at - i)
        x[i + 1] += at - i
        at += RATE / f0
    x = scipy.signal.lfilter([1], [1, -math.exp(-2 * math.pi * 100 / RATE)], x)
    for hz, bandwidth in [(620, 70), (1250, 90), (2550, 130), (3500, 200)]:
        r = math.exp(-math.pi * bandwidth / RATE)
        b, c = 2 * r * math.cos(2 * math.pi * hz / RATE), -r * r
        x = scipy.signal.lfilter([1 - b - c], [1, -b, -c], x)
    x = x / np.abs(x).max()
    hiss = scipy.signal.lfilter([1, -0.95], [1], noise)

    def between(begin, end):
        gate = np.zeros(n)
        gate[int(begin * RATE) : int(end * RATE)] = 1
        return np.convolve(gate, np.hanning(320) / np.hanning(320).sum(), "same")

    y = 12000 * x * (between(0.05, 0.6) + between(0.95, 1.5)) + 1500 * hiss * between(0.6, 0.8) + 15 * noise
    return np.round(y).astype(np.int16)


def compute():
    pcm = make_signal()
    f0, _, probability = librosa.pyin(
        pcm.astype(np.float64) / 32768, sr=RATE, fmin=FMIN, fmax=FMAX, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH
    )
    return {
        "tools": {"librosa": librosa.__version__, "numpy": np.__version__, "scipy": scipy.__version__},
        "command": "python golden/pyin.py",
        "sample_rate": RATE,
        "fmin": FMIN,
        "fmax": FMAX,
        "frame_length": FRAME_LENGTH,
        "hop_length": HOP_LENGTH,
        "pcm16": pcm.tolist(),
        "f0_hz": digits(f0),
        "voiced_probability": digits(probability),
    }


if __name__ == "__main__":
    run(__file__, compute, absolute=1e-6)
