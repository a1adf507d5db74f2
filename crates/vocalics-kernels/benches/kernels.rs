//! Median milliseconds of every kernel at the sizes of real networks.
//!
//!     cargo bench -p vocalics-kernels -- [--threads N] [--repeat N] [NAME...]
//!
//! Without names all kernels run; a name selects those that contain it. The products of a
//! convolution and of a recurrent layer are also told in GFLOP/s.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::time::Instant;

use vocalics_kernels::conv::{self, Conv2dShape};
use vocalics_kernels::norm::{self, NormShape};
use vocalics_kernels::pool::{self, PoolShape};
use vocalics_kernels::recurrent::{RecurrentShape, Weights};
use vocalics_kernels::{gate, gru, lstm};

const BATCH: usize = 32;

struct Bench {
    names: Vec<String>,
    repeat: usize,
}

impl Bench {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }

    /// Runs `work`, prints its median time and, for `operations` multiply-adds, its rate.
    fn time(&self, name: &str, operations: usize, mut work: impl FnMut()) {
        let mut seconds: Vec<f64> = (0..self.repeat)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        print!("{name:<44} {:9.3} ms", 1e3 * median);
        if operations > 0 {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let rate = 2e-9 * operations as f64 / median;
            print!(" {rate:8.1} GFLOP/s");
        }
        println!();
    }
}

fn wave(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| {
            #[expect(clippy::cast_precision_loss, reason = "below 97")]
            let x = (i * 31 % 97) as f32;
            x / 97.0 - 0.5
        })
        .collect()
}

fn convolution(bench: &Bench, name: &str, shape: &Conv2dShape) {
    if !bench.wants(name) {
        return;
    }
    let (x, w, dy) = (
        wave(shape.input_len()),
        wave(shape.weight_len()),
        wave(shape.output_len()),
    );
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
    let operations = shape.multiply_adds();
    bench.time(&format!("{name}, forward"), operations, || {
        conv::forward(shape, &x, &w, &mut y);
    });
    bench.time(&format!("{name}, input gradient"), operations, || {
        conv::backward_input(shape, &w, &dy, &mut dx);
    });
    bench.time(&format!("{name}, weight gradient"), operations, || {
        conv::backward_weight(shape, &x, &dy, &mut dw);
    });
}

fn convolutions(bench: &Bench) {
    let shape = |channels: [usize; 2], input, kernel: [usize; 2], stride, groups| Conv2dShape {
        batch: BATCH,
        in_channels: channels[0],
        input,
        out_channels: channels[1],
        kernel,
        stride,
        padding: [kernel[0] / 2, kernel[1] / 2],
        dilation: [1, 1],
        groups,
    };
    // The default network's, 64 bands and 128 frames.
    let (five, three) = ([5, 5], [3, 3]);
    for (channels, input, kernel, stride) in [
        ([3, 24], [64, 128], five, 2),
        ([24, 24], [32, 64], three, 1),
        ([24, 48], [32, 64], three, 2),
        ([48, 48], [16, 32], three, 1),
        ([48, 96], [16, 32], three, 2),
        ([96, 96], [8, 16], three, 1),
        ([96, 144], [8, 16], three, 2),
        ([144, 144], [4, 8], three, 1),
    ] {
        let name = format!(
            "conv {} -> {}, {}x{} / {stride}",
            channels[0], channels[1], kernel[0], kernel[1]
        );
        convolution(
            bench,
            &name,
            &shape(channels, input, kernel, [stride, stride], 1),
        );
    }
    for (name, channels, input, kernel, stride, groups) in [
        (
            "conv1d 64 -> 128, 5",
            [64, 128],
            [1, 400],
            [1, 5],
            [1, 1],
            1,
        ),
        (
            "conv1d 128 -> 128, 9",
            [128, 128],
            [1, 400],
            [1, 9],
            [1, 1],
            1,
        ),
        (
            "conv1d 1 -> 32, 25 / 5, waveform",
            [1, 32],
            [1, 48_000],
            [1, 25],
            [1, 5],
            1,
        ),
        (
            "grouped 64 -> 64 by 4, 3x3",
            [64, 64],
            [16, 32],
            three,
            [1, 1],
            4,
        ),
        (
            "pointwise 64 -> 128",
            [64, 128],
            [16, 32],
            [1, 1],
            [1, 1],
            1,
        ),
        ("depthwise 64, 3x3", [64, 64], [32, 64], three, [1, 1], 64),
        (
            "depthwise 64, 3x3 / 2",
            [64, 64],
            [32, 64],
            three,
            [2, 2],
            64,
        ),
        (
            "depthwise 128, 3x3, small",
            [128, 128],
            [8, 16],
            three,
            [1, 1],
            128,
        ),
        (
            "depthwise1d 128, 9",
            [128, 128],
            [1, 400],
            [1, 9],
            [1, 1],
            128,
        ),
    ] {
        convolution(bench, name, &shape(channels, input, kernel, stride, groups));
    }
}

