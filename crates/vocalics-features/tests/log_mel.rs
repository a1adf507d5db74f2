//! The log-mel front end as users meet it: configuration, odd input, streaming.

use proptest::prelude::*;
use vocalics_features::{
    Compression, FeatureError, LogMel, LogMelConfig, LogMelStream, MelNorm, MelScale, Padding,
};

fn plain() -> LogMelConfig {
    LogMelConfig {
        trim_db: None,
        normalise_level: false,
        ..LogMelConfig::default()
    }
}

/// The front end of models for noisy recordings.
fn over_noise() -> LogMelConfig {
    LogMelConfig {
        compression: Compression::CubeRoot,
        trim_over_noise_db: Some(10.0),
        ..LogMelConfig::default()
    }
}

fn signal(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| {
            let t = i as f32 / 16_000.0;
            (t * 1400.0 + 300.0 * t * t).sin() * 0.3 + (t * 9000.0).sin() * 0.05 * (t * 7.0).cos()
        })
        .collect()
}

fn features(config: &LogMelConfig, samples: &[f32]) -> Result<Vec<f32>, FeatureError> {
    LogMel::new(config.clone())?
        .compute(samples)
        .map(|matrix| matrix.into_vec())
}

#[test]
fn the_fingerprint_is_stable() {
    // These strings are stored in model files. A change here makes every model unreadable: do it
    // when the features change, and raise the version.
    assert_eq!(
        LogMelConfig::default().fingerprint(),
        "logmel-v1-db26bb6961d40623"
    );
    assert_eq!(plain().fingerprint(), "logmel-v1-5de129418e29a98b");
}

#[test]
fn every_field_changes_the_fingerprint() {
    let base = LogMelConfig::default();
    let variants = [
        LogMelConfig {
            sample_rate: 22_050,
            ..base.clone()
        },
        LogMelConfig {
            n_fft: 2048,
            ..base.clone()
        },
        LogMelConfig {
            win_length: 400,
            ..base.clone()
        },
        LogMelConfig {
            hop_length: 160,
            ..base.clone()
        },
        LogMelConfig {
            n_mels: 40,
            ..base.clone()
        },
        LogMelConfig {
            fmin: 0.0,
            ..base.clone()
        },
        LogMelConfig {
            fmax: 7_999.999_5,
            ..base.clone()
        },
        LogMelConfig {
            mel_scale: MelScale::Htk,
            n_mels: 40,
            ..base.clone()
        },
        LogMelConfig {
            mel_norm: MelNorm::None,
            ..base.clone()
        },
        LogMelConfig {
            log_floor: 1e-9,
            ..base.clone()
        },
        LogMelConfig {
            compression: Compression::CubeRoot,
            ..base.clone()
        },
        LogMelConfig {
            trim_db: Some(30.0),
            ..base.clone()
        },
        LogMelConfig {
            trim_db: None,
            ..base.clone()
        },
        LogMelConfig {
            trim_over_noise_db: Some(10.0),
            ..base.clone()
        },
        LogMelConfig {
            normalise_level: false,
            ..base.clone()
        },
        LogMelConfig {
            center: false,
            ..base.clone()
        },
        LogMelConfig {
            padding: Padding::Reflect,
            ..base.clone()
        },
    ];
    let mut seen = vec![base.fingerprint()];
    for variant in variants {
        variant.validate().unwrap();
        let fingerprint = variant.fingerprint();
        assert!(!seen.contains(&fingerprint), "{variant:?}");
        seen.push(fingerprint);
    }
    assert_eq!(
        LogMelConfig {
            fmin: -0.0,
            ..base.clone()
        }
        .fingerprint(),
        LogMelConfig { fmin: 0.0, ..base }.fingerprint()
    );
}

