namespace BlockLayer.Formats.CowOverlay;

// Becoming writable and read-only again. Bitmap and header are in memory and were right all the time, because nobody else may write them meanwhile.
internal sealed partial class CowOverlayNode
{
    internal override ValueTask SettleToReadAsync() => CloseCleanlyAsync();

    private protected override async ValueTask BeginWritingCoreAsync(CancellationToken cancellationToken)
    {
        if (!IsAllAllocated)
        {
            ThrowIfImageWasCut();
        }

        ChangeFilePermissions();
        if (Backing is { } backing)
        {
            await VerifyBackingAsync(backing, cancellationToken).ConfigureAwait(false);
        }

        MakeWriter();
    }

    private protected override ValueTask EndWritingCoreAsync()
    {
        ChangeFilePermissions();
        _writer = null;
        return ValueTask.CompletedTask;
    }

    private void ChangeFilePermissions()
    {
        ChangePermissions(_file, Needs, Shares);
        ChangePermissions(_image, Needs, Shares);
    }

    private void MakeWriter() => _writer = new WriteBack(_header, _file, _image, _bitmap, _bitmapFile, MarkNotCleanAsync);
}
