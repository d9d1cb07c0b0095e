/* SPDX-License-Identifier: MIT
 *
 * The library's log callback as it is declared in the header, which a Go function cannot be: it has
 * no const, and a cgo.Handle is no pointer.
 */
#include <stdint.h>

#include "_cgo_export.h"

void npuenc_go_log(void *user, int32_t level, const char *message) {
    npuencGoLog((uintptr_t)user, level, (char *)message);
}
