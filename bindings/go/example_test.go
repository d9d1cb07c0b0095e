// SPDX-License-Identifier: MIT
package npuenc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"npuenc"
)

func Example() {
	device, err := npuenc.Open(npuenc.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	model, err := device.LoadModel(modelPath, npuenc.ModelOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()

	speech := make([]float32, 16000) // a second of silence
	states, err := model.Encode(context.Background(), speech, npuenc.EncodeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := model.Info()
	fmt.Println(len(states) == info.Ctx*info.State, err)
	// Output: true <nil>
}

func ExampleOpen() {
	// Messages of the library that are worth a warning go to the program's log.
	device, err := npuenc.Open(npuenc.OpenOptions{
		Type:    npuenc.DeviceCPU,
		Threads: 1,
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	state, err := device.State()
	fmt.Println(state.Type, state.Threads, err)
	// Output: CPU 1 <nil>
}

func ExampleStatus() {
	device, err := npuenc.Open(npuenc.OpenOptions{Type: npuenc.DeviceCPU})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	_, err = device.LoadModel("absent.bin", npuenc.ModelOptions{})
	switch {
	case errors.Is(err, npuenc.ErrNotFound):
		fmt.Println("there is no such model")
	case errors.Is(err, npuenc.ErrBadModel):
		fmt.Println("this is no Whisper model:", err)
	}
	// Output: there is no such model
}

func ExampleMatMul() {
	device, err := npuenc.Open(npuenc.OpenOptions{Type: npuenc.DeviceCPU})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	a := []int8{1, 2, 3, 4, 5, 6}
	b := []int8{1, 0, 0, 1, 1, 1}
	c := make([]int32, 4)
	err = npuenc.MatMul(context.Background(), device, a, b, c, npuenc.MatMulOptions{M: 2, N: 2, K: 3})
	fmt.Println(c, err)
	// Output: [4 5 10 11] <nil>
}

func ExampleEncodeInto() {
	device, err := npuenc.Open(npuenc.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	model, err := device.LoadModel(modelPath, npuenc.ModelOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()

	const windows = 4000
	options := npuenc.EncodeOptions{Batch: windows}
	length, err := model.StatesLen(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	samples := make([]int16, windows*160)
	states := make([]npuenc.BF16, length)

	// Too much for a millisecond.
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err = npuenc.EncodeInto(ctx, model, samples, states, options)
	fmt.Println(errors.Is(err, npuenc.ErrCanceled), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

func ExampleSubmit() {
	device, err := npuenc.Open(npuenc.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	model, err := device.LoadModel(modelPath, npuenc.ModelOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer model.Close()
	length, err := model.StatesLen(npuenc.EncodeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The second is on its way while the first is waited for.
	ctx := context.Background()
	var pending [2]*npuenc.Pending
	var states [2][]float32
	for i := range pending {
		samples := make([]float32, 16000)
		states[i] = make([]float32, length)
		pending[i], err = npuenc.Submit(ctx, model, samples, states[i], npuenc.EncodeOptions{})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	for i := range pending {
		err := pending[i].Wait(ctx)
		fmt.Println(i, len(states[i]) == length, err)
	}
	// Output:
	// 0 true <nil>
	// 1 true <nil>
}
