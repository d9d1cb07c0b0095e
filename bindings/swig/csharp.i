/* SPDX-License-Identifier: MIT
 *
 * C#: buffers as IntPtr, which the safe layer pins, and handles as IntPtr, which it owns.
 */
%include <typemaps.i>

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
%npuenc_pointer(void *log_user)
%npuenc_pointer(npuenc_log_fn log_fn)

/* size_t has 64 bits; SWIG takes it for a uint. */
%typemap(ctype) size_t "size_t"
%typemap(imtype) size_t "global::System.UIntPtr"
%typemap(cstype) size_t "ulong"
%typemap(csin) size_t "(global::System.UIntPtr)$csinput"
%typemap(csout, excode=SWIGEXCODE) size_t { ulong ret = (ulong)$imcall;$excode return ret; }
%typemap(in) size_t "$1 = $input;"
%typemap(out) size_t "$result = $1;"

%define %npuenc_handle(TYPE, NAME)
%npuenc_pointer(TYPE *)
%npuenc_pointer(const TYPE *)
%typemap(ctype) TYPE **out "void **"
%typemap(imtype) TYPE **out "out global::System.IntPtr"
%typemap(cstype) TYPE **out "out global::System.IntPtr"
%typemap(csin) TYPE **out "out $csinput"
%typemap(in) TYPE **out "$1 = (TYPE **)$input;"
%enddef

%define %npuenc_result(TYPE, NAME)
%apply TYPE *OUTPUT { TYPE *NAME };
%enddef
%apply unsigned int *OUTPUT { uint32_t *OUTPUT };
%apply unsigned long long *OUTPUT { size_t *OUTPUT };
