using BlockLayer.Errors;

namespace BlockLayer.Formats.Qcow2;

/// <summary>Reads the snapshot table, whose length is known only when it has been read.</summary>
internal static class SnapshotTableLoader
{
    private const int FirstRead = 4096;

    /// <summary>The table of a validated header.</summary>
    /// <exception cref="ImageFormatException">InvalidFormat, or Corrupt: the table goes on behind the end of the file.</exception>
    public static async ValueTask<SnapshotTable> LoadAsync(IMetadataReader file, Qcow2Header header, CancellationToken cancellationToken)
    {
        if (header.SnapshotCount == 0)
        {
            return SnapshotTable.Empty;
        }

        long available = file.Length - header.SnapshotsOffset.Value;
        byte[] bytes = new byte[Math.Min(FirstRead, available)];
        while (true)
        {
            await file.ReadPaddedAsync(header.SnapshotsOffset.Value, bytes, cancellationToken).ConfigureAwait(false);
            if (SnapshotTable.TryParse(bytes, header.SnapshotCount, header.SnapshotsOffset, out SnapshotTable table, out long needed))
            {
                return table;
            }

            if (needed > available)
            {
                throw ImageFormatException.Corrupt(
                    "snapshot table",
                    header.SnapshotsOffset.Value,
                    $"snapshot table at byte {header.SnapshotsOffset.Value} needs {needed} bytes or more; the file has {available} there.");
            }

            bytes = new byte[Math.Min(Math.Max(needed, 4L * bytes.Length), available)];
        }
    }
}
