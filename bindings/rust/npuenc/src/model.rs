// SPDX-License-Identifier: MIT
//! An encoder's weights, and encoding.
use std::borrow::Cow;
use std::ffi::CString;
use std::fmt;
use std::mem::size_of;
use std::os::raw::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use npuenc_sys as sys;

use crate::context::Context;
use crate::element::Activation;
use crate::error::{call, field_text, Error, Result};
use crate::handle::{Owned, Raw};
use crate::operators::input;
use crate::pending::Pending;
use crate::run::Run;
use crate::values::{DeviceType, Precision, Status};

/// How to load a [`Model`]. What is left out is chosen by npuenc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// `Auto`, `F32`, `Bf16` or `Int8`: of all products. What the states depend on most is one step
    /// wider. Who needs the same states from a later version names it.
    pub precision: Precision,
    /// Which device runs projections and MLP. The CPU is allowed on any context, an NPU on its own.
    pub linear_device: DeviceType,
    /// Which device runs attention.
    pub attention_device: DeviceType,
    /// Which device runs the two convolutions.
    pub conv_device: DeviceType,
    /// Which device runs norms.
    pub elementwise_device: DeviceType,
}

/// The weights of a Whisper encoder on a device.
///
/// It can be used from any number of threads at once. Clones are the same model.
///
/// ```no_run
/// use npuenc::{Context, Encode, Model, ModelOptions};
///
/// let context = Context::open()?;
/// let model = Model::load(&context, "ggml-base.bin", &ModelOptions::default())?;
/// let silence = vec![0f32; 16_000];
/// let states: Vec<f32> = model.encode(&silence, &Encode::default(), None)?;
/// assert_eq!(states.len(), 1500 * 512);
/// # Ok::<(), npuenc::Error>(())
/// ```
#[derive(Clone)]
pub struct Model(Arc<Owned<Parts>>);

/// The handle goes before its context.
struct Parts {
    raw: Raw<sys::npuenc_model>,
    context: Context,
}

impl Model {
    /// Loads a model of whisper.cpp (a file), Hugging Face (a directory or a `.safetensors` file) or
    /// CTranslate2 (a directory or its `model.bin`); the format is found out from the content.
    ///
    /// # Errors
    ///
    /// [`Status::NotFound`], [`Status::Io`], [`Status::NoMemory`]; [`Status::BadModel`]: the detail
    /// says what is wrong where.
    pub fn load(context: &Context, path: impl AsRef<Path>, options: &ModelOptions) -> Result<Self> {
        let path = CString::new(path.as_ref().as_os_str().as_bytes())
            .map_err(|_| Error::new(Status::Invalid, "the model's path has a NUL in it"))?;
        let options = options.raw();
        // SAFETY: a handle, a text with its NUL and a struct with its size.
        Self::of(context, |out| unsafe {
            sys::npuenc_model_load(context.as_ptr(), path.as_ptr(), &options, out)
        })
    }

    /// The same from the bytes of one file; nothing of them is kept.
    pub fn from_bytes(context: &Context, bytes: &[u8], options: &ModelOptions) -> Result<Self> {
        let ((data, data_bytes), options) = (input(bytes), options.raw());
        // SAFETY: a handle, a buffer with its size and a struct with its.
        Self::of(context, |out| unsafe {
            sys::npuenc_model_load_memory(context.as_ptr(), data, data_bytes, &options, out)
        })
    }

