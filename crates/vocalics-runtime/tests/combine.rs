//! Several models in one file.

mod common;
#[path = "common/graph.rs"]
mod graph;

use graph::{Graph, N_MELS, Numbers, Set, with_metadata};
use vocalics_features::FeatureMatrix;
use vocalics_runtime::{
    Engine, ModelError, ModelMetadata, Recognizer, RecognizerOptions, attach_metadata, combine,
    quantise, read_metadata,
};

fn clip(seed: u64) -> FeatureMatrix {
    FeatureMatrix::new(Numbers::new(seed).take(50 * N_MELS, 4.0), N_MELS).expect("whole frames")
}

/// A model of two dense layers, with these words about itself.
fn model(seed: u64, said: impl Fn(&mut ModelMetadata)) -> Vec<u8> {
    let mut graph = Graph::new(seed);
    let x = graph.sequence();
    let x = graph.node("GlobalAveragePool", &[&x], &[]);
    let x = graph.node("Flatten", &[&x], &[]);
    let (weights, bias) = (graph.weights(&[N_MELS, N_MELS]), graph.weights(&[N_MELS]));
    let x = graph.node("Gemm", &[&x, &weights, &bias], &[Set::Int("transB", 1)]);
    let x = graph.node("Relu", &[&x], &[]);
    graph.head(&x, N_MELS);
    let bytes = with_metadata(&graph.bytes());
    let mut metadata = read_metadata(&bytes).expect("a model file");
    said(&mut metadata);
    let metadata = Recognizer::rescored(&bytes, &metadata, &RecognizerOptions::default())
        .expect("the graph runs");
    attach_metadata(&bytes, &metadata).expect("metadata fits")
}

fn plain(seed: u64) -> Vec<u8> {
    model(seed, |_| {})
}

#[test]
fn the_scores_are_the_weighted_mean_in_both_engines() {
    let members = [
        plain(1),
        model(2, |metadata| metadata.temperature = 2.5),
        plain(3),
    ];
    let shares = [0.5, 0.3, 0.2];
    let files = members.each_ref().map(Vec::as_slice);
    let whole = combine(&files, &shares, "three", 1.0).unwrap().bytes;
    let native = Recognizer::from_bytes(whole.clone()).unwrap();
    assert_eq!(native.engine(), Engine::Native);
    let options = RecognizerOptions::default().with_engine(Engine::Rten);
    let rten = Recognizer::from_bytes_with(whole, &options).unwrap();
    let parts = members.map(|bytes| Recognizer::from_bytes(bytes).unwrap());
    // Shares, temperatures and the floor are numbers of the whole.
    let sum: usize = parts.iter().map(Recognizer::parameters).sum();
    assert_eq!(native.parameters(), sum + 3 + 3 + 1);
    for seed in 10..16 {
        let clip = clip(seed);
        let mut wanted = vec![0.0; native.metadata().labels.len()];
        for (part, share) in parts.iter().zip(shares) {
            for (sum, score) in wanted
                .iter_mut()
                .zip(part.scores_from_features(&clip).unwrap())
            {
                *sum += share * score;
            }
        }
        for engine in [&native, &rten] {
            let found = engine.scores_from_features(&clip).unwrap();
            for (found, wanted) in found.iter().zip(&wanted) {
                assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
            }
        }
    }
}

#[test]
fn a_whole_can_be_a_member_of_another() {
    let inner = combine(&[&plain(1), &plain(2)], &[0.5, 0.5], "inner", 2.0);
    let inner = inner.unwrap().bytes;
    let other = plain(3);
    let outer = combine(&[&other, &inner], &[0.25, 0.75], "outer", 1.0);
    let [inner, other, outer] =
        [inner, other, outer.unwrap().bytes].map(|bytes| Recognizer::from_bytes(bytes).unwrap());
    assert!((inner.metadata().temperature - 2.0).abs() < 1e-6);
    let clip = clip(10);
    let [inner, other, outer] =
        [inner, other, outer].map(|model| model.scores_from_features(&clip).unwrap());
    for ((inner, other), found) in inner.iter().zip(&other).zip(&outer) {
        let wanted = 0.25 * other + 0.75 * inner;
        assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
    }
}

#[test]
fn the_file_names_everyone_that_a_member_has_heard() {
    let other = model(2, |metadata| {
        metadata.speakers = vec!["tess-of".to_owned()];
        metadata.corpora[0].name = "tess".to_owned();
        metadata.manifest_hash = "other".to_owned();
    });
    let first = plain(1);
    let whole = combine(&[&first, &other], &[0.5, 0.5], "both", 1.0)
        .unwrap()
        .bytes;
    let [first, whole] = [&first, &whole].map(|bytes| read_metadata(bytes).unwrap());
    assert_eq!(whole.name, "both");
    let mut speakers = first.speakers.clone();
    speakers.push("tess-of".to_owned());
    speakers.sort();
    assert_eq!(whole.speakers, speakers);
    let names = whole.corpora.iter().map(|note| note.name.as_str());
    assert!(names.eq([first.corpora[0].name.as_str(), "tess"]));
    assert!(whole.manifest_hash.contains("other"));
    assert!(whole.manifest_hash.contains(&first.manifest_hash));
    // What was measured was measured with a member alone.
    assert_eq!(whole.protocol_result, None);
    assert!((whole.temperature - 1.0).abs() < f32::EPSILON);
}

#[test]
fn what_cannot_stand_together_is_named() {
    let first = plain(1);
    let refused = |other: &[u8], place: usize, what: &str| {
        let error = combine(&[&first, other], &[0.5, 0.5], "both", 1.0)
            .err()
            .unwrap();
        assert!(matches!(error, ModelError::Combine { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("model {place} ")), "{text}");
        assert!(text.contains(what), "{text}");
        assert!(!error.hint().is_empty());
        let named = error.naming(&["a.onnx", "b.onnx"]);
        assert!(
            named
                .to_string()
                .starts_with("model file b.onnx was refused"),
            "{named}"
        );
        assert_eq!(named.code(), "model_combine");
    };
    let labels = model(2, |metadata| metadata.labels.reverse());
    refused(&labels, 2, "its labels are");
    let task = model(2, |metadata| metadata.task = "intensity".to_owned());
    refused(&task, 2, "it recognises intensity");
    let small = quantise(&plain(2), &[clip(1), clip(2)]).unwrap().bytes;
    refused(&small, 2, "eight bits");
    let level = model(2, |metadata| {
        metadata.front_end.normalise_level = !metadata.front_end.normalise_level;
        let front_end = vocalics_features::LogMel::new(metadata.front_end.clone());
        metadata.front_end_fingerprint = front_end.expect("it is valid").fingerprint().to_owned();
    });
    refused(&level, 2, "its front end is not the first's");
    for shares in [&[1.0][..], &[0.5, 0.4], &[1.5, -0.5]] {
        let error = combine(&[&first, &first], shares, "both", 1.0)
            .err()
            .unwrap();
        assert!(error.to_string().contains("shares"), "{error}");
    }
    assert!(combine(&[&first], &[1.0], "one", 1.0).is_err());
    assert!(combine(&[&first, b"no model"], &[0.5, 0.5], "both", 1.0).is_err());
}
