// SPDX-License-Identifier: MIT
package npuenc

import (
	"log/slog"
	"runtime"
	"runtime/cgo"

	"npuenc/internal/raw"
)

// OpenOptions says which device to open, and how.
type OpenOptions struct {
	Type    DeviceType
	Index   int // which of that type, as DeviceInfo.Index; 0 for DeviceAuto
	Threads int // host threads, the caller's included, at most 1024; 0: one for each physical core

	// Logger gets the library's messages; nil: nobody. Its handler must not call npuenc. What it
	// panics with is dropped, as is its message.
	Logger   *slog.Logger
	LogLevel LogLevel
}

func (o *OpenOptions) raw() (raw.Npuenc_open_options, error) {
	var n sizes
	options := raw.Npuenc_open_options{
		Struct_size:  structSize[raw.Npuenc_open_options](),
		Device_type:  int32(o.Type),
		Device_index: n.u32("Index", o.Index),
		N_threads:    n.u32("Threads", o.Threads),
		Log_level:    int32(o.LogLevel),
	}
	if n.err == nil && o.Logger != nil {
		options.Log_fn = logFunction()
		options.Log_user = uintptr(cgo.NewHandle(o.Logger))
	}
	return options, n.err
}

// Device is an open device with its threads: npuenc_ctx, which has another name here as Go's contexts
// are something else.
type Device struct {
	handle  handle[raw.Ctx]
	waiting queue
}

// Open opens a device.
//
// ErrNotFound: there is no such device. Of an NPU that is there but cannot be used the detail says
// why and what to do about it, and the status is ErrUnsupported: it is not set up; ErrBusy: others
// use all of it; ErrDevice: it failed; ErrTimeout: it did not answer. DeviceAuto takes the CPU then,
// and Device.Reason has the detail.
func Open(options OpenOptions) (*Device, error) {
	rawOptions, err := options.raw()
	if err != nil {
		return nil, err
	}
	deleteLogger := func() {
		if rawOptions.Log_user != 0 {
			cgo.Handle(rawOptions.Log_user).Delete()
		}
	}
	d := &Device{}
	err = call(func() int32 { return raw.Npuenc_open(&rawOptions, &d.handle.word) })
	if err != nil {
		deleteLogger()
		return nil, err
	}
	d.handle.free = func(word raw.Ctx) {
		raw.Npuenc_close(word)
		deleteLogger()
	}
	runtime.SetFinalizer(d, (*Device).finalize)
	return d, nil
}

func (d *Device) finalize() { d.handle.close() }

// Close closes the device. It goes when the last call on it has ended and the last model, weight and
// run of it has been closed. The error is always nil.
func (d *Device) Close() error {
	d.handle.close()
	return nil
}

// DeviceState says what an open device is and how it fares.
type DeviceState struct {
	Type     DeviceType // of the device that runs: DeviceCPU or DeviceNPU
	Index    int        // of that type
	Threads  int        // host threads, the caller's included
	Err      error      // nil or ErrContextLost
	FellBack bool       // DeviceAuto was asked for and the CPU was taken: see Device.Reason
	Name     string     // as DeviceInfo.Name
	ISA      string     // CPU instruction set in use
}

func deviceState(info *raw.Npuenc_ctx_info) DeviceState {
	return DeviceState{
		Type:     DeviceType(info.Device_type),
		Index:    int(info.Device_index),
		Threads:  int(info.N_threads),
		Err:      Status(info.Status).asError(),
		FellBack: info.Fell_back != 0,
		Name:     line(info.Device_name[:]),
		ISA:      line(info.Isa[:]),
	}
}

// State returns what the device is and how it fares.
func (d *Device) State() (DeviceState, error) {
	word, err := d.handle.acquire()
	if err != nil {
		return DeviceState{}, err
	}
	defer d.handle.release()
	info := raw.Npuenc_ctx_info{Struct_size: structSize[raw.Npuenc_ctx_info]()}
	if err := call(func() int32 { return raw.Npuenc_ctx_get_info(word, &info) }); err != nil {
		return DeviceState{}, err
	}
	return deviceState(&info), nil
}

// Reason says why it is this device that runs, and what kept every better one from being used: lines
// divided by '\n', empty when there is nothing to say.
func (d *Device) Reason() (string, error) {
	word, err := d.handle.acquire()
	if err != nil {
		return "", err
	}
	defer d.handle.release()
	return text(func(buffer *byte, size uint64) uint64 {
		return raw.Npuenc_ctx_reason(word, buffer, size)
	}), nil
}

// Stats sums over all calls that have ended since the device was opened.
func (d *Device) Stats() (Stats, error) {
	word, err := d.handle.acquire()
	if err != nil {
		return Stats{}, err
	}
	defer d.handle.release()
	stats := raw.Npuenc_stats{Struct_size: structSize[raw.Npuenc_stats]()}
	if err := call(func() int32 { return raw.Npuenc_ctx_stats(word, &stats) }); err != nil {
		return Stats{}, err
	}
	return statsOf(&stats), nil
}
