using BlockLayer.Graph;
using BlockLayer.Storage;
using BlockLayer.TestKit.Graph;
using Xunit;

namespace BlockLayer.Tests.Graph;

/// <summary>Threads that write and flush one file at the same time: a flush that succeeded covers all that was written before it was called.</summary>
public class StorageNodeStressTests
{
    [Fact]
    public void A_flush_covers_what_was_written_before_it_under_four_threads()
    {
        const int Rounds = 3000;
        var file = new CountingFile();
        var node = new StorageNode(file, TestEnvironment.Inline());
        long uncovered = 0;
        Thread[] writers = [.. Enumerable.Range(0, 4).Select(writer => new Thread(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                Wait(node.WriteAsync(writer, new byte[1]));
                long written = file.Written;
                Wait(node.FlushAsync());
                if (file.Durable < written)
                {
                    Interlocked.Increment(ref uncovered);
                }
            }
        }))];
        Array.ForEach(writers, writer => writer.Start());
        Array.ForEach(writers, writer => writer.Join());

        Assert.Equal(0, uncovered);
        Assert.False(file.SyncsOverlapped);
        Assert.InRange(file.Syncs, 1, 4 * Rounds);
        Wait(node.DisposeAsync());

        static void Wait(ValueTask task) => task.AsTask().Wait();
    }

    /// <summary>Counts writes, and how many of them the syncs so far have made durable.</summary>
    private sealed class CountingFile : BlockStorage
    {
        private readonly NullStorage _content = new(4096);
        private long _written;
        private long _durable;
        private int _syncing;

        public override string Name => "counting";

        public override long Length => _content.Length;

        public override bool IsReadOnly => false;

        public override StorageIdentity Identity => _content.Identity;

        internal long Written => Interlocked.Read(ref _written);

        internal long Durable => Interlocked.Read(ref _durable);

        internal int Syncs { get; private set; }

        internal bool SyncsOverlapped { get; private set; }

        public override ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken) => _content.ReadAsync(offset, buffer, cancellationToken);

        public override ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _written);
            return ValueTask.CompletedTask;
        }

        public override ValueTask WriteZeroesAsync(long offset, long length, ZeroMode mode, CancellationToken cancellationToken) => throw new NotSupportedException();

        public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken) => throw new NotSupportedException();

        public override async ValueTask FlushAsync(CancellationToken cancellationToken)
        {
            SyncsOverlapped |= Interlocked.Increment(ref _syncing) > 1;
            Syncs++;
            long covered = Written;
            await Task.Yield(); // others write and call meanwhile, and what follows runs on another thread
            Interlocked.Exchange(ref _durable, covered);
            Interlocked.Decrement(ref _syncing);
        }

        public override ValueTask SetLengthAsync(long length, CancellationToken cancellationToken) => throw new NotSupportedException();

        public override ValueTask<StorageExtent> GetExtentAsync(long offset, long length, CancellationToken cancellationToken)
            => _content.GetExtentAsync(offset, length, cancellationToken);

        public override ValueTask DisposeAsync() => _content.DisposeAsync();
    }
}
