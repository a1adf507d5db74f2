//! A recording over time: waveform, spectrogram with formants, pitch and intensity, stretches.

use super::axes::{Panel, ticks};
use super::figure::{Anchor, Figure, MARGIN, Stroke, Type};
use super::palette::{BLUE, GRID, MUTED, Rgb, SKY, TEXT, VERMILLION, WHITE, cividis};
use crate::EvalError;

const WIDTH: f64 = 860.0;
const LEFT: f64 = MARGIN + 56.0;
/// Room at the right for the second axis.
const RIGHT: f64 = MARGIN + 44.0;
const WAVE_HEIGHT: f64 = 90.0;
const SPECTRUM_HEIGHT: f64 = 220.0;
const PITCH_HEIGHT: f64 = 150.0;
const LANE_HEIGHT: f64 = 16.0;
const GAP: f64 = 16.0;
/// Range of the spectrogram's colours in decibels.
const RANGE_DB: f32 = 50.0;
/// The brightest colour stands for at least this level, so that silence is dark.
const LEAST_TOP_DB: f32 = -50.0;
/// The amplitude axis reaches at least this far.
const LEAST_PEAK: f64 = 0.01;
/// Intensities below this are silence: −94 dB re a full scale of 1 Pa.
const SILENCE_DB: f64 = 0.0;
/// Range of the intensity axis in decibels below the loudest.
const INTENSITY_RANGE_DB: f64 = 50.0;
const PAUSE: Rgb = Rgb(204, 121, 167);

/// Decibels re a sine of full scale over time and frequency.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    /// Values of a column, from 0 Hz to `top_hz`.
    pub n_rows: usize,
    /// Frequency of the last row in hertz.
    pub top_hz: f64,
    /// Column by column over the whole recording, `[n_columns, n_rows]`.
    pub values_db: Vec<f32>,
}

/// What is drawn of a recording. Times are in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// Name of the recording.
    pub title: String,
    /// Length of the recording.
    pub duration_secs: f64,
    /// Rate of the samples in hertz.
    pub sample_rate: u32,
    /// The samples.
    pub samples: Vec<f32>,
    /// Spectrogram of the whole recording.
    pub spectrogram: Spectrogram,
    /// Time and f0 in hertz; 0 where unvoiced.
    pub pitch: Vec<(f64, f64)>,
    /// Time and intensity in decibels.
    pub intensity: Vec<(f64, f64)>,
    /// Time and frequency in hertz.
    pub formants: Vec<(f64, f64)>,
    /// Begin and end of voiced stretches.
    pub voiced: Vec<(f64, f64)>,
    /// Begin and end of stretches of speech.
    pub speech: Vec<(f64, f64)>,
    /// Begin and end of pauses.
    pub pauses: Vec<(f64, f64)>,
}

