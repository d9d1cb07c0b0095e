/* SPDX-License-Identifier: MIT
 *
 * npuenc.h - the Whisper speech encoder on AMD NPUs and on CPUs: the whole public ABI.
 *
 * Rules that hold for every call
 *
 *   Status    A call that can fail returns NPUENC_OK (0) or a negative NPUENC_E_* code, and
 *             npuenc_last_error then has one line of detail for the calling thread. On failure an
 *             output handle is set to NULL, no output struct is written, and what an output buffer
 *             holds is unspecified only where the work itself had begun (E_CANCELED, E_DEVICE,
 *             E_TIMEOUT, E_CTX_LOST, E_INTERNAL).
 *   Zero      In every input struct a zeroed field means "default", now and in later versions.
 *             Fields named reserved must be zero (else E_INVALID).
 *   Sizes     Every struct begins with struct_size: set it to sizeof the struct before the call.
 *             Input: a newer caller may talk to an older library as long as the bytes that the
 *             library does not know are zero (else E_TOO_NEW). Output: all struct_size bytes are
 *             written, those that the library does not know with zeros; what they held before
 *             does not matter. A struct smaller than in version 1.0 is E_INVALID.
 *   Buffers   Belong to the caller, are flat, and come with their size in bytes, which is checked
 *             before anything is touched; too small is E_BUFFER, NULL E_INVALID. A buffer that the
 *             shape leaves empty may be NULL with size 0. Of rows that lie further apart than they
 *             are long only the rows are read or written, and after the last one nothing has to
 *             follow. Sizes whose products overflow are E_INVALID. Buffers need the alignment
 *             of their element type (else E_INVALID), and an output must not overlap anything
 *             else. Nothing is kept past a call, except by npuenc_encode_submit, which keeps its
 *             buffers until its run has finished.
 *   Handles   Opaque. Each is freed by the call named with it; freeing NULL does nothing. A model,
 *             a weight and a run keep what they need of their context alive, so handles may be
 *             freed in any order. Using a handle that has been freed is undefined.
 *   Threads   Contexts, models and weights may be used from any number of threads at once. A run
 *             serves one call at a time (E_BUSY); its other functions may be called from any
 *             thread meanwhile. Freeing a handle while another thread still passes it to a call
 *             is undefined, as with free().
 *   Fork      Handles do not survive fork(): in the child every call on one that was made before
 *             returns E_FORKED, and calls without a result do nothing. The child may open anew;
 *             where its parent has opened an NPU, the CPU only, as XRT does not survive fork():
 *             asked for the NPU, npuenc_open returns E_UNSUPPORTED, and AUTO takes the CPU.
 *   Unwinding No exception or longjmp may cross this line in either direction.
 *   Silence   npuenc never prints, aborts, changes signal handlers, or reads the environment, but
 *             for these variables, which programs with raised privileges ignore:
 *               NPUENC_ISA   the highest instruction set for the CPU: reference, avx2, avxvnni,
 *                            avx512, avx512vnni, avx512bf16 (with BF16 and VBMI), amx (with
 *                            tiles of int8 and bf16). npuenc_open fails with E_UNSUPPORTED for one
 *                            that the CPU or the system lacks and E_INVALID for another word.
 *               NPUENC_MODULE_PATH   the directory of npuenc-xrt.so, through which NPUs are driven,
 *                            instead of the installed npuenc/ beside libnpuenc.
 *               NPUENC_OVERLAY_PATH  directories divided by colons that are searched for overlays,
 *                            the NPU's programs, instead of the installed share/npuenc/npu1. Those
 *                            made with AMD's tools are taken if their manifests say the same.
 *             Where there is an NPU to be driven, XRT is loaded, which reads its own variables and
 *             xrt.ini; with XCL_EMULATION_MODE among them no NPU is usable.
 *   AMX       Where a CPU has it, calls that open or list devices ask Linux for its tiles. Linux
 *             gives them to the whole process and what it forks, for good: sigaltstack() then
 *             refuses a stack that a signal's frame with tiles does not fit on, less than
 *             getauxval(AT_MINSIGSTKSZ) bytes or about 11 KiB. Where a thread has such a stack
 *             already, or the system refuses for another reason, AMX is not used. Nor is it, and
 *             nothing is asked for, if NPUENC_ISA names a lower instruction set. No tiles are in
 *             use when a call returns; as calling conventions have it, a caller's are lost.
 *
 * Enumerators only name the values: parameters and fields are int32_t or uint32_t, so that a value
 * from another version is data in every language.
 *
 * A program that was built with version 1.0 or later runs with every later version of the same
 * soname, libnpuenc.so.1. The symbols of 1.0 have the node NPUENC_1.0.
 */
