namespace BlockLayer.Formats.Qcow2;

/// <summary>The image file as whoever only reads its tables sees it.</summary>
internal interface IMetadataReader
{
    /// <summary>Bytes in the file.</summary>
    long Length { get; }

    /// <summary>Fills the buffer from the file, with zeroes where the file has ended.</summary>
    /// <exception cref="Errors.BlockLayerException">Io.</exception>
    ValueTask ReadPaddedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken);
}
