using System.Buffers.Binary;
using BlockLayer.Cli;
using BlockLayer.Formats.Qcow2;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Tests.Cli;

/// <summary><c>blk check -r</c>.</summary>
public sealed class RepairCommandTests : IDisposable
{
    private readonly BlkRun _blk = new();

    [Fact]
    public async Task Everything_found_is_repaired_and_told()
    {
        long l1 = MakeDamaged();
        Assert.Equal(ExitCode.CheckCorrupt, (await _blk.RunAsync("check", "@a.qcow2")).Code);
        string told = await _blk.SucceedAsync("check", "-r", "all", "@a.qcow2");
        Assert.StartsWith($"Repaired: The copied flag of the L1 table entry at byte {l1} was set.\n", told, StringComparison.Ordinal);
        Assert.Contains("1 errors and 0 leaked clusters were repaired. What a check finds now:\nNo errors were found on the image.\n", told, StringComparison.Ordinal);
        Assert.StartsWith("No errors were found", await _blk.SucceedAsync("check", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_has_what_was_fixed_by_QEMUs_names()
    {
        MakeDamaged();
        string told = await _blk.SucceedAsync("check", "-r", "all", "--output", "json", "@a.qcow2");
        Assert.Contains("\"corruptions-fixed\": 1", told, StringComparison.Ordinal);
        Assert.DoesNotContain("\"corruptions\":", told, StringComparison.Ordinal);
        Assert.DoesNotContain("\"leaks-fixed\":", told, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Repair_of_leaks_leaves_corruption_and_says_so()
    {
        MakeDamaged(copyOfEntry: true);
        BlkRun.Outcome outcome = await _blk.RunAsync("check", "-r", "leaks", "@a.qcow2");
        Assert.Equal(ExitCode.CheckCorrupt, outcome.Code);
        Assert.Contains("0 errors and 1 leaked clusters were repaired.", outcome.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Image_marked_corrupt_is_opened_for_its_repair_and_no_longer_marked_then()
    {
        MakeDamaged(IncompatibleFeatures.Corrupt);
        Assert.Contains("corrupt: true", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
        await _blk.SucceedAsync("check", "-r", "all", "@a.qcow2");
        Assert.Contains("corrupt: false", await _blk.SucceedAsync("info", "@a.qcow2"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Mode_that_does_not_exist_is_refused()
    {
        BlkRun.Outcome outcome = await _blk.RunAsync("check", "-r", "some", "@a.qcow2");
        Assert.Equal(ExitCode.Failure, outcome.Code);
        Assert.Contains("-r takes leaks or all, not 'some'.", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Image_that_others_may_write_is_not_repaired()
    {
        BlkRun.Outcome outcome = await _blk.RunAsync("check", "-U", "-r", "all", "@a.qcow2");
        Assert.Equal(ExitCode.Failure, outcome.Code);
        Assert.Contains("-r and -U exclude each other", outcome.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _blk.Dispose();

    /// <summary>An image whose used L1 entry lost its copied flag, or whose first L2 entry leads where the second one does.</summary>
    private long MakeDamaged(IncompatibleFeatures features = IncompatibleFeatures.None, bool copyOfEntry = false)
    {
        byte[] file = File.ReadAllBytes(GoldenImages.Get("q7-v3.qcow2").Path);
        Qcow2Header header = Qcow2Header.Parse(file);
        (header with { Incompatible = header.Incompatible | features }).WriteTo(file);
        int l1 = (int)header.L1TableOffset.Value;
        L1Entry entry = new(BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan(l1)));
        if (copyOfEntry)
        {
            Span<byte> table = file.AsSpan((int)entry.L2Table.Value);
            int first = Enumerable.Range(0, 8192).First(i => new L2Entry(BinaryPrimitives.ReadUInt64BigEndian(file.AsSpan((int)entry.L2Table.Value + (i * 8)))).HostOffset.Value != 0);
            table.Slice((first + 1) * 8, 8).CopyTo(table[(first * 8)..]);
        }
        else
        {
            BinaryPrimitives.WriteUInt64BigEndian(file.AsSpan(l1), entry.WithCopied(false).Raw);
        }

        File.WriteAllBytes(_blk.Folder.File("a.qcow2"), file);
        return l1;
    }
}
