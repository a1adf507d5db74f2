"""Speed of the log-mel front end beside librosa and torchaudio: same clips, same run, one thread.

    cargo build --release -p vocalics-features --example front_end_speed
    python bench/frontend/logmel.py [--clips N] [--rounds N] [--binary PATH]

Each clip is synthetic, 3.5 s at 16 kHz; the features are the default front end's 64 bands without trimming and
level normalisation (which the other two have not), natural log included. Plans, windows and filters are made
before the clock starts, for torchaudio and for us; librosa has no way to keep its filterbank between calls other
than its own cache, so it is timed twice: as its users call it (`librosa.feature.melspectrogram`), and with the filterbank
made beforehand (`librosa.stft`, then one product). Rounds alternate between the tools, so that a busy machine
slows all of them. Prints the median time of a clip, the ratio to ours, and the largest difference between features.

Needs: numpy, librosa, torch, torchaudio.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from peer import RATE, SECONDS, Ours, arguments, clips, compare, timed  # noqa: E402

# torchaudio refuses to load beside a torch built for another CUDA release. Everything here runs on the
# CPU, in Python code of torchaudio that calls torch, so the releases need not match.
torch.version.cuda = None
import torchaudio  # noqa: E402

N_FFT, WIN, HOP, N_MELS, FMIN, FMAX, FLOOR = 1024, 640, 256, 64, 50.0, 8000.0, 1e-10


def with_librosa(y):
    power = librosa.feature.melspectrogram(
        y=y, sr=RATE, n_fft=N_FFT, win_length=WIN, hop_length=HOP, n_mels=N_MELS, fmin=FMIN, fmax=FMAX
    )
    return np.log(np.maximum(FLOOR, power))


FILTERS = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=FMIN, fmax=FMAX)


def with_librosa_kept_filters(y):
    spectrum = librosa.stft(y, n_fft=N_FFT, win_length=WIN, hop_length=HOP)
    power = FILTERS @ (spectrum.real**2 + spectrum.imag**2)
    return np.log(np.maximum(FLOOR, power))


def main():
    args = arguments(__doc__)
    torch.set_num_threads(1)
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=RATE, n_fft=N_FFT, win_length=WIN, hop_length=HOP, n_mels=N_MELS, f_min=FMIN,
        f_max=FMAX, pad_mode="constant", norm="slaney", mel_scale="slaney",
    )

    @torch.inference_mode()
    def with_torchaudio(y):
        return transform(y).clamp_min(FLOOR).log()

    signals = list(clips(args.clips))
    tensors = [torch.from_numpy(y) for y in signals]
    ours = Ours(args.binary, "logmel", signals)
    print(
        f"log-mel of {SECONDS} s at {RATE} Hz, one thread, median of {args.rounds} x {len(signals)} clips; "
        f"librosa {librosa.__version__}, torch {torch.__version__}, torchaudio {torchaudio.__version__}"
    )
    calls = {
        "vocalics": ours.seconds,
        "torchaudio": lambda: timed(with_torchaudio, tensors),
        "librosa": lambda: timed(with_librosa, signals),
        "librosa, filters kept": lambda: timed(with_librosa_kept_filters, signals),
    }
    references = {
        "vocalics": ours.first.reshape(-1, N_MELS).T,
        "torchaudio": with_torchaudio(tensors[0]).numpy(),
        "librosa": with_librosa(signals[0]),
        "librosa, filters kept": with_librosa_kept_filters(signals[0]),
    }
    compare(calls, args.rounds, references, ours)


if __name__ == "__main__":
    main()
