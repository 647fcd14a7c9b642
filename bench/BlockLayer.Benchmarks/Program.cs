using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using BlockLayer.Benchmarks.SideBySide;

if (args is ["side-by-side", .. string[] rest])
{
    return await Comparison.RunAsync(rest);
}

// --smoke runs every benchmark once, in process: it shows that they work, not how fast.
bool smoke = args.Contains("--smoke");
IConfig config = DefaultConfig.Instance.AddDiagnoser(MemoryDiagnoser.Default);
if (smoke)
{
    config = config.AddJob(Job.Dry.WithToolchain(InProcessEmitToolchain.Instance))
        .WithOptions(ConfigOptions.StopOnFirstError | ConfigOptions.DisableLogFile);
}

string[] forSwitcher = [.. args.Where(arg => arg != "--smoke")];
var summaries = BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(forSwitcher, config).ToList();
return summaries.Count > 0 && summaries.TrueForAll(s => !s.HasCriticalValidationErrors && s.Reports.All(report => report.Success)) ? 0 : 1;
