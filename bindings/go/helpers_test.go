// SPDX-License-Identifier: MIT
package npuenc

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"testing"
)

var background = context.Background()

func open(t testing.TB, options OpenOptions) *Device {
	t.Helper()
	options.Type = DeviceCPU
	d, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func load(t testing.TB, d *Device, options ModelOptions) *Model {
	t.Helper()
	m, err := d.LoadModelBytes(RandomModel(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// expect fails when err is not a failure of the library with this status and, somewhere in its text,
// these words.
func expect(t testing.TB, err error, status Status, words string) {
	t.Helper()
	var failure *Error
	if !errors.Is(err, status) || !errors.As(err, &failure) || failure.Status != status {
		t.Errorf("got %v, want %v", err, status)
	} else if !strings.Contains(err.Error(), words) {
		t.Errorf("got %q, want something about %q", err, words)
	}
}

// What RandomModel makes: modelCtx states in a window, of which each is modelState wide.
const (
	modelCtx   = 50
	modelState = 64
)

// RandomModel, which the examples use too, is a Whisper-shaped model of random weights as a .safetensors file.
func RandomModel() []byte {
	type tensor struct {
		name  string
		shape []int
	}
	const mlp = 4 * modelState
	prefix := "encoder.layers.0."
	tensors := []tensor{
		{"encoder.conv1.weight", []int{modelState, 80, 3}},
		{"encoder.conv1.bias", []int{modelState}},
		{"encoder.conv2.weight", []int{modelState, modelState, 3}},
		{"encoder.conv2.bias", []int{modelState}},
		{"encoder.embed_positions.weight", []int{modelCtx, modelState}},
		{"encoder.layer_norm.weight", []int{modelState}},
		{"encoder.layer_norm.bias", []int{modelState}},
		{prefix + "fc1.weight", []int{mlp, modelState}},
		{prefix + "fc1.bias", []int{mlp}},
		{prefix + "fc2.weight", []int{modelState, mlp}},
		{prefix + "fc2.bias", []int{modelState}},
	}
	for _, norm := range []string{"self_attn_layer_norm", "final_layer_norm"} {
		tensors = append(tensors, tensor{prefix + norm + ".weight", []int{modelState}},
			tensor{prefix + norm + ".bias", []int{modelState}})
	}
	for _, projection := range []string{"q_proj", "k_proj", "v_proj", "out_proj"} {
		name := prefix + "self_attn." + projection
		tensors = append(tensors, tensor{name + ".weight", []int{modelState, modelState}})
		if projection != "k_proj" {
			tensors = append(tensors, tensor{name + ".bias", []int{modelState}})
		}
	}
	random := rand.New(rand.NewSource(1))
	header := map[string]any{}
	var data bytes.Buffer
	for _, tensor := range tensors {
		count := 1
		for _, dim := range tensor.shape {
			count *= dim
		}
		middle, spread := 0.0, 0.1
		if strings.HasSuffix(tensor.name, "layer_norm.weight") {
			middle = 1
		} else if len(tensor.shape) > 1 {
			spread = math.Sqrt(float64(tensor.shape[0]) / float64(count))
		}
		begin := data.Len()
		for i := 0; i < count; i++ {
			weight := float32(middle + spread*random.NormFloat64())
			data.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(weight)))
		}
		header[tensor.name] = map[string]any{"dtype": "F32", "shape": tensor.shape,
			"data_offsets": []int{begin, data.Len()}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), data.Bytes()...)
}

// tone is a sound of so many samples.
func tone(samples int) []float32 {
	sound := make([]float32, samples)
	for i := range sound {
		sound[i] = float32(0.3 * math.Sin(0.2*float64(i)+3*math.Sin(0.001*float64(i))))
	}
	return sound
}

// resident is the memory of this process that is in use, in bytes.
func resident(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func toBF16(value float32) BF16 {
	bits := math.Float32bits(value)
	return BF16((bits + 0x7fff + bits>>16&1) >> 16)
}

func fromBF16(value BF16) float64 {
	return float64(math.Float32frombits(uint32(value) << 16))
}

// toF16 is for numbers that are normal in a binary16.
func toF16(value float32) F16 {
	bits := math.Float32bits(value)
	bits += 0xfff + bits>>13&1
	return F16(bits>>16&0x8000 | (bits&0x7fffffff-(112<<23))>>13)
}

func fromF16(value F16) float64 {
	sign, exponent, fraction := value>>15, int(value>>10&31), float64(value&1023)
	magnitude := math.Ldexp(1024+fraction, exponent-25)
	if exponent == 0 {
		magnitude = math.Ldexp(fraction, -24)
	}
	if sign != 0 {
		return -magnitude
	}
	return magnitude
}

// number is an element as a number.
func number[T float32 | BF16 | F16 | int8 | int32](value T) float64 {
	switch value := any(value).(type) {
	case float32:
		return float64(value)
	case BF16:
		return fromBF16(value)
	case F16:
		return fromF16(value)
	case int8:
		return float64(value)
	case int32:
		return float64(value)
	}
	panic("no such type")
}

// roundoff is the largest relative error of rounding to a type.
func roundoff[T float32 | BF16 | F16]() float64 {
	var zero T
	switch any(zero).(type) {
	case BF16:
		return 0x1p-8
	case F16:
		return 0x1p-11
	}
	return 0x1p-24
}

// randoms are of [-1, 1), or of all of int8.
func randoms[T float32 | BF16 | F16 | int8](random *rand.Rand, count int) []T {
	values := make([]T, count)
	for i := range values {
		uniform := 2*random.Float32() - 1
		switch values := any(values).(type) {
		case []float32:
			values[i] = uniform
		case []BF16:
			values[i] = toBF16(uniform)
		case []F16:
			values[i] = toF16(uniform)
		case []int8:
			values[i] = int8(random.Intn(256) - 128)
		}
	}
	return values
}

// gamma bounds the relative error of a sum of so many terms in float32 in any order, with each product
// rounded (Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1).
func gamma(terms int) float64 {
	nu := float64(terms+1) * 0x1p-24
	return nu / (1 - nu)
}
