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

// The library's dtypes and inputs of Go's types.
const (
	f32  int32 = 1
	bf16 int32 = 2
	s8   int32 = 3
	s32  int32 = 4
	f16  int32 = 5

	inputPCMF32 int32 = 0
	inputPCMS16 int32 = 1
	inputMelF32 int32 = 2
)

func dtype[T float32 | BF16 | F16 | int8 | int32]() int32 {
	var zero T
	switch any(zero).(type) {
	case float32:
		return f32
	case BF16:
		return bf16
	case F16:
		return f16
	case int8:
		return s8
	default:
		return s32
	}
}

func pcmInput[T float32 | int16]() int32 {
	var zero T
	if _, ok := any(zero).(int16); ok {
		return inputPCMS16
	}
	return inputPCMF32
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
func structSize[T raw.OpenOptions | raw.DeviceInfo | raw.CtxInfo | raw.MatmulDesc | raw.WeightDesc |
	raw.LinearDesc | raw.AttentionDesc | raw.ModelOptions | raw.ModelInfo | raw.MelDesc |
	raw.EncodeDesc | raw.Stats | raw.OpInfo]() uint32 {
	var zero T
	return uint32(unsafe.Sizeof(zero))
}
