// SPDX-License-Identifier: MIT

// Package layout is what the C compiler says of the header's structs, for the tests of package raw:
// cgo makes its types from the compiler's debug information. It is not part of any program.
package layout

/*
#cgo pkg-config: npuenc
#include <npuenc/npuenc.h>
*/
import "C"

import "reflect"

// Structs are the header's structs by name.
var Structs = map[string]reflect.Type{
	"npuenc_open_options":   reflect.TypeOf(C.npuenc_open_options{}),
	"npuenc_device_info":    reflect.TypeOf(C.npuenc_device_info{}),
	"npuenc_ctx_info":       reflect.TypeOf(C.npuenc_ctx_info{}),
	"npuenc_matmul_desc":    reflect.TypeOf(C.npuenc_matmul_desc{}),
	"npuenc_weight_desc":    reflect.TypeOf(C.npuenc_weight_desc{}),
	"npuenc_linear_desc":    reflect.TypeOf(C.npuenc_linear_desc{}),
	"npuenc_attention_desc": reflect.TypeOf(C.npuenc_attention_desc{}),
	"npuenc_model_options":  reflect.TypeOf(C.npuenc_model_options{}),
	"npuenc_model_info":     reflect.TypeOf(C.npuenc_model_info{}),
	"npuenc_mel_desc":       reflect.TypeOf(C.npuenc_mel_desc{}),
	"npuenc_encode_desc":    reflect.TypeOf(C.npuenc_encode_desc{}),
	"npuenc_stats":          reflect.TypeOf(C.npuenc_stats{}),
	"npuenc_op_info":        reflect.TypeOf(C.npuenc_op_info{}),
}
