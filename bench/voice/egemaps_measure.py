"""What the output of opensmile's eGeMAPSv02 says about its definitions, on signals made here.

    python bench/voice/egemaps_measure.py [SECTION...]

For each constant of `vocalics_features`' set `egemaps` that no publication settles, a signal is made whose answer
depends on it, opensmile is called on it, and what came out is printed beside what the constant says. opensmile is a
black box: neither its source nor its configuration files were read. Sections, in the order of the output: frames,
smoothing, loudness, cepstrum, balance, pitch, gate, path, hnr, harmonics, period, slopes, segments, formants.

Needs: numpy, scipy, opensmile.
"""

import sys

import numpy as np
import opensmile
import scipy.linalg
import scipy.signal
from scipy.interpolate import CubicSpline

RATE = 16_000
LLD = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
FUN = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
COMPARE = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)


def lld(y, *columns):
    """Descriptors `[n_frames, n_columns]`, columns by the beginning of their names."""
    rows = LLD.process_signal(np.asarray(y, np.float32), RATE)
    chosen = [next(k for k, name in enumerate(rows.columns) if name.startswith(c)) for c in columns]
    return rows.values[:, chosen]


def functional(y, *names):
    row = FUN.process_signal(np.asarray(y, np.float32), RATE)
    return [float(row[name].iloc[0]) for name in names]


def seconds(secs):
    return np.arange(int(secs * RATE)) / RATE


def sine(hz, secs=1.0, amplitude=0.1):
    return amplitude * np.sin(2 * np.pi * hz * seconds(secs))


def voice(f0, amplitude=0.05, tilt=1.0):
    """A sum of harmonics; `f0` per sample, 0 for silence."""
    f0 = np.asarray(f0, float)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    inside = (f0 > 0)
    return amplitude * sum(inside * (k * f0 < 7_600) * np.cos(k * phase) / k**tilt for k in range(1, 60))


def pulses(times, amplitudes, n=RATE, width=2.0):
    y = np.zeros(n)
    for t, a in zip(times, amplitudes):
        k = np.arange(max(0, int(t) - 40), min(n, int(t) + 41))
        y[k] += a * np.exp(-0.5 * ((k - t) / width) ** 2)
    return y


def frames():
    """Lengths and steps: when a click is first and last seen, and how many frames there are."""
    y = np.zeros(RATE)
    y[8000:8003] = 0.5
    seen = np.flatnonzero(lld(y, "Loudness")[:, 0] > 0.002)
    print(f"  click at sample 8000: loudness in frames {seen.min()} to {seen.max()} "
          "(20 ms, 10 ms apart: 49 and 50, one more on either side by smoothing)")
    y = np.concatenate([np.zeros(RATE), voice(np.full(RATE, 200.0)), np.zeros(RATE)])
    voiced = np.flatnonzero(lld(y, "F0")[:, 0] > 0)
    print(f"  voice from 1 s to 2 s: f0 in frames {voiced.min()} to {voiced.max()} "
          "(60 ms from the frame's beginning: 95 to 199 hold some of it, 97 to 197 hold half)")
    for n in (960, 961, 1119, 1120, 16_000):
        print(f"  {n} samples: {len(lld(sine(200, 2)[:n], 'F0'))} rows (whole frames of 60 ms: {(n - 960) // 160 + 1})")


def smoothing():
    """A single loud frame among silent ones, and zeros in f0."""
    y = np.zeros(RATE)
    y[8000:8160] = sine(1000)[:160]
    print("  10 ms burst, loudness around it:", np.round(lld(y, "Loudness")[47:54, 0], 4),
          "(mean of three frames)")
    y = np.concatenate([np.zeros(4000), voice(np.full(8000, 200.0)), np.zeros(4000)])
    f0 = lld(y, "F0")[:, 0]
    print("  f0 at the onset:", np.round(f0[np.flatnonzero(f0)[0] - 1 :][:4], 2), "(no step between 0 and f0: zeros stay out)")


def equal_loudness(hz):
    w = (2 * np.pi * hz) ** 2
    return (w + 56.8e6) * w**2 / ((w + 6.3e6) ** 2 * (w + 0.38e9)) * 9.58e26 / (w**3 + 9.58e26)


