//! Level, clipping, silence, and how good a recording is, told from its samples alone.
//!
//! None of these functions knows an absolute gate: speech recorded at −50 dBFS is speech. Frames that
//! hold a sample that is not finite are left out; call [`check_samples`](crate::check_samples) to
//! refuse such input.

use crate::frame::Padding;
use crate::narrow;
use crate::stft::{Stft, StftConfig};
use crate::trim::energy;

/// Lowest level reported, in dBFS: below the noise of any converter.
pub const MIN_LEVEL_DB: f32 = -120.0;

/// Distance from the middle up to which a clip counts as [silent](is_silent): four steps of a 16-bit converter.
pub const SILENCE_PEAK: f32 = 4.0 / 32_768.0;

/// Magnitude from which a sample counts as at full scale.
///
/// One step below 1 in 8 bits would be 0.992; 16-bit material clips at 32767/32768.
pub const FULL_SCALE: f32 = 0.999;

/// Largest signal-to-noise ratio reported, in decibels.
pub const MAX_SNR_DB: f32 = 100.0;

/// Root mean square; 0 for no samples, NaN if a sample is NaN. Full scale is 1.
#[must_use]
pub fn rms(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    narrow((energy(samples) / samples.len() as f64).sqrt())
}

/// RMS level in dBFS, `20 · log10(rms)`, not below [`MIN_LEVEL_DB`].
///
/// A full-scale sine has −3.01 dB; silence and empty input have [`MIN_LEVEL_DB`].
#[must_use]
pub fn rms_db(samples: &[f32]) -> f32 {
    amplitude_db(rms(samples))
}

/// Largest magnitude; 0 for no samples. NaN is passed over.
#[must_use]
pub fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()))
}

/// Peak level in dBFS, not below [`MIN_LEVEL_DB`].
#[must_use]
pub fn peak_db(samples: &[f32]) -> f32 {
    amplitude_db(peak(samples))
}

fn amplitude_db(amplitude: f32) -> f32 {
    (20.0 * amplitude.log10()).max(MIN_LEVEL_DB)
}

/// Whether no sample lies farther than [`SILENCE_PEAK`] from the middle of the clip's range; also true of empty input.
///
/// The limit is that of a converter's idle noise, not of quiet speech. Its offset makes no sound.
#[must_use]
pub fn is_silent(samples: &[f32]) -> bool {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &x in samples {
        (low, high) = (low.min(x), high.max(x));
    }
    high - low <= 2.0 * SILENCE_PEAK
}

/// Share of samples, 0 to 1, that lie in runs of at least three at [`FULL_SCALE`] with one sign.
///
/// Single peaks that touch full scale are not clipping. Measure before resampling, which rounds
/// the flat tops.
#[must_use]
pub fn clipped_ratio(samples: &[f32]) -> f32 {
    let mut clipped = 0_usize;
    let mut run = 0_usize;
    let mut sign = 0.0_f32;
    for x in samples {
        if x.abs() < FULL_SCALE || x.is_nan() {
            run = 0;
            continue;
        }
        run = if run > 0 && x.signum() * sign > 0.0 {
            run + 1
        } else {
            1
        };
        sign = x.signum();
        clipped += match run {
            0..3 => 0,
            3 => 3,
            _ => 1,
        };
    }
    if samples.is_empty() {
        0.0
    } else {
        clipped as f32 / samples.len() as f32
    }
}

/// Share of the clip, 0 to 1, in which somebody seems to speak: a voice activity measure by energy,
/// adaptive to the clip's own level.
///
/// Frames of 20 ms every 10 ms, the mean of what is no digital silence taken off. Leading and trailing digital silence is set
/// aside; over the rest the 10th percentile of frame power is the noise floor, the 95th the loud
/// level. A frame is active if it lies more than 6 dB above the floor and less than 40 dB below the
/// loud level; active stretches under 30 ms are dropped, then pauses under 100 ms filled. The share
/// is of all frames.
///
/// Sound whose level does not vary by 6 dB between those percentiles (steady noise, hum, a held tone)
/// holds no speech by this measure. Silence and clips under 100 ms give 0.
#[must_use]
pub fn speech_ratio(samples: &[f32], sample_rate: u32) -> f32 {
    Activity::of(samples, sample_rate).map_or(0.0, |activity| {
        let active = activity.active.iter().filter(|active| **active).count();
        active as f32 / activity.n_frames as f32
    })
}

