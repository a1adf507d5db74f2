//! The autocorrelation of a frame by two transforms.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Transforms of one length, planned once.
#[derive(Clone)]
pub(crate) struct Correlator {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    /// The samples, and after [`correlate`](Self::correlate) their autocorrelation.
    pub(crate) time: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    forward_scratch: Vec<Complex<f64>>,
    inverse_scratch: Vec<Complex<f64>>,
}

impl fmt::Debug for Correlator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Correlator")
            .field("length", &self.time.len())
            .finish_non_exhaustive()
    }
}

impl Correlator {
    /// Plans for `length` samples, of which as many at the end as lags are wanted are to be zeros.
    pub(crate) fn new(length: usize) -> Self {
        let mut planner = RealFftPlanner::<f64>::new();
        let forward = planner.plan_fft_forward(length);
        let inverse = planner.plan_fft_inverse(length);
        Self {
            time: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            forward_scratch: forward.make_scratch_vec(),
            inverse_scratch: inverse.make_scratch_vec(),
            forward,
            inverse,
        }
    }

    /// Replaces the samples by `Σ_n x[n] · x[n + lag]`, times the length of the transform.
    pub(crate) fn correlate(&mut self) {
        let done = self.forward.process_with_scratch(
            &mut self.time,
            &mut self.spectrum,
            &mut self.forward_scratch,
        );
        debug_assert!(done.is_ok(), "buffers come from the plan");
        for x in &mut self.spectrum {
            *x = Complex::new(x.norm_sqr(), 0.0);
        }
        let done = self.inverse.process_with_scratch(
            &mut self.spectrum,
            &mut self.time,
            &mut self.inverse_scratch,
        );
        debug_assert!(done.is_ok(), "buffers come from the plan");
    }
}
