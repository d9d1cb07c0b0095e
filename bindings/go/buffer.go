// SPDX-License-Identifier: MIT
package npuenc

import (
	"bytes"
	"fmt"
	"math"
	"unsafe"

	"npuenc/internal/raw"
)

// BF16 is a bfloat16: the upper half of a float32.
type BF16 uint16

// F16 is an IEEE 754 binary16.
type F16 uint16

// dtype is what the library calls a type of elements.
func dtype[T float32 | BF16 | F16 | int8 | int32]() int32 {
	var zero T
	switch any(zero).(type) {
	case float32:
		return raw.NPUENC_F32
	case BF16:
		return raw.NPUENC_BF16
	case F16:
		return raw.NPUENC_F16
	case int8:
		return raw.NPUENC_S8
	default:
		return raw.NPUENC_S32
	}
}

// pcm is what the library calls a type of samples.
func pcm[T float32 | int16]() int32 {
	var zero T
	if _, ok := any(zero).(int16); ok {
		return raw.NPUENC_INPUT_PCM_S16
	}
	return raw.NPUENC_INPUT_PCM_F32
}

// first and size are a slice as the library takes it.
func first[T any](slice []T) *byte {
	return (*byte)(unsafe.Pointer(unsafe.SliceData(slice)))
}

func size[T any](slice []T) uint64 {
	var zero T
	return uint64(len(slice)) * uint64(unsafe.Sizeof(zero))
}

// sizes converts counts to the library's unsigned ones and keeps the first that cannot be.
type sizes struct{ err error }

func (s *sizes) u32(name string, value int) uint32 {
	if uint64(value) > math.MaxUint32 {
		s.fail(name, value)
	}
	return uint32(value)
}

func (s *sizes) u64(name string, value int) uint64 {
	if value < 0 {
		s.fail(name, value)
	}
	return uint64(value)
}

func (s *sizes) fail(name string, value int) {
	if s.err == nil {
		s.err = invalid(fmt.Sprintf("%s is %d", name, value))
	}
}

// flag is what a bit is when it is wanted.
func flag(wanted bool, bit uint) uint32 {
	if wanted {
		return uint32(bit)
	}
	return 0
}

// line is a text of the library's structs: it ends at a NUL.
func line(field []byte) string {
	if end := bytes.IndexByte(field, 0); end >= 0 {
		field = field[:end]
	}
	return string(field)
}

// static is a text of the library's that stays where it is.
func static(begin *byte) string {
	length := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(begin), length)) != 0 {
		length++
	}
	return unsafe.String(begin, length)
}

// structSize is what the first field of every struct of the library says.
func structSize[T raw.Npuenc_open_options | raw.Npuenc_device_info | raw.Npuenc_ctx_info | raw.Npuenc_matmul_desc | raw.Npuenc_weight_desc |
	raw.Npuenc_linear_desc | raw.Npuenc_attention_desc | raw.Npuenc_model_options | raw.Npuenc_model_info | raw.Npuenc_mel_desc |
	raw.Npuenc_encode_desc | raw.Npuenc_stats | raw.Npuenc_op_info]() uint32 {
	var zero T
	return uint32(unsafe.Sizeof(zero))
}