/// Signal-to-noise ratio in decibels, estimated from pauses; −20 to [`MAX_SNR_DB`].
///
/// `10 · log10((S − N) / N)`: `S` is the mean power of the active frames of [`speech_ratio`], `N` the
/// mean power of the frames within 3 dB of the noise floor. Pauses of digital zero give
/// [`MAX_SNR_DB`]. In a clip without a pause soft speech passes for noise, and the estimate is too low.
///
/// `None` where there is nothing to estimate from: silence, steady sound, clips under 100 ms.
#[must_use]
pub fn snr_db(samples: &[f32], sample_rate: u32) -> Option<f32> {
    let activity = Activity::of(samples, sample_rate)?;
    let speech = mean(
        activity
            .power
            .iter()
            .zip(&activity.active)
            .filter(|(_, active)| **active)
            .map(|(p, _)| *p),
    )?;
    if activity.floor < DIGITAL_ZERO {
        return Some(MAX_SNR_DB);
    }
    let near = activity.floor * 10.0_f64.powf(0.3);
    let noise = mean(
        activity
            .power
            .iter()
            .copied()
            .filter(|p| (DIGITAL_ZERO..=near).contains(p)),
    )?;
    let ratio = ((speech - noise) / noise).max(1e-2);
    Some(narrow(10.0 * ratio.log10()).min(MAX_SNR_DB))
}

/// Frame power that counts as digital zero (−130 dBFS): a single 16-bit step among the 320 samples
/// of a frame at 16 kHz lies 15 dB above.
const DIGITAL_ZERO: f64 = 1e-13;
/// Fewest frames to estimate from: those of 100 ms.
const MIN_FRAMES: usize = 9;

/// Frame powers of a clip without its outer digital silence, and which of them are active.
struct Activity {
    power: Vec<f64>,
    active: Vec<bool>,
    floor: f64,
    /// Frames of the whole clip.
    n_frames: usize,
}

impl Activity {
    /// `None` if the clip is too short, silent, or steady.
    fn of(samples: &[f32], sample_rate: u32) -> Option<Self> {
        let hop = usize::try_from(sample_rate / 100).ok()?.max(1);
        let finite = |x: f32| if x.is_finite() { f64::from(x) } else { 0.0 };
        // Digital silence has no offset, and its samples say nothing of the rest's.
        let zero: Vec<bool> = samples
            .chunks(hop)
            .map(|half| in_lanes(half, |x| f64::from(x).powi(2)) < DIGITAL_ZERO * hop as f64)
            .collect();
        let (mut sum, mut count) = (0.0, 0.0);
        for (half, _) in samples.chunks(hop).zip(&zero).filter(|(_, zero)| !**zero) {
            sum += in_lanes(half, finite);
            count += in_lanes(half, |x| f64::from(u8::from(x.is_finite())));
        }
        let offset = sum / count;
        let halves: Vec<f64> = samples
            .chunks_exact(hop)
            .zip(&zero)
            .map(|(half, zero)| match zero {
                true => 0.0,
                false => in_lanes(half, |x| (f64::from(x) - offset).powi(2)),
            })
            .collect();
        let power: Vec<f64> = halves
            .windows(2)
            .map(|pair| (pair[0] + pair[1]) / (2 * hop) as f64)
            .filter(|power| power.is_finite())
            .collect();
        let n_frames = power.len();
        let first = power.iter().position(|p| *p >= DIGITAL_ZERO)?;
        let last = power.iter().rposition(|p| *p >= DIGITAL_ZERO)?;
        let power = power[first..=last].to_vec();
        if power.len() < MIN_FRAMES {
            return None;
        }
        let mut sorted = power.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let floor = sorted[(sorted.len() - 1) / 10];
        let loud = sorted[(sorted.len() - 1) * 19 / 20];
        let above_floor = floor * 10.0_f64.powf(0.6);
        if loud < above_floor {
            return None;
        }
        let threshold = above_floor.max(loud * 1e-4);
        let mut active: Vec<bool> = power.iter().map(|p| *p > threshold).collect();
        absorb_short_runs(&mut active, true, 3);
        absorb_short_runs(&mut active, false, 10);
        Some(Self {
            power,
            active,
            floor,
            n_frames,
        })
    }
}

