//! The set `prosody`.

use vocalics_dsp::harmonicity::harmonicity;
use vocalics_dsp::intensity::{IntensityTrack, intensity, window_secs as intensity_window_secs};
use vocalics_dsp::narrow;
use vocalics_dsp::pause::{MIN_PAUSE_SECS, Segment};
use vocalics_dsp::periods::periods;
use vocalics_dsp::perturbation::{jitter, shimmer};
use vocalics_dsp::pitch::{PitchConfig, PitchTrack, pitch};
use vocalics_dsp::voice_activity::VoiceActivityConfig;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::rhythm::{Timing, lies_in, timing};
use crate::set::{Descriptors, FeatureSet, check};
use crate::statistics::{Movement, deviation, mean, movements, quantile};

/// Pitch of 0 semitones, in hertz: A0, as in GeMAPS.
const REFERENCE_HZ: f64 = 27.5;
/// Lowest pitch for which the intensity has no ripple, in hertz.
const MINIMUM_PITCH_HZ: f64 = 75.0;
/// Intensities below this, in decibels re 20 µPa, are silence: −91 dB full scale.
const SILENCE_DB: f32 = 0.0;

/// Pitch turns where it goes back by this, in semitones. Set by hand.
const LEAST_PITCH_MOVEMENT: f32 = 1.0;
/// Intensity turns where it goes back by this, in decibels. Set by hand.
const LEAST_INTENSITY_MOVEMENT: f32 = 3.0;

const FUNCTIONALS: [&str; 27] = [
    "pitch_mean_semitones",
    "pitch_median_semitones",
    "pitch_std_semitones",
    "pitch_p20_semitones",
    "pitch_p80_semitones",
    "pitch_range_semitones",
    "pitch_rise_semitones_per_sec",
    "pitch_fall_semitones_per_sec",
    "pitch_final_movement_semitones",
    "voiced_ratio",
    "intensity_mean_db",
    "intensity_std_db",
    "intensity_p20_db",
    "intensity_p80_db",
    "intensity_range_db",
    "intensity_movement_db_per_sec",
    "syllable_count",
    "speech_rate_per_sec",
    "articulation_rate_per_sec",
    "pause_count",
    "pause_mean_secs",
    "pause_ratio",
    "speech_secs",
    "hnr_mean_db",
    "jitter_local",
    "shimmer_local_db",
    "clip_secs",
];

const DESCRIPTORS: [&str; 4] = ["f0_hz", "f0_semitones", "voicing", "intensity_db"];

/// What a listener would name: level, range and movement of pitch and intensity, rate, pauses, quality
/// of the voice. Pitch is in semitones above 27.5 Hz, intensity in decibels re 20 µPa for a
/// full-scale of 1 Pa (relative where the microphone is unknown), over the time of speech.
///
/// Range is from the 5th to the 95th percentile. Movement is between turning points at least 1 semitone or
/// 3 dB apart, over consonants but not over pauses: the sum of the rises by their time, and so for the falls;
/// for intensity, both together. The final movement is that of the last voiced stretch, from its middle to
/// its end. Intensity leaves out the edges of speech, into which its window
/// reaches. Without voice, pitch and quality are 0, as `voiced_ratio` is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prosody;

fn semitones(f0_hz: f32) -> f32 {
    narrow(12.0 * (f64::from(f0_hz) / REFERENCE_HZ).log2())
}

/// Voiced frames with their pitch in semitones, parted by pauses.
fn contours(track: &PitchTrack, step_secs: f64) -> Vec<Vec<(usize, f32)>> {
    let voiced: Vec<(usize, f32)> = track
        .f0_hz
        .iter()
        .enumerate()
        .filter(|(_, f0)| **f0 > 0.0)
        .map(|(frame, f0)| (frame, semitones(*f0)))
        .collect();
    voiced
        .chunk_by(|a, b| (b.0 - a.0) as f64 * step_secs <= MIN_PAUSE_SECS)
        .map(<[_]>::to_vec)
        .collect()
}

/// Pitch and intensity of a clip.
fn tracks(
    samples: &[f32],
    sample_rate: u32,
    config: &PitchConfig,
) -> Result<(PitchTrack, IntensityTrack), FeatureError> {
    check(samples, sample_rate)?;
    let step_secs = config.time_step_secs;
    Ok((
        pitch(samples, sample_rate, config)?,
        intensity(samples, sample_rate, MINIMUM_PITCH_HZ, step_secs)?,
    ))
}

/// Change of movements together by their time together, per second; 0 for none.
fn slope<'a>(movements: impl Iterator<Item = &'a Movement>, step_secs: f32) -> f32 {
    let (change, steps) = movements.fold((0.0, 0), |(change, steps), movement| {
        (change + movement.change, steps + movement.steps)
    });
    change / (steps.max(1) as f32 * step_secs)
}

/// Speech without its edges: the padding of voice activity and half a window of the intensity.
fn without_edges(speech: &[Segment]) -> Vec<Segment> {
    let edge_secs =
        VoiceActivityConfig::default().padding_secs + intensity_window_secs(MINIMUM_PITCH_HZ) / 2.0;
    speech
        .iter()
        .map(|part| Segment {
            start_secs: part.start_secs + edge_secs,
            end_secs: part.end_secs - edge_secs,
        })
        .filter(|part| part.start_secs < part.end_secs)
        .collect()
}