    fn of(
        context: &Context,
        load: impl FnOnce(*mut *mut sys::npuenc_model) -> i32,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Owned::new(Parts {
            raw: Raw::made(load)?,
            context: context.clone(),
        }))))
    }

    /// The context that it is on.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    /// Its shape, and what was chosen for it.
    pub fn info(&self) -> Result<ModelInfo> {
        let mut info = sys::npuenc_model_info::default();
        // SAFETY: a handle and a struct with its size.
        call(|| unsafe { sys::npuenc_model_get_info(self.as_ptr(), &mut info) })?;
        Ok(ModelInfo {
            n_mels: info.n_mels,
            n_ctx: info.n_ctx,
            n_state: info.n_state,
            n_head: info.n_head,
            n_layer: info.n_layer,
            n_vocab: info.n_vocab,
            precision: Precision::from_code(info.precision),
            wide_precision: Precision::from_code(info.wide_precision),
            linear_device: DeviceType::from_code(info.linear_device),
            attention_device: DeviceType::from_code(info.attention_device),
            conv_device: DeviceType::from_code(info.conv_device),
            elementwise_device: DeviceType::from_code(info.elementwise_device),
            n_parameters: info.n_parameters,
            file_bytes: info.file_bytes,
            weight_bytes: info.weight_bytes,
            name: field_text(&info.name),
            format: field_text(&info.format),
            weight_type: field_text(&info.weight_type),
        })
    }

    /// How many elements the states have: `batch * n_ctx * n_state`.
    pub fn output_len(&self, encode: &Encode<'_>) -> Result<usize> {
        self.output_len_of(&encode.desc::<f32>(sys::NPUENC_INPUT_PCM_F32))
    }

    fn output_len_of(&self, desc: &sys::npuenc_encode_desc) -> Result<usize> {
        let element = match desc.output_type {
            sys::NPUENC_F32 => size_of::<f32>(),
            _ => size_of::<u16>(),
        };
        let mut bytes = 0;
        // SAFETY: a handle, a struct with its size and a place for a number.
        call(|| unsafe { sys::npuenc_encode_size(self.as_ptr(), desc, &mut bytes) })?;
        Ok(bytes / element)
    }

    /// Encodes a batch of windows, to states `[batch][n_ctx][n_state]`: see [`Encode`].
    ///
    /// The states are in a new vector; [`encode_into`](Self::encode_into) takes one's own buffer.
    /// They depend on the item, the model and the context's device and instruction set alone.
    pub fn encode<'a, S: Activation>(
        &self,
        audio: impl Into<Input<'a>>,
        encode: &Encode<'_>,
        run: Option<&Run>,
    ) -> Result<Vec<S>> {
        let audio = audio.into();
        let desc = encode.desc::<S>(audio.kind());
        let length = self.output_len_of(&desc)?;
        let mut states = Vec::<S>::new();
        reserve(&mut states, length)?;
        self.encode_to(
            &desc,
            &audio,
            encode.lengths,
            (states.as_mut_ptr().cast(), length * size_of::<S>()),
            run,
        )?;
        // SAFETY: it has room, and a call that succeeds has written all of them.
        unsafe { states.set_len(length) };
        Ok(states)
    }

    /// The same, into a buffer of at least [`output_len`](Self::output_len) elements.
    pub fn encode_into<'a, S: Activation>(
        &self,
        audio: impl Into<Input<'a>>,
        encode: &Encode<'_>,
        states: &mut [S],
        run: Option<&Run>,
    ) -> Result<()> {
        let audio = audio.into();
        let desc = encode.desc::<S>(audio.kind());
        let out = (states.as_mut_ptr().cast(), std::mem::size_of_val(states));
        self.encode_to(&desc, &audio, encode.lengths, out, run)
    }

    fn encode_to(
        &self,
        desc: &sys::npuenc_encode_desc,
        audio: &Input<'_>,
        lengths: Option<&[u32]>,
        (out, out_bytes): (*mut c_void, usize),
        run: Option<&Run>,
    ) -> Result<()> {
        let ((audio, audio_bytes), (lengths, n_lengths)) = (audio.buffer(), raw_lengths(lengths));
        // SAFETY: a handle, a struct with its size and buffers with theirs.
        call(|| unsafe {
            sys::npuenc_encode(
                self.as_ptr(),
                desc,
                audio,
                audio_bytes,
                lengths,
                n_lengths,
                out,
                out_bytes,
                Run::of(run),
            )
        })
    }

    /// Starts the same and returns: everything is checked now, the work is done by a thread of
    /// npuenc's, for one context in the order of submission. The call owns its audio and its states
    /// until it has ended.
    ///
    /// ```no_run
    /// # use npuenc::{Context, Encode, Model, ModelOptions};
    /// # let context = Context::open()?;
    /// # let model = Model::load(&context, "ggml-base.bin", &ModelOptions::default())?;
    /// let pending = model.submit::<f32>(vec![0f32; 16_000], &Encode::default())?;
    /// println!("{:?}", pending.progress()?);
    /// let states = pending.wait()?;
    /// # Ok::<(), npuenc::Error>(())
    /// ```
    ///
    /// What is borrowed for less than `'static` is not taken:
    ///
    /// ```compile_fail,E0597
    /// # use npuenc::{Context, Encode, Model, ModelOptions};
    /// # let context = Context::open()?;
    /// # let model = Model::load(&context, "ggml-base.bin", &ModelOptions::default())?;
    /// let pending = {
    ///     let audio = vec![0f32; 16_000];
    ///     model.submit::<f32>(&audio, &Encode::default())?
    /// };
    /// # Ok::<(), npuenc::Error>(())
    /// ```
    pub fn submit<S: Activation>(
        &self,
        audio: impl Into<Input<'static>>,
        encode: &Encode<'_>,
    ) -> Result<Pending<S>> {
        self.submit_into(audio, encode, Vec::new())
    }

    /// The same, into the memory of a vector that is given, which is made larger if it is too small.
    pub fn submit_into<S: Activation>(
        &self,
        audio: impl Into<Input<'static>>,
        encode: &Encode<'_>,
        mut states: Vec<S>,
    ) -> Result<Pending<S>> {
        let audio = audio.into();
        let desc = encode.desc::<S>(audio.kind());
        let length = self.output_len_of(&desc)?;
        let missing = length.saturating_sub(states.len());
        reserve(&mut states, missing)?;
        let run = Run::new(self.context())?;
        let (lengths, n_lengths) = raw_lengths(encode.lengths);
        let out_bytes = length * size_of::<S>();
        Pending::started(
            self.clone(),
            run,
            audio,
            states,
            length,
            |run, (audio, audio_bytes), out| {
                // SAFETY: handles, a struct with its size and buffers with theirs, of which those
                // for audio and states are kept by what is being made.
                call(|| unsafe {
                    sys::npuenc_encode_submit(
                        self.as_ptr(),
                        &desc,
                        audio,
                        audio_bytes,
                        lengths,
                        n_lengths,
                        out,
                        out_bytes,
                        run.as_ptr(),
                    )
                })
            },
        )
    }

    fn as_ptr(&self) -> *mut sys::npuenc_model {
        self.0.raw.as_ptr()
    }
}