#ifndef NPUENC_NPUENC_H
#define NPUENC_NPUENC_H

#include <stddef.h>
#include <stdint.h>

#if defined(SWIG) || defined(NPUENC_STATIC) || !defined(__GNUC__)
#define NPUENC_API
#else
#define NPUENC_API __attribute__((visibility("default")))
#endif

#define NPUENC_VERSION_MAJOR 1
#define NPUENC_VERSION_MINOR 0
#define NPUENC_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Values ---------------------------------------------------------------------------------- */

typedef enum npuenc_status {
    NPUENC_OK = 0,
    NPUENC_E_INTERNAL = -1,    /* a defect of npuenc: please report it */
    NPUENC_E_INVALID = -2,     /* an argument is out of its documented range */
    NPUENC_E_NOMEM = -3,       /* memory or threads could not be had */
    NPUENC_E_NOT_FOUND = -4,   /* no such device or file */
    NPUENC_E_UNSUPPORTED = -5, /* valid, but not on this device or in this build */
    NPUENC_E_TOO_NEW = -6,     /* a struct or file of a later version */
    NPUENC_E_BAD_MODEL = -7,   /* a model file is damaged or not a Whisper encoder */
    NPUENC_E_IO = -8,          /* a file could not be read */
    NPUENC_E_DEVICE = -9,      /* the device, its driver or its firmware failed this call */
    NPUENC_E_BUSY = -10,       /* the run is in use by another call, or the device by others */
    NPUENC_E_CANCELED = -11,   /* npuenc_run_cancel ended the call */
    NPUENC_E_TIMEOUT = -12,    /* the device did not answer in time; the call is over */
    NPUENC_E_BUFFER = -13,     /* a buffer is smaller than the shape needs */
    NPUENC_E_FORKED = -14,     /* the handle was made before fork() by the parent process */
    NPUENC_E_PENDING = -15,    /* a wait ran out of time; the call goes on, its buffers in use */
    NPUENC_E_CTX_LOST = -16    /* the context cannot go on after a failure; open a new one */
} npuenc_status;

typedef enum npuenc_device_type {
    NPUENC_DEVICE_AUTO = 0, /* the first NPU that is usable, else the CPU */
    NPUENC_DEVICE_CPU = 1,
    NPUENC_DEVICE_NPU = 2 /* an NPU or an error: never the CPU instead */
} npuenc_device_type;

/* Element types. BF16 and F16 are held in uint16_t. */
typedef enum npuenc_dtype {
    NPUENC_F32 = 1,
    NPUENC_BF16 = 2,
    NPUENC_S8 = 3,
    NPUENC_S32 = 4,
    NPUENC_F16 = 5
} npuenc_dtype;

/* What products are computed in: weights x activations -> sums. */
typedef enum npuenc_precision {
    NPUENC_PRECISION_AUTO = 0,  /* chosen by npuenc, see the struct that has it */
    NPUENC_PRECISION_F32 = 1,   /* f32 x f32 -> f32 */
    NPUENC_PRECISION_BF16 = 2,  /* bf16 x bf16 -> f32; on an NPU, in encodes, -> int16, that sum
                                   in fixed point, within 2^-13 of the Euclidean norm of the
                                   weights times that of the activations */
    NPUENC_PRECISION_INT8 = 3,  /* int8 with a scale per output channel x int8 with a scale per row
                                   (found from the row's largest magnitude) -> int32; on an NPU, in
                                   encodes and for results in BF16, -> int16, that int32 divided
                                   by a power of two which no row can make too small */
    NPUENC_PRECISION_BF16X2 = 4 /* reported, not to be asked for: each operand is the sum of two
                                   bf16, of 16 bits together, and a product three of bf16 with f32
                                   sums */
} npuenc_precision;

typedef enum npuenc_input {
    NPUENC_INPUT_PCM_F32 = 0, /* float: mono, 16 kHz, nominally in [-1, 1] */
    NPUENC_INPUT_PCM_S16 = 1, /* int16_t: mono, 16 kHz, 32768 standing for 1 */
    NPUENC_INPUT_MEL_F32 = 2  /* float: log-mel as of npuenc_mel, 100 frames a second */
} npuenc_input;

