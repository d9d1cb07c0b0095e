// SPDX-License-Identifier: MIT
//! Operators: products, attention, linear layers and log-mel.
use std::mem::size_of_val;
use std::os::raw::c_void;
use std::ptr;

use npuenc_sys as sys;

use crate::context::Context;
use crate::element::{Activation, AttentionElement, Element, Product, Sample, WeightElement};
use crate::error::{call, require_library, Result};
use crate::handle::{Owned, Raw};
use crate::run::Run;
use crate::values::Precision;

/// An input buffer and its size.
pub(crate) fn input<T>(slice: &[T]) -> (*const c_void, usize) {
    (slice.as_ptr().cast(), size_of_val(slice))
}

/// One that may be left out.
fn optional<T>(slice: Option<&[T]>) -> (*const c_void, usize) {
    slice.map_or((ptr::null(), 0), input)
}

/// An output buffer and its size.
fn output<T>(slice: &mut [T]) -> (*mut c_void, usize) {
    (slice.as_mut_ptr().cast(), size_of_val(slice))
}

fn flags<const N: usize>(set: [(bool, u32); N]) -> u32 {
    set.iter()
        .filter(|(is_set, _)| *is_set)
        .fold(0, |all, (_, flag)| all | flag)
}

/// The product `c[i] = a[i] b[i]` for `i < batch`, all row-major: `a` is `[m][k]`, `b` `[k][n]`, `c`
/// `[m][n]`. What is zero or left out has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Matmul {
    /// 0: 1.
    pub batch: u32,
    /// Rows of `a` and `c`; may be 0.
    pub m: u32,
    /// Columns of `b` and `c`; may be 0.
    pub n: u32,
    /// Columns of `a`, rows of `b`; 0 gives sums of zero.
    pub k: u32,
    /// `b` is `[n][k]`.
    pub b_transposed: bool,
    /// One `b` for the whole batch; `stride_b` must be 0.
    pub b_shared: bool,
    /// For `i8` results, `clamp(rint(sum * scale) + zero_point, -128, 127)`: finite, 0: 1; else 0.
    pub scale: f32,
    /// For `i8` results: -128 to 127; else 0.
    pub zero_point: i32,
    /// Elements from row to row of `a`, at least the row's length; 0: that.
    pub lda: u64,
    /// The same of `b`.
    pub ldb: u64,
    /// The same of `c`.
    pub ldc: u64,
    /// Elements from item to item of `a`, at least an item's span; 0: rows * leading dimension.
    pub stride_a: u64,
    /// The same of `b`.
    pub stride_b: u64,
    /// The same of `c`.
    pub stride_c: u64,
}

/// `softmax(q k^T * scale + mask) v` for every item and head (Vaswani et al. 2017, equation 1). `q`
/// and the result are `[batch][q_len][n_head][head_dim]`, `k` and `v`
/// `[batch][kv_len][n_head][head_dim]`. What is zero or left out has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attention<'a> {
    /// 0: 1.
    pub batch: u32,
    /// At least 1.
    pub n_head: u32,
    /// At least 1.
    pub head_dim: u32,
    /// Queries; may be 0.
    pub q_len: u32,
    /// Keys and values; may be 0.
    pub kv_len: u32,
    /// Who sees whom. A query that sees no key gives zeros.
    pub mask: Mask<'a>,
    /// Of the scores: finite, 0: 1 / sqrt(head_dim).
    pub scale: f32,
    /// `i8`: a real value of `q` is its integer times this. Positive and finite, 0: 1; else 0.
    pub q_scale: f32,
    /// The same of `k`.
    pub k_scale: f32,
    /// The same of `v`.
    pub v_scale: f32,
    /// The same of the result, `clamp(rint(real / out_scale), -128, 127)`.
    pub out_scale: f32,
    /// Elements from position to position of `q`, at least `n_head * head_dim`; 0: that.
    pub ldq: u64,
    /// The same of `k`.
    pub ldk: u64,
    /// The same of `v`.
    pub ldv: u64,
    /// The same of the result.
    pub ldo: u64,
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Mask<'a> {
    /// All.
    #[default]
    None,
    /// Item i's first `lengths[i]` ones.
    KeyLengths(&'a [u32]),
    /// Query i sees key j when `j <= i + kv_len - q_len`; needs `kv_len >= q_len`.
    Causal,
    /// All, but what is given is added to every score; minus infinity hides a key.
    Add {
        /// `[items][heads][q_len][kv_len]`.
        scores: &'a [f32],
        /// `items` is `batch`, else 1.
        per_item: bool,
        /// `heads` is `n_head`, else 1.
        per_head: bool,
    },
}

