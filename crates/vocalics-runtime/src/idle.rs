//! What is dear to build, lent to one caller at a time.

use std::sync::{Mutex, PoisonError};

/// Things that nobody uses at the moment.
///
/// As many are built as threads ask at the same time; each comes back when its user is done.
#[derive(Debug)]
pub(crate) struct Idle<T>(Mutex<Vec<T>>);

impl<T> Idle<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One that is not in use; the caller builds one where there is none.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Gives one back, or adds one.
    pub(crate) fn put(&self, one: T) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(one);
    }
}
