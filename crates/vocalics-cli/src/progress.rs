//! Progress on standard error, silent when that is no terminal.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use vocalics_eval::HistoryRow;
use vocalics_train::PretrainRow;

use crate::output::tell;

const CLIPS: &str = "{prefix} {bar:30} {human_pos}/{human_len}  {per_sec}  {eta} left";
const BYTES: &str = "{prefix} {bar:30} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left";
const STEPS: &str = "{prefix} {bar:30} {percent:>3} %  {eta} left  {msg}";
const FOLDS: &str = "{prefix} {bar:30} {human_pos}/{human_len} folds  {eta} left";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

/// A bar that counts recordings.
pub(crate) fn clips(prefix: &'static str, total: usize) -> ProgressBar {
    ProgressBar::new(total as u64)
        .with_style(style(CLIPS))
        .with_prefix(prefix)
}

/// The course of a download.
#[derive(Debug, Default)]
pub(crate) struct Download {
    bar: Option<ProgressBar>,
}

impl vocalics_corpora::get::Progress for Download {
    fn begin(&mut self, name: &str, done: u64, total: Option<u64>) {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let bar = bar.with_style(style(BYTES)).with_prefix(name.to_owned());
        bar.set_position(done);
        bar.reset_eta();
        if let Some(old) = self.bar.replace(bar) {
            old.finish_and_clear();
        }
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    fn note(&mut self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(&format!("note: {message}"))),
            None => tell(&format!("note: {message}")),
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The course of a training: one bar for the features, one per training under way.
#[derive(Debug, Default)]
pub(crate) struct Training {
    all: MultiProgress,
    features: OnceLock<ProgressBar>,
    trainings: Mutex<BTreeMap<String, TrainingBar>>,
}

#[derive(Debug)]
struct TrainingBar {
    bar: ProgressBar,
    epochs: usize,
    epochs_done: usize,
    /// Whether a step was seen, so that what an earlier run did does not count as speed.
    moving: bool,
}

impl Training {
    fn with_bar(&self, training: &str, act: impl FnOnce(&mut TrainingBar)) {
        let mut bars = self
            .trainings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bars.get_mut(training) {
            act(bar);
        }
    }
}

impl vocalics_train::Progress for Training {
    fn features(&self, done: usize, total: usize) {
        let bar = self
            .features
            .get_or_init(|| self.all.add(clips("features", total)));
        bar.inc(1);
        if done == total {
            bar.finish_and_clear();
        }
    }

    fn training_started(&self, training: &str, epochs_done: usize, epochs: usize) {
        let bar = ProgressBar::no_length()
            .with_style(style(STEPS))
            .with_prefix(training.to_owned());
        let bar = self.all.add(bar);
        bar.set_message(format!("epoch {epochs_done}/{epochs}"));
        let bar = TrainingBar {
            bar,
            epochs,
            epochs_done,
            moving: false,
        };
        let mut bars = self
            .trainings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        bars.insert(training.to_owned(), bar);
    }

    fn step(&self, training: &str, step: usize, steps: usize) {
        self.with_bar(training, |at| {
            at.bar.set_length((at.epochs * steps) as u64);
            if !at.moving {
                at.moving = true;
                at.bar.set_position((at.epochs_done * steps) as u64);
                at.bar.reset_eta();
            }
            at.bar.set_position((at.epochs_done * steps + step) as u64);
        });
    }

    fn epoch(&self, row: &HistoryRow) {
        self.with_bar(&row.training(), |at| {
            at.epochs_done = row.epoch;
            let validation = row.validation_uar.map_or_else(String::new, |uar| {
                format!(", validation UAR {:.1} %", 100.0 * uar)
            });
            at.bar.set_message(format!(
                "epoch {}/{}, loss {:.3}{validation}, {:.1} s an epoch",
                row.epoch, at.epochs, row.train_loss, row.seconds
            ));
        });
    }

    fn pretrain_epoch(&self, training: &str, row: &PretrainRow) {
        self.with_bar(training, |at| {
            at.epochs_done = row.epoch;
            at.bar.set_message(format!(
                "epoch {}/{}, loss {:.3}, deviation {:.2}, {:.1} s an epoch",
                row.epoch, at.epochs, row.loss, row.embedding_deviation, row.seconds
            ));
        });
    }

    fn training_finished(&self, training: &str) {
        let mut bars = self
            .trainings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = bars.remove(training) {
            at.bar.finish_and_clear();
        }
    }

    fn fitted(&self, row: &str, done: usize, folds: usize) {
        let mut bars = self
            .trainings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let at = bars.entry(row.to_owned()).or_insert_with(|| TrainingBar {
            bar: self.all.add(
                ProgressBar::new(folds as u64)
                    .with_style(style(FOLDS))
                    .with_prefix(row.to_owned()),
            ),
            epochs: folds,
            epochs_done: 0,
            moving: true,
        });
        at.bar.set_position(done as u64);
        if done == folds {
            at.bar.finish_and_clear();
            bars.remove(row);
        }
    }

    fn warning(&self, message: &str) {
        self.all.suspend(|| tell(&format!("warning: {message}")));
    }
}
