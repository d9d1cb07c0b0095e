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
        private volatile bool isDisposed;

        protected Handle(bool owns) : base(IntPtr.Zero, owns) { }

        /// From then on new calls are refused. IsClosed says so only when those in flight have ended.
        internal bool IsDisposed => isDisposed;

        public override bool IsInvalid => handle == IntPtr.Zero;

        protected override bool ReleaseHandle()
        {
            Free();
            return true;
        }

        protected override void Dispose(bool disposing)
        {
            isDisposed = true;
            base.Dispose(disposing);
        }

        /// Passes the pointer in a handle that does not own it, as this one is closed already.
        protected abstract void Free();
    }

    internal sealed class CtxHandle : Handle
    {
        public CtxHandle() : base(true) { }

        private CtxHandle(IntPtr borrowed) : base(false)
        {
            SetHandle(borrowed);
        }

        /// Messages come for as long as there is a handle of the context.
        internal LogSink Log { private get; set; }

        protected override void Free()
        {
            npuenc.npuenc_close(new CtxHandle(handle));
        }
    }

    /// What was made from a context holds that one's handle: closing waits for all calls of the
    /// context, so it is done last, when there are none.
    internal abstract class PartHandle : Handle
    {
        private CtxHandle context;

        protected PartHandle(bool owns) : base(owns) { }

        /// To be called once, when the part has been made.
        internal void Hold(CtxHandle context)
        {
            bool held = false;
            try
            {
                context.DangerousAddRef(ref held);
                this.context = context;
            }
            catch (ObjectDisposedException) // meanwhile
            {
                Dispose();
                throw;
            }
        }

        protected override bool ReleaseHandle()
        {
            Free();
            context?.DangerousRelease();
            return true;
        }
    }

    internal sealed class ModelHandle : PartHandle
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

    internal sealed class WeightHandle : PartHandle
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

    internal sealed class RunHandle : PartHandle
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
            run.Hold(context);
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
