// SPDX-License-Identifier: MIT
using System;
using System.Runtime.InteropServices;

namespace NpuEnc
{
    /// <summary>
    /// The elements of an array, of a part of one (<see cref="ArraySegment{T}"/>), or memory given by
    /// pointer. Arrays convert by themselves. Nothing is copied: an array is pinned until the call
    /// has ended, a pointer must stay valid until then.
    /// </summary>
    public struct BufferView
    {
        private readonly Array array;
        private readonly int offset;
        private readonly IntPtr pointer;
        private readonly long bytes;

        private BufferView(Array array, int offset, int count, int elementBytes)
        {
            this.array = array;
            this.offset = offset * elementBytes;
            pointer = IntPtr.Zero;
            bytes = (long)count * elementBytes;
        }

        /// <summary>Memory of any element type.</summary>
        public BufferView(IntPtr pointer, long bytes)
        {
            if (bytes < 0)
                throw new ArgumentOutOfRangeException(nameof(bytes));
            if (pointer == IntPtr.Zero && bytes > 0)
                throw new ArgumentNullException(nameof(pointer));
            array = null;
            offset = 0;
            this.pointer = pointer;
            this.bytes = bytes;
        }

        /// <summary>The size in bytes.</summary>
        public long Bytes => bytes;

        public static implicit operator BufferView(float[] array) => Whole(array, sizeof(float));
        public static implicit operator BufferView(short[] array) => Whole(array, sizeof(short));
        public static implicit operator BufferView(ushort[] array) => Whole(array, sizeof(ushort));
        public static implicit operator BufferView(sbyte[] array) => Whole(array, sizeof(sbyte));
        public static implicit operator BufferView(byte[] array) => Whole(array, sizeof(byte));
        public static implicit operator BufferView(int[] array) => Whole(array, sizeof(int));
        public static implicit operator BufferView(ArraySegment<float> part) => Part(part, sizeof(float));
        public static implicit operator BufferView(ArraySegment<short> part) => Part(part, sizeof(short));
        public static implicit operator BufferView(ArraySegment<ushort> part) => Part(part, sizeof(ushort));
        public static implicit operator BufferView(ArraySegment<sbyte> part) => Part(part, sizeof(sbyte));
        public static implicit operator BufferView(ArraySegment<byte> part) => Part(part, sizeof(byte));
        public static implicit operator BufferView(ArraySegment<int> part) => Part(part, sizeof(int));

        /// <summary>Memory that holds length elements.</summary>
        public static unsafe BufferView Of(float* pointer, long length) => Memory(pointer, length, sizeof(float));
        public static unsafe BufferView Of(short* pointer, long length) => Memory(pointer, length, sizeof(short));
        public static unsafe BufferView Of(ushort* pointer, long length) => Memory(pointer, length, sizeof(ushort));
        public static unsafe BufferView Of(sbyte* pointer, long length) => Memory(pointer, length, sizeof(sbyte));
        public static unsafe BufferView Of(int* pointer, long length) => Memory(pointer, length, sizeof(int));

        private static BufferView Whole(Array array, int elementBytes)
        {
            return array == null ? default(BufferView) : new BufferView(array, 0, array.Length, elementBytes);
        }

        private static BufferView Part<T>(ArraySegment<T> part, int elementBytes)
        {
            return part.Array == null
                ? default(BufferView)
                : new BufferView(part.Array, part.Offset, part.Count, elementBytes);
        }

        private static unsafe BufferView Memory(void* pointer, long length, int elementBytes)
        {
            return new BufferView((IntPtr)pointer, checked(length * elementBytes));
        }

        /// Neither an array nor memory.
        internal bool IsNull => array == null && pointer == IntPtr.Zero;

        /// Whether it is an array of this type, float[] say, and not memory, which may hold anything.
        /// Not `is`, to which short[] and ushort[] are the same.
        internal bool Is(Type arrayType)
        {
            return array != null && array.GetType() == arrayType;
        }

        /// What the caller said of the type, or else what the array says. ushort[] says nothing but
        /// where there is only one type that it can hold.
        internal DataType TypeOr(DataType given, string name, DataType ofUShort = DataType.OfArray)
        {
            DataType type = given != DataType.OfArray ? given
                : Is(typeof(float[])) ? DataType.F32
                : Is(typeof(sbyte[])) ? DataType.S8
                : Is(typeof(int[])) ? DataType.S32
                : Is(typeof(ushort[])) ? ofUShort
                : DataType.OfArray;
            if (type == DataType.OfArray && !IsNull)
                throw new ArgumentException("the options have to say of what type its elements are", name);
            return type;
        }

        /// A buffer that has to be there.
        internal Pin Pin(DataType type, string name)
        {
            return Pin(ArrayOf(type), name);
        }

        /// arrayType: null for any.
        internal Pin Pin(Type arrayType, string name)
        {
            if (IsNull)
                throw new ArgumentNullException(name);
            return PinOptional(arrayType, name);
        }

        /// A buffer that may be left out.
        internal Pin PinOptional(Type arrayType, string name)
        {
            if (arrayType != null && array != null && !Is(arrayType) && !Is(typeof(byte[])))
                throw new ArgumentException(
                    array.GetType().Name + " instead of " + arrayType.Name, name);
            return new Pin(array, offset, pointer, bytes);
        }

        private static Type ArrayOf(DataType type)
        {
            switch (type)
            {
                case DataType.F32:
                    return typeof(float[]);
                case DataType.BF16:
                case DataType.F16:
                    return typeof(ushort[]);
                case DataType.S8:
                    return typeof(sbyte[]);
                case DataType.S32:
                    return typeof(int[]);
                default:
                    return null; // the library refuses it
            }
        }
    }

    /// The address of a view for as long as it is not disposed of.
    internal struct Pin : IDisposable
    {
        private GCHandle handle;

        internal Pin(Array array, int offset, IntPtr pointer, long bytes)
        {
            handle = default(GCHandle);
            Pointer = pointer;
            Bytes = (ulong)bytes;
            if (array == null || bytes == 0)
                return;
            handle = GCHandle.Alloc(array, GCHandleType.Pinned);
            Pointer = handle.AddrOfPinnedObject() + offset;
        }

        internal IntPtr Pointer { get; }

        internal ulong Bytes { get; }

        public void Dispose()
        {
            if (handle.IsAllocated)
                handle.Free();
        }
    }
}
