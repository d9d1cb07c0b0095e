// SPDX-License-Identifier: MIT
//! What buffers are made of.
use npuenc_sys as sys;

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// bfloat16, held in its 16 bits: the upper half of an `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// IEEE 754 binary16, held in its 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct F16(pub u16);

impl Bf16 {
    /// Rounds to nearest, ties to even. What is not a number stays so.
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            return Self((bits >> 16) as u16 | 0x40);
        }
        let half_or_less = 0x7fff + (bits >> 16 & 1);
        Self((bits.wrapping_add(half_or_less) >> 16) as u16)
    }

    /// Exact.
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

impl F16 {
    /// Rounds to nearest, ties to even; what is too large becomes infinite. What is not a number
    /// stays so.
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let sign = (bits >> 16) as u16 & 0x8000;
        let magnitude = bits & 0x7fff_ffff;
        let rounded = if magnitude > 0x7f80_0000 {
            0x7e00
        } else if magnitude >= 0x4780_0000 {
            0x7c00 // 65536 and more
        } else if magnitude < 0x3880_0000 {
            // Less than 2^-14: adding 1/2 leaves units of 2^-24 in the last bits, rounded.
            (f32::from_bits(magnitude) + 0.5).to_bits() - 0x3f00_0000
        } else {
            let half_or_less = 0xfff + (magnitude >> 13 & 1);
            (magnitude - 0x3800_0000 + half_or_less) >> 13
        };
        Self(sign | rounded as u16)
    }

    /// Exact.
    pub fn to_f32(self) -> f32 {
        let sign = u32::from(self.0 & 0x8000) << 16;
        let magnitude = u32::from(self.0 & 0x7fff);
        let bits = if magnitude >= 0x7c00 {
            0x7f80_0000 | magnitude << 13
        } else if magnitude >= 0x400 {
            (magnitude << 13) + 0x3800_0000
        } else {
            const UNIT: f32 = 1.0 / 16_777_216.0; // 2^-24
            (magnitude as f32 * UNIT).to_bits()
        };
        f32::from_bits(sign | bits)
    }
}

/// An element of a buffer: `f32`, [`Bf16`], [`F16`], `i8` or `i32`.
pub trait Element: Sealed + Copy + Send + Sync + 'static {
    /// The header's `npuenc_dtype`.
    const DTYPE: i32;
}

macro_rules! element {
    ($kind:ty, $dtype:ident) => {
        impl Sealed for $kind {}
        impl Element for $kind {
            const DTYPE: i32 = sys::$dtype;
        }
    };
}
element!(f32, NPUENC_F32);
element!(Bf16, NPUENC_BF16);
element!(F16, NPUENC_F16);
element!(i8, NPUENC_S8);
element!(i32, NPUENC_S32);

/// Elements whose products give sums of type `C`: `f32` gives `f32`, [`Bf16`] `f32` or `Bf16`, `i8`
/// `i32` or `i8`.
pub trait Product<C: Element>: Element {}
impl Product<f32> for f32 {}
impl Product<f32> for Bf16 {}
impl Product<Bf16> for Bf16 {}
impl Product<i32> for i8 {}
impl Product<i8> for i8 {}

/// What attention is computed on: `f32`, [`Bf16`] or `i8`.
pub trait AttentionElement: Element {}
impl AttentionElement for f32 {}
impl AttentionElement for Bf16 {}
impl AttentionElement for i8 {}

/// What linear layers take and give, and what encoder states can be: `f32`, [`Bf16`] or [`F16`].
pub trait Activation: Element {}
impl Activation for f32 {}
impl Activation for Bf16 {}
impl Activation for F16 {}

/// What a weight can be given in: `f32`, [`F16`], [`Bf16`], or `i8` with scales.
pub trait WeightElement: Element {}
impl WeightElement for f32 {}
impl WeightElement for F16 {}
impl WeightElement for Bf16 {}
impl WeightElement for i8 {}

/// A sample of sound, mono at 16 kHz: `f32`, nominally in \[-1, 1\], or `i16`, 32768 standing for 1.
pub trait Sample: Sealed + Copy + Send + Sync + 'static {
    /// The header's `npuenc_input`.
    const INPUT: i32;
}
impl Sample for f32 {
    const INPUT: i32 = sys::NPUENC_INPUT_PCM_F32;
}
impl Sealed for i16 {}
impl Sample for i16 {
    const INPUT: i32 = sys::NPUENC_INPUT_PCM_S16;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them, or a sample where every step is interpreted.
    fn patterns() -> impl Iterator<Item = u16> {
        (0..=u16::MAX).step_by(if cfg!(miri) { 97 } else { 1 })
    }

    /// Between two neighbours the nearest is taken, and of two as near the even one.
    fn check_rounding(from: fn(f32) -> u16, to: fn(u16) -> f32, infinity: u16) {
        for below in patterns().filter(|&bits| bits < infinity) {
            let above = below + 1;
            // The step to infinity is as long as the one before.
            let (low, high) = (f64::from(to(below)), f64::from(to(above)));
            let high = if high.is_finite() {
                high
            } else {
                2.0 * low - f64::from(to(below - 1))
            };
            let middle = ((low + high) / 2.0) as f32;
            if !middle.is_finite() || f64::from(middle) != (low + high) / 2.0 {
                continue; // beyond f32
            }
            let even = below + (below & 1);
            assert_eq!(from(to(below)), below);
            assert_eq!(from(middle), even, "{below:#x}");
            assert_eq!(from(-middle), even | 0x8000, "{below:#x}");
            assert_eq!(from(f32::from_bits(middle.to_bits() - 1)), below);
            assert_eq!(from(f32::from_bits(middle.to_bits() + 1)), above);
        }
        assert_eq!(from(f32::INFINITY), infinity);
        assert_eq!(from(f32::NEG_INFINITY), infinity | 0x8000);
        assert!(to(from(f32::NAN)).is_nan());
        assert!(to(from(f32::from_bits(0x7f80_0001))).is_nan());
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        check_rounding(|x| Bf16::from_f32(x).0, |x| Bf16(x).to_f32(), 0x7f80);
        assert_eq!(Bf16(0x3f80).to_f32(), 1.0);
    }

    #[test]
    fn f16_rounds_to_nearest_even() {
        check_rounding(|x| F16::from_f32(x).0, |x| F16(x).to_f32(), 0x7c00);
        assert_eq!(F16(0x3c00).to_f32(), 1.0);
        assert_eq!(F16(0x0001).to_f32(), 2f32.powi(-24));
        assert_eq!(F16(0x7bff).to_f32(), 65504.0);
        assert_eq!(F16::from_f32(1e30).0, 0x7c00);
        assert_eq!(F16::from_f32(-1e-30).0, 0x8000);
    }

    #[test]
    fn every_bit_pattern_survives() {
        for bits in patterns() {
            let value = Bf16(bits).to_f32();
            assert!(value.is_nan() || Bf16::from_f32(value).0 == bits);
            let value = F16(bits).to_f32();
            assert!(value.is_nan() || F16::from_f32(value).0 == bits);
        }
    }
}
