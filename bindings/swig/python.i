/* SPDX-License-Identifier: MIT
 *
 * Python: buffers are whatever has the buffer protocol, without copies.
 */
%include <pybuffer.i>
%include <typemaps.i>

%define %npuenc_input(POINTER, SIZE)
%pybuffer_binary(POINTER, SIZE);
%enddef
%define %npuenc_output(POINTER, SIZE)
%pybuffer_mutable_binary(POINTER, SIZE);
%enddef

%define %npuenc_handle(TYPE, NAME)
%typemap(in, numinputs=0) TYPE **out (TYPE *made = NULL) "$1 = &made;"
%typemap(argout) TYPE **out {
    $result = SWIG_AppendOutput($result, SWIG_NewPointerObj(*$1, $descriptor(TYPE *), 0));
}
%enddef

%define %npuenc_result(TYPE, NAME)
%apply TYPE *OUTPUT { TYPE *NAME };
%enddef
%apply unsigned int *OUTPUT { uint32_t *OUTPUT };
%apply size_t *OUTPUT { size_t *OUTPUT };
