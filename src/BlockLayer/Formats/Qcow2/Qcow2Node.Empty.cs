using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qcow2;

// Everything the disk holds let go at once: an L1 table without entries is exchanged for the present one, so a crash leaves the one or the other.
internal sealed partial class Qcow2Node : IEmptiableImage
{
    /// <inheritdoc/>
    public void ThrowIfCannotMakeEmpty()
    {
        if (IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is open read-only and cannot be emptied.");
        }

        if (IsRawData)
        {
            throw Error(BlockErrorKind.Unsupported, $"'{NodeName}' has a raw external data file, which holds the whole disk: it cannot be emptied.");
        }
    }

    /// <inheritdoc/>
    /// <remarks>Snapshots and bitmaps stay. What they share with the disk keeps its clusters.</remarks>
    public async ValueTask MakeEmptyAsync(Action throwIfChanged, CancellationToken cancellationToken)
    {
        ThrowIfCannotMakeEmpty();
        using GraphChange change = await BeginTableChangeAsync("it can be emptied", cancellationToken).ConfigureAwait(false);
        throwIfChanged();
        await ExchangeTablesAsync(
            async draft =>
            {
                ulong[] words = _tables.L1.CopyTo(_tables.L1.Count);
                await draft.DropReferencesAsync(words, cancellationToken).ConfigureAwait(false);
                return new TableExchange(await WriteL1Async(draft, new ulong[words.Length]).ConfigureAwait(false), _geometry, static header => header);
            },
            cancellationToken).ConfigureAwait(false);
        await GiveDataBackAsync(default, new GuestOffset(Length), ZeroIntent.Unmap).ConfigureAwait(false);
    }
}
