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
%npuenc_struct(npuenc_open_options, OpenOptions)
%npuenc_struct(npuenc_device_info, DeviceInfo)
%npuenc_struct(npuenc_ctx_info, CtxInfo)
%npuenc_struct(npuenc_matmul_desc, MatmulDesc)
%npuenc_struct(npuenc_weight_desc, WeightDesc)
%npuenc_struct(npuenc_linear_desc, LinearDesc)
%npuenc_struct(npuenc_attention_desc, AttentionDesc)
%npuenc_struct(npuenc_model_options, ModelOptions)
%npuenc_struct(npuenc_model_info, ModelInfo)
%npuenc_struct(npuenc_mel_desc, MelDesc)
%npuenc_struct(npuenc_encode_desc, EncodeDesc)
%npuenc_struct(npuenc_stats, Stats)
%npuenc_struct(npuenc_op_info, OpInfo)

%insert(go_header) %{
type OpenOptions struct {
	Struct_size  uint32
	Device_type  int32
	Device_index uint32
	N_threads    uint32
	Log_level    int32
	Reserved     uint32
	Log_fn       uintptr
	Log_user     uintptr
}

type DeviceInfo struct {
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

type CtxInfo struct {
	Struct_size  uint32
	Device_type  int32
	Device_index uint32
	N_threads    uint32
	Status       int32
	Fell_back    uint32
	Device_name  [64]byte
	Isa          [32]byte
}

type MatmulDesc struct {
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

type WeightDesc struct {
	Struct_size uint32
	Type        int32
	Precision   int32
	N_out       uint32
	N_in        uint32
	Reserved    uint32
	Ld          uint64
}

type LinearDesc struct {
	Struct_size uint32
	X_type      int32
	Y_type      int32
	Rows        uint32
	Ldx         uint64
	Ldy         uint64
}

type AttentionDesc struct {
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

type ModelOptions struct {
	Struct_size        uint32
	Precision          int32
	Linear_device      int32
	Attention_device   int32
	Conv_device        int32
	Elementwise_device int32
}

type ModelInfo struct {
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

type MelDesc struct {
	Struct_size uint32
	Input       int32
	N_mels      uint32
	N_frames    uint32
}

type EncodeDesc struct {
	Struct_size uint32
	Input       int32
	Output_type int32
	Batch       uint32
	N_per_item  uint32
	N_ctx       uint32
}

type Stats struct {
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

type OpInfo struct {
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
