// SPDX-License-Identifier: MIT
package npuenc

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"testing"
	"unsafe"

	"npuenc/internal/raw"
)

// fill gives every field of a struct a number or text of its own, and every flag.
func fill(structure any) {
	value := reflect.ValueOf(structure).Elem()
	for i := 0; i < value.NumField(); i++ {
		f := value.Field(i)
		switch f.Kind() {
		case reflect.Int, reflect.Int32:
			f.SetInt(int64(i + 1))
		case reflect.Uint32, reflect.Uint64:
			f.SetUint(uint64(i + 1))
		case reflect.Float32:
			f.SetFloat(float64(i + 1))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Array:
			for j, letter := range strconv.Itoa(i + 1) {
				f.Index(j).SetUint(uint64(letter))
			}
		}
	}
}

// complete fails when a field is zero or two have the same number.
func complete(t *testing.T, structure any, zero ...string) {
	t.Helper()
	value := reflect.ValueOf(structure)
	seen := map[string]string{}
	for i := 0; i < value.NumField(); i++ {
		name, f := value.Type().Field(i).Name, value.Field(i)
		wanted := false
		for _, other := range zero {
			wanted = wanted || other == name
		}
		if f.IsZero() != wanted {
			t.Errorf("%T.%s is %v", structure, name, f)
		}
		if f.Kind() == reflect.Bool || f.IsZero() {
			continue
		}
		text := value.Type().Field(i).Type.String() + f.String()
		if f.CanInt() || f.CanUint() {
			text = strconv.FormatUint(f.Convert(reflect.TypeOf(uint64(0))).Uint(), 10)
		} else if f.CanFloat() {
			text = strconv.FormatFloat(f.Float(), 'g', -1, 64)
		} else if f.Kind() != reflect.String {
			continue
		}
		if seen[text] != "" {
			t.Errorf("%T: %s and %s are both %s", structure, seen[text], name, text)
		}
		seen[text] = name
	}
}

// Every field of the library's input structs is set by a field of the options, each by its own.
func TestInputFields(t *testing.T) {
	n := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	var matmul MatMulOptions
	fill(&matmul)
	matmulDesc, err := matmul.raw(1001, 1002)
	n(err)
	if matmulDesc.A_type != 1001 || matmulDesc.B_type != 1001 || matmulDesc.C_type != 1002 || matmulDesc.Flags != 3 {
		t.Errorf("%+v", matmulDesc)
	}
	matmulDesc.B_type, matmulDesc.Flags = 1003, 1004
	complete(t, matmulDesc, "Reserved")

	var weight WeightOptions
	fill(&weight)
	weightDesc, err := weight.raw(1001)
	n(err)
	complete(t, weightDesc, "Reserved")

	var linear LinearOptions
	fill(&linear)
	linearDesc, err := linear.raw(1001, 1002)
	n(err)
	complete(t, linearDesc)

	var attention AttentionOptions
	fill(&attention)
	attentionDesc, err := attention.raw(1001)
	n(err)
	if attentionDesc.Flags != 3 {
		t.Errorf("%+v", attentionDesc)
	}
	attentionDesc.Flags = 1004
	complete(t, attentionDesc)

	var mel MelOptions
	fill(&mel)
	melDesc, err := mel.raw(1001)
	n(err)
	complete(t, melDesc)

	var encode EncodeOptions
	fill(&encode)
	encode.Mel = false
	encodeDesc, err := encode.raw(1001, 1002)
	n(err)
	complete(t, encodeDesc)

	var model ModelOptions
	fill(&model)
	complete(t, model.raw())

	var open OpenOptions
	fill(&open)
	openOptions, err := open.raw()
	n(err)
	complete(t, openOptions, "Reserved", "Log_fn", "Log_user") // TestLog has these

	sizes := map[uint32]uintptr{
		matmulDesc.Struct_size:    unsafe.Sizeof(matmulDesc),
		weightDesc.Struct_size:    unsafe.Sizeof(weightDesc),
		linearDesc.Struct_size:    unsafe.Sizeof(linearDesc),
		attentionDesc.Struct_size: unsafe.Sizeof(attentionDesc),
		melDesc.Struct_size:       unsafe.Sizeof(melDesc),
		encodeDesc.Struct_size:    unsafe.Sizeof(encodeDesc),
		openOptions.Struct_size:   unsafe.Sizeof(openOptions),
	}
	for size, want := range sizes {
		if uintptr(size) != want {
			t.Errorf("a struct of %d bytes says %d", want, size)
		}
	}
}

// Every field of the library's output structs is in a field of its own.
func TestOutputFields(t *testing.T) {
	var device raw.Npuenc_device_info
	fill(&device)
	complete(t, deviceInfo(&device))
	var state raw.Npuenc_ctx_info
	fill(&state)
	complete(t, deviceState(&state))
	var model raw.Npuenc_model_info
	fill(&model)
	complete(t, modelInfo(&model))
	var stats raw.Npuenc_stats
	fill(&stats)
	complete(t, statsOf(&stats))
	var op raw.Npuenc_op_info
	fill(&op)
	complete(t, opOf(&op))

	// A text that fills its field has no NUL.
	if got := line([]byte{'a', 'b'}); got != "ab" {
		t.Error(got)
	}
}

