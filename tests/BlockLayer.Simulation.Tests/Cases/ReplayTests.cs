using System.Reflection;
using Xunit;

namespace BlockLayer.Simulation.Tests.Cases;

/// <summary>Each case is the same run again under its seed, choice by choice, and a short one: a step of the scheduler takes some microseconds.</summary>
public class ReplayTests
{
    private const long MostSteps = 1_000;

    /// <summary>Every case with each of its rows.</summary>
    public static IEnumerable<TheoryDataRow<string, object?[]>> Cases
        => typeof(ReplayTests).Assembly.GetTypes()
            .Where(static type => type.IsSubclassOf(typeof(MachineCases)))
            .SelectMany(static type => type.GetMethods())
            .SelectMany(static method => method.GetCustomAttributes<InlineDataAttribute>().Select(row => (method, row.Data))
                .Concat(method.GetCustomAttributes<FactAttribute>().Where(static fact => fact is not TheoryAttribute).Select(_ => (method, Data: Array.Empty<object?>()))))
            .Select(static row => new TheoryDataRow<string, object?[]>($"{row.method.DeclaringType!.FullName}.{row.method.Name}", row.Data));

    [Theory]
    [MemberData(nameof(Cases), DisableDiscoveryEnumeration = true)]
    public void A_case_is_the_same_again_and_takes_few_steps(string name, object?[] arguments)
    {
        (ulong Trace, long Steps, TimeSpan Elapsed) first = Play(name, arguments);
        Assert.Equal(first, Play(name, arguments));
        Assert.NotEqual(0UL, first.Trace);
        Assert.InRange(first.Steps, 1, MostSteps);
        TestContext.Current.TestOutputHelper?.WriteLine($"{name}: {first.Steps} steps, {first.Elapsed.TotalMilliseconds} ms of virtual time");
    }

    [Fact]
    public void Every_case_is_played()
        => Assert.Equal(
            typeof(ReplayTests).Assembly.GetTypes().Where(static type => type.Namespace == typeof(ReplayTests).Namespace && type.Name.EndsWith("Cases", StringComparison.Ordinal) && !type.IsAbstract),
            typeof(ReplayTests).Assembly.GetTypes().Where(static type => type.IsSubclassOf(typeof(MachineCases))));

    private static (ulong Trace, long Steps, TimeSpan Elapsed) Play(string name, object?[] arguments)
    {
        int dot = name.LastIndexOf('.');
        Type type = typeof(ReplayTests).Assembly.GetType(name[..dot], throwOnError: true)!;
        var cases = (MachineCases)Activator.CreateInstance(type)!;
        type.GetMethod(name[(dot + 1)..])!.Invoke(cases, arguments);
        SimulationScheduler scheduler = cases.Machine.Scheduler;
        return (scheduler.TraceHash, scheduler.Steps, scheduler.Elapsed);
    }
}
