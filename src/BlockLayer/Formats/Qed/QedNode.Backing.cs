using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

// What the header records about the backing file.
internal sealed partial class QedNode
{
    internal override bool IsHeaderUncertain => _header.IsUncertain;

    internal override void ThrowIfCannotRecordBacking(BackingReference? reference)
    {
        if (reference is not null)
        {
            PlaceBackingName(reference);
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The new name goes where neither the header fields nor the old name are and is made durable; then the sector of the fields, one write, switches from
    /// the one to the other.
    /// </remarks>
    internal override async ValueTask RecordBackingAsync(BackingReference? reference, CancellationToken cancellationToken)
    {
        if (IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is open read-only and cannot record a backing file.");
        }

        ThrowIfCannotRecordBacking(reference);
        cancellationToken.ThrowIfCancellationRequested();
        const QedFeatures About = QedFeatures.BackingFile | QedFeatures.BackingIsRaw;
        if (reference is null)
        {
            await _header.UpdateAsync(static header => header with { Features = header.Features & ~About, BackingNameOffset = 0, BackingNameSize = 0 })
                .ConfigureAwait(false);
            Volatile.Write(ref _backingReference, null);
            return;
        }

        (byte[] name, QedFeatures features, uint offset) = PlaceBackingName(reference);
        await _file.WriteAsync(offset, name, CancellationToken.None).ConfigureAwait(false);
        await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await _header.UpdateAsync(header => header with
        {
            Features = (header.Features & ~About) | features,
            BackingNameOffset = offset,
            BackingNameSize = (uint)name.Length,
        }).ConfigureAwait(false);
        Volatile.Write(ref _backingReference, BackingName.Decode(Header, name));
    }

    private (byte[] Name, QedFeatures Features, uint Offset) PlaceBackingName(BackingReference reference)
    {
        // An unknown compat feature may have given a meaning to the bytes after the header fields. QEMU refuses too.
        if (Header.CompatFeatures != 0)
        {
            throw Error(
                BlockErrorKind.Unsupported,
                $"'{NodeName}' has compat_features 0x{Header.CompatFeatures:x}, which are not known here: "
                + "where its header has room for a name cannot be told.");
        }

        (byte[] name, QedFeatures features) = BackingName.Encode(reference);
        uint offset = BackingName.FindRoom(Header, name.Length)
            ?? throw Error(
                BlockErrorKind.NoSpace,
                $"The header of '{NodeName}' has no room for a backing file name of {name.Length} bytes beside the present one.");
        return (name, features, offset);
    }

    private async ValueTask<BackingReference?> ReadBackingReferenceAsync(CancellationToken cancellationToken)
    {
        if (!Header.HasBacking)
        {
            return null;
        }

        byte[] name = new byte[Header.BackingNameSize];
        await _file.ReadAsync(Header.BackingNameOffset, name, cancellationToken).ConfigureAwait(false);
        return BackingName.Decode(Header, name);
    }
}
