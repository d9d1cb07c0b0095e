// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"npuenc/internal/raw"
)

// Run watches one call of its device at a time: how far it is, and what it took. It is given with the
// call's options, and can be used for any number of calls one after another.
type Run struct {
	handle handle[raw.Run]
	device *Device
	busy   atomic.Bool // a call is using it
}

// NewRun makes a run for calls of this device and of its models and weights.
func (d *Device) NewRun() (*Run, error) {
	word, err := d.handle.acquire()
	if err != nil {
		return nil, err
	}
	r, err := d.newRun(word)
	if err != nil {
		d.handle.release()
		return nil, err
	}
	r.handle.free = func(word raw.Run) {
		raw.Npuenc_run_free(word)
		d.handle.release()
	}
	runtime.SetFinalizer(r, (*Run).finalize)
	return r, nil
}

// newRun makes one for a single call, during which the device is held by something else.
func (d *Device) newRun(device raw.Ctx) (*Run, error) {
	r := &Run{device: d}
	r.handle.free = raw.Npuenc_run_free
	if err := call(func() int32 { return raw.Npuenc_run_create(device, &r.handle.word) }); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Run) finalize() { r.handle.close() }

// Close frees the run, once its call has ended if there is one. The error is always nil.
func (r *Run) Close() error {
	r.handle.close()
	return nil
}

// Cancel asks the call in flight, if there is one, to end with ErrCanceled. It does so within the time
// of one operator. A later call is not touched.
func (r *Run) Cancel() error {
	word, err := r.handle.acquire()
	if err != nil {
		return err
	}
	defer r.handle.release()
	raw.Npuenc_run_cancel(word)
	return nil
}

// Progress tells how many of the call's steps are done. done never falls during a call and ends at
// total when the call succeeds; both are 0 before the first.
func (r *Run) Progress() (done, total int, err error) {
	word, err := r.handle.acquire()
	if err != nil {
		return 0, 0, err
	}
	defer r.handle.release()
	var steps [2]uint32
	err = call(func() int32 { return raw.Npuenc_run_progress(word, &steps[0], &steps[1]) })
	return int(steps[0]), int(steps[1]), err
}

// Stats are those of the last call that ended. ErrBusy: one is in flight.
func (r *Run) Stats() (Stats, error) {
	word, err := r.handle.acquire()
	if err != nil {
		return Stats{}, err
	}
	defer r.handle.release()
	stats := raw.Npuenc_stats{Struct_size: structSize[raw.Npuenc_stats]()}
	if err := call(func() int32 { return raw.Npuenc_run_stats(word, &stats) }); err != nil {
		return Stats{}, err
	}
	return statsOf(&stats), nil
}

// Ops are the operators of the last call that ended, in the order in which they first ran. ErrBusy:
// one is in flight.
func (r *Run) Ops() ([]Op, error) {
	word, err := r.handle.acquire()
	if err != nil {
		return nil, err
	}
	defer r.handle.release()
	var count uint32
	if err := call(func() int32 { return raw.Npuenc_run_op_count(word, &count) }); err != nil {
		return nil, err
	}
	ops := make([]Op, count)
	for i := range ops {
		info := raw.Npuenc_op_info{Struct_size: structSize[raw.Npuenc_op_info]()}
		err := call(func() int32 { return raw.Npuenc_run_op_get(word, uint32(i), &info) })
		if err != nil {
			return nil, err
		}
		ops[i] = opOf(&info)
	}
	return ops, nil
}

// begin takes the run for a call, until end.
func (r *Run) begin() (raw.Run, error) {
	word, err := r.handle.acquire()
	if err != nil {
		return 0, err
	}
	// The library would say so too. But the end of a context is told to the run until the call has
	// returned here, and must not reach another call.
	if !r.busy.CompareAndSwap(false, true) {
		r.handle.release()
		return 0, &Error{Status: ErrBusy, Detail: "the run is in use by another call"}
	}
	return word, nil
}

func (r *Run) end() {
	r.busy.Store(false)
	r.handle.release()
}

// watched makes a call that run, if it is not nil, and the end of ctx are about. The caller holds the
// device.
func (d *Device) watched(ctx context.Context, run *Run, function func(raw.Run) int32) error {
	if ctx.Err() != nil {
		return endedBy(ctx, ErrCanceled, "before it began")
	}
	cancelable := ctx.Done() != nil
	if run == nil && !cancelable {
		return call(func() int32 { return function(0) })
	}
	if run == nil {
		own, err := d.newRun(d.handle.word)
		if err != nil {
			return err
		}
		defer own.Close()
		run = own
	}
	word, err := run.begin()
	if err != nil {
		return err
	}
	defer run.end()
	if !cancelable {
		return call(func() int32 { return function(word) })
	}
	stop := cancelAtEnd(ctx, word)
	err = call(func() int32 { return function(word) })
	stop()
	return canceledBy(ctx, err)
}

// operate makes a call of the device itself, and holds it meanwhile.
func (d *Device) operate(ctx context.Context, run *Run,
	function func(raw.Ctx, raw.Run) int32) error {
	word, err := d.handle.acquire()
	if err != nil {
		return err
	}
	defer d.handle.release()
	return d.watched(ctx, run, func(run raw.Run) int32 { return function(word, run) })
}

// cancelAtEnd cancels the call of a run when ctx ends. After stop, which is called when the call has
// returned, the run is not touched any more.
func cancelAtEnd(ctx context.Context, run raw.Run) (stop func()) {
	returned, gone := make(chan struct{}), make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		defer close(gone)
		// The library may not have begun the call yet and then takes no notice.
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			raw.Npuenc_run_cancel(run)
			select {
			case <-returned:
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		close(returned)
		if !unregister() {
			<-gone
		}
	}
}

// canceledBy adds to the error of a call that was canceled why ctx has ended, if it has.
func canceledBy(ctx context.Context, err error) error {
	var failure *Error
	if errors.As(err, &failure) && failure.Status == ErrCanceled && ctx.Err() != nil {
		return endedBy(ctx, ErrCanceled, failure.Detail)
	}
	return err
}
