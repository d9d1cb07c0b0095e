// SPDX-License-Identifier: MIT
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

const sampleRate = 16000

// readWAV returns the samples of a WAV file of 16-bit mono PCM at 16 kHz.
func readWAV(path string) ([]int16, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	samples, err := parseWAV(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return samples, nil
}

func parseWAV(data []byte) ([]int16, error) {
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WAVE" {
		return nil, errors.New("not a WAV file")
	}
	formatKnown := false
	for chunks := data[12:]; len(chunks) >= 8; {
		name, length := string(chunks[:4]), int(binary.LittleEndian.Uint32(chunks[4:]))
		content := chunks[8:]
		if length > len(content) {
			return nil, fmt.Errorf("it ends within its %q chunk", name)
		}
		switch name {
		case "fmt ":
			if err := checkFormat(content[:length]); err != nil {
				return nil, err
			}
			formatKnown = true
		case "data":
			if !formatKnown {
				return nil, errors.New("its data comes before its format")
			}
			return samplesOf(content[:length])
		}
		chunks = content[min(length+length%2, len(content)):]
	}
	return nil, errors.New("it has no data")
}

func checkFormat(format []byte) error {
	if len(format) < 16 {
		return errors.New("its format is cut short")
	}
	number := binary.LittleEndian.Uint16
	encoding, channels, bits := number(format), number(format[2:]), number(format[14:])
	rate := binary.LittleEndian.Uint32(format[4:])
	if encoding != 1 || channels != 1 || rate != sampleRate || bits != 16 {
		return fmt.Errorf("expected 16-bit mono PCM at %d Hz, got %d bits, %d channels, %d Hz, encoding %d",
			sampleRate, bits, channels, rate, encoding)
	}
	return nil
}

func samplesOf(data []byte) ([]int16, error) {
	if len(data) < 2 || len(data)%2 != 0 {
		return nil, fmt.Errorf("%d bytes are no 16-bit samples", len(data))
	}
	samples := make([]int16, len(data)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return samples, nil
}
