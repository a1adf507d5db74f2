//! Puts into a model file what its training heard, for models written before that was kept, or kept without the plan for waveforms:
//! `cargo run --release -p vocalics-train --example attach_domain -- MODEL.onnx CONFIG.toml DATA OUT.onnx`.
//!
//! The weights stay. Of the configuration's corpora the clips of speakers that the model names are taken.

use vocalics_corpora::locate;
use vocalics_runtime::{Recognizer, attach_metadata, read_metadata};
use vocalics_train::{Data, LoadOptions, Silent, TrainConfig, domain};

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
    let clips: Vec<usize> = (0..data.utterances.len())
        .filter(|&clip| known(&data.utterances[clip].speaker))
        .collect();
    println!("{} clips", clips.len());
    metadata.domain = domain(&config, &data, &clips)?;
    let bytes = attach_metadata(&bytes, &metadata)?;
    Recognizer::from_bytes(bytes.clone())?;
    Ok(std::fs::write(out, bytes)?)
}