/// Room for so many more elements, or an error.
fn reserve<S>(states: &mut Vec<S>, more: usize) -> Result<()> {
    states
        .try_reserve_exact(more)
        .map_err(|problem| Error::new(Status::NoMemory, format!("no room for states: {problem}")))
}

fn raw_lengths(lengths: Option<&[u32]>) -> (*const u32, usize) {
    lengths.map_or((ptr::null(), 0), |lengths| {
        (lengths.as_ptr(), lengths.len())
    })
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").finish_non_exhaustive()
    }
}

impl ModelOptions {
    fn raw(&self) -> sys::npuenc_model_options {
        sys::npuenc_model_options {
            precision: self.precision.code(),
            linear_device: self.linear_device.code(),
            attention_device: self.attention_device.code(),
            conv_device: self.conv_device.code(),
            elementwise_device: self.elementwise_device.code(),
            ..Default::default()
        }
    }
}

/// A batch of windows. A window of `n_ctx` states takes `320 * n_ctx` samples or `2 * n_ctx` mel
/// frames: 50 states a second. What is zero or left out has its default.
///
/// Sound is `[batch][n_per_item]`; an item shorter than the window is continued with zeros. Log-mel
/// is `[batch][n_mels][n_per_item]`; a shorter one is continued with its floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encode<'a> {
    /// At most 65536; 0: 1.
    pub batch: u32,
    /// Samples or frames from one item to the next; 0: the input's size divided by the batch.
    pub n_per_item: u32,
    /// States per window: 1 to the model's; 0: the model's.
    pub n_ctx: u32,
    /// The samples or frames that are valid of each item; else all are.
    pub lengths: Option<&'a [u32]>,
}

