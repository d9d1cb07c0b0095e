// SPDX-License-Identifier: MIT
using System;
using System.Threading;
using System.Threading.Tasks;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// The run of one call: the caller's, or one made for the call where a token or progress needs
    /// it, or none.
    internal struct Call : IDisposable
    {
        private readonly RunHandle owned;
        private readonly CancellationToken token;
        private readonly Cancellation cancellation;

        internal Call(Context context, Run run, CancellationToken token)
        {
            this.token = token;
            token.ThrowIfCancellationRequested();
            owned = null;
            cancellation = null;
            Run = run == null ? RunHandle.None : run.Handle;
            if (!token.CanBeCanceled)
                return;
            if (run == null)
                Run = owned = RunHandle.Create(context.HandleOfParts);
            try
            {
                cancellation = new Cancellation(Run, token);
            }
            catch (ObjectDisposedException) // the token's source
            {
                owned?.Dispose();
                throw;
            }
        }

        internal RunHandle Run { get; }

        /// Turns a status into an exception. Before Dispose, whose calls may change the detail.
        internal void Check(int status)
        {
            if (status != (int)Status.Ok)
                throw Exception(status, token);
        }

        internal static Exception Exception(int status, CancellationToken token)
        {
            NpuEncException failure = Failure.Of(status);
            return failure.Status == Status.Canceled && token.IsCancellationRequested
                ? (Exception)new OperationCanceledException(failure.Message, failure, token)
                : failure;
        }

        public void Dispose()
        {
            cancellation?.Dispose();
            owned?.Dispose();
        }
    }

    /// Cancels a run's call when a token is canceled, until it is disposed of. The library forgets a
    /// cancellation that comes before its call has begun, so it is repeated.
    internal sealed class Cancellation : IDisposable
    {
        private readonly object gate = new object();
        private readonly RunHandle run, borrowed;
        private readonly CancellationTokenRegistration registration;
        private bool ended;

        internal Cancellation(RunHandle run, CancellationToken token)
        {
            bool held = false;
            run.DangerousAddRef(ref held);
            this.run = run;
            borrowed = run.Borrow();
            try
            {
                registration = token.Register(Cancel);
            }
            catch (ObjectDisposedException) // the token's source
            {
                run.DangerousRelease();
                throw;
            }
        }

        private void Cancel()
        {
            lock (gate)
            {
                if (ended)
                    return;
                npuenc.npuenc_run_cancel(borrowed);
            }
            Task.Delay(1).ContinueWith(_ => Cancel(), TaskScheduler.Default);
        }

        public void Dispose()
        {
            lock (gate)
                ended = true;
            registration.Dispose();
            run.DangerousRelease();
        }
    }
}