typedef enum npuenc_mask {
    NPUENC_MASK_NONE = 0,
    NPUENC_MASK_KEY_LENGTHS = 1, /* item i sees its first lengths[i] keys only */
    NPUENC_MASK_CAUSAL = 2,      /* query i sees key j when j <= i + kv_len - q_len: the last query
                                    sees every key */
    NPUENC_MASK_ADD_F32 = 3      /* a float is added to every score; -INFINITY hides a key */
} npuenc_mask;

typedef enum npuenc_log_level {
    NPUENC_LOG_OFF = -1,
    NPUENC_LOG_DEFAULT = 0, /* as NPUENC_LOG_WARN */
    NPUENC_LOG_ERROR = 1,
    NPUENC_LOG_WARN = 2,
    NPUENC_LOG_INFO = 3,
    NPUENC_LOG_DEBUG = 4
} npuenc_log_level;

/* ---- Handles --------------------------------------------------------------------------------- */

typedef struct npuenc_ctx npuenc_ctx;       /* an open device with its threads */
typedef struct npuenc_model npuenc_model;   /* the immutable weights of an encoder on that device */
typedef struct npuenc_weight npuenc_weight; /* one packed matrix on that device */
typedef struct npuenc_run npuenc_run;       /* one call: cancel, progress, wait, statistics */

/* ---- Structs --------------------------------------------------------------------------------- */

/* Receives one line without a newline, valid during the call only. It is called on threads that are
 * inside an npuenc call, by several of them at once if several are, and must neither call npuenc
 * nor unwind. level is an npuenc_log_level from ERROR to DEBUG. */
typedef void (*npuenc_log_fn)(void* user, int32_t level, const char* message);

typedef struct npuenc_open_options {
    uint32_t struct_size;
    int32_t device_type;   /* npuenc_device_type */
    uint32_t device_index; /* which of that type, as npuenc_device_info.index; 0 for AUTO */
    uint32_t n_threads;    /* host threads, the caller's included, at most 1024; 0: one for each
                              physical core that the process may run on */
    int32_t log_level;     /* npuenc_log_level: messages up to this one are delivered */
    uint32_t reserved;
    npuenc_log_fn log_fn; /* NULL: no messages */
    void* log_user;       /* passed to log_fn */
} npuenc_open_options;

/* Strings are UTF-8, end with NUL, and are empty where something is not known. */
typedef struct npuenc_device_info {
    uint32_t struct_size;
    int32_t device_type; /* NPUENC_DEVICE_CPU or _NPU */
    uint32_t index;      /* among the devices of its type */
    int32_t status;      /* NPUENC_OK when usable, else what npuenc_open would return for it */
    uint32_t n_cores;    /* CPU: physical cores that this process may use; NPU: compute tiles */
    uint32_t n_columns;  /* NPU: columns of the array; CPU: 0 */
    uint64_t memory_bytes;
    char name[64];        /* as the driver or the processor calls it */
    char isa[32];         /* CPU: the instruction set in use; NPU: the array's generation */
    char bus_address[32]; /* PCI address */
    char driver[64];      /* with its version */
    char firmware[64];    /* version */
    char runtime[64];     /* XRT's version */
    char reason[256];     /* why it is not usable, and what to do about it */
} npuenc_device_info;

typedef struct npuenc_ctx_info {
    uint32_t struct_size;
    int32_t device_type;   /* the device that runs: NPUENC_DEVICE_CPU or _NPU, never AUTO */
    uint32_t device_index; /* of that type */
    uint32_t n_threads;    /* host threads, the caller's included */
    int32_t status;        /* NPUENC_OK, or NPUENC_E_CTX_LOST */
    uint32_t fell_back;    /* 1 when AUTO was asked for and the CPU was taken: see
                              npuenc_ctx_reason */
    char device_name[64];  /* as npuenc_device_info.name */
    char isa[32];          /* CPU instruction set in use */
} npuenc_ctx_info;

