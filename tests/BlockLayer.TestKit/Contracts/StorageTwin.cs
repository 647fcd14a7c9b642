using BlockLayer.Storage;
using Xunit;

namespace BlockLayer.TestKit.Contracts;

/// <summary>A file and the array it has to equal. What a discard leaves is read back, checked against what it may be, and adopted.</summary>
internal sealed class StorageTwin(Func<ValueTask<BlockStorage>> reopen)
{
    private readonly byte[] _bytes = new byte[StorageStep.MaxLength];
    private int _length;

    internal async Task RunAsync(IEnumerable<StorageStep> steps)
    {
        BlockStorage file = await reopen();
        try
        {
            foreach (StorageStep step in steps)
            {
                if (step is StorageStep.Reopen)
                {
                    await file.FlushAsync(CancellationToken.None);
                    await file.DisposeAsync();
                    file = await reopen();
                }
                else
                {
                    await ApplyAsync(file, step);
                }

                await CompareAsync(file, step);
            }
        }
        finally
        {
            await file.DisposeAsync();
        }
    }

    private async Task ApplyAsync(BlockStorage file, StorageStep step)
    {
        switch (step)
        {
            case StorageStep.Write(var offset, var length, var seed):
                byte[] bytes = Pattern.Of(offset, length, seed);
                await file.WriteAsync(offset, bytes, CancellationToken.None);
                bytes.CopyTo(_bytes, offset);
                _length = Math.Max(_length, offset + length);
                break;
            case StorageStep.Zeroes(var offset, var length, var mode):
                await file.WriteZeroesAsync(offset, length, mode, CancellationToken.None);
                _bytes.AsSpan(offset, length).Clear();
                _length = Math.Max(_length, offset + length);
                break;
            case StorageStep.Discard(var offset, var length):
                await file.DiscardAsync(offset, length, CancellationToken.None);
                await AdoptDiscardAsync(file, offset, Math.Min(length, _length - offset));
                break;
            case StorageStep.SetLength(var length):
                await file.SetLengthAsync(length, CancellationToken.None);
                _bytes.AsSpan(length).Clear();
                _length = length;
                break;
        }
    }

    private async Task AdoptDiscardAsync(BlockStorage file, int offset, int length)
    {
        if (length <= 0)
        {
            return;
        }

        byte[] found = new byte[length];
        await file.ReadAsync(offset, found, CancellationToken.None);
        for (int i = 0; i < length; i++)
        {
            Assert.True(found[i] == 0 || found[i] == _bytes[offset + i], $"a discard left neither the old byte nor zero at {offset + i}");
        }

        found.CopyTo(_bytes, offset);
    }

    private async Task CompareAsync(BlockStorage file, StorageStep after)
    {
        Assert.Equal(_length, file.Length);
        byte[] found = new byte[_length];
        await file.ReadAsync(0, found, CancellationToken.None);
        int wrong = found.AsSpan().CommonPrefixLength(_bytes.AsSpan(0, _length));
        Assert.True(wrong == _length, $"byte {wrong} is wrong after {after}");
        for (long at = 0; at < _length;)
        {
            StorageExtent extent = await file.GetExtentAsync(at, _length - at, CancellationToken.None);
            Assert.InRange(extent.Length, 1, _length - at);
            Assert.False(extent.IsHole && _bytes.AsSpan((int)at, (int)extent.Length).ContainsAnyExcept((byte)0), $"a hole at {at} holds data after {after}");
            at += extent.Length;
        }
    }
}
