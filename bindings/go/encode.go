// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"

	"npuenc/internal/raw"
)

// EncodeOptions describes a batch of windows. A window of Ctx states takes 320 * Ctx samples or
// 2 * Ctx mel frames: 50 states a second. An item that is shorter is continued with silence, a longer
// one is ErrInvalid.
type EncodeOptions struct {
	Mel     bool     // the input is log-mel as from Mel, [Batch][mels][PerItem], instead of samples
	Batch   int      // at most 65536; 0: 1
	PerItem int      // samples or frames from one item to the next; 0: the input divided by Batch
	Ctx     int      // states per window: 1 to the model's; 0: the model's
	Lengths []uint32 // samples or frames that are valid of each item; nil: all
	Run     *Run     // watches the call; may be nil
}

func (o *EncodeOptions) raw(input, output int32) (raw.Npuenc_encode_desc, error) {
	var n sizes
	if o.Mel {
		if input != raw.NPUENC_INPUT_PCM_F32 {
			n.err = invalid("log-mel is float32")
		}
		input = raw.NPUENC_INPUT_MEL_F32
	}
	return raw.Npuenc_encode_desc{
		Struct_size: structSize[raw.Npuenc_encode_desc](),
		Input:       input,
		Output_type: output,
		Batch:       n.u32("Batch", o.Batch),
		N_per_item:  n.u32("PerItem", o.PerItem),
		N_ctx:       n.u32("Ctx", o.Ctx),
	}, n.err
}

// StatesLen is how many numbers the states of a batch have: Batch * Ctx * the width of a state.
func (m *Model) StatesLen(options EncodeOptions) (int, error) {
	desc, err := options.raw(raw.NPUENC_INPUT_PCM_F32, raw.NPUENC_F32)
	if err != nil {
		return 0, err
	}
	word, err := m.handle.acquire()
	if err != nil {
		return 0, err
	}
	defer m.handle.release()
	var bytes uint64
	err = call(func() int32 { return raw.Npuenc_encode_size(word, &desc, &bytes) })
	return int(bytes / 4), err
}

// Encode encodes mono samples at 16 kHz, nominally in [-1, 1], or log-mel, and returns the states,
// [Batch][Ctx][width of a state].
func (m *Model) Encode(ctx context.Context, input []float32, options EncodeOptions) ([]float32, error) {
	length, err := m.StatesLen(options)
	if err != nil {
		return nil, err
	}
	states := make([]float32, length)
	if err := EncodeInto(ctx, m, input, states, options); err != nil {
		return nil, err
	}
	return states, nil
}

// EncodeInto encodes into states, of which there must be room for StatesLen. Of int16 samples 32768
// stands for 1.
//
// States depend on the item, the model and the device and its instruction set alone: not on the batch
// that it is in, nor on the number of threads.
func EncodeInto[Sample float32 | int16, State float32 | BF16 | F16](ctx context.Context, m *Model,
	input []Sample, states []State, options EncodeOptions) error {
	desc, err := options.raw(pcm[Sample](), dtype[State]())
	if err != nil {
		return err
	}
	word, err := m.handle.acquire()
	if err != nil {
		return err
	}
	defer m.handle.release()
	return m.device.watched(ctx, options.Run, func(run raw.Run) int32 {
		return raw.Npuenc_encode(word, &desc, first(input), size(input),
			lengths(options), uint64(len(options.Lengths)), first(states), size(states), run)
	})
}

func lengths(options EncodeOptions) *uint32 {
	if len(options.Lengths) == 0 {
		return nil
	}
	return &options.Lengths[0]
}
