// SPDX-License-Identifier: MIT
package npuenc

import (
	"runtime"
	"strings"

	"npuenc/internal/raw"
)

// ModelOptions says what a model is computed in, and where.
type ModelOptions struct {
	// PrecisionAuto, F32, BF16 or Int8, of all products. What the states depend on most is one step
	// wider.
	Precision Precision

	Linear      DeviceType // projections and MLP
	Attention   DeviceType // products and softmax of attention
	Conv        DeviceType // the two convolutions
	Elementwise DeviceType // norms
}

func (o *ModelOptions) raw() raw.Npuenc_model_options {
	return raw.Npuenc_model_options{
		Struct_size:        structSize[raw.Npuenc_model_options](),
		Precision:          int32(o.Precision),
		Linear_device:      int32(o.Linear),
		Attention_device:   int32(o.Attention),
		Conv_device:        int32(o.Conv),
		Elementwise_device: int32(o.Elementwise),
	}
}

// ModelInfo describes a model and how it is computed.
type ModelInfo struct {
	Mels          int // bands of the input: 80 or 128
	Ctx           int // states of a full window: 1500 in every published model
	State         int // width of a state
	Heads, Layers int
	Vocab         int       // 0 where the file does not say; 51864: English only
	Precision     Precision // in use, never auto
	WidePrecision Precision // of what is most sensitive, the first layer's projections, never auto

	Linear, Attention, Conv, Elementwise DeviceType // never auto

	Parameters  uint64 // of the encoder
	FileBytes   uint64 // all files of the model
	WeightBytes uint64 // memory that the packed weights take
	Name        string // after the published model of this shape: "tiny.en", "base"; "custom"
	Format      string // "ggml", "safetensors", "ctranslate2"
	WeightType  string // of the matrices in the file: "f16", "q5_0"
}

func modelInfo(info *raw.Npuenc_model_info) ModelInfo {
	return ModelInfo{
		Mels:          int(info.N_mels),
		Ctx:           int(info.N_ctx),
		State:         int(info.N_state),
		Heads:         int(info.N_head),
		Layers:        int(info.N_layer),
		Vocab:         int(info.N_vocab),
		Precision:     Precision(info.Precision),
		WidePrecision: Precision(info.Wide_precision),
		Linear:        DeviceType(info.Linear_device),
		Attention:     DeviceType(info.Attention_device),
		Conv:          DeviceType(info.Conv_device),
		Elementwise:   DeviceType(info.Elementwise_device),
		Parameters:    info.N_parameters,
		FileBytes:     info.File_bytes,
		WeightBytes:   info.Weight_bytes,
		Name:          line(info.Name[:]),
		Format:        line(info.Format[:]),
		WeightType:    line(info.Weight_type[:]),
	}
}

// Model is the weights of an encoder on a device.
type Model struct {
	handle handle[raw.Model]
	device *Device
}

// LoadModel loads the encoder of a Whisper model: a file of whisper.cpp, ggml-*.bin; a directory of
// Hugging Face with config.json and model.safetensors, or a .safetensors file; a directory of
// CTranslate2 with model.bin, or that file. ErrNotFound, ErrIO, ErrNoMemory; ErrBadModel: the detail
// says what is wrong where.
func (d *Device) LoadModel(path string, options ModelOptions) (*Model, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return nil, invalid("there is a NUL in the path")
	}
	rawOptions := options.raw()
	terminated := append([]byte(path), 0)
	return d.newModel(func(device raw.Ctx, model *raw.Model) int32 {
		return raw.Npuenc_model_load(device, &terminated[0], &rawOptions, model)
	})
}

// LoadModelBytes loads a model from the bytes of one file. Nothing of them is kept.
func (d *Device) LoadModelBytes(data []byte, options ModelOptions) (*Model, error) {
	rawOptions := options.raw()
	return d.newModel(func(device raw.Ctx, model *raw.Model) int32 {
		return raw.Npuenc_model_load_memory(device, first(data), size(data), &rawOptions, model)
	})
}

func (d *Device) newModel(load func(raw.Ctx, *raw.Model) int32) (*Model, error) {
	word, err := d.handle.acquire()
	if err != nil {
		return nil, err
	}
	m := &Model{device: d}
	if err := call(func() int32 { return load(word, &m.handle.word) }); err != nil {
		d.handle.release()
		return nil, err
	}
	m.handle.free = func(word raw.Model) {
		raw.Npuenc_model_free(word)
		d.handle.release()
	}
	runtime.SetFinalizer(m, (*Model).finalize)
	return m, nil
}

func (m *Model) finalize() { m.handle.close() }

// Close frees the model, once the last call on it has ended. The error is always nil.
func (m *Model) Close() error {
	m.handle.close()
	return nil
}

// Info describes the model.
func (m *Model) Info() (ModelInfo, error) {
	word, err := m.handle.acquire()
	if err != nil {
		return ModelInfo{}, err
	}
	defer m.handle.release()
	info := raw.Npuenc_model_info{Struct_size: structSize[raw.Npuenc_model_info]()}
	if err := call(func() int32 { return raw.Npuenc_model_get_info(word, &info) }); err != nil {
		return ModelInfo{}, err
	}
	return modelInfo(&info), nil
}
