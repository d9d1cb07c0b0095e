/* SPDX-License-Identifier: MIT
 *
 * Go: exact widths, pointers to Go's own memory, structs with C's layout, handles of one word.
 *
 * A call costs one cgo call, whatever it takes. So a struct is a Go struct of the same layout, given
 * by its address: SWIG's own way is an object on C's heap with one cgo call for each field. The
 * structs are declared below; package layout has the C compiler's word on them for the tests.
 */
%insert(cgo_comment_typedefs) %{
#cgo pkg-config: npuenc
#include <npuenc/npuenc.h>
%}

/* `type` is a word of Go's own. */
%rename(Type) type;

/* SWIG makes C's int a Go int, which has 64 bits: a pointer to one would point at too much. */
%typemap(gotype) int32_t "int32"
%typemap(gotype) uint32_t "uint32"
%typemap(gotype) int64_t "int64"
%typemap(gotype) uint64_t "uint64"
%typemap(gotype) size_t "uint64"

/* A pointer crosses as a word, since cgo takes a void pointer to an element for one to all of what
 * it is part of, and refuses an array that lies in a struct beside pointers. The assignment that
 * never happens is SWIG's own way with slices: what is pointed to is on the heap, where nothing
 * moves, and stays there until the call has returned. */
%define %npuenc_pointer(POINTER, GOTYPE)
%typemap(gotype) POINTER "GOTYPE"
%typemap(imtype) POINTER "uintptr"
%typemap(goin) POINTER "	$result = uintptr(unsafe.Pointer($input))"
%typemap(in) POINTER "$1 = ($1_ltype)$input;"
%typemap(freearg) POINTER ""
%typemap(goargout) POINTER %{
	if Swig_escape_always_false {
		Swig_escape_val = $1
	}
%}
%enddef

%define %npuenc_input(POINTER, SIZE)
%npuenc_pointer(POINTER, *byte)
%enddef
%define %npuenc_output(POINTER, SIZE)
%npuenc_pointer(POINTER, *byte)
%enddef
%npuenc_pointer(const uint32_t *lengths, *uint32)

/* Text ends at a NUL. SWIG's own way is a copy that is freed with a call of its own. */
%npuenc_pointer(const char *path, *byte)
%typemap(gotype) const char * "*byte"
%typemap(out) const char * "$result = (void *)$1;"
%typemap(goout) const char * ""

%define %npuenc_result(TYPE, NAME)
%npuenc_pointer(TYPE *NAME, *$typemap(gotype, TYPE))
%enddef

%define %npuenc_handle(TYPE, NAME)
%typemap(gotype) TYPE *, const TYPE * "NAME"
%typemap(imtype) TYPE *, const TYPE * "uintptr"
%typemap(goin) TYPE *, const TYPE * "	$result = uintptr($input)"
%typemap(in) TYPE *, const TYPE * "$1 = ($1_ltype)$input;"
%npuenc_pointer(TYPE **out, *NAME)
%insert(go_header) %{
type NAME uintptr
%}
%enddef

%define %npuenc_struct(TYPE, NAME)
%ignore TYPE;
%npuenc_pointer(TYPE *, *NAME)
%npuenc_pointer(const TYPE *, *NAME)
%enddef
%npuenc_struct(npuenc_open_options, Npuenc_open_options)
%npuenc_struct(npuenc_device_info, Npuenc_device_info)
%npuenc_struct(npuenc_ctx_info, Npuenc_ctx_info)
%npuenc_struct(npuenc_matmul_desc, Npuenc_matmul_desc)
%npuenc_struct(npuenc_weight_desc, Npuenc_weight_desc)
%npuenc_struct(npuenc_linear_desc, Npuenc_linear_desc)
%npuenc_struct(npuenc_attention_desc, Npuenc_attention_desc)
%npuenc_struct(npuenc_model_options, Npuenc_model_options)
%npuenc_struct(npuenc_model_info, Npuenc_model_info)
%npuenc_struct(npuenc_mel_desc, Npuenc_mel_desc)
%npuenc_struct(npuenc_encode_desc, Npuenc_encode_desc)
%npuenc_struct(npuenc_stats, Npuenc_stats)
%npuenc_struct(npuenc_op_info, Npuenc_op_info)

