// SPDX-License-Identifier: MIT
package npuenc

/*
#include <stdint.h>

void npuenc_go_log(void *user, int32_t level, const char *message);
*/
import "C"

import (
	"context"
	"log/slog"
	"runtime/cgo"
	"unsafe"

	"npuenc/internal/raw"
)

// LogLevel says up to which one a device's messages are delivered. The logger's own level decides
// after that.
type LogLevel int32

const (
	LogOff     LogLevel = raw.NPUENC_LOG_OFF
	LogDefault LogLevel = raw.NPUENC_LOG_DEFAULT // as LogWarn
	LogError   LogLevel = raw.NPUENC_LOG_ERROR
	LogWarn    LogLevel = raw.NPUENC_LOG_WARN
	LogInfo    LogLevel = raw.NPUENC_LOG_INFO
	LogDebug   LogLevel = raw.NPUENC_LOG_DEBUG
)

// slogLevel of a message.
func (l LogLevel) slogLevel() slog.Level {
	switch l {
	case LogError:
		return slog.LevelError
	case LogWarn:
		return slog.LevelWarn
	case LogInfo:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// logFunction is npuenc_go_log, in log.c, which calls npuencGoLog.
func logFunction() uintptr {
	return uintptr(unsafe.Pointer(C.npuenc_go_log))
}

// npuencGoLog delivers a message. The library's frames are on the stack of the goroutine that it is
// called on, and they must not be unwound: so the handler runs on another, where it may panic or
// call runtime.Goexit without harm.
//
//export npuencGoLog
func npuencGoLog(user C.uintptr_t, level C.int32_t, message *C.char) {
	logger := cgo.Handle(user).Value().(*slog.Logger)
	line := C.GoString(message)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		logger.LogAttrs(context.Background(), LogLevel(level).slogLevel(), line)
	}()
	<-done
}
