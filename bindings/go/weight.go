// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"
	"runtime"

	"npuenc/internal/raw"
)

// WeightOptions describes a matrix W[NOut][NIn]: rows are output channels, as in PyTorch and in
// Whisper's files.
type WeightOptions struct {
	NOut, NIn int // at least 1
	LD        int // elements from row to row, at least NIn; 0: NIn

	// Of its products; auto: F32 for float32 and F16 data, BF16 for BF16, INT8 for int8, which takes
	// no other.
	Precision Precision
}

func (o *WeightOptions) raw(dtype int32) (raw.Npuenc_weight_desc, error) {
	var n sizes
	return raw.Npuenc_weight_desc{
		Struct_size: structSize[raw.Npuenc_weight_desc](),
		Type:        dtype,
		Precision:   int32(o.Precision),
		N_out:       n.u32("NOut", o.NOut),
		N_in:        n.u32("NIn", o.NIn),
		Ld:          n.u64("LD", o.LD),
	}, n.err
}

// Weight is a packed matrix on a device.
type Weight struct {
	handle handle[raw.Weight]
	device *Device
}

// NewWeight packs a matrix for Linear. scales has NOut positive or zero numbers for int8 data,
// W[i][j] = data[i][j] * scales[i], and is nil otherwise. bias has NOut numbers or is nil.
func NewWeight[T float32 | F16 | BF16 | int8](d *Device, data []T, scales, bias []float32,
	options WeightOptions) (*Weight, error) {
	desc, err := options.raw(dtype[T]())
	if err != nil {
		return nil, err
	}
	word, err := d.handle.acquire()
	if err != nil {
		return nil, err
	}
	w := &Weight{device: d}
	err = call(func() int32 {
		return raw.Npuenc_weight_create(word, &desc, first(data), size(data), first(scales),
			size(scales), first(bias), size(bias), &w.handle.word)
	})
	if err != nil {
		d.handle.release()
		return nil, err
	}
	w.handle.free = func(word raw.Weight) {
		raw.Npuenc_weight_free(word)
		d.handle.release()
	}
	runtime.SetFinalizer(w, (*Weight).finalize)
	return w, nil
}

func (w *Weight) finalize() { w.handle.close() }

// Close frees the weight, once the last call on it has ended. The error is always nil.
func (w *Weight) Close() error {
	w.handle.close()
	return nil
}

// LinearOptions says how x and y lie.
type LinearOptions struct {
	Rows     int  // may be 0
	LDX, LDY int  // elements from row to row, at least the row's length; 0: that
	Run      *Run // watches the call; may be nil
}

func (o *LinearOptions) raw(x, y int32) (raw.Npuenc_linear_desc, error) {
	var n sizes
	return raw.Npuenc_linear_desc{
		Struct_size: structSize[raw.Npuenc_linear_desc](),
		X_type:      x,
		Y_type:      y,
		Rows:        n.u32("Rows", o.Rows),
		Ldx:         n.u64("LDX", o.LDX),
		Ldy:         n.u64("LDY", o.LDY),
	}, n.err
}

// Linear sets y[Rows][NOut] to x[Rows][NIn] W^T + bias.
func Linear[X, Y float32 | BF16 | F16](ctx context.Context, w *Weight, x []X, y []Y,
	options LinearOptions) error {
	desc, err := options.raw(dtype[X](), dtype[Y]())
	if err != nil {
		return err
	}
	word, err := w.handle.acquire()
	if err != nil {
		return err
	}
	defer w.handle.release()
	return w.device.watched(ctx, options.Run, func(run raw.Run) int32 {
		return raw.Npuenc_linear(word, &desc, first(x), size(x), first(y), size(y), run)
	})
}