/// Draws waveform, spectrogram with formants (dots), pitch (blue) with intensity (vermillion, right axis),
/// and lanes of voiced stretches, speech and pauses over one time axis.
///
/// # Errors
/// A recording without length.
pub fn speech(recording: &Speech) -> Result<Figure, EvalError> {
    let duration = recording.duration_secs;
    if !(duration.is_finite() && duration > 0.0) || recording.samples.is_empty() {
        return Err(EvalError::Plot {
            figure: "speech",
            reason: "the recording has no length".to_owned(),
        });
    }
    let body = WAVE_HEIGHT + SPECTRUM_HEIGHT + PITCH_HEIGHT + 3.0 * LANE_HEIGHT + 5.0 * GAP + 14.0;
    let (mut figure, top) = Figure::titled(
        WIDTH,
        body,
        &recording.title,
        &format!(
            "{duration:.2} s, {} Hz; voiced {:.2} s, pauses {:.2} s",
            recording.sample_rate,
            total(&recording.voiced),
            total(&recording.pauses)
        ),
        "Spectrogram of 8 ms windows, raised by 6 dB an octave, 50 dB from dark to bright; white dots: formants of \
         voiced frames. f0 by autocorrelation; intensity in dB re 20 µPa for a full scale of 1 Pa. Pauses: at least \
         0.3 s between stretches of speech.",
    );
    let panel = |top: f64, height: f64, y: (f64, f64)| Panel {
        left: LEFT,
        top,
        width: figure.width - LEFT - RIGHT,
        height,
        x: (0.0, duration),
        y,
    };
    let seconds = ticks(0.0, duration, 8.0);

    let peak = recording
        .samples
        .iter()
        .fold(0.0_f32, |max, x| max.max(x.abs()));
    let peak = f64::from(peak).max(LEAST_PEAK);
    let wave = panel(top, WAVE_HEIGHT, (-peak, peak));
    let spectrum_top = wave.bottom() + GAP;
    let spectrum = panel(
        spectrum_top,
        SPECTRUM_HEIGHT,
        (0.0, recording.spectrogram.top_hz),
    );
    let f0_top = recording
        .pitch
        .iter()
        .map(|point| point.1)
        .fold(0.0, f64::max);
    let f0_top = if f0_top > 0.0 {
        (f0_top * 1.15 / 50.0).ceil() * 50.0
    } else {
        500.0
    };
    let contours = panel(spectrum.bottom() + GAP, PITCH_HEIGHT, (0.0, f0_top));
    let lanes_top = contours.bottom() + GAP;

    frame(&mut figure, &wave, "amplitude", &[-peak, 0.0, peak]);
    waveform(&mut figure, &wave, recording);
    colours(&mut figure, &spectrum, &recording.spectrogram);
    frame(&mut figure, &spectrum, "Hz", &[]);
    for tick in ticks(0.0, recording.spectrogram.top_hz, 5.0) {
        label_left(&mut figure, &spectrum, tick);
    }
    for (secs, hz) in &recording.formants {
        if *hz <= recording.spectrogram.top_hz {
            let (x, y) = (spectrum.x(*secs), spectrum.y(*hz));
            figure.circle(x, y, 1.7, TEXT);
            figure.circle(x, y, 1.2, WHITE);
        }
    }
    frame(&mut figure, &contours, "f0, Hz", &ticks(0.0, f0_top, 5.0));
    let loudest = recording
        .intensity
        .iter()
        .map(|point| point.1)
        .fold(f64::MIN, f64::max);
    if loudest > SILENCE_DB {
        let top_db = (loudest / 10.0).ceil() * 10.0;
        let levels = Panel {
            y: (top_db - INTENSITY_RANGE_DB, top_db),
            ..contours
        };
        intensity(&mut figure, &levels, &recording.intensity);
    }
    pitch(&mut figure, &contours, &recording.pitch);
    let mut lane_top = lanes_top;
    for (name, spans, colour) in [
        ("voiced", &recording.voiced, BLUE),
        ("speech", &recording.speech, SKY),
        ("pause", &recording.pauses, PAUSE),
    ] {
        let lane = panel_lane(&contours, lane_top);
        figure.rect(
            lane.left,
            lane.top,
            lane.width,
            lane.height,
            Rgb(246, 246, 246),
        );
        for (start, end) in spans {
            let (from, to) = (lane.x(start.max(0.0)), lane.x(end.min(duration)));
            figure.rect(from, lane.top, (to - from).max(0.5), lane.height, colour);
        }
        let middle = lane.top + lane.height / 2.0;
        figure.text_centred(LEFT - 6.0, middle, name, Type::new(11.0, Anchor::End));
        lane_top += LANE_HEIGHT + 4.0;
    }
    time_axis(
        &mut figure,
        &panel_lane(&contours, lane_top - LANE_HEIGHT),
        &seconds,
    );
    Ok(figure)
}

fn total(spans: &[(f64, f64)]) -> f64 {
    spans
        .iter()
        .fold(0.0, |sum, (start, end)| sum + (end - start))
}

