use std::time::Instant;
use vocalics_kernels::infer::{
    Level,
    conv::{Conv, Geometry, Shape},
    function::Function,
    tile::Finish,
};
fn main() {
    let cases = [
        (3, 24, 5, 2, 2, 64, 350),
        (24, 24, 3, 1, 1, 32, 175),
        (24, 48, 3, 2, 1, 32, 175),
        (48, 48, 3, 1, 1, 16, 88),
        (48, 96, 3, 2, 1, 16, 88),
        (96, 96, 3, 1, 1, 8, 44),
        (96, 144, 3, 2, 1, 8, 44),
        (144, 144, 3, 1, 1, 4, 22),
        (24, 48, 1, 2, 0, 32, 175),
    ];
    for level in Level::here() {
        println!("{level:?}");
        let mut total = 0.0;
        for (i, o, k, s, p, h, w) in cases {
            let shape = Shape {
                inputs: i,
                outputs: o,
                groups: 1,
                kernel: [k, k],
                stride: [s, s],
                dilation: [1, 1],
                before: [p, p],
                after: [p, p],
            };
            let c = Conv::new(shape, &vec![0.01; o * i * k * k], &vec![0.1; o]);
            let mut g = Geometry::default();
            assert!(c.prepare(&mut g, [h, w]));
            let [oh, ow] = g.output();
            let x = vec![0.5f32; i * h * w];
            let mut out = vec![0.0; o * oh * ow];
            let mut sc = vec![0.0; c.scratch(&g)];
            let mut best = f64::MAX;
            for _ in 0..60 {
                let t = Instant::now();
                c.run(
                    level,
                    1,
                    &g,
                    &x,
                    Finish {
                        function: Some(Function::Relu),
                        ..Default::default()
                    },
                    &mut sc,
                    &mut out,
                );
                best = best.min(t.elapsed().as_secs_f64());
            }
            let macs = (o * i * k * k * oh * ow) as f64;
            total += best;
            println!(
                "{i:4}->{o:4} k{k} s{s} {h}x{w}: {:7.1} us  {:6.1} GFLOP/s",
                best * 1e6,
                2.0 * macs / best * 1e-9
            );
        }
        println!("total {:.2} ms", total * 1e3);
    }
}
