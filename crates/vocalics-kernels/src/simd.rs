//! The widest vectors of the machine, chosen at run time.

use pulp::NullaryFnOnce;

/// A loop and its operands. (Not a closure: nothing makes a compiler inline one.)
pub(crate) trait Kernel {
    /// Must be `#[inline(always)]`, and so must what it calls: what is not inlined stays as it was
    /// compiled, for the oldest machine.
    fn run(self);
}

struct Call<K>(K);

impl<K: Kernel> NullaryFnOnce for Call<K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.run();
    }
}

/// Runs a kernel compiled for the vector instructions that this machine has.
///
/// Multiplications and additions are not fused, so that the result is that of plain code.
pub(crate) fn vectorised(kernel: impl Kernel) {
    pulp::Arch::new().dispatch(Call(kernel));
}
