// SPDX-License-Identifier: MIT
package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		directory, err := os.MkdirTemp("", "transcribe-states-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(directory)
		program = filepath.Join(directory, "transcribe-states")
		if text, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
			panic(string(text))
		}
		return m.Run()
	}())
}

// given is what an environment variable names; a test without it is skipped.
func given(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skip(name, "is not set")
	}
	return value
}

// format is a WAV file's, in order.
type format struct {
	Encoding, Channels uint16
	Rate, BytesASecond uint32
	Frame, Bits        uint16
}

var expected = format{1, 1, sampleRate, 2 * sampleRate, 2, 16}

func wav(f format, data []byte) []byte {
	var file bytes.Buffer
	file.WriteString("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00")
	binary.Write(&file, binary.LittleEndian, f)
	file.WriteString("LIST\x03\x00\x00\x00abc\x00data")
	binary.Write(&file, binary.LittleEndian, uint32(len(data)))
	file.Write(data)
	return file.Bytes()
}

func tone(samples int) []byte {
	data := make([]byte, 0, 2*samples)
	for i := 0; i < samples; i++ {
		value := 9000 * math.Sin(0.2*float64(i)+3*math.Sin(0.001*float64(i)))
		data = binary.LittleEndian.AppendUint16(data, uint16(int16(value)))
	}
	return data
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "speech.wav")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs the program and returns its exit status and what it said.
func run(t *testing.T, arguments ...string) (int, string, string) {
	t.Helper()
	command := exec.Command(program, arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestStatesAreTheCommands(t *testing.T) {
	command := given(t, "NPUENC_COMMAND")
	compare := func(t *testing.T, model, speech string) {
		directory := t.TempDir()
		mine, its := filepath.Join(directory, "mine.npy"), filepath.Join(directory, "its.npy")
		status, stdout, stderr := run(t, model, speech, mine)
		if status != 0 || !strings.Contains(stdout, "device ") || !strings.Contains(stdout, "time ") ||
			!strings.Contains(stderr, "100 %") {
			t.Fatal(status, stdout, stderr)
		}
		text, err := exec.Command(command, "encode", "--model", model, "--output", its, speech).CombinedOutput()
		if err != nil {
			t.Fatal(err, string(text))
		}
		a, err := os.ReadFile(mine)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(its)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%d bytes are not the command's %d", len(a), len(b))
		}
		if entries, _ := os.ReadDir(directory); len(entries) != 2 {
			t.Error("something is left beside the states:", entries)
		}
	}
	t.Run("three windows", func(t *testing.T) {
		compare(t, given(t, "NPUENC_TEST_MODEL"), write(t, wav(expected, tone(2*480000+777))))
	})
	t.Run("one sample", func(t *testing.T) {
		compare(t, given(t, "NPUENC_TEST_MODEL"), write(t, wav(expected, tone(1))))
	})
	t.Run("speech", func(t *testing.T) {
		compare(t, given(t, "NPUENC_TEST_MODEL"), given(t, "NPUENC_SPEECH"))
	})
	t.Run("speech and Whisper", func(t *testing.T) {
		compare(t, given(t, "NPUENC_MODEL"), given(t, "NPUENC_SPEECH"))
	})
}

func TestWrongInput(t *testing.T) {
	model := given(t, "NPUENC_TEST_MODEL")
	good := wav(expected, tone(1000))
	change := func(change func(*format)) []byte {
		f := expected
		change(&f)
		return wav(f, tone(1000))
	}
	for words, data := range map[string][]byte{
		"not a WAV file":  []byte("RIFF"),
		"2 channels":      change(func(f *format) { f.Channels = 2 }),
		"44100 Hz":        change(func(f *format) { f.Rate = 44100 }),
		"8 bits":          change(func(f *format) { f.Bits = 8 }),
		"encoding 3":      change(func(f *format) { f.Encoding = 3 }),
		"cut short":       bytes.Replace(good, []byte("fmt \x10"), []byte("fmt \x08"), 1),
		"ends within":     good[:len(good)-1],
		"0 bytes":         wav(expected, nil),
		"3 bytes":         wav(expected, []byte("abc")),
		"has no data":     good[:36],
		"before its form": bytes.Replace(good, []byte("fmt "), []byte("fm2 "), 1),
	} {
		t.Run(words, func(t *testing.T) {
			states := filepath.Join(t.TempDir(), "states.npy")
			status, _, stderr := run(t, model, write(t, data), states)
			if status != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, words) {
				t.Error(status, stderr)
			}
			if _, err := os.Stat(states); err == nil {
				t.Error("states were written")
			}
		})
	}
	states := filepath.Join(t.TempDir(), "states.npy")
	for words, arguments := range map[string][]string{
		"absent":                    {"absent", write(t, good), states},
		"no such file or directory": {model, states, states},
		"nowhere":                   {model, write(t, good), filepath.Join("nowhere", "states.npy")},
	} {
		if status, _, stderr := run(t, arguments...); status != 1 || strings.Count(stderr, "\n") != 1 ||
			!strings.Contains(stderr, words) {
			t.Error(status, stderr)
		}
	}
	if status, _, stderr := run(t, model); status != 2 || !strings.Contains(stderr, "usage") {
		t.Error(status, stderr)
	}
}

func TestInterrupted(t *testing.T) {
	model := given(t, "NPUENC_TEST_MODEL")
	directory := t.TempDir()
	speech := write(t, wav(expected, tone(40*480000)))
	command := exec.Command(program, model, speech, filepath.Join(directory, "states.npy"))
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 1000)
	if _, err := stderr.Read(text); err != nil { // it is under way
		t.Fatal(err)
	}
	command.Process.Signal(syscall.SIGINT)
	for err == nil {
		_, err = stderr.Read(text)
	}
	command.Wait()
	if status := command.ProcessState.ExitCode(); status != 130 {
		t.Errorf("status %d, %s", status, text)
	}
	if entries, _ := os.ReadDir(directory); len(entries) != 0 {
		t.Error("left behind:", entries)
	}
}