fn panel_lane(like: &Panel, top: f64) -> Panel {
    Panel {
        top,
        height: LANE_HEIGHT,
        ..*like
    }
}

/// Axis lines, grid and name of a panel without a time axis of its own.
fn frame(figure: &mut Figure, panel: &Panel, name: &str, marks: &[f64]) {
    let right = panel.left + panel.width;
    for &mark in marks {
        let y = panel.y(mark);
        figure.segment((panel.left, y), (right, y), Stroke::new(GRID, 1.0));
        label_left(figure, panel, mark);
    }
    let outline = vec![
        (panel.left, panel.top),
        (right, panel.top),
        (right, panel.bottom()),
        (panel.left, panel.bottom()),
        (panel.left, panel.top),
    ];
    figure.line(outline, Stroke::new(MUTED, 0.8));
    let style = Type::new(12.0, Anchor::Middle).angle(-90.0);
    figure.text(
        panel.left - 46.0,
        panel.top + panel.height / 2.0,
        name,
        style,
    );
}

fn label_left(figure: &mut Figure, panel: &Panel, value: f64) {
    let text = if value.abs() >= 10.0 || value.abs() < 1e-12 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    };
    let style = Type::new(11.0, Anchor::End);
    figure.text_centred(panel.left - 6.0, panel.y(value), text, style);
}

fn time_axis(figure: &mut Figure, panel: &Panel, seconds: &[f64]) {
    let bottom = panel.bottom();
    figure.segment(
        (panel.left, bottom),
        (panel.left + panel.width, bottom),
        Stroke::new(TEXT, 1.0),
    );
    for &tick in seconds {
        let x = panel.x(tick);
        figure.segment((x, bottom), (x, bottom + 4.0), Stroke::new(TEXT, 1.0));
        let text = format!("{tick:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        figure.text(x, bottom + 17.0, text, Type::new(11.0, Anchor::Middle));
    }
    let style = Type::new(12.0, Anchor::Middle);
    figure.text(
        panel.left + panel.width / 2.0,
        bottom + 34.0,
        "time, s",
        style,
    );
}

/// One vertical stroke per half unit, from the lowest to the highest sample in it.
fn waveform(figure: &mut Figure, panel: &Panel, recording: &Speech) {
    let wanted = panel.width * 2.0;
    let mut points = Vec::new();
    let n = recording.samples.len();
    let mut column = 0.0;
    while column < wanted {
        let from = index(column / wanted * n as f64).min(n - 1);
        let to = index((column + 1.0) / wanted * n as f64).clamp(from + 1, n);
        let (low, high) = recording.samples[from..to]
            .iter()
            .fold((f32::MAX, f32::MIN), |(low, high), x| {
                (low.min(*x), high.max(*x))
            });
        let x = panel.left + column / 2.0;
        points.push((x, panel.y(f64::from(high))));
        points.push((x, panel.y(f64::from(low))));
        column += 1.0;
    }
    figure.line(points, Stroke::new(BLUE, 0.6));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and callers bound the index"
)]
fn index(value: f64) -> usize {
    value as usize
}

fn colours(figure: &mut Figure, panel: &Panel, spectrogram: &Spectrogram) {
    let n_rows = spectrogram.n_rows.max(1);
    let loudest = spectrogram
        .values_db
        .iter()
        .copied()
        .fold(LEAST_TOP_DB, f32::max);
    let n_columns = spectrogram.values_db.len() / n_rows;
    let colour = |db: f32| cividis(f64::from(1.0 + (db - loudest) / RANGE_DB));
    let pixels = (0..n_rows)
        .rev()
        .flat_map(|row| (0..n_columns).map(move |column| column * n_rows + row))
        .map(|at| colour(spectrogram.values_db[at]))
        .collect();
    figure.image(
        panel.left,
        panel.top,
        panel.width,
        panel.height,
        n_columns,
        pixels,
    );
}

