// SPDX-License-Identifier: MIT
package raw_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"npuenc/internal/layout"
	"npuenc/internal/raw"
)

var structs = map[string]reflect.Type{
	"npuenc_open_options":   reflect.TypeOf(raw.Npuenc_open_options{}),
	"npuenc_device_info":    reflect.TypeOf(raw.Npuenc_device_info{}),
	"npuenc_ctx_info":       reflect.TypeOf(raw.Npuenc_ctx_info{}),
	"npuenc_matmul_desc":    reflect.TypeOf(raw.Npuenc_matmul_desc{}),
	"npuenc_weight_desc":    reflect.TypeOf(raw.Npuenc_weight_desc{}),
	"npuenc_linear_desc":    reflect.TypeOf(raw.Npuenc_linear_desc{}),
	"npuenc_attention_desc": reflect.TypeOf(raw.Npuenc_attention_desc{}),
	"npuenc_model_options":  reflect.TypeOf(raw.Npuenc_model_options{}),
	"npuenc_model_info":     reflect.TypeOf(raw.Npuenc_model_info{}),
	"npuenc_mel_desc":       reflect.TypeOf(raw.Npuenc_mel_desc{}),
	"npuenc_encode_desc":    reflect.TypeOf(raw.Npuenc_encode_desc{}),
	"npuenc_stats":          reflect.TypeOf(raw.Npuenc_stats{}),
	"npuenc_op_info":        reflect.TypeOf(raw.Npuenc_op_info{}),
}

type field struct {
	name   string
	offset uintptr
	kind   string
}

// fieldsOf are a struct's without padding.
func fieldsOf(structure reflect.Type) []field {
	var fields []field
	for i := 0; i < structure.NumField(); i++ {
		f := structure.Field(i)
		if f.Name == "_" {
			continue
		}
		name := strings.ToLower(strings.TrimPrefix(f.Name, "_"))
		fields = append(fields, field{name, f.Offset, kindOf(f.Type)})
	}
	return fields
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Uintptr:
		return "pointer"
	case reflect.Array:
		return fmt.Sprintf("%d of %d bytes", t.Len(), t.Elem().Size())
	}
	return t.Kind().String()
}

func TestLayoutIsTheCCompilers(t *testing.T) {
	for name, want := range layout.Structs {
		have := structs[name]
		if have == nil {
			t.Errorf("%s is not there", name)
			continue
		}
		if have.Size() != want.Size() || have.Align() != want.Align() {
			t.Errorf("%s has size %d, alignment %d; in C %d, %d", name, have.Size(), have.Align(),
				want.Size(), want.Align())
		}
		if h, w := fieldsOf(have), fieldsOf(want); !reflect.DeepEqual(h, w) {
			t.Errorf("%s is\n%v; in C\n%v", name, h, w)
		}
	}
}

func TestEveryStructOfTheHeader(t *testing.T) {
	source := os.Getenv("NPUENC_SOURCE")
	if source == "" {
		t.Skip("NPUENC_SOURCE does not name the source tree")
	}
	header, err := os.ReadFile(filepath.Join(source, "include", "npuenc", "npuenc.h"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^} (npuenc_\w+);`).FindAllSubmatch(header, -1)
	count := 0
	for _, match := range found {
		name := string(match[1])
		if regexp.MustCompile(`typedef enum ` + name + ` `).Match(header) {
			continue
		}
		count++
		if structs[name] == nil || layout.Structs[name] == nil {
			t.Errorf("%s is not compared", name)
		}
	}
	if count == 0 || count != len(structs) {
		t.Errorf("the header has %d structs, compared are %d", count, len(structs))
	}
}
