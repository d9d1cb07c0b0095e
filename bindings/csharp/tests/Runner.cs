// SPDX-License-Identifier: MIT
// Tests.exe [NAME...]          runs the tests whose names contain one of these words, or all
// Tests.exe --layouts          prints a C program that compiles if the structs are as in npuenc.h
using System;
using System.Diagnostics;
using System.Linq;
using System.Reflection;

[AttributeUsage(AttributeTargets.Method)]
internal sealed class TestAttribute : Attribute { }

internal sealed class Skip : Exception
{
    internal Skip(string reason) : base(reason) { }
}

internal sealed class Failed : Exception
{
    internal Failed(string text) : base(text) { }
}

internal static class Runner
{
    private static int Main(string[] arguments)
    {
        if (arguments.Length == 1 && arguments[0] == "--layouts")
        {
            Layouts.Print(Console.Out);
            return 0;
        }
        int passed = 0, failed = 0, skipped = 0;
        foreach (MethodInfo test in Assembly.GetExecutingAssembly().GetTypes()
                     .SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.NonPublic))
                     .Where(method => method.GetCustomAttribute<TestAttribute>() != null)
                     .OrderBy(method => method.DeclaringType.Name))
        {
            string name = test.DeclaringType.Name + "." + test.Name;
            if (arguments.Length > 0 && !arguments.Any(name.Contains))
                continue;
            var time = Stopwatch.StartNew();
            try
            {
                ((Action)test.CreateDelegate(typeof(Action)))();
                ++passed;
                Console.WriteLine("ok    {0} ({1} ms)", name, time.ElapsedMilliseconds);
            }
            catch (Skip reason)
            {
                ++skipped;
                Console.WriteLine("skip  {0}: {1}", name, reason.Message);
            }
            catch (Exception problem)
            {
                ++failed;
                Console.WriteLine("FAIL  {0}: {1}", name, problem is Failed ? problem.Message : problem.ToString());
            }
        }
        Console.WriteLine("{0} passed, {1} failed, {2} skipped", passed, failed, skipped);
        return failed > 0 || passed == 0 ? 1 : 0;
    }
}

internal static class Expect
{
    internal static void True(bool condition, string text)
    {
        if (!condition)
            throw new Failed(text);
    }

    internal static void Equal<T>(T expected, T got, string what)
    {
        if (!Equals(expected, got))
            throw new Failed(what + ": " + got + " instead of " + expected);
    }

    internal static void Within(double expected, double got, double tolerance, Func<string> what)
    {
        if (!(Math.Abs(got - expected) <= tolerance))
            throw new Failed(what() + ": " + got.ToString("R") + " instead of " + expected.ToString("R") + " +- " + tolerance);
    }

    internal static T Throws<T>(Action action, string what) where T : Exception
    {
        try
        {
            action();
        }
        catch (Exception exception)
        {
            if (exception.GetType() == typeof(T))
                return (T)exception;
            throw new Failed(what + ": " + exception + " instead of " + typeof(T).Name);
        }
        throw new Failed(what + ": no " + typeof(T).Name);
    }

    internal static void Fails(NpuEnc.Status status, Action action, string what)
    {
        var failure = Throws<NpuEnc.NpuEncException>(action, what);
        Equal(status, failure.Status, what + " (" + failure.Message + ")");
        True(failure.Detail.Length > 0 && failure.Message.Contains(failure.Detail), what + ": no detail");
    }
}