/* c[i] = a[i] b[i] for i < batch, all row-major: a is [m][k], b [k][n], c [m][n].
 *
 *   a_type, b_type -> c_type   computed as
 *   F32,  F32  -> F32          f32 sums
 *   BF16, BF16 -> F32          f32 sums of exact products
 *   BF16, BF16 -> BF16         the same, rounded to nearest even
 *   S8,   S8   -> S32          exact, modulo 2^32
 *   S8,   S8   -> S8           clamp(rint(sum * scale) + zero_point, -128, 127), the product in
 *                              f32, rint to nearest even
 *
 * m, n, k and batch may be 0 but for batch's default; k = 0 gives sums of zero. Any size that
 * overflows size_t or 2^63 operations is E_INVALID. */
typedef struct npuenc_matmul_desc {
    uint32_t struct_size;
    int32_t a_type, b_type, c_type; /* npuenc_dtype; no default */
    uint32_t batch;                 /* 0: 1 */
    uint32_t m, n, k;
    uint32_t flags;     /* NPUENC_MATMUL_* */
    float scale;        /* for S8 results: finite, 0: 1; else 0 */
    int32_t zero_point; /* for S8 results: -128 to 127; else 0 */
    uint32_t reserved;
    uint64_t lda, ldb, ldc; /* elements from row to row, at least the row's length; 0: that */
    uint64_t stride_a, stride_b, stride_c; /* elements from item to item, at least an item's span;
                                              0: rows * leading dimension */
} npuenc_matmul_desc;

#define NPUENC_MATMUL_B_TRANSPOSED 1u /* b is [n][k] */
#define NPUENC_MATMUL_B_SHARED 2u     /* one b for the whole batch; stride_b must be 0 */

/* One matrix W[n_out][n_in], rows are output channels as in PyTorch and in Whisper's files. */
typedef struct npuenc_weight_desc {
    uint32_t struct_size;
    int32_t type;         /* of the data: F32, F16, BF16, or S8 (with scales); no default */
    int32_t precision;    /* npuenc_precision of its products; AUTO: F32 for F32 and F16 data, BF16
                             for BF16, INT8 for S8. S8 data takes INT8 only */
    uint32_t n_out, n_in; /* at least 1 */
    uint32_t reserved;
    uint64_t ld; /* elements from row to row, at least n_in; 0: n_in */
} npuenc_weight_desc;

/* y[rows][n_out] = x[rows][n_in] W^T + bias. */
typedef struct npuenc_linear_desc {
    uint32_t struct_size;
    int32_t x_type;    /* F32, BF16 or F16; no default */
    int32_t y_type;    /* the same choice; no default */
    uint32_t rows;     /* may be 0 */
    uint64_t ldx, ldy; /* elements from row to row, at least the row's length; 0: that */
} npuenc_linear_desc;

/* out = softmax(q k^T * scale + mask) v for every item and head (Vaswani et al. 2017, equation 1).
 *
 * q and out are [batch][q_len][n_head][head_dim], k and v [batch][kv_len][n_head][head_dim], with
 * ld elements from position to position and len * ld from item to item. A query that sees no key
 * gives zeros. Types of all four:
 *   F32   f32 throughout
 *   BF16  products of bf16 with f32 sums, softmax in f32, probabilities and results rounded to bf16
 *   S8    a real value is its integer times its scale; products of q and k exact, softmax in f32,
 *         probabilities rounded to bf16; results are clamp(rint(real / out_scale), -128, 127).
 *         An NPU has one fused kernel for 64 positions in heads of 64 without a mask, where scale *
 *         q_scale * k_scale is in 2^-28..2^-6 and out_scale is v_scale times a power of two,
 *         2^-4..2^15. It approximates the softmax by tangents: the correlation of its results with
 *         exact ones is at least 0.99 */
typedef struct npuenc_attention_desc {
    uint32_t struct_size;
    int32_t type;                               /* F32, BF16 or S8; no default */
    uint32_t batch;                             /* 0: 1 */
    uint32_t n_head, head_dim;                  /* at least 1 */
    uint32_t q_len, kv_len;                     /* may be 0 */
    int32_t mask;                               /* npuenc_mask; CAUSAL needs kv_len >= q_len */
    uint32_t flags;                             /* NPUENC_ATTENTION_* */
    float scale;                                /* of the scores: finite, 0: 1 / sqrt(head_dim) */
    float q_scale, k_scale, v_scale, out_scale; /* S8: positive and finite, 0: 1; else 0 */
    uint64_t ldq, ldk, ldv, ldo;                /* at least n_head * head_dim; 0: that */
} npuenc_attention_desc;

