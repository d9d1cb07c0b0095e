// SPDX-License-Identifier: MIT

// Command transcribe-states encodes a recording and writes the encoder's states to a .npy file, as
// `npuenc encode` does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"npuenc"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: transcribe-states MODEL SPEECH.wav STATES.npy")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := transcribe(ctx, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "transcribe-states:", err)
		if errors.Is(err, context.Canceled) {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

func transcribe(ctx context.Context, modelPath, speechPath, statesPath string) error {
	speech, err := readWAV(speechPath)
	if err != nil {
		return err
	}
	device, err := npuenc.Open(npuenc.OpenOptions{})
	if err != nil {
		return err
	}
	defer device.Close()
	state, err := device.State()
	if err != nil {
		return err
	}
	fmt.Printf("device  %v, %s, %d threads\n", state.Type, state.Name, state.Threads)

	model, err := device.LoadModel(modelPath, npuenc.ModelOptions{})
	if err != nil {
		return err
	}
	defer model.Close()
	info, err := model.Info()
	if err != nil {
		return err
	}
	file, err := createNPY(statesPath, info.Ctx, info.State)
	if err != nil {
		return err
	}
	defer file.discard()

	start := time.Now()
	window := 320 * info.Ctx // samples
	windows := (len(speech) + window - 1) / window
	run, err := device.NewRun()
	if err != nil {
		return err
	}
	defer run.Close()
	states := make([]float32, info.Ctx*info.State)
	for i := 0; i < windows; i++ {
		samples := speech[i*window : min((i+1)*window, len(speech))]
		pending, err := npuenc.Submit(ctx, model, samples, states, npuenc.EncodeOptions{Run: run})
		if err != nil {
			return err
		}
		if err := watch(pending, run, i, windows); err != nil {
			return err
		}
		if err := file.append(states); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := file.commit(); err != nil {
		return err
	}
	fmt.Printf("time    %.3f s for %.2f s of speech\n", time.Since(start).Seconds(),
		float64(len(speech))/sampleRate)
	return nil
}

// watch shows how far a window is until it is done.
func watch(pending *npuenc.Pending, run *npuenc.Run, window, windows int) error {
	for {
		patience, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
		err := pending.Wait(patience)
		stop()
		done, total, progressErr := run.Progress()
		if progressErr != nil {
			return progressErr
		}
		if total > 0 {
			fmt.Fprintf(os.Stderr, "\rwindow %d of %d, %3d %%", window+1, windows, 100*done/total)
		}
		if !errors.Is(err, npuenc.ErrPending) {
			if err != nil || window+1 == windows {
				fmt.Fprintln(os.Stderr)
			}
			return err
		}
	}
}
