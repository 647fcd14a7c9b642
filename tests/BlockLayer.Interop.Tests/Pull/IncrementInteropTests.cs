using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Jobs;
using BlockLayer.TestKit;
using Xunit;

namespace BlockLayer.Interop.Tests.Pull;

/// <summary>Chains that qemu-img made are pulled in increments: qemu-img follows what is left, finds nothing wrong and reads what it read before, also in the middle.</summary>
public sealed class IncrementInteropTests : IDisposable
{
    private const int MiB = 1 << 20;

    private static readonly Dictionary<string, QemuImage[]> s_chains = new()
    {
        ["qcow2 over qcow2 over raw, growing"] =
        [
            new("template.raw", "raw", 1 * MiB),
            new("intermediate.qcow2", "qcow2", 2 * MiB, "cluster_size=4k"),
            new("current.qcow2", "qcow2", 3 * MiB),
        ],
        ["qed over qcow2 version 2 over a longer qcow2"] =
        [
            new("template.qcow2", "qcow2", 4 * MiB, "cluster_size=2M"),
            new("intermediate.qcow2", "qcow2", (1 * MiB) + 512, "compat=0.10,cluster_size=8k"),
            new("current.qed", "qed", 2 * MiB, "cluster_size=16k,table_size=2"),
        ],
        ["qcow2 with large clusters and subclusters over raw"] =
        [
            new("template.raw", "raw", 3 * MiB),
            new("current.qcow2", "qcow2", 3 * MiB, "extended_l2=on,cluster_size=256k"),
        ],
    };

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Chains => [.. s_chains.Keys];

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_chain_that_qemu_made_is_pulled_wholly_in_increments(string name)
    {
        QemuImage[] images = s_chains[name];
        var chain = new QemuChain(_folder, images);
        long middle = await IncrementsAsync(chain, new StreamOptions(), cursor: 0, most: 8);
        Assert.Equal(chain.Expect([.. images.Reverse()]), chain.FollowWithQemu());
        chain.AssertCheckedAndIdentical();

        await IncrementsAsync(chain, new StreamOptions(), middle, most: 100);
        Assert.Equal(chain.Expect(images[^1]), chain.FollowWithQemu());
        File.Delete(chain.Template);
        AssertGoesOn(chain);
    }

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task A_chain_that_qemu_made_is_pulled_to_its_template_in_increments(string name)
    {
        QemuImage[] images = s_chains[name];
        var chain = new QemuChain(_folder, images);
        await IncrementsAsync(chain, new StreamOptions { BaseName = chain.Template }, cursor: 0, most: 100);
        Assert.Equal(chain.Expect(images[^1], images[0]), chain.FollowWithQemu());
        AssertGoesOn(chain);
    }

    public void Dispose() => _folder.Dispose();

    private async Task<long> IncrementsAsync(QemuChain chain, StreamOptions options, long cursor, int most)
    {
        await using Disk disk = await Disk.OpenAsync(chain.Current, new DiskOptions { Policy = OpenPolicy.Default with { AllowedRoots = [_folder.Path] } });
        for (int i = 0; i < most; i++)
        {
            StreamIncrement increment = await disk.StreamIncrementAsync(cursor, options);
            cursor = increment.Next;
            if (increment.IsComplete)
            {
                return cursor;
            }
        }

        Assert.InRange(cursor, 1, disk.Length - 1);
        return cursor;
    }

    private static void AssertGoesOn(QemuChain chain)
    {
        chain.AssertCheckedAndIdentical();
        chain.WriteWithQemu("write -P 200 100k 300k");
        chain.AssertCheckedAndIdentical();
    }
}
