using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;

namespace BlockLayer.Simulation.Tests.Formats.Qcow2;

/// <summary>The image of one simulated run.</summary>
/// <param name="Version">2 or 3.</param>
/// <param name="ClusterSize">Bytes.</param>
/// <param name="RefcountBits">Width of a refcount.</param>
/// <param name="Length">Bytes of the disk.</param>
/// <param name="BackingLength">Bytes of its raw backing file; 0 for none.</param>
/// <param name="ExtendedL2">Whether its clusters are divided into subclusters.</param>
/// <param name="Preallocation">What of its room is taken from the start.</param>
/// <param name="DataFile">What its external data file is; null for none.</param>
/// <param name="Encryption">How its data is encrypted. The old method opens at once, so thousands of states can be opened.</param>
internal sealed record ImageGeometry(
    int Version,
    int ClusterSize,
    int RefcountBits,
    int Length,
    int BackingLength,
    bool ExtendedL2 = false,
    Preallocation Preallocation = Preallocation.Off,
    DataFileLayout? DataFile = null,
    EncryptionMethod Encryption = EncryptionMethod.None)
{
    internal Qcow2CreateOptions CreateOptions => new()
    {
        Length = Length,
        Version = Version,
        ClusterSize = ClusterSize,
        RefcountBits = RefcountBits,
        ExtendedL2 = ExtendedL2,
        Preallocation = Preallocation,
        DataFile = DataFile is null ? null : "data",
        DataFileLayout = DataFile ?? DataFileLayout.Clusters,
        Backing = BackingLength == 0 ? null : new BackingReference("base", "raw"),
    };
}
