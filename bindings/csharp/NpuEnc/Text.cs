// SPDX-License-Identifier: MIT
using System;
using System.Text;

namespace NpuEnc
{
    /// Strings of the library: UTF-8, ended by NUL.
    internal static unsafe class Utf8
    {
        internal static string Decode(byte* text, int capacity)
        {
            int length = 0;
            while (length < capacity && text[length] != 0)
                ++length;
            return length == 0 ? "" : Encoding.UTF8.GetString(text, length);
        }

        internal static string Decode(IntPtr text)
        {
            return Decode((byte*)text, int.MaxValue);
        }

        /// With the NUL that ends it in C.
        internal static byte[] Encode(string text)
        {
            var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
            Encoding.UTF8.GetBytes(text, 0, text.Length, bytes, 0);
            return bytes;
        }

        internal delegate ulong Copy(IntPtr buffer, ulong capacity);

        /// What a function like npuenc_last_error copies, whatever its length.
        internal static string Read(Copy copy)
        {
            const int usual = 512;
            byte* buffer = stackalloc byte[usual];
            ulong length = copy((IntPtr)buffer, usual);
            if (length < usual)
                return Decode(buffer, usual);
            var longer = new byte[checked((int)length + 1)];
            fixed (byte* start = longer)
            {
                copy((IntPtr)start, (ulong)longer.Length);
                return Decode(start, longer.Length);
            }
        }
    }

    // char name[N] in a struct of the header, for every N that there is.

    internal unsafe struct Text16
    {
        private fixed byte bytes[16];

        public override string ToString()
        {
            fixed (byte* text = bytes)
                return Utf8.Decode(text, 16);
        }
    }

    internal unsafe struct Text32
    {
        private fixed byte bytes[32];

        public override string ToString()
        {
            fixed (byte* text = bytes)
                return Utf8.Decode(text, 32);
        }
    }

    internal unsafe struct Text64
    {
        private fixed byte bytes[64];

        public override string ToString()
        {
            fixed (byte* text = bytes)
                return Utf8.Decode(text, 64);
        }
    }

    internal unsafe struct Text256
    {
        private fixed byte bytes[256];

        public override string ToString()
        {
            fixed (byte* text = bytes)
                return Utf8.Decode(text, 256);
        }
    }
}