/// Sum of `term` over the samples, in eight partial sums so that it vectorises.
fn in_lanes(samples: &[f32], term: impl Fn(f32) -> f64) -> f64 {
    let (blocks, rest) = samples.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane += term(x);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&x| term(x)).sum::<f64>()
}

/// Flips inner runs of `value` shorter than `shortest`, and outer ones if `value` is `true`.
fn absorb_short_runs(flags: &mut [bool], value: bool, shortest: usize) {
    let mut start = 0;
    while start < flags.len() {
        let run = flags[start..]
            .iter()
            .take_while(|flag| **flag == flags[start])
            .count();
        let inner = start > 0 && start + run < flags.len();
        if flags[start] == value && run < shortest && (inner || value) {
            flags[start..start + run].fill(!value);
        }
        start += run;
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u64);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

/// Effective bandwidth in hertz: the frequency above which nothing comes within 50 dB of the strongest
/// part of the spectrum.
///
/// Over Hann frames of about 32 ms the power in bands of about 125 Hz is averaged as
/// `√(mean(p²))`, which lets loud frames count, fricatives at the top of the band among them. The result
/// is the upper edge of the highest band that is less than 50 dB below the strongest one. Telephone
/// speech brought to 16 kHz gives about 3.5 to 4 kHz; steady noise counts as content. Silence and
/// empty input give 0; the result never exceeds half the sample rate.
#[must_use]
pub fn bandwidth_hz(samples: &[f32], sample_rate: u32) -> f32 {
    let wanted = usize::try_from(sample_rate / 32)
        .unwrap_or(usize::MAX)
        .clamp(16, 1 << 14);
    let n_fft = wanted.next_power_of_two();
    let config = StftConfig {
        n_fft,
        win_length: n_fft,
        hop_length: n_fft / 2,
        center: samples.len() < n_fft,
        padding: Padding::Zero,
    };
    let Ok(mut stft) = Stft::new(&config) else {
        return 0.0;
    };
    let bin_hz = sample_rate as f32 / n_fft as f32;
    let per_band = 4;
    let mut power = vec![0.0; stft.n_bins()];
    let mut bands = vec![0.0_f64; stft.n_bins().div_ceil(per_band)];
    for index in 0..stft.n_frames(samples.len()) {
        stft.power_frame(samples, index, &mut power);
        // The lowest band holds offset and rumble; it can be no measure of what is strong.
        for (band, bins) in bands.iter_mut().zip(power.chunks(per_band)).skip(1) {
            let sum: f64 = bins.iter().map(|p| f64::from(*p)).sum();
            if sum.is_finite() {
                *band += sum * sum;
            }
        }
    }
    let strongest = bands.iter().copied().fold(0.0, f64::max);
    // The bands hold squared powers: 50 dB is a factor of 1e5 in power, 1e10 in its square.
    bands
        .iter()
        .rposition(|band| *band > 0.0 && *band >= strongest * 1e-10)
        .map_or(0.0, |band| ((band + 1) * per_band) as f32 * bin_hz)
        .min(sample_rate as f32 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 16_000;

    /// White noise of unit variance, uniformly distributed.
    fn noise(n: usize) -> Vec<f32> {
        let noise = crate::test_signal::noise(n, 12_345);
        noise.iter().map(|x| 3.0_f32.sqrt() * x).collect()
    }

    fn tone(n: usize, hz: f32) -> Vec<f32> {
        (0..n)
            .map(|i| (i as f32 * hz / 16_000.0 * std::f32::consts::TAU).sin())
            .collect()
    }

    /// Half a second of tone, half a second of pause, four times, over noise.
    fn bursts(tone_rms: f32, noise_rms: f32) -> Vec<f32> {
        let n = 64_000;
        tone(n, 300.0)
            .iter()
            .zip(noise(n))
            .enumerate()
            .map(|(i, (tone, noise))| {
                let on = (i / 8_000) % 2 == 1;
                noise_rms * noise
                    + if on {
                        tone_rms * 2.0_f32.sqrt() * tone
                    } else {
                        0.0
                    }
            })
            .collect()
    }

    #[test]
    fn levels_of_known_signals() {
        assert!((rms_db(&tone(16_000, 1000.0)) + 3.0103).abs() < 0.01);
        assert!((rms(&[0.5; 37]) - 0.5).abs() < 1e-6);
        assert!((rms_db(&noise(160_000))).abs() < 0.05);
        assert!((peak_db(&[0.1, -0.5, 0.2]) + 6.0206).abs() < 1e-3);
        assert!((peak(&[0.1, f32::NAN, -0.5]) - 0.5).abs() < 1e-6);
        assert!(rms(&[0.0, f32::NAN]).is_nan());
        for nothing in [&[][..], &[0.0; 100]] {
            assert!((rms_db(nothing) - MIN_LEVEL_DB).abs() < 1e-6);
            assert!((peak_db(nothing) - MIN_LEVEL_DB).abs() < 1e-6);
            assert!(rms(nothing) < f32::MIN_POSITIVE);
        }
    }

    #[test]
    fn silence_is_a_converters_idle_noise_not_quiet_speech() {
        assert!(is_silent(&[]));
        assert!(is_silent(&[0.0; 10]));
        assert!(is_silent(&[1.0 / 32_768.0, -2.0 / 32_768.0]));
        assert!(!is_silent(&[0.0, 149.0 / 32_768.0]));
        // With an offset it was given an emotion.
        assert!(is_silent(&[0.5; 10]));
        assert!(is_silent(&[
            0.01,
            0.01 + 1.0 / 32_768.0,
            0.01 - 2.0 / 32_768.0
        ]));
        assert!(!is_silent(&[0.5, 0.5 + 149.0 / 32_768.0]));
    }

    #[test]
    fn clipping_is_runs_of_three() {
        assert!(clipped_ratio(&[]) < 1e-9);
        assert!(clipped_ratio(&[1.0, 0.0, 1.0, 1.0, 0.5]) < 1e-9);
        assert!((clipped_ratio(&[1.0, 1.0, 1.0, 1.0, 0.5]) - 0.8).abs() < 1e-6);
        assert!((clipped_ratio(&[-1.0, -1.0, -1.0, 0.0]) - 0.75).abs() < 1e-6);
        assert!(clipped_ratio(&[1.0, 1.0, -1.0, -1.0, f32::NAN, -1.0]) < 1e-9);
        let loud: Vec<f32> = tone(16_000, 100.0)
            .iter()
            .map(|x| (2.0 * x).clamp(-1.0, 1.0))
            .collect();
        // |2 sin| exceeds 1 for two thirds of the time.
        assert!((clipped_ratio(&loud) - 2.0 / 3.0).abs() < 0.02);
    }

    #[test]
    fn snr_of_bursts_over_noise_is_found() {
        for (level, snr) in [
            (0.1, 40.0),
            (0.1, 30.0),
            (0.1, 20.0),
            (0.1, 10.0),
            (0.001, 30.0),
        ] {
            let clip = bursts(level, level * 10.0_f32.powf(-snr / 20.0));
            let found = snr_db(&clip, RATE).unwrap();
            assert!((found - snr).abs() < 1.0, "{snr} dB at {level}: {found}");
            let ratio = speech_ratio(&clip, RATE);
            assert!((ratio - 0.5).abs() < 0.03, "{snr} dB at {level}: {ratio}");
        }
        let clean = bursts(0.1, 0.0);
        assert!((snr_db(&clean, RATE).unwrap() - MAX_SNR_DB).abs() < 1e-6);
        // The leading pause of half a second is outer digital silence, yet counts as pause.
        assert!((speech_ratio(&clean, RATE) - 0.5).abs() < 0.03);
    }

    #[test]
    fn an_offset_does_not_hide_speech() {
        let clip: Vec<f32> = bursts(0.01, 0.0001).iter().map(|x| x + 0.3).collect();
        assert!((snr_db(&clip, RATE).unwrap() - 40.0).abs() < 1.0);
        assert!((speech_ratio(&clip, RATE) - 0.5).abs() < 0.03);
    }

    /// The mean of the rest was taken off the zeros too, which made them a noise floor far below the noise.
    #[test]
    fn zeros_around_a_clip_are_neither_noise_nor_speech() {
        for offset in [0.0, 1e-4, 0.3] {
            let clip: Vec<f32> = bursts(0.01, 0.001).iter().map(|x| x + offset).collect();
            let zeros = vec![0.0; 16_000];
            let around = [&zeros[..], &clip, &zeros].concat();
            let snr = snr_db(&around, RATE).unwrap();
            assert!((snr - 20.0).abs() < 1.0, "{offset}: {snr}");
            let ratio = speech_ratio(&around, RATE);
            assert!((ratio - 0.5 * 2.0 / 3.0).abs() < 0.03, "{offset}: {ratio}");
        }
    }

    #[test]
    fn steady_sound_holds_no_speech() {
        for clip in [
            vec![],
            vec![0.0; 32_000],
            vec![0.3; 32_000],
            tone(32_000, 500.0),
            noise(32_000),
        ] {
            assert_eq!(snr_db(&clip, RATE), None);
            assert!(speech_ratio(&clip, RATE) < 1e-9);
        }
        assert_eq!(snr_db(&bursts(0.1, 0.01)[7_000..8_400], RATE), None);
    }

    #[test]
    fn bandwidth_of_known_signals() {
        // A comb of sines every 50 Hz up to the edge.
        for edge in [1000.0, 3400.0, 5500.0, 7000.0] {
            let mut clip = vec![0.0; 16_000];
            let mut hz = 100.0;
            while hz <= edge {
                for (y, x) in clip.iter_mut().zip(tone(16_000, hz)) {
                    *y += 0.01 * x;
                }
                hz += 50.0;
            }
            let found = bandwidth_hz(&clip, RATE);
            assert!(found >= edge && found < edge + 300.0, "{edge}: {found}");
        }
        assert!((bandwidth_hz(&noise(16_000), RATE) - 8000.0).abs() < 1.0);
        assert!((bandwidth_hz(&noise(8_000), 8_000) - 4000.0).abs() < 1.0);
        assert!(bandwidth_hz(&[], RATE) < 1e-9);
        assert!(bandwidth_hz(&[0.0; 9000], RATE) < 1e-9);
        assert!((bandwidth_hz(&[1.0], RATE) - 8000.0).abs() < 1.0);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn measures_stay_in_range_on_any_input(
            samples in proptest::collection::vec(proptest::num::f32::ANY, 0..3000),
            rate in 0_u32..200_000,
        ) {
            let ratio = speech_ratio(&samples, rate);
            proptest::prop_assert!((0.0..=1.0).contains(&ratio));
            let clipped = clipped_ratio(&samples);
            proptest::prop_assert!((0.0..=1.0).contains(&clipped));
            let width = bandwidth_hz(&samples, rate);
            proptest::prop_assert!((0.0..=rate as f32 / 2.0).contains(&width));
            if let Some(snr) = snr_db(&samples, rate) {
                proptest::prop_assert!((-20.1..=MAX_SNR_DB).contains(&snr));
            }
        }
    }
}