#[test]
fn the_configuration_survives_toml_and_json() {
    for config in [
        LogMelConfig::default(),
        LogMelConfig {
            mel_scale: MelScale::Htk,
            mel_norm: MelNorm::None,
            ..plain()
        },
        over_noise(),
    ] {
        let text = toml::to_string(&config).unwrap();
        assert_eq!(
            toml::from_str::<LogMelConfig>(&text).unwrap(),
            config,
            "{text}"
        );
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<LogMelConfig>(&text).unwrap(),
            config,
            "{text}"
        );
    }
    let short: LogMelConfig = toml::from_str("n_mels = 40\ntrim_db = \"off\"").unwrap();
    assert_eq!(
        short,
        LogMelConfig {
            n_mels: 40,
            trim_db: None,
            ..LogMelConfig::default()
        }
    );
    let whole: LogMelConfig = toml::from_str("trim_db = 30").unwrap();
    assert_eq!(whole.trim_db, Some(30.0));
    let null: LogMelConfig = serde_json::from_str(r#"{"trim_db":null}"#).unwrap();
    assert_eq!(null.trim_db, None);
    assert!(toml::from_str::<LogMelConfig>("n_mel = 40").is_err());
    for field in ["trim_db", "trim_over_noise_db"] {
        let error = toml::from_str::<LogMelConfig>(&format!("{field} = \"on\"")).unwrap_err();
        let expected = "expected a number of decibels or \"off\"";
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn senseless_configurations_name_the_field() {
    let base = LogMelConfig::default();
    for (field, config) in [
        (
            "n_fft",
            LogMelConfig {
                n_fft: 0,
                hop_length: 0,
                n_mels: 0,
                ..base.clone()
            },
        ),
        (
            "n_fft",
            LogMelConfig {
                n_fft: usize::MAX,
                ..base.clone()
            },
        ),
        (
            "win_length",
            LogMelConfig {
                win_length: 0,
                ..base.clone()
            },
        ),
        (
            "win_length",
            LogMelConfig {
                win_length: 1025,
                ..base.clone()
            },
        ),
        (
            "hop_length",
            LogMelConfig {
                hop_length: 0,
                ..base.clone()
            },
        ),
        (
            "hop_length",
            LogMelConfig {
                hop_length: 1025,
                ..base.clone()
            },
        ),
        (
            "n_mels",
            LogMelConfig {
                n_mels: 0,
                ..base.clone()
            },
        ),
        (
            "n_mels",
            LogMelConfig {
                n_mels: 512,
                ..base.clone()
            },
        ),
        (
            "n_mels",
            LogMelConfig {
                n_mels: usize::MAX,
                ..base.clone()
            },
        ),
        (
            "sample_rate",
            LogMelConfig {
                sample_rate: 0,
                ..base.clone()
            },
        ),
        (
            "fmax",
            LogMelConfig {
                sample_rate: 8_000,
                ..base.clone()
            },
        ),
        (
            "fmin",
            LogMelConfig {
                fmin: 9_000.0,
                ..base.clone()
            },
        ),
        (
            "log_floor",
            LogMelConfig {
                log_floor: 0.0,
                ..base.clone()
            },
        ),
        (
            "log_floor",
            LogMelConfig {
                log_floor: f32::NAN,
                ..base.clone()
            },
        ),
        (
            "log_floor",
            LogMelConfig {
                log_floor: 1e-40,
                ..base.clone()
            },
        ),
        (
            "trim_db",
            LogMelConfig {
                trim_db: Some(0.0),
                ..base.clone()
            },
        ),
        (
            "trim_db",
            LogMelConfig {
                trim_db: Some(f32::INFINITY),
                ..base.clone()
            },
        ),
        (
            "trim_over_noise_db",
            LogMelConfig {
                trim_over_noise_db: Some(-1.0),
                ..base.clone()
            },
        ),
        (
            "trim_over_noise_db",
            LogMelConfig {
                trim_db: None,
                trim_over_noise_db: Some(10.0),
                ..base
            },
        ),
    ] {
        let error = LogMel::new(config).unwrap_err().to_string();
        assert!(error.starts_with(field), "{field}: {error}");
    }
}

#[test]
fn odd_clips_are_defined() {
    let config = LogMelConfig::default();
    let mut front_end = LogMel::new(config).unwrap();
    assert_eq!(front_end.compute(&[]), Err(FeatureError::Empty));
    let spoilt = [0.0, 0.1, f32::NAN];
    assert!(matches!(
        front_end.compute(&spoilt),
        Err(FeatureError::Signal(_))
    ));
    assert!(matches!(
        front_end.compute(&[f32::INFINITY]),
        Err(FeatureError::Signal(_))
    ));

    let silence = front_end.compute(&[0.0; 5000]).unwrap();
    assert_eq!(silence.n_frames(), 20);
    let floor = 1e-10_f32.ln();
    assert!(silence.as_slice().iter().all(|x| (x - floor).abs() < 1e-5));

    let one = front_end.compute(&[0.5]).unwrap();
    assert_eq!((one.n_frames(), one.n_features()), (1, 64));
    assert!(one.as_slice().iter().all(|x| x.is_finite()));

    // Away from the ends a constant is 0 Hz alone, below the lowest band.
    let constant = front_end.compute(&[0.5; 16_000]).unwrap();
    let middle = constant.row(30);
    assert!(middle[2..].iter().all(|x| *x < -10.0), "{middle:?}");

    let uncentred = LogMelConfig {
        center: false,
        ..plain()
    };
    assert_eq!(
        features(&uncentred, &[0.1; 1023]),
        Err(FeatureError::TooShort {
            expected: 1024,
            actual: 1023
        })
    );
    assert_eq!(features(&uncentred, &[0.1; 1024]).unwrap().len(), 64);
}

#[test]
fn the_level_of_a_clip_does_not_matter_when_normalised() {
    let loud = signal(20_000);
    let quiet: Vec<f32> = loud.iter().map(|x| x * 0.004).collect();
    let config = LogMelConfig::default();
    let (a, b) = (
        features(&config, &loud).unwrap(),
        features(&config, &quiet).unwrap(),
    );
    // In decades of the strongest values; far below them rounding of f32 remains.
    for (x, y) in a.iter().zip(&b) {
        assert!((x.exp() - y.exp()).abs() < 1e-4 * x.exp() + 1e-7, "{x} {y}");
    }
    let (a, b) = (
        features(&plain(), &loud).unwrap(),
        features(&plain(), &quiet).unwrap(),
    );
    let strongest = (0..a.len()).max_by(|i, j| a[*i].total_cmp(&a[*j])).unwrap();
    assert!((a[strongest] - b[strongest] + 2.0 * 0.004_f32.ln()).abs() < 1e-3);
}

#[test]
fn a_cube_root_is_that_of_the_power_whose_logarithm_it_replaces() {
    let clip = signal(16_384);
    let logarithms = features(&LogMelConfig::default(), &clip).unwrap();
    let config = LogMelConfig {
        compression: Compression::CubeRoot,
        ..LogMelConfig::default()
    };
    let roots = features(&config, &clip).unwrap();
    assert_eq!(roots.len(), logarithms.len());
    for (root, ln) in roots.iter().zip(&logarithms) {
        let expected = (f64::from(*ln) / 3.0).exp();
        assert!(
            (f64::from(*root) / expected - 1.0).abs() < 1e-5,
            "{root} {expected}"
        );
    }
}

#[test]
fn outer_silence_does_not_matter_when_trimmed() {
    let clip = signal(16_384);
    let mut padded = vec![0.0; 8_192];
    padded.extend(&clip);
    padded.extend(vec![0.0; 4_096]);
    let config = LogMelConfig {
        normalise_level: false,
        ..LogMelConfig::default()
    };
    let whole = features(&plain(), &clip).unwrap().len() / 64;
    let trimmed = features(&config, &padded).unwrap().len() / 64;
    // At most one trimming frame of 2048 samples of silence stays at either end.
    assert!(
        trimmed >= whole && trimmed <= whole + 16,
        "{trimmed} frames, {whole} in the clip"
    );
}

#[test]
fn outer_noise_does_not_matter_when_trimmed_over_noise() {
    let clip = signal(16_384);
    let noise = |i: usize| 0.02 * (i as f32 * 1.7).sin();
    let mut noisy: Vec<f32> = (0..36_864).map(noise).collect();
    for (x, of_clip) in noisy[12_288..].iter_mut().zip(&clip) {
        *x += of_clip;
    }
    let silence_alone = LogMelConfig::default();
    let over_noise = LogMelConfig {
        trim_over_noise_db: Some(10.0),
        ..LogMelConfig::default()
    };
    let frames =
        |config: &LogMelConfig, samples: &[f32]| features(config, samples).unwrap().len() / 64;
    let whole = frames(&plain(), &clip);
    assert_eq!(frames(&silence_alone, &noisy), frames(&plain(), &noisy));
    let trimmed = frames(&over_noise, &noisy);
    assert!(
        trimmed <= whole + 16 && trimmed >= whole / 2,
        "{trimmed} frames, {whole} in the clip"
    );
}

#[test]
fn a_stream_refuses_what_needs_the_whole_clip() {
    assert_eq!(
        LogMelStream::new(LogMelConfig {
            trim_db: Some(40.0),
            ..plain()
        })
        .unwrap_err(),
        FeatureError::NotStreamable { field: "trim_db" }
    );
    assert_eq!(
        LogMelStream::new(LogMelConfig {
            normalise_level: true,
            ..plain()
        })
        .unwrap_err(),
        FeatureError::NotStreamable {
            field: "normalise_level"
        }
    );
}

#[test]
fn a_stream_fails_as_the_whole_clip_does() {
    assert_eq!(
        LogMelStream::new(plain()).unwrap().finish(),
        Err(FeatureError::Empty)
    );
    let mut stream = LogMelStream::new(LogMelConfig {
        center: false,
        ..plain()
    })
    .unwrap();
    assert_eq!(stream.push(&[0.0; 10]).unwrap().n_frames(), 0);
    assert_eq!(
        stream.finish(),
        Err(FeatureError::TooShort {
            expected: 1024,
            actual: 10
        })
    );
    assert_eq!(stream.push(&[0.0]), Err(FeatureError::Finished));
    assert_eq!(stream.finish(), Err(FeatureError::Finished));

    // A refused chunk leaves no trace.
    let mut stream = LogMelStream::new(plain()).unwrap();
    let samples = signal(4000);
    let mut rows = stream.push(&samples[..1000]).unwrap().into_vec();
    assert!(stream.push(&[0.0, f32::NAN]).is_err());
    rows.extend(stream.push(&samples[1000..]).unwrap().into_vec());
    rows.extend(stream.finish().unwrap().into_vec());
    assert_eq!(rows, features(&plain(), &samples).unwrap());
}

fn any_config() -> impl Strategy<Value = LogMelConfig> {
    let sizes = prop_oneof![
        Just((1024, 640, 256)),
        Just((512, 512, 160)),
        Just((512, 400, 512)),
        Just((301, 200, 37)),
    ];
    let compression = prop_oneof![Just(Compression::Log), Just(Compression::CubeRoot)];
    (sizes, any::<bool>(), any::<bool>(), compression).prop_map(
        |((n_fft, win_length, hop_length), center, mirror, compression)| LogMelConfig {
            compression,
            n_fft,
            win_length,
            hop_length,
            n_mels: 20,
            center,
            padding: if mirror {
                Padding::Reflect
            } else {
                Padding::Zero
            },
            ..plain()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streaming_equals_batch_under_any_chunking(
        config in any_config(),
        n in 0_usize..4000,
        chunks in prop::collection::vec(0_usize..1500, 0..20),
    ) {
        let samples = signal(n);
        let batch = features(&config, &samples);
        let mut stream = LogMelStream::new(config).unwrap();
        let mut rows = Vec::new();
        let mut rest = samples.as_slice();
        for length in chunks {
            let (chunk, after) = rest.split_at(length.min(rest.len()));
            rows.extend(stream.push(chunk).unwrap().into_vec());
            rest = after;
        }
        rows.extend(stream.push(rest).unwrap().into_vec());
        let streamed = stream.finish().map(|last| {
            rows.extend(last.into_vec());
            rows
        });
        prop_assert_eq!(streamed, batch);
    }

    #[test]
    fn finite_samples_give_finite_features(
        samples in prop::collection::vec(
            prop_oneof![-1.0_f32..1.0, -1e9_f32..1e9, -1e-30_f32..1e-30, Just(0.0)],
            1..3000,
        ),
        whole_clip in any::<bool>(),
    ) {
        let config = if whole_clip { LogMelConfig::default() } else { plain() };
        for config in [over_noise(), config] {
            let values = features(&config, &samples).unwrap();
            prop_assert!(values.iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn any_bits_are_features_or_an_error(
        bits in prop::collection::vec(any::<u32>(), 0..2000),
    ) {
        let samples: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for config in [over_noise(), LogMelConfig::default()] {
            if let Ok(values) = features(&config, &samples) {
                prop_assert!(values.iter().all(|x| x.is_finite()));
            }
        }
    }
}
