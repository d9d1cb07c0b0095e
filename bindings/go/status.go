// SPDX-License-Identifier: MIT
package npuenc

import (
	"context"
	"errors"
	"io/fs"
	"runtime"

	"npuenc/internal/raw"
)

// Status says what kind of failure an error is. Statuses are errors to compare with:
// errors.Is(err, npuenc.ErrBuffer).
type Status int32

const (
	ErrInternal    Status = raw.NPUENC_E_INTERNAL    // a defect of npuenc: please report it
	ErrInvalid     Status = raw.NPUENC_E_INVALID     // an argument is out of its documented range
	ErrNoMemory    Status = raw.NPUENC_E_NOMEM       // memory or threads could not be had
	ErrNotFound    Status = raw.NPUENC_E_NOT_FOUND   // no such device or file; is fs.ErrNotExist too
	ErrUnsupported Status = raw.NPUENC_E_UNSUPPORTED // valid, but not on this device or in this build; is errors.ErrUnsupported too
	ErrTooNew      Status = raw.NPUENC_E_TOO_NEW     // a struct or file of a later version
	ErrBadModel    Status = raw.NPUENC_E_BAD_MODEL   // a model file is damaged or not a Whisper encoder
	ErrIO          Status = raw.NPUENC_E_IO          // a file could not be read
	ErrDevice      Status = raw.NPUENC_E_DEVICE      // the device, its driver or its firmware failed this call
	ErrBusy        Status = raw.NPUENC_E_BUSY        // the run is in use by another call, or the device by others
	ErrCanceled    Status = raw.NPUENC_E_CANCELED    // a context or Run.Cancel ended the call
	ErrTimeout     Status = raw.NPUENC_E_TIMEOUT     // the device did not answer in time; the call is over
	ErrBuffer      Status = raw.NPUENC_E_BUFFER      // a buffer is smaller than the shape needs
	ErrForked      Status = raw.NPUENC_E_FORKED      // the handle was made before fork() by the parent process
	ErrPending     Status = raw.NPUENC_E_PENDING     // a wait ran out of time; the call goes on, its buffers in use
	ErrContextLost Status = raw.NPUENC_E_CTX_LOST    // the device cannot go on after a failure; open it anew
)

// ErrClosed is the error of a call on what has been closed.
var ErrClosed = errors.New("npuenc: it has been closed")

// Error describes the status in words.
func (s Status) Error() string {
	return "npuenc: " + static(raw.Npuenc_status_string(int32(s)))
}

// Is relates statuses to the standard library's errors.
func (s Status) Is(target error) bool {
	return s == ErrNotFound && target == fs.ErrNotExist ||
		s == ErrUnsupported && target == errors.ErrUnsupported
}

// asError is nil for a status that is no failure.
func (s Status) asError() error {
	if s == raw.NPUENC_OK {
		return nil
	}
	return s
}

// Error is a call that failed.
type Error struct {
	Status Status
	Detail string // one line, may be empty

	because []error // why the context of the call ended
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Status.Error()
	}
	return e.Status.Error() + ": " + e.Detail
}

// Unwrap returns the status and, of a call that a context ended, the context's error and cause.
func (e *Error) Unwrap() []error {
	return append([]error{e.Status}, e.because...)
}

// call returns the error of a call into the library. The library keeps the detail of a failure for
// the thread that it happened on, so the goroutine stays there until it is known how the call ended.
func call(function func() int32) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := Status(function())
	if status == raw.NPUENC_OK {
		return nil
	}
	return &Error{Status: status, Detail: text(raw.Npuenc_last_error)}
}

// text is what the library copies into a buffer of the size that it says.
func text(copyTo func(*byte, uint64) uint64) string {
	length := copyTo(nil, 0)
	buffer := make([]byte, length+1)
	copyTo(&buffer[0], length+1)
	return string(buffer[:length])
}

func invalid(detail string) error {
	return &Error{Status: ErrInvalid, Detail: detail}
}

// endedBy is the error of what the end of ctx has ended.
func endedBy(ctx context.Context, status Status, detail string) error {
	because := []error{ctx.Err()}
	if cause := context.Cause(ctx); cause != ctx.Err() {
		because = append(because, cause)
	}
	return &Error{Status: status, Detail: detail, because: because}
}