/* An enumerator is a constant, with the header's value. SWIG's own way is a variable that is set by a
 * cgo call when the program starts. */
%rename("$ignore", %$isenum) "";
%rename("$ignore", %$isenumitem) "";
%insert(go_header) %{
const (
	NPUENC_OK = C.NPUENC_OK
	NPUENC_E_INTERNAL = C.NPUENC_E_INTERNAL
	NPUENC_E_INVALID = C.NPUENC_E_INVALID
	NPUENC_E_NOMEM = C.NPUENC_E_NOMEM
	NPUENC_E_NOT_FOUND = C.NPUENC_E_NOT_FOUND
	NPUENC_E_UNSUPPORTED = C.NPUENC_E_UNSUPPORTED
	NPUENC_E_TOO_NEW = C.NPUENC_E_TOO_NEW
	NPUENC_E_BAD_MODEL = C.NPUENC_E_BAD_MODEL
	NPUENC_E_IO = C.NPUENC_E_IO
	NPUENC_E_DEVICE = C.NPUENC_E_DEVICE
	NPUENC_E_BUSY = C.NPUENC_E_BUSY
	NPUENC_E_CANCELED = C.NPUENC_E_CANCELED
	NPUENC_E_TIMEOUT = C.NPUENC_E_TIMEOUT
	NPUENC_E_BUFFER = C.NPUENC_E_BUFFER
	NPUENC_E_FORKED = C.NPUENC_E_FORKED
	NPUENC_E_PENDING = C.NPUENC_E_PENDING
	NPUENC_E_CTX_LOST = C.NPUENC_E_CTX_LOST

	NPUENC_DEVICE_AUTO = C.NPUENC_DEVICE_AUTO
	NPUENC_DEVICE_CPU = C.NPUENC_DEVICE_CPU
	NPUENC_DEVICE_NPU = C.NPUENC_DEVICE_NPU

	NPUENC_F32 = C.NPUENC_F32
	NPUENC_BF16 = C.NPUENC_BF16
	NPUENC_S8 = C.NPUENC_S8
	NPUENC_S32 = C.NPUENC_S32
	NPUENC_F16 = C.NPUENC_F16

	NPUENC_PRECISION_AUTO = C.NPUENC_PRECISION_AUTO
	NPUENC_PRECISION_F32 = C.NPUENC_PRECISION_F32
	NPUENC_PRECISION_BF16 = C.NPUENC_PRECISION_BF16
	NPUENC_PRECISION_INT8 = C.NPUENC_PRECISION_INT8
	NPUENC_PRECISION_BF16X2 = C.NPUENC_PRECISION_BF16X2

	NPUENC_INPUT_PCM_F32 = C.NPUENC_INPUT_PCM_F32
	NPUENC_INPUT_PCM_S16 = C.NPUENC_INPUT_PCM_S16
	NPUENC_INPUT_MEL_F32 = C.NPUENC_INPUT_MEL_F32

	NPUENC_MASK_NONE = C.NPUENC_MASK_NONE
	NPUENC_MASK_KEY_LENGTHS = C.NPUENC_MASK_KEY_LENGTHS
	NPUENC_MASK_CAUSAL = C.NPUENC_MASK_CAUSAL
	NPUENC_MASK_ADD_F32 = C.NPUENC_MASK_ADD_F32

	NPUENC_LOG_OFF = C.NPUENC_LOG_OFF
	NPUENC_LOG_DEFAULT = C.NPUENC_LOG_DEFAULT
	NPUENC_LOG_ERROR = C.NPUENC_LOG_ERROR
	NPUENC_LOG_WARN = C.NPUENC_LOG_WARN
	NPUENC_LOG_INFO = C.NPUENC_LOG_INFO
	NPUENC_LOG_DEBUG = C.NPUENC_LOG_DEBUG
)
%}

