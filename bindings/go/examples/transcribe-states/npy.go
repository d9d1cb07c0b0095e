// SPDX-License-Identifier: MIT
package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// The header's length is fixed, so that the number of items can be written last.
const headerBytes = 192

// npyFile is a .npy file of float32 [items][rows][columns]. It gets its name when it is whole.
type npyFile struct {
	path                 string
	file                 *os.File
	items, rows, columns int
	block                []byte
}

func createNPY(path string, rows, columns int) (*npyFile, error) {
	temporary := fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid())
	file, err := os.OpenFile(filepath.Join(filepath.Dir(path), temporary), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	n := &npyFile{path: path, file: file, rows: rows, columns: columns}
	if _, err := file.Write(make([]byte, headerBytes)); err != nil {
		n.discard()
		return nil, err
	}
	return n, nil
}

func (n *npyFile) append(item []float32) error {
	n.block = n.block[:0]
	for _, value := range item {
		n.block = binary.LittleEndian.AppendUint32(n.block, math.Float32bits(value))
	}
	n.items++
	_, err := n.file.Write(n.block)
	return err
}

func (n *npyFile) header() []byte {
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, %d), }",
		n.items, n.rows, n.columns)
	header := append([]byte("\x93NUMPY\x01\x00"), headerBytes-10, 0)
	return fmt.Appendf(header, "%-*s\n", headerBytes-11, text)
}

func (n *npyFile) commit() error {
	if _, err := n.file.WriteAt(n.header(), 0); err != nil {
		return err
	}
	if err := n.file.Close(); err != nil {
		return err
	}
	return os.Rename(n.file.Name(), n.path)
}

// discard removes what has not been committed.
func (n *npyFile) discard() {
	n.file.Close()
	os.Remove(n.file.Name())
}
