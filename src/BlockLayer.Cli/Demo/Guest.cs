using BlockLayer.Images;

namespace BlockLayer.Cli.Demo;

/// <summary>
/// One virtual processor of the guest: random reads and writes, one at a time with a pause between, every read compared with the model at once. Guests
/// own interleaved stripes smaller than a cluster: they never touch each other's sectors, and always each other's clusters.
/// </summary>
internal sealed class Guest
{
    private const int StripeLength = 16 * 1024;

    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(1);

    private readonly Disk _disk;
    private readonly DiskModel _model;
    private readonly Random _random;
    private readonly TimeProvider _time;
    private readonly int _index;
    private readonly int _count;
    private uint _nextWrite;

    /// <param name="disk">The disk that is used.</param>
    /// <param name="model">What it must hold.</param>
    /// <param name="seed">Decides everything the guest does.</param>
    /// <param name="index">Which guest this is.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="time">Measures the requests.</param>
    internal Guest(Disk disk, DiskModel model, int seed, int index, int count, TimeProvider time)
    {
        _disk = disk;
        _model = model;
        _random = new Random(HashCode.Combine(seed, index));
        _index = index;
        _count = count;
        _time = time;
        _nextWrite = (uint)(index + 1) << 24; // apart from other guests' and from the numbers of the images' makers
    }

    internal long Reads { get; private set; }

    internal long Writes { get; private set; }

    /// <summary>Runs until it is stopped, never in the middle of a request. The log decides where times go and may change meanwhile.</summary>
    /// <exception cref="DemoFailedException">A read returned a byte that was not the last one written.</exception>
    internal async Task RunAsync(Func<LatencyLog> log, CancellationToken stop)
    {
        byte[] buffer = new byte[StripeLength];
        while (!stop.IsCancellationRequested)
        {
            (long offset, int length) = Choose();
            Memory<byte> bytes = buffer.AsMemory(0, length);
            int dice = _random.Next(100);
            if (dice < 30)
            {
                DiskModel.Fill(bytes.Span, offset, ++_nextWrite);
            }

            long started = _time.GetTimestamp();
            if (dice < 30)
            {
                await _disk.WriteAsync(offset, bytes, cancellationToken: CancellationToken.None).ConfigureAwait(false);
            }
            else if (dice < 32)
            {
                await _disk.WriteZeroesAsync(offset, length, cancellationToken: CancellationToken.None).ConfigureAwait(false);
            }
            else
            {
                await _disk.ReadAsync(offset, bytes, CancellationToken.None).ConfigureAwait(false);
            }

            log().Add(_time.GetElapsedTime(started));
            Settle(dice, offset, bytes.Span);
            await Task.Delay(s_pause, _time, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private void Settle(int dice, long offset, ReadOnlySpan<byte> bytes)
    {
        if (dice < 32)
        {
            _model.Record(offset, bytes.Length, dice < 30 ? _nextWrite : 0);
            Writes++;
            return;
        }

        Reads++;
        if (_model.FindDifference(bytes, offset) is { } wrong)
        {
            throw new DemoFailedException($"A guest read a byte at offset {wrong} that was not the last one written there.");
        }
    }

    // Whole sectors within one of this guest's stripes.
    private (long Offset, int Length) Choose()
    {
        const int Sectors = StripeLength / DiskModel.SectorLength;
        long stripes = _model.Length / StripeLength / _count;
        long stripe = (_random.NextInt64(stripes) * _count) + _index;
        int first = _random.Next(Sectors);
        int count = 1 + _random.Next(Sectors - first);
        return ((stripe * StripeLength) + (first * DiskModel.SectorLength), count * DiskModel.SectorLength);
    }
}
