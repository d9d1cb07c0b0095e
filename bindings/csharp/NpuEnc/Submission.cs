// SPDX-License-Identifier: MIT
using System;
using System.Collections.Concurrent;
using System.Threading;
using System.Threading.Tasks;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// An encode that has been submitted. It keeps its buffers pinned and its run alive until it has
    /// ended, whatever their owners dispose of.
    internal sealed class Submission
    {
        private const long ReportIntervalNs = 20 * 1000 * 1000;

        private readonly Model model; // so that it and its context are not garbage meanwhile
        private readonly RunHandle run, owned, borrowed;
        private readonly IProgress<RunProgress> progress;
        private readonly CancellationToken token;
        private readonly Cancellation cancellation;
        private readonly bool held;
        private Pin input, output;

        internal unsafe Submission(Model model, EncodeOptions options, BufferView inputView,
                                   BufferView outputView, IProgress<RunProgress> progress, Run run,
                                   CancellationToken token)
        {
            this.model = model;
            this.progress = progress;
            this.token = token;
            token.ThrowIfCancellationRequested();
            npuenc_encode_desc desc = Model.Describe(options, inputView, outputView);
            int[] lengths = options.Lengths;
            if (run == null)
                owned = RunHandle.Create(model.Context.HandleOfParts);
            this.run = owned ?? run.Handle;
            try
            {
                this.run.DangerousAddRef(ref held);
                borrowed = this.run.Borrow();
                if (token.CanBeCanceled)
                    cancellation = new Cancellation(borrowed, token);
                input = Model.PinInput(inputView, desc);
                output = Model.PinOutput(outputView, desc);
                fixed (int* lengthsPointer = lengths)
                    Failure.Check(npuenc.npuenc_encode_submit(
                        model.Handle, ref desc, input.Pointer, input.Bytes, (IntPtr)lengthsPointer,
                        Model.CountOf(lengths), output.Pointer, output.Bytes, borrowed));
            }
            catch
            {
                Release();
                throw;
            }
        }

        /// Waits until it has ended, and throws what it failed with.
        internal void Wait()
        {
            Exception reporting = null;
            try
            {
                int status;
                while ((status = npuenc.npuenc_run_wait(borrowed, progress == null ? -1 : ReportIntervalNs))
                       == (int)Status.Pending)
                    reporting = reporting ?? Report();
                if (reporting == null && status != (int)Status.Ok)
                    throw Call.Exception(status, token);
                reporting = reporting ?? Report();
            }
            finally
            {
                Release();
            }
            if (reporting != null)
                throw reporting;
        }

        /// Returns what the caller's code threw; then there is no use in going on.
        private Exception Report()
        {
            if (progress == null)
                return null;
            try
            {
                Failure.Check(npuenc.npuenc_run_progress(borrowed, out uint done, out uint total));
                progress.Report(new RunProgress(done, total));
                return null;
            }
            catch (Exception exception)
            {
                npuenc.npuenc_run_cancel(borrowed);
                return exception;
            }
        }

        private void Release()
        {
            cancellation?.Dispose();
            input.Dispose();
            output.Dispose();
            if (held)
                run.DangerousRelease();
            owned?.Dispose();
            GC.KeepAlive(model);
        }
    }

    /// Waits for the submissions of a context, on one thread for all of them: the library does them in
    /// the order of submission. The thread is there while there is something to wait for.
    internal sealed class SubmissionQueue
    {
        private readonly object gate = new object(); // submits in the order of the queue
        private readonly ConcurrentQueue<Action> waits = new ConcurrentQueue<Action>();
        private bool hasThread;

        internal Task<T> Add<T>(Func<Submission> submit, T result)
        {
            var completion = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (gate)
            {
                // Before the work begins, which nobody would wait for without a thread.
                if (!hasThread)
                    new Thread(WaitForAll) { IsBackground = true, Name = "npuenc wait" }.Start();
                hasThread = true;
                Submission submission = submit();
                waits.Enqueue(() => Complete(completion, submission, result));
            }
            return completion.Task;
        }

        private void WaitForAll()
        {
            for (;;)
            {
                Action wait;
                lock (gate)
                {
                    hasThread = waits.TryDequeue(out wait);
                    if (!hasThread)
                        return;
                }
                wait();
            }
        }

        private static void Complete<T>(TaskCompletionSource<T> completion, Submission submission, T result)
        {
            try
            {
                submission.Wait();
                completion.SetResult(result);
            }
            catch (OperationCanceledException canceled) when (canceled.CancellationToken.IsCancellationRequested)
            {
                completion.TrySetCanceled(canceled.CancellationToken);
            }
            catch (Exception exception)
            {
                completion.SetException(exception);
            }
        }
    }
}
