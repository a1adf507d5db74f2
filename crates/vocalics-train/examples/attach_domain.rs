//! Puts into a model file what the recordings of its training sound like, for models written before that was kept:
//! `cargo run --release -p vocalics-train --example attach_domain -- MODEL.onnx CONFIG.toml DATA OUT.onnx`.
//!
//! The weights stay. Of the configuration's corpora the clips of speakers that the model names are taken.

use vocalics_corpora::locate;
use vocalics_features::Domain;
use vocalics_runtime::{Recognizer, attach_metadata, read_metadata};
use vocalics_train::{Data, LoadOptions, Silent, TrainConfig};

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, config, data, out] = arguments.as_slice() else {
        return Err("usage: attach_domain MODEL.onnx CONFIG.toml DATA OUT.onnx".into());
    };
    let bytes = std::fs::read(model)?;
    let mut metadata = read_metadata(&bytes)?;
    let config = TrainConfig::read(config.as_ref())?;
    if config.front_end.fingerprint() != metadata.front_end_fingerprint {
        return Err("the configuration has another front end than the model".into());
    }
    let corpora: Vec<_> = locate(data.as_ref())
        .into_iter()
        .filter(|spec| config.corpora.iter().any(|name| name == spec.kind.name()))
        .collect();
    let load = LoadOptions::new("target/features");
    let data = Data::load(&config, &corpora, &load, &Silent)?;
    let known = |speaker: &String| metadata.speakers.contains(speaker);
    let clips = data.utterances.iter().zip(&data.features);
    let clips: Vec<_> = clips
        .filter(|(utterance, _)| known(&utterance.speaker))
        .map(|(_, features)| features)
        .collect();
    println!("{} clips", clips.len());
    metadata.domain = Some(Domain::fit(clips)?);
    let bytes = attach_metadata(&bytes, &metadata)?;
    Recognizer::from_bytes(bytes.clone())?;
    Ok(std::fs::write(out, bytes)?)
}