impl Encode<'_> {
    fn desc<S: Activation>(&self, input: i32) -> sys::npuenc_encode_desc {
        sys::npuenc_encode_desc {
            input,
            output_type: S::DTYPE,
            batch: self.batch,
            n_per_item: self.n_per_item,
            n_ctx: self.n_ctx,
            ..Default::default()
        }
    }
}

/// What is encoded: sound of `f32` or `i16` samples, mono at 16 kHz, or log-mel. It is made from
/// slices, arrays and vectors of samples by `into()`; a vector is owned, not copied.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Samples nominally in \[-1, 1\].
    PcmF32(Cow<'a, [f32]>),
    /// Samples, 32768 standing for 1.
    PcmS16(Cow<'a, [i16]>),
    /// Log-mel as of [`Context::mel`], 100 frames a second.
    Mel(Cow<'a, [f32]>),
}

impl<'a> Input<'a> {
    /// Log-mel, of a slice or a vector.
    pub fn mel(values: impl Into<Cow<'a, [f32]>>) -> Self {
        Self::Mel(values.into())
    }

    fn kind(&self) -> i32 {
        match self {
            Self::PcmF32(_) => sys::NPUENC_INPUT_PCM_F32,
            Self::PcmS16(_) => sys::NPUENC_INPUT_PCM_S16,
            Self::Mel(_) => sys::NPUENC_INPUT_MEL_F32,
        }
    }

    pub(crate) fn buffer(&self) -> (*const c_void, usize) {
        match self {
            Self::PcmF32(values) | Self::Mel(values) => input(values),
            Self::PcmS16(values) => input(values),
        }
    }
}

macro_rules! from_samples {
    ($sample:ty, $variant:ident) => {
        impl<'a> From<&'a [$sample]> for Input<'a> {
            fn from(samples: &'a [$sample]) -> Self {
                Self::$variant(samples.into())
            }
        }
        impl<'a, const N: usize> From<&'a [$sample; N]> for Input<'a> {
            fn from(samples: &'a [$sample; N]) -> Self {
                Self::$variant(samples[..].into())
            }
        }
        impl<'a> From<&'a Vec<$sample>> for Input<'a> {
            fn from(samples: &'a Vec<$sample>) -> Self {
                Self::$variant(samples.into())
            }
        }
        impl From<Vec<$sample>> for Input<'_> {
            fn from(samples: Vec<$sample>) -> Self {
                Self::$variant(samples.into())
            }
        }
    };
}
from_samples!(f32, PcmF32);
from_samples!(i16, PcmS16);

/// A [`Model`]'s shape, and what was chosen for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Bands of the input: 80 or 128.
    pub n_mels: u32,
    /// States of a full window: 1500 in every published model.
    pub n_ctx: u32,
    /// Width of a state.
    pub n_state: u32,
    /// Heads.
    pub n_head: u32,
    /// Layers.
    pub n_layer: u32,
    /// 0 where the file does not say; 51864: English only.
    pub n_vocab: u32,
    /// In use, never `Auto`.
    pub precision: Precision,
    /// Of what is most sensitive, the first layer's projections, never `Auto`.
    pub wide_precision: Precision,
    /// That runs projections and MLP, never `Auto`.
    pub linear_device: DeviceType,
    /// That runs attention, never `Auto`.
    pub attention_device: DeviceType,
    /// That runs the two convolutions, never `Auto`.
    pub conv_device: DeviceType,
    /// That runs norms, never `Auto`.
    pub elementwise_device: DeviceType,
    /// Of the encoder.
    pub n_parameters: u64,
    /// All files of the model.
    pub file_bytes: u64,
    /// Memory that the packed weights take.
    pub weight_bytes: u64,
    /// After the published model of this shape: "tiny.en", "base"; "custom".
    pub name: String,
    /// "ggml", "safetensors", "ctranslate2".
    pub format: String,
    /// Of the matrices in the file: "f16", "q5_0".
    pub weight_type: String,
}
