// SPDX-License-Identifier: MIT
using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using NpuEnc;

/// The structs of the raw layer are passed to C as they are. The C compiler is the referee: the layout
/// that this runtime gives them is asserted of the header's structs.
internal static class Layouts
{
    internal static void Print(TextWriter output)
    {
        output.WriteLine("#include <npuenc/npuenc.h>");
        output.WriteLine("#include <stddef.h>");
        foreach (Type type in typeof(Context).Assembly.GetTypes()
                     .Where(type => type.Namespace == "NpuEnc.Raw" && type.IsValueType && !type.IsEnum))
        {
            output.WriteLine("_Static_assert(sizeof({0}) == {1}, \"size of {0}\");", type.Name, Marshal.SizeOf(type));
            foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic))
            {
                string name = field.Name.Substring(1, field.Name.IndexOf('>') - 1); // <name>k__BackingField
                output.WriteLine("_Static_assert(offsetof({0}, {1}) == {2}, \"offset of {0}.{1}\");", type.Name,
                                 name, Marshal.OffsetOf(type, field.Name));
                output.WriteLine("_Static_assert(sizeof((({0}*)0)->{1}) == {2}, \"size of {0}.{1}\");", type.Name,
                                 name, Marshal.SizeOf(field.FieldType));
                output.WriteLine("_Static_assert(_Generic((({0}*)0)->{1}, {2}: 1, default: 0), \"type of {0}.{1}\");",
                                 type.Name, name, InC(field.FieldType));
            }
        }
    }

    private static string InC(Type type)
    {
        return type == typeof(uint) ? "uint32_t"
            : type == typeof(int) ? "int32_t"
            : type == typeof(ulong) ? "uint64_t"
            : type == typeof(float) ? "float"
            : type == typeof(IntPtr) ? "void*: 1, npuenc_log_fn"
            : "char*";
    }
}
