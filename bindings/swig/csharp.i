/* SPDX-License-Identifier: MIT
 *
 * C#: buffers as IntPtr, which the safe layer pins; handles as SafeHandles, which keep one alive
 * during a call and free it once; structs as C# structs of the same layout, which are passed by
 * reference. All of it is internal to the assembly.
 */
%include <typemaps.i>

/* SWIG writes each constant's value instead of a call that asks for it. */
%csconst(1);
%typemap(csclassmodifiers) enum SWIGTYPE "internal enum"
%pragma(csharp) moduleclassmodifiers = "internal static class"
%pragma(csharp) imclassclassmodifiers = "internal static class"

%define %npuenc_pointer(POINTER)
%typemap(ctype) POINTER "void *"
%typemap(imtype) POINTER "global::System.IntPtr"
%typemap(cstype) POINTER "global::System.IntPtr"
%typemap(csin) POINTER "$csinput"
%typemap(in) POINTER "$1 = ($1_ltype)$input;"
%enddef

%define %npuenc_input(POINTER, SIZE)
%npuenc_pointer(POINTER)
%enddef
%define %npuenc_output(POINTER, SIZE)
%npuenc_pointer(POINTER)
%enddef
%npuenc_pointer(const uint32_t *lengths)
%npuenc_pointer(const char *path)

/* Static text. SWIG's own way calls back into the runtime for every string. */
%typemap(ctype) const char * "const void *"
%typemap(imtype) const char * "global::System.IntPtr"
%typemap(cstype) const char * "global::System.IntPtr"
%typemap(csout, excode=SWIGEXCODE) const char * { return $imcall; }
%typemap(out) const char * "$result = $1;"

/* size_t has 64 bits; SWIG takes it for a uint. */
%typemap(ctype) size_t "size_t"
%typemap(imtype) size_t "global::System.UIntPtr"
%typemap(cstype) size_t "ulong"
%typemap(csin) size_t "(global::System.UIntPtr)$csinput"
%typemap(csout, excode=SWIGEXCODE) size_t { return (ulong)$imcall; }
%typemap(in) size_t "$1 = $input;"
%typemap(out) size_t "$result = $1;"

/* NAMEHandle is the safe layer's: CtxHandle, ModelHandle, WeightHandle, RunHandle. */
%define %npuenc_handle(TYPE, NAME)
%typemap(ctype) TYPE *, const TYPE * "void *"
%typemap(imtype) TYPE *, const TYPE * "global::NpuEnc." #NAME "Handle"
%typemap(cstype) TYPE *, const TYPE * "global::NpuEnc." #NAME "Handle"
%typemap(csin) TYPE *, const TYPE * "$csinput"
%typemap(in) TYPE *, const TYPE * "$1 = ($1_ltype)$input;"
%typemap(ctype) TYPE **out "void **"
%typemap(imtype) TYPE **out "out global::NpuEnc." #NAME "Handle"
%typemap(cstype) TYPE **out "out global::NpuEnc." #NAME "Handle"
%typemap(csin) TYPE **out "out $csinput"
%typemap(in) TYPE **out "$1 = (TYPE **)$input;"
%enddef

%define %npuenc_result(TYPE, NAME)
%apply TYPE *OUTPUT { TYPE *NAME };
%enddef
%apply unsigned int *OUTPUT { uint32_t *OUTPUT };
%apply unsigned long long *OUTPUT { size_t *OUTPUT };

/* A C# struct of automatic properties, whose fields the runtime lays out in their order as C does: no
 * call for a field, no copy for a struct. The tests compare the layouts with the C compiler's. SWIG
 * writes a call for reading each field all the same, but none for writing. */
%nodefaultctor;
%nodefaultdtor;
%immutable;
%typemap(csclassmodifiers) SWIGTYPE
    "[global::System.Runtime.InteropServices.StructLayout(global::System.Runtime.InteropServices.LayoutKind.Sequential)]\ninternal struct"
%typemap(csinterfaces) SWIGTYPE ""
%typemap(csbody) SWIGTYPE ""
%typemap(csdispose) SWIGTYPE ""
%typemap(csdisposing) SWIGTYPE ""
%typemap(csvarout) int32_t, uint32_t, uint64_t, float, void *, npuenc_log_fn, char [ANY] "get; set;"

%define %npuenc_struct(TYPE)
%typemap(ctype) TYPE *, const TYPE * "void *"
%typemap(imtype) TYPE *, const TYPE * "ref " #TYPE
%typemap(cstype) TYPE *, const TYPE * "ref " #TYPE
%typemap(csin) TYPE *, const TYPE * "ref $csinput"
%typemap(in) TYPE *, const TYPE * "$1 = ($1_ltype)$input;"
%enddef
%npuenc_struct(npuenc_open_options)
%npuenc_struct(npuenc_device_info)
%npuenc_struct(npuenc_ctx_info)
%npuenc_struct(npuenc_matmul_desc)
%npuenc_struct(npuenc_weight_desc)
%npuenc_struct(npuenc_linear_desc)
%npuenc_struct(npuenc_attention_desc)
%npuenc_struct(npuenc_model_options)
%npuenc_struct(npuenc_model_info)
%npuenc_struct(npuenc_mel_desc)
%npuenc_struct(npuenc_encode_desc)
%npuenc_struct(npuenc_stats)
%npuenc_struct(npuenc_op_info)

%npuenc_pointer(void *log_user)
%npuenc_pointer(npuenc_log_fn log_fn)
%typemap(out) void *log_user, npuenc_log_fn log_fn "$result = (void *)$1;"
%typemap(csout) void *log_user, npuenc_log_fn log_fn ""
%typemap(csvarout) void *log_user, npuenc_log_fn log_fn "get; set;"
%typemap(csvarin) void *log_user, npuenc_log_fn log_fn ""

/* Text in a struct: the safe layer has a struct of bytes for each length. */
%typemap(ctype) char [ANY] "const void *"
%typemap(imtype) char [ANY] "global::System.IntPtr"
%typemap(cstype) char [ANY] "global::NpuEnc.Text$1_dim0"
%typemap(out) char [ANY] "$result = $1;"