fn normalisation(bench: &Bench) {
    if !bench.wants("norm") {
        return;
    }
    let shape = NormShape {
        batch: BATCH,
        channels: 24,
        positions: 32 * 64,
    };
    let len = shape.batch * shape.channels * shape.positions;
    let (x, dy) = (wave(len), wave(len));
    let (gamma, beta) = (wave(shape.channels), wave(shape.channels));
    let mut y = dy.clone();
    let moments = norm::moments(&shape, &x);
    bench.time("norm, moments", 0, || drop(norm::moments(&shape, &x)));
    bench.time("norm with ReLU, forward", 0, || {
        norm::forward(&shape, &x, &moments, &gamma, &beta, 1e-5, true, &mut y);
    });
    bench.time("norm with ReLU, gradients", 0, || {
        drop(norm::backward(
            &shape, &x, &moments, &gamma, &beta, 1e-5, true, &dy,
        ));
    });
}

fn gates(bench: &Bench) {
    if !bench.wants("gate") {
        return;
    }
    let (rows, positions) = (BATCH * 24, 32 * 64);
    let (x, shortcut, dy) = (
        wave(rows * positions),
        wave(rows * positions),
        wave(rows * positions),
    );
    let s = wave(rows);
    let y = gate::scale_add_relu(positions, &x, &s, &shortcut);
    bench.time("gate, mean", 0, || drop(gate::mean(positions, &x)));
    bench.time("gate, forward", 0, || {
        drop(gate::scale_add_relu(positions, &x, &s, &shortcut));
    });
    bench.time("gate, gradients", 0, || {
        drop(gate::scale_add_relu_backward(positions, &x, &s, &y, &dy));
    });
}

fn pooling(bench: &Bench) {
    for (name, kernel, stride, padding) in [
        ("pool 2x2 / 2", [2, 2], [2, 2], [0, 0]),
        ("pool 3x3 / 2", [3, 3], [2, 2], [1, 1]),
        ("pool 1x3 / 1", [1, 3], [1, 1], [0, 1]),
    ] {
        if !bench.wants(name) {
            continue;
        }
        let shape = PoolShape {
            planes: BATCH * 32,
            input: [32, 64],
            kernel,
            stride,
            padding,
        };
        let (x, dy) = (wave(shape.input_len()), wave(shape.output_len()));
        let (mut y, mut dx) = (dy.clone(), x.clone());
        let mut index = vec![0; y.len()];
        bench.time(&format!("{name}, max, forward"), 0, || {
            pool::max(&shape, &x, &mut y, &mut index);
        });
        bench.time(&format!("{name}, max, gradient"), 0, || {
            pool::max_backward(&shape, &index, &dy, &mut dx);
        });
        bench.time(&format!("{name}, average, forward"), 0, || {
            pool::average(&shape, &x, &mut y);
        });
        bench.time(&format!("{name}, average, gradient"), 0, || {
            pool::average_backward(&shape, &dy, &mut dx);
        });
    }
}

fn recurrent(bench: &Bench) {
    for (inputs, hidden) in [(64, 64), (128, 128), (256, 256)] {
        let shape = RecurrentShape {
            batch: BATCH,
            n_frames: 100,
            inputs,
            hidden,
            reverse: false,
        };
        let (x, dy) = (wave(shape.input_len()), wave(shape.output_len()));
        for (name, gates) in [("lstm", lstm::GATES), ("gru", gru::GATES)] {
            let name = format!("{name} {inputs} -> {hidden}, 100 frames");
            if !bench.wants(&name) {
                continue;
            }
            let rows = gates * hidden;
            let scaled = |len: usize| wave(len).iter().map(|w| w * 0.1).collect::<Vec<_>>();
            let (input, recall) = (scaled(rows * inputs), scaled(rows * hidden));
            let bias = scaled(rows);
            let weights = Weights {
                input: &input,
                hidden: &recall,
                bias_input: &bias,
                bias_hidden: &bias,
            };
            let operations = BATCH * shape.n_frames * rows * (inputs + hidden);
            let mut y = vec![0.0; shape.output_len()];
            if gates == lstm::GATES {
                let mut tape = lstm::Tape::default();
                bench.time(&format!("{name}, forward"), operations, || {
                    lstm::forward(&shape, &x, &weights, &mut y, &mut tape);
                });
                bench.time(&format!("{name}, gradients"), 2 * operations, || {
                    drop(lstm::backward(&shape, &x, &weights, &y, tape.clone(), &dy));
                });
            } else {
                let mut tape = gru::Tape::default();
                bench.time(&format!("{name}, forward"), operations, || {
                    gru::forward(&shape, &x, &weights, &mut y, &mut tape);
                });
                bench.time(&format!("{name}, gradients"), 2 * operations, || {
                    drop(gru::backward(&shape, &x, &weights, &y, tape.clone(), &dy));
                });
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut threads, mut bench) = (
        1,
        Bench {
            names: Vec::new(),
            repeat: 15,
        },
    );
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().unwrap_or_default();
            text.parse::<usize>()
                .map_err(|error| format!("{argument} {text:?}: {error}"))
        };
        match argument.as_str() {
            "--threads" => threads = number()?,
            "--repeat" => bench.repeat = number()?.max(1),
            // Cargo passes it.
            "--bench" => {}
            name => bench.names.push(name.to_owned()),
        }
    }
    println!(
        "batch {BATCH}, {threads} thread(s), median of {}",
        bench.repeat
    );
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    pool.install(|| {
        convolutions(&bench);
        normalisation(&bench);
        gates(&bench);
        pooling(&bench);
        recurrent(&bench);
    });
    Ok(())
}
