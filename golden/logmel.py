"""Golden vectors for the log-mel front end (vocalics-dsp, vocalics-features).

Writes `logmel.json`: a synthetic signal (16-bit steps, so that both sides read the same numbers), and for
it mel power spectrograms, filterbanks, deltas and trimming as librosa computes them, and a fingerprint
hashed independently.

    python golden/logmel.py           write the file
    python golden/logmel.py --check   compute again and compare (relative 1e-5)

Needs: numpy, librosa (golden/requirements.txt).
"""

import struct

import librosa
import numpy as np
from vectors import digits, run

RATE = 16_000

CASES = [
    dict(n_fft=1024, win_length=640, hop_length=256, n_mels=64, fmin=50.0, fmax=8000.0,
         mel_scale="slaney", mel_norm="slaney", center=True, padding="zero"),
    dict(n_fft=512, win_length=512, hop_length=160, n_mels=40, fmin=0.0, fmax=8000.0,
         mel_scale="htk", mel_norm="none", center=True, padding="reflect"),
    dict(n_fft=601, win_length=400, hop_length=200, n_mels=26, fmin=100.0, fmax=7000.0,
         mel_scale="slaney", mel_norm="none", center=True, padding="zero"),
    dict(n_fft=1024, win_length=1024, hop_length=512, n_mels=32, fmin=60.0, fmax=7800.0,
         mel_scale="htk", mel_norm="slaney", center=False, padding="zero"),
]


def make_signal(n=6000):
    """A rising tone with partials, noise, a soft beginning and end, in 16-bit steps."""
    t = np.arange(n) / RATE
    phase = 2 * np.pi * (180 * t + 300 * t**2)
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    state, noise = 1, np.empty(n)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        noise[i] = state / 2**31 - 1
    envelope = np.sin(np.pi * np.arange(n) / n) ** 4
    return np.round(8000 * envelope * voice + 12 * noise).astype(np.int16)


def mel_power(y, case):
    return librosa.feature.melspectrogram(
        y=y, sr=RATE, n_fft=case["n_fft"], win_length=case["win_length"],
        hop_length=case["hop_length"], center=case["center"],
        pad_mode={"zero": "constant", "reflect": "reflect"}[case["padding"]], power=2.0,
        n_mels=case["n_mels"], fmin=case["fmin"], fmax=case["fmax"],
        htk=case["mel_scale"] == "htk",
        norm={"slaney": "slaney", "none": None}[case["mel_norm"]], window="hann",
    ).T


def fingerprint():
    """64-bit FNV-1a over the canonical text of the default configuration."""
    bits = lambda x: struct.pack(">f", x).hex()
    text = (
        "sample_rate=16000;n_fft=1024;win_length=640;hop_length=256;n_mels=64;"
        f"fmin={bits(50)};fmax={bits(8000)};mel_scale=slaney;mel_norm=slaney;"
        f"log_floor={bits(1e-10)};trim_db={bits(40)};normalise_level=true;center=true;padding=zero"
    )
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"logmel-v1-{value:016x}"


def compute():
    pcm = make_signal()
    # In double precision, so that what differs is our rounding and not librosa's as well.
    y = pcm.astype(np.float64) / 32768
    spectra = []
    for case in CASES:
        power = mel_power(y, case)
        spectra.append({**case, "n_frames": power.shape[0], "mel_power": digits(power)})

    log_mel = np.log(np.maximum(1e-10, mel_power(y, CASES[1])))[:, :6]
    deltas = [
        dict(width=width, order=order, values=digits(
            librosa.feature.delta(log_mel.T, width=width, order=order, mode="nearest").T))
        for width, order in [(9, 1), (9, 2), (3, 1), (5, 2)]
    ]

    # Trimming looks at 128 ms frames, so the signal is slowed down by repetition to 3 s.
    trim_signal = np.repeat(y, 8)
    trims = []
    for top_db in [10.0, 20.0, 30.0, 40.0, 60.0]:
        start, end = librosa.effects.trim(trim_signal, top_db=top_db)[1]
        trims.append(dict(top_db=top_db, start=int(start), end=int(end)))

    scales = []
    for hz in [0.0, 50.0, 440.0, 999.0, 1000.0, 3333.0, 8000.0]:
        scales.append(dict(
            hz=hz,
            slaney=float(librosa.hz_to_mel(hz)),
            htk=float(librosa.hz_to_mel(hz, htk=True)),
        ))

    # What the default configuration does as a whole: trim, level to an RMS of 0.05, log-mel.
    start, end = librosa.effects.trim(y, top_db=40.0)[1]
    clip = y[start:end]
    clip = clip * (0.05 / np.sqrt(np.mean(clip ** 2)))
    default = mel_power(clip, CASES[0])

    return {
        "tools": {"librosa": librosa.__version__, "numpy": np.__version__},
        "command": "python golden/logmel.py",
        "sample_rate": RATE,
        "pcm16": pcm.tolist(),
        "spectra": spectra,
        "delta_input": digits(log_mel),
        "delta_features": 6,
        "deltas": deltas,
        "trim_repeat": 8,
        "trims": trims,
        "scales": scales,
        "default_mel_power": digits(default),
        "default_fingerprint": fingerprint(),
    }


if __name__ == "__main__":
    run(__file__, compute, absolute=1e-9)
