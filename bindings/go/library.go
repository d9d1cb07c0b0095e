// SPDX-License-Identifier: MIT
package npuenc

import "npuenc/internal/raw"

// Version is that of the library in use.
func Version() (major, minor, patch int) {
	version := raw.Npuenc_version()
	return int(version >> 16), int(version >> 8 & 0xff), int(version & 0xff)
}

// VersionString is the same as text, "1.0.0".
func VersionString() string {
	return static(raw.Npuenc_version_string())
}

// DeviceType is a kind of device.
type DeviceType int32

const (
	DeviceAuto DeviceType = raw.NPUENC_DEVICE_AUTO // the first NPU that is usable, else the CPU
	DeviceCPU  DeviceType = raw.NPUENC_DEVICE_CPU
	DeviceNPU  DeviceType = raw.NPUENC_DEVICE_NPU // an NPU or an error: never the CPU instead
)

func (t DeviceType) String() string {
	switch t {
	case DeviceAuto:
		return "auto"
	case DeviceCPU:
		return "CPU"
	case DeviceNPU:
		return "NPU"
	}
	return "unknown"
}

// Precision is what products are computed in: weights x activations -> sums.
type Precision int32

const (
	PrecisionAuto   Precision = raw.NPUENC_PRECISION_AUTO   // chosen by npuenc
	PrecisionF32    Precision = raw.NPUENC_PRECISION_F32    // f32 x f32 -> f32
	PrecisionBF16   Precision = raw.NPUENC_PRECISION_BF16   // bf16 x bf16 -> f32
	PrecisionInt8   Precision = raw.NPUENC_PRECISION_INT8   // int8, scaled by output channel, x int8, scaled by row, -> int32
	PrecisionBF16x2 Precision = raw.NPUENC_PRECISION_BF16X2 // reported, not to be asked for: each operand the sum of two bf16
)

func (p Precision) String() string {
	switch p {
	case PrecisionAuto:
		return "auto"
	case PrecisionF32:
		return "f32"
	case PrecisionBF16:
		return "bf16"
	case PrecisionInt8:
		return "int8"
	case PrecisionBF16x2:
		return "bf16x2"
	}
	return "unknown"
}

// DeviceInfo describes a device of the system. Texts are empty where something is not known.
type DeviceInfo struct {
	Type       DeviceType // DeviceCPU or DeviceNPU
	Index      int        // among the devices of its type
	Err        error      // nil when usable, else the Status that Open would fail with
	Cores      int        // CPU: physical cores that this process may use; NPU: compute tiles
	Columns    int        // NPU: columns of the array; CPU: 0
	Memory     uint64     // bytes
	Name       string     // as the driver or the processor calls it
	ISA        string     // CPU: the instruction set in use; NPU: the array's generation
	BusAddress string     // PCI address
	Driver     string     // with its version
	Firmware   string     // version
	Runtime    string     // XRT's version
	Reason     string     // why it is not usable, and what to do about it
}

func deviceInfo(info *raw.Npuenc_device_info) DeviceInfo {
	return DeviceInfo{
		Type:       DeviceType(info.Device_type),
		Index:      int(info.Index),
		Err:        Status(info.Status).asError(),
		Cores:      int(info.N_cores),
		Columns:    int(info.N_columns),
		Memory:     info.Memory_bytes,
		Name:       line(info.Name[:]),
		ISA:        line(info.Isa[:]),
		BusAddress: line(info.Bus_address[:]),
		Driver:     line(info.Driver[:]),
		Firmware:   line(info.Firmware[:]),
		Runtime:    line(info.Runtime[:]),
		Reason:     line(info.Reason[:]),
	}
}

// Devices lists the CPU, then every NPU that the system shows, usable or not.
func Devices() ([]DeviceInfo, error) {
	var count uint32
	if err := call(func() int32 { return raw.Npuenc_device_count(&count) }); err != nil {
		return nil, err
	}
	devices := make([]DeviceInfo, count)
	for i := range devices {
		info := raw.Npuenc_device_info{Struct_size: structSize[raw.Npuenc_device_info]()}
		err := call(func() int32 { return raw.Npuenc_device_get(uint32(i), &info) })
		if err != nil {
			return nil, err
		}
		devices[i] = deviceInfo(&info)
	}
	return devices, nil
}
