// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"
	"runtime"
	"sync"

	"npuenc/internal/raw"
)

// Pending is an encode that Submit has started. When it is forgotten before it has ended, it is
// canceled; its buffers stay where they are until then.
type Pending struct {
	work *submission
}

// submission is what goes on behind a Pending, whether or not somebody waits for it.
type submission struct {
	ctx    context.Context
	cancel context.CancelFunc
	model  *Model
	run    *Run
	word   raw.Run
	stop   func()         // the end of ctx is of no more interest
	pins   runtime.Pinner // the buffers
	done   chan struct{}
	err    error // when done is closed
}

// Submit starts to encode into states and returns. The options and sizes are checked now, the work is
// done by a thread of the library, for one device in the order of submission. Until it is done, input
// must not be written and states not be touched. The end of ctx cancels it, also after Submit has
// returned. Messages for the log come on a goroutine of this package.
func Submit[Sample float32 | int16, State float32 | BF16 | F16](ctx context.Context, m *Model,
	input []Sample, states []State, options EncodeOptions) (*Pending, error) {
	desc, err := options.raw(pcm[Sample](), dtype[State]())
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, endedBy(ctx, ErrCanceled, "before it began")
	}
	s, err := m.newSubmission(ctx, options.Run)
	if err != nil {
		return nil, err
	}
	pin(&s.pins, input)
	pin(&s.pins, states)
	err = m.device.waiting.submit(s, func() int32 {
		return raw.Npuenc_encode_submit(m.handle.word, &desc, first(input), size(input),
			lengths(options), uint64(len(options.Lengths)), first(states), size(states), s.word)
	})
	if err != nil {
		s.release()
		return nil, err
	}
	p := &Pending{s}
	runtime.SetFinalizer(p, (*Pending).finalize)
	return p, nil
}

// pin keeps a buffer where it is. Memory that is not Go's stays anyway; Go 1.21 panics at it, newer ones
// take no notice.
func pin[T any](pins *runtime.Pinner, buffer []T) {
	defer func() { _ = recover() }()
	if len(buffer) > 0 {
		pins.Pin(&buffer[0])
	}
}

func (p *Pending) finalize() { p.work.cancel() }

// Wait waits until it is done and returns its error. When ctx ends before, the error is both
// ErrPending and the context's: the work goes on, its buffers are in use, and Wait may be called
// again. It may be called from several goroutines.
func (p *Pending) Wait(ctx context.Context) error {
	defer runtime.KeepAlive(p)
	select {
	case <-p.work.done:
	default:
		select {
		case <-p.work.done:
		case <-ctx.Done():
			return endedBy(ctx, ErrPending, "")
		}
	}
	return p.work.err
}

// newSubmission takes hold of the model and of a run until release.
func (m *Model) newSubmission(ctx context.Context, run *Run) (*submission, error) {
	if _, err := m.handle.acquire(); err != nil {
		return nil, err
	}
	s := &submission{model: m, run: run, done: make(chan struct{})}
	var err error
	if run == nil {
		s.run, err = m.device.newRun(m.device.handle.word)
	}
	if err == nil {
		s.word, err = s.run.begin()
	}
	if err != nil {
		if run == nil && s.run != nil {
			s.run.Close()
		}
		m.handle.release()
		return nil, err
	}
	if run == nil {
		// It is in use until release, and then it goes.
		s.run.Close()
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s, nil
}

func (s *submission) release() {
	s.cancel()
	s.pins.Unpin()
	s.run.end()
	s.model.handle.release()
}

// finish waits for the end.
func (s *submission) finish() {
	err := call(func() int32 { return raw.Npuenc_run_wait(s.word, -1) })
	s.stop()
	s.err = canceledBy(s.ctx, err)
	s.release()
	close(s.done)
}

// queue is a device's submissions in their order, which is that in which they end: so one goroutine
// waits for all, and one thread.
type queue struct {
	mutex   sync.Mutex
	pending []*submission
	serving bool
}

func (q *queue) submit(s *submission, function func() int32) error {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if err := call(function); err != nil {
		return err
	}
	s.stop = cancelAtEnd(s.ctx, s.word)
	q.pending = append(q.pending, s)
	if !q.serving {
		q.serving = true
		go q.serve()
	}
	return nil
}

func (q *queue) serve() {
	for s := q.next(); s != nil; s = q.next() {
		s.finish()
	}
}

func (q *queue) next() *submission {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if len(q.pending) == 0 {
		q.serving = false
		q.pending = nil
		return nil
	}
	s := q.pending[0]
	q.pending[0] = nil
	q.pending = q.pending[1:]
	return s
}
