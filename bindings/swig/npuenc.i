/* SPDX-License-Identifier: MIT
 *
 * What the header's types do not say and every language has to know: which pointers are buffers and
 * with which parameter their size comes, which are handles, and which are single results. How a
 * language takes each of them is in its own file, which defines
 *
 *   %npuenc_input(POINTER, SIZE)      a buffer that is read
 *   %npuenc_output(POINTER, SIZE)     a buffer that is written
 *   %npuenc_handle(TYPE, NAME)        a handle, and TYPE **out, through which one is returned
 *   %npuenc_result(TYPE, NAME)        TYPE *NAME, through which a number is returned
 *
 * and includes what it needs of SWIG's library.
 */
%module npuenc
%{
#include <npuenc/npuenc.h>
%}
%include <stdint.i>

#if defined(SWIGGO)
%include "go.i"
#elif defined(SWIGCSHARP)
%include "csharp.i"
#elif defined(SWIGPYTHON)
%include "python.i"
#else
#error "bindings/swig has no file for this language"
#endif

%npuenc_handle(npuenc_ctx, Ctx)
%npuenc_handle(npuenc_model, Model)
%npuenc_handle(npuenc_weight, Weight)
%npuenc_handle(npuenc_run, Run)

%npuenc_input(const void *a, size_t a_bytes)
%npuenc_input(const void *b, size_t b_bytes)
%npuenc_output(void *c, size_t c_bytes)
%npuenc_input(const void *q, size_t q_bytes)
%npuenc_input(const void *k, size_t k_bytes)
%npuenc_input(const void *v, size_t v_bytes)
%npuenc_input(const void *mask, size_t mask_bytes)
%npuenc_input(const void *data, size_t data_bytes)
%npuenc_input(const void *scales, size_t scales_bytes)
%npuenc_input(const void *bias, size_t bias_bytes)
%npuenc_input(const void *x, size_t x_bytes)
%npuenc_output(void *y, size_t y_bytes)
%npuenc_input(const void *pcm, size_t pcm_bytes)
%npuenc_input(const void *in, size_t in_bytes)
%npuenc_output(void *out, size_t out_bytes)
%npuenc_output(char *buf, size_t cap)

%npuenc_result(uint32_t, count)
%npuenc_result(uint32_t, done)
%npuenc_result(uint32_t, total)
%npuenc_result(size_t, bytes)

%include <npuenc/npuenc.h>
