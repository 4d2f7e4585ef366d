//! Scratch timing.
use std::time::Instant;
use umid_kernels::*;
fn main() {
    let (w, inner, heads, layers, tokens) = (768usize, 3072usize, 12usize, 12usize, 50usize);
    let r = |n: usize, s: f32, k: usize| -> Vec<f32> { (0..n).map(|i| ((((i + k * 131) as u64).wrapping_mul(2654435761) >> 7) % 2001) as f32 / 1000.0 * s - s).collect() };
    let qkv = r(w * 3 * w, 0.03, 1); let out = r(w * w, 0.03, 2); let f1 = r(w * inner, 0.03, 3); let f2 = r(w * inner, 0.03, 4);
    let b3 = r(3 * w, 0.1, 5); let b1 = r(w, 0.1, 6); let bi = r(inner, 0.1, 7); let g: Vec<f32> = r(w, 0.2, 8).iter().map(|x| 1.0 + x).collect(); let s = r(w, 0.1, 9);
    let blocks: Vec<Weights> = (0..layers).map(|_| Weights {
        norm_before: Norm { gain: &g, shift: &s }, qkv: Linear { weight: &qkv, bias: Some(&b3) }, output: Linear { weight: &out, bias: Some(&b1) },
        norm_after: Norm { gain: &g, shift: &s }, fc1: Linear { weight: &f1, bias: Some(&bi) }, fc2: Linear { weight: &f2, bias: Some(&b1) },
        heads, activation: Activation::QuickGelu, epsilon: 1e-5, groups: Groups::All }).collect();
    let t = Instant::now();
    let stack = Stack::new(&blocks);
    println!("laid out in {:.2} s", t.elapsed().as_secs_f64());
    for batch in [1, 2, 8, 32] {
        let hidden = r(batch * tokens * w, 1.0, 10);
        let read = vec![0; batch];
        let mut best = f64::MAX; let mut bf = 0.0;
        for _ in 0..6 {
            let t = Instant::now();
            let (o, p) = stack.forward_for_backward(&hidden, tokens, Some(&read));
            let f = t.elapsed().as_secs_f64();
            let gr = stack.backward(&o, &p);
            assert!(gr.iter().all(|x| x.is_finite()));
            let e = t.elapsed().as_secs_f64(); if e < best { best = e; bf = f; }
        }
        let flops = (layers - 1) as f64 * 2.0 * (batch * tokens * (4 * w * w + 2 * w * inner)) as f64 * 2.0;
        println!("batch {batch}: forward {:.1} ms, both {:.1} ms, {:.0} GFLOP/s", bf * 1e3, best * 1e3, flops / best / 1e9);
    }
}
