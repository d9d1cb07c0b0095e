// SPDX-License-Identifier: MIT
package npuenc

import (
	"time"

	"npuenc/internal/raw"
)

// Stats is what a call took, or all calls of a device.
type Stats struct {
	Calls       int           // that ended, in whatever way
	Wall        time.Duration // inside the calls; a submitted one counts from its start
	Queue       time.Duration // submitted calls: from submission to start
	Mel         time.Duration // log-mel
	MACs        uint64        // multiply-adds of all products
	Submissions uint64        // to the NPU; it and what follows is 0 on the CPU
	Syncs       uint64        // synchronisations of buffers with the NPU

	BytesToDevice, BytesFromDevice uint64

	Pack       time.Duration // host: operands into device order
	Submit     time.Duration // host: handing over
	Sync       time.Duration // host: synchronisations
	Device     time.Duration // waiting for the device
	Unpack     time.Duration // host: results out of device order
	Accumulate time.Duration // host: adding partial sums
}

func statsOf(stats *raw.Npuenc_stats) Stats {
	return Stats{
		Calls:           int(stats.N_calls),
		Wall:            time.Duration(stats.Wall_ns),
		Queue:           time.Duration(stats.Queue_ns),
		Mel:             time.Duration(stats.Mel_ns),
		MACs:            stats.Macs,
		Submissions:     stats.N_submissions,
		Syncs:           stats.N_syncs,
		BytesToDevice:   stats.Bytes_to_device,
		BytesFromDevice: stats.Bytes_from_device,
		Pack:            time.Duration(stats.Pack_ns),
		Submit:          time.Duration(stats.Submit_ns),
		Sync:            time.Duration(stats.Sync_ns),
		Device:          time.Duration(stats.Device_ns),
		Unpack:          time.Duration(stats.Unpack_ns),
		Accumulate:      time.Duration(stats.Accumulate_ns),
	}
}

// Op is one operator of a run's last call; the windows of a batch are added up.
type Op struct {
	Device    DeviceType // that ran it: DeviceCPU or DeviceNPU
	Precision Precision
	Layer     int // from 0; -1: not of a layer
	Calls     int
	Wall      time.Duration
	MACs      uint64
	Name      string // "mel", "conv1", "qkv", "attention", "mlp", ...
}

func opOf(info *raw.Npuenc_op_info) Op {
	return Op{
		Device:    DeviceType(info.Device_type),
		Precision: Precision(info.Precision),
		Layer:     int(info.Layer),
		Calls:     int(info.N_calls),
		Wall:      time.Duration(info.Wall_ns),
		MACs:      info.Macs,
		Name:      line(info.Name[:]),
	}
}
