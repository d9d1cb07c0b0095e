// SPDX-License-Identifier: MIT
using System;
using System.Runtime.InteropServices;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// A handle of the library. The runtime holds it during every call that it is passed to, so that
    /// it is freed once: when it has been disposed of, or is garbage, and no call uses it any more.
    internal abstract class Handle : SafeHandle
    {
        // The library may send messages to the log as long as any handle of the context lives.
        private LogSink log;

        protected Handle(bool owns) : base(IntPtr.Zero, owns) { }

        public override bool IsInvalid => handle == IntPtr.Zero;

        internal LogSink Log => log;

        internal void Keep(LogSink sink)
        {
            log = sink;
        }

        protected override bool ReleaseHandle()
        {
            Free();
            return true;
        }

        // Passes the pointer in a handle that does not own it, as this one is closed already.
        protected abstract void Free();
    }

    internal sealed class CtxHandle : Handle
    {
        public CtxHandle() : base(true) { }

        private CtxHandle(IntPtr borrowed) : base(false)
        {
            SetHandle(borrowed);
        }

        protected override void Free()
        {
            npuenc.npuenc_close(new CtxHandle(handle));
        }
    }

    internal sealed class ModelHandle : Handle
    {
        public ModelHandle() : base(true) { }

        private ModelHandle(IntPtr borrowed) : base(false)
        {
            SetHandle(borrowed);
        }

        protected override void Free()
        {
            npuenc.npuenc_model_free(new ModelHandle(handle));
        }
    }

    internal sealed class WeightHandle : Handle
    {
        public WeightHandle() : base(true) { }

        private WeightHandle(IntPtr borrowed) : base(false)
        {
            SetHandle(borrowed);
        }

        protected override void Free()
        {
            npuenc.npuenc_weight_free(new WeightHandle(handle));
        }
    }

    internal sealed class RunHandle : Handle
    {
        /// NULL, for a call without a run: a null reference may not be passed as a SafeHandle.
        internal static readonly RunHandle None = new RunHandle();

        public RunHandle() : base(true) { }

        private RunHandle(IntPtr borrowed) : base(false)
        {
            SetHandle(borrowed);
        }

        internal static RunHandle Create(CtxHandle context)
        {
            Failure.Check(npuenc.npuenc_run_create(context, out RunHandle run));
            run.Keep(context.Log);
            return run;
        }

        /// The same run for as long as the caller holds a reference to this one, even if its owner
        /// disposes of it meanwhile.
        internal RunHandle Borrow()
        {
            return new RunHandle(handle);
        }

        protected override void Free()
        {
            npuenc.npuenc_run_free(new RunHandle(handle));
        }
    }
}
