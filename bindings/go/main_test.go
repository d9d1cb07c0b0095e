// SPDX-License-Identifier: MIT
package npuenc_test

import (
	"os"
	"path/filepath"
	"testing"

	"npuenc"
)

// modelPath is a model for the examples.
var modelPath string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		directory, err := os.MkdirTemp("", "npuenc-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(directory)
		modelPath = filepath.Join(directory, "model.safetensors")
		if err := os.WriteFile(modelPath, npuenc.RandomModel(), 0o666); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}
