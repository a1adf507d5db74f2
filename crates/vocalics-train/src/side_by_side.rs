//! Several trainings at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::TrainError;

/// Lets no new piece of work start when a worker ends otherwise than for want of work: by an error or a panic.
struct StopOthers<'a> {
    next: &'a AtomicUsize,
    count: usize,
}

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        self.next.store(self.count, Ordering::Relaxed);
    }
}

/// Does `count` pieces of work, numbered from 0 and begun in that order, `jobs` at a time on a thread each, and gives their
/// results in the order of the numbers.
///
/// # Errors
/// The first error by the numbers. Nothing new begins after one, what is under way is finished; so after a panic, which goes on
/// to the caller.
pub(crate) fn side_by_side<R: Send>(
    jobs: usize,
    count: usize,
    work: impl Fn(usize) -> Result<R, TrainError> + Sync,
) -> Result<Vec<R>, TrainError> {
    let results: Vec<Mutex<Option<Result<R, TrainError>>>> =
        (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        // Dropped in any case; when there is no work left, there is none to stop.
        let _stop = StopOthers { next: &next, count };
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            let result = work(at);
            let failed = result.is_err();
            if let Ok(mut slot) = results[at].lock() {
                *slot = Some(result);
            }
            if failed {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, count.max(1)))
            .map(|_| scope.spawn(worker))
            .collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    results
        .into_iter()
        .filter_map(|result| result.into_inner().ok().flatten())
        .collect()
}

/// A pool of so many threads for the arithmetic of one training.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool, TrainError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| TrainError::Threads { threads, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> TrainError {
        TrainError::TooFewClasses { actual: 1 }
    }

    #[test]
    fn results_come_in_order_and_nothing_begins_after_an_error() {
        for jobs in [0, 1, 3, 50] {
            let all = side_by_side(jobs, 20, |at| Ok(at * at)).expect("no error");
            assert_eq!(all, (0..20).map(|at| at * at).collect::<Vec<_>>());
        }
        assert!(side_by_side(2, 0, |_| Ok(())).expect("nothing").is_empty());
        let begun = AtomicUsize::new(0);
        let outcome = side_by_side(1, 20, |at| {
            begun.fetch_add(1, Ordering::Relaxed);
            if at == 3 { Err(failure()) } else { Ok(at) }
        });
        assert!(outcome.is_err());
        assert_eq!(begun.into_inner(), 4);
    }
}
