// SPDX-License-Identifier: MIT
//! Operators against plain loops in f64. Tolerances are bounds of the rounding errors, not fitted.
use std::f64::consts::PI;

use npuenc::*;

use crate::context;
use crate::numbers::{random, Number, U, U_BF16};

/// How a matrix lies in a buffer.
#[derive(Clone, Copy)]
struct Layout {
    ld: usize,
    stride: usize,
    transposed: bool,
}

impl Layout {
    fn at(self, item: usize, row: usize, column: usize) -> usize {
        let (row, column) = if self.transposed {
            (column, row)
        } else {
            (row, column)
        };
        item * self.stride + row * self.ld + column
    }
}

struct Shape {
    matmul: Matmul,
    a: Layout,
    b: Layout,
    c: Layout,
}

const M: usize = 5;
const N: usize = 7;
const K: usize = 33;
const BATCH: usize = 3;

fn shapes() -> Vec<Shape> {
    let tight = |columns, rows: usize| Layout {
        ld: columns,
        stride: rows * columns,
        transposed: false,
    };
    let plain = Matmul {
        batch: BATCH as u32,
        m: M as u32,
        n: N as u32,
        k: K as u32,
        ..Default::default()
    };
    let (a, b, c) = (tight(K, M), tight(N, K), tight(N, M));
    let b_transposed = Layout {
        transposed: true,
        ..tight(K, N)
    };
    let wide = |columns, rows: usize| Layout {
        ld: columns + 3,
        stride: rows * (columns + 3) + 11,
        transposed: false,
    };
    let (wide_a, wide_b, wide_c) = (wide(K, M), wide(N, K), wide(N, M));
    vec![
        Shape {
            matmul: plain,
            a,
            b,
            c,
        },
        Shape {
            matmul: Matmul {
                b_transposed: true,
                ..plain
            },
            a,
            b: b_transposed,
            c,
        },
        Shape {
            matmul: Matmul {
                b_shared: true,
                ..plain
            },
            a,
            b: Layout { stride: 0, ..b },
            c,
        },
        Shape {
            matmul: Matmul {
                lda: wide_a.ld as u64,
                ldb: wide_b.ld as u64,
                ldc: wide_c.ld as u64,
                stride_a: wide_a.stride as u64,
                stride_b: wide_b.stride as u64,
                stride_c: wide_c.stride as u64,
                ..plain
            },
            a: wide_a,
            b: wide_b,
            c: wide_c,
        },
    ]
}

/// Multiplies in every shape and gives each result to `check` with the sum and the sum of magnitudes;
/// what lies between the rows of the result must stay as it was.
fn multiply<A, C>(options: Matmul, before: C, check: impl Fn(C, f64, f64))
where
    A: Product<C> + Number,
    C: Element + Number + PartialEq + std::fmt::Debug,
{
    let context = context();
    for shape in shapes() {
        let matmul = Matmul {
            scale: options.scale,
            zero_point: options.zero_point,
            ..shape.matmul
        };
        let a: Vec<A> = random(2000, 1);
        let b: Vec<A> = random(2000, 2);
        let mut c = vec![before; 2000];
        context.matmul(&matmul, &a, &b, &mut c, None).unwrap();
        let mut is_result = vec![false; c.len()];
        for (item, i, j) in (0..BATCH * M * N).map(|x| (x / (M * N), x / N % M, x % N)) {
            let products = (0..K)
                .map(|k| a[shape.a.at(item, i, k)].value() * b[shape.b.at(item, k, j)].value());
            let sum = products.clone().sum();
            let at = shape.c.at(item, i, j);
            check(c[at], sum, products.map(f64::abs).sum());
            is_result[at] = true;
        }
        let between = c.iter().zip(is_result).filter(|(_, is)| !is);
        assert!(between.clone().count() > 100);
        assert!(between.map(|(c, _)| *c).all(|c| c == before));
    }
}

/// A sum of K products has at most K roundings after each product.
fn check_float<C: Number>(result: C, sum: f64, magnitudes: f64) {
    let of_sum = (K + 1) as f64 * U * magnitudes;
    let tolerance = of_sum + C::ROUNDOFF * (sum.abs() + of_sum);
    let error = (result.value() - sum).abs();
    assert!(error <= tolerance, "{error} > {tolerance}");
}

#[test]
fn matmul_f32() {
    multiply::<f32, f32>(Matmul::default(), 77.0, check_float);
}

#[test]
fn matmul_bf16_to_f32() {
    multiply::<Bf16, f32>(Matmul::default(), 77.0, check_float);
}

#[test]
fn matmul_bf16() {
    multiply::<Bf16, Bf16>(Matmul::default(), Bf16(77), check_float);
}

