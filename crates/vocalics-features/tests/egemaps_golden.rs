//! The set `egemaps` beside what opensmile gives for a synthetic vowel (`golden/egemaps.py`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use vocalics_features::set_by_name;

#[derive(Deserialize)]
struct Voice {
    sample_rate: u32,
    pcm16: Vec<i16>,
}

#[derive(Deserialize)]
struct Golden {
    descriptors: BTreeMap<String, Vec<f32>>,
    functionals: BTreeMap<String, f32>,
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden")
        .join(name);
    let text = std::fs::read_to_string(path).expect("the golden vectors");
    serde_json::from_str(&text).expect("JSON")
}

/// Largest difference allowed in any frame, in the descriptor's unit.
const EVERY_FRAME: [(&str, f32); 10] = [
    ("Loudness_sma3", 0.006),
    ("alphaRatio_sma3", 2e-5),
    ("hammarbergIndex_sma3", 2e-5),
    ("slope0-500_sma3", 1e-6),
    ("slope500-1500_sma3", 1e-6),
    ("spectralFlux_sma3", 5e-5),
    ("mfcc1_sma3", 1e-4),
    ("mfcc2_sma3", 1e-4),
    ("mfcc3_sma3", 1e-4),
    ("mfcc4_sma3", 1e-4),
];

/// Median difference allowed over the frames that have a value on both sides, in the descriptor's unit.
const MEDIAN: [(&str, f32); 12] = [
    ("F0semitoneFrom27.5Hz_sma3nz", 0.06),
    ("jitterLocal_sma3nz", 0.004),
    ("shimmerLocaldB_sma3nz", 0.2),
    ("HNRdBACF_sma3nz", 0.01),
    ("logRelF0-H1-H2_sma3nz", 0.2),
    ("logRelF0-H1-A3_sma3nz", 0.4),
    ("F1frequency_sma3nz", 1.0),
    ("F1bandwidth_sma3nz", 1.0),
    ("F2frequency_sma3nz", 1.0),
    ("F2bandwidth_sma3nz", 1.0),
    ("F3frequency_sma3nz", 1.0),
    ("F3bandwidth_sma3nz", 1.0),
];

/// Difference allowed of functionals, relative to their size. Those of the few unvoiced frames are not among them.
const FUNCTIONALS: [(&str, f32); 20] = [
    ("F0semitoneFrom27.5Hz_sma3nz_amean", 0.005),
    ("F0semitoneFrom27.5Hz_sma3nz_stddevNorm", 0.03),
    ("F0semitoneFrom27.5Hz_sma3nz_percentile50.0", 0.01),
    ("F0semitoneFrom27.5Hz_sma3nz_meanRisingSlope", 0.03),
    ("loudness_sma3_amean", 0.003),
    ("loudness_sma3_percentile80.0", 0.003),
    ("loudness_sma3_meanRisingSlope", 0.002),
    ("loudness_sma3_stddevFallingSlope", 0.005),
    ("spectralFlux_sma3_stddevNorm", 1e-3),
    ("mfcc4_sma3_amean", 1e-4),
    ("HNRdBACF_sma3nz_amean", 0.03),
    ("logRelF0-H1-A3_sma3nz_amean", 0.04),
    ("F1frequency_sma3nz_amean", 0.005),
    ("F1bandwidth_sma3nz_amean", 0.005),
    ("F2frequency_sma3nz_amean", 0.005),
    ("F3bandwidth_sma3nz_amean", 0.005),
    ("alphaRatioV_sma3nz_amean", 0.01),
    ("hammarbergIndexV_sma3nz_amean", 0.005),
    ("slopeV500-1500_sma3nz_amean", 0.005),
    ("loudnessPeaksPerSec", 1e-3),
];

#[test]
fn egemaps_is_near_the_reference_on_a_synthetic_vowel() {
    let voice: Voice = read("voice.json");
    let golden: Golden = read("egemaps.json");
    let samples: Vec<f32> = voice
        .pcm16
        .iter()
        .map(|x| f32::from(*x) / 32_768.0)
        .collect();
    let set = set_by_name("egemaps").unwrap();
    let found = set.descriptors(&samples, voice.sample_rate).unwrap();
    let names = set.descriptor_names();
    assert_eq!(names.len(), golden.descriptors.len());
    let column = |name: &str| -> Vec<f32> {
        let k = names.iter().position(|n| n == name).unwrap();
        let rows = found.matrix.as_slice();
        rows.iter().skip(k).step_by(names.len()).copied().collect()
    };
    let differences = |name: &str, both: bool| -> Vec<f32> {
        let (ours, theirs) = (column(name), &golden.descriptors[name]);
        // The reference has one frame more.
        assert_eq!(ours.len() + 1, theirs.len());
        let pairs = ours.iter().zip(theirs);
        pairs
            .filter(|(a, b)| !both || (a.abs() > 0.0 && b.abs() > 0.0))
            .map(|(a, b)| (a - b).abs())
            .collect()
    };
    for (name, most) in EVERY_FRAME {
        let worst = differences(name, false).into_iter().fold(0.0, f32::max);
        assert!(worst < most, "{name}: {worst}");
    }
    let f0 = "F0semitoneFrom27.5Hz_sma3nz";
    let voicing = column(f0).into_iter().zip(&golden.descriptors[f0]);
    assert!(voicing.filter(|(a, b)| (*a > 0.0) != (**b > 0.0)).count() <= 1);
    for (name, most) in MEDIAN {
        let mut found = differences(name, true);
        found.sort_by(f32::total_cmp);
        assert!(found.len() > 60, "{name}");
        let median = found[found.len() / 2];
        assert!(median < most, "{name}: {median}");
    }
    let values = set.functionals(&samples, voice.sample_rate).unwrap();
    let names = set.functional_names();
    assert!(
        names
            .iter()
            .all(|name| golden.functionals.contains_key(name))
    );
    for (name, most) in FUNCTIONALS {
        let ours = values[names.iter().position(|n| n == name).unwrap()];
        let theirs = golden.functionals[name];
        assert!(
            (ours - theirs).abs() <= most * theirs.abs(),
            "{name}: {ours} {theirs}"
        );
    }
}