/// A window of sound as log-mel, as Whisper defines it. What is zero or left out has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mel {
    /// 80 or 128; 0: 80.
    pub n_mels: u32,
    /// Of the window: 2 to 131072; 0: 3000, which is 30 s. The window has `160 * n_frames` samples.
    pub n_frames: u32,
}

impl Mel {
    fn desc(&self, input: i32) -> sys::npuenc_mel_desc {
        sys::npuenc_mel_desc {
            input,
            n_mels: self.n_mels,
            n_frames: self.n_frames,
            ..Default::default()
        }
    }

    /// How many numbers the result has.
    pub fn output_len(&self) -> Result<usize> {
        require_library()?;
        let desc = self.desc(f32::INPUT);
        let mut bytes = 0;
        // SAFETY: a struct with its size and a place for a number.
        call(|| unsafe { sys::npuenc_mel_size(&desc, &mut bytes) })?;
        Ok(bytes / std::mem::size_of::<f32>())
    }
}

impl Context {
    /// Multiplies matrices: see [`Matmul`]. `f32` sums of exact products of `f32` or
    /// [`Bf16`](crate::Bf16), or of `i8` exact ones modulo 2^32.
    ///
    /// ```
    /// # use npuenc::{Context, DeviceType, Matmul};
    /// let context = Context::builder().device_type(DeviceType::Cpu).open()?;
    /// let product = Matmul { m: 2, n: 1, k: 2, ..Default::default() };
    /// let mut c = [0i32; 2];
    /// context.matmul(&product, &[1i8, 2, 3, 4], &[5i8, 6], &mut c, None)?;
    /// assert_eq!(c, [17, 39]);
    /// # Ok::<(), npuenc::Error>(())
    /// ```
    ///
    /// There are no other types:
    ///
    /// ```compile_fail,E0277
    /// # use npuenc::{Context, Matmul};
    /// # let context = Context::open()?;
    /// # let product = Matmul { m: 1, n: 1, k: 1, ..Default::default() };
    /// context.matmul(&product, &[1i8], &[2i8], &mut [0f32], None)?;
    /// # Ok::<(), npuenc::Error>(())
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use npuenc::{Context, Matmul};
    /// # let context = Context::open()?;
    /// # let product = Matmul { m: 1, n: 1, k: 1, ..Default::default() };
    /// context.matmul(&product, &[1f64], &[2f64], &mut [0f64], None)?;
    /// # Ok::<(), npuenc::Error>(())
    /// ```
    ///
    /// and the result cannot be written over what it is made from:
    ///
    /// ```compile_fail,E0502
    /// # use npuenc::{Context, Matmul};
    /// # let context = Context::open()?;
    /// # let product = Matmul { m: 1, n: 1, k: 1, ..Default::default() };
    /// let mut a = [1f32];
    /// context.matmul(&product, &a, &[2f32], &mut a, None)?;
    /// # Ok::<(), npuenc::Error>(())
    /// ```
    pub fn matmul<A: Product<C>, C: Element>(
        &self,
        product: &Matmul,
        a: &[A],
        b: &[A],
        c: &mut [C],
        run: Option<&Run>,
    ) -> Result<()> {
        let desc = sys::npuenc_matmul_desc {
            a_type: A::DTYPE,
            b_type: A::DTYPE,
            c_type: C::DTYPE,
            batch: product.batch,
            m: product.m,
            n: product.n,
            k: product.k,
            flags: flags([
                (product.b_transposed, sys::NPUENC_MATMUL_B_TRANSPOSED),
                (product.b_shared, sys::NPUENC_MATMUL_B_SHARED),
            ]),
            scale: product.scale,
            zero_point: product.zero_point,
            lda: product.lda,
            ldb: product.ldb,
            ldc: product.ldc,
            stride_a: product.stride_a,
            stride_b: product.stride_b,
            stride_c: product.stride_c,
            ..Default::default()
        };
        let ((a, a_bytes), (b, b_bytes), (c, c_bytes)) = (input(a), input(b), output(c));
        // SAFETY: a handle, a struct with its size and buffers with theirs.
        call(|| unsafe {
            sys::npuenc_matmul(
                self.as_ptr(),
                &desc,
                a,
                a_bytes,
                b,
                b_bytes,
                c,
                c_bytes,
                Run::of(run),
            )
        })
    }