impl FeatureSet for Prosody {
    fn name(&self) -> &'static str {
        "prosody"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static str {
        "pitch, intensity, rate, pauses and voice quality, each with its unit"
    }

    fn functional_names(&self) -> Vec<String> {
        FUNCTIONALS.map(str::to_owned).to_vec()
    }

    fn descriptor_names(&self) -> Vec<String> {
        DESCRIPTORS.map(str::to_owned).to_vec()
    }

    fn functionals(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<f32>, FeatureError> {
        let config = PitchConfig::default();
        let (track, levels) = tracks(samples, sample_rate, &config)?;
        let step_secs = narrow(config.time_step_secs);
        let phrases = contours(&track, config.time_step_secs);
        let pitches: Vec<f32> = phrases.iter().flatten().map(|frame| frame.1).collect();
        let moves: Vec<Movement> = phrases
            .iter()
            .flat_map(|run| movements(run, LEAST_PITCH_MOVEMENT))
            .collect();
        let last = phrases
            .last()
            .and_then(|phrase| phrase.chunk_by(|a, b| b.0 == a.0 + 1).next_back())
            .map_or(0.0, |run| run[run.len() - 1].1 - run[run.len() / 2].1);
        // Without voice it would be that of noise.
        let hnr_db = if pitches.is_empty() {
            0.0
        } else {
            harmonicity(samples, sample_rate, config.floor_hz, config.time_step_secs)?
                .mean_db()
                .unwrap_or(0.0)
        };
        let marks = periods(samples, sample_rate, &track)?;

        let Timing {
            speech,
            nuclei,
            pauses,
            rate,
        } = timing(samples, sample_rate)?;
        let within = |parts: &[Segment]| -> Vec<Vec<(usize, f32)>> {
            let frames = levels.times_secs.iter().zip(&levels.intensity_db);
            let heard: Vec<(usize, f32)> = frames
                .enumerate()
                .filter(|(_, (secs, db))| **db > SILENCE_DB && lies_in(parts, **secs))
                .map(|(frame, (_, db))| (frame, *db))
                .collect();
            heard
                .chunk_by(|a, b| b.0 == a.0 + 1)
                .map(<[_]>::to_vec)
                .collect()
        };
        let mut spoken = within(&without_edges(&speech));
        if spoken.is_empty() {
            // Nothing but the shortest of words.
            spoken = within(&speech);
        }
        let heard: Vec<f32> = spoken.iter().flatten().map(|frame| frame.1).collect();
        let swells: Vec<Movement> = spoken
            .iter()
            .flat_map(|run| movements(run, LEAST_INTENSITY_MOVEMENT))
            .map(|movement| Movement {
                change: movement.change.abs(),
                ..movement
            })
            .collect();
        Ok(vec![
            mean(&pitches),
            quantile(&pitches, 0.5),
            deviation(&pitches),
            quantile(&pitches, 0.2),
            quantile(&pitches, 0.8),
            quantile(&pitches, 0.95) - quantile(&pitches, 0.05),
            slope(moves.iter().filter(|m| m.change > 0.0), step_secs),
            slope(moves.iter().filter(|m| m.change < 0.0), step_secs),
            last,
            pitches.len() as f32 / track.f0_hz.len().max(1) as f32,
            mean(&heard),
            deviation(&heard),
            quantile(&heard, 0.2),
            quantile(&heard, 0.8),
            quantile(&heard, 0.95) - quantile(&heard, 0.05),
            slope(swells.iter(), step_secs),
            nuclei.len() as f32,
            rate.speech_rate,
            rate.articulation_rate,
            pauses.count as f32,
            narrow(pauses.mean_secs),
            narrow(pauses.ratio),
            narrow(pauses.phonation_secs),
            hnr_db,
            jitter(&marks).map_or(0.0, |jitter| jitter.local),
            shimmer(&marks).map_or(0.0, |shimmer| shimmer.local_db),
            narrow(samples.len() as f64 / f64::from(sample_rate)),
        ])
    }

    fn descriptors(&self, samples: &[f32], sample_rate: u32) -> Result<Descriptors, FeatureError> {
        let config = PitchConfig::default();
        let (track, levels) = tracks(samples, sample_rate, &config)?;
        // Both tracks lie in the middle of the clip, with windows of different lengths.
        let level_at = |secs: f64| {
            let after = levels.times_secs.partition_point(|time| *time < secs);
            let nearest = [after.saturating_sub(1), after]
                .into_iter()
                .filter_map(|i| Some((levels.times_secs.get(i)?, levels.intensity_db.get(i)?)))
                .min_by(|a, b| (a.0 - secs).abs().total_cmp(&(b.0 - secs).abs()));
            nearest.map_or(0.0, |(_, db)| db.max(SILENCE_DB))
        };
        let rows = track
            .times_secs
            .iter()
            .zip(track.f0_hz.iter().zip(&track.strength))
            .flat_map(|(secs, (f0, strength))| {
                let pitch = if *f0 > 0.0 { semitones(*f0) } else { 0.0 };
                [*f0, pitch, *strength, level_at(*secs)]
            })
            .collect();
        Ok(Descriptors {
            matrix: FeatureMatrix::new(rows, DESCRIPTORS.len())?,
            times_secs: track.times_secs,
            step_secs: config.time_step_secs,
        })
    }
}
