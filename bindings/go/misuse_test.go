// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// goroutines runs a function on 8 of them.
func goroutines(function func(number int)) {
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			function(i)
		}(i)
	}
	all.Wait()
}

func one(d *Device) error {
	return MatMul(background, d, []float32{2}, []float32{3}, []float32{0}, MatMulOptions{M: 1, N: 1, K: 1})
}

func TestUseAfterClose(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	w, err := NewWeight(d, []float32{1}, nil, nil, WeightOptions{NOut: 1, NIn: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ {
		for _, closer := range []interface{ Close() error }{w, r, m, d} {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	number := []float32{0}
	calls := map[string]func() error{
		"State":          func() error { _, err := d.State(); return err },
		"Reason":         func() error { _, err := d.Reason(); return err },
		"Device.Stats":   func() error { _, err := d.Stats(); return err },
		"NewRun":         func() error { _, err := d.NewRun(); return err },
		"LoadModel":      func() error { _, err := d.LoadModel("x", ModelOptions{}); return err },
		"LoadModelBytes": func() error { _, err := d.LoadModelBytes(nil, ModelOptions{}); return err },
		"NewWeight": func() error {
			_, err := NewWeight(d, number, nil, nil, WeightOptions{NOut: 1, NIn: 1})
			return err
		},
		"MatMul":    func() error { return one(d) },
		"Attention": func() error { return Attention(background, d, number, number, number, number, AttentionOptions{}) },
		"Mel":       func() error { return Mel(background, d, number, number, MelOptions{}) },
		"Linear":    func() error { return Linear(background, w, number, number, LinearOptions{}) },
		"Info":      func() error { _, err := m.Info(); return err },
		"StatesLen": func() error { _, err := m.StatesLen(EncodeOptions{}); return err },
		"Encode":    func() error { _, err := m.Encode(background, number, EncodeOptions{}); return err },
		"EncodeInto": func() error {
			return EncodeInto(background, m, number, number, EncodeOptions{})
		},
		"Submit":    func() error { _, err := Submit(background, m, number, number, EncodeOptions{}); return err },
		"Cancel":    r.Cancel,
		"Progress":  func() error { _, _, err := r.Progress(); return err },
		"Run.Stats": func() error { _, err := r.Stats(); return err },
		"Ops":       func() error { _, err := r.Ops(); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	open := open(t, OpenOptions{Threads: 1})
	err = MatMul(background, open, number, number, number, MatMulOptions{Run: r})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("a closed run: %v", err)
	}
	if err := one(&Device{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a device that was never opened: %v", err)
	}
	(&Device{}).Close()
}

func TestClosedInAnyOrder(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	m := load(t, d, ModelOptions{})
	d.Close()
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	if _, err := m.Encode(ctx, tone(1000), EncodeOptions{}); err != nil {
		t.Error("a model does not outlive its device:", err)
	}
}

func TestClosedWhileInUse(t *testing.T) {
	for i := 0; i < 20; i++ {
		d := open(t, OpenOptions{Threads: 2})
		m := load(t, d, ModelOptions{})
		sound := tone(5000)
		begun := make(chan struct{}, 8)
		go func() {
			for j := 0; j < 8; j++ {
				<-begun
			}
			time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			go m.Close()
			go d.Close()
		}()
		goroutines(func(number int) {
			begun <- struct{}{}
			for {
				var err error
				switch number % 3 {
				case 0:
					_, err = m.Encode(background, sound, EncodeOptions{})
				case 1:
					err = one(d)
				case 2:
					var p *Pending
					p, err = Submit(background, m, sound, make([]float32, modelCtx*modelState), EncodeOptions{})
					if err == nil {
						err = p.Wait(background)
					}
				}
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
}

func TestWrongArguments(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	other := open(t, OpenOptions{Threads: 1})
	foreign, err := other.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	floats := func(count int) []float32 { return make([]float32, count) }
	square := MatMulOptions{M: 2, N: 2, K: 2}
	multiply := func(change func(*MatMulOptions)) error {
		o := square
		change(&o)
		return MatMul(background, d, floats(4), floats(4), floats(4), o)
	}
	cases := []struct {
		name   string
		err    error
		status Status
		words  string
	}{
		{"small c", MatMul(background, d, floats(4), floats(4), floats(3), square), ErrBuffer, "12"},
		{"nil a", MatMul(background, d, nil, floats(4), floats(4), square), ErrInvalid, "a"},
		{"types", MatMul(background, d, floats(4), floats(4), make([]int8, 4), square), ErrInvalid, "type"},
		{"types", MatMul(background, d, make([]int8, 4), make([]int8, 4), floats(4), square), ErrInvalid, "type"},
		{"overlap", func() error { a := floats(8); return MatMul(background, d, a, floats(4), a[2:], square) }(), ErrInvalid, "overlap"},
		{"negative", multiply(func(o *MatMulOptions) { o.M = -1 }), ErrInvalid, "M is -1"},
		{"large", multiply(func(o *MatMulOptions) { o.K = math.MaxUint32 + 1 }), ErrInvalid, "K is 4294967296"},
		{"negative", multiply(func(o *MatMulOptions) { o.LDA = -7 }), ErrInvalid, "LDA is -7"},
		{"product", multiply(func(o *MatMulOptions) { o.M, o.N, o.K = 1<<31, 1<<31, 1<<31 }), ErrInvalid, ""},
		{"zero point", multiply(func(o *MatMulOptions) { o.ZeroPoint = 1 << 32 }), ErrInvalid, "ZeroPoint"},
		{"foreign run", multiply(func(o *MatMulOptions) { o.Run = foreign }), ErrInvalid, "run"},
		{"attention", Attention(background, d, floats(1), floats(1), floats(1), floats(1), AttentionOptions{}), ErrInvalid, ""},
		{"two masks", Attention(background, d, floats(1), floats(1), floats(1), floats(1),
			AttentionOptions{Heads: 1, HeadDim: 1, QLen: 1, KVLen: 1, Mask: MaskAdd, AddMask: floats(1),
				KeyLengths: []uint32{1}}), ErrInvalid, "both"},
		{"long sound", Mel(background, d, floats(1601), floats(800), MelOptions{Frames: 10}), ErrInvalid, ""},
		{"not finite", Mel(background, d, []float32{float32(math.NaN())}, floats(800), MelOptions{Frames: 10}), ErrInvalid, "finite"},
		{"small states", EncodeInto(background, m, floats(160), floats(1), EncodeOptions{}), ErrBuffer, ""},
		{"mel of int16", EncodeInto(background, m, make([]int16, 160), floats(modelCtx*modelState), EncodeOptions{Mel: true}), ErrInvalid, "log-mel"},
		{"ctx", EncodeInto(background, m, floats(160), floats(modelCtx*modelState), EncodeOptions{Ctx: modelCtx + 1}), ErrInvalid, ""},
		{"lengths", EncodeInto(background, m, floats(160), floats(modelCtx*modelState), EncodeOptions{Lengths: []uint32{1, 2}}), ErrInvalid, ""},
	}
	_, err = Open(OpenOptions{Type: 17})
	cases = append(cases, struct {
		name   string
		err    error
		status Status
		words  string
	}{"device type", err, ErrInvalid, "17"})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, c.err, c.status, c.words) })
	}
	_, err = Open(OpenOptions{Type: DeviceCPU, Index: 9})
	expect(t, err, ErrNotFound, "")
	_, err = Open(OpenOptions{Threads: -1})
	expect(t, err, ErrInvalid, "Threads")
	_, err = d.LoadModel(filepath.Join(t.TempDir(), "absent"), ModelOptions{})
	expect(t, err, ErrNotFound, "absent")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no fs.ErrNotExist", err)
	}
	_, err = d.LoadModel("a\x00b", ModelOptions{})
	expect(t, err, ErrInvalid, "NUL")
	_, err = d.LoadModelBytes([]byte("no model"), ModelOptions{})
	expect(t, err, ErrBadModel, "")
	_, err = d.LoadModelBytes(nil, ModelOptions{})
	expect(t, err, ErrBadModel, "empty")
	_, err = d.LoadModelBytes(RandomModel(), ModelOptions{Linear: DeviceNPU})
	expect(t, err, ErrUnsupported, "")
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v is no errors.ErrUnsupported", err)
	}
	_, err = NewWeight(d, floats(3), nil, nil, WeightOptions{NOut: 2, NIn: 2})
	expect(t, err, ErrBuffer, "")
}

// The library keeps what was wrong for each thread: no goroutine gets another's.
func TestDetailIsOfTheCall(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	goroutines(func(number int) {
		for i := 0; i < 2000; i++ {
			bytes := 4 * (number + 1)
			err := MatMul(background, d, make([]float32, 100), make([]float32, 100),
				make([]float32, number+1), MatMulOptions{M: 10, N: 10, K: 10})
			expect(t, err, ErrBuffer, fmt.Sprintf(" %d ", bytes))
			if t.Failed() {
				return
			}
		}
	})
}

// long is what takes much longer than the tests that cancel it wait.
func long() ([]float32, []float32, EncodeOptions) {
	const batch = 4000
	return tone(batch * 160), make([]float32, batch*modelCtx*modelState), EncodeOptions{Batch: batch}
}

func TestCanceled(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	input, states, o := long()
	var err error
	if o.Run, err = d.NewRun(); err != nil {
		t.Fatal(err)
	}
	defer o.Run.Close()

	ended, cancel := context.WithCancel(background)
	cancel()
	err = EncodeInto(ended, m, input, states, o)
	expect(t, err, ErrCanceled, "")
	if !errors.Is(err, context.Canceled) || states[0] != 0 {
		t.Error("before it began:", err)
	}
	if _, err := Submit(ended, m, input, states, o); !errors.Is(err, ErrCanceled) || !errors.Is(err, context.Canceled) {
		t.Error("a submission before it began:", err)
	}

	watched := func(run *Run) {
		o := o
		o.Run = run
		cause := errors.New("enough of it")
		ctx, cancel := context.WithCancelCause(background)
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		err := EncodeInto(ctx, m, input, states, o)
		expect(t, err, ErrCanceled, "")
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || errors.Is(err, context.DeadlineExceeded) {
			t.Error("in flight:", err)
		}
	}
	watched(nil)
	watched(o.Run)

	deadline, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	err = EncodeInto(deadline, m, input, states, o)
	expect(t, err, ErrCanceled, "")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("a deadline:", err)
	}
	if done, total, err := o.Run.Progress(); err != nil || done >= total {
		t.Errorf("canceled after %d of %d steps, %v", done, total, err)
	}

	if o.Run, err = d.NewRun(); err != nil {
		t.Fatal(err)
	}
	defer o.Run.Close()
	go func() {
		for total := 0; total == 0; { // until it is in flight
			_, total, _ = o.Run.Progress()
		}
		o.Run.Cancel()
	}()
	err = EncodeInto(background, m, input, states, o)
	expect(t, err, ErrCanceled, "")
	if errors.Is(err, context.Canceled) {
		t.Error("by nobody's context:", err)
	}

	// The run, the model and the device go on.
	if err := EncodeInto(background, m, input[:160], states, EncodeOptions{Run: o.Run}); err != nil {
		t.Error(err)
	}
}

// A context that ends at any moment of a call touches that call alone.
func TestCanceledAtAnyMoment(t *testing.T) {
	d := open(t, OpenOptions{Threads: 2})
	m := load(t, d, ModelOptions{})
	sound := tone(5000)
	goroutines(func(number int) {
		run, err := d.NewRun()
		if err != nil {
			t.Error(err)
			return
		}
		defer run.Close()
		states := make([]float32, modelCtx*modelState)
		for i := 0; i < 100; i++ {
			ctx, cancel := context.WithTimeout(background, time.Duration(i*number)*5*time.Microsecond)
			err := EncodeInto(ctx, m, sound, states, EncodeOptions{Run: run})
			if err != nil && !(errors.Is(err, ErrCanceled) && errors.Is(err, context.DeadlineExceeded)) {
				t.Error(err)
			}
			cancel()
			if err := EncodeInto(background, m, sound, states, EncodeOptions{Run: run}); err != nil {
				t.Error("the next call:", err)
			}
		}
	})
}

// When a call has returned, the end of its context does not touch the run any more.
func TestNothingIsCanceledAfterwards(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	run, err := d.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	ended, cancel := context.WithCancel(background)
	cancel()
	for i := 0; i < 300; i++ {
		cancelAtEnd(ended, run.handle.word)()
		if _, err := m.Encode(background, tone(160), EncodeOptions{Run: run}); err != nil {
			t.Fatal("the next call:", err)
		}
	}
}

func TestRunIsBusy(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	m := load(t, d, ModelOptions{})
	input, states, o := long()
	run, err := d.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	o.Run = run
	ctx, cancel := context.WithCancel(background)
	p, err := Submit(ctx, m, input, states, o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Encode(background, tone(160), EncodeOptions{Run: run})
	expect(t, err, ErrBusy, "")
	_, err = Submit(background, m, tone(160), make([]float32, modelCtx*modelState), o)
	expect(t, err, ErrBusy, "")
	_, err = run.Stats()
	expect(t, err, ErrBusy, "")
	_, err = run.Ops()
	expect(t, err, ErrBusy, "")
	cancel()
	expect(t, p.Wait(background), ErrCanceled, "")
}

// handler is an slog.Handler of one function.
type handler struct{ handle func(slog.Record) }

func (h handler) Enabled(context.Context, slog.Level) bool           { return true }
func (h handler) Handle(_ context.Context, record slog.Record) error { h.handle(record); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler                 { return h }
func (h handler) WithGroup(string) slog.Handler                      { return h }

func TestLog(t *testing.T) {
	var mutex sync.Mutex
	var records []slog.Record
	collect := handler{func(record slog.Record) {
		mutex.Lock()
		defer mutex.Unlock()
		records = append(records, record)
	}}
	d := open(t, OpenOptions{Threads: 1, Logger: slog.New(collect), LogLevel: LogDebug})
	load(t, d, ModelOptions{})
	if len(records) == 0 {
		t.Fatal("no messages")
	}
	for _, record := range records {
		if record.Message == "" || strings.Contains(record.Message, "\n") || record.Level >= slog.LevelWarn {
			t.Errorf("%v", record)
		}
	}
	count := len(records)
	d = open(t, OpenOptions{Threads: 1, Logger: slog.New(collect)})
	load(t, d, ModelOptions{})
	if len(records) != count {
		t.Errorf("messages below warnings: %v", records[count:])
	}
	levels := map[LogLevel]slog.Level{LogError: slog.LevelError, LogWarn: slog.LevelWarn,
		LogInfo: slog.LevelInfo, LogDebug: slog.LevelDebug}
	for level, want := range levels {
		if got := level.slogLevel(); got != want {
			t.Errorf("%d is %v, want %v", level, got, want)
		}
	}
}

func TestHandlerThatDoesNotReturn(t *testing.T) {
	for name, leave := range map[string]func(){"panic": func() { panic("in a handler") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			count := 0
			bad := handler{func(slog.Record) { count++; leave() }}
			d := open(t, OpenOptions{Threads: 2, Logger: slog.New(bad), LogLevel: LogDebug})
			m := load(t, d, ModelOptions{})
			if _, err := m.Encode(background, tone(160), EncodeOptions{}); err != nil {
				t.Error(err)
			}
			if count == 0 {
				t.Error("no messages")
			}
		})
	}
}

// A million short calls from 8 goroutines, of which every tenth leaves a run to the garbage collector:
// memory stays as it is. What is lost in each call would show: 32 bytes of a million calls are 32 MB.
func TestMemoryIsFlat(t *testing.T) {
	d := open(t, OpenOptions{Threads: 1})
	calls := func(count int) {
		goroutines(func(int) {
			a, b, c := []float32{2}, []float32{3}, []float32{0}
			for i := 0; i < count/8; i++ {
				o := MatMulOptions{M: 1, N: 1, K: 1}
				if i%10 == 0 {
					var err error
					if o.Run, err = d.NewRun(); err != nil {
						t.Error(err)
					}
				}
				if err := MatMul(background, d, a, b, c, o); err != nil || c[0] != 6 {
					t.Error(c, err)
				}
			}
		})
		for i := 0; i < 3; i++ {
			debug.FreeOSMemory() // collects; what has a finalizer goes in the second round
			time.Sleep(10 * time.Millisecond)
		}
	}
	calls(100_000)
	before := resident(t)
	calls(1_000_000)
	grown := resident(t) - before
	t.Logf("%d KiB more after a million calls", grown/1024)
	if grown > 24_000_000 {
		t.Errorf("%d bytes more after a million calls", grown)
	}
}

// What nobody closes goes with the garbage: also whole devices, with their threads.
func TestForgotten(t *testing.T) {
	threads := func() int {
		entries, err := filepath.Glob("/proc/self/task/*")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := threads()
	for i := 0; i < 50; i++ {
		d, err := Open(OpenOptions{Type: DeviceCPU, Threads: 4})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.LoadModelBytes(RandomModel(), ModelOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for wait := 0; threads() > before+20; wait++ {
		if wait == 1000 {
			t.Fatalf("%d threads, %d before 50 devices of 4", threads(), before)
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}