#define NPUENC_ATTENTION_MASK_PER_ITEM 1u /* ADD_F32: the mask has its own [..] for every item */
#define NPUENC_ATTENTION_MASK_PER_HEAD 2u /* ADD_F32: and for every head */

/* Precision AUTO is BF16 when any products run on an NPU. Else it is a table, made from
 * measurements, of the context's isa and the model's n_state:
 *
 *   isa                n_state                  AUTO
 *   avx512bf16, amx    384 (tiny), 512 (base)   BF16
 *   all others, and all other n_state           F32
 *
 * Without AVX512_BF16, bf16 is no faster than f32; wider models have not been measured. Where isa
 * is avx512bf16 on an Intel CPU, AMX not being used, bf16 is slower than f32. INT8 is never chosen
 * unasked, as single frames can be further off in it than in BF16. What was chosen is in
 * npuenc_model_info. A later version may choose otherwise: who needs the same states from it names
 * the precision.
 *
 * Which device runs a family of operators: CPU is allowed on any context; NPU on an NPU's only, and
 * for products only (else E_UNSUPPORTED). AUTO on an NPU's context is the NPU for products with
 * weights and the CPU for the rest. That is attention as well: on the array the host would have to
 * take all scores out, make probabilities of them and put these in again. */
typedef struct npuenc_model_options {
    uint32_t struct_size;
    int32_t precision;          /* AUTO, F32, BF16 or INT8: npuenc_precision of all products but
                                   those that the states depend on most. The first layer's
                                   projections and its queries times keys are F32 with BF16; with
                                   INT8 all of that layer is BF16, but in models of up to 4 layers
                                   the second product of its MLP; the convolutions are BF16 with
                                   either. A CPU with AMX takes BF16X2 for all that is named here
                                   and that product, but BF16 for the convolutions with INT8. An NPU
                                   has no F32: asked for it is E_UNSUPPORTED, and with BF16 the
                                   projections are BF16X2 there and attention BF16; with INT8 all
                                   projections and MLPs of the first two layers are BF16, the
                                   convolutions BF16X2 */
    int32_t linear_device;      /* npuenc_device_type: projections and MLP */
    int32_t attention_device;   /* products and softmax of attention */
    int32_t conv_device;        /* the two convolutions */
    int32_t elementwise_device; /* norms; asked for the CPU, GELU too, which with AUTO an NPU does
                                   itself in an MLP whose products are both BF16 there */
} npuenc_model_options;

typedef struct npuenc_model_info {
    uint32_t struct_size;
    uint32_t n_mels;  /* bands of the input: 80 or 128 */
    uint32_t n_ctx;   /* states of a full window: 1500 in every published model */
    uint32_t n_state; /* width of a state */
    uint32_t n_head, n_layer;
    uint32_t n_vocab;       /* 0 where the file does not say; 51864: English only */
    int32_t precision;      /* npuenc_precision in use, never AUTO */
    int32_t wide_precision; /* of what is most sensitive, the first layer's projections, never AUTO:
                               see npuenc_model_options */
    uint32_t reserved;      /* 0 */
    int32_t linear_device, attention_device, conv_device, elementwise_device; /* never AUTO */
    uint64_t n_parameters;                                                    /* of the encoder */
    uint64_t file_bytes;   /* all files of the model */
    uint64_t weight_bytes; /* memory that the packed weights take */
    char name[64];        /* after the published model of this shape: "tiny.en", "base"; "custom" */
    char format[16];      /* "ggml", "safetensors", "ctranslate2" */
    char weight_type[16]; /* of the matrices in the file: "f16", "q5_0" */
} npuenc_model_info;

/* Log-mel of one window as Whisper defines it (openai/whisper, whisper/audio.py): 400-point Fourier
 * transform every 160 samples, periodic Hann window, reflected by 200 samples at both ends, power,
 * Slaney-scaled filters, log10 clamped to 8 below the window's maximum, then (x + 4) / 4. */
typedef struct npuenc_mel_desc {
    uint32_t struct_size;
    int32_t input;     /* NPUENC_INPUT_PCM_F32 or _PCM_S16 */
    uint32_t n_mels;   /* 80 or 128; 0: 80 */
    uint32_t n_frames; /* of the window: 2 to 131072; 0: 3000, which is 30 s. The window has
                          160 * n_frames samples */
} npuenc_mel_desc;

