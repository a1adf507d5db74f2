//! Median milliseconds of the three passes of the default network's convolutions, one thread.
//!
//!     cargo run --release -p vocalics-kernels --example conv_speed [BATCH] [FRAMES] [REPETITIONS]

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::time::Instant;

use vocalics_kernels::conv::{self, Conv2dShape};

/// Bands of the log-mel image.
const BANDS: usize = 64;

/// Channels in and out, side of the kernel, stride, halvings of the image before it.
const LAYERS: [[usize; 5]; 9] = [
    [3, 24, 5, 2, 0],
    [24, 24, 3, 1, 1],
    [24, 24, 3, 1, 1],
    [24, 48, 3, 2, 1],
    [48, 48, 3, 1, 2],
    [48, 96, 3, 2, 2],
    [96, 96, 3, 1, 3],
    [96, 144, 3, 2, 3],
    [144, 144, 3, 1, 4],
];

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |index, default| {
        std::env::args()
            .nth(index)
            .map_or(Ok(default), |text| text.parse::<usize>())
    };
    let (batch, frames, repetitions) = (argument(1, 32)?, argument(2, 160)?, argument(3, 15)?);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut total = [0.0; 3];
    for [ins, outs, kernel, stride, halvings] in LAYERS {
        let shape = Conv2dShape {
            batch,
            in_channels: ins,
            input: [BANDS >> halvings, frames >> halvings],
            out_channels: outs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 2],
            dilation: [1, 1],
            groups: 1,
        };
        let wave = |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 97) as f32 / 97.0).collect() };
        let (x, w) = (wave(shape.input_len()), wave(shape.weight_len()));
        let mut y = vec![0.0; shape.output_len()];
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..repetitions {
            let laps = pool.install(|| {
                let start = Instant::now();
                conv::forward(&shape, &x, &w, &mut y);
                let forward = start.elapsed();
                conv::backward_input(&shape, &w, &y, &mut dx);
                let input = start.elapsed();
                conv::backward_weight(&shape, &x, &y, &mut dw);
                [forward, input - forward, start.elapsed() - input]
            });
            for (times, lap) in times.iter_mut().zip(laps) {
                times.push(lap.as_secs_f64());
            }
        }
        let medians = times.map(median);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let work = 2e-9 * shape.multiply_adds() as f64;
        print!("{ins:>4} -> {outs:>3}, {kernel}x{kernel} / {stride}:");
        for (name, (seconds, total)) in ["forward", "input", "weight"]
            .iter()
            .zip(medians.iter().zip(&mut total))
        {
            print!(
                "  {name} {:6.2} ms {:5.1} GFLOP/s",
                1e3 * seconds,
                work / seconds
            );
            *total += seconds;
        }
        println!();
    }
    let [forward, input, weight] = total.map(|seconds| 1e3 * seconds);
    println!("forward {forward:.1}, input gradient {input:.1}, weight gradient {weight:.1} ms");
    Ok(())
}