fn intensity(figure: &mut Figure, panel: &Panel, levels: &[(f64, f64)]) {
    let right = panel.left + panel.width;
    for tick in ticks(panel.y.0, panel.y.1, 5.0) {
        let style = Type::new(11.0, Anchor::Start).colour(VERMILLION);
        figure.text_centred(right + 6.0, panel.y(tick), format!("{tick:.0}"), style);
    }
    let style = Type::new(12.0, Anchor::Middle)
        .angle(90.0)
        .colour(VERMILLION);
    figure.text(
        right + 36.0,
        panel.top + panel.height / 2.0,
        "intensity, dB",
        style,
    );
    let points: Vec<(f64, f64)> = levels
        .iter()
        .map(|(secs, db)| (panel.x(*secs), panel.y(db.clamp(panel.y.0, panel.y.1))))
        .collect();
    if points.len() > 1 {
        figure.line(points, Stroke::new(VERMILLION, 1.2).dash(Some((5.0, 2.5))));
    }
}

fn pitch(figure: &mut Figure, panel: &Panel, track: &[(f64, f64)]) {
    for run in track.chunk_by(|a, b| (a.1 > 0.0) == (b.1 > 0.0)) {
        if run[0].1 <= 0.0 {
            continue;
        }
        let points: Vec<(f64, f64)> = run
            .iter()
            .map(|(secs, hz)| (panel.x(*secs), panel.y(*hz)))
            .collect();
        match points[..] {
            [(x, y)] => figure.circle(x, y, 1.6, BLUE),
            _ => figure.line(points, Stroke::new(BLUE, 2.2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording() -> Speech {
        let pitch = (0..100_u8)
            .map(|i| (f64::from(i) / 100.0, if i % 20 < 10 { 150.0 } else { 0.0 }))
            .collect();
        Speech {
            title: "a & b.wav".to_owned(),
            duration_secs: 1.0,
            sample_rate: 8_000,
            samples: (0..8_000).map(|n| (n as f32 * 0.3).sin()).collect(),
            spectrogram: Spectrogram {
                n_rows: 4,
                top_hz: 4_000.0,
                values_db: (0..40).map(|i| i as f32).collect(),
            },
            pitch,
            intensity: vec![(0.1, 60.0), (0.5, 70.0), (0.9, -300.0)],
            formants: vec![(0.2, 500.0), (0.2, 9_000.0)],
            voiced: vec![(0.0, 0.1)],
            speech: vec![(0.0, 0.2), (0.6, 1.0)],
            pauses: vec![(0.2, 0.6)],
        }
    }

    #[test]
    fn both_forms_are_written() {
        let figure = speech(&recording()).unwrap();
        let svg = figure.to_svg();
        for part in [
            "a &amp; b.wav",
            "time, s",
            "pause",
            "data:image/png;base64,",
        ] {
            assert!(svg.contains(part), "no {part}");
        }
        assert!(figure.to_png(1.0).unwrap().len() > 1_000);
    }

    #[test]
    fn silence_is_drawn_and_nothing_is_refused() {
        let mut empty = recording();
        empty.samples = vec![0.0; 100];
        empty.pitch.clear();
        empty.intensity = vec![(0.5, -300.0)];
        empty.spectrogram.values_db = vec![-86.0; 8];
        let drawn = speech(&empty).unwrap();
        assert!(drawn.to_png(1.0).is_ok());
        let svg = drawn.to_svg();
        assert!(!svg.contains("intensity, dB<") && svg.contains(">0.01<"));
        // All cells have the darkest colour.
        empty.spectrogram.values_db = vec![-150.0; 8];
        let darkest = speech(&empty).unwrap().to_svg();
        empty.spectrogram.values_db = vec![-100.0; 8];
        assert_eq!(speech(&empty).unwrap().to_svg(), darkest);
        empty.duration_secs = 0.0;
        assert!(speech(&empty).is_err());
    }
}