    /// Computes attention: see [`Attention`]. `f32` throughout; of [`Bf16`](crate::Bf16) products
    /// with `f32` sums and the softmax in `f32`; of `i8` exact products of `q` and `k`, the softmax
    /// in `f32` and probabilities in bf16.
    pub fn attention<T: AttentionElement>(
        &self,
        attention: &Attention<'_>,
        q: &[T],
        k: &[T],
        v: &[T],
        out: &mut [T],
        run: Option<&Run>,
    ) -> Result<()> {
        let (mask_kind, mask, flags) = match attention.mask {
            Mask::None => (sys::NPUENC_MASK_NONE, (ptr::null(), 0), 0),
            Mask::KeyLengths(lengths) => (sys::NPUENC_MASK_KEY_LENGTHS, input(lengths), 0),
            Mask::Causal => (sys::NPUENC_MASK_CAUSAL, (ptr::null(), 0), 0),
            Mask::Add {
                scores,
                per_item,
                per_head,
            } => (
                sys::NPUENC_MASK_ADD_F32,
                input(scores),
                flags([
                    (per_item, sys::NPUENC_ATTENTION_MASK_PER_ITEM),
                    (per_head, sys::NPUENC_ATTENTION_MASK_PER_HEAD),
                ]),
            ),
        };
        let desc = sys::npuenc_attention_desc {
            type_: T::DTYPE,
            batch: attention.batch,
            n_head: attention.n_head,
            head_dim: attention.head_dim,
            q_len: attention.q_len,
            kv_len: attention.kv_len,
            mask: mask_kind,
            flags,
            scale: attention.scale,
            q_scale: attention.q_scale,
            k_scale: attention.k_scale,
            v_scale: attention.v_scale,
            out_scale: attention.out_scale,
            ldq: attention.ldq,
            ldk: attention.ldk,
            ldv: attention.ldv,
            ldo: attention.ldo,
            ..Default::default()
        };
        let ((q, q_bytes), (k, k_bytes), (v, v_bytes)) = (input(q), input(k), input(v));
        let ((mask, mask_bytes), (out, out_bytes)) = (mask, output(out));
        // SAFETY: a handle, a struct with its size and buffers with theirs.
        call(|| unsafe {
            sys::npuenc_attention(
                self.as_ptr(),
                &desc,
                q,
                q_bytes,
                k,
                k_bytes,
                v,
                v_bytes,
                mask,
                mask_bytes,
                out,
                out_bytes,
                Run::of(run),
            )
        })
    }

    /// Computes log-mel: see [`Mel`]. `pcm` may be shorter than the window (it is continued with
    /// zeros) but not longer; `out` is `[n_mels][n_frames]`. Runs on the host whatever the device.
    pub fn mel<S: Sample>(
        &self,
        mel: &Mel,
        pcm: &[S],
        out: &mut [f32],
        run: Option<&Run>,
    ) -> Result<()> {
        let desc = mel.desc(S::INPUT);
        let ((pcm, pcm_bytes), (out, out_bytes)) = (input(pcm), output(out));
        // SAFETY: a handle, a struct with its size and buffers with theirs.
        call(|| unsafe {
            sys::npuenc_mel(
                self.as_ptr(),
                &desc,
                pcm,
                pcm_bytes,
                out,
                out_bytes,
                Run::of(run),
            )
        })
    }
}

