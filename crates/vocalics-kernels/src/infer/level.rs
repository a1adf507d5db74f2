//! The instruction set, chosen at run time.

use pulp::{Simd, WithSimd};

/// An instruction set that this processor has.
#[derive(Clone, Copy)]
pub struct Level(Kind);

#[derive(Clone, Copy)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    #[cfg(target_arch = "wasm32")]
    Simd128(pulp::wasm::Simd128),
}

impl Level {
    /// The widest one here.
    #[must_use]
    pub fn best() -> Self {
        Self::here().next().unwrap_or_else(Self::portable)
    }

    /// What every processor of this architecture has.
    #[must_use]
    pub fn portable() -> Self {
        Self(Kind::Portable)
    }

    /// All that work here, the widest first; the last is [`portable`](Self::portable).
    pub fn here() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [
            pulp::x86::V4::try_new().map(Kind::Avx512),
            pulp::x86::V3::try_new().map(Kind::Avx2),
        ];
        #[cfg(target_arch = "aarch64")]
        let wide = [pulp::aarch64::Neon::try_new().map(Kind::Neon)];
        #[cfg(target_arch = "wasm32")]
        let wide = [pulp::wasm::Simd128::try_new().map(Kind::Simd128)];
        #[cfg(not(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "wasm32"
        )))]
        let wide: [Option<Kind>; 0] = [];
        wide.into_iter().flatten().chain([Kind::Portable]).map(Self)
    }

    /// Its name: `avx512`, `avx2`, `neon`, `simd128` or `portable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(_) => "neon",
            #[cfg(target_arch = "wasm32")]
            Kind::Simd128(_) => "simd128",
        }
    }

    /// Runs plain loops compiled for this level; they must be inlined all the way into `loops`.
    #[inline]
    pub(crate) fn vectorised(self, loops: impl FnMut()) {
        self.run(Loops(loops));
    }

    /// Runs `operation` compiled for this level, on vectors as wide as it has them.
    #[inline]
    pub(crate) fn run<O: WithSimd>(self, operation: O) -> O::Output {
        match self.0 {
            // Four lanes: what SSE2, which every x86-64 has, holds; plain arrays elsewhere.
            Kind::Portable => Simd::vectorize(pulp::Scalar128b, operation),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "wasm32")]
            Kind::Simd128(simd) => Simd::vectorize(simd, operation),
        }
    }
}

/// A closure whose loops are to be compiled for a level.
///
/// As `FnMut` and not as the `FnOnce` that pulp would take: calling a closure by value goes through a
/// function of its own, which knows nothing of the level.
pub(super) struct Loops<F>(pub(super) F);

impl<F: FnMut()> WithSimd for Loops<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        (self.0)();
    }
}

impl std::fmt::Debug for Level {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Level({})", self.name())
    }
}
