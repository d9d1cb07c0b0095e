// SPDX-License-Identifier: MIT

// Command bench prints what calls cost through the safe layer: a line for each, its name and the
// nanoseconds of the fastest batch.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"npuenc"
)

const (
	batches = 50
	calls   = 10_000
)

func measure(name string, call func()) {
	least := time.Duration(1<<63 - 1)
	for i := 0; i < batches; i++ {
		start := time.Now()
		for j := 0; j < calls; j++ {
			call()
		}
		least = min(least, time.Since(start))
	}
	fmt.Printf("%s %.1f\n", name, float64(least.Nanoseconds())/calls)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bench MODEL")
		os.Exit(2)
	}
	device, err := npuenc.Open(npuenc.OpenOptions{Type: npuenc.DeviceCPU, Threads: 1})
	check(err)
	defer device.Close()
	model, err := device.LoadModel(os.Args[1], npuenc.ModelOptions{})
	check(err)
	defer model.Close()
	ctx := context.Background()
	a, b, c := []float32{2}, []float32{3}, []float32{0}
	measure("bare", func() { npuenc.Version() })
	measure("size", func() {
		_, err := model.StatesLen(npuenc.EncodeOptions{PerItem: 16000})
		check(err)
	})
	measure("matmul", func() {
		check(npuenc.MatMul(ctx, device, a, b, c, npuenc.MatMulOptions{M: 1, N: 1, K: 1}))
	})
}