/// What a [`Weight`] is made from: a matrix `[n_out][n_in]` whose rows are output channels, as in
/// PyTorch and in Whisper's files. What is zero or left out has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WeightOptions<'a> {
    /// Rows, at least 1.
    pub n_out: u32,
    /// Columns, at least 1.
    pub n_in: u32,
    /// Of its products; `Auto`: `F32` for `f32` and [`F16`](crate::F16), `Bf16` for
    /// [`Bf16`](crate::Bf16), `Int8` for `i8`, which takes no other.
    pub precision: Precision,
    /// Elements from row to row, at least `n_in`; 0: that.
    pub ld: u64,
    /// For `i8` and for nothing else: one for each row, `W[i][j] = data[i][j] * scales[i]`.
    pub scales: Option<&'a [f32]>,
    /// One for each row.
    pub bias: Option<&'a [f32]>,
}

/// `y[rows][n_out] = x[rows][n_in] W^T + bias`. What is zero or left out has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linear {
    /// May be 0.
    pub rows: u32,
    /// Elements from row to row of `x`, at least the row's length; 0: that.
    pub ldx: u64,
    /// The same of `y`.
    pub ldy: u64,
}

/// One packed matrix on a device. It can be used from any number of threads at once.
///
/// ```
/// use npuenc::{Context, DeviceType, Linear, Weight, WeightOptions};
///
/// let context = Context::builder().device_type(DeviceType::Cpu).open()?;
/// let bias = [0.5f32, 0.0];
/// let options = WeightOptions { n_out: 2, n_in: 3, bias: Some(&bias), ..Default::default() };
/// let weight = Weight::new(&context, &options, &[1f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let mut y = [0f32; 2];
/// weight.linear(&Linear { rows: 1, ..Default::default() }, &[1f32, 1.0, 1.0], &mut y, None)?;
/// assert_eq!(y, [6.5, 15.0]);
/// # Ok::<(), npuenc::Error>(())
/// ```
pub struct Weight(Owned<WeightParts>);

/// The handle goes before its context.
struct WeightParts {
    raw: Raw<sys::npuenc_weight>,
    _context: Context,
}

impl Weight {
    /// Packs a matrix. Nothing of what is given is kept.
    pub fn new<T: WeightElement>(
        context: &Context,
        options: &WeightOptions<'_>,
        data: &[T],
    ) -> Result<Self> {
        let desc = sys::npuenc_weight_desc {
            type_: T::DTYPE,
            precision: options.precision.code(),
            n_out: options.n_out,
            n_in: options.n_in,
            ld: options.ld,
            ..Default::default()
        };
        let (data, data_bytes) = input(data);
        let (scales, scales_bytes) = optional(options.scales);
        let (bias, bias_bytes) = optional(options.bias);
        // SAFETY: a handle, a struct with its size and buffers with theirs.
        let raw = Raw::made(|out| unsafe {
            sys::npuenc_weight_create(
                context.as_ptr(),
                &desc,
                data,
                data_bytes,
                scales,
                scales_bytes,
                bias,
                bias_bytes,
                out,
            )
        })?;
        Ok(Self(Owned::new(WeightParts {
            raw,
            _context: context.clone(),
        })))
    }

    /// Multiplies rows by it: see [`Linear`].
    pub fn linear<X: Activation, Y: Activation>(
        &self,
        linear: &Linear,
        x: &[X],
        y: &mut [Y],
        run: Option<&Run>,
    ) -> Result<()> {
        let desc = sys::npuenc_linear_desc {
            x_type: X::DTYPE,
            y_type: Y::DTYPE,
            rows: linear.rows,
            ldx: linear.ldx,
            ldy: linear.ldy,
            ..Default::default()
        };
        let ((x, x_bytes), (y, y_bytes)) = (input(x), output(y));
        // SAFETY: a handle, a struct with its size and buffers with theirs.
        call(|| unsafe {
            sys::npuenc_linear(
                self.0.raw.as_ptr(),
                &desc,
                x,
                x_bytes,
                y,
                y_bytes,
                Run::of(run),
            )
        })
    }
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weight").finish_non_exhaustive()
    }
}
