using BlockLayer.Errors;
using BlockLayer.Graph;

namespace BlockLayer.Formats.Qed;

// Everything the disk holds let go: the L1 table is cleared, and the file is cut behind it.
internal sealed partial class QedNode : IEmptiableImage
{
    /// <inheritdoc/>
    public void ThrowIfCannotMakeEmpty()
    {
        if (IsReadOnly)
        {
            throw Error(BlockErrorKind.ReadOnly, $"'{NodeName}' is open read-only and cannot be emptied.");
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// <code>
    ///   NEED_CHECK set ── sync ── L1 entries zero ── sync ── file cut ── sync        NEED_CHECK is cleared on close
    /// </code>
    /// A crash leaves any part of the entries, and what the others led to as leaks, which is what NEED_CHECK is for. The file is cut only when no entry leads behind the cut.
    /// </remarks>
    public async ValueTask MakeEmptyAsync(Action throwIfChanged, CancellationToken cancellationToken)
    {
        ThrowIfCannotMakeEmpty();
        using GraphChange change = await BeginUnclaimedChangeAsync("it can be emptied", cancellationToken).ConfigureAwait(false);
        throwIfChanged();
        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
        await _header.ClearAutoclearAsync().ConfigureAwait(false);
        long tableEnd = (long)Header.L1TableOffset + _geometry.TableLength;
        try
        {
            using (await _needCheck!.EnterAsync(CancellationToken.None).ConfigureAwait(false))
            {
                await _file.WriteZeroesAsync((long)Header.L1TableOffset, _geometry.TableLength, ZeroFlags.None, CancellationToken.None).ConfigureAwait(false);
                await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }

            if (tableEnd < _file.Child.Length)
            {
                await _file.ResizeAsync(tableEnd, new ResizeOptions { AllowShrink = true }, CancellationToken.None).ConfigureAwait(false);
                await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            }
        }
        finally
        {
            await _needCheck!.DisposeAsync().ConfigureAwait(false);
            await LoadTablesAsync(CancellationToken.None).ConfigureAwait(false); // what is on disk holds, whatever was reached
        }
    }
}