def bands(power, lowest_bin=2):
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)  # noqa: E731
    step = (mel(8000) - mel(20)) / 27
    hz = np.arange(257) * 31.25
    peaks = mel(20) + step * np.arange(1, 27)
    weights = np.maximum(0, 1 - np.abs(mel(hz)[None] - peaks[:, None]) / step)
    weights[:, :lowest_bin] = 0
    return weights @ power, 700 * (10 ** (peaks / 2595) - 1)


def power20(y, begin=8000):
    return np.abs(np.fft.rfft(y[begin : begin + 320] * np.hamming(320), 512)) ** 2


def loudness():
    """Exponent, weights, floor and scale."""
    step = 1 / 32_768**2

    def summed(y, exponent=0.33, lowest=2):
        p, centres = bands(power20(y), lowest)
        return np.sum((np.maximum(p, step) * equal_loudness(centres)) ** exponent)

    for exponent in (1 / 3, 0.33, 0.3):
        ratios = [lld(sine(1000, amplitude=a), "Loudness")[50, 0] / summed(sine(1000, amplitude=a), exponent)
                  for a in (0.001, 0.01, 0.1, 0.5)]
        print(f"  1 kHz at 0.001 to 0.5, reference over summed bands with exponent {exponent:.4f}: {np.round(ratios, 5)}")
    for hz in (50, 100, 200, 500, 1000, 2000, 4000, 7000):
        print(f"  {hz} Hz: {lld(sine(hz), 'Loudness')[50, 0] / summed(sine(hz)):.5f} (LOUDNESS_SCALE 0.0688)")
    print(f"  digital silence: reference {lld(np.zeros(RATE), 'Loudness')[50, 0]:.6f}, floor of one 16-bit step "
          f"{0.0688 * summed(np.zeros(RATE)):.6f}")
    for lowest in (1, 2, 3):
        print(f"  40 Hz with bands from bin {lowest}: {lld(sine(40), 'Loudness')[50, 0] / summed(sine(40), lowest=lowest):.5f}")


def cepstrum():
    """Lifter, scale and floor."""
    rng = np.random.default_rng(0)
    y = np.tile(0.05 * rng.standard_normal(160), 100)
    p, _ = bands(power20(y))
    logs = np.log(np.maximum(p, 1 / 32_768**2))
    found = lld(y, "mfcc1", "mfcc2", "mfcc3", "mfcc4")[50]
    for q in range(1, 5):
        base = np.sqrt(2 / 26) * np.sum(logs * np.cos(np.pi * q * (np.arange(26) + 0.5) / 26))
        lift = 1 + 11 * np.sin(np.pi * q / 22)
        print(f"  mfcc{q}: reference {found[q - 1]:.4f}, √(2/26) and lifter 22: {base * lift:.4f}, without lifter {base:.4f}")
    print("  amplitude of white periods against mfcc1 (the floor shows where it bends):")
    for step in (3, 1, 0.3, 0.1, 0.03):
        y = np.round(np.tile(step * rng.standard_normal(160), 100)) / 32_768 if step >= 0.3 else np.zeros(RATE)
        p, _ = bands(power20(y))
        logs = np.log(np.maximum(p, 1 / 32_768**2))
        base = (1 + 11 * np.sin(np.pi / 22)) * np.sqrt(2 / 26) * np.sum(logs * np.cos(np.pi * (np.arange(26) + 0.5) / 26))
        print(f"    {step} steps of 16 bit: reference {lld(y, 'mfcc1')[50, 0]:.4f}, floor of one step {base:.4f}")


