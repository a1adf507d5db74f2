//! Cross-validates a configuration: `cross_validate CONFIG.toml DATA RUN_DIR [FOLD...]`.

use vocalics_corpora::locate;
use vocalics_eval::HistoryRow;
use vocalics_train::{
    ComputeDevice, Data, LoadOptions, Progress, RunOptions, Silent, TrainConfig, cross_validate,
    train_model,
};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Print;

impl Progress for Print {
    #[expect(clippy::print_stderr, reason = "an example talks to its user")]
    fn epoch(&self, row: &HistoryRow) {
        eprintln!(
            "{} epoch {:3}  loss {:.3}  train {:.3}  validation {:.3} {:.3}  {:.1} s",
            row.fold,
            row.epoch,
            row.train_loss,
            row.train_uar,
            row.validation_loss.unwrap_or(f64::NAN),
            row.validation_uar.unwrap_or(f64::NAN),
            row.seconds
        );
    }
}

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, data, run, folds @ ..] = arguments.as_slice() else {
        return Err("usage: cross_validate CONFIG.toml DATA RUN_DIR [FOLD...]".into());
    };
    let config = TrainConfig::read(config.as_ref())?;
    let corpora: Vec<_> = locate(data.as_ref())
        .into_iter()
        .filter(|spec| config.corpora.iter().any(|name| name == spec.kind.name()))
        .collect();
    let load = LoadOptions::new("target/features");
    let data = Data::load(&config, &corpora, &load, &Silent)?;
    let environment = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let options = RunOptions {
        directory: run.into(),
        folds: folds.to_vec(),
        jobs: environment("JOBS").unwrap_or(1),
        threads: environment("THREADS").unwrap_or(1),
        device: ComputeDevice::Cpu,
    };
    if folds == ["all"] {
        let options = RunOptions {
            folds: Vec::new(),
            ..options
        };
        train_model(&config, &data, None, &options, &Print)?;
        return Ok(());
    }
    let protocol = config.evaluation.protocol.parse()?;
    let result = cross_validate(&config, &data, &protocol, &options, &Print)?;
    for line in result.report.headline() {
        println!("{line}");
    }
    println!(
        "mean over folds: UAR {:.4}",
        result.report.metrics.mean_fold_uar
    );
    println!("parameters: {}", result.parameters);
    Ok(())
}