impl Number for i32 {
    fn of(value: f32) -> Self {
        value as i32
    }
    fn value(self) -> f64 {
        f64::from(self)
    }
    const ROUNDOFF: f64 = 0.0;
}

#[test]
fn matmul_i8_to_i32() {
    multiply::<i8, i32>(Matmul::default(), 77, |c, sum, _| {
        assert_eq!(f64::from(c), sum);
    });
}

#[test]
fn matmul_i8() {
    let options = Matmul {
        scale: 0.0021,
        zero_point: -5,
        ..Default::default()
    };
    multiply::<i8, i8>(options, 77, |c, sum, _| {
        // The header's formula; adding 1.5 * 2^23 rounds to nearest even.
        let product = sum as f32 * 0.0021f32;
        let rounded = product + 12_582_912.0 - 12_582_912.0;
        assert_eq!(f32::from(c), (rounded - 5.0).clamp(-128.0, 127.0));
    });
}

const HEADS: usize = 2;
const DIM: usize = 16;
const Q: usize = 6;
const KV: usize = 9;
const ITEMS: usize = 2;
const LENGTHS: [u32; ITEMS] = [4, 0];

/// What the mask adds to a score; minus infinity hides.
fn added(mask: &Mask<'_>, item: usize, head: usize, query: usize, key: usize) -> f64 {
    let seen = |is_seen| if is_seen { 0.0 } else { f64::NEG_INFINITY };
    match *mask {
        Mask::None => 0.0,
        Mask::KeyLengths(lengths) => seen(key < lengths[item] as usize),
        Mask::Causal => seen(key <= query + KV - Q),
        Mask::Add {
            scores,
            per_item,
            per_head,
        } => {
            let heads = if per_head { HEADS } else { 1 };
            let matrix = if per_item { item * heads } else { 0 } + if per_head { head } else { 0 };
            f64::from(scores[(matrix * Q + query) * KV + key])
        }
        _ => unreachable!(),
    }
}

/// Attention in every mask; `roundoff` is that of probabilities.
fn attend<T: AttentionElement + Number>(options: Attention<'_>, is_int: bool, roundoff: f64) {
    let context = context();
    let scores: Vec<f32> = random(ITEMS * HEADS * Q * KV, 4);
    let mut masks = vec![Mask::None, Mask::KeyLengths(&LENGTHS), Mask::Causal];
    for (per_item, per_head) in [(false, false), (true, false), (false, true), (true, true)] {
        let items = if per_item { ITEMS } else { 1 } * if per_head { HEADS } else { 1 };
        masks.push(Mask::Add {
            scores: &scores[..items * Q * KV],
            per_item,
            per_head,
        });
    }
    let row = HEADS * DIM;
    let (ldq, ldk, ldv, ldo) = (row + 2, row + 4, row + 6, row + 8);
    let real = |scale: f32| if is_int { f64::from(scale) } else { 1.0 };
    let (sq, sk, sv) = (
        real(options.q_scale),
        real(options.k_scale),
        real(options.v_scale),
    );
    let so = real(options.out_scale);
    let scale = if options.scale == 0.0 {
        1.0 / (DIM as f64).sqrt()
    } else {
        f64::from(options.scale)
    };
    for mask in masks {
        let attention = Attention {
            batch: ITEMS as u32,
            n_head: HEADS as u32,
            head_dim: DIM as u32,
            q_len: Q as u32,
            kv_len: KV as u32,
            mask,
            ldq: ldq as u64,
            ldk: ldk as u64,
            ldv: ldv as u64,
            ldo: ldo as u64,
            ..options
        };
        let q: Vec<T> = random(ITEMS * Q * ldq, 5);
        let k: Vec<T> = random(ITEMS * KV * ldk, 6);
        let v: Vec<T> = random(ITEMS * KV * ldv, 7);
        let mut out = vec![T::of(0.0); ITEMS * Q * ldo];
        context
            .attention(&attention, &q, &k, &v, &mut out, None)
            .unwrap();
        for (item, head, query) in
            (0..ITEMS * HEADS * Q).map(|x| (x / (HEADS * Q), x / Q % HEADS, x % Q))
        {
            let q = &q[(item * Q + query) * ldq + head * DIM..][..DIM];
            let (mut weights, mut score_error) = (Vec::new(), 0f64);
            for key in 0..KV {
                let k = &k[(item * KV + key) * ldk + head * DIM..][..DIM];
                let products = q
                    .iter()
                    .zip(k)
                    .map(|(q, k)| q.value() * sq * k.value() * sk);
                let score = products.clone().sum::<f64>() * scale;
                let size: f64 = products.map(f64::abs).sum::<f64>() * scale.abs();
                let added = added(&mask, item, head, query, key);
                score_error =
                    score_error.max((DIM + 4) as f64 * U * (size + added.max(-1e9).abs().min(9.0)));
                weights.push((score + added).exp());
            }
            let total: f64 = weights.iter().sum();
            for column in 0..DIM {
                let terms = weights.iter().enumerate().map(|(key, weight)| {
                    let v = v[(item * KV + key) * ldv + head * DIM + column];
                    weight / total.max(1e-300) * v.value() * sv
                });
                let expected: f64 = terms.clone().sum();
                // A score's error is a factor of a probability's, above and below the fraction; exp,
                // the sums and the division have a few roundings each.
                let relative = 2.0 * score_error + (2 * KV + 16) as f64 * U + roundoff;
                let tolerance = relative * terms.map(f64::abs).sum::<f64>();
                let result = out[(item * Q + query) * ldo + head * DIM + column].value();
                let (error, tolerance) = if is_int {
                    let expected = (expected / so).clamp(-128.0, 127.0);
                    ((result - expected).abs(), 0.5 + tolerance / so)
                } else {
                    let rounding = T::ROUNDOFF * (expected.abs() + tolerance);
                    ((result - expected).abs(), tolerance + rounding)
                };
                assert!(error <= tolerance, "{mask:?}: {error} > {tolerance}");
            }
        }
    }
}

