using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>The snapshot table for whoever relies on it: a sound one, or none.</summary>
internal static class SnapshotTableLoader
{
    /// <summary>The table of a validated header.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat: it cannot be located, or is beyond a limit. Corrupt: it leaves the file, or lies on something else.</exception>
    public static async ValueTask<SnapshotTable> LoadAsync(IMetadataReader file, Qcow2Header header, CancellationToken cancellationToken)
    {
        SnapshotTableReading found = await SnapshotTableReader.ReadAsync(file, header, cancellationToken).ConfigureAwait(false);
        return found.Fault is { } fault ? throw fault : SnapshotTable.Of(found);
    }
}
