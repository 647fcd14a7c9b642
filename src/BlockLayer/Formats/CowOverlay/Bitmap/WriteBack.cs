using BlockLayer.Graph;
using BlockLayer.Primitives;

namespace BlockLayer.Formats.CowOverlay;

/// <summary>
/// Makes the overlay durable in an order that a crash may cut anywhere, across its two files.
/// </summary>
/// <remarks>
/// <code>
///   header, if a write of it failed before | copy changed pages | sync image file | record says "not clean", sync | write pages, sync add-cow file
///                                          |                    |   their data    |       the first time only     |
/// </code>
/// <para>A bit reaches the disk only after the data that it stands for. The pages need no order among themselves: any mix of old and new bits is a valid
/// bitmap. What changes after the copy belongs to the next run: its data may not be durable yet.</para>
/// <para>A page that could not be written is dirty again, and the next flush tries again.</para>
/// </remarks>
internal sealed class WriteBack
{
    private readonly HeaderArea _header;
    private readonly BlockEdge _file;
    private readonly BlockEdge _image;
    private readonly AllocationBitmap? _bitmap;
    private readonly BitmapFile _bitmapFile;
    private readonly Func<ValueTask> _beforeBits;
    private readonly SharedRun _runs;

    /// <param name="header">Settled first: the disk may still say what a failed change wanted.</param>
    /// <param name="file">The add-cow file.</param>
    /// <param name="image">The image file.</param>
    /// <param name="bitmap">Null where there is none to keep.</param>
    /// <param name="bitmapFile">Where it lies.</param>
    /// <param name="beforeBits">Called before bits are written; makes durable that the bitmap on disk is changing.</param>
    internal WriteBack(HeaderArea header, BlockEdge file, BlockEdge image, AllocationBitmap? bitmap, BitmapFile bitmapFile, Func<ValueTask> beforeBits)
    {
        _header = header;
        _file = file;
        _image = image;
        _bitmap = bitmap;
        _bitmapFile = bitmapFile;
        _beforeBits = beforeBits;
        _runs = new SharedRun(RunAsync);
    }

    /// <summary>Makes everything durable that completed before the call.</summary>
    internal ValueTask FlushAsync(CancellationToken cancellationToken) => _runs.JoinAsync(cancellationToken);

    private async ValueTask RunAsync()
    {
        await _header.SettleAsync().ConfigureAwait(false);
        List<BitmapPage> pages = _bitmap?.TakeDirty() ?? [];
        bool written = false;
        try
        {
            await _image.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            if (pages.Count > 0)
            {
                await _beforeBits().ConfigureAwait(false);
                foreach (BitmapPage page in pages)
                {
                    await _bitmapFile.WriteAsync(page).ConfigureAwait(false);
                }
            }

            await _file.FlushAsync(CancellationToken.None).ConfigureAwait(false); // always: bits of a process that died may be in the page cache alone
            written = true;
        }
        finally
        {
            if (!written)
            {
                _bitmap?.MarkDirty(pages);
            }
        }
    }
}
