// SPDX-License-Identifier: MIT
// TranscribeStates MODEL SPEECH.wav STATES.npy: the encoder's states of a recording, the same bytes as
// `npuenc encode --model MODEL SPEECH.wav --output STATES.npy` writes. Ctrl-C ends it with status 130 and
// no file.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;
using NpuEnc;

internal static class TranscribeStates
{
    private static int Main(string[] arguments)
    {
        if (arguments.Length != 3)
        {
            Console.Error.WriteLine("usage: TranscribeStates MODEL SPEECH.wav STATES.npy");
            return 2;
        }
        using (var interruption = new CancellationTokenSource())
        {
            Console.CancelKeyPress += (sender, key) =>
            {
                key.Cancel = true; // end in order instead of at once
                interruption.Cancel();
            };
            try
            {
                Encode(arguments[0], arguments[1], arguments[2], interruption.Token);
                return 0;
            }
            catch (OperationCanceledException)
            {
                Console.Error.WriteLine("\nTranscribeStates: interrupted");
                return 130;
            }
            catch (Exception problem) when (problem is NpuEncException || problem is IOException
                                            || problem is UnauthorizedAccessException)
            {
                Console.Error.WriteLine("TranscribeStates: " + problem.Message);
                return 1;
            }
        }
    }

    private static void Encode(string modelPath, string wavPath, string npyPath, CancellationToken token)
    {
        short[] pcm = ReadWav(wavPath);
        using (var context = new Context())
        using (var model = context.LoadModel(modelPath))
        {
            ContextInfo device = context.Info;
            Console.WriteLine("device  {0}: {1}, {2}", device.DeviceType, device.DeviceName, device.Isa);
            ModelInfo info = model.Info;
            int window = 320 * info.States; // samples
            int windows = (pcm.Length + window - 1) / window;
            var states = new List<float[]>(windows);
            var time = Stopwatch.StartNew();
            for (int i = 0; i < windows; ++i)
            {
                var speech = new ArraySegment<short>(pcm, i * window, Math.Min(window, pcm.Length - i * window));
                states.Add(model.Encode(speech, progress: new Bar(i, windows), token: token));
            }
            double seconds = time.Elapsed.TotalSeconds;
            token.ThrowIfCancellationRequested();
            WriteNpy(npyPath, states, info.States, info.Width);
            Console.WriteLine("time    {0:F3} s, {1:F1} times real time", seconds, pcm.Length / 16000.0 / seconds);
        }
    }

    private sealed class Bar : IProgress<RunProgress>
    {
        private readonly int window, windows;

        internal Bar(int window, int windows)
        {
            this.window = window;
            this.windows = windows;
        }

        public void Report(RunProgress progress)
        {
            Console.Error.Write("\rwindow {0} of {1}: {2,3:F0} %{3}", window + 1, windows,
                                100 * progress.Fraction, progress.Fraction == 1 ? "\n" : "");
        }
    }

    private static short[] ReadWav(string path)
    {
        using (var reader = new BinaryReader(File.OpenRead(path)))
        {
            try
            {
                if (Tag(reader) != "RIFF" || reader.ReadUInt32() == 0 || Tag(reader) != "WAVE")
                    throw new IOException(path + ": not a WAV file");
                bool described = false;
                for (;;)
                {
                    string tag = Tag(reader);
                    long bytes = reader.ReadUInt32();
                    if (tag == "fmt ")
                    {
                        int format = reader.ReadUInt16(), channels = reader.ReadUInt16();
                        long rate = reader.ReadUInt32();
                        reader.ReadBytes(6);
                        if (format != 1 || channels != 1 || rate != 16000 || reader.ReadUInt16() != 16)
                            throw new IOException(path + ": expected 16-bit mono PCM at 16 kHz");
                        described = true;
                        bytes -= 16;
                    }
                    else if (tag == "data" && described)
                    {
                        return Samples(reader, Math.Min(bytes, reader.BaseStream.Length), path);
                    }
                    reader.BaseStream.Seek(bytes + bytes % 2, SeekOrigin.Current);
                }
            }
            catch (EndOfStreamException)
            {
                throw new IOException(path + ": the WAV file has no samples");
            }
        }
    }

    private static string Tag(BinaryReader reader)
    {
        byte[] tag = reader.ReadBytes(4);
        return tag.Length == 4 ? Encoding.ASCII.GetString(tag) : throw new EndOfStreamException();
    }

    private static short[] Samples(BinaryReader reader, long bytes, string path)
    {
        byte[] data = reader.ReadBytes((int)bytes);
        if (data.Length < 2)
            throw new EndOfStreamException();
        var samples = new short[data.Length / 2];
        Buffer.BlockCopy(data, 0, samples, 0, 2 * samples.Length);
        return samples;
    }

    /// The file appears under its name only when it is whole.
    private static void WriteNpy(string path, List<float[]> items, int rows, int columns)
    {
        string temporary = path + "." + Process.GetCurrentProcess().Id + ".part";
        try
        {
            using (var file = new FileStream(temporary, FileMode.CreateNew))
            {
                const int size = 192;
                string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + items.Count + ", " + rows
                    + ", " + columns + "), }";
                byte[] header = Encoding.ASCII.GetBytes("?NUMPY\x1\0??" + text.PadRight(size - 11) + "\n");
                header[0] = 0x93;
                header[8] = size - 10; // what follows, in two bytes
                header[9] = 0;
                file.Write(header, 0, size);
                var bytes = new byte[sizeof(float) * rows * columns];
                foreach (float[] item in items)
                {
                    Buffer.BlockCopy(item, 0, bytes, 0, bytes.Length);
                    file.Write(bytes, 0, bytes.Length);
                }
            }
            if (File.Exists(path))
                File.Replace(temporary, path, null);
            else
                File.Move(temporary, path);
        }
        finally
        {
            File.Delete(temporary); // does nothing when it is not there
        }
    }
}
