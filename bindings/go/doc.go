// SPDX-License-Identifier: MIT

// Package npuenc is the Whisper speech encoder on AMD NPUs and on CPUs: recorded speech, or its
// log-mel, to encoder states.
//
// [Open] opens a device, [Device.LoadModel] loads a model's weights onto it, and [Model.Encode]
// encodes. [EncodeInto] and [Submit] take a buffer for the states and other types of samples and
// states. [MatMul], [Attention], [Linear] and [Mel] are the operators by themselves.
//
// Slices are the library's buffers: nothing is copied. They must not overlap where one is written.
// In every options struct a zero field means the default.
//
// # Closing
//
// Device, Model, Weight and Run have a Close. It may be called twice, and while other goroutines are
// in calls: these end as they would have, and the last one frees. Every call after it fails with
// [ErrClosed]. A model, weight or run goes on when its device has been closed. What is forgotten is
// freed by the garbage collector, some time.
//
// # Goroutines
//
// Everything may be used from any number of goroutines. A Run serves one call at a time.
//
// # Cancellation
//
// Calls that compute take a [context.Context]. When it ends, so does the call, within the time of one
// operator, and its error is both [ErrCanceled] and the context's. The output then holds nothing of
// use.
//
// # Errors
//
// A call's error is an [*Error]: a [Status], such as [ErrBuffer], for errors.Is, and a line of detail.
package npuenc
