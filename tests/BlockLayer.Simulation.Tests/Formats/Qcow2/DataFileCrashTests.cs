using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Simulation.Tests.Crashes;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>Crashes while two files change together: the image with the tables, and the data file they lead into.</summary>
public sealed class DataFileCrashTests
{
    private const int Length = 40 * 1024;

    private static readonly CrashEnumeration s_enumeration = new() { ExhaustiveLimit = 8, RandomSubsets = 24 };

    [Theory]
    [InlineData("off", 72 * 1024)]
    [InlineData("off", 13 * 1024)]
    [InlineData("on", 72 * 1024)]
    [InlineData("on", 13 * 1024)]
    public async Task A_resized_disk_has_its_old_or_its_new_length_and_what_was_flushed(string raw, int newLength)
    {
        var storage = new SimulatedStorageProvider();
        await CreateAsync(storage, raw);
        byte[] content = Pattern.Of(0, Length, writer: 1);
        long promised = Length;
        await using BlockNode disk = await OpenAsync(storage, NodeAccess.ReadWrite);
        await disk.WriteAsync(0, content);
        await disk.FlushAsync();
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => promised };
        await disk.ResizeAsync(newLength, new ResizeOptions { AllowShrink = true });
        promised = newLength;
        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) =>
            {
                await using BlockNode found = await OpenAsync(crashed, NodeAccess.ReadWrite);
                long told = (long)state.Image.Observation!;
                Assert.True(found.Length == newLength || (found.Length == Length && told == Length), $"{found.Length} bytes long, {told} were told");
                byte[] bytes = new byte[found.Length];
                await found.ReadAsync(0, bytes);
                AssertHolds(bytes, content, newLength);
                if (raw == "on")
                {
                    byte[] alone = crashed.ReadFile("/vm/data");
                    AssertHolds(alone.AsSpan(0, (int)Math.Min(alone.Length, found.Length)), content, newLength);
                }

                ImageCheckReport report = await ImageChecker.CheckAsync(found);
                Assert.True(report.Corruptions == 0, string.Join('\n', report.Findings));
            },
            s_enumeration);
        CrashTable.Print($"data file, raw {raw}: resize to {newLength}", recorder, states, "old or new length, what was flushed");
        Assert.InRange(states, 10, 100_000);
    }

    [Theory]
    [InlineData("off")]
    [InlineData("on")]
    public async Task A_new_image_is_whole_or_none_and_its_data_file_is_there_before_it(string raw)
    {
        var storage = new SimulatedStorageProvider();
        bool done = false;
        using var recorder = new CrashRecorder(storage, points: CapturePoints.EveryOperation) { Observe = () => done };
        await CreateAsync(storage, raw);
        done = true;
        int images = 0;
        long states = await CrashCheck.RunAsync(
            recorder,
            async (state, crashed) =>
            {
                bool exists = crashed.GetInfo("/vm/disk") is not null && Qcow2Format.Instance.Probe(crashed.ReadFile("/vm/disk").AsSpan(0, Math.Min(512, crashed.ReadFile("/vm/disk").Length)));
                Assert.True(exists || !(bool)state.Image.Observation!, "an image that was told is gone");
                if (exists)
                {
                    images++;
                    await using BlockNode disk = await OpenAsync(crashed, NodeAccess.ReadOnly);
                    byte[] found = new byte[Length];
                    await disk.ReadAsync(0, found);
                    Assert.True(found.AsSpan().IndexOfAnyExcept((byte)0) < 0, "a new disk is not zero");
                }
            },
            s_enumeration);
        CrashTable.Print($"data file, raw {raw}: create", recorder, states, "no image, or a whole one");
        Assert.True(images > 0, "no state had the image");
    }

    // The longer part and what a shrunk disk dropped: old bytes or zeroes.
    private static void AssertHolds(ReadOnlySpan<byte> found, byte[] content, int newLength)
    {
        int kept = Math.Min(Math.Min(found.Length, content.Length), newLength);
        Assert.True(found[..kept].SequenceEqual(content.AsSpan(0, kept)), "what was flushed is not there");
        for (int i = kept; i < found.Length; i++)
        {
            Assert.True(found[i] == 0 || (i < content.Length && found[i] == content[i]), $"byte {i} is neither old nor zero");
        }
    }

    private static async ValueTask CreateAsync(SimulatedStorageProvider files, string raw)
    {
        var options = new Dictionary<string, string> { ["cluster_size"] = "4096", ["data_file"] = "data", ["data_file_raw"] = raw };
        await new ImageCreator(BuiltInFormats.All, SimulatedEnvironment.Inline(files))
            .CreateAsync("/vm/disk", new NewImage { Format = "qcow2", Length = Length, Options = options }, OpenPolicy.Default);
    }

    private static ValueTask<BlockNode> OpenAsync(SimulatedStorageProvider files, NodeAccess access)
        => new ImageOpener(BuiltInFormats.All, SimulatedEnvironment.Inline(files)).OpenAsync("/vm/disk", new ImageOpenOptions { Format = "qcow2", Access = access });
}
