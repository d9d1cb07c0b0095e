// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"

	"npuenc/internal/raw"
)

// MelOptions describes one window's log-mel.
type MelOptions struct {
	Mels   int  // 80 or 128; 0: 80
	Frames int  // of the window, of 160 samples each: 2 to 131072; 0: 3000, which is 30 s
	Run    *Run // watches the call; may be nil
}

func (o *MelOptions) raw(input int32) (raw.Npuenc_mel_desc, error) {
	var n sizes
	return raw.Npuenc_mel_desc{
		Struct_size: structSize[raw.Npuenc_mel_desc](),
		Input:       input,
		N_mels:      n.u32("Mels", o.Mels),
		N_frames:    n.u32("Frames", o.Frames),
	}, n.err
}

// MelLen is how many numbers a log-mel has.
func MelLen(options MelOptions) (int, error) {
	desc, err := options.raw(raw.NPUENC_INPUT_PCM_F32)
	if err != nil {
		return 0, err
	}
	var bytes uint64
	err = call(func() int32 { return raw.Npuenc_mel_size(&desc, &bytes) })
	return int(bytes / 4), err
}

// Mel sets out[Mels][Frames] to the log-mel, as Whisper defines it, of mono samples at 16 kHz. They
// may be shorter than the window but not longer. float32 samples are nominally in [-1, 1], of int16
// ones 32768 stands for 1. It runs on the host whatever the device.
func Mel[Sample float32 | int16](ctx context.Context, d *Device, samples []Sample, out []float32,
	options MelOptions) error {
	desc, err := options.raw(pcm[Sample]())
	if err != nil {
		return err
	}
	return d.operate(ctx, options.Run, func(word raw.Ctx, run raw.Run) int32 {
		return raw.Npuenc_mel(word, &desc, first(samples), size(samples), first(out), size(out), run)
	})
}
