// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Threading;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// <summary>
    /// Watches one call at a time of its context: cancels it, tells its progress and what it took. It
    /// can be used for any number of calls one after another. All of it but being passed to a call may
    /// be used from any thread.
    /// </summary>
    public sealed class Run : IDisposable
    {
        private readonly RunHandle handle;

        internal Run(RunHandle handle)
        {
            this.handle = handle;
        }

        internal RunHandle Handle => handle.IsDisposed ? throw new ObjectDisposedException(nameof(Run)) : handle;

        /// <summary>
        /// Waits until the call has ended and throws what it failed with. Without a call in flight it
        /// is the last one that counts.
        /// </summary>
        public void Wait()
        {
            Failure.Check(npuenc.npuenc_run_wait(Handle, -1));
        }

        /// <summary>The same; false when time ran out and the call goes on.</summary>
        public bool Wait(TimeSpan timeout)
        {
            if (timeout < TimeSpan.Zero && timeout != Timeout.InfiniteTimeSpan)
                throw new ArgumentOutOfRangeException(nameof(timeout));
            long nanoseconds = timeout.Ticks > long.MaxValue / 100 ? long.MaxValue : timeout.Ticks * 100;
            int status = npuenc.npuenc_run_wait(Handle, nanoseconds);
            if (status == (int)Status.Pending)
                return false;
            Failure.Check(status);
            return true;
        }

        /// <summary>
        /// Asks the call in flight, if there is one, to end with <see cref="Status.Canceled"/>.
        /// </summary>
        public void Cancel()
        {
            npuenc.npuenc_run_cancel(Handle);
        }

        public RunProgress Progress
        {
            get
            {
                Failure.Check(npuenc.npuenc_run_progress(Handle, out uint done, out uint total));
                return new RunProgress(done, total);
            }
        }

        /// <summary>Of the last call that ended. Busy while one is in flight.</summary>
        public unsafe Statistics GetStatistics()
        {
            var stats = new npuenc_stats { struct_size = (uint)sizeof(npuenc_stats) };
            Failure.Check(npuenc.npuenc_run_stats(Handle, ref stats));
            return new Statistics(stats);
        }

        /// <summary>
        /// Of the last call, in the order in which they first ran. Busy while one is in flight.
        /// </summary>
        public IReadOnlyList<OperatorInfo> GetOperators()
        {
            Failure.Check(npuenc.npuenc_run_op_count(Handle, out uint count));
            var operators = new OperatorInfo[count];
            for (uint i = 0; i < count; ++i)
                operators[i] = OperatorInfo.Get(Handle, i);
            return operators;
        }

        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
