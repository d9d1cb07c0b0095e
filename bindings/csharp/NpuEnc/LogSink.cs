// SPDX-License-Identifier: MIT
using System;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Threading;

namespace NpuEnc
{
    /// Where the messages of a context go. The library is given a number instead of a reference, so
    /// that a message which comes when the last handle has become garbage finds nothing, and a
    /// handler that refers to its context does not keep it alive.
    internal sealed class LogSink
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate void Function(IntPtr user, int level, IntPtr message);

        // Never collected: the library keeps its address.
        private static readonly Function Deliver = DeliverMessage;

        private static readonly ConcurrentDictionary<long, WeakReference<LogSink>> Sinks =
            new ConcurrentDictionary<long, WeakReference<LogSink>>();

        private static long lastNumber;

        private readonly long number = Interlocked.Increment(ref lastNumber);
        private readonly Action<LogLevel, string> handler;

        internal LogSink(Action<LogLevel, string> handler)
        {
            this.handler = handler;
            Sinks[number] = new WeakReference<LogSink>(this);
        }

        ~LogSink()
        {
            Sinks.TryRemove(number, out WeakReference<LogSink> _);
        }

        internal static IntPtr FunctionPointer { get; } =
            Marshal.GetFunctionPointerForDelegate(Deliver);

        internal IntPtr User => (IntPtr)number;

        // Called by native code, through which no exception may pass.
        private static void DeliverMessage(IntPtr user, int level, IntPtr message)
        {
            try
            {
                if (Sinks.TryGetValue((long)user, out WeakReference<LogSink> reference)
                    && reference.TryGetTarget(out LogSink sink))
                    sink.handler((LogLevel)level, Utf8.Decode(message));
            }
            catch (Exception)
            {
                // The handler's own failure: there is nobody to tell.
            }
        }
    }
}