/* A batch of windows. A window of n_ctx states takes 320 * n_ctx samples or 2 * n_ctx mel frames:
 * 50 states a second.
 *   PCM: [batch][n_per_item]; an item shorter than the window is continued with zeros.
 *   mel: [batch][n_mels][n_per_item]; a shorter one is continued with its floor, which is its
 *        maximum less 2 (the clamp to 8 below the maximum, divided by 4), at least -1.5 (silence).
 * An item longer than the window is E_INVALID, and so is a value that is not finite. */
typedef struct npuenc_encode_desc {
    uint32_t struct_size;
    int32_t input;       /* npuenc_input */
    int32_t output_type; /* F32 (0: that), BF16 or F16 */
    uint32_t batch;      /* at most 65536; 0: 1 */
    uint32_t n_per_item; /* samples or frames from one item to the next; 0: the input's size
                            divided by the batch, which must leave no rest */
    uint32_t n_ctx;      /* states per window: 1 to the model's n_ctx; 0: the model's */
} npuenc_encode_desc;

/* What a call took, or all calls of a context. Times in nanoseconds of wall clock. */
typedef struct npuenc_stats {
    uint32_t struct_size;
    uint32_t n_calls;       /* that ended, in whatever way */
    uint64_t wall_ns;       /* inside the calls; a submitted one counts from its start */
    uint64_t queue_ns;      /* submitted calls: from submission to start */
    uint64_t mel_ns;        /* log-mel */
    uint64_t macs;          /* multiply-adds of all products */
    uint64_t n_submissions; /* to the NPU; it and what follows is 0 on the CPU */
    uint64_t n_syncs;       /* synchronisations of buffers with the NPU */
    uint64_t bytes_to_device, bytes_from_device;
    uint64_t pack_ns;       /* host: operands into device order, with norms, quantisation and
                               softmax on the way */
    uint64_t submit_ns;     /* host: handing over */
    uint64_t sync_ns;       /* host: synchronisations */
    uint64_t device_ns;     /* waiting for the device */
    uint64_t unpack_ns;     /* host: results out of device order, with scales, bias, GELU and
                               addition on the way */
    uint64_t accumulate_ns; /* host: adding partial sums */
} npuenc_stats;

/* One operator of a run's last call; the windows of a batch are added up. */
typedef struct npuenc_op_info {
    uint32_t struct_size;
    int32_t device_type; /* that ran it: NPUENC_DEVICE_CPU or _NPU */
    int32_t precision;   /* npuenc_precision; of attention, that of queries times keys, and of an
                            MLP that of its first product */
    int32_t layer;       /* from 0; -1: not of a layer */
    uint32_t n_calls;
    uint32_t reserved;
    uint64_t wall_ns;
    uint64_t macs;
    char name[32]; /* "mel", "conv1", "qkv", "attention", "mlp", ... */
} npuenc_op_info;

/* ---- Library --------------------------------------------------------------------------------- */

/* The version of the library in use: major << 16 | minor << 8 | patch. Never fails. */
NPUENC_API uint32_t npuenc_version(void);

/* The same as text, "1.0.0": static storage. Never fails. */
NPUENC_API const char* npuenc_version_string(void);

/* A status as text, "a buffer is too small": static storage, never NULL, whatever the value. */
NPUENC_API const char* npuenc_status_string(int32_t status);

/* Copies the detail of the last call that failed on this thread, cut to cap - 1 bytes and ended by
 * NUL (buf may be NULL when cap is 0). Returns its whole length; 0 when nothing has failed. Calls
 * that succeed leave it as it is. */
NPUENC_API size_t npuenc_last_error(char* buf, size_t cap);

/* ---- Devices --------------------------------------------------------------------------------- */

/* The number of devices: the CPU, then every NPU that the system shows, usable or not. */
NPUENC_API int32_t npuenc_device_count(uint32_t* count);

/* Describes device `i` of npuenc_device_count. E_NOT_FOUND: i is not below the count. */
NPUENC_API int32_t npuenc_device_get(uint32_t i, npuenc_device_info* info);

/* ---- Context --------------------------------------------------------------------------------- */

/* Opens a device; options NULL: all defaults. Starts n_threads - 1 threads. The caller owns *out.
 * E_NOT_FOUND: no such device. E_NOMEM. The rest says of an NPU that it is there but not used, and
 * the detail says why and what to do about it:
 *   E_UNSUPPORTED  it is not set up: its kernel driver, permissions, limit of locked memory,
 *                  firmware, XRT or npuenc-xrt, or overlays missing, damaged or not npuenc's
 *   E_BUSY         other processes hold all of the array's contexts
 *   E_DEVICE       it failed, or computed a known product wrongly; E_TIMEOUT: it did not answer
 * AUTO takes the CPU then, and npuenc_ctx_reason has the detail. */
