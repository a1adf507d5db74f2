//! The widest vectors of the machine, chosen at run time.

/// Runs `work` compiled for the vector instructions that this machine has. The loops in it
/// must be inlined; calls of functions that are not stay as they were compiled.
///
/// Multiplications and additions are not fused, so that the result is that of plain code.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
