/* SPDX-License-Identifier: MIT
 *
 * Python: a buffer is whatever has the buffer protocol, in place and held until the call has ended;
 * the interpreter is let go in every call that may take time or wait; a line for the log goes to a
 * callable.
 */
%include <typemaps.i>

/* ---- Buffers --------------------------------------------------------------------------------- */

%header %{
static const Py_buffer npuenc_no_view;

/* What an object lends: the bytes from its first element to the end of its last one, as its rows may
 * lie apart. None lends nothing. Until the view is released the object cannot move its memory. */
static int npuenc_borrow(PyObject *object, Py_buffer *view, int flags, void **address,
                         size_t *bytes) {
    *address = NULL;
    *bytes = 0;
    if (object == Py_None)
        return 0;
    if (PyObject_GetBuffer(object, view, flags | PyBUF_STRIDES) != 0)
        return -1;
    Py_ssize_t span = view->itemsize;
    for (int i = 0; i < view->ndim; ++i)
        if (view->shape[i] == 0)
            span = 0;
    for (int i = 0; span > 0 && i < view->ndim; ++i) {
        if (view->shape[i] > 1 && view->strides[i] < 0) {
            PyErr_SetString(PyExc_BufferError, "a buffer runs backwards");
            return -1;
        }
        span += (view->shape[i] - 1) * view->strides[i];
    }
    *address = view->buf;
    *bytes = (size_t)span;
    return 0;
}
%}

%define %npuenc_buffer(POINTER, SIZE, FLAGS, UNIT)
%typemap(in) (POINTER, SIZE) (Py_buffer view = npuenc_no_view, void *address, size_t bytes) {
    if (npuenc_borrow($input, &view, FLAGS, &address, &bytes) != 0)
        SWIG_fail;
    $1 = ($1_ltype)address;
    $2 = bytes / UNIT;
}
%typemap(freearg) (POINTER, SIZE) "PyBuffer_Release(&view$argnum);"
%enddef
%define %npuenc_input(POINTER, SIZE)
%npuenc_buffer(POINTER, SIZE, PyBUF_SIMPLE, 1)
%enddef
%define %npuenc_output(POINTER, SIZE)
%npuenc_buffer(POINTER, SIZE, PyBUF_WRITABLE, 1)
%enddef
%npuenc_buffer(const uint32_t *lengths, size_t n_lengths, PyBUF_SIMPLE, sizeof(uint32_t))

/* In the file system's encoding, whatever os.PathLike says. */
%typemap(in) const char *path (PyObject *encoded = NULL) {
    if (!PyUnicode_FSConverter($input, &encoded))
        SWIG_fail;
    $1 = PyBytes_AsString(encoded);
}
%typemap(freearg) const char *path "Py_XDECREF(encoded$argnum);"

/* ---- Handles and results --------------------------------------------------------------------- */

%define %npuenc_handle(TYPE, NAME)
%typemap(in, numinputs=0) TYPE **out (TYPE *made = NULL) "$1 = &made;"
%typemap(argout) TYPE **out {
    %append_output(SWIG_NewPointerObj(*$1, $descriptor(TYPE *), 0));
}
%enddef

%define %npuenc_result(TYPE, NAME)
%apply TYPE *OUTPUT { TYPE *NAME };
%enddef
%apply unsigned int *OUTPUT { uint32_t *OUTPUT };
%apply size_t *OUTPUT { size_t *OUTPUT };

/* ---- Structs --------------------------------------------------------------------------------- */

/* A new one is zero but for its size. */
%define %npuenc_struct(NAME)
%exception NAME::NAME %{
    $action
    if (!result) {
        PyErr_NoMemory();
        SWIG_fail;
    }
%}
%extend NAME {
    NAME() {
        NAME *made = calloc(1, sizeof *made);
        if (made)
            made->struct_size = sizeof *made;
        return made;
    }
}
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

/* ---- Threads --------------------------------------------------------------------------------- */

/* All calls but those that only look: a line for the log needs the interpreter, and freeing waits
 * for calls in flight. */
%define %npuenc_lets_go(NAME)
%exception NAME %{
    Py_BEGIN_ALLOW_THREADS
    $action
    Py_END_ALLOW_THREADS
%}
%enddef
%npuenc_lets_go(npuenc_device_count)
%npuenc_lets_go(npuenc_device_get)
%npuenc_lets_go(npuenc_open)
%npuenc_lets_go(npuenc_close)
%npuenc_lets_go(npuenc_matmul)
%npuenc_lets_go(npuenc_weight_create)
%npuenc_lets_go(npuenc_weight_free)
%npuenc_lets_go(npuenc_linear)
%npuenc_lets_go(npuenc_attention)
%npuenc_lets_go(npuenc_mel)
%npuenc_lets_go(npuenc_model_load)
%npuenc_lets_go(npuenc_model_load_memory)
%npuenc_lets_go(npuenc_model_free)
%npuenc_lets_go(npuenc_encode)
%npuenc_lets_go(npuenc_encode_submit)
%npuenc_lets_go(npuenc_run_wait)
%npuenc_lets_go(npuenc_run_free)

/* ---- The log --------------------------------------------------------------------------------- */

%header %{
#include <sched.h>

/* Threads that are between the library and the interpreter, and whether it has gone: a thread that
 * asks for it then would be ended or hang in the middle of the library. */
static int npuenc_lines_in_flight, npuenc_interpreter_gone;

/* An npuenc_log_fn: user is a callable, and is called with the level and the text. */
static void npuenc_log_to_python(void *user, int32_t level, const char *message) {
    __atomic_add_fetch(&npuenc_lines_in_flight, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&npuenc_interpreter_gone, __ATOMIC_SEQ_CST)) {
        PyGILState_STATE state = PyGILState_Ensure();
        PyObject *callable = (PyObject *)user;
        PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
        PyObject *answer = text ? PyObject_CallFunction(callable, "iO", (int)level, text) : NULL;
        if (!answer)
            PyErr_WriteUnraisable(callable);
        Py_XDECREF(answer);
        Py_XDECREF(text);
        PyGILState_Release(state);
    }
    __atomic_sub_fetch(&npuenc_lines_in_flight, 1, __ATOMIC_SEQ_CST);
}
%}
%constant npuenc_log_fn npuenc_log_to_python = npuenc_log_to_python;
/* Borrowed: whoever opens a context keeps it. */
%typemap(in) void *log_user "$1 = $input;"

/* At the interpreter's end: no line comes to it from here on. */
%npuenc_lets_go(npuenc_log_end)
/* In a forked child, whose other threads are gone. */
%inline %{
void npuenc_log_end(void) {
    __atomic_store_n(&npuenc_interpreter_gone, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&npuenc_lines_in_flight, __ATOMIC_SEQ_CST) > 0)
        sched_yield();
}

void npuenc_log_forked(void) {
    __atomic_store_n(&npuenc_lines_in_flight, 0, __ATOMIC_SEQ_CST);
}
%}