NPUENC_API int32_t npuenc_open(const npuenc_open_options* options, npuenc_ctx** out);

/* Waits for the calls of the context that have begun, then frees the handle. Its device and threads
 * go when the last model, weight and run of it has gone too. */
NPUENC_API void npuenc_close(npuenc_ctx* ctx);

NPUENC_API int32_t npuenc_ctx_get_info(const npuenc_ctx* ctx, npuenc_ctx_info* info);

/* Copies why the context runs on the device that it runs on, and what kept every better one from
 * being used: lines divided by '\n', empty when there is nothing to say. buf, cap and result as in
 * npuenc_last_error; 0 for NULL and after fork. */
NPUENC_API size_t npuenc_ctx_reason(const npuenc_ctx* ctx, char* buf, size_t cap);

/* Sums over all calls that have ended since the context was opened. */
NPUENC_API int32_t npuenc_ctx_stats(const npuenc_ctx* ctx, npuenc_stats* stats);

/* ---- Operators ------------------------------------------------------------------------------- */

/* run, here and below, may be NULL; E_BUSY when another call is using it, E_INVALID when it is of
 * another context. Work runs on the context's device or not at all (E_UNSUPPORTED). */

NPUENC_API int32_t npuenc_matmul(npuenc_ctx* ctx, const npuenc_matmul_desc* desc, const void* a,
                                 size_t a_bytes, const void* b, size_t b_bytes, void* c,
                                 size_t c_bytes, npuenc_run* run);

/* Packs a matrix for npuenc_linear; data, scales and bias are copied. scales: n_out floats,
 * positive or zero and finite, for S8 data, W[i][j] = data[i][j] * scales[i]; NULL and 0 otherwise.
 * bias: n_out finite floats, or NULL and 0. The caller owns *out. */
NPUENC_API int32_t npuenc_weight_create(npuenc_ctx* ctx, const npuenc_weight_desc* desc,
                                        const void* data, size_t data_bytes, const void* scales,
                                        size_t scales_bytes, const void* bias, size_t bias_bytes,
                                        npuenc_weight** out);
NPUENC_API void npuenc_weight_free(npuenc_weight* weight);

NPUENC_API int32_t npuenc_linear(npuenc_weight* weight, const npuenc_linear_desc* desc,
                                 const void* x, size_t x_bytes, void* y, size_t y_bytes,
                                 npuenc_run* run);

/* mask: NULL and 0 for NONE and CAUSAL; uint32_t[batch], each at most kv_len, for KEY_LENGTHS;
 * float[items][heads][q_len][kv_len] for ADD_F32, items being batch with MASK_PER_ITEM, else 1, and
 * heads being n_head with MASK_PER_HEAD, else 1. */
NPUENC_API int32_t npuenc_attention(npuenc_ctx* ctx, const npuenc_attention_desc* desc,
                                    const void* q, size_t q_bytes, const void* k, size_t k_bytes,
                                    const void* v, size_t v_bytes, const void* mask,
                                    size_t mask_bytes, void* out, size_t out_bytes,
                                    npuenc_run* run);

/* The size in bytes of npuenc_mel's result. */
NPUENC_API int32_t npuenc_mel_size(const npuenc_mel_desc* desc, size_t* bytes);

/* pcm, which may be shorter than the window (it is continued with zeros) but not longer, to
 * out[n_mels][n_frames] of float. Within 1e-4 of the formula in exact arithmetic. Runs on the host
 * whatever the context's device. E_INVALID: longer than the window, or a value is not finite. */
NPUENC_API int32_t npuenc_mel(npuenc_ctx* ctx, const npuenc_mel_desc* desc, const void* pcm,
                              size_t pcm_bytes, void* out, size_t out_bytes, npuenc_run* run);

/* ---- Model ----------------------------------------------------------------------------------- */

