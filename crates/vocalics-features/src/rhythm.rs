//! The set `rhythm`.

use vocalics_dsp::narrow;
use vocalics_dsp::npvi::npvi;
use vocalics_dsp::onset::{OnsetConfig, onset_strength};
use vocalics_dsp::pause::{MIN_PAUSE_SECS, PauseStatistics, Segment, pause_statistics};
use vocalics_dsp::pitch::{PitchConfig, PitchTrack, pitch};
use vocalics_dsp::syllable::{SpeechRate, smooth_intensity, speech_rate, syllable_nuclei};
use vocalics_dsp::tempo::tempo;
use vocalics_dsp::voice_activity::{VoiceActivityConfig, voice_activity};

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::set::{Descriptors, FeatureSet, check, frame_times};
use crate::statistics::{deviation, mean};

const FUNCTIONALS: [&str; 25] = [
    "onset_strength_mean_db",
    "onset_strength_std_db",
    "tempo_bpm",
    "tempo_regularity",
    "syllable_count",
    "speech_rate_per_sec",
    "articulation_rate_per_sec",
    "syllable_mean_secs",
    "syllable_interval_std_secs",
    "npvi_syllable",
    "speech_secs",
    "pause_count",
    "pause_total_secs",
    "pause_mean_secs",
    "pause_longest_secs",
    "pause_ratio",
    "voiced_ratio",
    "voiced_segments_per_sec",
    "voiced_segment_mean_secs",
    "voiced_segment_std_secs",
    "unvoiced_segment_mean_secs",
    "unvoiced_segment_std_secs",
    "npvi_voiced",
    "npvi_unvoiced",
    "clip_secs",
];

const DESCRIPTORS: [&str; 3] = ["onset_strength_db", "intensity_db", "speech"];

/// Speech, pauses and syllables of a clip.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    pub(crate) speech: Vec<Segment>,
    pub(crate) nuclei: Vec<f64>,
    pub(crate) pauses: PauseStatistics,
    pub(crate) rate: SpeechRate,
}

/// Finds speech and syllables; the rates are over the time from the first to the last speech.
pub(crate) fn timing(samples: &[f32], sample_rate: u32) -> Result<Timing, FeatureError> {
    let speech = voice_activity(samples, sample_rate, &VoiceActivityConfig::default())?;
    let pauses = pause_statistics(&speech, MIN_PAUSE_SECS);
    let mut nuclei = syllable_nuclei(samples, sample_rate)?;
    nuclei.retain(|secs| lies_in(&speech, *secs));
    let span = pauses.phonation_secs + pauses.total_secs;
    Ok(Timing {
        rate: speech_rate(nuclei.len(), span, pauses.phonation_secs),
        nuclei,
        pauses,
        speech,
    })
}

/// Whether an instant lies in one of the segments.
pub(crate) fn lies_in(segments: &[Segment], secs: f64) -> bool {
    segments
        .iter()
        .any(|part| (part.start_secs..part.end_secs).contains(&secs))
}

/// Durations in seconds of the voiced stretches and of the gaps between them; what is before and after
/// counts neither as speech nor as pause.
fn durations(track: &PitchTrack) -> (Vec<f64>, Vec<f64>) {
    let voiced = track.voiced_segments();
    let gaps = voiced
        .windows(2)
        .map(|pair| pair[1].start_secs - pair[0].end_secs);
    (
        voiced.iter().map(Segment::duration_secs).collect(),
        gaps.collect(),
    )
}

/// How speech unfolds in time: onsets, tempo, syllables, pauses, voiced and unvoiced stretches, and
/// the variability of their durations (nPVI).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm;

impl FeatureSet for Rhythm {
    fn name(&self) -> &'static str {
        "rhythm"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static str {
        "onsets, tempo, syllable and articulation rate, pauses, voiced stretches, nPVI"
    }

    fn functional_names(&self) -> Vec<String> {
        FUNCTIONALS.map(str::to_owned).to_vec()
    }

    fn descriptor_names(&self) -> Vec<String> {
        DESCRIPTORS.map(str::to_owned).to_vec()
    }

    fn functionals(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<f32>, FeatureError> {
        check(samples, sample_rate)?;
        let config = OnsetConfig::speech(sample_rate);
        let strength = onset_strength(samples, &config)?;
        let frame_rate = sample_rate as f32 / config.hop_length as f32;
        let tempo = tempo(&strength, frame_rate)?;
        let Timing {
            nuclei,
            pauses,
            rate,
            ..
        } = timing(samples, sample_rate)?;
        let intervals: Vec<f64> = nuclei.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let track = pitch(samples, sample_rate, &PitchConfig::default())?;
        let (voiced, unvoiced) = durations(&track);
        let voiced_frames = track.f0_hz.iter().filter(|f0| **f0 > 0.0).count();
        let single = |values: &[f64]| values.iter().map(|x| narrow(*x)).collect::<Vec<f32>>();
        let (with, without) = (single(&voiced), single(&unvoiced));
        let clip_secs = samples.len() as f64 / f64::from(sample_rate);
        Ok(vec![
            mean(&strength),
            deviation(&strength),
            tempo.bpm,
            tempo.regularity,
            nuclei.len() as f32,
            rate.speech_rate,
            rate.articulation_rate,
            rate.mean_syllable_secs,
            deviation(&single(&intervals)),
            narrow(npvi(&intervals)),
            narrow(pauses.phonation_secs),
            pauses.count as f32,
            narrow(pauses.total_secs),
            narrow(pauses.mean_secs),
            narrow(pauses.longest_secs),
            narrow(pauses.ratio),
            voiced_frames as f32 / track.f0_hz.len().max(1) as f32,
            narrow(voiced.len() as f64 / clip_secs),
            mean(&with),
            deviation(&with),
            mean(&without),
            deviation(&without),
            narrow(npvi(&voiced)),
            narrow(npvi(&unvoiced)),
            narrow(clip_secs),
        ])
    }

    fn descriptors(&self, samples: &[f32], sample_rate: u32) -> Result<Descriptors, FeatureError> {
        check(samples, sample_rate)?;
        let config = OnsetConfig::speech(sample_rate);
        let strength = onset_strength(samples, &config)?;
        let intensity = smooth_intensity(samples, sample_rate)?.values_db;
        let speech = voice_activity(samples, sample_rate, &VoiceActivityConfig::default())?;
        let n_frames = strength.len().min(intensity.len());
        let times_secs = frame_times(n_frames, config.hop_length, sample_rate);
        let rows = times_secs
            .iter()
            .zip(strength.iter().zip(&intensity))
            .flat_map(|(secs, (onset, level))| {
                [
                    *onset,
                    *level,
                    if lies_in(&speech, *secs) { 1.0 } else { 0.0 },
                ]
            })
            .collect();
        Ok(Descriptors {
            times_secs,
            step_secs: config.hop_length as f64 / f64::from(sample_rate),
            matrix: FeatureMatrix::new(rows, DESCRIPTORS.len())?,
        })
    }
}
