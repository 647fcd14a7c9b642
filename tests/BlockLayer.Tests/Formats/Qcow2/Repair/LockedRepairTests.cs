using BlockLayer.Errors;
using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.TestKit;
using BlockLayer.TestKit.Formats.Qcow2;
using Xunit;

namespace BlockLayer.Tests.Formats.Qcow2.Repair;

/// <summary>Repairs of an encrypted image by somebody who has no passphrase: tables can be repaired, and what needs the data is refused before anything has changed.</summary>
public sealed class LockedRepairTests : IDisposable
{
    private const int Length = 1 << 20;

    private readonly TestWorld _world = new();
    private readonly Passphrase _passphrase = Passphrase.FromText("correct horse");

    public void Dispose() => _passphrase.Dispose();

    [Theory]
    [InlineData("L2 entry: copied flag")]
    [InlineData("L2 entry: far behind the end")]
    [InlineData("L1 entry: copied flag")]
    [InlineData("refcounts: data free")]
    [InlineData("refcounts: everything free")]
    [InlineData("refcounts: everything as often as can be")]
    [InlineData("refcount table: block dropped")]
    public async Task What_concerns_tables_alone_is_repaired(string damage)
    {
        DamagedImage image = await CreateDamagedAsync(damage);
        byte[] readable = await ReadDiskAsync();

        ImageRepairReport report = await RepairAsync();

        Assert.False(report.Before.IsClean, "nothing was damaged");
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
        byte[] after = await ReadDiskAsync();
        int lost = damage.Contains("far behind", StringComparison.Ordinal) ? image.Geometry.ClusterSize : 0; // the first cluster could not be read, and reads as zeroes now
        Assert.Equal(readable[lost..], after[lost..]);
    }

    [Theory]
    [InlineData("L2 entry: another one's cluster")]
    [InlineData("L2 entry: the L1 table")]
    [InlineData("L2 entry: its own table")]
    public async Task What_needs_copies_of_data_is_refused_and_changes_nothing(string damage)
    {
        DamagedImage image = await CreateDamagedAsync(damage);

        BlockLayerException refused = await Assert.ThrowsAsync<BlockLayerException>(RepairAsync);

        Assert.Equal(
            (BlockErrorKind.Denied, "'disk' is encrypted (LUKS) and was opened without its passphrase, which is needed to read or write the guest's data."), (refused.Kind, refused.Message));
        Assert.Equal(image.File, await _world.ReadFileAsync("disk"));
        _world.Passphrase = _passphrase;
        ImageRepairReport report = await RepairAsync();
        Assert.True(report.After.IsClean, string.Join('\n', report.After.Findings.Take(5)));
    }

    private async Task<DamagedImage> CreateDamagedAsync(string damage)
    {
        _world.Passphrase = _passphrase;
        await _world.CreateAsync("disk", new Qcow2CreateOptions { Length = Length, ClusterSize = 4096, Encryption = new LuksCreateOptions { Iterations = 1000, KeyBits = 128 }, Passphrase = _passphrase });
        await using (Qcow2Node disk = await _world.OpenAsync("disk"))
        {
            await disk.WriteAsync(0, Pattern.Of(0, 40_000, writer: 1));
        }

        DamagedImage image = new(await _world.ReadFileAsync("disk"));
        Damage.Apply(damage, image);
        await using (StorageNode file = await _world.OpenFileAsync("disk"))
        {
            await file.WriteAsync(0, image.File);
        }

        _world.Passphrase = null;
        return image;
    }

    private async Task<ImageRepairReport> RepairAsync()
    {
        await using Qcow2Node disk = await _world.OpenAsync("disk", purpose: OpenPurpose.Repair);
        return await ImageChecker.RepairAsync(disk, RepairMode.All, cancellationToken: TestContext.Current.CancellationToken);
    }

    /// <summary>What can be read: zeroes stand for a cluster that cannot.</summary>
    private async Task<byte[]> ReadDiskAsync()
    {
        _world.Passphrase = _passphrase;
        byte[] content = new byte[Length];
        await using (Qcow2Node disk = await _world.OpenAsync("disk", NodeAccess.ReadOnly))
        {
            for (int at = 0; at < Length; at += 4096)
            {
                try
                {
                    await disk.ReadAsync(at, content.AsMemory(at, 4096));
                }
                catch (BlockLayerException damaged) when (damaged.Kind == BlockErrorKind.Corrupt)
                {
                    content.AsSpan(at, 4096).Clear();
                }
            }
        }

        _world.Passphrase = null;
        return content;
    }
}