/* Loads the encoder of a Whisper model; the format is found out from the content:
 *   whisper.cpp   a file, ggml-*.bin: f32 f16 q8_0 q5_0 q5_1 q4_0 q4_1
 *   Hugging Face  a directory with config.json and model.safetensors, whole or in shards, or a
 *                 .safetensors file: f32 f16 bf16
 *   CTranslate2   a directory with model.bin, or that file: f32 f16 bf16 int8 (faster-whisper)
 * path is in the file system's own encoding. options NULL: all defaults. The caller owns *out.
 * E_NOT_FOUND, E_IO, E_NOMEM; E_BAD_MODEL: the detail says what is wrong where. */
NPUENC_API int32_t npuenc_model_load(npuenc_ctx* ctx, const char* path,
                                     const npuenc_model_options* options, npuenc_model** out);

/* The same from the bytes of one file; nothing of them is kept. */
NPUENC_API int32_t npuenc_model_load_memory(npuenc_ctx* ctx, const void* data, size_t data_bytes,
                                            const npuenc_model_options* options,
                                            npuenc_model** out);
NPUENC_API int32_t npuenc_model_get_info(const npuenc_model* model, npuenc_model_info* info);
NPUENC_API void npuenc_model_free(npuenc_model* model);

/* The size in bytes of npuenc_encode's result, batch * n_ctx * n_state elements. */
NPUENC_API int32_t npuenc_encode_size(const npuenc_model* model, const npuenc_encode_desc* desc,
                                      size_t* bytes);

/* Encodes a batch to out[batch][n_ctx][n_state]. lengths: the samples or frames that are valid of
 * each item, n_lengths being the batch, or NULL and 0 when all n_per_item are. States depend on the
 * item, the model and the context's device and instruction set alone: not on the batch that it is
 * in, nor on the number of threads. */
NPUENC_API int32_t npuenc_encode(npuenc_model* model, const npuenc_encode_desc* desc,
                                 const void* in, size_t in_bytes, const uint32_t* lengths,
                                 size_t n_lengths, void* out, size_t out_bytes, npuenc_run* run);

/* Starts the same and returns: everything is checked now, the work is done by a thread of npuenc's,
 * for one context in the order of submission. desc and lengths are copied; in and out must stay
 * until npuenc_run_wait has returned anything but E_PENDING, or the run has been freed. run must
 * not be NULL. Messages for the log are delivered in npuenc_run_wait. */
NPUENC_API int32_t npuenc_encode_submit(npuenc_model* model, const npuenc_encode_desc* desc,
                                        const void* in, size_t in_bytes, const uint32_t* lengths,
                                        size_t n_lengths, void* out, size_t out_bytes,
                                        npuenc_run* run);

/* ---- Run ------------------------------------------------------------------------------------- */

/* One run at a time watches one call of its context, and can be used for any number of calls one
 * after another. The caller owns *out. */
NPUENC_API int32_t npuenc_run_create(npuenc_ctx* ctx, npuenc_run** out);

/* Waits until the run's call has ended, at most timeout_ns nanoseconds (negative: without limit),
 * and returns that call's status; E_PENDING when time ran out. Without a call in flight it returns
 * the last one's status at once, NPUENC_OK if there was none. */
NPUENC_API int32_t npuenc_run_wait(npuenc_run* run, int64_t timeout_ns);

/* Asks the call in flight, if there is one, to end with E_CANCELED; it does so within the time of
 * one operator, one that still waits for its turn when that comes. A later call is not touched. May
 * be called in a signal handler. */
NPUENC_API void npuenc_run_cancel(npuenc_run* run);

/* How many of the call's steps are done. done never falls during a call and ends at total when the
 * call succeeds; both are 0 before the first. */
NPUENC_API int32_t npuenc_run_progress(const npuenc_run* run, uint32_t* done, uint32_t* total);

/* Statistics of the last call that ended; E_BUSY while one is in flight. */
NPUENC_API int32_t npuenc_run_stats(const npuenc_run* run, npuenc_stats* stats);

/* The operators of that call in the order in which they first ran: how many, and number i.
 * E_NOT_FOUND: i is not below the count. E_BUSY while a call is in flight. */
NPUENC_API int32_t npuenc_run_op_count(const npuenc_run* run, uint32_t* count);
NPUENC_API int32_t npuenc_run_op_get(const npuenc_run* run, uint32_t i, npuenc_op_info* info);

/* Waits for the run's call, if one is in flight, then frees it. */
NPUENC_API void npuenc_run_free(npuenc_run* run);

#ifdef __cplusplus
}
#endif
#endif /* NPUENC_NPUENC_H */