%insert(go_header) %{
type Npuenc_open_options struct {
	Struct_size  uint32
	Device_type  int32
	Device_index uint32
	N_threads    uint32
	Log_level    int32
	Reserved     uint32
	Log_fn       uintptr
	Log_user     uintptr
}

type Npuenc_device_info struct {
	Struct_size  uint32
	Device_type  int32
	Index        uint32
	Status       int32
	N_cores      uint32
	N_columns    uint32
	Memory_bytes uint64
	Name         [64]byte
	Isa          [32]byte
	Bus_address  [32]byte
	Driver       [64]byte
	Firmware     [64]byte
	Runtime      [64]byte
	Reason       [256]byte
}

type Npuenc_ctx_info struct {
	Struct_size  uint32
	Device_type  int32
	Device_index uint32
	N_threads    uint32
	Status       int32
	Fell_back    uint32
	Device_name  [64]byte
	Isa          [32]byte
}

type Npuenc_matmul_desc struct {
	Struct_size uint32
	A_type      int32
	B_type      int32
	C_type      int32
	Batch       uint32
	M           uint32
	N           uint32
	K           uint32
	Flags       uint32
	Scale       float32
	Zero_point  int32
	Reserved    uint32
	Lda         uint64
	Ldb         uint64
	Ldc         uint64
	Stride_a    uint64
	Stride_b    uint64
	Stride_c    uint64
}

type Npuenc_weight_desc struct {
	Struct_size uint32
	Type        int32
	Precision   int32
	N_out       uint32
	N_in        uint32
	Reserved    uint32
	Ld          uint64
}

type Npuenc_linear_desc struct {
	Struct_size uint32
	X_type      int32
	Y_type      int32
	Rows        uint32
	Ldx         uint64
	Ldy         uint64
}

type Npuenc_attention_desc struct {
	Struct_size uint32
	Type        int32
	Batch       uint32
	N_head      uint32
	Head_dim    uint32
	Q_len       uint32
	Kv_len      uint32
	Mask        int32
	Flags       uint32
	Scale       float32
	Q_scale     float32
	K_scale     float32
	V_scale     float32
	Out_scale   float32
	Ldq         uint64
	Ldk         uint64
	Ldv         uint64
	Ldo         uint64
}

type Npuenc_model_options struct {
	Struct_size        uint32
	Precision          int32
	Linear_device      int32
	Attention_device   int32
	Conv_device        int32
	Elementwise_device int32
}

type Npuenc_model_info struct {
	Struct_size        uint32
	N_mels             uint32
	N_ctx              uint32
	N_state            uint32
	N_head             uint32
	N_layer            uint32
	N_vocab            uint32
	Precision          int32
	Wide_precision     int32
	Reserved           uint32
	Linear_device      int32
	Attention_device   int32
	Conv_device        int32
	Elementwise_device int32
	N_parameters       uint64
	File_bytes         uint64
	Weight_bytes       uint64
	Name               [64]byte
	Format             [16]byte
	Weight_type        [16]byte
}

type Npuenc_mel_desc struct {
	Struct_size uint32
	Input       int32
	N_mels      uint32
	N_frames    uint32
}

type Npuenc_encode_desc struct {
	Struct_size uint32
	Input       int32
	Output_type int32
	Batch       uint32
	N_per_item  uint32
	N_ctx       uint32
}

type Npuenc_stats struct {
	Struct_size       uint32
	N_calls           uint32
	Wall_ns           uint64
	Queue_ns          uint64
	Mel_ns            uint64
	Macs              uint64
	N_submissions     uint64
	N_syncs           uint64
	Bytes_to_device   uint64
	Bytes_from_device uint64
	Pack_ns           uint64
	Submit_ns         uint64
	Sync_ns           uint64
	Device_ns         uint64
	Unpack_ns         uint64
	Accumulate_ns     uint64
}

type Npuenc_op_info struct {
	Struct_size uint32
	Device_type int32
	Precision   int32
	Layer       int32
	N_calls     uint32
	Reserved    uint32
	Wall_ns     uint64
	Macs        uint64
	Name        [32]byte
}
%}