def balance():
    """Bounds of alpha ratio, Hammarberg index and flux; the slope's N and floor."""
    for hz in (15, 31.25, 50, 980, 1020, 4950, 5050):
        y = sine(hz, amplitude=0.1) + sine(500, amplitude=0.001) + sine(2500, amplitude=0.001)
        alpha, index = lld(y, "alphaRatio", "hammarbergIndex")[50]
        print(f"  strong tone at {hz} Hz: alpha ratio {alpha:.1f} dB, Hammarberg index {index:.1f} dB")
    print("  slopes of digital silence:", lld(np.zeros(RATE), "slope0", "slope500")[50],
          "(−140 dB and one point fewer: 0.112, 0.0764)")
    for hz in (4900, 4990, 5010, 5100):
        y = np.concatenate([np.zeros(RATE // 2), sine(hz, 0.5)])
        print(f"  onset at {hz} Hz: flux {lld(y, 'spectralFlux')[:, 0].max():.4f} (none far above 5 kHz)")


class Summation:
    """Subharmonic summation as `vocalics_dsp::subharmonic`, with its constants free."""

    def __init__(self, lowest=25.0, hearing=(3.0, 30.0), reach=2, compression=0.85, harmonics=15, sigma=0.4):
        i = np.arange(960)
        self.window = np.exp(-0.5 * ((i - 479.5) / (sigma * 479.5)) ** 2)
        self.octaves = np.linspace(np.log2(lowest), np.log2(8000), 513)
        self.per_octave = 1 / (self.octaves[1] - self.octaves[0])
        slope, middle = hearing
        self.heard = 0.5 + np.arctan(slope * (self.octaves - np.log2(middle))) / np.pi if slope else np.ones(513)
        self.reach, self.compression, self.harmonics = reach, compression, harmonics

    def candidates(self, frame):
        m = np.abs(np.fft.rfft(frame * self.window, 1024))
        peak = np.zeros(513, bool)
        peak[1:-1] = (m[1:-1] > m[:-2]) & (m[1:-1] >= m[2:])
        keep = np.convolve(peak, np.ones(2 * self.reach + 1), "same") > 0
        m = m * keep
        m[1:-1] = 0.25 * m[:-2] + 0.5 * m[1:-1] + 0.25 * m[2:]
        laid = CubicSpline(np.log2(np.arange(1, 513)), m[1:], bc_type="natural")(self.octaves - np.log2(15.625))
        laid = np.maximum(laid, 0) * self.heard
        total = np.zeros(513)
        for n in range(1, self.harmonics + 1):
            shift = np.log2(n) * self.per_octave
            k, w = int(shift), shift - int(shift)
            total[: 512 - k] += self.compression ** (n - 1) * ((1 - w) * laid[k:512] + w * laid[k + 1 :])
        j = np.flatnonzero((total[1:-1] > total[:-2]) & (total[1:-1] >= total[2:])) + 1
        a, b, c = total[j - 1], total[j], total[j + 1]
        offset = 0.5 * (a - c) / (a - 2 * b + c)
        height = b - 0.25 * (a - c) * offset
        hz = 2 ** (self.octaves[j] + offset / self.per_octave)
        inside = (hz >= 55) & (hz <= 1000)
        order = np.argsort(-height[inside])[:6]
        return hz[inside][order], 1 - total.mean() / height[inside][order]


def pitch():
    """Axis, weights, compression: f0 and strength of steady tones, strength from ComParE_2016's voicing."""
    tones = {f"sine {hz} Hz": sine(hz) for hz in (60, 80, 100, 150, 200, 300, 400, 500, 600)}
    tones |= {f"voice {f0} Hz, tilt {tilt}": voice(np.full(RATE, float(f0)), 0.02, tilt) for f0 in (100, 200, 300, 400) for tilt in (0.5, 1, 2)}
    answers = {name: COMPARE.process_signal(y.astype(np.float32), RATE).values[40, :2] for name, y in tones.items()}
    variants = {"as chosen": {}, "axis from 20 Hz": {"lowest": 20.0}, "axis from 30 Hz": {"lowest": 30.0},
                "no hearing weight": {"hearing": (0, 1)}, "hearing from 110 Hz": {"hearing": (3.0, 110.0)},
                "one bin beside peaks": {"reach": 1}, "three bins": {"reach": 3}, "compression 0.84": {"compression": 0.84},
                "ten harmonics": {"harmonics": 10}, "window 0.35": {"sigma": 0.35}}
    for label, settings in variants.items():
        summation = Summation(**settings)
        cents, strength = [], []
        for name, y in tones.items():
            f0, voicing = answers[name]
            hz, found = summation.candidates(y[6240:7200])
            if f0 > 0 and len(hz):
                best = np.argmin(np.abs(np.log2(hz / f0)))
                cents.append(1200 * np.log2(hz[best] / f0))
                strength.append(found[best] - voicing)
        print(f"  {label}: f0 off by {np.median(np.abs(cents)):.1f} cents in the median, {np.max(np.abs(cents)):.0f} at most; "
              f"strength by {np.sqrt(np.mean(np.square(strength))):.4f} (rms)")


def gate():
    """Level and strength at which voicing ends."""
    t = seconds(10)
    fading = 10 ** (-(50 + 1.5 * t) / 20)
    summation = Summation()
    for label, y in (("sine 200", np.sin(2 * np.pi * 200 * t)), ("voice 100", voice(np.full(len(t), 100.0), 1.0)),
                     ("voice 300, tilt 2", voice(np.full(len(t), 300.0), 1.0, 2))):
        y = 0.9 * fading * y
        last = np.flatnonzero(lld(y, "F0")[:, 0] > 0).max()
        rms = np.sqrt(np.mean((y[last * 160 : last * 160 + 960] * summation.window) ** 2))
        print(f"  {label}, fading: last voiced frame has a windowed rms of {rms:.6f} (silence_rms 0.001)")
    rng = np.random.default_rng(1)
    strengths, voiced = [], []
    for level in np.linspace(0.02, 0.4, 20):
        y = voice(np.full(RATE, 150.0), 0.05) + level * 0.3 * rng.standard_normal(RATE)
        f0 = lld(y, "F0")[:, 0]
        for frame in range(5, 90):
            strengths.append(summation.candidates(y[frame * 160 : frame * 160 + 960])[1][0])
            voiced.append(f0[frame] > 0)
    strengths, voiced = np.array(strengths), np.array(voiced)
    for low in np.arange(0.64, 0.76, 0.01):
        inside = (strengths >= low) & (strengths < low + 0.01)
        if inside.any():
            print(f"  strength {low:.2f} to {low + 0.01:.2f}: {100 * voiced[inside].mean():.0f} % of {inside.sum()} frames voiced")


def path():
    """Costs of the path: voicing and f0 of 60 synthetic phrases for a grid of costs."""
    rng = np.random.default_rng(2)
    summation = Summation()
    phrases = []
    for _ in range(60):
        n = 2 * RATE
        f0 = np.interp(np.arange(n), np.sort(rng.integers(0, n, 6)), 27.5 * 2 ** (rng.uniform(22, 46, 6) / 12))
        level = np.interp(np.arange(n), np.linspace(0, n, 15), rng.uniform(0, 1, 15) ** 2)
        hiss = np.interp(np.arange(n), np.linspace(0, n, 25), rng.uniform(0, 1, 25) ** 3)
        # A voice an octave lower comes and goes, so that the stronger candidate changes.
        lower = np.interp(np.arange(n), np.linspace(0, n, 20), rng.uniform(0, 1, 20) ** 3)
        tilt = rng.uniform(0.7, 1.6)
        y = level * (voice(f0, 0.05, tilt) + lower * voice(f0 / 2, 0.05, tilt)) + 0.03 * hiss * rng.standard_normal(n)
        semitones = lld(y, "F0")[:, 0]
        theirs = np.where(semitones > 0, 27.5 * 2 ** (semitones / 12), 0)
        states = []
        for frame in range(min(len(theirs), (n - 960) // 160 + 1)):
            x = y[frame * 160 : frame * 160 + 960]
            loud = np.sqrt(np.mean((x * summation.window) ** 2)) >= 0.001
            states.append(summation.candidates(x) if loud else (np.empty(0), np.empty(0)))
        phrases.append((theirs[: len(states)], states))
    results = []
    for weight in (10, 20, 40, 80):
        for jump in (0.5, 1, 1.5, 2.2, 3):
            for change in (1.0, 1.25, 1.5):
                wrong = gross = total = both = 0
                for theirs, states in phrases:
                    ours = smoothed(viterbi(states, weight, jump, change))
                    wrong += np.sum((ours > 0) != (theirs > 0))
                    common = (ours > 0) & (theirs > 0)
                    gross += np.sum(np.abs(np.log2(ours[common] / theirs[common])) > 0.2)
                    total, both = total + len(ours), both + common.sum()
                results.append((wrong / total + gross / total, wrong / total, gross / both, weight, jump, change))
    for _, wrong, gross, weight, jump, change in sorted(results)[:8]:
        print(f"  strength_weight {weight}, octave_jump_cost {jump}, voiced_unvoiced_cost {change}: "
              f"voicing {100 * wrong:.2f} %, gross {100 * gross:.2f} %")


def smoothed(f0):
    """The mean of the semitones of each frame and its voiced neighbours, in hertz again."""
    octaves = np.where(f0 > 0, np.log2(np.maximum(f0, 1)), 0)
    total = np.convolve(octaves, np.ones(3), "same") / np.maximum(1, np.convolve(f0 > 0, np.ones(3), "same"))
    return np.where(f0 > 0, 2**total, 0)


def viterbi(states, weight, jump, change, threshold=0.7):
    back, score, before = [], np.zeros(1), np.zeros(1)
    for hz, strength in states:
        f = np.append(hz, 0.0)
        s = np.zeros(1)
        if len(hz):
            s = np.append(weight * (strength - strength[0]) - (strength[0] < threshold), -float(strength[0] >= threshold))
        a, b = np.maximum(before, 1)[:, None], np.maximum(f, 1)[None]
        va, vb = before[:, None] > 0, f[None] > 0
        cost = np.where(va & vb, jump * np.abs(np.log2(a / b)), np.where(va != vb, change, 0))
        total = score[:, None] - cost
        back.append((f, total.argmax(0)))
        score, before = total.max(0) + s, f
    at = int(score.argmax())
    out = np.zeros(len(states))
    for t in range(len(states) - 1, -1, -1):
        f, origin = back[t]
        out[t], at = f[at], int(origin[at])
    return out


def hnr():
    """The autocorrelation of the windowed frame at the period, not divided by the window's."""
    window = Summation().window
    rng = np.random.default_rng(3)
    for f0 in (80, 100, 160, 200, 320, 400):
        for noise in (0, 0.01):
            period = RATE // f0
            y = np.tile(voice(np.full(period, float(f0))), RATE // period + 1)[:RATE] + noise * rng.standard_normal(RATE)
            x = y[8000:8960] * window
            r = np.correlate(x, x, "full")[959:]
            near = r[int(0.9 * period) : int(np.ceil(1.1 * period)) + 1].max() / r[0]
            found = lld(y, "HNR")[49:52, 0].mean()
            print(f"  {f0} Hz, noise {noise}: reference {found:.2f} dB, formula {10 * np.log10(near / (1 - near)):.2f} dB")


def harmonics():
    """Which harmonics H1-H2 is made of."""
    for levels in ((0, -10, -20, -30), (0, -20, -20, -20), (-10, 0, -20, -20), (0, -6, -6, -12), (0, -6, -16, -12)):
        y = sum(sine(200 * (k + 1), amplitude=0.1 * 10 ** (db / 20)) for k, db in enumerate(levels))
        print(f"  harmonics at {levels} dB: {lld(y, 'logRelF0-H1-H2')[50, 0]:.2f} dB "
              f"(first less second {levels[0] - levels[1]}, second less third {levels[1] - levels[2]})")
    for f0 in (150, 250, 300, 400, 500, 600, 700):
        a3, hz, level = lld(voice(np.full(RATE, float(f0))), "logRelF0-H1-A3", "F3frequency", "F3amplitude")[50]
        f1, first = lld(voice(np.full(RATE, float(f0))), "F1frequency", "F1amplitude")[50]
        print(f"  harmonics −20·log10(k), f0 {f0} Hz: F1 at harmonic {f1 / f0:.2f} has {first:.1f} dB, F3 at {hz / f0:.2f} {level:.1f} dB; "
              f"H1-A3 {a3:.1f} dB = level of the second ({-20 * np.log10(2):.1f}) less F3's: {-20 * np.log10(2) - level:.1f}")


def period():
    """Search range, pairs and amplitude of jitter and shimmer."""
    times = np.arange(30, RATE - 50, 100).astype(float)
    signs = np.where(np.arange(len(times)) % 2, 0.5, -0.5)
    for share in (0.005, 0.02, 0.04):
        moved = 30 + np.cumsum(100 * (1 + share * signs))
        moved = moved[moved < RATE - 50]
        print(f"  periods alternating by {share}: jitter {lld(0.3 * pulses(moved, np.ones(len(moved))), 'jitter')[50, 0]:.4f}")
    for db in (0.5, 1, 2):
        a = 10 ** (db * signs / 20)
        change = (a.max() - a.min()) / a.mean()
        found = lld(0.3 * pulses(times, a), "shimmer")[50, 0]
        print(f"  amplitudes alternating by {db} dB: shimmer {found:.3f}, 20·log10(1 + change) {20 * np.log10(1 + change):.3f}")
    for moved in (2, 8, 9, 10, 11, 12, 20):
        shifted = times.copy()
        shifted[len(times) // 2] += moved
        j = lld(0.3 * pulses(shifted, np.ones(len(times))), "jitter")[:, 0]
        print(f"  one pulse of 100 samples' distance moved by {moved}: jitter in {np.sum(j > 3e-4)} frames, {j.max():.4f} at most")
    loud = np.ones(len(times))
    loud[len(times) // 2] = 1.3
    print("  one pulse 1.3 times as high:", np.round([x for x in lld(0.3 * pulses(times, loud), "shimmer")[:, 0] if x > 1e-3], 3),
          "(pairs (1, 1), (1, 1.3) and (1.3, 1): 1.135 and 2.013, smoothed over the two frames: 1.574)")


def ramps(points, n=400):
    v = np.interp(np.arange(n * 160 + 960) / 160, [p[0] for p in points], [p[1] for p in points])
    return 0.3 * v**1.5 * np.sin(2 * np.pi * 1000 * np.arange(len(v)) / RATE)


def slopes():
    """Loudness that goes straight from point to point; slopes per 100 frames of its range."""
    names = ["loudness_sma3_" + n for n in ("meanRisingSlope", "stddevRisingSlope", "meanFallingSlope", "stddevFallingSlope")]
    shapes = {"up": [(0, 0), (400, 1)], "down": [(0, 1), (400, 0)], "up, down": [(0, 0), (200, 1), (400, 0)],
              "down, up": [(0, 1), (200, 0), (400, 1)], "twice up, down": [(0, 0), (100, 1), (200, 0), (300, 1), (400, 0)]}
    for depth in (0.05, 0.1, 0.11, 0.2):
        shapes[f"dip of {depth}"] = [(0, 0), (100, 1), (150, 1 - depth), (200, 1), (400, 0)]
    for height in (0.05, 0.1, 0.11, 0.2):
        shapes[f"bump of {height}"] = [(0, 0), (100, 1), (200, 0.4), (250, 0.4 + height), (300, 0.4), (400, 0)]
    for first in (0.9, 0.94, 0.96, 0.99):
        shapes[f"peak {first}, dip of 0.05, peak 1"] = [(0, 0), (100, first), (150, first - 0.05), (200, 1), (400, 0)]
    for label, points in shapes.items():
        y = ramps(points)
        scale = lld(y, "Loudness")[:, 0].max()
        values = functional(y, *names, "loudnessPeaksPerSec")
        print(f"  {label}: {np.round(np.array(values[:4]) / scale, 4)}, {values[4] * 4.05:.2f} peaks in 405 frames")


def segments():
    """Segments from voicing alone: the functionals recomputed from the reference's own f0 contour."""
    rng = np.random.default_rng(4)
    names = ["VoicedSegmentsPerSec", "MeanVoicedSegmentLengthSec", "MeanUnvoicedSegmentLength"]
    for _ in range(6):
        lengths = rng.integers(4, 40, 12) * 160
        y = np.concatenate([voice(np.full(n, 150.0 + 30 * (k % 3))) if k % 2 else np.zeros(n) for k, n in enumerate(lengths)])
        voiced = lld(y, "F0")[:, 0] > 0
        runs, start = [], 0
        end = len(voiced) - 2
        for i in range(1, end + 1):
            if i == end or voiced[i] != voiced[start]:
                if runs and (i - start == 1 or runs[-1][0] == voiced[start]):
                    runs[-1][1] += i - start
                else:
                    runs.append([voiced[start], i - start])
                start = i
        have = [(n - 1) / 100 for kind, n in runs if kind and n > 2]
        lack = [(n - 1) / 100 for kind, n in runs if not kind and n > 2]
        print("  reference", np.round(functional(y, *names), 4), "rule",
              np.round([100 * len(have) / end, np.mean(have), np.mean(lack)], 4))


def reference_formants(frame, rate):
    """Frequencies and bandwidths of the first three formants of a frame of 20 ms, as `vocalics_dsp::reference_formant` has them."""
    length, n_fft = len(frame), 1 << (len(frame) - 1).bit_length()
    samples = length * 11_000 // rate
    padded = np.zeros(n_fft)
    padded[(n_fft - length) // 2 :][:length] = frame * np.hamming(length)
    bins = np.arange(samples // 2)
    turn = np.outer(np.arange(samples), bins) * rate / (11_000 * n_fft)
    y = (np.exp(2j * np.pi * turn) @ np.fft.rfft(padded)[bins]).real
    lags = np.array([y[: samples - k] @ y[k:] for k in range(12)])
    a = scipy.linalg.solve_toeplitz(lags[:-1], lags[1:])
    zeros = np.roots(np.concatenate([[1], a]))
    zeros = sorted(zeros[zeros.imag > 1e-9], key=np.angle)[:3]
    return [x for z in zeros for x in (np.angle(z) * 11_000 / (2 * np.pi), abs(np.log(abs(z))) * 11_000 / np.pi)]


def formants():
    """How little the reference's formants follow those put in, and what they are: F1, its bandwidth, F2, its, F3, its."""
    columns = ("F1frequency", "F1bandwidth", "F2frequency", "F2bandwidth", "F3frequency", "F3bandwidth")
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(3 * RATE)
    for hz, bandwidth in ((500, 50), (500, 400), (1200, 50), (2000, 50), (3000, 50), (5000, 50)):
        r = np.exp(-np.pi * bandwidth / RATE)
        y = scipy.signal.lfilter([1], [1, -2 * r * np.cos(2 * np.pi * hz / RATE), r * r], noise)
        print(f"  noise with one resonance at {hz} Hz, {bandwidth} Hz wide:", np.round(np.median(lld(0.2 * y / np.abs(y).max(), *columns), 0)))
    # All frames of a train of impulses every 10 ms are alike: one impulse at a place and one 10 ms later. Where the place is near 64, the end of
    # what is left of the frame cuts an impulse; at 16 kHz most others leave a prediction so small that the zeros jump between two sets.
    for rate in (8_000, 11_000, 12_000, 16_000, 44_100, 48_000):
        period = rate // 100
        for place in sorted({1, period // 2, 64 * period // 160, period - 1}):
            train = np.zeros(rate)
            train[place::period] = 0.5
            rows = LLD.process_signal(train.astype(np.float32), rate)
            chosen = [next(k for k, name in enumerate(rows.columns) if name.startswith(c)) for c in columns]
            said = np.round(reference_formants(train[40 * period : 42 * period], rate), 1)
            print(f"  impulses at {place} of {period}, {rate} Hz: {np.round(rows.values[40, chosen], 1)}, computed {said}")


def main():
    sections = [frames, smoothing, loudness, cepstrum, balance, pitch, gate, path, hnr, harmonics, period, slopes, segments, formants]
    wanted = sys.argv[1:] or [section.__name__ for section in sections]
    print(f"opensmile {opensmile.__version__}")
    for section in sections:
        if section.__name__ in wanted:
            print(f"{section.__name__}: {section.__doc__}")
            section()


if __name__ == "__main__":
    main()
