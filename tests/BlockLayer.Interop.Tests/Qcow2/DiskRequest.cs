using System.Globalization;
using BlockLayer.Graph;

namespace BlockLayer.Interop.Tests.Qcow2;

/// <summary>A request that both sides of a comparison carry out: through a node, or as a command of qemu-io.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Offset">Byte offset.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Value">The byte to fill with, or which qemu-io is to find everywhere in what it reads.</param>
internal sealed record DiskRequest(DiskRequestKind Kind, long Offset, int Length, byte Value)
{
    /// <summary>The request as qemu-io takes it.</summary>
    internal string QemuIoCommand => Kind switch
    {
        DiskRequestKind.Write => string.Create(CultureInfo.InvariantCulture, $"write -q -P {Value} {Offset} {Length}"),
        DiskRequestKind.WriteZeroes => string.Create(CultureInfo.InvariantCulture, $"write -q -z {Offset} {Length}"),
        DiskRequestKind.Discard => string.Create(CultureInfo.InvariantCulture, $"discard -q {Offset} {Length}"),
        DiskRequestKind.Read => string.Create(CultureInfo.InvariantCulture, $"read -q -P {Value} {Offset} {Length}"),
        DiskRequestKind.Flush => "flush",
        _ => throw new InvalidOperationException($"{Kind} has no command"),
    };

    /// <summary>Writes, zeroes and flushes in whole sectors: most of them shorter than a few subclusters, some over several clusters.</summary>
    internal static IReadOnlyList<DiskRequest> RandomScript(int seed, int count, int diskLength)
    {
        var random = new Random(seed);
        var script = new List<DiskRequest>();
        for (int i = 0; i < count; i++)
        {
            int sectors = diskLength / 512;
            int first = random.Next(sectors);
            int length = random.Next(1, Math.Min(i % 4 == 0 ? 600 : 24, sectors - first) + 1);
            DiskRequestKind kind = random.Next(8) switch
            {
                0 or 1 => DiskRequestKind.WriteZeroes,
                2 => DiskRequestKind.Flush,
                _ => DiskRequestKind.Write,
            };
            script.Add(new DiskRequest(kind, first * 512L, length * 512, (byte)random.Next(1, 256)));
        }

        return script;
    }

    /// <summary>Carries the request out; what a read finds is the caller's to look at, so reads are not for this.</summary>
    internal async ValueTask DoAsync(BlockNode node)
    {
        switch (Kind)
        {
            case DiskRequestKind.Write:
                byte[] data = new byte[Length];
                data.AsSpan().Fill(Value);
                await node.WriteAsync(Offset, data);
                break;
            case DiskRequestKind.WriteZeroes:
                await node.WriteZeroesAsync(Offset, Length);
                break;
            case DiskRequestKind.Discard:
                await node.DiscardAsync(Offset, Length);
                break;
            case DiskRequestKind.Flush:
                await node.FlushAsync();
                break;
            default:
                throw new InvalidOperationException($"{Kind} is not done here");
        }
    }
}

/// <summary>What a <see cref="DiskRequest"/> does.</summary>
internal enum DiskRequestKind
{
    Write,
    WriteZeroes,
    Discard,
    Read,
    Flush,
}