#[test]
fn attention_f32() {
    attend::<f32>(Attention::default(), false, 0.0);
    let scaled = Attention {
        scale: 1.5,
        ..Default::default()
    };
    attend::<f32>(scaled, false, 0.0);
}

#[test]
fn attention_bf16() {
    attend::<Bf16>(Attention::default(), false, U_BF16);
}

#[test]
fn attention_i8() {
    let options = Attention {
        scale: 0.5,
        q_scale: 1.0 / 64.0,
        k_scale: 1.0 / 100.0,
        v_scale: 0.01,
        out_scale: 0.005,
        ..Default::default()
    };
    attend::<i8>(options, true, U_BF16);
}

const ROWS: usize = 4;
const OUT: usize = 5;
const IN: usize = 40;

/// A linear layer; `error` is what the precision allows beyond f32, given the row's largest magnitude
/// and the weights' sum of magnitudes.
fn linear<T, X, Y>(precision: Precision, error: fn(f64, f64) -> f64)
where
    T: WeightElement + Number,
    X: Activation + Number,
    Y: Activation + Number,
{
    let context = context();
    let (ld, ldx, ldy) = (IN + 3, IN + 5, OUT + 2);
    let data: Vec<T> = random(OUT * ld, 8);
    let x: Vec<X> = random(ROWS * ldx, 9);
    let bias: Vec<f32> = random(OUT, 10);
    let is_int = T::DTYPE == i8::DTYPE;
    let scales: Vec<f32> = (0..OUT).map(|i| 0.01 + i as f32 * 0.001).collect();
    let options = WeightOptions {
        n_out: OUT as u32,
        n_in: IN as u32,
        precision,
        ld: ld as u64,
        scales: is_int.then(|| &scales[..]),
        bias: Some(&bias),
    };
    let weight = Weight::new(&context, &options, &data).unwrap();
    drop(context); // the weight keeps what it needs
    let linear = Linear {
        rows: ROWS as u32,
        ldx: ldx as u64,
        ldy: ldy as u64,
    };
    let mut y = vec![Y::of(0.0); ROWS * ldy];
    weight.linear(&linear, &x, &mut y, None).unwrap();
    for (row, column) in (0..ROWS * OUT).map(|i| (i / OUT, i % OUT)) {
        let x = &x[row * ldx..][..IN];
        let scale = if is_int {
            f64::from(scales[column])
        } else {
            1.0
        };
        let w = data[column * ld..][..IN].iter().map(|w| w.value() * scale);
        let products = x.iter().zip(w.clone()).map(|(x, w)| x.value() * w);
        let bias = f64::from(bias[column]);
        let expected = products.clone().sum::<f64>() + bias;
        let size = products.map(f64::abs).sum::<f64>() + bias.abs();
        let largest = x.iter().map(|x| x.value().abs()).fold(0.0, f64::max);
        let sums = (IN + 4) as f64 * U * size + error(largest, w.map(f64::abs).sum());
        let tolerance = sums + Y::ROUNDOFF * (expected.abs() + sums);
        let error = (y[row * ldy + column].value() - expected).abs();
        assert!(error <= tolerance, "{error} > {tolerance}");
    }
}

