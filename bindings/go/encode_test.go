// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"
	"errors"
	"math"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestEncode(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	m := load(t, d, ModelOptions{Precision: PrecisionF32})
	info, err := m.Info()
	if err != nil || info.Ctx != modelCtx || info.State != modelState || info.Precision != PrecisionF32 ||
		info.Format != "safetensors" || info.WeightType != "f32" || info.Linear != DeviceCPU {
		t.Fatal(info, err)
	}
	const samples = modelCtx * 320
	sound := tone(samples)
	whole := make([]int16, samples)
	for i := range sound {
		whole[i] = int16(sound[i] * 32768)
		sound[i] = float32(whole[i]) / 32768
	}
	states, err := m.Encode(background, sound, EncodeOptions{})
	if err != nil || len(states) != modelCtx*modelState {
		t.Fatal(len(states), err)
	}
	same := func(what string, got []float32) {
		t.Helper()
		for i := range states {
			if got[i] != states[i] {
				t.Fatalf("%s: state %d is %g, not %g", what, i, got[i], states[i])
			}
		}
	}

	into := make([]float32, len(states))
	if err := EncodeInto(background, m, whole, into, EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	same("int16 samples", into)

	mel := make([]float32, 80*2*modelCtx)
	if err := Mel(background, d, sound, mel, MelOptions{Frames: 2 * modelCtx}); err != nil {
		t.Fatal(err)
	}
	if into, err = m.Encode(background, mel, EncodeOptions{Mel: true}); err != nil {
		t.Fatal(err)
	}
	same("log-mel", into)

	batch := append(append([]float32{}, tone(2 * samples)[samples:]...), sound...)
	if into, err = m.Encode(background, batch, EncodeOptions{Batch: 2}); err != nil {
		t.Fatal(err)
	}
	same("second of a batch", into[len(states):])

	short, err := m.Encode(background, sound[:5000], EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	into, err = m.Encode(background, batch, EncodeOptions{Batch: 2, PerItem: samples, Lengths: []uint32{0, 5000}})
	if err != nil {
		t.Fatal(err)
	}
	states, into = short, into[len(states):]
	same("length", into)

	few, err := m.Encode(background, sound[:320*10], EncodeOptions{Ctx: 10})
	if err != nil || len(few) != 10*modelState {
		t.Fatal(len(few), err)
	}

	narrow, half := make([]BF16, len(states)), make([]F16, len(states))
	if err := EncodeInto(background, m, sound[:5000], narrow, EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := EncodeInto(background, m, sound[:5000], half, EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, state := range states {
		near(t, "a BF16 state", fromBF16(narrow[i]), float64(state), roundoff[BF16]()*math.Abs(float64(state)))
		near(t, "an F16 state", fromF16(half[i]), float64(state), roundoff[F16]()*math.Abs(float64(state))+0x1p-25)
	}
}

func TestRun(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	m := load(t, d, ModelOptions{Precision: PrecisionF32})
	r, err := d.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if done, total, err := r.Progress(); done != 0 || total != 0 || err != nil {
		t.Error(done, total, err)
	}
	if _, err := m.Encode(background, tone(1000), EncodeOptions{Run: r}); err != nil {
		t.Fatal(err)
	}
	if done, total, err := r.Progress(); done != total || total == 0 || err != nil {
		t.Error(done, total, err)
	}
	stats, err := r.Stats()
	if err != nil || stats.Calls != 1 || stats.MACs == 0 || stats.Wall <= 0 || stats.Mel <= 0 {
		t.Errorf("%+v %v", stats, err)
	}
	ops, err := r.Ops()
	if err != nil || len(ops) == 0 || ops[0].Name != "mel" || ops[0].Layer != -1 {
		t.Errorf("%+v %v", ops, err)
	}
	var macs uint64
	for _, op := range ops {
		macs += op.MACs
	}
	if macs != stats.MACs {
		t.Errorf("operators did %d multiply-adds, the call %d", macs, stats.MACs)
	}
	all, err := d.Stats()
	if err != nil || all.Calls != 1 || all.MACs != macs {
		t.Errorf("%+v %v", all, err)
	}
}

func TestSubmit(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	m := load(t, d, ModelOptions{})
	want, err := m.Encode(background, tone(5000), EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	goroutines(func(int) {
		var pending [10]*Pending
		var states [10][]float32
		for i := range pending {
			states[i] = make([]float32, len(want))
			var err error
			if pending[i], err = Submit(background, m, tone(5000), states[i], EncodeOptions{}); err != nil {
				t.Error(err)
				return
			}
			runtime.GC() // nobody else has the samples
		}
		for i, p := range pending {
			if err := p.Wait(background); err != nil {
				t.Error(err)
			}
			if err := p.Wait(background); err != nil {
				t.Error("waited again:", err)
			}
			for j := range want {
				if states[i][j] != want[j] {
					t.Error("other states")
					return
				}
			}
		}
	})
	if _, err := Submit(background, m, tone(5000), want[1:], EncodeOptions{}); !errors.Is(err, ErrBuffer) {
		t.Error(err)
	}
}

func TestWaitGivesUp(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	input, states, o := long()
	ctx, cancel := context.WithCancel(background)
	p, err := Submit(ctx, m, input, states, o)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Submit(background, m, input[:160], make([]float32, modelCtx*modelState), EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	impatient, stop := context.WithTimeout(background, time.Millisecond)
	defer stop()
	err = p.Wait(impatient)
	expect(t, err, ErrPending, "")
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrCanceled) {
		t.Error(err)
	}
	cancel()
	err = p.Wait(background)
	expect(t, err, ErrCanceled, "")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := second.Wait(background); err != nil {
		t.Error("what was submitted after it:", err)
	}
}

// Nobody waits for it, and nobody has its buffers: it is canceled.
func TestAbandoned(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	work := func() *submission {
		input, states, o := long()
		p, err := Submit(background, m, input, states, o)
		if err != nil {
			t.Fatal(err)
		}
		return p.work
	}()
	for ended := false; !ended; {
		runtime.GC()
		select {
		case <-work.done:
			ended = true
		case <-time.After(time.Millisecond):
		}
	}
	expect(t, work.err, ErrCanceled, "")
	if err := one(d); err != nil {
		t.Error(err)
	}
}

// A slice may be part of something with pointers, and need not be Go's at all.
func TestForeignMemory(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	type mixed struct {
		states [modelCtx * modelState]float32
		self   *mixed
	}
	beside := &mixed{}
	beside.self = beside
	if err := EncodeInto(background, m, tone(160), beside.states[:], EncodeOptions{}); err != nil {
		t.Error(err)
	}
	pages, err := syscall.Mmap(-1, 0, 4*len(beside.states), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(pages)
	mapped := unsafe.Slice((*float32)(unsafe.Pointer(&pages[0])), len(beside.states))
	p, err := Submit(background, m, tone(160), mapped, EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(background); err != nil {
		t.Error(err)
	}
	for i := range mapped {
		if mapped[i] != beside.states[i] {
			t.Fatal("other states")
		}
	}
}

// Of buffers of 256 MiB little is used, and no more of them is touched or taken anew: the states are
// where they were asked for.
func TestNothingIsCopied(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	const bytes = 256 << 20
	input, states := make([]float32, bytes/4), make([]float32, bytes/4)
	o := EncodeOptions{PerItem: modelCtx * 320}
	product := MatMulOptions{M: 1, N: 1, K: 1}
	if err := EncodeInto(background, m, input[:o.PerItem], states, o); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	memory, start := resident(t), time.Now()
	p, err := Submit(background, m, input, states, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(background); err != nil {
		t.Fatal(err)
	}
	if err := EncodeInto(background, m, input, states, o); err != nil {
		t.Fatal(err)
	}
	if err := MatMul(background, d, input, input, states[1<<20:], product); err != nil {
		t.Fatal(err)
	}
	elapsed := time.Since(start)
	grown := resident(t) - memory
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%v, %d bytes on the heap, %d bytes resident more", elapsed, allocated, grown)
	if allocated > 1<<20 || grown > bytes/8 {
		t.Errorf("%d bytes on the heap, %d bytes resident more", allocated, grown)
	}
	if states[0] == 0 || states[len(states)-1] != 0 {
		t.Error("the states are not where they were asked for")
	}
}
