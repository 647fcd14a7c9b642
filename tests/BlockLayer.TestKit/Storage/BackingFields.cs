using BlockLayer.Storage;

namespace BlockLayer.TestKit;

/// <summary>Recognises the write that gives an image another backing file: the one that changes what its header says about it.</summary>
public static class BackingFields
{
    private const int HeaderLength = 64;

    private static ReadOnlySpan<byte> Qcow2Magic => [(byte)'Q', (byte)'F', (byte)'I', 0xFB];

    /// <summary>
    /// True if a write of <paramref name="data"/> to <paramref name="offset"/> would change the fields of a qcow2 or QED image that say where its backing
    /// file's name is.
    /// </summary>
    public static async ValueTask<bool> WouldChangeAsync(BlockStorage file, long offset, ReadOnlyMemory<byte> data)
    {
        if (offset != 0 || data.Length < HeaderLength || file.Length < HeaderLength)
        {
            return false;
        }

        byte[] now = new byte[HeaderLength];
        await file.ReadAsync(0, now, CancellationToken.None).ConfigureAwait(false);
        return !Of(now).SequenceEqual(Of(data.Span));
    }

    // qcow2 spec, "Header": backing_file_offset and backing_file_size at 8 to 19. qed_spec, "Header": features at 16, bit 0 of which says that there is a
    // backing file; backing_filename_offset and backing_filename_size at 56 to 63.
    private static byte[] Of(ReadOnlySpan<byte> header)
        => header.StartsWith(Qcow2Magic) ? header[8..20].ToArray() : [(byte)(header[16] & 1), .. header[56..64]];
}
