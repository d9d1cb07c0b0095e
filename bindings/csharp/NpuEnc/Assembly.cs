// SPDX-License-Identifier: MIT
using System.Reflection;

// What programs are bound to where the assembly has a strong name. It is the same for all versions
// that differ in their last number, for which programs are not compiled again.
[assembly: AssemblyVersion("1.0.0.0")]
