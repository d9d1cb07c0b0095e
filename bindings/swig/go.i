/* SPDX-License-Identifier: MIT
 *
 * Go: exact widths, slices that are borrowed for a call, handles of one word.
 */
%insert(cgo_comment_typedefs) %{
#cgo pkg-config: npuenc
%}

/* `type` is a word of Go's own, but GetType is not. */
%rename(Type) type;

/* SWIG makes C's int a Go int, which has 64 bits: a pointer to one would point at too much. */
%typemap(gotype) int32_t "int32"
%typemap(gotype) uint32_t "uint32"
%typemap(gotype) int64_t "int64"
%typemap(gotype) uint64_t "uint64"
%typemap(gotype) size_t "uint64"

%define %npuenc_input(POINTER, SIZE)
%typemap(gotype) (POINTER, SIZE) "[]byte"
%typemap(in) (POINTER, SIZE) %{
    $1 = ($1_ltype)$input.array;
    $2 = (size_t)$input.len;
%}
%enddef

%define %npuenc_output(POINTER, SIZE)
%npuenc_input(POINTER, SIZE)
%enddef

%typemap(gotype) (const uint32_t *lengths, size_t n_lengths) "[]uint32"
%typemap(in) (const uint32_t *lengths, size_t n_lengths) %{
    $1 = ($1_ltype)$input.array;
    $2 = (size_t)$input.len;
%}

/* SWIG's own way for TYPE **out is a pointer to an interface of two words, of which the C side
 * would fill one. */
%define %npuenc_handle(TYPE, NAME)
%typemap(gotype) TYPE *, const TYPE * "NAME"
%typemap(gotype) TYPE **out "*NAME"
%typemap(in) TYPE **out "$1 = (TYPE **)$input;"
%insert(go_header) %{
type NAME uintptr
%}
%enddef

%define %npuenc_result(TYPE, NAME)
%typemap(gotype) TYPE *NAME "*$typemap(gotype, TYPE)"
%enddef

/* The callback is a plain word: the safe layer has the function. */
%typemap(gotype) npuenc_log_fn "uintptr"
%typemap(in) npuenc_log_fn "$1 = (npuenc_log_fn)$input;"
%typemap(out) npuenc_log_fn "$result = $1;"
