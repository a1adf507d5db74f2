"""Golden vectors for MFCC, chroma, spectral shape, zero crossings and onset strength (vocalics-dsp).

Writes `timbre.json`: a synthetic signal in 16-bit steps, and for it what librosa computes, and HTK-style
MFCC written out in NumPy and SciPy, since librosa has no such convention.

    python golden/timbre.py           write the file
    python golden/timbre.py --check   compute again and compare (relative 1e-5)

Needs: numpy, scipy, librosa (golden/requirements.txt).
"""

import librosa
import numpy as np
import scipy.fft
from vectors import digits, run

RATE = 16_000


def make_signal(n=12_000):
    """Four notes with partials and noise, separated by soft gaps, in 16-bit steps."""
    t = np.arange(n) / RATE
    state, noise = 1, np.empty(n)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        noise[i] = state / 2**31 - 1
    voice = np.zeros(n)
    length = n // 4
    for index, hz in enumerate([222.0, 279.7, 332.6, 444.0]):
        part = slice(index * length, (index + 1) * length)
        envelope = np.exp(-6.0 * np.arange(length) / length) * np.minimum(1, np.arange(length) / 80)
        phase = 2 * np.pi * hz * t[part]
        voice[part] = envelope * sum(np.sin(k * phase) / k for k in range(1, 12))
    return np.round(9000 * voice + 60 * noise).astype(np.int16)


def htk_mfcc(y, n_mfcc=13, n_mels=26, lifter=22):
    win, hop, n_fft = RATE // 40, RATE // 100, 512
    spectrum = np.abs(librosa.stft(y, n_fft=n_fft, win_length=win, hop_length=hop, center=False))
    filters = librosa.filters.mel(
        sr=RATE, n_fft=n_fft, n_mels=n_mels, fmin=0, fmax=RATE / 2, htk=True, norm=None, dtype=np.float64
    )
    bands = np.log(np.maximum(filters @ spectrum, 1e-10))
    cepstrum = scipy.fft.dct(bands, type=2, axis=0)[:n_mfcc] / 2 * np.sqrt(2 / n_mels)
    lift = 1 + lifter / 2 * np.sin(np.pi * np.arange(n_mfcc) / lifter)
    return (cepstrum * lift[:, None]).T


def compute():
    pcm = make_signal()
    # In double precision, so that what differs is our rounding and not librosa's as well.
    y = pcm.astype(np.float64) / 32768
    feature = librosa.feature
    mfcc = [
        dict(n_mfcc=20, lifter=0.0, values=digits(feature.mfcc(y=y, sr=RATE).T)),
        dict(n_mfcc=13, lifter=22.0, values=digits(feature.mfcc(y=y, sr=RATE, n_mfcc=13, lifter=22).T)),
    ]
    magnitude = np.abs(librosa.stft(y))
    return {
        "tools": {"librosa": librosa.__version__, "numpy": np.__version__},
        "command": "python golden/timbre.py",
        "sample_rate": RATE,
        "pcm16": pcm.tolist(),
        "mfcc": mfcc,
        "mfcc_htk": digits(htk_mfcc(y)),
        "tuning": float(librosa.estimate_tuning(S=magnitude**2, sr=RATE)),
        "chroma": digits(feature.chroma_stft(y=y, sr=RATE).T),
        "centroid": digits(feature.spectral_centroid(y=y, sr=RATE)),
        "bandwidth": digits(feature.spectral_bandwidth(y=y, sr=RATE)),
        "rolloff": digits(feature.spectral_rolloff(y=y, sr=RATE)),
        "flatness": digits(feature.spectral_flatness(y=y)),
        "zero_crossings": digits(feature.zero_crossing_rate(y)),
        "onset_strength": digits(librosa.onset.onset_strength(y=y, sr=RATE)),
    }


if __name__ == "__main__":
    run(__file__, compute, absolute=1e-7)