#[test]
fn linear_layers() {
    let exact = |_, _| 0.0;
    linear::<f32, f32, f32>(Precision::Auto, exact);
    linear::<F16, F16, f32>(Precision::F32, exact);
    linear::<Bf16, Bf16, Bf16>(Precision::Auto, exact);
    linear::<f32, f32, F16>(Precision::F32, exact);
    // Both operands are rounded to bf16.
    linear::<f32, f32, f32>(Precision::Bf16, |largest, weights| {
        2.1 * U_BF16 * largest * weights
    });
    // A row is rounded to 127 steps on either side of zero.
    linear::<i8, f32, f32>(Precision::Auto, |largest, weights| {
        largest / 254.0 * 1.0001 * weights
    });
}

/// librosa's filters of 400 points at 16 kHz, Slaney's scale and norm.
fn mel_filters(n_mels: usize) -> Vec<[f64; 201]> {
    let to_mel = |hz: f64| {
        if hz < 1000.0 {
            hz * 3.0 / 200.0
        } else {
            15.0 + (hz / 1000.0).ln() * 27.0 / 6.4f64.ln()
        }
    };
    let to_hz = |mel: f64| {
        if mel < 15.0 {
            mel * 200.0 / 3.0
        } else {
            1000.0 * ((mel - 15.0) * 6.4f64.ln() / 27.0).exp()
        }
    };
    let edge = |i: usize| to_hz(to_mel(8000.0) * i as f64 / (n_mels + 1) as f64);
    (0..n_mels)
        .map(|band| {
            let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
            let mut filter = [0.0; 201];
            for (bin, value) in filter.iter_mut().enumerate() {
                let hz = bin as f64 * 40.0;
                let rising = (hz - low) / (middle - low);
                let falling = (high - hz) / (high - middle);
                *value = rising.min(falling).max(0.0) * 2.0 / (high - low);
            }
            filter
        })
        .collect()
}

/// Whisper's log-mel from its definition.
fn log_mel(pcm: &[f64], n_mels: usize, n_frames: usize) -> Vec<f64> {
    let window = 160 * n_frames;
    let sample = |i: isize| {
        let last = window as isize - 1;
        let i = i.abs();
        let i = if i > last { 2 * last - i } else { i };
        pcm.get(i as usize).copied().unwrap_or(0.0)
    };
    let filters = mel_filters(n_mels);
    let mut logs = vec![0.0; n_mels * n_frames];
    for frame in 0..n_frames {
        let mut power = [0.0; 201];
        for (bin, power) in power.iter_mut().enumerate() {
            let (mut re, mut im) = (0.0, 0.0);
            for t in 0..400 {
                let hann = 0.5 - 0.5 * (2.0 * PI * t as f64 / 400.0).cos();
                let x = hann * sample((160 * frame + t) as isize - 200);
                let angle = 2.0 * PI * ((bin * t) % 400) as f64 / 400.0;
                re += x * angle.cos();
                im += x * angle.sin();
            }
            *power = re * re + im * im;
        }
        for (band, filter) in filters.iter().enumerate() {
            let energy: f64 = filter.iter().zip(power).map(|(f, p)| f * p).sum();
            logs[band * n_frames + frame] = energy.max(1e-10).log10();
        }
    }
    let floor = logs.iter().copied().fold(f64::MIN, f64::max) - 8.0;
    logs.iter().map(|x| (x.max(floor) + 4.0) / 4.0).collect()
}

#[test]
fn mel_is_its_definition() {
    let context = context();
    for (n_mels, n_frames, n_samples) in [(0, 12, 12 * 160), (128, 9, 700)] {
        let mel = Mel { n_mels, n_frames };
        let floats = crate::speech(n_samples);
        let shorts: Vec<i16> = floats.iter().map(|x| (x * 32768.0) as i16).collect();
        let bands = if n_mels == 0 { 80 } else { n_mels as usize };
        let mut out = vec![0f32; mel.output_len().unwrap()];
        assert_eq!(out.len(), bands * n_frames as usize);
        let compare = |out: &[f32], pcm: Vec<f64>| {
            let expected = log_mel(&pcm, bands, n_frames as usize);
            for (out, expected) in out.iter().zip(expected) {
                assert!((f64::from(*out) - expected).abs() <= 1e-4); // the header's
            }
        };
        context.mel(&mel, &floats, &mut out, None).unwrap();
        compare(&out, floats.iter().map(|&x| x.into()).collect());
        context.mel(&mel, &shorts, &mut out, None).unwrap();
        compare(
            &out,
            shorts.iter().map(|&x| f64::from(x) / 32768.0).collect(),
        );
    }
    assert_eq!(Mel::default().output_len().unwrap(), 80 * 3000);
}
