//! A model and recordings to scores.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;

use vocalics_audio::{AudioError, Waveform};
use vocalics_runtime::{
    Clip, Encoder, HeardClip, ModelError, Prediction, Recognizer, RuntimeError,
};

use crate::failure::{Failure, with_causes};
use crate::output::tell;

/// Opens a model file, or the model that the program carries, and the model's encoder where that is a file of its own.
pub(crate) fn open(model: Option<&Path>, encoder: Option<&Path>) -> Result<Recognizer, Failure> {
    let recognizer = match model {
        Some(path) => Recognizer::from_file(path)?,
        None => Recognizer::embedded()?,
    };
    match (recognizer.missing_encoder(), encoder) {
        (None, None) => Ok(recognizer),
        (None, Some(_)) => Err(ModelError::EncoderUnused.into()),
        (Some(note), None) => Err(Failure::new(
            format!(
                "the model is a head on the embeddings of {}, whose file is not given",
                note.description.name
            ),
            format!(
                "give it with --encoder; it comes from {}, its BLAKE3 hash is {}",
                note.description.source, note.hash
            ),
        )),
        (Some(note), Some(path)) => {
            let encoder = Encoder::noted(path, note, 1)?;
            Ok(recognizer.with_encoder(encoder)?)
        }
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Why one recording has no scores.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Stable name of the cause.
    pub(crate) code: &'static str,
    /// What is wrong, without the name of the recording.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: &'static str,
}

impl Refusal {
    /// `name` is what the decoder was told the recording is called.
    pub(crate) fn of_audio(error: &AudioError, name: &str) -> Self {
        let text = with_causes(error);
        let message = text
            .strip_prefix(&format!("{name}: "))
            .unwrap_or(&text)
            .to_owned();
        Self {
            code: error.code(),
            message,
            hint: error.hint(),
        }
    }

    pub(crate) fn of_runtime(error: &RuntimeError) -> Self {
        Self {
            code: error.code(),
            message: with_causes(error),
            hint: error.hint(),
        }
    }
}

/// Tells the user of refusals, with the hint of each kind once.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    hinted: BTreeSet<&'static str>,
}

impl Refusals {
    /// `shown` is the recording's name in messages.
    pub(crate) fn tell(&mut self, shown: &str, refusal: &Refusal) {
        tell(&format!("error: {shown}: {}", refusal.message));
        if self.hinted.insert(refusal.code) {
            tell(&format!("hint: {}", refusal.hint));
        }
    }
}

/// A recording with what was heard of it.
pub(crate) struct Recognised {
    /// Kept where functionals are moved to the speaker.
    pub(crate) heard: Option<HeardClip>,
    pub(crate) prediction: Prediction,
}

/// Recognises a decoded recording, of whomever.
pub(crate) fn listen(recognizer: &Recognizer, waveform: &Waveform) -> Result<Recognised, Refusal> {
    let clip = Clip::new(waveform.samples(), waveform.sample_rate())
        .with_clipped_ratio(waveform.clipped_ratio());
    let refusal = |error| Refusal::of_runtime(&error);
    let heard = recognizer.listen(&clip).map_err(refusal)?;
    let mut prediction = recognizer.answer(&heard, None).map_err(refusal)?;
    prediction.duration_secs = waveform.duration_secs();
    let moved = recognizer.metadata().speaker_norm.is_some();
    Ok(Recognised {
        heard: moved.then_some(heard),
        prediction,
    })
}

/// Items that each job may be ahead of the one that is due.
const AHEAD: usize = 8;

/// Lets items begin only if they are not too far ahead of the one that is due.
struct Gate {
    due: Mutex<usize>,
    moved: Condvar,
    ahead: usize,
}

impl Gate {
    fn new(ahead: usize) -> Self {
        Self {
            due: Mutex::new(0),
            moved: Condvar::new(),
            ahead,
        }
    }

    /// The item that is due is never held up, so somebody always works.
    fn wait_for(&self, index: usize) {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let too_far = |due: &mut usize| index >= due.saturating_add(self.ahead);
        drop(self.moved.wait_while(due, too_far));
    }

    /// An open gate stays open.
    fn advance(&self, due: usize) {
        let mut at = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *at = due.max(*at);
        self.moved.notify_all();
    }
}

struct OpenAtEnd<'a>(&'a Gate);

impl Drop for OpenAtEnd<'_> {
    fn drop(&mut self) {
        self.0.advance(usize::MAX);
    }
}

/// A worker that panics leaves its item undone, and the others would wait for it.
struct OpenOnPanic<'a>(&'a Gate);

impl Drop for OpenOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.advance(usize::MAX);
        }
    }
}

/// Runs `work` on every item, at most `jobs` at a time, and hands the results to `consume` in the
/// order of the items, each as soon as it and all before it are there. While one takes long, work goes
/// ahead of it by a few items for each job, and no further. A single item, or a single job, starts no
/// thread. An error of `consume` stops everything.
pub(crate) fn in_order<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
    mut consume: impl FnMut(usize, R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let jobs = jobs.min(items.len());
    if jobs <= 1 {
        return items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| consume(i, work(item)));
    }
    let next = AtomicUsize::new(0);
    let gate = Gate::new(AHEAD * jobs);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..jobs {
            let sender = sender.clone();
            scope.spawn(|| {
                // Moved in, so that the channel closes with the last worker.
                let sender = sender;
                let _open = OpenOnPanic(&gate);
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    gate.wait_for(index);
                    if sender.send((index, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Whatever ends the loop, nobody may go on waiting.
        let _open = OpenAtEnd(&gate);
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (index, result) in receiver {
            early.insert(index, result);
            while let Some(result) = early.remove(&due) {
                consume(due, result)?;
                due += 1;
                gate.advance(due);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for jobs in [1, 2, 5] {
            let items: Vec<u64> = (0..40).collect();
            let mut seen = Vec::new();
            let work = |&n: &u64| {
                thread::sleep(Duration::from_micros(n * 7919 % 300));
                n * n
            };
            in_order(&items, jobs, work, |index, square| {
                seen.push((index, square));
                Ok(())
            })
            .unwrap();
            let expected: Vec<_> = items.iter().map(|n| n * n).enumerate().collect();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn work_goes_ahead_of_a_slow_item_by_a_few() {
        let items: Vec<usize> = (0..500).collect();
        let begun = AtomicUsize::new(0);
        let work = |n: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *n == 0 {
                thread::sleep(Duration::from_millis(100));
            }
            begun.load(Ordering::Relaxed)
        };
        let mut at_first = None;
        in_order(&items, 3, work, |_, n_begun| {
            at_first.get_or_insert(n_begun);
            Ok(())
        })
        .unwrap();
        assert!(at_first.is_some_and(|n| n <= 3 * AHEAD + 3), "{at_first:?}");
    }

    #[test]
    fn a_worker_that_panics_ends_the_work() {
        let items: Vec<usize> = (0..500).collect();
        let work = |n: &usize| {
            assert_ne!(*n, 3, "for the test");
            *n
        };
        let ended = std::panic::catch_unwind(|| in_order(&items, 2, work, |_, _| Ok(())));
        assert!(ended.is_err());
    }

    #[test]
    fn a_reader_that_leaves_stops_the_work() {
        let items: Vec<usize> = (0..100_000).collect();
        let started = AtomicUsize::new(0);
        let work = |n: &usize| {
            started.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_micros(50));
            *n
        };
        let result = in_order(&items, 2, work, |_, _| Err(Failure::ReaderGone));
        assert!(matches!(result, Err(Failure::ReaderGone)));
        assert!(started.load(Ordering::Relaxed) < items.len());
    }
}
