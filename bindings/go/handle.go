// SPDX-License-Identifier: MIT
package npuenc

import "sync/atomic"

// handle is a handle of the library that is freed once, when it has been closed and nobody is using
// it any more. The zero handle is a closed one.
type handle[Word ~uintptr] struct {
	word Word
	free func(Word)
	// How many are using it, and closedFlag when it has been closed. Nobody begins after that.
	users atomic.Int64
}

const closedFlag = 1 << 62

// acquire returns the handle for use until release.
func (h *handle[Word]) acquire() (Word, error) {
	for h.word != 0 {
		users := h.users.Load()
		if users&closedFlag != 0 {
			break
		}
		if h.users.CompareAndSwap(users, users+1) {
			return h.word, nil
		}
	}
	return 0, ErrClosed
}

func (h *handle[Word]) release() {
	if h.users.Add(-1) == closedFlag {
		h.free(h.word)
	}
}

func (h *handle[Word]) close() {
	for h.word != 0 {
		users := h.users.Load()
		if users&closedFlag != 0 {
			return
		}
		if h.users.CompareAndSwap(users, users|closedFlag) {
			if users == 0 {
				h.free(h.word)
			}
			return
		}
	}
}
