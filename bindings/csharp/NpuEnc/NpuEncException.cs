// SPDX-License-Identifier: MIT
using System;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// <summary>A call of the library that failed.</summary>
    public sealed class NpuEncException : Exception
    {
        internal NpuEncException(Status status, string detail)
            : base(detail + " (" + Library.TextOf(status) + ")")
        {
            Status = status;
            Detail = detail;
        }

        public Status Status { get; }

        /// <summary>One line that says what was wrong.</summary>
        public string Detail { get; }
    }

    internal static class Failure
    {
        /// To be called on the thread that the status came to, before another call: the library keeps
        /// the detail for a thread.
        internal static void Check(int status)
        {
            if (status != (int)Status.Ok)
                throw Of(status);
        }

        internal static NpuEncException Of(int status)
        {
            return new NpuEncException((Status)status, Utf8.Read(npuenc.npuenc_last_error));
        }
    }
}
