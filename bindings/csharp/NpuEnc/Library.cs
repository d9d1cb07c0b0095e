// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// <summary>The library itself and the devices that it sees.</summary>
    public static class Library
    {
        /// <summary>The version of the library in use: major &lt;&lt; 16 | minor &lt;&lt; 8 | patch.</summary>
        public static int VersionNumber => (int)npuenc.npuenc_version();

        /// <summary>The same as text, "1.0.0".</summary>
        public static string Version => Utf8.Decode(npuenc.npuenc_version_string());

        /// <summary>A status in words, "a buffer is too small".</summary>
        public static string TextOf(Status status)
        {
            return Utf8.Decode(npuenc.npuenc_status_string((int)status));
        }

        /// <summary>The number of devices: the CPU, then every NPU that the system shows.</summary>
        public static int DeviceCount
        {
            get
            {
                Failure.Check(npuenc.npuenc_device_count(out uint count));
                return (int)count;
            }
        }

        /// <summary>Describes a device, from 0.</summary>
        public static DeviceInfo GetDevice(int index)
        {
            return DeviceInfo.Get(Sizes.UInt32(index, nameof(index)));
        }

        /// <summary>All devices, usable or not.</summary>
        public static IReadOnlyList<DeviceInfo> GetDevices()
        {
            var devices = new List<DeviceInfo>();
            for (int count = DeviceCount; devices.Count < count;)
                devices.Add(GetDevice(devices.Count));
            return devices;
        }
    }

    /// Sizes are signed in C#, as an array's Length is, and unsigned in C.
    internal static class Sizes
    {
        internal static uint UInt32(int value, string name)
        {
            if (value < 0)
                throw new ArgumentOutOfRangeException(name, value, "a size is negative");
            return (uint)value;
        }

        internal static ulong UInt64(long value, string name)
        {
            if (value < 0)
                throw new ArgumentOutOfRangeException(name, value, "a size is negative");
            return (ulong)value;
        }
    }
}