// Every value of the header has its Go name, and they are the same.
func TestValues(t *testing.T) {
	values := map[string]int32{
		"NPUENC_OK":               0,
		"NPUENC_E_INTERNAL":       int32(ErrInternal),
		"NPUENC_E_INVALID":        int32(ErrInvalid),
		"NPUENC_E_NOMEM":          int32(ErrNoMemory),
		"NPUENC_E_NOT_FOUND":      int32(ErrNotFound),
		"NPUENC_E_UNSUPPORTED":    int32(ErrUnsupported),
		"NPUENC_E_TOO_NEW":        int32(ErrTooNew),
		"NPUENC_E_BAD_MODEL":      int32(ErrBadModel),
		"NPUENC_E_IO":             int32(ErrIO),
		"NPUENC_E_DEVICE":         int32(ErrDevice),
		"NPUENC_E_BUSY":           int32(ErrBusy),
		"NPUENC_E_CANCELED":       int32(ErrCanceled),
		"NPUENC_E_TIMEOUT":        int32(ErrTimeout),
		"NPUENC_E_BUFFER":         int32(ErrBuffer),
		"NPUENC_E_FORKED":         int32(ErrForked),
		"NPUENC_E_PENDING":        int32(ErrPending),
		"NPUENC_E_CTX_LOST":       int32(ErrContextLost),
		"NPUENC_DEVICE_AUTO":      int32(DeviceAuto),
		"NPUENC_DEVICE_CPU":       int32(DeviceCPU),
		"NPUENC_DEVICE_NPU":       int32(DeviceNPU),
		"NPUENC_F32":              dtype[float32](),
		"NPUENC_BF16":             dtype[BF16](),
		"NPUENC_S8":               dtype[int8](),
		"NPUENC_S32":              dtype[int32](),
		"NPUENC_F16":              dtype[F16](),
		"NPUENC_PRECISION_AUTO":   int32(PrecisionAuto),
		"NPUENC_PRECISION_F32":    int32(PrecisionF32),
		"NPUENC_PRECISION_BF16":   int32(PrecisionBF16),
		"NPUENC_PRECISION_INT8":   int32(PrecisionInt8),
		"NPUENC_PRECISION_BF16X2": int32(PrecisionBF16x2),
		"NPUENC_INPUT_PCM_F32":    pcm[float32](),
		"NPUENC_INPUT_PCM_S16":    pcm[int16](),
		"NPUENC_INPUT_MEL_F32":    raw.NPUENC_INPUT_MEL_F32,
		"NPUENC_MASK_NONE":        int32(MaskNone),
		"NPUENC_MASK_KEY_LENGTHS": int32(MaskKeyLengths),
		"NPUENC_MASK_CAUSAL":      int32(MaskCausal),
		"NPUENC_MASK_ADD_F32":     int32(MaskAdd),
		"NPUENC_LOG_OFF":          int32(LogOff),
		"NPUENC_LOG_DEFAULT":      int32(LogDefault),
		"NPUENC_LOG_ERROR":        int32(LogError),
		"NPUENC_LOG_WARN":         int32(LogWarn),
		"NPUENC_LOG_INFO":         int32(LogInfo),
		"NPUENC_LOG_DEBUG":        int32(LogDebug),
	}
	source := os.Getenv("NPUENC_SOURCE")
	if source == "" {
		t.Skip("NPUENC_SOURCE does not name the source tree")
	}
	header, err := os.ReadFile(filepath.Join(source, "include", "npuenc", "npuenc.h"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^    (NPUENC_\w+) = (-?\d+)`).FindAllSubmatch(header, -1)
	for _, match := range found {
		name := string(match[1])
		want, err := strconv.Atoi(string(match[2]))
		if value, ok := values[name]; !ok || err != nil || value != int32(want) {
			t.Errorf("%s is %d, in the header %d", name, value, want)
		}
	}
	if len(found) != len(values) {
		t.Errorf("the header has %d values, compared are %d", len(found), len(values))
	}
}

func TestLibrary(t *testing.T) {
	major, minor, patch := Version()
	if text := strconv.Itoa(major) + "." + strconv.Itoa(minor) + "." + strconv.Itoa(patch); text != VersionString() {
		t.Error(text, VersionString())
	}
	devices, err := Devices()
	if err != nil || len(devices) == 0 || devices[0].Type != DeviceCPU || devices[0].Err != nil || devices[0].Name == "" {
		t.Fatal(devices, err)
	}
	d := open(t, OpenOptions{Threads: 2})
	state, err := d.State()
	if err != nil || state.Type != DeviceCPU || state.Threads != 2 || state.Err != nil || state.FellBack ||
		state.Name != devices[0].Name || state.ISA != devices[0].ISA {
		t.Error(state, err)
	}
	if reason, err := d.Reason(); err != nil || reason != "" {
		t.Error(reason, err)
	}
}
