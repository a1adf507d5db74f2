"""Speed of MFCC beside librosa: same clips, same run, one thread.

    cargo build --release -p vocalics-features --example front_end_speed
    python bench/frontend/mfcc.py [--clips N] [--rounds N] [--binary PATH]

Each clip is synthetic, 3.5 s at 16 kHz; 20 coefficients with librosa's defaults (transform of 2048, hop of 512, 128
bands, 80 dB range). Ours plans once; librosa is timed as its users call it (`librosa.feature.mfcc`) and with the
filterbank made beforehand. Rounds alternate between the tools. Prints the median time of a clip, the ratio to ours,
and the largest difference.

Needs: numpy, scipy, librosa.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import librosa  # noqa: E402
import scipy.fft  # noqa: E402
from peer import RATE, SECONDS, Ours, arguments, clips, compare, timed  # noqa: E402

N_MFCC = 20
FILTERS = librosa.filters.mel(sr=RATE, n_fft=2048)


def with_librosa(y):
    return librosa.feature.mfcc(y=y, sr=RATE)


def with_librosa_kept_filters(y):
    spectrum = librosa.stft(y)
    bands = librosa.power_to_db(FILTERS @ (spectrum.real**2 + spectrum.imag**2))
    return scipy.fft.dct(bands, axis=-2, type=2, norm="ortho")[:N_MFCC]


def main():
    args = arguments(__doc__)
    signals = list(clips(args.clips))
    ours = Ours(args.binary, "mfcc", signals)
    print(
        f"MFCC of {SECONDS} s at {RATE} Hz, one thread, median of {args.rounds} x {len(signals)} clips; "
        f"librosa {librosa.__version__}"
    )
    calls = {
        "vocalics": ours.seconds,
        "librosa": lambda: timed(with_librosa, signals),
        "librosa, filters kept": lambda: timed(with_librosa_kept_filters, signals),
    }
    references = {
        "vocalics": ours.first.reshape(-1, N_MFCC).T,
        "librosa": with_librosa(signals[0]),
        "librosa, filters kept": with_librosa_kept_filters(signals[0]),
    }
    compare(calls, args.rounds, references, ours)


if __name__ == "__main__":
    main()
